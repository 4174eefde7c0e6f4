"""Two clocks: packets carry the time of day, events the monotonic clock; a log tells both, now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.events.schema import Clock, Header

__all__ = ["Clocks"]

_STEP = 1_000_000
"""Nanoseconds: if the two move apart by more, somebody has set the time of day."""

_NEVER = -(1 << 64)
_BACK = 1_000_000_000  # ns: packets are captured nearly in order


class Clocks:
    """The clock of a timeline: nanoseconds since the earliest log began, or the first packet."""

    def __init__(self, headers: Sequence[Header], *, one_clock: bool) -> None:
        """`one_clock`: the logs share the monotonic clock."""
        self.steps: list[tuple[int, int]] = []
        """When the time of day was set: the timeline's time, and by how many ns it went forward."""
        self._shared = one_clock
        self._mono: int | None = None
        self._wall: int | None = None
        self._boot = ""
        self._latest = _NEVER  # packet, on the timeline
        self._back = 0  # ns by which the clock was set back, as far as the packets show it
        if headers:
            first = min(headers, key=lambda it: it.mono_ns if one_clock else it.wall_ns)
            self._mono, self._wall, self._boot = first.mono_ns, first.wall_ns, first.boot_id

    def begin(self, times: Sequence[int]) -> None:
        """Without a log the clock begins with the earliest of these times of day."""
        if self._wall is None and times:
            self._wall = min(times)

    def heed(self, clock: Clock) -> None:
        """A log tells both again."""
        if self._mono is None or self._wall is None or not self._shared:
            return
        moved = (clock.wall_ns - clock.mono_ns) - (self._wall - self._mono)
        if abs(moved) > _STEP:
            self.steps.append((clock.mono_ns - self._mono, moved))
            self._wall += moved
            self._latest, self._back = _NEVER, 0

    def of_wall(self, ns: int) -> int:
        """Where a time of day stands (ns since 1970)."""
        return ns - (self._wall or 0)

    def of_packet(self, ns: int) -> int:
        """Where the next packet of a capture stands, whose time of day it is.

        One that is older than the one before was captured after the clock was set back: it stands beside that
        one, and those that follow stand behind it, until a log tells what time it is.
        """
        t = self.of_wall(ns)
        if t >= self._latest:
            self._back = 0
        elif t + self._back < self._latest - _BACK:
            self._back = self._latest - t
        self._latest = max(self._latest, t + self._back)
        return t + self._back

    def is_strange(self, boot_id: str) -> bool:
        """Whether the monotonic clock of that boot is known to be another than the logs'."""
        return bool(boot_id and self._boot) and boot_id != self._boot

    def of_mono(self, ns: int, wall: int, boot_id: str = "") -> int:
        """Where a time of the monotonic clock stands; `wall` is what the day's clock said then."""
        if self._mono is None or not self._shared or self.is_strange(boot_id):
            return self.of_wall(wall)
        return ns - self._mono
