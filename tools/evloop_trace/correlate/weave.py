"""The weave: calls, packets and the kernel's words in, on one clock and in order; out come entries, linked.

An entry that was given out may still be completed: a send whose last segment goes out later, or a packet
that nobody has read yet.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Inherit,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
)
from evloop_trace.correlate.entries import (
    EXACT,
    INFERRED,
    UNMATCHED,
    CallEntry,
    PacketEntry,
    StateEntry,
    Strand,
)
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.postcards import Postcards
from evloop_trace.correlate.tie import Tie
from evloop_trace.correlate.transitions import (
    ReceiveReset,
    Retransmit,
    RetransmitSynAck,
    SendReset,
    Transition,
)
from evloop_trace.correlate.way import link_cause, link_effect
from evloop_trace.packets import machine
from evloop_trace.packets.flow import TCP, UDP
from evloop_trace.packets.segments import FIN, RST, SYN

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.way import Way
    from evloop_trace.packets.sightings import Sighting

    Said: TypeAlias = Transition | Retransmit | RetransmitSynAck | SendReset | ReceiveReset

__all__ = ["Weaver", "settle"]

_SLACK = 1_000_000
"""Nanoseconds by which a packet may seem to be earlier than the call that made it."""

_WHAT: dict[type, str] = {
    Transition: "state",
    Retransmit: "retransmit",
    RetransmitSynAck: "retransmit_synack",
    SendReset: "send_reset",
    ReceiveReset: "receive_reset",
}

_ASKING = 256  # connections to one address for which no connect is known yet
_NOT_NOW = ("EAGAIN", "EWOULDBLOCK")
_GOES_ON = ("EINPROGRESS", *_NOT_NOW)


class Weaver:
    """A fold. The offsets, names and times of the events are those of `merge.timeline`."""

    def __init__(self) -> None:
        self.strands: list[Strand] = []
        """All connections, in the order in which they began."""
        self._ties: dict[str, Tie] = {}  # by their ends' labelled names
        self._wires: dict[int, Tie] = {}  # by the capture's number
        self._places: dict[tuple[str, str], Tie] = {}  # the latest between two addresses
        self._pending: dict[str, list[CallEntry]] = {}  # of connections whose addresses are not known yet
        self._asking: dict[str, deque[Tie]] = {}  # by the server's address, without a connect
        self._postcards = Postcards()
        self._folds: dict[type, Callable[[CallEntry, Any, Tie], None]] = {
            Connect: self._connect,
            Accept: self._accept,
            Block: self._block,
            Send: self._send,
            Recv: self._recv,
            Shutdown: self._shutdown,
            Close: self._close,
        }

    # -- what goes in ----------------------------------------------------------------------------------

    def call(
        self, t: int, log: int, event: AnyEvent | Unknown, *, client: bool, joined: Joined | None = None,
        names: tuple[str, ...] = (), last: bool = True,
    ) -> CallEntry:  # fmt: skip
        """An event.

        Args:
            t: Where it stands.
            log: Its log's number.
            event: Itself.
            client: Whether it is a client's.
            joined: What other logs tell of it.
            names: Of the ends of its connection, the client's first, if the logs have both.
            last: Of a close: no other process holds the connection.
        """
        entry = CallEntry(t, log, event, client, joined=joined)
        name = event.name if isinstance(event, Inherit) else getattr(event, "conn", None)
        if name is None:
            self._loose(entry, event)
            return entry
        tie = self._ties.get(name) or self._tie(name, event, names, client=client)
        if tie is None:
            self._pending.setdefault(name, []).append(entry)
            return entry
        entry.strand = tie.strand
        fold = self._folds.get(type(event))
        if fold is not None and (last or not isinstance(event, Close)):
            fold(entry, event, tie)
        return entry

    def packet(self, t: int, packet: Sighting) -> PacketEntry:
        """A packet."""
        tie = self._wires.get(packet.wire.number) or self._begun(t, packet)
        entry = PacketEntry(t, packet, tie.strand)
        if packet.wire.proto == TCP:
            if not packet.error:
                _segment(tie, entry)
        elif not packet.error:
            self._postcards.packet(entry)
        return entry

    def state(self, t: int, said: Said) -> StateEntry:
        """What the kernel says of an end."""
        here, there = plain(said.local), plain(said.peer)
        tie = self._places.get((here, there))
        client = tie is not None
        if isinstance(said, Transition) and said.new == machine.SYN_SENT and (tie is None or tie.is_over):
            tie, client = self._new(TCP, here, there, t), True  # its SYN is not sent yet
        tie = tie or self._places.get((there, here))
        entry = StateEntry(t, _WHAT[type(said)], client, tie.strand if tie is not None else None)
        if isinstance(said, Transition):
            entry.old, entry.new = said.old, said.new
        elif isinstance(said, SendReset):
            entry.detail = said.reason
        return entry

    # -- which connection it is ------------------------------------------------------------------------

    def _tie(
        self, name: str, event: AnyEvent | Unknown, names: tuple[str, ...], *, client: bool
    ) -> Tie | None:
        """The connection that an end with this name belongs to, if that can be known."""
        tie = next((it for end in names if (it := self._ties.get(end))), None)
        if tie is None:
            tie, client = self._tie_by_address(event, client=client)
        if tie is None and names:  # of a Unix socket, which has no packets
            tie = self._new("unix", names[0], names[1], event.t)
        if tie is not None:
            self._enter(tie, name, client=client)
        return tie

    def _tie_by_address(self, event: AnyEvent | Unknown, *, client: bool) -> tuple[Tie | None, bool]:
        if isinstance(event, Connect):
            peer = plain(event.peer or "")
            if event.local:
                return self._meet(plain(event.local), peer, event.t, by_client=True), True
            # What failed has no address any more: of the SYNs that were sent meanwhile it is the first.
            return (None if event.errno in _GOES_ON else self._asked(peer, event)), True
        if isinstance(event, Accept) and event.local and event.peer:
            return self._meet(
                plain(event.peer), plain(event.local), event.t + event.dur, by_client=False
            ), False
        if isinstance(event, Inherit) and event.peer:
            here, there = plain(event.address), plain(event.peer)
            tie = self._places.get((here, there))
            return (tie, True) if tie else (self._places.get((there, here)), False)
        return None, client

    def _meet(self, client: str, server: str, t: int, *, by_client: bool) -> Tie:
        """The connection between two addresses that began at `t`, or had by then."""
        tie = self._places.get((client, server))
        # A connect comes before its SYN; an accept has one before it.
        if tie and not tie.strand.names[not by_client] and (not by_client or tie.t >= t - _SLACK):
            return tie
        return self._new(TCP, client, server, t)

    def _new(self, proto: str, client: str, server: str, t: int) -> Tie:
        strand = Strand(len(self.strands), proto, client, server)
        self.strands.append(strand)
        tie = self._places[client, server] = Tie(strand, t)
        return tie

    def _begun(self, t: int, packet: Sighting) -> Tie:
        """The tie of a connection's first packet."""
        wire = packet.wire
        client, server = plain(wire.client), plain(wire.server)
        tie = self._places.get((client, server))
        if tie is None or tie.strand.wire is not None or (wire.whole and tie.is_over):
            tie = self._new(wire.proto, client, server, t)
        if not tie.strand.names[0]:
            self._asking.setdefault(server, deque(maxlen=_ASKING)).append(tie)
        tie.seen(wire)
        self._wires[wire.number] = tie
        return tie

    def _asked(self, server: str, event: Connect) -> Tie | None:
        """The first connection that was asked of this server in the time of a connect, and has none yet."""
        for tie in self._asking.get(server, ()):
            if not tie.strand.names[0] and event.t - _SLACK <= tie.t <= event.t + event.dur:
                tie.strand.trust = INFERRED
                return tie
        return None

    def _enter(self, tie: Tie, name: str, *, client: bool) -> None:
        """The tie's client, or its server, is called this; what was told of it before is the tie's, too."""
        self._ties[name] = tie
        tie.enter(name, client=client)
        for entry in self._pending.pop(name, ()):
            entry.strand = tie.strand
            if isinstance(entry.event, Connect):
                self._connect(entry, entry.event, tie)

    # -- calls -----------------------------------------------------------------------------------------

    def _loose(self, entry: CallEntry, event: AnyEvent | Unknown) -> None:
        """What is about no connection."""
        postcards = self._postcards
        if isinstance(event, Sendto):
            postcards.sent(entry, event)
        elif isinstance(event, Recvfrom):
            postcards.came(entry, event)
        elif isinstance(event, Bind):
            postcards.at(event.sock, None if event.errno else event.address)
        elif isinstance(event, Connect) and event.sock:
            postcards.at(event.sock, event.local)
        elif isinstance(event, Close):
            postcards.closed(event.sock or "")

    @staticmethod
    def _connect(entry: CallEntry, _event: Connect, tie: Tie) -> None:
        tie.connected(entry)

    @staticmethod
    def _accept(entry: CallEntry, _event: Accept, tie: Tie) -> None:
        tie.accepted(entry)

    @staticmethod
    def _is_client(name: str, tie: Tie) -> bool:
        """Whether the end with this name is the tie's client."""
        return tie.strand.names[0] == name

    def _block(self, entry: CallEntry, event: Block, tie: Tie) -> None:
        """A send that sleeps: its packets go out before it returns."""
        way = tie.ways[self._is_client(event.conn or "", tie)]
        if event.awaits == "send" and event.size and way.sent >= 0:
            way.blocked = entry
            way.called(entry, way.sent, way.sent + event.size)

    def _send(self, entry: CallEntry, event: Send, tie: Tie) -> None:
        way = tie.ways[self._is_client(event.conn, tie)]
        if event.off is None:
            if event.errno not in _NOT_NOW:
                way.blocked = None  # how much of it was sent nobody knows
            return
        begin, way.sent = event.off
        if way.blocked is not None:
            way.returned(entry, way.sent)
        elif begin < way.sent and event.flags != "MSG_OOB":
            way.called(entry, begin, way.sent)

    def _recv(self, entry: CallEntry, event: Recv, tie: Tie) -> None:
        client = self._is_client(event.conn, tie)
        way = tie.ways[not client]
        if event.off is None:
            if event.errno == "ECONNRESET" and (reset := tie.reset.get(not client)):
                link_effect(reset, entry, 0, 0, EXACT)
            return
        begin, end = event.off
        if event.flags and event.flags != "MSG_PEEK":
            return
        if begin == end:
            if not event.size:
                return
            end += 1  # the FIN
        way.got(entry, begin, end, stays=bool(event.flags))

    def _shutdown(self, entry: CallEntry, event: Shutdown, tie: Tie) -> None:
        if event.how != "SHUT_RD" and not event.errno:
            self._finish(entry, tie.ways[self._is_client(event.conn, tie)])

    def _close(self, entry: CallEntry, event: Close, tie: Tie) -> None:
        name = event.conn or ""
        client = self._is_client(name, tie)
        self._ties.pop(name, None)
        tie.close[client] = entry
        way = tie.ways[client]
        way.sent = max(way.sent, event.sent)
        if not event.unread:  # else it is a reset
            self._finish(entry, way)

    @staticmethod
    def _finish(entry: CallEntry, way: Way) -> None:
        """The end of what is sent: the FIN is a byte behind the last."""
        if way.finished is None and way.sent >= 0:
            way.finished = entry
            way.called(entry, way.sent, way.sent + 1)


def settle(entry: Entry) -> None:
    """Nothing more will be known of an entry: say if a link is not there that ought to be."""
    if isinstance(entry, CallEntry) and entry.strand is not None and entry.strand.wire is not None:
        event = entry.event
        if isinstance(event, Send | Recv | Sendto | Recvfrom) and event.n and not entry.packets:
            entry.trust = UNMATCHED
    elif isinstance(entry, PacketEntry) and entry.packet.wire.proto == UDP and not entry.packet.error:
        names = entry.strand.names
        if names[not entry.packet.client] and not entry.causes:
            entry.trust = UNMATCHED


def _segment(tie: Tie, entry: PacketEntry) -> None:
    packet = entry.packet
    flags, way = packet.flags, tie.ways[packet.client]
    if flags & SYN:
        if packet.client:
            tie.asked(entry)
        else:
            tie.answered(entry)
    elif packet.before[1] == machine.SYN_RECEIVED and packet.states[1] == machine.ESTABLISHED:
        tie.finished(entry)
    end = packet.end + bool(flags & FIN)
    if packet.begin < end:
        way.carried(entry, packet.begin, end)
    if flags & RST:
        tie.reset.setdefault(packet.client, entry)
        close = tie.close.get(packet.client)
        if close is not None and close.event.unread and not close.packets:  # type: ignore[union-attr]
            link_cause(entry, close, 0, 0, EXACT)
