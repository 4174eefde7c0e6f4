"""One connection as byte ranges: how its sends, its segments and its recvs cut each of its two streams.

Memory is bounded whatever the stream's length: of each row the first and the last pieces are kept one by one,
of all of them where they begin, and what they cover.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Block, Close, Recv, Send, Shutdown
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.packets.segments import FIN, KEEP_ALIVE, PROBE, PURE_PROBE, RST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["Cut", "Direction", "Marks", "Piece", "Row", "Ruler", "Spans"]

KEPT = 256
"""Pieces kept of a row's beginning, and as many of its end."""

STEPS = 4096
"""Places at which pieces begin that are told apart; of more, neighbours are counted together."""

APART = 1024
"""Ranges that a row may cover with gaps between them."""

ORDER = 64
"""Calls and segments whose order in time is kept."""

HEAD, TAIL = 64, 4  # bytes of a payload's beginning and end: what is shown, and a character


class Piece(NamedTuple):
    """Some bytes of the stream, as one call or one segment had them."""

    begin: int
    end: int
    t: int
    number: int
    """A call's seq, or a packet's number in the capture."""
    of: int = 0
    """Of a send: bytes offered; of a recv: asked for; of what is sent again: the first packet."""
    data: bytes = b""
    tail: bytes = b""
    """The payload's last bytes, where the log has the whole of it."""
    alive: bool = False
    """A keep-alive: it repeats a byte that is acknowledged."""


class Cut(NamedTuple):
    """A boundary of two calls that a character stands across."""

    at: int
    char: str
    """Empty if not all of its bytes are known."""
    before: int
    """Its bytes on this side, and behind; before is 0 if that is not known."""
    behind: int
    number: int
    """The call that begins with the rest of it."""


class Marks:
    """Where pieces begin: how many in each `step` bytes."""

    def __init__(self) -> None:
        self.step = 1
        self._counts: dict[int, int] = {}
        self._sorted: list[int] = []

    def add(self, offset: int) -> None:
        """A piece begins here."""
        key = offset // self.step
        self._counts[key] = self._counts.get(key, 0) + 1
        self._sorted = []
        if len(self._counts) > STEPS:
            self.coarsen(2 * self.step)

    def coarsen(self, step: int) -> None:
        """Count in longer steps; `step` is a multiple of what it was."""
        counts: dict[int, int] = {}
        for key, count in self._counts.items():
            place = key * self.step // step
            counts[place] = counts.get(place, 0) + count
        self.step, self._counts, self._sorted = step, counts, []

    def places(self) -> list[int]:
        """Offsets at which pieces begin, rounded down to a multiple of `step`."""
        if not self._sorted:
            self._sorted = sorted(self._counts)
        return [key * self.step for key in self._sorted]

    def between(self, begin: int, end: int) -> int:
        """Pieces that begin in [begin, end); both are multiples of `step`."""
        self._sorted = self._sorted or sorted(self._counts)
        low = bisect_left(self._sorted, begin // self.step)
        high = bisect_left(self._sorted, -(-end // self.step))
        return sum(self._counts[key] for key in self._sorted[low:high])


class Spans:
    """What is covered: ranges in order that do not touch."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.hidden = 0
        """Bytes of gaps that are not told any more, since there were too many."""

    def add(self, begin: int, end: int) -> None:
        """Cover [begin, end)."""
        ranges = self.ranges
        low = bisect_left(ranges, begin, key=_end)
        high = bisect_right(ranges, end, lo=low, key=_begin)
        met = ranges[low:high]
        ranges[low:high] = [(min(begin, met[0][0]), max(end, met[-1][1]))] if met else [(begin, end)]
        if len(ranges) > APART:
            self.hidden += ranges[1][0] - ranges[0][1]
            ranges[:2] = [(ranges[0][0], ranges[1][1])]

    def missing(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The parts of [begin, end) that are not covered."""
        low = bisect_right(self.ranges, begin, key=_end)
        high = bisect_left(self.ranges, end, key=_begin)
        met = self.ranges[low:high]
        edges = [begin, *[edge for it in met for edge in it], end]
        return [(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True) if first < last]

    def share(self, begin: int, end: int) -> int:
        """Bytes of [begin, end) that are covered."""
        low = bisect_right(self.ranges, begin, key=_end)
        high = bisect_left(self.ranges, end, key=_begin)
        return sum(min(end, last) - max(begin, first) for first, last in self.ranges[low:high])

    @property
    def end(self) -> int:
        """Where the last range ends."""
        return self.ranges[-1][1] if self.ranges else 0


class Row:
    """Pieces of one kind."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.marks = Marks()
        self.spans = Spans()
        self._first: list[Piece] = []
        self._last: deque[Piece] = deque(maxlen=KEPT)

    def add(self, piece: Piece) -> None:
        """The next in time."""
        self.count += 1
        self.bytes += piece.end - piece.begin
        self.marks.add(piece.begin)
        self.spans.add(piece.begin, piece.end)
        (self._first if len(self._first) < KEPT else self._last).append(piece)

    @property
    def pieces(self) -> list[Piece]:
        """Those that are kept, in the order of time."""
        return [*self._first, *self._last]

    @property
    def left_out(self) -> int:
        """How many are not kept, between the first `KEPT` and the others."""
        return self.count - len(self._first) - len(self._last)


class Direction:
    """What one end sends, and the other gets."""

    def __init__(self) -> None:
        self.send, self.wire, self.again, self.recv, self.peek = Row(), Row(), Row(), Row(), Row()
        self.asleep: Piece | None = None
        """A send that has not returned: so much it was offered."""
        self.full = 0
        """Sends that found no room at all (EAGAIN)."""
        self.probes = 0
        """Probes of a closed window."""
        self.ended: tuple[str, int] | None = None
        """The sender's call that ended it, and its number."""
        self.fin: Piece | None = None
        """The first FIN: it stands at `begin`, behind the last byte."""
        self.eof: Piece | None = None
        """The first recv that returned 0."""
        self.reset: int = 0
        """The first RST of the sender's, by its number."""
        self.unread: int | None = None
        """Bytes that the receiver's close found unread."""
        self.unsent: int | None = None
        """Bytes that the sender's close found unacknowledged."""
        self.aligned = True
        """The wire's offsets are the calls'; else they count from the first packet that was captured."""
        self.order: list[tuple[int, str, int]] = []
        """When, what (send, wire, again, recv or peek), and its number: the first `ORDER`."""

    @property
    def rows(self) -> dict[str, Row]:
        """By name, from the sender to the receiver."""
        return {
            "send": self.send, "wire": self.wire, "again": self.again, "recv": self.recv, "peek": self.peek,
        }  # fmt: skip

    @property
    def bytes(self) -> int:
        """Bytes of the stream, as far as any row knows."""
        return max([row.spans.end for row in self.rows.values()])

    @property
    def end(self) -> int:
        """The same, or where a send that sleeps would end."""
        return max(self.bytes, self.asleep.end if self.asleep else 0)

    @property
    def moved(self) -> int:
        """Calls and segments in all."""
        return sum(row.count for row in self.rows.values())

    def put(self, name: str, piece: Piece) -> None:
        """A piece of the row with this name."""
        self.rows[name].add(piece)
        if len(self.order) < ORDER and (not self.order or self.order[-1][1:] != (name, piece.number)):
            self.order.append((piece.t, name, piece.number))

    def known(self) -> dict[int, int]:
        """The stream's bytes by offset, as far as logs and capture kept them."""
        known: dict[int, int] = {}
        for name, row in self.rows.items():
            for piece in row.pieces if self.aligned or name not in {"wire", "again"} else ():
                known.update(enumerate(piece.data, piece.begin))
                known.update(enumerate(piece.tail, piece.end - len(piece.tail)))
        return known

    def cuts(self, name: str) -> Iterator[Cut]:
        """Characters of UTF-8 that two calls of this row share (RFC 3629): neither alone can decode them."""
        known = self.known()
        for piece in self.rows[name].pieces:
            found = _cut(known, piece) if piece.begin and _is_text(piece.data) else None
            if found is not None:
                yield found


class Ruler:
    """A fold over the entries of one strand; others are let by."""

    def __init__(self, strand: Strand, *, captured: bool = True) -> None:
        self.strand = strand
        self.captured = captured
        """There is a capture, whether or not this connection is in it."""
        self.directions = {True: Direction(), False: Direction()}
        """By who sends: True is the client."""

    def add(self, entry: Entry) -> None:
        """The next entry of the timeline."""
        if entry.strand is None or entry.strand.number != self.strand.number:
            return
        self.strand = entry.strand  # what is known of it grows
        if isinstance(entry, PacketEntry):
            self._packet(entry)
        elif isinstance(entry, CallEntry):
            self._call(entry, entry.event)

    def recorded(self, *, client: bool) -> bool:
        """The calls of this end are in a log."""
        return bool(self.strand.names[not client])

    # -- calls -----------------------------------------------------------------------------------------

    def _call(self, entry: CallEntry, event: AnyEvent | Unknown) -> None:
        client = self._is_client(entry)
        out, into = self.directions[client], self.directions[not client]
        if isinstance(event, Send):
            _send(out, entry, event)
        elif isinstance(event, Recv):
            _recv(into, entry, event)
        elif isinstance(event, Block) and event.awaits == "send" and event.size:
            begin = out.send.spans.end
            out.asleep = Piece(begin, begin + event.size, entry.t, event.seq)
        elif isinstance(event, Shutdown) and event.how != "SHUT_RD" and not event.errno:
            out.ended = out.ended or ("shutdown", event.seq)
        elif isinstance(event, Close):
            out.unsent, into.unread = event.unsent, event.unread
            out.ended = out.ended or ("close", event.seq)

    def _is_client(self, entry: CallEntry) -> bool:
        """Whose call it is; a process that inherited the connection may call it by another name."""
        name, names = getattr(entry.event, "conn", None), self.strand.names
        return entry.client if name not in names else name == names[0]

    # -- packets ---------------------------------------------------------------------------------------

    def _packet(self, entry: PacketEntry) -> None:
        packet = entry.packet
        if packet.error:
            return
        way = self.directions[packet.client]
        number, t = packet.number, entry.t
        way.aligned = packet.wire.whole
        if packet.flags & RST:
            way.reset = way.reset or number
        way.probes += bool(packet.found & (PROBE | PURE_PROBE))
        if packet.flags & FIN and way.fin is None:
            way.fin = Piece(packet.end, packet.end + 1, t, number)
        begin, end = packet.begin, packet.end
        if begin < end:
            self._segment(way, entry, begin, end)

    @staticmethod
    def _segment(way: Direction, entry: PacketEntry, begin: int, end: int) -> None:
        """The bytes that no segment before carried are of the wire's row; a segment with others is again."""
        packet, t = entry.packet, entry.t
        new = way.wire.spans.missing(begin, end)
        whole = new == [(begin, end)]
        for low, high in new:
            data = packet.data[low - begin : high - begin]
            way.put("wire", Piece(low, high, t, packet.number, data=data))
        if not whole:
            alive = bool(packet.found & KEEP_ALIVE)
            way.put("again", Piece(begin, end, t, packet.number, entry.original, packet.data, alive=alive))


def _send(way: Direction, entry: CallEntry, event: Send) -> None:
    if event.off is None:
        way.full += event.errno in {"EAGAIN", "EWOULDBLOCK"}
    elif event.off[0] < event.off[1]:
        way.put("send", _piece(entry, event))
    way.asleep = None


def _recv(way: Direction, entry: CallEntry, event: Recv) -> None:
    if event.off is None or "MSG_OOB" in event.flags:
        return
    if event.off[0] < event.off[1]:
        way.put("peek" if "MSG_PEEK" in event.flags else "recv", _piece(entry, event))
    elif event.size and way.eof is None:
        way.eof = Piece(event.off[0], event.off[0] + 1, entry.t, event.seq)


def _piece(entry: CallEntry, event: Send | Recv) -> Piece:
    assert event.off is not None
    begin, end = event.off
    data = event.data[: end - begin]
    tail = data[-TAIL:] if len(data) == end - begin else b""
    return Piece(begin, end, entry.t, event.seq, event.size, data[:HEAD], tail)


# -- characters ----------------------------------------------------------------------------------------


def _is_text(data: bytes) -> bool:
    """Whether these bytes are UTF-8 but for a character at either end that is cut."""
    at = 0
    while at < min(3, len(data)) and _goes_on(data[at]):
        at += 1
    try:
        data[at:].decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def _goes_on(byte: int | None) -> bool:
    """Whether a byte continues a character."""
    return byte is not None and byte & 0xC0 == 0x80


def _cut(known: dict[int, int], piece: Piece) -> Cut | None:
    """The character across the beginning of a piece, if there is one."""
    at = piece.begin
    behind = next((n for n in range(4) if not _goes_on(known.get(at + n))), 4)
    if not 0 < behind < 4:
        return None
    before = 1
    while before < 4 and _goes_on(known.get(at - before)):
        before += 1
    lead = known.get(at - before)
    if lead is None:
        return Cut(at, "", 0, behind, piece.number) if len(piece.data) > behind else None
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    if lead < 0xC2 or before >= size:  # no beginning of a character, or of one that is complete
        return None
    try:
        char = bytes([known.get(it, 0) for it in range(at - before, at - before + size)]).decode()
    except UnicodeDecodeError:
        char = ""
    return Cut(at, char, before, size - before, piece.number)


def _begin(part: tuple[int, int]) -> int:
    return part[0]


def _end(part: tuple[int, int]) -> int:
    return part[1]
