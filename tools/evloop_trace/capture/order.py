"""Packets in the order of their times.

Two cores may put packets into the ring at the same moment, and the one that took its place first need not
be the one that looked at the clock first. They are microseconds apart, or milliseconds where the core of a
virtual machine is taken away in between. So the newest packets wait a little for older ones.

Pure.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop_trace.capture.ring import Packet

__all__ = ["Order"]

_WHEN = itemgetter(0)
_PATIENCE = 10_000_000  # ns


class Order:
    """Packets that wait."""

    def __init__(self) -> None:
        self.waiting: list[Packet] = []

    def add(self, packets: list[Packet]) -> list[Packet]:
        """Some more; those that are old enough, oldest first."""
        waiting = self.waiting + packets
        waiting.sort(key=_WHEN)
        end = len(waiting)
        newest = waiting[-1][0] if waiting else 0
        while end and waiting[end - 1][0] > newest - _PATIENCE:
            end -= 1
        self.waiting = waiting[end:]
        return waiting[:end]

    def rest(self) -> list[Packet]:
        """All that wait: nothing has come for longer than they need to."""
        rest, self.waiting = self.waiting, []
        return rest
