"""Who remembers what the analysis said of the last packet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.packets.dissected import Role
from evloop_trace.packets.segments import ACK, MASK, SYN
from evloop_trace.packets.summary import addresses

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Error, Flow

__all__ = ["Witness"]

_BEFORE = 1 << 20


class Witness:
    """An observer of an analysis."""

    def __init__(self) -> None:
        self.role: Role | None = None
        """Of the last packet that belonged to a connection; whoever takes it puts None here."""

    def segment(self, flow: Flow, segment: Segment, found: int, states: tuple[str, str]) -> None:
        """A TCP segment."""
        begin = _place(segment.seq - flow.base - (not segment.flags & SYN))
        acked = _place(segment.ack - flow.peer.base - 1) if segment.flags & ACK else None
        self.role = _role(flow)._replace(
            begin=begin,
            end=begin + max(0, segment.size),
            ack=acked,
            found=found,
            states=(states, (flow.conn.a.state, flow.conn.b.state)),
        )

    def datagram(self, flow: Flow, time: int, size: int) -> None:
        """A UDP datagram, which is counted already."""
        del time
        self.role = _role(flow)._replace(begin=flow.bytes - size, end=flow.bytes)

    def error(self, flow: Flow, error: Error) -> None:
        """An ICMP error."""
        self.role = _role(flow)._replace(number=0, error=error.what)


def _role(flow: Flow) -> Role:
    conn = flow.conn
    client, server = addresses(conn)
    return Role(conn.proto, client, server, flow.orig, flow.packets)


def _place(number: int) -> int:
    """How far into its stream a sequence number is; a little before its beginning is negative."""
    number &= MASK
    return number - (MASK + 1) if number > MASK - _BEFORE else number
