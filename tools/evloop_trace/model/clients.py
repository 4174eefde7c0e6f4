"""A server's log as its clients lived it: when each came, was accepted, was answered, and left.

One pass. Memory is for clients, not for events: each keeps a few numbers, and where its answers lie in time
is kept in a bounded number of spans, of the first thousand clients and of those that waited longest.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Block,
    Call,
    Close,
    Connect,
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

__all__ = ["NOTABLE", "Client", "Clients", "Held"]

NOTABLE = 10_000_000
"""Nanoseconds: a shorter stay in the accept queue is not told of; it is known to a few milliseconds."""

_SLEPT = 1_000_000  # nanoseconds: a call that took longer slept, it did not work
_FIRST = 1_000  # clients whose answers are kept, whatever they waited
_WORST = 50  # and of those that came later
_SPANS = 64  # of a client
_HISTORY = 512  # sleeps remembered of a thread that accepts
_THREADS = 64  # such threads
_PEERS = 10_000  # datagrams' senders that are remembered


class Held(NamedTuple):
    """What the thread that accepts did while clients were in the queue, as far as it was one kind of call."""

    call: str
    """The call it slept in; or `limit`, it took nobody in; or `slow`, a loop worked on without a look."""
    ns: int
    """How much of the wait, or of all waits."""
    sockets: int
    """On how many sockets; of all waits, of the one with the most."""
    longest: int
    """How much on one of them, the one of which the rest tells: nanoseconds."""
    name: str
    """The socket's, or the limit's."""
    line: int
    """Of its longest event."""
    where: str
    """FILE:LINE of the call, if known."""


class _Sleep:
    """Calls on one socket, one right after the other, in which a thread slept."""

    __slots__ = ("call", "end", "line", "longest", "name", "start", "where")

    def __init__(self, call: str, name: str, span: tuple[int, int], line: int, where: str = "") -> None:
        self.call = call
        self.name = name
        self.start, self.end = span
        self.line = line
        self.longest = self.end - self.start
        self.where = where


class Client:
    """One connection that was accepted, or one sender of datagrams. Times are the log's `t`."""

    __slots__ = (
        "accepted", "answers", "asked", "came", "closed", "first", "grain", "greeting", "greeting_size",
        "held", "in_queue", "line", "longest", "longest_line", "name", "spans", "thread", "until",
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
        self.thread = ""
        """Which read its first bytes."""
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
        self.spans = array("q")
        """Three numbers an answer: from, to, and how long it waited in between. Neighbours may be one."""
        self.asked = -1
        """When its last bytes were there, if they are not answered."""
        self.until = -(2**63)
        self.grain = 0

    @property
    def waits(self) -> int:
        """Nanoseconds that it waited for the server, in the queue and for answers."""
        return (self.in_queue or 0) + self.waited

    def ask(self, when: int, data: bytes, size: int, thread: str) -> None:
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
        if start - self.until < self.grain:
            self.spans[-2] = end
            self.spans[-1] += wait
        else:
            self.spans.extend((start, end, wait))
            if len(self.spans) > 3 * _SPANS:
                self._coarsen(end)
        self.until = end

    def _coarsen(self, now: int) -> None:
        """Make one of neighbours that lie close together, by the measure of the client's life so far."""
        self.grain = (now - self.came) * 2 // _SPANS + 1
        old, self.spans = self.spans, self.spans[:3]
        for at in range(3, len(old), 3):
            if old[at] - self.spans[-2] < self.grain:
                self.spans[-2] = old[at + 1]
                self.spans[-1] += old[at + 2]
            else:
                self.spans.extend(old[at : at + 3])

    def forget(self) -> None:
        """Keep the numbers only."""
        self.spans = array("q")


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
        self.held: dict[str, Held] = {}
        """By call: what explains the waits in the queue."""
        self.slowest: tuple[int, str, int] = (0, "", 0)
        """The longest that a loop worked without a look at who is ready: nanoseconds, on whom, the line."""
        self._open: dict[str, Client] = {}
        self._peers: dict[tuple[str, str | None], Client] = {}
        self._ours: dict[tuple[str, str | None], None] = {}  # peers that we wrote to first
        self._queued: dict[str, int] = {}
        self._ready: set[str] = set()
        self._polled = 0
        self._history: dict[str, deque[_Sleep]] = {"": deque(maxlen=_HISTORY)}
        self._limits: dict[str, tuple[int, int]] = {}  # since when, and the line
        self._worst: list[tuple[int, int, Client]] = []
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Poll: self._poll,
            Listen: self._accepts,
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

    def feed(self, line: int, items: list[Item]) -> None:  # noqa: C901 - calls would cost a quarter
        """Consecutive items, of which the first stands in `line`."""
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
                    client.ask(when, item.data, item.n, item.thread)
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
        self._accepts(line, event)
        if event.conn is not None:
            # How long it waited was asked when accept() had returned.
            accepted = event.t + event.dur
            came = accepted - (event.waited or 0)
            client = Client(event.conn, came, accepted, event.waited, line)
            if accepted - came >= NOTABLE:
                self._hold(client, event.thread)
            self._open[event.conn] = client
            self.all.append(client)
            self.most = max(self.most, len(self._open))
        if event.dur >= _SLEPT:
            self._slept(line, event, event.sock)

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
        heapq.heappush(self._worst, (client.waits, -client.line, client))
        if len(self._worst) > _WORST:
            _, _, least = heapq.heappop(self._worst)
            if least.line > self.all[_FIRST - 1].line:
                least.forget()

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
            self.all.append(client)
            if len(self._peers) > _PEERS:
                self._keep(self._peers.pop(next(iter(self._peers))))
        client.closed = end
        client.ask(when, event.data, event.n, event.thread)

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

    def _accepts(self, _line: int, event: Listen | Accept | Block | Poll) -> None:
        """This thread may be the one that somebody in the queue waits for."""
        if event.thread not in self._history and len(self._history) < _THREADS:
            self._history[event.thread] = deque(maxlen=_HISTORY)

    def _block(self, line: int, event: Block) -> None:
        if event.awaits == "accept":
            self._accepts(line, event)

    def _poll(self, line: int, event: Poll) -> None:
        self.polls += 1
        self._ready = {name for name, _ in event.ready}
        self._polled = event.t + event.dur
        self._accepts(line, event)
        if event.dur >= _SLEPT:
            self._slept(line, event, "")

    def _slept(self, line: int, event: Call, name: str) -> None:
        history = self._history.get(event.thread)
        if history is not None:
            call = event.call or kind_of(event)  # type: ignore[arg-type]
            self._remember(history, _Sleep(call, name, (event.t, event.t + event.dur), line, event.where))

    @staticmethod
    def _remember(history: deque[_Sleep], sleep: _Sleep) -> None:
        last = history[-1] if history else None
        if (
            last is None
            or (last.call, last.name) != (sleep.call, sleep.name)
            or sleep.start - last.end >= _SLEPT
        ):
            history.append(sleep)
            return
        last.end = sleep.end
        if sleep.longest > last.longest:
            last.longest, last.line, last.where = sleep.longest, sleep.line, sleep.where

    def _slow(self, line: int, event: Slow) -> None:
        """Written at the end of the tick."""
        self.slowest = max(self.slowest, (event.dur, event.conn or "", line))
        span = (event.t - event.dur, event.t)
        self._remember(self._history[""], _Sleep("slow", event.conn or "", span, line))

    def _limit(self, line: int, event: Limit) -> None:
        if event.active:
            if len(self._limits) < _THREADS:
                self._limits.setdefault(event.what, (event.t, line))
            return
        since, line = self._limits.pop(event.what, (event.t, line))
        self._remember(self._history[""], _Sleep("limit", event.what, (since, event.t), line))

    def _hold(self, client: Client, thread: str) -> None:
        """What its thread did while the client waited."""
        sums: dict[tuple[str, str], tuple[int, int, _Sleep]] = {}
        for sleep in reversed(self._history.get(thread, ())):
            if sleep.end <= client.came:
                break
            ns = min(client.accepted, sleep.end) - max(client.came, sleep.start)
            total, most, longest = sums.get((sleep.call, sleep.name), (0, -1, sleep))
            sums[sleep.call, sleep.name] = (total + ns, *max((most, longest), (ns, sleep), key=_ns))
        by_call: dict[str, Held] = {}
        for (call, name), (ns, _, sleep) in sums.items():
            _add(by_call, Held(call, ns, 1, ns, name, sleep.line, sleep.where), other=True)
        client.held = max(by_call.values(), key=_weight, default=None)
        for held in by_call.values():
            _add(self.held, held, other=False)


def _add(by_call: dict[str, Held], more: Held, *, other: bool) -> None:
    """Count it in, on another socket or in another wait, and keep the longest."""
    known = by_call.get(more.call, more._replace(ns=0, sockets=0))
    longest = max(known, more, key=_longest)
    by_call[more.call] = longest._replace(
        ns=known.ns + more.ns, sockets=known.sockets + 1 if other else max(known.sockets, more.sockets)
    )


def _came(client: Client) -> int:
    return client.came


def _ns(found: tuple[int, _Sleep]) -> int:
    return found[0]


def _longest(held: Held) -> int:
    return held.longest


def _weight(held: Held) -> tuple[int, bool]:
    """A limit explains why a loop slept on, so of two that took as long it comes first."""
    return held.ns, held.call == "limit"
