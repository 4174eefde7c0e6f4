"""Events in the words and arrows of the ladder: what one rung says, not where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.schema import (
    Accept,
    AnyEvent,
    Bind,
    Block,
    Close,
    Connect,
    Control,
    Cut,
    End,
    Error,
    Gap,
    Inherit,
    Interest,
    Limit,
    Listen,
    Located,
    Queue,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Setsockopt,
    Shutdown,
    Signal,
    Slow,
    Socket,
    TcpInfo,
    Timer,
    Unknown,
    Unseen,
)
from evloop_trace.correlate.reasons.past import NO_TIME
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.model.sockets import WOULD_BLOCK
from evloop_trace.numbers import count, duration, size
from evloop_trace.views import tcp_info
from evloop_trace.views.waits import about, awaited, call_word, ended, short_place, waited

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    _AnyCall: TypeAlias = Recv | Send | Recvfrom | Sendto | Accept

__all__ = ["Arrow", "Rung", "brief", "rung", "woken"]


# In the accept queue, from which it is worth a word: the kernel counts in milliseconds.
_QUEUED = 10_000_000  # ns

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
    "close": "",  # the program called it: that is no reason
    "collected": "nobody referred to it any more",
    "exit": "the program ended",
}

_BITS = {"IN": "readable", "OUT": "writable", "HUP": "hung up", "RDHUP": "hung up", "ERR": "in error"}


_OURS = {  # what the runtime calls what is no server's socket
    "signals": "the signal pipe",
    "watchers": "a watcher",
    "capture": "the capture",
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
    where: str = ""  # in the program, and by which thread


def rung(
    event: AnyEvent | Unknown, *, finished: bool = False, outgoing: bool = False, deaf: bool = False
) -> Rung | None:
    """What the ladder says of an event, or None where it says nothing.

    Args:
        event: The event.
        finished: Our half of its connection had been closed before.
        outgoing: We are the client: what we send goes to the server.
        deaf: We had said that we read no more.
    """
    outgoing = outgoing or isinstance(event, Connect)
    other = "server" if outgoing else "client"
    if isinstance(event, Close):
        said = _close(event, finished=finished)
    elif write := _STREAM.get(type(event)):
        said = write(event, other)
    elif tell := _WORDS.get(type(event)):
        said = tell(event)
    else:
        return None
    if deaf and isinstance(event, Recv) and event.n == 0:
        said = said._replace(note=waited(event, "we read no more"), arrow=None)
    if finished and isinstance(event, Send) and event.errno == "EPIPE":
        said = said._replace(note=waited(event, "we had finished sending"), arrow=None)
    if outgoing and said.arrow:
        said = said._replace(arrow=said.arrow._replace(inward=not said.arrow.inward))
    return said._replace(where=short_place(event)) if isinstance(event, Located) else said


def brief(event: AnyEvent | Unknown | None, *, finished: bool = False, outgoing: bool = False) -> str:
    """An event in a few words, for a table."""
    said = rung(event, finished=finished, outgoing=outgoing) if event is not None else None
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


def _recv(event: Recv, other: str) -> Rung:
    name, word = escape_text(event.conn), call_word(event, "recv")
    if event.n is None:
        return _failed(name, word, event, "nothing has come yet", other)
    stays = "it stays in the buffer" if "MSG_PEEK" in event.flags else ""
    if event.n or not event.size:
        arrow = Arrow(True, "─", size(event.n) + _range(event.off)) if event.n and not stays else None
        note = waited(event, stays)  # that the other side sent the arrow says
        return Rung(name, "in", f"{word} = {count(event.n)}", note, _quoted(event.data, event.n), arrow)
    note = waited(event, f"the {other} has finished sending")
    return Rung(name, "life", f"{word} = 0", note, "", Arrow(True, "═", _fin(event.conn)))


def _send(event: Send, other: str) -> Rung:
    name, word = escape_text(event.conn), call_word(event, "send")
    if event.n is None:
        return _failed(name, word, event, "the kernel's buffer is full", other)
    arrow = Arrow(False, "─", size(event.n) + _range(event.off))
    payload = _quoted(event.data[: event.n], event.n)
    if event.n < event.size:
        call = f"{word[:-1]}{count(event.size)}) = {count(event.n)}"
        return Rung(name, "trouble", call, waited(event, "the kernel's buffer is full"), payload, arrow)
    return Rung(name, "out", f"{word} = {count(event.n)}", waited(event, ""), payload, arrow)


def _failed(name: str, word: str, event: _AnyCall, not_now: str, other: str = "") -> Rung:
    errno = escape_text(event.errno or "failed")
    call = f"{word} {errno}"
    if errno in WOULD_BLOCK:
        return Rung(name, "quiet", call, not_now)
    if words := ended(event.errno):
        return Rung(name, "trouble", call, waited(event, words))
    if other and errno in ("ECONNRESET", "EPIPE"):
        note = waited(event, f"the {other} has reset it")
        return Rung(name, "trouble", call, note, "", Arrow(True, "━", "RST"))
    return Rung(name, "trouble", call, waited(event, ""))


def _recvfrom(event: Recvfrom) -> Rung:
    name, word = escape_text(event.sock), call_word(event, "recvfrom")
    if event.n is None:
        return _failed(name, word, event, "nothing has come yet")
    parts = [f"from {escape_text(event.peer or '?')}"]
    parts += ["the rest is cut off"] if event.truncated else []
    parts += ["it stays in the buffer"] if "MSG_PEEK" in event.flags else []
    arrow = Arrow(True, "┄", size(event.n))
    kind = "trouble" if event.truncated else "in"
    payload = _quoted(event.data, event.n)
    return Rung(name, kind, f"{word} = {count(event.n)}", waited(event, ", ".join(parts)), payload, arrow)


def _sendto(event: Sendto) -> Rung:
    name, word = escape_text(event.sock), call_word(event, "sendto")
    if event.n is None:
        return _failed(name, word, event, "the kernel's buffer is full")
    arrow = Arrow(False, "┄", size(event.n))
    note = waited(event, f"to {escape_text(event.peer)}")
    return Rung(name, "out", f"{word} = {count(event.n)}", note, _quoted(event.data, event.n), arrow)


def _accept(event: Accept) -> Rung:
    sock, word = escape_text(event.sock), call_word(event, "accept")
    if event.conn is None:
        return _failed(sock, word, event, "nobody waits in the queue")
    conn = escape_text(event.conn)
    parts = (
        f"from {escape_text(event.peer)}" if event.peer else "",
        "" if event.pid is None else f"from pid {event.pid}",
        f"it waited {duration(event.waited)} in the queue"
        if event.waited and event.waited >= _QUEUED
        else "",
        f"{count(event.queued)} still wait" if event.queued else "",
    )
    note = waited(event, ", ".join(filter(None, parts)))
    return Rung(conn, "life", f"{word} = fd {event.fd}", note, "", Arrow(True, "═", "connection"))


def _socket(event: Socket) -> Rung:
    name, word = escape_text(event.sock or ""), call_word(event, "socket")
    if event.errno:
        return Rung(name, "trouble", f"{word} {escape_text(event.errno)}")
    note = f"the other end is {escape_text(event.pair)}" if event.pair else ""
    return Rung(name, "quiet", f"{word} = {name}", note)


def _inherit(event: Inherit) -> Rung:
    ends = " → ".join([escape_text(end) for end in (event.address, event.peer) if end])
    return Rung(escape_text(event.name), "life", "inherited", ends)


def _connect(event: Connect) -> Rung:
    """The one call that goes to the server, whoever draws it; a datagram socket sends nothing."""
    name, word = escape_text(event.conn or event.sock or ""), call_word(event, "connect")
    to = f"to {escape_text(event.peer)}" if event.peer else ""
    arrow = Arrow(False, "═", "connection") if event.conn else None
    if event.errno == "EINPROGRESS":
        return Rung(name, "quiet", f"{word} {event.errno}", f"{to}: the handshake goes on", "", arrow)
    if event.errno in WOULD_BLOCK:  # connect(2): a Unix socket that does not wait
        return Rung(name, "trouble", f"{word} {event.errno}", f"{to}: its queue is full")
    if event.errno:
        refused = event.errno == "ECONNREFUSED"
        why = "nobody listens there" if refused else ended(event.errno)
        arrow = Arrow(True, "━", "RST") if refused and event.conn and _fin(name) == "FIN" else None
        note = waited(event, ": ".join(filter(None, (to, why))))
        return Rung(name, "trouble", f"{word} {escape_text(event.errno)}", note, "", arrow)
    return Rung(name, "life", f"{word} = 0", waited(event, to), "", arrow)


def _setsockopt(event: Setsockopt) -> Rung:
    name = escape_text(event.conn or event.sock or "")
    no_time = event.option == "SO_LINGER" and event.value in NO_TIME  # a struct, which nobody can read
    value = "0 s" if no_time else escape_text(event.value)
    call = f"setsockopt({escape_text(event.option)}, {value})"
    if event.errno:
        return Rung(name, "trouble", f"{call} {escape_text(event.errno)}")
    return Rung(name, "quiet", call)


def _block(event: Block) -> Rung:
    patience = "" if event.timeout is None else f", at most {duration(event.timeout)}"
    note = f"blocks: {awaited(event)}{patience}"
    return Rung(escape_text(event.conn or event.sock or ""), "quiet", f"{about(event)} …", note)


def _unseen(event: Unseen) -> Rung:
    return Rung("", "trouble", f"not in this log: {escape_text(event.what)}", escape_text(event.reason))


def _shutdown(event: Shutdown) -> Rung:
    arrow = Arrow(False, "═", _fin(event.conn))
    call = f"shutdown({escape_text(event.how)})"
    if event.errno:
        return Rung(escape_text(event.conn), "trouble", f"{call} {escape_text(event.errno)}")
    if event.how == "SHUT_RD":
        return Rung(escape_text(event.conn), "life", call, "we will not read any more")
    return Rung(escape_text(event.conn), "life", call, "we have finished sending", "", arrow)


def _close(event: Close, *, finished: bool) -> Rung:
    name = escape_text(event.conn or event.sock or "")
    why = _REASONS.get(event.reason, escape_text(event.reason))
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


def _control(event: Control) -> Rung:
    return Rung("", "life", f"{escape_text(event.gate)} is {'held' if event.held else 'released'}")


def _slow(event: Slow) -> Rung:
    note = f"at work for {duration(event.dur)}, everybody waited"
    return Rung(escape_text(event.conn or ""), "trouble", "slow tick", note)


def _listen(event: Listen) -> Rung:
    if event.errno:
        return Rung(escape_text(event.sock), "trouble", f"listen() {escape_text(event.errno)}")
    note = f"{escape_text(event.address)}, queue of {count(event.backlog)}"
    return Rung(escape_text(event.sock), "life", "listen()", note)


def _bind(event: Bind) -> Rung:
    errno = f" {escape_text(event.errno)}" if event.errno else ""
    kind = "trouble" if errno else "life"
    return Rung(escape_text(event.sock), kind, f"bind(){errno}", escape_text(event.address))


def _tcp_info(event: TcpInfo) -> Rung:
    call = f"tcp_info: {escape_text(event.state)}"
    return Rung(escape_text(event.conn), "quiet", call, tcp_info.words(event))


def _timer(event: Timer) -> Rung:
    late = f", {duration(event.late)} late" if event.late >= 1_000_000 else ""
    return Rung("", "life", "timer", escape_text(event.why) + late)


def _error(event: Error) -> Rung:
    note = f"{escape_text(event.where)}: {escape_text(event.message)}"
    return Rung(escape_text(event.conn or event.sock or ""), "trouble", "error", note)


_STREAM: dict[type, Callable[[Any, str], Rung]] = {Recv: _recv, Send: _send}

_WORDS: dict[type, Callable[[Any], Rung]] = {
    Socket: _socket,
    Inherit: _inherit,
    Connect: _connect,
    Setsockopt: _setsockopt,
    Block: _block,
    Unseen: _unseen,
    Recvfrom: _recvfrom,
    Sendto: _sendto,
    Accept: _accept,
    Shutdown: _shutdown,
    Interest: _interest,
    Limit: _limit,
    Control: _control,
    Slow: _slow,
    Listen: _listen,
    Timer: _timer,
    Error: _error,
    Bind: _bind,
    TcpInfo: _tcp_info,
    Signal: lambda e: Rung("", "life", "signal", escape_text(e.signal)),
    Queue: lambda e: Rung(
        escape_text(e.sock), "quiet", f"queue {count(e.queued)}/{count(e.backlog)}", "wait for accept()"
    ),
    Refuse: lambda e: Rung(
        escape_text(e.sock), "trouble", f"no answer to {escape_text(e.peer)}", escape_text(e.reason)
    ),
    Gap: lambda e: Rung(
        "", "quiet" if e.wanted else "trouble", f"{count(e.lost)} events missing", escape_text(e.reason)
    ),
    Cut: lambda e: Rung("", "life", "the file ends", escape_text(e.reason)),
    End: lambda e: Rung("", "life", "end", escape_text(e.reason)),
}
