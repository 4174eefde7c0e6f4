"""The weave: calls, packets and the kernel's words in, on one clock and in order; out come entries, linked.

An entry that was given out may still be completed: a send whose last segment goes out later, or a packet
that nobody has read yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Inherit,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Setsockopt,
    Shutdown,
)
from evloop_trace.correlate.datagram_links import DatagramLinks
from evloop_trace.correlate.direction import SLACK, link_cause, link_effect
from evloop_trace.correlate.entries import INFERRED, UNMATCHED, CallEntry, KernelEntry, PacketEntry, Strand
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.ties import Ties
from evloop_trace.model.filters import due
from evloop_trace.model.sockets import WOULD_BLOCK
from evloop_trace.packets import machine
from evloop_trace.packets.flow import TCP, UDP
from evloop_trace.packets.segments import ACK, FIN, RST, SYN
from evloop_trace.states.schema import ReceiveReset, Retransmit, RetransmitSynAck, SendReset, Transition

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from evloop.events.schema import AnyEvent, Snapshot, Unknown
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.tie import Tie
    from evloop_trace.packets.sightings import Sighting

    Said: TypeAlias = Transition | Retransmit | RetransmitSynAck | SendReset | ReceiveReset

__all__ = ["Weaver"]

_URG = 32
_GONE = 256  # listeners

_WHAT: dict[type, str] = {
    Transition: "state",
    Retransmit: "retransmit",
    RetransmitSynAck: "retransmit_synack",
    SendReset: "send_reset",
    ReceiveReset: "receive_reset",
}

_BESIDE = ("MSG_PEEK", "MSG_OOB", "MSG_ERRQUEUE")  # what such a recv gets is not taken out of the stream


class Weaver:
    """A fold. The offsets, names and times of the events are those of `merge.in_order`."""

    def __init__(self) -> None:
        self._ties = Ties()
        self._datagrams = DatagramLinks()
        self._listeners: dict[str, str] = {}  # their addresses, by their labelled names
        self._gone: dict[str, CallEntry] = {}  # by address: the close of the last that was there
        self._folds: dict[type, Callable[[CallEntry, Any, Tie, bool], None]] = {
            Connect: lambda entry, _, tie, __: tie.connected(entry),
            Accept: lambda entry, _, tie, __: tie.accepted(entry),
            Block: self._block,
            Send: self._send,
            Recv: self._recv,
            Shutdown: self._shutdown,
            Close: self._close,
            Setsockopt: self._setsockopt,
        }

    @property
    def strands(self) -> list[Strand]:
        """All connections, in the order in which they began."""
        return self._ties.strands

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
            client: Whether it is a client's, where its connection does not tell.
            joined: What other logs tell of it.
            names: Of the ends of its connection, the client's first, if the logs have both.
            last: Of a close: no other process holds the connection.
        """
        self._ties.rest(t)
        entry = CallEntry(t, log, event, client, joined=joined)
        name = event.name if isinstance(event, Inherit) else getattr(event, "conn", None)
        if name is None:
            self._loose(entry, event)
            return entry
        found = self._ties.of_call(name, entry, names)
        if found is not None:
            tie, entry.client = found
            entry.strand = tie.strand
            fold = self._folds.get(type(event))
            if fold is not None and (last or not isinstance(event, Close)):
                fold(entry, event, *found)
        if isinstance(event, Close):
            self._ties.closed(name, found[0] if found is not None else None)
            if found is not None:
                self._ties.check(t, found[0])
        return entry

    def packet(self, t: int, packet: Sighting) -> PacketEntry:
        """A packet."""
        self._ties.rest(t)
        found = self._ties.of_packet(t, packet)
        if isinstance(found, Strand):
            entry = PacketEntry(t, packet, found)
            if packet.wire.proto == UDP:
                (self._datagrams.error if packet.error else self._datagrams.packet)(entry)
            return entry
        entry = PacketEntry(t, packet, found.strand)
        if packet.error:
            found.error = entry
        else:
            self._segment(found, entry)
        return entry

    def state(self, t: int, said: Said) -> KernelEntry:
        """What the kernel says of an end."""
        here, there = plain(said.local), plain(said.peer)
        tie = self._ties.between(here, there)
        client = tie is not None
        if isinstance(said, Transition) and said.new == machine.SYN_SENT and _is_old(tie, t):
            tie, client = self._ties.new(TCP, here, there, t), True  # its SYN is not sent yet
        tie = tie or self._ties.between(there, here)
        entry = KernelEntry(t, _WHAT[type(said)], client, tie.strand if tie is not None else None)
        if isinstance(said, Transition):
            entry.old, entry.new = said.old, said.new
        elif isinstance(said, SendReset):
            entry.detail = said.reason
        return entry

    def settle(self, entry: Entry, captured: tuple[int, int]) -> None:
        """Nothing more will be known of an entry: say if a link is not there that ought to be.

        Args:
            entry: Is completed.
            captured: From when to when packets were captured; what was called before or after has none.
        """
        if isinstance(entry, CallEntry):
            event = entry.event
            if isinstance(event, Send | Recv | Sendto | Recvfrom) and event.n and not entry.packets:
                wire = entry.strand.wire if entry.strand is not None else None
                begin, end = captured
                if wire is not None or self._datagrams.knows(event):
                    meet = begin <= due(event) and event.t <= end
                    entry.trust = UNMATCHED if meet else entry.trust
        elif isinstance(entry, PacketEntry) and entry.packet.wire.proto == UDP and not entry.packet.error:
            names = entry.strand.names
            if names[not entry.packet.client] and not entry.causes:
                entry.trust = UNMATCHED

    # -- what is known without calls and packets -------------------------------------------------------

    def know(self, state: Snapshot) -> None:
        """What is open, of which the calls that opened it were not seen."""
        for it in state.listeners:
            if it.proto == UDP:
                self._datagrams.at(it.sock, it.address)
            else:
                self._ties.listens(it.address)
                self._listeners[it.sock] = plain(it.address)
        for conn in state.connections:
            tie, client = self._ties.opened(conn)
            tie.directions[client].sent = conn.sent
            tie.directions[not client].taken = conn.received

    def skip(self, event: Send | Recv) -> None:
        """A call that nobody looks at: how far its stream has come."""
        found = self._ties.called(event.conn)
        if found is None or event.off is None:
            return
        tie, client = found
        if isinstance(event, Send):
            tie.directions[client].sent = event.off[1]
        elif not any(it in event.flags for it in _BESIDE):
            tie.directions[not client].taken = event.off[1]

    def begin_anew(self) -> None:
        """What follows of packets is another capture; what is open is still known, with other strands."""
        self._ties.begin_anew()
        self._datagrams.begin_anew()
        self._gone.clear()

    # -- calls -----------------------------------------------------------------------------------------

    def _loose(self, entry: CallEntry, event: AnyEvent | Unknown) -> None:
        """What is about no connection."""
        links = self._datagrams
        if isinstance(event, Sendto):
            links.sent(entry, event)
        elif isinstance(event, Recvfrom):
            links.came(entry, event)
        elif isinstance(event, Bind):
            links.at(event.sock, None if event.errno else event.address)
        elif isinstance(event, Connect) and event.sock:
            links.at(event.sock, event.local)
        elif isinstance(event, Listen):
            if not event.errno:
                self._ties.listens(event.address)
            self._listeners[event.sock] = plain(event.address)
        elif isinstance(event, Close):
            links.closed(event.sock or "")
            if address := self._listeners.pop(event.sock or "", ""):
                self._gone[address] = entry
                if len(self._gone) > _GONE:
                    del self._gone[next(iter(self._gone))]

    def _block(self, entry: CallEntry, event: Block, tie: Tie, client: bool) -> None:
        """A send that sleeps: its packets go out before it returns."""
        way = tie.directions[client]
        if event.awaits == "send" and event.size and way.sent >= 0:
            way.blocked = entry
            way.called(entry, way.sent, way.sent + event.size)

    def _send(self, entry: CallEntry, event: Send, tie: Tie, client: bool) -> None:
        way = tie.directions[client]
        blocked = way.blocked
        mine = blocked is not None and getattr(blocked.event, "thread", "") == event.thread
        if event.off is None:
            if mine and event.errno not in WOULD_BLOCK:
                way.blocked = None  # how much of it was sent nobody knows
            _told_reset(entry, event, tie, client)
            return
        begin, end = event.off
        if way.shared and begin != way.sent >= 0:  # another process has sent meanwhile
            begin, end, way.trust = way.sent, way.sent + end - begin, INFERRED
        way.sent = end
        if "MSG_OOB" in event.flags and begin < way.sent:
            way.urged(way.sent - 1)
        if mine:
            way.returned(entry, way.sent)
        elif begin < way.sent:
            way.called(entry, begin, way.sent)

    def _recv(self, entry: CallEntry, event: Recv, tie: Tie, client: bool) -> None:
        way = tie.directions[not client]
        if event.off is None:
            _told_reset(entry, event, tie, client)
            return
        begin, end = event.off
        if "MSG_OOB" in event.flags:
            way.got_urgent(entry)
        elif "MSG_ERRQUEUE" in event.flags:
            return
        elif begin == end:
            if event.size and not way.deaf:
                way.over(entry)
        else:
            stays = "MSG_PEEK" in event.flags
            if tie.directions[client].shared and begin != way.taken:
                begin, end, way.trust = way.taken, way.taken + end - begin, INFERRED
            way.taken = way.taken if stays else end
            way.got(entry, begin, end, stays=stays)

    def _setsockopt(self, _entry: CallEntry, event: Setsockopt, tie: Tie, client: bool) -> None:
        if event.option == "SO_OOBINLINE" and not event.errno:
            tie.directions[not client].inline = event.value not in ("0", "False")

    def _shutdown(self, entry: CallEntry, event: Shutdown, tie: Tie, client: bool) -> None:
        if event.errno:
            return
        if event.how != "SHUT_WR":
            tie.directions[not client].deaf = True
        if event.how != "SHUT_RD":
            way = tie.directions[client]
            way.finish(entry, way.sent)

    def _close(self, entry: CallEntry, event: Close, tie: Tie, client: bool) -> None:
        way = tie.directions[client]
        if not way.shared:
            way.sent = max(way.sent, event.sent)
        if not event.unread:  # else it is a reset
            way.finish(entry, way.sent)
        tie.closed(entry, client=client)

    # -- packets ---------------------------------------------------------------------------------------

    def _segment(self, tie: Tie, entry: PacketEntry) -> None:
        packet = entry.packet
        flags, way = packet.flags, tie.directions[packet.client]
        if flags & SYN:
            if packet.client and not flags & ACK:
                tie.asked(entry)
            else:
                tie.answered(entry)
        elif packet.before[1] == machine.SYN_RECEIVED and packet.states[1] == machine.ESTABLISHED:
            tie.finished(entry)
        if packet.begin < packet.end or flags & FIN:
            if flags & _URG and not way.recorded and way.shift is not None:
                way.urged(packet.end - 1 + way.shift)
            way.carried(entry)
        if flags & (FIN | RST):
            tie.ended(entry)
            listener = None if packet.client or tie.accept is not None else self._gone.get(tie.strand.server)
            if flags & RST and listener is not None and entry.t <= due(listener.event) + SLACK:
                link_cause(entry, listener, 0, 0, INFERRED)  # of who waited in its queue
            self._ties.check(entry.t, tie)


def _told_reset(entry: CallEntry, event: Send | Recv, tie: Tie, client: bool) -> None:
    """A call failed as the other end had sent a RST."""
    reset = tie.reset.get(not client)
    if event.errno == "ECONNRESET" and reset is not None:
        link_effect(reset, entry, 0, 0, tie.strand.trust)


def _is_old(tie: Tie | None, t: int) -> bool:
    """A connection that begins at `t` is another one."""
    return tie is None or (tie.t < t - SLACK and (tie.is_over or tie.strand.wire is not None))
