"""Both ends' states and the history of a connection, by the rules of Zeek: `conn_state` and `history`.

https://docs.zeek.org/en/current/scripts/base/protocols/conn/main.zeek.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evloop_trace.packets.segments import ACK, FIN, HALF, MASK, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Connection, Flow

__all__ = [
    "CLOSED", "ESTABLISHED", "INACTIVE", "RESET", "SERVER_PORTS", "add", "begin", "conn_state", "finish",
    "flips", "gap", "note", "step",
]  # fmt: skip

INACTIVE, PARTIAL, SYN_SENT, SYN_ACK_SENT, ESTABLISHED, CLOSED, RESET = range(7)

_SYN_SEEN, _FIN_SEEN, _RST_SEEN, _DATA_SEEN, _ACK_SEEN, _MULTI_SEEN, _FIN_RST_SEEN = (
    1 << n for n in range(7)
)
_TOO_FAR = 1 << 20  # a SYN or RST this far off does not move the sequence number

# Where a capture begins in the middle, who has one of these ports is taken for the server.
SERVER_PORTS = frozenset({
    21, 22, 23, 25, 53, 67, 80, 81, 88, 110, 123, 135, 137, 139, 143, 161, 162, 389, 443, 445, 502, 514,
    563, 585, 587, 614, 631, 636, 853, 989, 990, 992, 993, 995, 1080, 1434, 1812, 2123, 2152, 2811, 3128,
    3268, 3306, 3389, 3544, 4789, 5060, 5072, 5223, 5353, 5355, 5432, 6081, 6379, 6666, 6667, 6668, 6669,
    8000, 8080, 8443, 8888, 20000,
})  # fmt: skip


def flips(source: int, target: int, flags: int | None) -> bool:
    """Whether the sender of a connection's first packet is its server.

    Args:
        source: Its port.
        target: The other.
        flags: TCP's; None for UDP.
    """
    if flags is not None:
        if flags & SYN:
            return bool(flags & ACK)
        if source in SERVER_PORTS and target in SERVER_PORTS:
            return source < target
    return source in SERVER_PORTS and target not in SERVER_PORTS


def add(flow: Flow, letter: str) -> None:
    """A letter of the history: upper case for the client."""
    flow.conn.history += letter if flow.orig else letter.lower()


def _first(flow: Flow, bit: int, letter: str) -> bool:
    """Add a letter if it is this end's first of its kind; whether it was."""
    if flow.seen & bit:
        return False
    flow.seen |= bit
    add(flow, letter)
    return True


def _power_of_ten(number: int) -> bool:
    while number >= 10 and number % 10 == 0:
        number //= 10
    return number == 1


def note(flow: Flow, *, data: bool) -> None:
    """A segment with neither SYN, FIN nor RST."""
    _first(flow, _DATA_SEEN if data else _ACK_SEEN, "D" if data else "A")


def begin(flow: Flow, seq: int, flags: int) -> None:
    """The SYN of an end that is INACTIVE."""
    flow.start, flow.last_seq, flow.last_syn = seq, (seq + 1) & MASK, 0
    _first(flow, _SYN_SEEN, "H" if flags & ACK else "S")
    _inactive(flow, 0, flags)


def finish(flow: Flow, seq: int) -> None:
    """The FIN of an end that is ESTABLISHED, where it is expected next."""
    place = (seq - flow.start) & MASK
    if not _first(flow, _FIN_SEEN, "F") and place != flow.last_fin:
        add(flow, "F")
    flow.last_fin = place
    _enter(flow, CLOSED)


def gap(flow: Flow) -> None:
    """Data of this end was acknowledged that was not seen."""
    clean = all(
        end.end_state == ESTABLISHED or (end.end_state == CLOSED and end.previous_state == ESTABLISHED)
        for end in (flow, flow.peer)
    )
    if clean:
        flow.gaps += 1
        if _power_of_ten(flow.gaps):
            add(flow, "G")


def step(flow: Flow, segment: Segment) -> None:
    """What this segment does to the ends' states; before Wireshark's rules have seen it."""
    _, _, seq, _, size, flags, window, _, _ = segment
    size = max(0, size)
    length = (0 if flags & RST else size) + bool(flags & SYN) + bool(flags & FIN)
    end = (seq + length) & MASK
    if flow.last_seq is None:
        flow.last_seq = flow.nextseq
    if flags & SYN or flow.end_state == INACTIVE:
        _begin(flow, seq, end, flags)
    _history(flow, seq, size, flags)
    peer = flow.peer
    if window == 0 and not flags & RST and peer.end_state != CLOSED and flow.end_state != RESET:
        flow.window_count += 1
        if _power_of_ten(flow.window_count):
            add(flow, "W")
    _advance(flow, end, size, flags)
    if flow.end_state == INACTIVE:
        _inactive(flow, size, flags)
    elif flags & (FIN | RST):
        _leave(flow, flags)
    elif flags & SYN and not flags & ACK and flow.end_state == PARTIAL and peer.end_state == INACTIVE:
        _enter(flow, SYN_SENT)


def _begin(flow: Flow, seq: int, end: int, flags: int) -> None:
    """Where the sequence numbers start."""
    syn = flags & SYN
    if flow.end_state == INACTIVE:
        flow.start = seq if syn else (seq - 1) & MASK
        flow.last_seq = end if syn else seq
    elif syn and (
        (flow.end_state in {SYN_SENT, SYN_ACK_SENT} and seq != flow.start)
        or flow.end_state in {ESTABLISHED, PARTIAL}
        or (flow.end_state == RESET and flow.previous_state == INACTIVE)
    ):
        flow.start, flow.last_seq = seq, end


def _history(flow: Flow, seq: int, size: int, flags: int) -> None:
    """Letters; SYN, FIN and RST have one more where they are at another place of the stream."""
    kinds = flags & (SYN | FIN | RST)
    if kinds:
        seq = (seq - flow.start) & MASK  # a SYN with another number begins the stream anew
    if kinds & (kinds - 1):  # more than one
        both = kinds & FIN and kinds & RST
        _first(flow, _FIN_RST_SEEN if both else _MULTI_SEEN, "I" if both else "Q")
    elif kinds == SYN:
        letter = "H" if flags & ACK else "S"
        if not _first(flow, _SYN_SEEN, letter) and seq != flow.last_syn:
            add(flow, letter)
        flow.last_syn = seq
    elif kinds == FIN:
        if not _first(flow, _FIN_SEEN, "F") and (seq + size) & MASK != flow.last_fin:
            add(flow, "F")
        flow.last_fin = (seq + size) & MASK
    elif kinds == RST:
        if not _first(flow, _RST_SEEN, "R") and seq != flow.last_rst:
            add(flow, "R")
        flow.last_rst = seq
    elif size or flags & ACK:
        note(flow, data=bool(size))


def _advance(flow: Flow, end: int, size: int, flags: int) -> None:
    """The highest sequence number; data at or below it was sent again."""
    assert flow.last_seq is not None
    ahead = (end - flow.last_seq) & MASK
    if ahead >= HALF:
        ahead -= 1 << 32
    if flags & (SYN | RST) and abs(ahead) > _TOO_FAR:
        return
    if flags & FIN and flow.last_seq == (flow.start + 1) & MASK:
        flow.last_seq = end
    elif flow.end_state == RESET:
        return
    elif ahead > 0:
        flow.last_seq = end
    elif size > 0:
        flow.again_count += 1
        if _power_of_ten(flow.again_count):
            add(flow, "T")


def _enter(flow: Flow, state: int) -> None:
    if state != flow.end_state:
        flow.previous_state, flow.end_state = flow.end_state, state


def _inactive(flow: Flow, size: int, flags: int) -> None:
    """The first segment of an end."""
    peer = flow.peer
    if flags & SYN:
        if flow.orig:
            _enter(flow, SYN_ACK_SENT if flags & ACK else SYN_SENT)
        else:
            if peer.end_state == SYN_SENT:
                _enter(peer, ESTABLISHED)
            _enter(flow, ESTABLISHED)
    if flags & FIN:
        _enter(flow, CLOSED)
    if flags & RST:
        _enter(flow, RESET)
    if flow.end_state != INACTIVE:
        return
    if not flow.orig and not size and peer.end_state == SYN_SENT:
        return  # some acknowledge a SYN before they answer it
    _enter(flow, ESTABLISHED if flags & ACK and peer.end_state == ESTABLISHED else PARTIAL)


def _leave(flow: Flow, flags: int) -> None:
    """A FIN or RST of an end that was seen before."""
    peer = flow.peer
    if flow.end_state in {SYN_SENT, SYN_ACK_SENT}:
        if flags & FIN:
            _enter(flow, CLOSED)
        if flags & RST:
            _enter(flow, RESET)
    elif flow.end_state in {ESTABLISHED, PARTIAL}:
        if flags & RST:
            _enter(flow, RESET)
        else:
            _enter(flow, CLOSED)
            if peer.end_state == RESET and peer.previous_state == CLOSED:
                _enter(peer, CLOSED)  # it had closed before it reset
    elif flow.end_state == CLOSED and flags & RST and peer.end_state != CLOSED:
        _enter(flow, RESET)


_SYN_THEN_RST = re.compile(r"\^?S[^HAFGIQ]*R")


def conn_state(conn: Connection) -> str:  # noqa: PLR0911 - Zeek's table, in Zeek's order
    """Zeek's word for how a TCP connection went."""
    client, server = conn.a.end_state, conn.b.end_state
    client_silent, server_silent = client <= PARTIAL, server <= PARTIAL
    if server == RESET:
        if client in {SYN_SENT, SYN_ACK_SENT} or (client == RESET and not conn.a.bytes and not conn.b.bytes):
            return "REJ"
        return "RSTRH" if client_silent else "RSTR"
    if client == RESET:
        if server_silent:
            return "RSTOS0" if _SYN_THEN_RST.match(conn.history) else "OTH"
        return "RSTO"
    if client == server == CLOSED:
        return "SF"
    if client == CLOSED:
        return "SH" if server_silent else "S2"
    if server == CLOSED:
        return "SHR" if client_silent else "S3"
    if client == SYN_SENT and server == INACTIVE:
        return "S0"
    if client == server == ESTABLISHED:
        return "S1"
    return "OTH"
