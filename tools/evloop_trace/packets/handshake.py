"""Segments as events of the machine: which end was told what by a segment that the capture has.

A socket that is connected to itself has one state, and opens and closes at once with itself: the client's
state is the one after it has sent a segment, the server's the one after it has received it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.packets import machine
from evloop_trace.packets.machine import QUIET
from evloop_trace.packets.segments import ACK, FIN, HALF, MASK, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Flow

__all__ = ["step"]


def step(flow: Flow, segment: Segment) -> None:  # noqa: C901 - an event each
    """Move the states of both ends."""
    _, _, seq, ack, size, flags, _, _, _ = segment
    peer = flow.peer
    if flow.conn.self_connect:
        flow.state = peer.state
    if not flags & (SYN | FIN | RST) and flow.state in QUIET and peer.state in QUIET:
        return
    if flags & RST:
        if flow.conn.reset is None:
            flow.conn.reset = flow.orig
        _both(flow, machine.SND_RST, machine.RCV_RST)
        return
    if flags & SYN:
        _opens(flow, acknowledges=bool(flags & ACK))
    elif flags & ACK and machine.UNKNOWN in {flow.state, peer.state}:
        _both(flow, machine.TALKS, machine.TALKS)
    if flags & ACK:
        if peer.state == machine.SYN_RECEIVED and (ack - peer.base - 1) & MASK < HALF:
            _tell(peer, machine.RCV_ACK_OF_SYN)
        if peer.fin >= 0 and (ack - peer.fin) & MASK < HALF:
            _tell(peer, machine.RCV_ACK_OF_FIN)
    if flags & FIN:
        _closes(flow, ack, (seq + max(0, size) + 1) & MASK)


def _tell(flow: Flow, event: str) -> None:
    flow.state = machine.TRANSITIONS.get((flow.state, event), flow.state)


def _both(flow: Flow, sent: str, received: str) -> None:
    _tell(flow, sent)
    if flow.conn.self_connect:
        flow.peer.state = flow.state
    _tell(flow.peer, received)


def _opens(flow: Flow, *, acknowledges: bool) -> None:
    if acknowledges:
        _both(flow, machine.SND_SYN_ACK, machine.RCV_SYN_ACK)
        return
    opened = flow.peer.state == machine.SYN_SENT
    _both(flow, machine.SND_SYN, machine.RCV_SYN)
    if opened:  # the two SYNs crossed
        _tell(flow, machine.RCV_SYN)


def _closes(flow: Flow, ack: int, end: int) -> None:
    """A FIN. One that does not acknowledge the other end's was sent before that came."""
    conn, peer = flow.conn, flow.peer
    if conn.closer is None:
        conn.closer = flow.orig
        conn.before_fin = peer.bytes
    if (
        peer.fin >= 0
        and flow.fin < 0
        and (ack - peer.fin) & MASK >= HALF
        and flow.state == machine.CLOSE_WAIT
    ):
        conn.crossed = True
        flow.state = machine.ESTABLISHED
        _both(flow, machine.SND_FIN, machine.RCV_FIN)
        _tell(flow, machine.RCV_FIN)
    else:
        _both(flow, machine.SND_FIN, machine.RCV_FIN)
    flow.fin = end
    if conn.self_connect:
        peer.fin = end
