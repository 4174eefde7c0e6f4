"""A connection while it is woven: its two directions, and the calls and packets that open and end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Block
from evloop_trace.correlate.direction import SLACK, Direction, link_cause, link_effect, relink
from evloop_trace.correlate.entries import EXACT, INFERRED
from evloop_trace.model.filters import due
from evloop_trace.packets.segments import FIN, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand
    from evloop_trace.packets.sightings import Wire

__all__ = ["Tie"]

_UNREACHED = ("EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED", "ENOPROTOOPT", "EPROTO")
_SYNS = 16  # that are remembered
_OTHERS = 64  # names


class Tie:
    """What is known of a strand; the keys of its dictionaries say whose: True is the client's."""

    __slots__ = (
        "accept", "answer", "close", "connect", "directions", "error", "fins", "handshake", "held",
        "reset", "strand", "syns", "t",
    )  # fmt: skip

    def __init__(self, strand: Strand, t: int) -> None:
        self.strand = strand
        self.t = t
        """When it began, as far as was seen."""
        self.directions = {True: Direction(), False: Direction()}
        """By who sends."""
        if strand.client and strand.client == strand.server:  # to itself: what is sent is received
            self.directions[False] = self.directions[True]
        self.connect: CallEntry | None = None
        """A block, as long as its connect has not returned."""
        self.accept: CallEntry | None = None
        self.syns: list[PacketEntry] = []
        """The client's."""
        self.answer: PacketEntry | None = None
        """The SYN ACK, or the RST that refuses."""
        self.handshake: PacketEntry | None = None
        """The ACK that finished it."""
        self.error: PacketEntry | None = None
        """What ICMP said."""
        self.held: set[str] = set()
        """The names of its ends that are open."""
        self.close: dict[bool, CallEntry] = {}
        self.reset: dict[bool, PacketEntry] = {}
        self.fins: set[bool] = set()

    @property
    def is_over(self) -> bool:
        """Its addresses may be another's from here on."""
        return bool(self.close or self.reset)

    @property
    def is_quiet(self) -> bool:
        """Nothing more is to come: neither packets nor calls."""
        fins = 1 if self.directions[True] is self.directions[False] else 2
        seen = self.strand.wire is None or bool(self.reset) or len(self.fins) >= fins
        return seen and not self.held and (self.strand.wire is not None or bool(self.close))

    def enter(self, name: str, *, client: bool) -> None:
        """The calls of an end are in a log, which calls it so; of several processes that have it, one."""
        names = self.strand.names
        if not names[not client]:
            self.strand.names = (name, names[1]) if client else (names[0], name)
        else:
            self.directions[client].shared = True
            strand = self.strand
            if name not in names and name not in strand.others and len(strand.others) < _OTHERS:
                strand.others = (*strand.others, name)
        self.held.add(name)
        self.directions[client].recorded = self.directions[not client].heard = True
        self._trust()

    def seen(self, wire: Wire) -> None:
        """The capture has it."""
        self.strand.wire = wire
        if not wire.whole:
            for way in self.directions.values():
                way.lose()
        self._trust()

    def _trust(self) -> None:
        wire = self.strand.wire
        if wire is not None and any(self.strand.names) and not self.strand.trust:
            self.strand.trust = EXACT if wire.whole else INFERRED

    def again(self, strand: Strand) -> Tie:
        """The same, of which no packet was seen yet; its ends still have to enter."""
        tie = Tie(strand, self.t)
        tie.accept = self.accept
        for client, way in self.directions.items():
            tie.directions[client].sent, tie.directions[client].taken = way.sent, way.taken
        return tie

    def clear(self) -> None:
        """It is over: of who took part only the strand is left."""
        for way in self.directions.values():
            way.clear()
        self.connect = self.accept = self.answer = self.handshake = self.error = None
        self.syns.clear()

    # -- the handshake ---------------------------------------------------------------------------------

    def asks(self, entry: CallEntry) -> None:
        """A connect sleeps, and it is likely that the SYNs which follow are its."""
        self.connect = entry
        self.strand.trust = INFERRED

    def connected(self, entry: CallEntry) -> None:
        """The client's connect; a second one tells how the first ended."""
        trust = self.strand.trust or EXACT
        before = self.connect
        if before is None:
            for syn in self.syns:
                link_cause(syn, entry, 0, 0, trust)
        elif isinstance(before.event, Block):
            relink(self.syns, before, entry)
            entry.trust = trust if entry.packets else entry.trust
            for syn in self.syns:
                syn.trust = trust
        if before is None or isinstance(before.event, Block):
            self.connect = entry
        if self.answer is not None and _is_told(entry, self.answer):
            link_effect(self.answer, entry, 0, 0, trust)
        elif self.error is not None and getattr(entry.event, "errno", None) in _UNREACHED:
            link_effect(self.error, entry, 0, 0, INFERRED)

    def disclaim(self) -> None:
        """It was not that connect after all."""
        asleep, self.connect = self.connect, None
        self.strand.names, self.strand.trust = ("", self.strand.names[1]), ""
        self.directions[True].recorded = self.directions[False].heard = False
        self.held.clear()
        assert asleep is not None
        asleep.packets, asleep.trust, asleep.strand = [], "", None
        for syn in self.syns:
            syn.causes, syn.trust = [], ""
        self._trust()

    def asked(self, syn: PacketEntry) -> None:
        """A SYN of the client's."""
        if len(self.syns) < _SYNS:
            self.syns.append(syn)
        if self.connect is not None:
            link_cause(syn, self.connect, 0, 0, self.strand.trust or EXACT)

    def answered(self, answer: PacketEntry) -> None:
        """The server's SYN ACK, or its RST instead."""
        if self.answer is None:
            self.answer = answer
            if self.connect is not None and _is_told(self.connect, answer):
                link_effect(answer, self.connect, 0, 0, self.strand.trust or EXACT)

    def finished(self, ack: PacketEntry) -> None:
        """The ACK that makes the connection one: from here on it waits in the listener's queue."""
        self.handshake = ack
        if self.accept is not None:
            link_effect(ack, self.accept, 0, 0, EXACT)

    def accepted(self, entry: CallEntry) -> None:
        """The server's accept."""
        self.accept = entry
        if self.handshake is not None:
            link_effect(self.handshake, entry, 0, 0, EXACT)

    # -- the end ---------------------------------------------------------------------------------------

    def ended(self, packet: PacketEntry) -> None:
        """A FIN or a RST was seen."""
        sender, flags = packet.packet.client, packet.packet.flags
        if flags & FIN:
            self.fins.add(sender)
        if not flags & RST:
            return
        if not sender and self.answer is None and not self.fins:
            self.answered(packet)
        self.reset.setdefault(sender, packet)
        close = self.close.get(sender)
        if close is not None and not close.packets:
            self._resets(packet, close)

    def closed(self, entry: CallEntry, *, client: bool) -> None:
        """An end was closed."""
        self.close.setdefault(client, entry)
        packet = self.reset.get(client)
        if packet is not None and packet.t >= entry.event.t - SLACK and not packet.causes:
            self._resets(packet, entry)

    @staticmethod
    def _resets(packet: PacketEntry, close: CallEntry) -> None:
        """A close makes a RST if bytes were unread; also if its linger time was 0, which need not be told."""
        event = close.event
        if getattr(event, "unread", None):
            link_cause(packet, close, 0, 0, EXACT)
        elif packet.t <= due(event) + SLACK:
            link_cause(packet, close, 0, 0, INFERRED)


def _is_told(entry: CallEntry, answer: PacketEntry) -> bool:
    """Whether a connect returned because of this answer."""
    errno = getattr(entry.event, "errno", None)
    if answer.packet.flags & SYN:
        return errno is None and not isinstance(entry.event, Block)
    return errno in ("ECONNREFUSED", "ECONNRESET")
