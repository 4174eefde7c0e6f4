"""Deadlines in a heap. Pure: time is an argument, nothing here reads a clock."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Timer", "Timers"]

# A cancelled timer stays in the heap until it comes to the top, since finding it there
# would cost more. Only when they are many and the greater part is the heap rebuilt.
COMPACT_ABOVE = 100


class Timer:
    """One deadline: `when` (monotonic ns), what to call, and why, in words for the log."""

    __slots__ = ("callback", "done", "when", "why")

    def __init__(self, when: int, callback: Callable[[], None], why: str) -> None:
        self.when = when
        self.callback = callback
        self.why = why
        self.done = False  # fired or cancelled


class Timers:
    """The deadlines that are still to come, soonest first; equal ones in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def set(self, when: int, callback: Callable[[], None], why: str) -> Timer:
        """Have `callback` run in the first tick at or after `when`."""
        timer = Timer(when, callback, why)
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def cancel(self, timer: Timer | None) -> None:
        """Forget a timer; it may have fired or been cancelled before."""
        if timer is None or timer.done:
            return
        timer.done = True
        self._cancelled += 1
        if len(self._heap) > COMPACT_ABOVE and 2 * self._cancelled > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].done]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next(self) -> Timer | None:
        """The timer that is due first."""
        heap = self._heap
        while heap and heap[0][2].done:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][2] if heap else None

    def due(self, now: int) -> Iterator[Timer]:
        """Take out the timers whose time has come at `now`; those that they set are for a later tick.

        Otherwise a timer that sets another for "at once" would keep the loop from polling for ever.
        """
        last = self._count
        while (timer := self.next()) is not None and timer.when <= now and self._heap[0][1] <= last:
            heapq.heappop(self._heap)
            timer.done = True
            yield timer
