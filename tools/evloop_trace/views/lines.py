"""One line of text an event: the replay for a pipe, a file, a pager.

A million events come through here, so the two most frequent ones have their lines written out, and
what repeats (names, results) is formatted once. Whatever a log says passes `escape` on its way.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeAlias

from evloop.events import schema
from evloop.events.schema import Call, Located, Recv, Send, Unknown
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.model.sockets import DATAGRAMS
from evloop_trace.numbers import duration, plural
from evloop_trace.views import tcp_info
from evloop_trace.views.cells import padded
from evloop_trace.views.waits import awaited, call_word, ended, place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evloop.events.schema import AnyEvent, Event

__all__ = ["NAME", "format_event", "format_events"]

PAYLOAD = 48
"""Bytes of a payload on a line."""

NAME = 10
"""Cells of the column for names, where they are of one log."""

_CALL = 27
_Told: TypeAlias = tuple[str | None, str]  # whose it is, if it has a name, and what happened
_MICROS = [f"{micros:03d}" for micros in range(1000)]


def format_events(
    events: Iterable[AnyEvent | Unknown], logs: Iterable[str] = (), name: int = NAME
) -> list[str]:
    """A line for each event, without its newline.

    Args:
        events: They may be of several logs.
        logs: Then the label of each event's, which stands where a socket's name would if the event has none.
        name: Cells of the column for these names.
    """
    formats, stream = _FORMATS, (Recv, Send)
    millis, tick, head, turn = -1, -1, "", ""
    lines: list[str] = []
    append = lines.append
    for event, log in zip(events, chain(logs, repeat("")), strict=False):
        if not isinstance(event, stream):
            whose, text = formats[type(event)](event)
            append(f"{_head(event)}{_name(whose or log, name)}{text}")
            continue
        t, where = event.t, ""
        if event.where:
            t, where = t + event.dur, _place(event)
        if (now := t // 1_000_000) != millis:  # what many lines share is formatted once
            millis, head = now, _millis(now)
        if event.tick != tick:
            tick = event.tick
            turn = _turn(tick)
        micros = _MICROS[t // 1000 % 1000]
        append(
            f"{head}{micros}{turn}{_name(event.conn, name)}{_bytes(event)}{_took(event.dur // 100)}{where}"
        )
    return lines


def format_event(event: AnyEvent | Unknown) -> str:
    """One event's line, without a newline."""
    return format_events((event,))[0]


def _bytes(event: Recv | Send) -> str:
    """What a recv() or send() did."""
    n = event.n
    word = event.call or ("recv" if type(event) is Recv else "send")
    call = _stream_call(word, event.size, event.flags, n, event.errno)
    if n is None:
        return call + ended(event.errno)
    off = event.off
    span = "" if off is None else f"[{off[0]},{off[1]})"
    if event.data:
        return f'{call}{span:<18}"{_payload(event.data[: PAYLOAD + 1], n)}"'
    return f"{call}{span:<18}end of stream" if n == 0 and event.size and type(event) is Recv else call + span


@lru_cache(maxsize=4096)
def _stream_call(word: str, size: int, flags: str, n: int | None, errno: str | None) -> str:
    """`recv(65536) = 18` in its column."""
    result = f"-1 {escape_text(errno or 'unknown')}" if n is None else str(n)
    flags = f", {escape_text(flags)}" if flags else ""
    return f"{escape_text(word)}({size}{flags}) = {result}".ljust(_CALL) + " "


@lru_cache(maxsize=4096)
def _payload(data: bytes, total: int) -> str:
    """Its beginning: programs say the same again and again."""
    return escape_payload(data, PAYLOAD, total)


def _millis(millis: int) -> str:
    return f"{millis // 1000:7d}.{millis % 1000:03d}"


def _turn(tick: int) -> str:
    return f"  tick {tick:<6d} "


def _head(event: AnyEvent | Unknown) -> str:
    """When it was, and in which tick.

    The calls of a program may sleep for long, and are told when they have returned: that is their time here.
    """
    t = event.t + event.dur if isinstance(event, Call) and event.where else event.t
    return f"{_millis(t // 1_000_000)}{_MICROS[t // 1000 % 1000]}{_turn(event.tick)}"


@lru_cache(maxsize=4096)
def _took(tenths: int) -> str:
    """How long a call took, given in tenths of a microsecond."""
    return f"  +{tenths / 10:.1f} µs" if tenths < 10_000 else f"  +{duration(tenths * 100)}"


@lru_cache(maxsize=4096)
def _name(name: str, cells: int) -> str:
    """A socket's name in its column; a long one pushes what follows to the right."""
    return padded(escape_text(name), cells, str.ljust) + " "


def _place(event: Located) -> str:
    """Where in the program it was called, and by whom: at the line's end."""
    where = place(event)
    return f"  {where}" if where else ""


def _result(word: str, errno: str | None, success: str) -> str:
    return f"{word} = -1 {escape_text(errno)}" if errno else f"{word}{success}"


def _header(event: schema.Header) -> _Told:
    versions = " ".join(f"{key} {value}" for key, value in event.versions.items())
    argv = " ".join(event.argv)
    return _note(
        event, None, "header", f"{argv}  pid {event.pid}  {versions}  {_model(event)}"
        f"  payload {event.payload}({event.payload_max})"
    )  # fmt: skip


def _model(event: schema.Header) -> str:
    """What kind of program it is; only our loop has the rest always."""
    parts = (event.model if event.model != "loop" else "", event.selector)
    return "  ".join(filter(None, (*parts, f"mode {event.mode}" if event.mode else "")))


def _note(event: AnyEvent | Unknown | Event, name: str | None, what: str, text: str) -> _Told:
    """What is no call: a word and a sentence."""
    where = _place(event) if isinstance(event, Located) else ""
    return name, f"{what:<{_CALL}} {escape_text(text)}{where}"


def _call(event: Call, name: str | None, result: str, text: str = "") -> _Told:
    took = _took(event.dur // 100)
    return name, f"{result:<{_CALL}} {escape_text(text)}{took}{_place(event)}"


def _clock(event: schema.Clock) -> _Told:
    text = f"mono {event.mono_ns} ns  wall {event.wall_ns} ns  within {event.bracket_ns} ns"
    return _note(event, None, "clock", text)


def _poll(event: schema.Poll) -> _Told:
    timeout = "∞" if event.timeout is None else _span(event.timeout)
    ready = ", ".join([f"{sock} {bits}" for sock, bits in event.ready[:12]])
    more = f" and {len(event.ready) - 12} more" if len(event.ready) > 12 else ""
    why = f" ({event.why})" if event.why else ""
    woke = ready or ended(event.errno) or ("" if event.errno else "timeout")
    text = f"slept {_span(event.dur)} of {timeout}{why}  {woke}{more}".rstrip()
    return _note(event, None, _result(call_word(event, "poll"), event.errno, f" = {len(event.ready)}"), text)


def _span(ns: int) -> str:
    return duration(min(ns, 2**63))


def _listen(event: schema.Listen) -> _Told:
    result = _result(f"listen({event.backlog})", event.errno, " = 0")
    return _call(event, event.sock, result, f"{event.proto} {event.address}  fd {event.fd}")


def _bind(event: schema.Bind) -> _Told:
    result = _result("bind()", event.errno, " = 0")
    return _call(event, event.sock, result, f"{event.proto} {event.address}  fd {event.fd}")


def _socket(event: schema.Socket) -> _Told:
    pair = f"  the other end is {event.pair}" if event.pair else ""
    fd = "" if event.fd is None else f"  fd {event.fd}"
    result = _result(call_word(event, "socket"), event.errno, f" = {escape_text(event.sock or '')}")
    return _call(event, event.sock, result, f"{event.proto}{fd}{pair}")


def _inherit(event: schema.Inherit) -> _Told:
    ends = " → ".join(filter(None, (event.address, event.peer)))
    what = "listens" if event.listens else f"received {event.received} B, sent {event.sent} B before"
    if event.proto in DATAGRAMS:  # a program's are not counted from before it was theirs
        counted = f"{plural(event.accepted, 'datagram')} received, {event.sent:,} sent before"
        what = counted if event.seq < 0 else ""
    return _note(event, event.name, "inherited", f"{event.proto} {ends}  fd {event.fd}  {what}".rstrip())


def _connect(event: schema.Connect) -> _Told:
    local = f"  from {event.local}" if event.local else ""
    text = f"to {event.peer or 'an unnamed peer'}{local}  {ended(event.errno)}".rstrip()
    return _call(
        event, event.conn or event.sock, _result(call_word(event, "connect"), event.errno, " = 0"), text
    )


def _setsockopt(event: schema.Setsockopt) -> _Told:
    text = f"{event.level}  {event.option} = {event.value}"
    result = _result(call_word(event, "setsockopt"), event.errno, " = 0")
    return _call(event, event.conn or event.sock, result, text)


def _block(event: schema.Block) -> _Told:
    patience = "" if event.timeout is None else f", at most {_span(event.timeout)}"
    text = f"blocks: {awaited(event)}{patience}"
    return _note(event, event.conn or event.sock, f"{call_word(event, escape_text(event.awaits))} …", text)


def _unseen(event: schema.Unseen) -> _Told:
    return _note(event, None, "unseen", f"{event.what}: {event.reason}")


def _accept(event: schema.Accept) -> _Told:
    if event.errno:
        result = _result(call_word(event, "accept"), event.errno, "")
        return _call(event, event.sock, result, ended(event.errno))
    queued = "" if event.queued is None else f"  queue {event.queued}"
    waited = f"  waited {_span(event.waited)}" if event.waited else ""
    pid = "" if event.pid is None else f" (pid {event.pid})"
    peer = event.peer or "an unnamed peer"
    text = f"{peer}{pid} → {event.local or ''}  through {event.sock}{queued}{waited}"
    return _call(event, event.conn, f"{call_word(event, 'accept')} = {event.fd}", text)


def _recvfrom(event: schema.Recvfrom) -> _Told:
    return _datagram(event, "recvfrom", "from", " cut off (MSG_TRUNC)" if event.truncated else "")


def _sendto(event: schema.Sendto) -> _Told:
    return _datagram(event, "sendto", "to", "")


def _datagram(event: schema.Recvfrom | schema.Sendto, ev: str, way: str, note: str) -> _Told:
    word = f"{escape_text(event.call or ev)}({escape_text(event.flags)})"
    result = _result(word, event.errno, f" = {event.n}")
    peer = f"{way} {escape_text(event.peer)}" if event.peer else ended(event.errno)
    text = f'  "{escape_payload(event.data, PAYLOAD, event.n)}"' if event.data else ""
    took = _took(event.dur // 100)
    return event.sock, f"{result:<{_CALL}} {peer}{text}{note}{took}{_place(event)}"


def _shutdown(event: schema.Shutdown) -> _Told:
    return _call(event, event.conn, _result(f"shutdown({escape_text(event.how)})", event.errno, " = 0"))


def _close(event: schema.Close) -> _Told:
    parts: list[str] = [event.reason] if event.reason != "close" else []
    if event.errno:
        parts.append(event.errno)
    if event.conn is not None:
        parts.append(f"received {event.received} B, sent {event.sent} B")
    left = (("unread", event.unread), ("unsent", event.unsent), ("buffered", event.buffered))
    parts += [f"{word} {value} B" for word, value in left if value]
    return _call(event, event.conn or event.sock, "close() = 0", "  ".join(parts))


def _prepare(event: schema.Prepare) -> _Told:
    until = "for ever" if event.until is None else f"until {_span(event.until)}"
    return _note(event, None, "prepare", f"sleeps {until}: {event.why}")


def _interest(event: schema.Interest) -> _Told:
    change = f"{event.old or 'nothing'} → {event.new or 'nothing'}"
    return _note(event, event.conn or event.sock, "interest", f"{change}  ({event.reason})")


def _timer(event: schema.Timer) -> _Told:
    return _note(event, None, "timer", f"{event.why}  {_span(event.late)} late")


def _signal(event: schema.Signal) -> _Told:
    return _note(event, None, "signal", event.signal)


def _limit(event: schema.Limit) -> _Told:
    state = "reached" if event.active else "left again"
    return _note(event, event.conn or event.sock, "limit", f"{event.what}: {state}")


def _control(event: schema.Control) -> _Told:
    return _note(event, None, "control", f"{event.gate}: {'held' if event.held else 'released'}")


def _refuse(event: schema.Refuse) -> _Told:
    return _note(event, event.sock, "refuse", f"no answer to {event.peer}: {event.reason}")


def _error(event: schema.Error) -> _Told:
    return _note(event, event.conn or event.sock, "error", f"in {event.where}: {event.message}")


def _slow(event: schema.Slow) -> _Told:
    return _note(
        event, event.conn, "slow", f"the loop worked for {_span(event.dur)} without asking who is ready"
    )


def _queue(event: schema.Queue) -> _Told:
    return _note(event, event.sock, "queue", f"{event.queued}/{event.backlog} wait to be accepted")


def _tcp_info(event: schema.TcpInfo) -> _Told:
    return _note(event, event.conn, "tcp_info", f"{event.state}  {tcp_info.words(event)}".rstrip())


def _gap(event: schema.Gap) -> _Told:
    return _note(event, None, "gap", f"{event.lost} events are missing: {event.reason}")


def _cut(event: schema.Cut) -> _Told:
    return _note(event, None, "cut", f"the file ends here: {event.reason}")


def _snapshot(event: schema.Snapshot) -> _Told:
    return _note(
        event, None, "snapshot", f"{event.open} open, {event.received} B received, {event.sent} B sent"
    )


def _end(event: schema.End) -> _Told:
    lost = f", {event.lost} lost" if event.lost else ""
    return _note(event, None, "end", f"{event.reason}  {event.events} events{lost}")


def _unknown(event: Unknown) -> _Told:
    fields = "  ".join(f"{key}={value!r}" for key, value in event.fields.items())
    return _note(event, None, escape_text(event.ev), f"(unknown here)  {fields}"[:2000])


_FORMATS: dict[type, Callable[[Any], _Told]] = {
    schema.Header: _header,
    schema.Clock: _clock,
    schema.Poll: _poll,
    schema.Listen: _listen,
    schema.Bind: _bind,
    schema.Socket: _socket,
    schema.Inherit: _inherit,
    schema.Connect: _connect,
    schema.Setsockopt: _setsockopt,
    schema.Block: _block,
    schema.Unseen: _unseen,
    schema.Accept: _accept,
    schema.Recvfrom: _recvfrom,
    schema.Sendto: _sendto,
    schema.Shutdown: _shutdown,
    schema.Close: _close,
    schema.Prepare: _prepare,
    schema.Interest: _interest,
    schema.Timer: _timer,
    schema.Signal: _signal,
    schema.Limit: _limit,
    schema.Control: _control,
    schema.Refuse: _refuse,
    schema.Error: _error,
    schema.Slow: _slow,
    schema.Queue: _queue,
    schema.TcpInfo: _tcp_info,
    schema.Gap: _gap,
    schema.Snapshot: _snapshot,
    schema.Cut: _cut,
    schema.End: _end,
    Unknown: _unknown,
}
