"""What is notable about a connection, in words."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING

from evloop_trace.packets import machine, segments
from evloop_trace.packets.endpoints import conn_state
from evloop_trace.packets.flow import TCP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.packets.flow import Connection, Flow

__all__ = ["notes", "verdict"]

_AGAIN = (segments.RETRANSMISSION, segments.FAST, segments.SPURIOUS)


def verdict(conn: Connection) -> str:
    """One sentence, without a full stop: how it went, and what troubled it."""
    outcome = _tcp(conn) if conn.proto == TCP else _udp(conn)
    return "; ".join([outcome, *_troubles(conn)])


def notes(conn: Connection) -> list[str]:
    """A sentence for each notable thing, without a full stop."""
    found = [*_opening(conn), *_flow_notes(conn.a), *_flow_notes(conn.b), *_closing(conn)]
    return [*found, *_errors(conn)]


def _often(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def _times(number: int) -> str:
    return "" if number == 1 else f" {_often(number)}"


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _end(client: bool) -> str:
    return "the client" if client else "the server"


def _tcp(conn: Connection) -> str:  # noqa: PLR0911 - a return an outcome
    state = conn_state(conn)
    if conn.self_connect:
        return "self-connect: a socket that connected to itself, so both directions look the same"
    if state == "S0":
        return _unanswered(conn)
    if state in {"REJ", "RSTR", "RSTRH", "RSTO", "RSTOS0"}:
        return _reset(conn, state)
    if state == "SF":
        return f"opened, {_exchanged(conn)}, closed by both ends{_first_closer(conn)}"
    if state in {"S2", "S3", "SH", "SHR"}:
        closer = _end(state in {"S2", "SH"})
        return f"{_how_begun(conn)}, {_exchanged(conn)}, closed only by {closer} when the capture ends"
    if conn.b.state == machine.SYN_RECEIVED:
        return "half-open: the server answered the SYN, and no ACK of that is in the capture"
    if state == "S1":
        return f"established, {_exchanged(conn)}, still open when the capture ends"
    return _partial(conn)


def _unanswered(conn: Connection) -> str:
    if conn.errors:
        return f"not reached: the SYN was answered by ICMP {conn.errors[0].what}"
    if conn.b.packets:
        return "half-open: the server acknowledged the SYN, but sent none itself"
    if conn.a.syns > 1:
        return f"no answer: the client sent its SYN {_often(conn.a.syns)}"
    return "no answer to the SYN"


def _reset(conn: Connection, state: str) -> str:
    by = _end(bool(conn.reset))
    if state == "RSTOS0":
        return "given up: the client sent SYN, then RST, and no answer is in the capture"
    if conn.bits & 3 == 1 and not conn.reset:
        return "refused: the server answered the SYN with RST"
    if conn.closer is not None:
        return f"{_how_begun(conn)}, {_exchanged(conn)}, reset by {by} after {_end(conn.closer)} had sent FIN"
    return f"{_how_begun(conn)}, {_exchanged(conn)}, reset by {by}"


def _how_begun(conn: Connection) -> str:
    if not conn.first_bits & 1:
        return "begun before the capture"
    return "opened" if conn.b.packets else "never answered"


def _first_closer(conn: Connection) -> str:
    if conn.crossed:
        return " at once"
    return "" if conn.closer is None else f", {_end(conn.closer)} first"


def _exchanged(conn: Connection) -> str:
    if not conn.a.bytes and not conn.b.bytes:
        return "no data"
    return f"{conn.a.bytes:,} B from the client, {conn.b.bytes:,} B from the server"


def _partial(conn: Connection) -> str:
    ended = conn.a.state == conn.b.state == machine.CLOSED or machine.TIME_WAIT in {
        conn.a.state,
        conn.b.state,
    }
    if conn.first_bits & 1:
        return f"opened in an unusual way, {_exchanged(conn)}"
    if conn.reset is not None:
        return f"begun before the capture, {_exchanged(conn)}, reset by {_end(conn.reset)}"
    return f"begun before the capture, {_exchanged(conn)}, {'closed' if ended else 'not closed in it'}"


def _udp(conn: Connection) -> str:
    sent, came = conn.a.packets, conn.b.packets
    if came:
        return f"{_many(sent, 'datagram')} from the client, {came:,} from the server"
    if conn.errors:
        return f"{_many(sent, 'datagram')}, answered by ICMP {conn.errors[0].what}"
    return f"{_many(sent, 'datagram')}, no answer"


def _troubles(conn: Connection) -> Iterator[str]:
    """What the verdict adds."""
    again, unseen = 0, 0
    for flow in (conn.a, conn.b):
        counts = flow.counts
        if not counts:
            continue
        again += sum(
            [counts.get(bit, 0) for bit in (segments.RETRANSMISSION, segments.FAST, segments.SPURIOUS)]
        )
        unseen += counts.get(segments.ACKED_UNSEEN, 0)
        if counts.get(segments.ZERO_WINDOW):
            yield f"{_end(flow.orig)}'s window was full"
    if again and not (conn.a.syns > 1 and conn_state(conn) == "S0"):
        yield f"{_many(again, 'segment')} sent again"
    if unseen:
        yield "the capture misses segments that arrived"


def _opening(conn: Connection) -> Iterator[str]:
    if conn.reused:
        yield "port reuse: a new connection between the ports of an earlier one"
    if (syns := _syns(conn.a)) > 1:
        yield f"SYN retries: the client sent SYN {_often(syns)}"
    if conn.b.syns > 1:
        yield f"SYN ACK retries: the server sent SYN {_often(conn.b.syns)}"
    if "S" in conn.history and "s" in conn.history:
        yield "simultaneous open: both ends sent SYN before either had the other's"


def _syns(flow: Flow) -> int:
    """How often it sent its SYN; that of a self-connect is answered by the same end."""
    return flow.syns - (flow.conn.self_connect and flow.syns > 1)


def _flow_notes(flow: Flow) -> Iterator[str]:
    """What one end did, or had to do."""
    who, other = _end(flow.orig), _end(not flow.orig)
    counts = Counter(flow.counts or {})
    counts[segments.RETRANSMISSION] -= max(0, _syns(flow) - 1)  # told as SYN retries
    yield from _again(counts, who, other)
    late, missing = counts[segments.OUT_OF_ORDER], counts[segments.LOST]
    if late:
        yield f"out of order: {_many(late, 'segment')} from {who} came late"
    if counts[segments.DUP_ACK]:
        yield f"duplicate ACK: {who} repeated an ACK {_often(counts[segments.DUP_ACK])}"
    if counts[segments.ACKED_UNSEEN]:
        yield f"capture loss: {who} acknowledged what {other} sent and the capture does not have"
    elif missing:
        kept = ", and was sent again: it was lost in the network" if _resent(counts) else ""
        yield f"a gap: something that {who} sent is not in the capture{_times(missing)}{kept}"
    yield from _window(counts, who, other)


def _resent(counts: Counter[int]) -> bool:
    return counts[segments.RETRANSMISSION] > 0 or bool(counts[segments.FAST] or counts[segments.OUT_OF_ORDER])


def _again(counts: Counter[int], who: str, other: str) -> Iterator[str]:
    tail = counts[segments.TAIL]
    plain = counts[segments.RETRANSMISSION] - tail
    if plain > 0:
        yield f"retransmission: {who} sent {_many(plain, 'segment')} again"
    if counts[segments.FAST]:
        yield (
            f"fast retransmission: {who} sent {_many(counts[segments.FAST], 'segment')} again "
            "because of duplicate ACKs"
        )
    if counts[segments.SPURIOUS]:
        number = _many(counts[segments.SPURIOUS], "segment")
        yield f"spurious retransmission: {who} sent {number} again that {other} had acknowledged"
    if tail:
        number = _many(tail, "last segment")
        yield f"tail-loss probe: {who} sent {number} again before any timeout, to learn if it had arrived"


def _window(counts: Counter[int], who: str, other: str) -> Iterator[str]:
    probes, pure = counts[segments.PROBE] + counts[segments.PURE_PROBE], counts[segments.PURE_PROBE]
    if counts[segments.WINDOW_FULL]:
        yield f"window full: {who} sent all that {other} has room for{_times(counts[segments.WINDOW_FULL])}"
    if counts[segments.ZERO_WINDOW]:
        yield f"zero window: {who} had no room for more{_times(counts[segments.ZERO_WINDOW])}"
    if probes:
        yield f"zero window probe: {who} asked {_often(probes)} whether {other} has room again"
    if counts[segments.UPDATE]:
        yield f"window update: {who} announced another window{_times(counts[segments.UPDATE])}"
    alive = counts[segments.KEEP_ALIVE] - pure
    if alive > 0:
        yield f"keep-alive: {who} asked {_often(alive)} whether {other} is still there"


def _closing(conn: Connection) -> Iterator[str]:
    if conn.proto != TCP:
        return
    if conn.crossed:
        yield "simultaneous close: both ends sent FIN before either had the other's"
    elif conn.closer is not None:
        other = conn.b if conn.closer else conn.a
        late = other.bytes - conn.before_fin
        if late > 0:
            yield f"half-close: {_end(other.orig)} sent {late:,} B more after {_end(conn.closer)}'s FIN"
        elif other.fin < 0 and conn.reset is None:
            yield f"half-close: {_end(other.orig)} has not closed"
    for flow in (conn.a, conn.b):
        if flow.resets:
            yield f"reset: {_end(flow.orig)} sent {_many(flow.resets, 'RST')}"


def _errors(conn: Connection) -> Iterator[str]:
    """ICMP errors: what, from whom, about whose packets, how often."""
    seen = Counter((error.what, error.sender, error.client) for error in conn.errors or ())
    for (what, sender, client), number in seen.items():
        yield f"ICMP {what}{_times(number)}, from {ip_address(sender)}, about what {_end(client)} sent"
