"""What has happened so far, as far as reasons need it: of a connection, of its two ends, of who calls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evloop.events.schema import Accept, Close, Inherit, Recv, Send, Setsockopt, Shutdown
from evloop_trace.model.filters import due
from evloop_trace.packets.segments import ACK, DUP_ACK, FIN, KEEP_ALIVE, PROBE, RST, SYN, WINDOW_FULL

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand

__all__ = ["NO_TIME", "End", "Past", "Tries", "ended", "is_pure_ack"]

_RECENT = 64
"""Packets of a direction that can be told of; a send of 4 MB makes about as many on loopback."""


class Tries:
    """Packets that ask the same again and again: how many, and when; they may go on for hours."""

    __slots__ = ("before", "count", "last", "number", "since")

    def __init__(self) -> None:
        self.count = 0
        self.number = 0
        """The first one's, in the capture."""
        self.since = 0
        """When it was sent, in ns."""
        self.before = 0
        """When the last but one was."""
        self.last = 0
        """When the last one was."""

    def add(self, entry: PacketEntry) -> None:
        """Another one."""
        if not self.count:
            self.number, self.since = entry.packet.number, entry.t
        self.count += 1
        self.before, self.last = self.last, entry.t

    def clear(self) -> None:
        """There was an answer."""
        self.count = 0


class End:
    """One end of a connection: what it called, and what it sent. Offsets count from 0."""

    def __init__(self, word: str) -> None:
        self.word = word
        """`the client` or `the server`."""
        self.sent = 0
        """Bytes that its calls handed to the kernel."""
        self.read = 0
        """Bytes that its calls took."""
        self.out = 0
        """Where what it put on the wire ends."""
        self.acked = 0
        """And what of it the peer acknowledged; a FIN counts as a byte."""
        self.acked_by: PacketEntry | None = None
        self.closed_at: int | None = None
        """Since when its window is closed."""
        self.opened: PacketEntry | None = None
        """The packet that opened it again."""
        self.filled: PacketEntry | None = None
        """The last of its packets that the peer had just room for."""
        self.probes = Tries()
        """Of the peer's closed window."""
        self.alive = Tries()
        """It asked whether the peer is still there."""
        self.dup_acks = 0
        self.packets: dict[int, PacketEntry] = {}
        """By their numbers: the last that carried something."""
        self.heard_data = 0
        """When it last sent data, or a FIN."""
        self.heard = 0
        """When its last packet was seen."""
        self.syns = Tries()
        self.fin: PacketEntry | None = None
        self.rst: PacketEntry | None = None
        self.calls: deque[CallEntry] = deque(maxlen=32)
        self.recv: CallEntry | None = None
        """The last that got bytes."""
        self.ends = 0
        """How often recv() was 0."""
        self.has_sent_nothing = False
        """It has called send() for no bytes."""
        self.shutdown: CallEntry | None = None
        self.close: CallEntry | None = None
        self.linger: CallEntry | None = None
        """SO_LINGER 0 was set, and nothing else since."""
        self.holders: dict[str, int] = {}
        """What it is called where it was inherited or accepted, and in which log."""
        self.was_left = False
        """The last recv() took as much as it asked for, and more had come."""
        self.is_deaf = False
        """It has called shutdown(SHUT_RD), or both."""
        self.is_told = False
        """A call has failed since the connection is reset."""

    @property
    def data(self) -> int:
        """Bytes of its stream that the peer acknowledged, without the FIN."""
        return min(self.acked, self.out)

    def packet(self, entry: PacketEntry, peer: End) -> None:
        """It sent this."""
        packet = entry.packet
        flags, found = packet.flags, packet.found
        self.heard = entry.t
        peer.alive.clear()
        if packet.begin < packet.end or flags & (SYN | FIN):
            self.heard_data = entry.t
            self.packets[packet.number] = entry
            if len(self.packets) > _RECENT:
                del self.packets[next(iter(self.packets))]
        if flags & SYN:
            self.syns.add(entry)
        elif packet.begin < packet.end and not found & PROBE:
            self.out = max(self.out, packet.end)
        if found & WINDOW_FULL:
            self.filled = entry
        if flags & FIN and self.fin is None:
            self.fin = entry
        if flags & RST and self.rst is None:
            self.rst = entry
        if flags & ACK and packet.ack is not None and not flags & RST:
            self._acknowledges(entry, packet.ack, peer)
            self._window(entry, peer)
        self._asks(entry, peer)

    def _acknowledges(self, entry: PacketEntry, ack: int, peer: End) -> None:
        if ack > peer.acked:
            peer.acked, peer.acked_by = ack, entry
            self.dup_acks = 0
        elif entry.packet.found & DUP_ACK:
            self.dup_acks += 1

    def _window(self, entry: PacketEntry, peer: End) -> None:
        if entry.packet.window:
            if self.closed_at is not None:
                self.closed_at, self.opened = None, entry
                peer.probes.clear()
        elif self.closed_at is None and not entry.packet.flags & (SYN | FIN):
            self.closed_at = entry.t

    def _asks(self, entry: PacketEntry, peer: End) -> None:
        found = entry.packet.found
        if found & (PROBE | KEEP_ALIVE):
            (self.alive if peer.closed_at is None else self.probes).add(entry)
        elif entry.packet.begin < entry.packet.end:
            self.alive.clear()

    def call(self, entry: CallEntry) -> None:
        """It did this."""
        event = entry.event
        self.calls.append(entry)
        self.is_told = self.is_told or getattr(event, "errno", None) in _RESET
        if isinstance(event, Send):
            self.sent = max(self.sent, event.off[1] if event.off else 0)
            self.has_sent_nothing = self.has_sent_nothing or event.n == event.size == 0
        elif isinstance(event, Recv):
            self._received(entry, event)
        elif isinstance(event, Shutdown):
            self._shut(entry, event)
        elif isinstance(event, Close):
            self.holders.pop(event.conn or "", None)
            self.close = entry
        elif isinstance(event, Setsockopt):
            self.lingers(entry, event)
        elif isinstance(event, Inherit):
            self.holders[event.name] = entry.log
        elif isinstance(event, Accept):
            self.holders[event.conn or ""] = entry.log

    def lingers(self, entry: CallEntry, event: Setsockopt) -> None:
        """SO_LINGER: the last value counts."""
        if event.option == "SO_LINGER" and not event.errno:
            self.linger = entry if event.value in NO_TIME else None

    def _shut(self, entry: CallEntry, event: Shutdown) -> None:
        if event.errno:
            return
        self.is_deaf = self.is_deaf or event.how != "SHUT_WR"
        if event.how != "SHUT_RD":
            self.shutdown = entry

    def _received(self, entry: CallEntry, event: Recv) -> None:
        if event.n and event.off and not event.flags:
            self.read, self.recv = event.off[1], entry
        elif event.n == 0 and event.size:
            self.ends += 1


class Past:
    """A connection so far; True is the client."""

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        self.ends = {True: End("the client"), False: End("the server")}
        self.handshake: PacketEntry | None = None
        """The packet that finished it."""
        self.accept: CallEntry | None = None
        self.t = 0
        """When something was last told."""
        self.last: PacketEntry | None = None
        self.is_unsure = False
        """Bytes of calls and packets were joined by inference: who has what nobody knows."""

    @property
    def whole(self) -> bool:
        """The offsets of calls and packets are the same."""
        return self.strand.wire is not None and self.strand.wire.whole and not self.is_unsure

    @property
    def is_over(self) -> bool:
        """It was reset, and the other end has closed what was left of it."""
        return any(end.rst is not None and self.ends[not at].close for at, end in self.ends.items())

    @property
    def is_quiet(self) -> bool:
        """Nothing more is to come: it is over, or both ends have sent their FIN; unseen, both have closed."""
        ends = self.ends.values()
        if self.strand.wire is None and all(end.close is not None for end in ends):
            return True
        return self.is_over or all(end.fin is not None for end in ends)

    def is_recorded(self, *, client: bool) -> bool:
        """An end's calls are in a log."""
        return bool(self.strand.names[not client])

    def waiting(self, *, client: bool, ack: int = 0) -> int:
        """Bytes that an end's kernel has acknowledged and its program has not taken, as far as is known.

        `ack` is what it is about to acknowledge.
        """
        if not self.whole or not self.is_recorded(client=client) or self.ends[client].close is not None:
            return 0
        sender = self.ends[not client]
        return max(0, min(max(sender.acked, ack), sender.out) - self.ends[client].read)

    def unacked(self, *, client: bool) -> int:
        """Bytes on the wire of an end that were not acknowledged."""
        end = self.ends[client]
        return max(0, end.out - end.acked)


def ended(entry: CallEntry) -> int:
    """When a call returned."""
    return due(entry.event)


def is_pure_ack(entry: PacketEntry) -> bool:
    """It carries nothing."""
    packet = entry.packet
    return packet.flags & (SYN | FIN | RST | ACK) == ACK and packet.begin == packet.end


_RESET = frozenset({"ECONNRESET", "EPIPE"})

NO_TIME = {repr(onoff.to_bytes(4, order) + bytes(4)) for onoff in (1,) for order in ("little", "big")}
"""SO_LINGER of 0 seconds, as a program writes it: socket(7)."""
