"""A bar for who waits at a terminal; nothing for a file, a pipe, or what is over in a second."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

    from evloop_trace.logs import Log, Logs
    from evloop_trace.merge import Run

T = TypeVar("T")

__all__ = ["Reading", "meter", "put_away", "track", "track_steps"]

_PATIENCE = 1.0  # seconds before a bar appears
_REFRESH = 0.1


class Reading(Protocol):
    """Something that is read."""

    @property
    def size(self) -> int:
        """Its bytes; 0 if nobody knows."""

    @property
    def done(self) -> int:
        """Those that have been read."""


def track(logs: Logs, verb: str, now: Callable[[], float] = time.monotonic) -> Iterator[Run[Log]]:
    """The logs' runs; how far they are is drawn on standard error if that is a terminal."""
    return track_steps(logs, verb, logs.runs(), now)


def track_steps(
    logs: Logs, verb: str, steps: Iterator[T], now: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """The same for another way to read them."""
    with meter(logs, verb, now) as look:
        for step in steps:
            yield step
            look()


@contextmanager
def meter(
    reading: Reading, verb: str, now: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[], None]]:
    """Gives a function to be called now and then: it draws how far the reading is."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    due = now() + _PATIENCE
    bar = _Bar(reading, verb)

    def look() -> None:
        nonlocal due
        if now() >= due:
            bar.draw()
            due = now() + _REFRESH

    try:
        yield look
    finally:
        bar.put_away()


def put_away(file: IO[Any] | None) -> None:
    """Take the bar off the terminal, before something is written to `file`; it comes again when it is due."""
    if _drawn and file is not None and file.isatty():
        for bar in [*_drawn]:
            bar.put_away()


class _Bar:
    """No thread, and nothing imported before it is drawn."""

    def __init__(self, reading: Reading, verb: str) -> None:
        self._reading = reading
        self._verb = verb
        self._progress: Progress | None = None

    def draw(self) -> None:
        """How far it is now."""
        if self._progress is None:
            self._progress = _made(self._verb, self._reading.size)
        if self not in _drawn:
            _drawn.append(self)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=self._reading.done, refresh=True)

    def put_away(self) -> None:
        """As if it had not been there; the cursor is shown again."""
        if self._progress is not None and self in _drawn:
            _drawn.remove(self)
            self._progress.stop()


_drawn: list[_Bar] = []


def _made(verb: str, size: int) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - most runs are over before a bar is due
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # What is written meanwhile puts the bar away by itself: Rich would wrap it as a text of its own.
    progress = Progress(
        *columns, console=Console(stderr=True), auto_refresh=False, transient=True,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip
    progress.add_task(verb, total=size or None)
    return progress
