"""A bar for who waits at a terminal; nothing for a file, a pipe, or what is over in a second."""

from __future__ import annotations

import sys
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from evloop_trace.logs import Log, Logs
    from evloop_trace.merge import Run

T = TypeVar("T")

__all__ = ["Reading", "meter", "track", "track_steps"]

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
    with closing(_bar(reading, verb)) as bar:

        def look() -> None:
            nonlocal due
            if now() >= due:
                next(bar)
                due = now() + _REFRESH

        yield look


def _bar(reading: Reading, verb: str) -> Generator[None, None, None]:
    """Draws once for every `next`; no thread, and nothing imported before the first."""
    from rich.console import Console  # noqa: PLC0415 - most runs are over before a bar is due
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task(verb, total=reading.size or None)
        while True:
            progress.update(task, completed=reading.done, refresh=True)
            yield
