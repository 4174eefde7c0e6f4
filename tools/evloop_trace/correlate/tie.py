"""A connection while it is woven: its two directions, and the calls and packets that open and end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.correlate.entries import EXACT
from evloop_trace.correlate.way import Way, link_cause, link_effect

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand
    from evloop_trace.packets.sightings import Wire

__all__ = ["Tie"]


class Tie:
    """What is known of a strand; the keys of its dictionaries say whose: True is the client's."""

    def __init__(self, strand: Strand, t: int) -> None:
        self.strand = strand
        self.t = t
        """When it began, as far as was seen."""
        self.ways = {True: Way(), False: Way()}
        """By who sends."""
        self.connect: CallEntry | None = None
        self.accept: CallEntry | None = None
        self.syns: list[PacketEntry] = []
        """The client's."""
        self.answer: PacketEntry | None = None
        """The SYN ACK."""
        self.handshake: PacketEntry | None = None
        """The ACK that finished it."""
        self.close: dict[bool, CallEntry] = {}
        self.reset: dict[bool, PacketEntry] = {}

    @property
    def is_over(self) -> bool:
        """Its addresses may be another's from here on."""
        return bool(self.close or self.reset)

    def enter(self, name: str, *, client: bool) -> None:
        """The calls of an end are in a log, which calls it so."""
        names = self.strand.names
        self.strand.names = (name, names[1]) if client else (names[0], name)
        self.ways[client].recorded = self.ways[not client].heard = True
        if self.strand.wire is not None and not self.strand.trust:
            self.strand.trust = EXACT

    def seen(self, wire: Wire) -> None:
        """The capture has it."""
        self.strand.wire = wire
        if any(self.strand.names):
            self.strand.trust = EXACT
        if not wire.whole:
            for way in self.ways.values():
                way.shift = None

    # -- the handshake ---------------------------------------------------------------------------------

    def connected(self, entry: CallEntry) -> None:
        """The client's connect; a second one tells how the first ended."""
        if self.connect is None:
            self.connect = entry
            for syn in self.syns:
                link_cause(syn, entry, 0, 0, self.strand.trust or EXACT)
        if self.answer is not None and self._succeeded(entry):
            link_effect(self.answer, entry, 0, 0, EXACT)

    def asked(self, syn: PacketEntry) -> None:
        """A SYN of the client's."""
        self.syns.append(syn)
        if self.connect is not None:
            link_cause(syn, self.connect, 0, 0, self.strand.trust or EXACT)

    def answered(self, answer: PacketEntry) -> None:
        """The server's SYN ACK."""
        if self.answer is None:
            self.answer = answer
            if self.connect is not None and self._succeeded(self.connect):
                link_effect(answer, self.connect, 0, 0, EXACT)

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

    @staticmethod
    def _succeeded(entry: CallEntry) -> bool:
        return getattr(entry.event, "errno", None) is None
