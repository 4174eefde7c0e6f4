"""One direction of a connection: its sender's calls, the packets between, and its receiver's calls.

All three tell of the same stream in byte ranges; a SYN needs none, and a FIN is the byte behind the last.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Recv, Send
from evloop_trace.correlate.entries import (
    AGAIN,
    EXACT,
    INFERRED,
    NONE,
    UNMATCHED,
    CallRef,
    PacketRef,
)
from evloop_trace.correlate.offsets import Part, Stream
from evloop_trace.correlate.payloads import differ, moved, shift
from evloop_trace.model.filters import due
from evloop_trace.packets.segments import FIN

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["SLACK", "Direction", "link_cause", "link_effect", "relink"]

SLACK = 1_000_000
"""Nanoseconds by which a packet may seem to be earlier than the call that made it."""

_UNCLAIMED = 1024
"""Ranges that wait for the calls of an end which nobody has recorded, or has not yet."""

_RECENT = 256  # packets that may be sent again
_EARLY = 64  # packets, and calls, from before it is known which belong together
_NEAR = 20_000  # ns by which the clocks of packets and calls differ, as they are read one after the other
_ENDS = 8  # calls that may have ended a stream
_APART = 256  # ranges of a stream that was seen with gaps


class _Early(NamedTuple):
    """A packet whose place among the calls is not known yet."""

    entry: PacketEntry
    new: list[tuple[int, int]]


class Direction:
    """A direction; its offsets are those of the calls, from which the capture's may differ by `shift`."""

    __slots__ = (
        "_apart", "_calls", "_came", "_early", "_ends", "_fin", "_is_ended", "_made", "_recent", "_told",
        "_under", "_unseen_got", "_unseen_sent", "_urgent", "blocked", "deaf", "heard", "inline", "recorded",
        "sent", "shared", "shift", "taken", "trust",
    )  # fmt: skip

    def __init__(self) -> None:
        self.recorded = False
        """The calls of its sender are in a log."""
        self.heard = False
        """And those of its receiver."""
        self.deaf = False
        """Its receiver said that it reads no more: what recv() = 0 tells is not its end."""
        self.shift: int | None = 0
        """To be added to the capture's offsets; None if that is not known yet."""
        self.trust = EXACT
        """Of its links."""
        self.sent = 0
        """Bytes that the sender's calls have sent; -1 is unknown."""
        self.taken = 0
        """And its receiver's have received."""
        self.shared = False
        """Several processes call; each counts only what it did itself, and what was before it began."""
        self.blocked: CallEntry | None = None
        """A send that sleeps."""
        self.inline = False
        """Its receiver gets urgent bytes as all others: SO_OOBINLINE."""
        self._made: Stream[CallEntry, PacketEntry] = Stream()
        self._came: Stream[PacketEntry, CallEntry] = Stream()
        self._apart: list[tuple[int, int]] = []  # what was seen of it, by the capture: in order, and apart
        self._under: list[PacketEntry] = []  # packets of the send that sleeps
        self._recent: deque[tuple[int, int, int]] | None = None  # begin, end, number
        self._urgent: list[int] = []  # bytes that recv() passes over
        self._ends: list[tuple[int, CallEntry]] = []  # calls that may have ended it
        self._fin: PacketEntry | None = None
        self._is_ended = False  # and which of them it was is known
        self._told: CallEntry | None = None  # that it is over
        self._unseen_sent = self._unseen_got = 0  # bytes of calls that no log tells of
        self._early: deque[_Early] | None = None
        self._calls: deque[Part[CallEntry]] | None = None

    def lose(self) -> None:
        """The capture began in its middle: where, the calls may tell."""
        self.shift, self.trust = None, INFERRED
        self._early, self._calls = deque(maxlen=_EARLY), deque(maxlen=_EARLY)

    def clear(self) -> None:
        """Nothing more will come: forget what waits."""
        self._made, self._came = Stream(), Stream()
        self._recent = self._early = self._calls = self._fin = self._told = self.blocked = None
        self._apart, self._under, self._urgent, self._ends = [], [], [], []

    # -- calls -----------------------------------------------------------------------------------------

    def called(self, entry: CallEntry, begin: int, end: int) -> None:
        """A call of its sender put these bytes into it."""
        begin, end = self._placed(entry, begin + self._unseen_sent, end + self._unseen_sent)
        for low, high, packet in self._made.put(begin, end, entry):
            self._link(packet, entry, low, high)
        if self.shift is None and self._calls is not None:
            self._calls.append((begin, end, entry))
            self._seek(entry, begin, end)

    def returned(self, entry: CallEntry, end: int) -> None:
        """The send that slept has sent up to here: what was its is this entry's."""
        blocked, self.blocked = self.blocked, None
        assert blocked is not None
        made = self._made
        made.cut(end + self._unseen_sent)
        made.went = [(low, high, entry if it is blocked else it) for low, high, it in made.went]
        relink(self._under, blocked, entry)
        self._under.clear()

    def urged(self, offset: int) -> None:
        """This byte was sent as urgent: recv() does not give it, and so does not count it."""
        offset += self._unseen_sent
        if not self.inline and offset not in self._urgent:
            self._urgent = sorted([*self._urgent, offset])[-_EARLY:]

    def got(self, entry: CallEntry, begin: int, end: int, *, stays: bool = False) -> None:
        """A call of its receiver took these bytes out of it, or looked at them."""
        begin, end = begin + self._unseen_got, end + self._unseen_got
        if self._urgent:
            begin, end = self._behind(begin), self._behind(end - 1) + 1
        else:
            begin, end = self._found_at(entry, begin, end)
        self._take(entry, begin, end, stays=stays)
        if self.shift is None:
            self._seek_received(entry, begin, end)

    def got_urgent(self, entry: CallEntry) -> None:
        """A call of its receiver took the urgent byte."""
        if self._urgent:
            self._take(entry, self._urgent[-1], self._urgent[-1] + 1, stays=False)

    def _take(self, entry: CallEntry, begin: int, end: int, *, stays: bool) -> None:
        parts = self._came.peek(begin, end) if stays else self._came.take(begin, end, entry)
        for low, high, packet in parts:
            self._link_effect(packet, entry, low, high)

    @property
    def _received(self) -> str:
        """How it is known what a receiver got: where an urgent byte was is known, not what became of it."""
        return INFERRED if self._urgent else self.trust

    def _behind(self, offset: int) -> int:
        """The place in the stream of a byte that recv() counts so."""
        for urgent in self._urgent:
            if urgent > offset:
                break
            offset += 1
        return offset

    # -- packets ---------------------------------------------------------------------------------------

    def carried(self, entry: PacketEntry) -> None:
        """A packet carries bytes, or a FIN."""
        packet = entry.packet
        begin, end = packet.begin, packet.end + bool(packet.flags & FIN)
        new = self._uncovered(begin, end)
        if self._recent is None:
            self._recent = deque(maxlen=_RECENT)
        if not new:
            entry.trust = AGAIN
            entry.original = next(
                (number for low, high, number in reversed(self._recent) if low < end and begin < high), 0
            )
            return
        self._recent.append((begin, end, entry.packet.number))
        early = _Early(entry, [(low, min(high, packet.end)) for low, high in new if low < packet.end])
        if self.shift is None and self._early is not None:
            self._early.append(early)
            self._seek_sent(early)
        else:
            self._lay(early)
        if new[-1][1] > packet.end:
            self._finished(entry)
        if self.recorded and not entry.causes:
            entry.trust = UNMATCHED

    def _lay(self, it: _Early, *, may_move: bool = True) -> None:
        """Put a packet between the calls; it may show that they are elsewhere than their log says."""
        shift = self.shift or 0
        for low, high in it.new:
            if may_move:
                self._shift_sent(it.entry, low + shift, high + shift)
            for first, last, call in self._made.take(low + shift, high + shift, it.entry):
                self._link(it.entry, call, first, last)
            for first, last, call in self._came.put(low + shift, high + shift, it.entry):
                self._link_effect(it.entry, call, first, last)
        if not self.recorded:
            _shorten(self._made.came)
        if not self.heard:
            _shorten(self._came.went)

    def _link(self, packet: PacketEntry, call: CallEntry, begin: int, end: int) -> None:
        if self._contradicts(packet, call, begin, end, self._unseen_sent):
            self.trust = INFERRED
            return
        link_cause(packet, call, begin, end, self.trust)
        if call is self.blocked:
            self._under.append(packet)

    def _link_effect(self, packet: PacketEntry, call: CallEntry, begin: int, end: int) -> None:
        if not self._urgent and self._contradicts(packet, call, begin, end, self._unseen_got):
            self.trust = INFERRED
            return
        link_effect(packet, call, begin, end, self._received)

    # -- calls that nobody saw -------------------------------------------------------------------------

    def _bytes_of(self, packet: PacketEntry, at: int) -> bytes:
        """What is known of the packet's bytes from this offset on."""
        return packet.packet.data[at - (self.shift or 0) - packet.packet.begin :]

    def _contradicts(self, packet: PacketEntry, call: CallEntry, begin: int, end: int, unseen: int) -> bool:
        """Their bytes in [begin, end) are not the same."""
        data = _bytes_from(call, begin - unseen)
        return not self.shared and differ(data, self._bytes_of(packet, begin), end - begin)

    def _placed(self, call: CallEntry, begin: int, end: int) -> tuple[int, int]:
        """Where a call's bytes are, if not where its log counts them: of packets that were seen before it."""
        waiting = self._made.came
        if self.shared or not waiting:
            return begin, end
        by = moved(waiting, begin, _bytes_from(call, begin - self._unseen_sent), self._bytes_of)
        if by is None:
            by = waiting[-1][1] - begin  # behind all that was seen
        self._miss(by)
        return begin + by, end + by

    def _shift_sent(self, packet: PacketEntry, begin: int, end: int) -> None:
        """If this packet is not what the calls said that come next, some that sent it were not seen."""
        for low, high, call in self._made.peek(begin, end)[:1]:
            if self._contradicts(packet, call, low, high, self._unseen_sent):
                data = _bytes_from(call, low - self._unseen_sent)
                by = moved([(low, end, packet)], low, data, self._bytes_of) or end - low
                shift(self._made.went, low, by)
                self._miss(by)

    def _miss(self, unseen: int) -> None:
        """Calls of its sender sent so much more than its log tells."""
        if unseen:
            self._unseen_sent += unseen
            self.trust = INFERRED

    def _found_at(self, call: CallEntry, begin: int, end: int) -> tuple[int, int]:
        """Where the bytes are that a call got, if calls before it got some that nobody saw."""
        waiting = self._came.went
        if self.shared or not waiting:
            return begin, end
        by = moved(waiting, begin, _bytes_from(call, begin - self._unseen_got), self._bytes_of)
        if by:
            self._unseen_got += by
            self.trust = INFERRED
        return begin + (by or 0), end + (by or 0)

    def _uncovered(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The parts of [begin, end) that no packet before carried; from now on this one did."""
        covered = self._apart
        if not covered or covered[-1][1] <= begin:  # nearly always: what comes next
            if covered and covered[-1][1] == begin:
                covered[-1] = (covered[-1][0], end)
            else:
                covered.append((begin, end))
                if len(covered) > _APART:  # what is missing there will not come any more
                    covered[:2] = [(covered[0][0], covered[1][1])]
            return [(begin, end)]
        new: list[tuple[int, int]] = []
        low, high, at = begin, end, begin
        apart: list[tuple[int, int]] = []
        for first, last in covered:
            if last < begin or first > end:
                apart.append((first, last))
                continue
            if at < first:
                new.append((at, first))
            at = max(at, last)
            low, high = min(low, first), max(high, last)
        if at < end:
            new.append((at, end))
        self._apart = sorted([*apart, (low, high)])
        return new

    # -- the end ---------------------------------------------------------------------------------------

    def finish(self, entry: CallEntry, at: int) -> None:
        """A call of its sender said that nothing follows behind `at`; if several do, the FIN shows which."""
        at += self._unseen_sent
        if len(self._ends) < _ENDS:
            self._ends.append((at, entry))
        if self._fin is not None and not self._is_ended:
            self._end()

    def over(self, entry: CallEntry) -> None:
        """A call of its receiver was told that nothing follows."""
        if self._told is None:
            self._told = entry
            if self._fin is not None:
                self._tell(self._fin, entry)

    def _finished(self, entry: PacketEntry) -> None:
        """A FIN."""
        self._fin = entry
        self._end()
        if self._told is not None:
            self._tell(entry, self._told)

    def _end(self) -> None:
        """Find the call that the FIN is of: the one in whose time it was sent, or that came before it."""
        fin = self._fin
        assert fin is not None
        end = fin.packet.end
        fits = [
            (at, call)
            for at, call in self._ends
            if call.event.t <= fin.t + SLACK and (self.shift is None or at == end + self.shift)
        ]
        if not fits:
            return
        within = [it for it in fits if it[1].event.t - _NEAR <= fin.t <= due(it[1].event) + _NEAR]
        at, call = (within or fits)[-1 if self.shared else 0]
        if self.shift is None:
            self._found(at - end)
        self._is_ended = True
        link_cause(fin, call, at, at + 1, self.trust)

    def _tell(self, fin: PacketEntry, call: CallEntry) -> None:
        at = fin.packet.end + (self.shift or 0)
        link_effect(fin, call, at, at + 1, self._received)

    # -- a capture that began in the middle ------------------------------------------------------------

    def _seek_sent(self, it: _Early) -> None:
        """The send that made this packet tells where it is: of its length, and in the time of its call."""
        for begin, end, call in reversed(self._calls or ()):
            if _is_made(it.entry, call, end - begin):
                self._found(begin - it.entry.packet.begin)
                return

    def _seek(self, call: CallEntry, begin: int, end: int) -> None:
        """The packet that this send made, if it came before."""
        for it in self._early or ():
            if _is_made(it.entry, call, end - begin):
                self._found(begin - it.entry.packet.begin)
                return

    def _seek_received(self, call: CallEntry, begin: int, end: int) -> None:
        """The packet that a recv got, if that is one as it is: the last of its length and bytes before it."""
        for it in reversed(self._early or ()):
            packet = it.entry.packet
            fits = packet.end - packet.begin == end - begin and it.entry.t <= call.t
            if fits and _alike(it.entry, call):
                self._found(begin - packet.begin)
                return

    def _found(self, shift: int) -> None:
        self.shift = shift
        early, self._early, self._calls = self._early, None, None
        for it in early or ():
            self._lay(it, may_move=False)


def _bytes_from(call: CallEntry, at: int) -> bytes:
    """What is known of a call's bytes from this offset of its log on."""
    event = call.event
    if not isinstance(event, Send | Recv) or event.off is None or "MSG_TRUNC" in event.flags:
        return b""
    return event.data[at - event.off[0] :] if at >= event.off[0] else b""


def _is_made(packet: PacketEntry, call: CallEntry, size: int) -> bool:
    fits = packet.packet.end - packet.packet.begin == size
    return fits and call.event.t - SLACK <= packet.t <= due(call.event) + SLACK and _alike(packet, call)


def _shorten(waiting: list) -> None:  # type: ignore[type-arg]
    if len(waiting) > _UNCLAIMED:
        del waiting[: _UNCLAIMED // 2]


def _alike(packet: PacketEntry, call: CallEntry) -> bool:
    """What is known of the bytes of both is the same."""
    mine, its = packet.packet.data, getattr(call.event, "data", b"")
    return not differ(mine, its, len(mine))


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


def relink(packets: list[PacketEntry], asleep: CallEntry, entry: CallEntry) -> None:
    """A call that slept has returned, and is told of: the packets that it made meanwhile are this entry's."""
    entry.packets, entry.trust = [*asleep.packets, *entry.packets], asleep.trust or entry.trust
    asleep.packets, asleep.trust = [], NONE
    was, word = (asleep.log, asleep.event.seq), type(entry.event).__name__.lower()
    for packet in packets:
        packet.causes = [
            it._replace(seq=entry.event.seq, ev=word) if (it.log, it.seq) == was else it
            for it in packet.causes
        ]


def _call_ref(call: CallEntry, begin: int, end: int) -> CallRef:
    event = call.event
    return CallRef(call.log, event.seq, type(event).__name__.lower(), begin, end)
