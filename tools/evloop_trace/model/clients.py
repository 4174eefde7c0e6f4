"""A server's log as its clients lived it: when each came, was accepted, was answered, and left.

One pass. Memory is for clients, not for events: each keeps a few numbers, and where its answers lie in time
is kept in a bounded number of spans, of the first thousand clients and of those that waited longest.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Block,
    Call,
    Close,
    Connect,
    Header,
    Inherit,
    Limit,
    Listen,
    Poll,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Slow,
)
from evloop_trace.model.filters import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import Located

__all__ = ["NOTABLE", "Client", "Clients", "Held", "HeldInAll"]

NOTABLE = 25_000_000
"""Nanoseconds: a shorter stay in the accept queue is not told of. It is known to a few milliseconds, and a
busy machine takes some to wake a server."""

_SLEPT = 1_000_000  # nanoseconds: a call that took longer slept, it did not work
_FIRST = 1_000  # clients whose answers are kept, whatever they waited
_WORST = 50  # and of those that came later
_SPANS = 128  # of a client
_HISTORY = 512  # sleeps that are remembered of a thread that accepts, of each kind
_THREADS = 64  # such threads
_PEERS = 10_000  # datagrams' senders that are remembered


class Held(NamedTuple):
    """What the thread that accepts did while a client was in the queue, as far as it was one kind of call."""

    call: str
    """The call it slept in; or `limit`, it took nobody in; or `slow`, a loop worked on without a look."""
    ns: int
    """How much of the wait."""
    sockets: int
    """On how many sockets, one after the other."""
    first: int
    """How much of it on the one whose turn it was when the client came."""
    name: str
    """That socket's name, or the limit's."""
    line: int
    """Of the longest event there."""
    where: str
    """FILE:LINE of the call, if known."""


class HeldInAll:
    """The same of all clients' waits."""

    __slots__ = ("longest", "ns")

    def __init__(self, held: Held) -> None:
        self.ns = 0
        self.longest = held
        """The client's that had to wait the longest for whoever had the turn when it came."""


class _Sleep:
    """Calls of one kind on one socket, one right after the other, in which a thread slept."""

    __slots__ = ("before", "end", "line", "longest", "name", "ordinal", "start", "where")

    def __init__(self, name: str, span: tuple[int, int], line: int, where: str = "") -> None:
        self.name = name
        self.start, self.end = span
        self.line = line
        self.longest = self.end - self.start
        self.where = where
        self.before = 0
        """Nanoseconds that the thread slept in such calls before."""
        self.ordinal = 0
        """How often the socket was another than before."""


class _Sleeps:
    """The sleeps of a thread in one kind of call, the latest of them."""

    def __init__(self) -> None:
        self._all: list[_Sleep] = []

    def add(self, sleep: _Sleep) -> None:
        """One more; they are added in the order in which they ended."""
        last = self._all[-1] if self._all else None
        if last is not None and last.name == sleep.name and sleep.start - last.end < _SLEPT:
            last.end = sleep.end
            if sleep.longest > last.longest:
                last.longest, last.line, last.where = sleep.longest, sleep.line, sleep.where
            return
        if last is not None:
            sleep.before = last.before + last.end - last.start
            sleep.ordinal = last.ordinal + (last.name != sleep.name)
        self._all.append(sleep)
        if len(self._all) > _HISTORY:
            del self._all[: _HISTORY // 2]

    def since(self, call: str, came: int) -> Held | None:
        """What there was of them from a time on."""
        at = bisect_right(self._all, came, key=_end)
        if at == len(self._all):
            return None
        first, last = self._all[at], self._all[-1]
        began = max(came, first.start)
        ns = last.before + last.end - last.start - first.before - (began - first.start)
        sockets = last.ordinal - first.ordinal + 1
        return Held(call, ns, sockets, first.end - began, first.name, first.line, first.where)


class Client:
    """One connection that was accepted, or one sender of datagrams. Times are the log's `t`."""

    __slots__ = (
        "accepted", "answers", "asked", "came", "closed", "first", "grain", "greeting", "greeting_size",
        "held", "in_queue", "line", "longest", "longest_line", "name", "number", "spans", "thread", "until",
        "waited",
    )  # fmt: skip

    def __init__(self, name: str, came: int, accepted: int, in_queue: int | None, line: int) -> None:
        self.name = name
        self.came = came
        """When the handshake was over, as far as is known; else when it was accepted."""
        self.accepted = accepted
        self.in_queue = in_queue
        """Nanoseconds in the accept queue, if known."""
        self.line = line
        """Of its accept."""
        self.number = 0
        """How many were known before it."""
        self.thread = ("", "")
        """The process and the thread that read its first bytes."""
        self.first: int | None = None
        """When its first answer was handed to the kernel."""
        self.closed: int | None = None
        self.greeting = b""
        """Its first bytes, as far as the log has them."""
        self.greeting_size = 0
        self.answers = self.waited = self.longest = self.longest_line = 0
        """How often it was answered, how long it waited for that, in all and at most."""
        self.held: Held | None = None
        """What explains the most of its time in the queue."""
        self.spans: list[int] = []
        """Three numbers an answer: from, to, how long it waited in between. Many close together are one."""
        self.asked = -1
        """When its last bytes were there, if they are not answered."""
        self.until = -(2**63)
        self.grain = 0

    @property
    def waits(self) -> int:
        """Nanoseconds that it waited for the server, in the queue and for answers."""
        return (self.in_queue or 0) + self.waited

    def ask(self, when: int, data: bytes, size: int, thread: tuple[str, str]) -> None:
        """Bytes came, the first or not."""
        self.asked = when
        if not self.greeting_size:
            self.greeting, self.greeting_size, self.thread = data, size, thread

    def answer(self, start: int, end: int, line: int) -> None:
        """Bytes were handed to the kernel in a call from `start` to `end`."""
        wait = 0
        if self.asked >= 0:
            start, self.asked = self.asked, -1
            wait = end - start
            self.answers += 1
            self.waited += wait
            if wait > self.longest:
                self.longest, self.longest_line = wait, line
            if self.first is None:
                self.first = end
        spans = self.spans
        if end - self.until < self.grain and self.until - spans[-3] < self.grain:
            spans[-2] = end
            spans[-1] += wait
        else:
            spans.extend((start, end, wait))
            if len(spans) > 3 * _SPANS:
                self._coarsen(end)
        self.until = end

    def _coarsen(self, now: int) -> None:
        """Make one of short ones that lie close together, by the measure of the client's life so far."""
        self.grain = grain = (now - self.came) * 4 // _SPANS + 1
        old, spans = self.spans, self.spans[:3]
        for at in range(3, len(old), 3):
            if old[at + 1] - spans[-2] < grain and spans[-2] - spans[-3] < grain:
                spans[-2] = old[at + 1]
                spans[-1] += old[at + 2]
            else:
                spans.extend(old[at : at + 3])
        self.spans = spans

    def forget(self) -> None:
        """Keep the numbers only."""
        self.spans = []


class Clients:
    """Fold a log with `feed`, then `finish`."""

    def __init__(self) -> None:
        self.all: list[Client] = []
        """In the order of their arrival once the log is over; before, of their accepts."""
        self.most = 0
        """Connections open at one time."""
        self.connects = 0
        """Connections that the program itself asked for."""
        self.polls = 0
        self.problems = 0
        self.end = 0
        """When the last event ended."""
        self.held: dict[str, HeldInAll] = {}
        """By call: what explains the waits in the queue."""
        self.slowest: tuple[int, str, int] = (0, "", 0)
        """The longest that a loop worked without a look at who is ready: nanoseconds, on whom, the line."""
        self._process = ""
        self._open: dict[str, Client] = {}
        self._by_peer: dict[str, Client] = {}  # the last from each address
        self._peers: dict[tuple[str, str | None], Client] = {}
        self._ours: dict[tuple[str, str | None], None] = {}  # peers that we wrote to first
        self._queued: dict[str, int] = {}
        self._came: dict[str, int] = {}  # the last through each listener
        self._listeners: set[str] = set()
        self._ready: set[str] = set()
        self._polled = 0
        self._history: dict[tuple[str, str], dict[str, _Sleeps]] = {}  # by process and thread
        self._limits: dict[str, tuple[int, int]] = {}  # since when, and the line
        self._worst: list[tuple[int, int, Client]] = []
        self._kept = 0
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Poll: self._poll,
            Header: self._header,
            Inherit: self._inherit,
            Listen: self._listen,
            Block: self._block,
            Accept: self._accept,
            Connect: self._connect,
            Close: self._close,
            Recvfrom: self._recvfrom,
            Sendto: self._sendto,
            Queue: self._queue,
            Limit: self._limit,
            Slow: self._slow,
        }

    @property
    def never_accepted(self) -> int:
        """Handshakes that were still in the queues when something was last known of them."""
        return sum(self._queued.values())

    def feed(self, line: int, items: list[Item], process: str = "") -> None:  # noqa: C901 - calls cost
        """Consecutive items, of which the first stands in `line`, of one of a program's processes."""
        self._process = process
        client_of, handler_of = self._open.get, self._handlers.get
        end = self.end
        for at, item in enumerate(items, line):
            # Nearly all events are these two. Nobody derives from them, and isinstance() takes twice as
            # long to say so.
            if type(item) is Recv:
                dur = item.dur
                end = item.t + dur
                if dur >= _SLEPT:
                    self._slept(at, item, item.conn)
                client = client_of(item.conn)
                if client is None or not item.n:
                    continue
                client.asked = when = (
                    end if dur >= _SLEPT else self._polled if item.conn in self._ready else item.t
                )
                if not client.greeting_size:
                    client.ask(when, item.data, item.n, (self._process, item.thread))
            elif type(item) is Send:
                end = item.t + item.dur
                if item.dur >= _SLEPT:
                    self._slept(at, item, item.conn)
                client = client_of(item.conn)
                if client is not None and item.n:
                    client.answer(item.t, end, at)
            elif not isinstance(item, Problem):
                handler = handler_of(type(item))
                if handler is not None:
                    handler(at, item)
                end = max(end, item.t + item.dur if isinstance(item, Call) else item.t)
            else:
                self.problems += 1
        self.end = max(self.end, end)

    def finish(self) -> None:
        """The log is over."""
        for client in self._open.values():
            self._keep(client)
        for client in self._peers.values():
            self._keep(client)
        self.all.sort(key=_came)

    # -- connections -----------------------------------------------------------------------------------

    def _accept(self, line: int, event: Accept) -> None:
        if event.queued is not None:
            self._queued[event.sock] = event.queued
        self._listen(line, event)
        if event.conn is not None:
            # How long it waited was asked when accept() had returned; it is told in steps of some
            # milliseconds, and a queue is first in, first out: nobody came before who was accepted before.
            accepted = event.t + event.dur
            came = accepted - (event.waited or 0)
            came = self._came[event.sock] = min(max(came, self._came.get(event.sock, came)), accepted)
            client = Client(event.conn, came, accepted, event.waited, line)
            if event.waited is not None and event.waited >= NOTABLE:
                self._hold(client, event.thread)
            self._open[event.conn] = client
            if event.peer:
                self._by_peer[event.peer] = client
            self._add(client)
            self.most = max(self.most, len(self._open))
        if event.dur >= _SLEPT:
            self._slept(line, event, event.sock)

    def _inherit(self, line: int, event: Inherit) -> None:
        """A process has a connection that another accepted: a client by another name, as long as both."""
        if not (event.peer or event.opened is not None) or event.listens:
            return
        client = self._by_peer.get(event.peer)
        if client is None:
            client = self._by_peer[event.peer] = Client(event.name, event.t, event.t, None, line)
            self._add(client)
        client.closed = None
        self._open[event.name] = client

    def _close(self, _line: int, event: Close) -> None:
        client = self._open.pop(event.conn or "", None)
        if client is not None:
            client.closed = event.t + event.dur
            self._keep(client)

    def _connect(self, line: int, event: Connect) -> None:
        self.connects += event.conn is not None and event.errno is None
        if event.dur >= _SLEPT:
            self._slept(line, event, event.conn or event.sock or "")

    def _keep(self, client: Client) -> None:
        """Its spans, if it is one of the first; or one of the worst, until there is a worse one."""
        if len(self.all) <= _FIRST:
            return
        self._kept += 1  # no two the same: of clients that waited as long, the latest goes
        heapq.heappush(self._worst, (client.waits, -self._kept, client))
        if len(self._worst) > _WORST:
            _, _, least = heapq.heappop(self._worst)
            if least.number >= _FIRST:
                least.forget()

    def _add(self, client: Client) -> None:
        client.number = len(self.all)
        self.all.append(client)

    def _queue(self, _line: int, event: Queue) -> None:
        self._queued[event.sock] = event.queued

    # -- datagrams -------------------------------------------------------------------------------------

    def _recvfrom(self, line: int, event: Recvfrom) -> None:
        if event.dur >= _SLEPT:
            self._slept(line, event, event.sock)
        key = (event.sock, event.peer)
        if event.n is None or key in self._ours:
            return
        end = event.t + event.dur
        when = end if event.dur >= _SLEPT else self._polled if event.sock in self._ready else event.t
        client = self._peers.get(key)
        if client is None:
            client = self._peers[key] = Client(event.peer or event.sock, when, when, None, line)
            self._add(client)
            if len(self._peers) > _PEERS:
                self._keep(self._peers.pop(next(iter(self._peers))))
        client.closed = end
        client.ask(when, event.data, event.n, (self._process, event.thread))

    def _sendto(self, line: int, event: Sendto) -> None:
        if event.dur >= _SLEPT:
            self._slept(line, event, event.sock)
        key = (event.sock, event.peer)
        client = self._peers.get(key)
        if client is not None and event.n is not None:
            client.closed = event.t + event.dur
            client.answer(event.t, client.closed, line)
        elif client is None and len(self._ours) < _PEERS:
            self._ours[key] = None

    # -- what the threads that accept do ---------------------------------------------------------------

    def _listen(self, _line: int, event: Listen | Accept) -> None:
        self._listeners.add(event.sock)
        self._accepts(event)

    def _accepts(self, event: Located) -> None:
        """This thread may be the one that somebody in the queue waits for."""
        self._remembered(event.thread)

    def _header(self, _line: int, _event: Header) -> None:
        self._remembered("")

    def _remembered(self, thread: str) -> None:
        """From now on what it sleeps in is remembered, unless there are too many already."""
        if len(self._history) < _THREADS:
            self._history.setdefault((self._process, thread), {})

    def _block(self, _line: int, event: Block) -> None:
        if event.awaits == "accept":
            self._accepts(event)

    def _poll(self, line: int, event: Poll) -> None:
        self.polls += 1
        self._ready = {name for name, _ in event.ready}
        self._polled = event.t + event.dur
        self._accepts(event)
        # If somebody's arrival woke it, it kept nobody waiting: at most it was woken late.
        if event.dur >= _SLEPT and self._listeners.isdisjoint(self._ready):
            self._slept(line, event, "")

    def _slept(self, line: int, event: Call, name: str) -> None:
        if (self._process, event.thread) in self._history:
            sleep = _Sleep(name, (event.t, event.t + event.dur), line, event.where)
            self._remember(event.thread, kind_of(event), sleep)  # type: ignore[arg-type]

    def _remember(self, thread: str, call: str, sleep: _Sleep) -> None:
        history = self._history.setdefault((self._process, thread), {})
        history.setdefault(call, _Sleeps()).add(sleep)

    def _slow(self, line: int, event: Slow) -> None:
        """Written at the end of the tick."""
        self.slowest = max(self.slowest, (event.dur, event.conn or "", line))
        span = (event.t - event.dur, event.t)
        self._remember("", "slow", _Sleep(event.conn or "", span, line))

    def _limit(self, line: int, event: Limit) -> None:
        if event.active:
            if len(self._limits) < _THREADS:
                self._limits.setdefault(event.what, (event.t, line))
            return
        reached = self._limits.pop(event.what, None)
        if reached is not None:
            since, line = reached
            self._remember("", "limit", _Sleep(event.what, (since, event.t), line))

    def _hold(self, client: Client, thread: str) -> None:
        """What its thread did while the client waited."""
        found = [
            held
            for call, sleeps in self._history.get((self._process, thread), {}).items()
            if (held := sleeps.since(call, client.came)) is not None
        ]
        client.held = max(found, key=_weight, default=None)
        for held in found:
            known = self.held.get(held.call)
            if known is None:
                known = self.held[held.call] = HeldInAll(held)
            known.ns += held.ns
            if held.first > known.longest.first:
                known.longest = held


def _came(client: Client) -> int:
    return client.came


def _end(sleep: _Sleep) -> int:
    return sleep.end


def _weight(held: Held) -> tuple[int, bool]:
    """A limit explains why a loop slept on, so of two that took as long it comes first."""
    return held.ns, held.call == "limit"
