"""A capture packet by packet: each with its connection, its place in the stream, and what it is.

`analysis` counts; here every packet is kept apart, for who lays them beside calls, or looks at one of them.
It costs several times as much. What a tunnel carries counts, not the datagram around it, unless what it
carries belongs to no connection.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec

from evloop_trace.packets.addresses import address_text
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.decode import ports
from evloop_trace.packets.flow import TCP
from evloop_trace.packets.segments import ACK, HALF, MASK, SYN

if TYPE_CHECKING:
    from evloop_trace.packets.analysis import Bounds
    from evloop_trace.packets.capture_file import Packet
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Error, Flow

__all__ = ["Sighting", "Sightings", "Wire"]

_LONG = HALF >> 1
_KEPT = 64  # bytes of a payload


class Wire(msgspec.Struct):
    """A connection as the capture knows it; of UDP, what goes between two addresses."""

    number: int
    """From 0, in the order in which they began."""
    proto: str
    """tcp or udp."""
    client: str
    """An address, as in an event log."""
    server: str
    whole: bool
    """Its first SYN was seen, so that offsets count from the first byte of the stream."""


class Sighting(msgspec.Struct):
    """One packet."""

    number: int
    """In the file, from 1, as Wireshark counts."""
    time: int
    """ns since 1970."""
    wire: Wire
    client: bool
    """The client sent it; an ICMP error: it is about what the client sent."""
    flags: int = 0
    """TCP's."""
    begin: int = 0
    """Its payload is [begin, end) of the stream; a SYN has none at 0, and a FIN stands at `end`."""
    end: int = 0
    ack: int | None = None
    """The offset up to which the other direction is acknowledged."""
    window: int = 0
    """Bytes that its sender has room for; as in the header where the scale is not known (RFC 7323)."""
    found: int = 0
    """Bits of `segments`."""
    before: tuple[str, str] = ("", "")
    """The client's and the server's state before it (RFC 9293)."""
    states: tuple[str, str] = ("", "")
    """And behind it."""
    data: bytes = b""
    """The payload's first bytes, as far as they were captured."""
    error: str = ""
    """What an ICMP error says."""
    sender: str = ""
    """And who sent it."""
    place: int = 0
    """Which packet of its direction it is, from 1; 0 for an ICMP error."""


class Sightings:
    """A fold: `see` each packet of a capture."""

    def __init__(self, stories: int = 0) -> None:
        """Of the first `stories` connections the analysis remembers what it is told."""
        self.analysis = Analysis(stories, observer=self)
        self._number = 0
        self._buffer = b""
        self._seen: Sighting | None = None
        self._wires: dict[int, Wire] = {}
        self._highs: dict[tuple[int, bool], int] = {}  # the highest offset of a direction so far

    def see(self, packet: Packet, number: int = 0) -> Sighting | None:
        """The next packet; None if it belongs to no connection.

        Args:
            packet: As it was read.
            number: In the file; 0 is the one behind the last.
        """
        self._number = number or self._number + 1
        self._buffer, self._seen = packet[1], None
        self.analysis.other(packet)
        return self._seen

    # -- what the analysis tells of it -----------------------------------------------------------------

    def segment(
        self, flow: Flow, segment: Segment, found: int, states: tuple[str, str], payload: Bounds
    ) -> None:
        """A TCP segment."""
        wire, conn = self._wire(flow), flow.conn
        size, flags = max(0, segment.size), segment.flags
        begin = self._offset(flow, segment.seq - flow.base - (not flags & SYN), size)
        ack = None
        if flags & ACK and flow.peer.base >= 0:
            ack = self._near(flow.peer, segment.ack - flow.peer.base - 1)
        window = segment.window * (1 if flags & SYN else flow.scale or 1)
        self._seen = Sighting(
            self._number, segment.time, wire, flow.orig, flags, begin, begin + size, ack, window,
            found, states, (conn.a.state, conn.b.state), self._payload(size, payload), place=flow.packets,
        )  # fmt: skip

    def datagram(self, flow: Flow, time: int, size: int, payload: Bounds) -> None:
        """A UDP datagram."""
        self._seen = Sighting(
            self._number, time, self._wire(flow), flow.orig, end=size,
            data=self._payload(size, payload), place=flow.packets,
        )  # fmt: skip

    def error(self, flow: Flow, error: Error) -> None:
        """An ICMP error."""
        self._seen = Sighting(
            self._number, error.time, self._wire(flow), error.client, error=error.what,
            sender=str(ip_address(error.sender)),
        )  # fmt: skip

    def _wire(self, flow: Flow) -> Wire:
        conn = flow.conn
        wire = self._wires.get(conn.number)
        if wire is None:
            half = (len(conn.key) - 4) // 2
            client, server = ports(conn.key)
            wire = self._wires[conn.number] = Wire(
                conn.number,
                conn.proto,
                address_text(conn.key[:half], client),
                address_text(conn.key[half : 2 * half], server),
                conn.proto == TCP and bool(conn.first_bits & 1),
            )
        return wire

    def _offset(self, flow: Flow, seq: int, size: int) -> int:
        """Where a segment begins: sequence numbers begin again after 2**32, offsets do not."""
        begin = self._near(flow, seq)
        end = begin + size
        place = flow.conn.number, flow.orig
        if end > max(self._highs.get(place, 0), _LONG):  # below it there is only one place for a number
            self._highs[place] = end
        return begin

    def _near(self, flow: Flow, seq: int) -> int:
        high = self._highs.get((flow.conn.number, flow.orig), 0)
        return high + (((seq - high) + HALF) & MASK) - HALF

    def _payload(self, size: int, payload: Bounds) -> bytes:
        """The beginning of it; a frame may be longer than what its headers say."""
        begin, end = payload
        return self._buffer[begin : min(begin + min(size, _KEPT), end)]
