"""How far a capture is, for who waits at a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, ProgressColumn

    from evloop_trace.capture.wanted import Wanted

__all__ = ["REFRESH", "Bar"]

REFRESH = 0.25
"""Seconds between two pictures."""


class Bar:
    """Packets, bytes and drops on one line of standard error: a terminal, while packets go to a file."""

    def __init__(self, wanted: Wanted, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._began, self._due = now, now(), 0.0
        self._duration, self._count = wanted.duration, wanted.packets
        seen = wanted.output is not None and sys.stderr is not None and sys.stderr.isatty()
        self._progress = self._make() if seen else None

    @property
    def every(self) -> float | None:
        """Seconds within which it must be updated; None if there is nobody to see it."""
        return REFRESH if self._progress else None

    def update(self, packets: int, size: int, dropped: int) -> None:
        """Draw it, if it is time to."""
        now = self._now()
        if self._progress is None or now < self._due:
            return
        self._due = now + REFRESH
        done = packets if self._count else now - self._began
        self._progress.update(self._task, completed=done, packets=packets, size=size, dropped=dropped)
        self._progress.refresh()

    def close(self) -> None:
        """Leave the line empty."""
        if self._progress:
            self._progress.stop()

    def _make(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - where there is no terminal it is not needed
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        total = self._count or self._duration
        columns: list[ProgressColumn] = [BarColumn(20)] if total else []
        progress = Progress(
            *columns,
            TimeElapsedColumn(),
            TextColumn("{task.fields[packets]:,} packets"),
            TextColumn("{task.fields[size]:,} B"),
            TextColumn("{task.fields[dropped]:,} dropped"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = progress.add_task("", total=total, packets=0, size=0, dropped=0)
        progress.start()
        return progress
