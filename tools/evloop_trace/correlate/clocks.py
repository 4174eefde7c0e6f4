"""Two clocks: packets carry the time of day, events the monotonic clock; a log tells both, now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.events.schema import Clock, Header

__all__ = ["Clocks"]

_STEP = 1_000_000
"""Nanoseconds: if the two move apart by more, somebody has set the time of day."""


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

    def of_wall(self, ns: int) -> int:
        """Where a time of day stands (ns since 1970)."""
        return ns - (self._wall or 0)

    def is_strange(self, boot_id: str) -> bool:
        """Whether the monotonic clock of that boot is known to be another than the logs'."""
        return bool(boot_id and self._boot) and boot_id != self._boot

    def of_mono(self, ns: int, wall: int, boot_id: str = "") -> int:
        """Where a time of the monotonic clock stands; `wall` is what the day's clock said then."""
        if self._mono is None or not self._shared or self.is_strange(boot_id):
            return self.of_wall(wall)
        return ns - self._mono
