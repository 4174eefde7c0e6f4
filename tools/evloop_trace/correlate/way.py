"""One direction of a connection: its sender's calls, the packets between, and its receiver's calls.

All three tell of the same stream in byte ranges; a SYN needs none, and a FIN is the byte behind the last.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evloop_trace.correlate.entries import AGAIN, EXACT, NONE, UNMATCHED, CallRef, PacketRef
from evloop_trace.correlate.offsets import Stream

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Way", "link_cause", "link_effect"]

_UNCLAIMED = 1024
"""Ranges that wait for the calls of an end which nobody has recorded, or has not yet."""

_RECENT = 256  # packets that may be sent again


class Way:
    """A direction; its offsets are those of the calls, from which the capture's may differ by `shift`."""

    def __init__(self) -> None:
        self.recorded = False
        """The calls of its sender are in a log."""
        self.heard = False
        """And those of its receiver."""
        self.shift: int | None = 0
        """To be added to the capture's offsets; None if that is not known yet."""
        self.sent = 0
        """Bytes that the sender's calls have sent; -1 is unknown."""
        self.finished: CallEntry | None = None
        """The call that ended it."""
        self.blocked: CallEntry | None = None
        """A send that sleeps."""
        self._made: Stream[CallEntry, PacketEntry] = Stream()
        self._came: Stream[PacketEntry, CallEntry] = Stream()
        self._covered: list[tuple[int, int]] = []  # what was seen of it: in order, and apart
        self._under: list[PacketEntry] = []  # packets of the send that sleeps
        self._recent: deque[tuple[int, int, int]] = deque(maxlen=_RECENT)  # begin, end, number

    # -- calls -----------------------------------------------------------------------------------------

    def called(self, entry: CallEntry, begin: int, end: int) -> None:
        """A call of its sender put these bytes into it."""
        for low, high, packet in self._made.put(begin, end, entry):
            self._link(packet, entry, low, high)

    def returned(self, entry: CallEntry, end: int) -> None:
        """The send that slept has sent up to here: what was its is this entry's."""
        blocked, self.blocked = self.blocked, None
        assert blocked is not None
        made = self._made
        made.cut(end)
        made.went = [(low, high, entry if it is blocked else it) for low, high, it in made.went]
        entry.packets, entry.trust = blocked.packets, blocked.trust
        blocked.packets, blocked.trust = [], NONE
        was = blocked.log, blocked.event.seq
        for packet in self._under:
            packet.causes = [
                it._replace(seq=entry.event.seq, ev="send") if (it.log, it.seq) == was else it
                for it in packet.causes
            ]
        self._under.clear()

    def got(self, entry: CallEntry, begin: int, end: int, *, stays: bool = False) -> None:
        """A call of its receiver took these bytes out of it, or looked at them."""
        parts = self._came.peek(begin, end) if stays else self._came.take(begin, end, entry)
        for low, high, packet in parts:
            link_effect(packet, entry, low, high, EXACT)

    # -- packets ---------------------------------------------------------------------------------------

    def carried(self, entry: PacketEntry, begin: int, end: int) -> None:
        """A packet carries these bytes, of the capture's counting."""
        begin, end = begin + (self.shift or 0), end + (self.shift or 0)
        new = self._uncovered(begin, end)
        if not new:
            entry.trust = AGAIN
            entry.original = next(
                (number for low, high, number in reversed(self._recent) if low < end and begin < high), 0
            )
            return
        self._recent.append((begin, end, entry.packet.number))
        for low, high in new:
            if self.recorded:
                for first, last, call in self._made.take(low, high, entry):
                    self._link(entry, call, first, last)
            for first, last, call in self._came.put(low, high, entry):
                link_effect(entry, call, first, last, EXACT)
        if not self.heard and len(self._came.went) > _UNCLAIMED:
            del self._came.went[: _UNCLAIMED // 2]
        if self.recorded and not entry.causes:
            entry.trust = UNMATCHED

    def _link(self, packet: PacketEntry, call: CallEntry, begin: int, end: int) -> None:
        link_cause(packet, call, begin, end, EXACT)
        if call is self.blocked:
            self._under.append(packet)

    def _uncovered(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The parts of [begin, end) that no packet before carried; from now on this one did."""
        covered = self._covered
        if not covered or covered[-1][1] <= begin:  # nearly always: what comes next
            if covered and covered[-1][1] == begin:
                covered[-1] = (covered[-1][0], end)
            else:
                covered.append((begin, end))
            return [(begin, end)]
        new: list[tuple[int, int]] = []
        low, high, at = begin, end, begin
        apart: list[tuple[int, int]] = []
        for first, last in covered:
            if last < begin or first > end:
                apart.append((first, last))
                continue
            if at < first:
                new.append((at, min(first, end)))
            at = max(at, last)
            low, high = min(low, first), max(high, last)
        if at < end:
            new.append((at, end))
        self._covered = sorted([*apart, (low, high)])
        return new


def link_cause(packet: PacketEntry, call: CallEntry, begin: int, end: int, trust: str) -> None:
    """The call made the packet, or these bytes of it."""
    packet.causes.append(_call_ref(call, begin, end))
    call.packets.append(PacketRef(packet.packet.number, begin, end))
    packet.trust = call.trust = trust


def link_effect(packet: PacketEntry, call: CallEntry, begin: int, end: int, trust: str) -> None:
    """The call got the packet, or these bytes of it."""
    packet.effects.append(_call_ref(call, begin, end))
    call.packets.append(PacketRef(packet.packet.number, begin, end))
    call.trust = trust


def _call_ref(call: CallEntry, begin: int, end: int) -> CallRef:
    event = call.event
    return CallRef(call.log, event.seq, type(event).__name__.lower(), begin, end)
