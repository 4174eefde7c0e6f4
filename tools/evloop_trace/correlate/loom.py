"""The loom: what comes is put in order, woven, and held until nothing more will be linked to it.

Nothing is known here of where it comes from, or when it is asked for.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Accept, Bind, Close, Connect, Inherit, Listen, Recv, Send
from evloop_trace.correlate.entries import CallEntry
from evloop_trace.correlate.meeting import crossing
from evloop_trace.correlate.reasons import Reasons
from evloop_trace.correlate.weave import Weaver
from evloop_trace.numbers import count
from evloop_trace.packets.sightings import Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from evloop_trace.correlate.causal import Row
    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.joiner import Joiner
    from evloop_trace.correlate.weave import Said

    Thing: TypeAlias = "Called | Sighting | Said"

__all__ = ["HOLD", "MOST", "NEVER", "Called", "Loom", "Span"]

HOLD = 500_000_000
"""Nanoseconds for which an entry waits for its links: a receiver may read late, a segment be sent late."""

MOST = 16_384
"""Entries that wait so at most."""

NEVER = 1 << 64

_OPENING = (Bind, Listen, Inherit, Connect, Accept, Close)


class Called(NamedTuple):
    """An event."""

    row: Row
    client: bool | None = None
    """It is a client's; None is as the rest of its log."""
    last: bool = True
    """Of a close: no other process holds the connection."""


class Span:
    """When the first of something was, and the last."""

    __slots__ = ("begin", "end")

    def __init__(self) -> None:
        self.begin, self.end = NEVER, -NEVER

    def reach(self, t: int) -> None:
        """Something was then."""
        self.begin = min(self.begin, t)
        self.end = max(self.end, t)

    @property
    def is_empty(self) -> bool:
        """There was nothing."""
        return self.end < self.begin


class Loom:
    """What was `put` is `take`n as an entry when nothing earlier can come, and is complete when `settled`."""

    def __init__(self, joiner: Joiner | None = None) -> None:
        """`joiner`: knows what the logs tell of each other, if there are several."""
        self.weaver = Weaver()
        self.packets = Span()
        """When packets were captured."""
        self.is_captured = False
        """No packets follow."""
        self._joiner = joiner
        self._reasons = Reasons()
        self._waiting: list[tuple[int, int, int, Thing]] = []
        self._number = 0
        self._last = -NEVER
        self._held: deque[Entry] = deque()
        self._passed = 0  # just now, without being looked at

    def __len__(self) -> int:
        """How much waits to be taken."""
        return len(self._waiting)

    def put(self, t: int, what: Thing) -> None:
        """Something happened at `t`; of the same moment calls stand first, and then packets."""
        rank = 0 if isinstance(what, Called) else 1 if isinstance(what, Sighting) else 2
        if rank == 1:
            self.packets.reach(t)
        self._number += 1
        heapq.heappush(self._waiting, (t, rank, self._number, what))

    @property
    def first(self) -> int:
        """When the earliest was that waits."""
        return self._waiting[0][0] if self._waiting else NEVER

    def take(self) -> Entry:
        """The earliest, linked to what was before; it may still be completed."""
        t, _, _, what = heapq.heappop(self._waiting)
        self._last = max(t, self._last)  # what comes too late stands where it can
        entry = self._woven(self._last, what)
        if self.is_captured:
            self._reasons.captured = self.packets.end
        entry.quiet = self._reasons.tell(entry)
        if self._passed:
            entry.quiet, self._passed = f"{count(self._passed)} calls and packets were passed over", 0
        self._held.append(entry)
        return entry

    def settled(self, until: int) -> Iterator[Entry]:
        """What was before `until`: nothing more is linked to it. Of too many, the earliest as well."""
        held = self._held
        while held and (held[0].t < until or len(held) > MOST):
            entry = held.popleft()
            self._settle(entry)
            yield entry

    def silence(self, t: int) -> str:
        """Why nothing happens at `t`, behind all that was taken; empty if nobody knows."""
        return self._reasons.now(t)

    def vanish(self, log: int) -> None:
        """The program of that log is not there any more, and said nothing of its end."""
        self._reasons.vanish(log)

    def pass_over(self, more: int = 0) -> int:
        """Leave out what waits: there is too much to look at each; how much it was.

        Which connections are open stays known, and how far their streams are. Then `begin_anew`.

        Args:
            more: Packets that are left out, too.
        """
        passed = len(self._waiting) + more
        for t, _, _, what in sorted(self._waiting, key=_order):
            if not isinstance(what, Called):
                continue
            if isinstance(what.row.item, _OPENING):
                self._woven(t, what)
            elif isinstance(what.row.item, Send | Recv):
                self.weaver.skip(what.row.item)
        self._waiting.clear()
        self._passed += passed
        return passed

    def begin_anew(self) -> None:
        """The next packets are the first of another capture; of connections that are over nothing is kept."""
        self.weaver.begin_anew()
        self.packets = Span()
        self._reasons = Reasons()
        self._held.clear()

    def _woven(self, t: int, what: Thing) -> Entry:
        if isinstance(what, Sighting):
            return self.weaver.packet(t, what)
        if not isinstance(what, Called):
            return self.weaver.state(t, what)
        row, joiner = what.row, self._joiner
        if joiner is None:
            return self.weaver.call(t, row.log, row.item, client=False, last=what.last)
        where = crossing(row, joiner)
        client = row.log not in joiner.servers if what.client is None else what.client
        return self.weaver.call(
            t, row.log, row.item, client=client, joined=where.joined, names=where.names, last=what.last
        )

    def _settle(self, entry: Entry) -> None:
        if isinstance(entry, CallEntry) and entry.strand is None:
            self._take_sides(entry)
        self.weaver.settle(entry, (self.packets.begin, self.packets.end if self.is_captured else NEVER))
        self._reasons.settle(entry)

    def _take_sides(self, entry: CallEntry) -> None:
        """By now it is known whether the program of a call that is of no connection serves."""
        joiner = self._joiner
        if joiner is not None and joiner.is_client(entry.event, None) is None:
            entry.client = entry.log not in joiner.servers


def _order(it: tuple[int, int, int, Thing]) -> tuple[int, int, int]:
    return it[:3]
