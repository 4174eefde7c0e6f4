"""What a segment is in the light of those before it, by the rules of Wireshark 4.0.

The words are those of its user guide, section "TCP Analysis". The order of the rules matters, and is kept.
Sequence numbers are compared modulo 2**32, and a 0 may stand for one that is not known, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Flow

__all__ = [
    "ACK", "ACKED_UNSEEN", "AGAIN", "COUNTED", "DUP_ACK", "ERRORS", "FAST", "FIN", "HALF", "KEEP_ALIVE",
    "KEEP_ALIVE_ACK", "LOST", "MASK", "OUT_OF_ORDER", "PROBE", "PROBE_ACK", "PURE_PROBE",
    "RETRANSMISSION", "RST", "SPURIOUS", "SYN", "TAIL", "UPDATE", "WINDOW_FULL", "ZERO_WINDOW", "judge",
    "tail_probe",
]  # fmt: skip

FIN, SYN, RST, ACK = 1, 2, 4, 16
MASK, HALF = 0xFFFFFFFF, 0x80000000

PROBE, PROBE_ACK, ZERO_WINDOW, LOST, KEEP_ALIVE, KEEP_ALIVE_ACK, UPDATE, DUP_ACK = (1 << n for n in range(8))
ACKED_UNSEEN, RETRANSMISSION, FAST, SPURIOUS, OUT_OF_ORDER, WINDOW_FULL = (1 << n for n in range(8, 14))
COUNTED = tuple(1 << n for n in range(15))
# Not Wireshark's. A pure probe is what it calls a keep-alive while the window is closed.
PURE_PROBE, TAIL, ERRORS = (1 << n for n in range(14, 17))
AGAIN = RETRANSMISSION | FAST | SPURIOUS | OUT_OF_ORDER

_MS = 10**6
_FAST_WITHIN = 20 * _MS
_ORDER_WITHIN = 3 * _MS  # where the handshake's round trip is not known
_TOLD = 0xFFFFFFFF
"""In place of a number of duplicate ACKs: that the peer acknowledged what was not seen has been told.

Wireshark writes -1 to a number without a sign, so that afterwards it is as if there had been many.
"""
_EARLIEST_TIMEOUT = 200 * _MS  # of Linux: what is sent again before was not sent because of a timeout


def judge(flow: Flow, segment: Segment, trip: int) -> int:  # noqa: C901, PLR0912 - the rules, in their order
    """What this segment of `flow` is, as bits; the flow then knows it.

    Args:
        flow: The direction; its `peer` is the other.
        segment: With a size that is not below 0.
        trip: The round trip of the handshake, in ns; 0 if it is not known.
    """
    time, _, seq, ack, size, flags, window, _, _ = segment
    peer = flow.peer
    expected = flow.nextseq
    control = flags & (SYN | FIN | RST)
    found = 0
    if size == 1 and seq == expected and peer.window == 0:
        found = PROBE
    else:
        if window == 0 and not control:
            found |= ZERO_WINDOW
        if expected and (expected - seq) & MASK >= HALF and not flags & RST:
            found |= LOST
        if size <= 1 and seq == (expected - 1) & MASK and not control:
            found |= KEEP_ALIVE
        if size > 0 and not control and peer.scale and _at_edge(peer, seq + size):
            found |= WINDOW_FULL
        if not size and seq == expected and ack == flow.last_ack and not control:
            found |= _repeated(flow, window)
    if ack != flow.last_ack:
        flow.dup_acks = 0
    if peer.maxseq and (peer.maxseq - ack) & MASK >= HALF and flags & ACK:
        found |= _beyond(peer)
    if (size > 0 or flags & (SYN | FIN)) and not found & KEEP_ALIVE:
        found |= _again(flow, segment, trip)
    end = (seq + size + (1 if flags & (SYN | FIN) else 0)) & MASK
    if not found & PROBE:
        if not expected or (expected - end) & MASK >= HALF:
            flow.nextseq = end
            flow.next_time = time
        if seq == flow.maxseq or not flow.maxseq:
            flow.maxseq = flow.nextseq
    flow.window, flow.last_ack, flow.last, flow.last_flags = window, ack, time, found
    if flow.conn.multipath is not None:
        flow.kinds = flow.conn.multipath.kinds
    return found


def _at_edge(peer: Flow, end: int) -> bool:
    """Whether that is where the window ends that `peer` announced last."""
    return (end - peer.last_ack - peer.window * peer.scale) & MASK == 0


def _beyond(peer: Flow) -> int:
    """More of `peer` is acknowledged than was seen of it; told once for what is missing."""
    if (peer.maxseq - peer.nextseq) & MASK >= HALF:
        peer.maxseq = peer.nextseq
        return ACKED_UNSEEN
    told = peer.dup_acks != 0
    peer.dup_acks = _TOLD
    return 0 if told else ACKED_UNSEEN


def _repeated(flow: Flow, window: int) -> int:
    """An empty segment with the numbers of the one before it."""
    if window and window != flow.window:
        return UPDATE
    if window != flow.window:
        return 0
    if window == 0:
        return PROBE_ACK if flow.peer.last_flags & PROBE else 0
    if flow.peer.last_flags & KEEP_ALIVE:
        return KEEP_ALIVE_ACK
    multipath = flow.conn.multipath
    if multipath is not None and multipath.kinds != flow.kinds:
        return 0  # it may be there only for an option (RFC 8684, section 3.3.2)
    flow.dup_acks = 1 if flow.dup_acks == _TOLD else flow.dup_acks + 1
    return DUP_ACK


def _again(flow: Flow, segment: Segment, trip: int) -> int:
    """A segment with data, SYN or FIN: whether it was sent before, or comes late."""
    time, _, seq, _, size, flags, _, _, _ = segment
    peer, expected = flow.peer, flow.nextseq
    behind = expected != 0 and (seq - expected) & MASK >= HALF
    if size > 1 and seq == (expected - 1) & MASK:  # what was a zero window probe now has data
        behind = False
    end = (seq + size) & MASK
    if size and peer.last_ack and not 0 < (end - peer.last_ack) & MASK < HALF:
        return SPURIOUS
    if not behind:
        return 0
    if peer.dup_acks >= 2 and peer.last_ack == seq and 0 <= time - peer.last < _FAST_WITHIN:
        return FAST
    if flags & (SYN | FIN):
        end = (end + 1) & MASK
    if end != expected and 0 <= time - flow.next_time < (trip or _ORDER_WITHIN):
        return OUT_OF_ORDER
    return RETRANSMISSION


def tail_probe(flow: Flow, segment: Segment) -> bool:
    """Whether a segment, if it is sent again, is a tail-loss probe: the last, early, and nobody asked for it.

    To be asked before `judge` has seen it.
    """
    early = 0 <= segment.time - flow.next_time < _EARLIEST_TIMEOUT
    last = (segment.seq + segment.size) & MASK == flow.nextseq
    return early and last and not flow.peer.dup_acks
