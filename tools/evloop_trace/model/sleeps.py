"""How long a program's threads slept, and in which calls: a fold over their calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop_trace.model.filters import due
from evloop_trace.model.report import SleepReport, ThreadReport
from evloop_trace.model.threads import MAIN, follow

if TYPE_CHECKING:
    from evloop_trace.model.threads import Thread

__all__ = ["Sleeps"]

_KEPT = 10
_CALLS = 100  # names of calls: a log may make them up


class Sleeps:
    """Feed it the calls with `add`."""

    def __init__(self) -> None:
        self.count = 0
        """Threads."""
        self._threads: dict[str, Thread] = {}
        self._calls: dict[str, SleepReport] = {}

    def add(self, event: Any) -> None:
        """A call of any thread."""
        known = (event.thread or MAIN) in self._threads
        block = follow(self._threads, event)
        self.count += not known and (event.thread or MAIN) in self._threads
        if block is None:
            return
        call = self._calls.get(block.awaits)
        if call is None:
            if len(self._calls) >= _CALLS:
                return
            call = self._calls[block.awaits] = SleepReport(0, 0, 0, "")
        slept = max(0, due(event) - block.t)
        call.count += 1
        call.total_ns += slept
        if slept > call.longest_ns:
            call.longest_ns, call.longest_where = slept, event.where

    def calls(self) -> dict[str, SleepReport]:
        """By what was waited for, the longest in all first."""
        return dict(sorted(self._calls.items(), key=lambda item: -item[1].total_ns))

    def threads(self, now: int) -> list[ThreadReport]:
        """Of those that were seen last the ten that slept longest, when the log ends at `now`."""
        longest = sorted(self._threads.values(), key=lambda it: -(it.slept + it.asleep(now)))[:_KEPT]
        return [
            ThreadReport(
                thread=it.name,
                began_ns=it.began,
                lifetime_ns=(now if it.block else it.seen) - it.began,
                slept_ns=it.slept + it.asleep(now),
                sleeps=it.sleeps,
                asleep_in=it.block.awaits if it.block else None,
            )
            for it in longest
        ]
