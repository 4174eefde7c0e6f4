"""Events in the words and arrows of the ladder: what one rung says, not where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.schema import (
    Accept,
    AnyEvent,
    Bind,
    Close,
    End,
    Error,
    Gap,
    Interest,
    Limit,
    Listen,
    Queue,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Shutdown,
    Signal,
    Slow,
    Timer,
)
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.views.numbers import count, duration, size

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Arrow", "Rung", "brief", "rung", "woken"]

_NOT_NOW = ("EAGAIN", "EWOULDBLOCK")

_REASONS = {
    "eof": "both have finished",
    "error": "the connection failed",
    "handler-error": "the handler raised an error",
    "idle-timeout": "idle for too long",
    "lifetime": "open for too long",
    "drained": "everything was sent",
    "drain-timeout": "it did not end in time",
    "aborted": "aborted",
    "stop": "the server stops",
}

_BITS = {"IN": "readable", "OUT": "writable", "HUP": "hung up", "RDHUP": "hung up", "ERR": "in error"}


_OURS = {  # what the runtime calls what is no server's socket
    "signals": "the signal pipe",
    "watchers": "a watcher",
    "evloop": "the loop's own",  # any of them, in older logs
}


class Arrow(NamedTuple):
    """What crosses the wire on a rung."""

    inward: bool  # from the client to the server
    stroke: str  # the character that the shaft is made of
    label: str


class Rung(NamedTuple):
    """One event on the ladder."""

    name: str  # of the socket
    kind: str  # in, out, life, quiet or trouble: what its colour says
    call: str  # the call, or what happened
    note: str = ""  # what it means
    payload: str = ""
    arrow: Arrow | None = None


def rung(event: AnyEvent, *, finished: bool = False) -> Rung | None:
    """What the ladder says of an event, or None where it says nothing.

    Args:
        event: The event.
        finished: Our half of its connection had been closed before.
    """
    if isinstance(event, Close):
        return _close(event, finished=finished)
    write = _WORDS.get(type(event))
    return write(event) if write else None


def brief(event: AnyEvent | None) -> str:
    """An event in a few words, for a table."""
    said = rung(event) if event is not None else None
    if said is None:
        return ""
    return " · ".join(filter(None, (said.call, said.note)))


def woken(ready: list[tuple[str, str]], limit: int = 3) -> str:
    """Who woke the loop, from what the selector said."""
    if not ready:
        return ""
    who = [f"{_OURS.get(name) or escape_text(name)} {_bits(bits)}" for name, bits in ready[:limit]]
    more = len(ready) - limit
    return ", ".join(who) + (f" and {count(more)} more" if more > 0 else "")


def _bits(bits: str) -> str:
    words = dict.fromkeys(_BITS.get(bit, escape_text(bit)) for bit in bits.split("|"))
    return " and ".join(words)


def _range(off: tuple[int, int] | None) -> str:
    return f" [{off[0]},{off[1]})" if off else ""


def _quoted(data: bytes, total: int | None) -> str:
    return f'"{escape_payload(data, 256, total)}"' if data else ""


def _fin(name: str) -> str:
    """TCP ends a stream with a FIN; a Unix socket has no segments."""
    return "FIN" if name.startswith("tcp") else "end"


def _recv(event: Recv) -> Rung:
    name = escape_text(event.conn)
    if event.n:
        arrow = Arrow(True, "─", size(event.n) + _range(event.off))
        return Rung(name, "in", f"recv() = {count(event.n)}", "", _quoted(event.data, event.n), arrow)
    if event.n == 0:
        arrow = Arrow(True, "═", _fin(event.conn))
        return Rung(name, "life", "recv() = 0", "the client has finished sending", "", arrow)
    return _failed(name, "recv()", event.errno, "nothing has come yet", inward=True)


def _send(event: Send) -> Rung:
    name = escape_text(event.conn)
    if event.n is None:
        return _failed(name, "send()", event.errno, "the kernel's buffer is full", inward=True)
    arrow = Arrow(False, "─", size(event.n) + _range(event.off))
    payload = _quoted(event.data[: event.n], event.n)
    if event.n < event.size:
        call = f"send({count(event.size)}) = {count(event.n)}"
        return Rung(name, "trouble", call, "the kernel's buffer is full", payload, arrow)
    return Rung(name, "out", f"send() = {count(event.n)}", "", payload, arrow)


def _failed(name: str, call: str, errno: str | None, not_now: str, *, inward: bool) -> Rung:
    errno = escape_text(errno or "failed")
    if errno in _NOT_NOW:
        return Rung(name, "quiet", f"{call} {errno}", not_now)
    reset = errno in ("ECONNRESET", "EPIPE")
    arrow = Arrow(inward, "━", "RST") if reset else None
    return Rung(name, "trouble", f"{call} {errno}", "the client has reset it" if reset else "", "", arrow)


def _recvfrom(event: Recvfrom) -> Rung:
    name = escape_text(event.sock)
    if event.n is None:
        return _failed(name, "recvfrom()", event.errno, "nothing has come yet", inward=True)
    note = f"from {escape_text(event.peer or '?')}" + (", the rest is cut off" if event.truncated else "")
    arrow = Arrow(True, "┄", size(event.n))
    kind = "trouble" if event.truncated else "in"
    payload = _quoted(event.data, event.n)
    return Rung(name, kind, f"recvfrom() = {count(event.n)}", note, payload, arrow)


def _sendto(event: Sendto) -> Rung:
    name = escape_text(event.sock)
    if event.n is None:
        return _failed(name, "sendto()", event.errno, "the kernel's buffer is full", inward=False)
    arrow = Arrow(False, "┄", size(event.n))
    note = f"to {escape_text(event.peer)}"
    return Rung(name, "out", f"sendto() = {count(event.n)}", note, _quoted(event.data, event.n), arrow)


def _accept(event: Accept) -> Rung:
    sock = escape_text(event.sock)
    if event.conn is None:
        return _failed(sock, "accept()", event.errno, "nobody waits in the queue", inward=True)
    conn = escape_text(event.conn)
    peer = f"from {escape_text(event.peer)}" if event.peer else ""
    wait = f"{count(event.queued)} still wait" if event.queued else ""
    note = ", ".join(filter(None, (peer, wait)))
    return Rung(conn, "life", f"accept() = fd {event.fd}", note, "", Arrow(True, "═", "connection"))


def _shutdown(event: Shutdown) -> Rung:
    arrow = Arrow(False, "═", _fin(event.conn))
    call = f"shutdown({escape_text(event.how)})"
    if event.errno:
        return Rung(escape_text(event.conn), "trouble", f"{call} {escape_text(event.errno)}")
    return Rung(escape_text(event.conn), "life", call, "we have finished sending", "", arrow)


def _close(event: Close, *, finished: bool) -> Rung:
    name = escape_text(event.conn or event.sock or "")
    why = _REASONS.get(event.reason) or escape_text(event.reason)
    left = [
        f"{size(number)} {what}"
        for number, what in (
            (event.unread or 0, "never read"),
            (event.buffered, "never sent"),
            (event.unsent or 0, "not acknowledged"),
        )
        if number
    ]
    trouble = bool(left or event.errno or event.reason.endswith("error"))
    note = ", ".join([why if event.conn else "", *left]).strip(", ")
    arrow = _farewell(event, finished=finished)
    return Rung(name, "trouble" if trouble else "life", "close()", note, "", arrow)


def _farewell(event: Close, *, finished: bool) -> Arrow | None:
    """What close() makes the kernel send: bytes that nobody read turn the FIN into a reset."""
    if event.conn is None or event.errno:
        return None
    if event.unread and event.conn.startswith("tcp"):
        return Arrow(False, "━", "RST")
    return None if finished else Arrow(False, "═", _fin(event.conn))


def _interest(event: Interest) -> Rung:
    name = escape_text(event.conn or event.sock or "")
    old, new = (escape_text(mask) or "nothing" for mask in (event.old, event.new))
    return Rung(name, "quiet", f"watch {old} → {new}", escape_text(event.reason))


def _limit(event: Limit) -> Rung:
    name = escape_text(event.conn or event.sock or "")
    call = "limit reached" if event.active else "limit left"
    return Rung(name, "trouble" if event.active else "quiet", call, escape_text(event.what))


def _slow(event: Slow) -> Rung:
    note = f"at work for {duration(event.dur)}, everybody waited"
    return Rung(escape_text(event.conn or ""), "trouble", "slow tick", note)


def _listen(event: Listen) -> Rung:
    note = f"{escape_text(event.address)}, queue of {count(event.backlog)}"
    return Rung(escape_text(event.sock), "life", "listen()", note)


def _timer(event: Timer) -> Rung:
    late = f", {duration(event.late)} late" if event.late >= 1_000_000 else ""
    return Rung("", "life", "timer", escape_text(event.why) + late)


def _error(event: Error) -> Rung:
    note = f"{escape_text(event.where)}: {escape_text(event.message)}"
    return Rung(escape_text(event.conn or event.sock or ""), "trouble", "error", note)


_WORDS: dict[type, Callable[[Any], Rung]] = {
    Recv: _recv,
    Send: _send,
    Recvfrom: _recvfrom,
    Sendto: _sendto,
    Accept: _accept,
    Shutdown: _shutdown,
    Interest: _interest,
    Limit: _limit,
    Slow: _slow,
    Listen: _listen,
    Timer: _timer,
    Error: _error,
    Bind: lambda e: Rung(escape_text(e.sock), "life", "bind()", escape_text(e.address)),
    Signal: lambda e: Rung("", "life", "signal", escape_text(e.signal)),
    Queue: lambda e: Rung(
        escape_text(e.sock), "quiet", f"queue {count(e.queued)}/{count(e.backlog)}", "wait for accept()"
    ),
    Refuse: lambda e: Rung(
        escape_text(e.sock), "trouble", f"no answer to {escape_text(e.peer)}", escape_text(e.reason)
    ),
    Gap: lambda e: Rung("", "trouble", f"{count(e.lost)} events missing", escape_text(e.reason)),
    End: lambda e: Rung("", "life", "end", escape_text(e.reason)),
}
