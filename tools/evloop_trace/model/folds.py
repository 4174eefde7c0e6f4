"""What each event does to a picture: a function for each kind, and `FOLDS`, which says whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import replace

from evloop.events.schema import (
    Accept,
    AnyEvent,
    Bind,
    Block,
    Close,
    Connect,
    Cut,
    End,
    Error,
    Gap,
    Header,
    Inherit,
    Interest,
    Limit,
    Listen,
    Poll,
    Prepare,
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
    Snapshot,
    Socket,
    TcpInfo,
    Timer,
    Unseen,
)
from evloop_trace.model.loop_state import BEHIND
from evloop_trace.model.sockets import DATAGRAMS, NOT_NOW, Connection, Endpoint, idle_listeners
from evloop_trace.model.threads import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.model.picture import Picture

    _AnyCall: TypeAlias = (
        Poll
        | Listen
        | Bind
        | Socket
        | Connect
        | Setsockopt
        | Accept
        | Recv
        | Send
        | Recvfrom
        | Sendto
        | Shutdown
        | Close
    )

__all__ = ["BRIEF", "FOLDS", "PREVIEW", "RUNGS", "echo", "peek", "sample"]

RUNGS = 400
"""At least so many of the last events stay on the ladder."""

PREVIEW = 256
"""Bytes of a payload that are kept: more than any line can show."""

_CLOSED = 64  # connections that are remembered after their close

BRIEF = 1_000_000
"""Nanoseconds: a sleep that was over sooner is no rung of its own."""

_SPINS = 8  # polls in a row that stay on the ladder

_ENDPOINTS = 64  # above this the ones that were closed go


def _rung(picture: Picture, event: AnyEvent) -> None:
    ladder = picture.ladder
    ladder.append(event)
    if len(ladder) >= 2 * RUNGS:
        del ladder[:RUNGS]


def _call(picture: Picture, event: _AnyCall) -> None:
    picture.t = event.t + event.dur
    _rung(picture, event)


def _connection(picture: Picture, name: str, event: Recv | Send | Shutdown | Interest | Close) -> Connection:
    """The connection an event is about; one whose accept we never saw begins here."""
    connection = picture.connections.get(name)
    if connection is None:
        made = picture.endpoints.pop(name, None)
        connection = picture.connections[name] = Connection(name, made.peer if made else "", event.t)
        picture.open = picture.open + 1 if made else max(picture.open, len(picture.connections))
    connection.seen = event.t
    connection.last = event
    return connection


def _clip(event: Any) -> Any:
    """The event with as much of its payload as can ever be shown."""
    return event if len(event.data) <= PREVIEW else replace(event, data=event.data[:PREVIEW])


def _header(picture: Picture, event: Header) -> None:
    picture.header = event
    picture.expected = event.first or picture.expected
    picture.program = picture.program or event.model != "loop"


def _poll(picture: Picture, event: Poll) -> None:
    picture.loop.poll(event)
    _count_spins(picture, event)
    if picture.program:
        picture.loop.until = None  # how long the next sleeps, a `block` says
    _call(picture, event)


def _count_spins(picture: Picture, event: Poll) -> None:
    """What a loop that spins did before must not be driven from the ladder by what it does not do."""
    ladder, loop = picture.ladder, picture.loop
    follows = bool(ladder) and type(ladder[-1]) is Poll and ladder[-1].dur < BRIEF
    loop.spins = 0 if event.dur >= BRIEF else loop.spins + 1 if follows else 1
    if loop.spins > _SPINS:
        del ladder[-_SPINS]


def _prepare(picture: Picture, event: Prepare) -> None:
    picture.loop.prepare(event)


def _listen(picture: Picture, event: Listen) -> None:
    endpoint = Endpoint(event.sock, event.proto, event.address, event.backlog)
    _opened(picture, endpoint, event.errno)
    _call(picture, event)


def _bind(picture: Picture, event: Bind) -> None:
    made = event.proto not in DATAGRAMS
    _opened(picture, Endpoint(event.sock, event.proto, event.address, made=made), event.errno)
    _call(picture, event)


def _opened(picture: Picture, endpoint: Endpoint, errno: str | None) -> None:
    """A socket has an address now, unless that failed."""
    if errno is None:
        picture.endpoints[endpoint.name] = endpoint
    elif endpoint.name in picture.endpoints:
        picture.endpoints[endpoint.name].errno = errno


def _socket(picture: Picture, event: Socket) -> None:
    if event.sock is not None:
        made = event.proto not in DATAGRAMS
        endpoint = Endpoint(event.sock, event.proto, "", made=made, peer=event.pair or "")
        picture.endpoints[event.sock] = endpoint
        if event.pair in picture.endpoints:  # which was told of before this one had a name
            picture.endpoints[event.pair].peer = event.sock
    _call(picture, event)


def _inherit(picture: Picture, event: Inherit) -> None:
    if event.seq < 0 and not picture.loop.polled and picture.loop.since == 0:
        picture.loop.begin(event.t, event.tick)
    if (event.peer or event.opened is not None) and event.proto not in DATAGRAMS:
        picture.connections[event.name] = Connection(
            event.name, event.peer, event.t if event.opened is None else event.opened, event.sock,
            received=event.received, sent=event.sent, buffered=event.buffered, seen=event.t,
            interest="READ" if event.interest is None else event.interest,
        )  # fmt: skip
        picture.open += 1
    else:
        made = not event.listens and event.proto not in DATAGRAMS
        picture.endpoints[event.name] = Endpoint(
            event.name, event.proto, event.address, event.backlog, accepted=event.accepted,
            sent=event.sent if event.proto == "udp" else 0, made=made, peer=event.peer,
        )  # fmt: skip
    _rung(picture, event)


def _connect(picture: Picture, event: Connect) -> None:
    if event.conn is not None:
        connection = _outgoing(picture, event.conn, event)
        connection.peer = event.peer or connection.peer
        if event.errno is None and not connection.connected:
            connection.connected, connection.errno, connection.opened = True, "", event.t + event.dur
            picture.connected += 1
            picture.open += 1
        elif event.errno not in ("EINPROGRESS", "EISCONN", "EALREADY"):
            connection.errno = event.errno or ""
    elif event.errno is None and event.sock in picture.endpoints:
        picture.endpoints[event.sock].peer = event.peer or ""
    _call(picture, event)


def _outgoing(picture: Picture, name: str, event: Connect | Block) -> Connection:
    """The connection that is asked for."""
    connection = picture.connections.get(name)
    if connection is None:
        picture.endpoints.pop(name, None)
        connection = Connection(name, "", event.t, interest="", outgoing=True, connected=False)
        picture.connections[name] = connection
    connection.seen = event.t
    connection.last = event
    return connection


def _block(picture: Picture, event: Block) -> None:
    if event.awaits == "connect" and event.conn is not None:
        _outgoing(picture, event.conn, event).errno = ""
    _forget_queues(picture, event)
    _rung(picture, event)


def _forget_queues(picture: Picture, event: Block) -> None:
    """Who sleeps where no caller would wake it does not know how many there are by now."""
    thread = event.thread or MAIN
    idle = idle_listeners(event)
    for endpoint in picture.endpoints.values():
        if endpoint.name in idle and endpoint.listens:
            endpoint.queued, endpoint.acceptor = 0, thread
        elif endpoint.acceptor == thread and not endpoint.sampled and not _attended(picture, endpoint):
            endpoint.queued = endpoint.acceptor = None


def _attended(picture: Picture, endpoint: Endpoint) -> bool:
    """Whether another thread would take a caller at once."""
    return any(it.block and endpoint.name in idle_listeners(it.block) for it in picture.threads.values())


def _accept(picture: Picture, event: Accept) -> None:
    _call(picture, event)
    endpoint = picture.endpoints.get(event.sock)
    if endpoint is not None and event.queued is not None:
        endpoint.queued, endpoint.acceptor = event.queued, event.thread or MAIN
    if event.conn is None:
        return
    picture.accepted += 1
    picture.open += 1
    if endpoint is not None:
        endpoint.accepted += 1
    opened = event.t + event.dur if picture.program else event.t  # it may have slept until somebody came
    picture.connections[event.conn] = Connection(
        event.conn, event.peer or "", opened, event.sock, seen=event.t, last=event
    )


def _recv(picture: Picture, event: Recv) -> None:
    event = _clip(event)
    if event.n is None and event.conn in picture.endpoints:
        _call(picture, event)  # it is no connection: that is why it failed
        return
    connection = _connection(picture, event.conn, event)
    n = event.n
    if n:
        connection.received += n
        connection.buffered += n
        picture.received += n
    elif n == 0:
        connection.eof = connection.eof or (event.size > 0 and not connection.deaf)
    elif event.errno not in NOT_NOW:
        connection.errno = event.errno or ""
    _call(picture, event)


def peek(picture: Picture, event: Recv) -> None:
    """The bytes stay where they are, and count when they are taken; the end of the stream is its end."""
    connection = _connection(picture, event.conn, event)
    connection.eof = connection.eof or (event.n == 0 and event.size > 0)
    _call(picture, _clip(event))


def _send(picture: Picture, event: Send) -> None:
    event = _clip(event)
    if event.n is None and event.conn in picture.endpoints:
        _call(picture, event)
        return
    connection = _connection(picture, event.conn, event)
    n = event.n
    if n:
        connection.sent += n
        # What is answered was received, but a handler may say more than it heard.
        connection.buffered = max(connection.buffered - n, event.size - n)
        picture.sent += n
    elif event.errno not in NOT_NOW:
        connection.errno = event.errno or ""
    _call(picture, event)


def _recvfrom(picture: Picture, event: Recvfrom) -> None:
    endpoint = picture.endpoints.get(event.sock)
    if event.n is not None and "MSG_PEEK" not in event.flags:
        picture.received += event.n
        if endpoint is not None:
            endpoint.accepted += 1
    _call(picture, _clip(event))


def _sendto(picture: Picture, event: Sendto) -> None:
    endpoint = picture.endpoints.get(event.sock)
    if event.n is not None:
        picture.sent += event.n
        if endpoint is not None:
            endpoint.sent += 1
    _call(picture, _clip(event))


def _shutdown(picture: Picture, event: Shutdown) -> None:
    endpoint = picture.endpoints.get(event.conn)
    if endpoint is None or endpoint.made:  # a program may shut down a listener, to wake who waits in accept
        connection = _connection(picture, event.conn, event)
        if event.errno is None:
            connection.shut |= event.how != "SHUT_RD"
            connection.deaf |= event.how != "SHUT_WR" and not connection.eof
    _call(picture, event)


def _close(picture: Picture, event: Close) -> None:
    _call(picture, event)
    if event.conn is None:
        endpoint = picture.endpoints.get(event.sock or "")
        if endpoint is not None:
            endpoint.closed = True
            _forget(picture.endpoints)
        return
    connection = _connection(picture, event.conn, event)
    connection.closed = event.t
    connection.reason = event.reason
    connection.errno = event.errno or connection.errno
    connection.buffered = event.buffered
    del picture.connections[event.conn]
    if connection.connected:
        picture.open = max(0, picture.open - 1)
    picture.closed[event.conn] = connection
    if len(picture.closed) > _CLOSED:
        del picture.closed[next(iter(picture.closed))]


def _forget(endpoints: dict[str, Endpoint]) -> None:
    """A socket that never was anything else is gone; of the others many are remembered, but not for ever."""
    closed = [it.name for it in endpoints.values() if it.closed]
    gone = closed if len(endpoints) > _ENDPOINTS else [name for name in closed if endpoints[name].made]
    for name in gone:
        del endpoints[name]


def _interest(picture: Picture, event: Interest) -> None:
    if event.conn is not None:
        _connection(picture, event.conn, event).interest = event.new
    _rung(picture, event)


def _timer(picture: Picture, event: Timer) -> None:
    picture.loop.timer = event.why
    _rung(picture, event)


def _signal(picture: Picture, event: Signal) -> None:
    picture.loop.signal = event.signal
    _rung(picture, event)


def _limit(picture: Picture, event: Limit) -> None:
    key = f"{event.what} {event.conn or event.sock or ''}"
    if event.active:
        picture.limits[key] = event
    else:
        picture.limits.pop(key, None)
    _rung(picture, event)


def _slow(picture: Picture, event: Slow) -> None:
    picture.loop.slow_tick()
    _rung(picture, event)


def _queue(picture: Picture, event: Queue) -> None:
    sample(picture, event)
    _rung(picture, event)


def sample(picture: Picture, event: Queue) -> None:
    """How long an accept queue is, whoever says so."""
    endpoint = picture.endpoints.get(event.sock)
    if endpoint is not None:
        endpoint.queued, endpoint.backlog, endpoint.sampled = event.queued, event.backlog, True


def _tcp_info(picture: Picture, event: TcpInfo) -> None:
    """On the ladder only what explains something: samples come as often as they were asked for."""
    connection = picture.connections.get(event.conn)
    again = event.total_retrans
    if connection is not None:
        again -= connection.tcp.total_retrans if connection.tcp else 0
        connection.tcp = event
    if event.why == "send" or again:
        _rung(picture, event)


def _gap(picture: Picture, event: Gap) -> None:
    if not event.wanted:
        picture.lost += event.lost
    _rung(picture, _joined(picture.ladder, event))


def _joined(ladder: list[AnyEvent], gap: Gap) -> Gap:
    """A gap of a watcher's, and the one before, if a loop that spins did nothing in between."""
    at = len(ladder)
    while at > 0 and _is_idle(ladder[at - 1]):
        at -= 1
    before = ladder[at - 1] if at > 0 and gap.seq < 0 else None
    if type(before) is not Gap or before.seq >= 0:
        return gap
    del ladder[at - 1 :]
    return replace(gap, lost=before.lost + gap.lost)


def _is_idle(event: AnyEvent) -> bool:
    return event.dur < BRIEF if type(event) is Poll else type(event) is Timer and event.why == BEHIND


def _end(picture: Picture, event: End) -> None:
    picture.end = event
    _rung(picture, event)


def _snapshot(picture: Picture, event: Snapshot) -> None:
    """The server's own word replaces what we made of the events; how a stream stood we remember ourselves.

    It tells of no limits, and what was missed may have been that they were left.
    """
    picture.endpoints = {
        s.sock: Endpoint(s.sock, s.proto, s.address, s.backlog, s.queued, s.accepted, s.sent)
        for s in event.listeners
    }
    known = picture.connections
    picture.connections = {}
    for state in event.connections:
        old = known.get(state.conn)
        connection = old or Connection(state.conn, state.peer, state.opened, seen=state.opened)
        connection.peer, connection.opened, connection.sock = state.peer, state.opened, state.sock
        connection.received, connection.sent = state.received, state.sent
        connection.buffered, connection.interest = state.buffered, state.interest
        picture.connections[state.conn] = connection
    picture.open, picture.accepted = event.open, event.accepted
    picture.received, picture.sent = event.received, event.sent
    picture.lost = max(picture.lost, event.lost)
    picture.counted = event.t
    picture.limits = {}
    picture.loop.restart(event.t, event.tick, event.blocked)
    picture.loop.slow = max(picture.loop.slow, event.slow)
    if event.why:
        picture.loop.prepare(event)


def echo(picture: Picture, event: Any) -> None:
    """Show an event that a snapshot has already counted, and keep what no snapshot tells of it."""
    connection = picture.connections.get(getattr(event, "conn", None) or "")
    if connection is not None:
        connection.seen, connection.last = event.t, event
        connection.eof |= isinstance(event, Recv) and event.n == 0
        connection.shut |= isinstance(event, Shutdown) and event.how != "SHUT_RD"
    if isinstance(event, Header):
        picture.header = event
    elif isinstance(event, Poll):
        blocked = picture.loop.blocked
        picture.loop.poll(event)
        picture.loop.blocked = blocked
    elif isinstance(event, Prepare):
        picture.loop.prepare(event)
    elif isinstance(event, End):
        picture.end = event
    if type(event) in _SHOWN:
        _rung(picture, _clip(event) if hasattr(event, "data") else event)


FOLDS: dict[type, Callable[[Picture, Any], None]] = {
    Header: _header,
    Poll: _poll,
    Prepare: _prepare,
    Listen: _listen,
    Bind: _bind,
    Socket: _socket,
    Inherit: _inherit,
    Connect: _connect,
    Cut: _rung,
    Setsockopt: _call,
    Block: _block,
    Unseen: _rung,
    Accept: _accept,
    Recv: _recv,
    Send: _send,
    Recvfrom: _recvfrom,
    Sendto: _sendto,
    Shutdown: _shutdown,
    Close: _close,
    Interest: _interest,
    Timer: _timer,
    Signal: _signal,
    Limit: _limit,
    Refuse: _rung,
    Error: _rung,
    Slow: _slow,
    Queue: _queue,
    TcpInfo: _tcp_info,
    Gap: _gap,
    End: _end,
    Snapshot: _snapshot,
}

_SHOWN = frozenset(FOLDS) - {Header, Prepare, Snapshot}
