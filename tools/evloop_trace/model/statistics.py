"""A log in numbers: one pass, and memory for what is open, not for what has been.

Of closed connections and of handlers' turns only the ten that stand out are kept.
"""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Any

from evloop.events.reader import Problem
from evloop.events.schema import (
    EVENT_TYPES,
    Accept,
    Bind,
    Call,
    Close,
    Connect,
    Cut,
    End,
    Header,
    Inherit,
    Listen,
    Located,
    Poll,
    Queue,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Shutdown,
    TcpInfo,
    Unknown,
)
from evloop_trace.model.filters import kind_of
from evloop_trace.model.report import (
    Bucket,
    CallReport,
    ConnectionReport,
    DatagramReport,
    Report,
    TcpReport,
    TurnReport,
    WaitReport,
)
from evloop_trace.model.sleeps import Sleeps
from evloop_trace.model.sockets import is_apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent

__all__ = ["Statistics"]

_KEPT = 10
_BUCKETS = 64  # bit lengths of what fits in 63 bits
_ERRNOS = 200  # Linux has 133


class _Calls:
    """The calls of one name."""

    __slots__ = ("buckets", "errors", "longest", "total")

    def __init__(self) -> None:
        self.total = self.longest = 0
        self.buckets = [0] * _BUCKETS
        self.errors: dict[str, int] = {}

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def add(self, dur: int, errno: str | None) -> None:
        self.total += dur
        self.longest = max(self.longest, dur)
        self.buckets[dur.bit_length()] += 1
        if errno is not None and (errno in self.errors or len(self.errors) < _ERRNOS):
            self.errors[errno] = self.errors.get(errno, 0) + 1

    def report(self) -> CallReport:
        return CallReport(self.count, self.total, self.longest, buckets(self.buckets), self.errors)


class _Connection:
    """An open connection."""

    __slots__ = ("calls", "name", "opened", "peer", "received", "retransmissions", "sent", "time")

    def __init__(self, name: str, peer: str | None, opened: int) -> None:
        self.name = name
        self.peer = peer
        self.opened = opened
        self.received = self.sent = self.calls = self.time = self.retransmissions = 0

    def report(self, now: int, close: Close | None) -> ConnectionReport:
        closed = close.t if close else None
        return ConnectionReport(
            self.name,
            self.peer,
            self.opened,
            closed,
            (now if closed is None else closed) - self.opened,
            self.received,
            self.sent,
            self.calls,
            self.time,
            close.reason if close else None,
        )


class _Tcp:
    """What TCP says."""

    def __init__(self) -> None:
        self._report = TcpReport()
        self._rtts: Counter[int] = Counter()  # to two digits, so that there are never many

    def add(self, info: TcpInfo, connection: _Connection | None) -> None:
        report = self._report
        report.samples += 1
        if info.rtt:
            self._rtts[int(float(f"{info.rtt:.1e}"))] += 1
            report.rtt_longest_ns = max(report.rtt_longest_ns, info.rtt)
        if connection is not None:  # it counts from its beginning
            report.retransmissions += max(0, info.total_retrans - connection.retransmissions)
            connection.retransmissions = info.total_retrans

    def report(self) -> TcpReport:
        left = (self._rtts.total() + 1) // 2
        for rtt, count in sorted(self._rtts.items()):
            left -= count
            if left <= 0:
                self._report.rtt_median_ns = rtt
                break
        return self._report


class _Top:
    """The ten largest of many."""

    def __init__(self) -> None:
        self.floor = -1  # what is not above it is not kept
        self._heap: list[tuple[int, int, Any]] = []
        self._count = 0

    def add(self, value: int, item: Any) -> None:
        if value <= self.floor:
            return
        self._count += 1  # of two that are as large the first stays
        heapq.heappush(self._heap, (value, -self._count, item))
        if len(self._heap) > _KEPT:
            heapq.heappop(self._heap)
            self.floor = self._heap[0][0]

    def items(self) -> list[Any]:
        return [item for _, _, item in sorted(self._heap, reverse=True)]


def buckets(counts: list[int]) -> list[Bucket]:
    """A histogram over bit lengths: 0, 1, 2 to 3, 4 to 7, …; without the empty ends."""
    used = [at for at, count in enumerate(counts) if count]
    if not used:
        return []
    return [Bucket(1 << (at - 1) if at else 0, 1 << at, counts[at]) for at in range(used[0], used[-1] + 1)]


class Statistics:
    """Fold a log with `feed`, then ask for the `report`."""

    def __init__(self) -> None:
        self._model = ""
        self._sleeps: Sleeps | None = None  # of a program
        self._connecting: dict[str, int] = {}  # when they began
        self._connected = 0
        self._connects, self._waits = WaitReport(), WaitReport()
        self._types: dict[type, int] = {}
        self._last_seq = -1
        self._first = 0  # of a log that was rotated
        self._since = 0  # what was before is not in the log
        self._why_cut = ""
        self._none = 0  # lines that are the file's, and none of the log's events
        self._next_line = 1
        self._now = 0  # the end of the last event
        self._calls: dict[str, _Calls] = {"poll": _Calls(), "recv": _Calls(), "send": _Calls()}
        self._open: dict[str, _Connection] = {}
        self._accepted = self._most = 0
        self._received = self._sent = 0  # of closed connections
        self._busiest = _Top()
        self._slowest = _Top()
        # The turn that is going on: whose, its first line, its start, the end of its last event.
        self._turn: tuple[str | None, int, int, int] = (None, 0, 0, 0)
        self._ready = [0] * _BUCKETS
        self._recv_sizes = [0] * _BUCKETS
        self._send_sizes = [0] * _BUCKETS
        self._datagrams = DatagramReport(0, 0, 0, 0, 0, 0)
        self._tcp = _Tcp()
        self._ended = False
        self._handlers: dict[type, Callable[[Any], None]] = {
            Header: self._header,
            Poll: self._poll,
            Inherit: self._inherit,
            Connect: self._connect,
            Accept: self._accept,
            Shutdown: self._shutdown,
            Close: self._close,
            Recvfrom: self._recvfrom,
            Sendto: self._sendto,
            Refuse: self._refuse,
            TcpInfo: self._tcp_info,
            Cut: self._cut,
            End: self._end,
        }

    def feed(self, line: int, items: list[Item]) -> None:  # noqa: C901, PLR0912 - calls would cost a quarter
        """Consecutive items, of which the first stands in `line`."""
        self._count(items)
        if line == 1 and items and isinstance(items[0], Header) and items[0].model != "loop":
            self._sleeps = Sleeps()
        if self._sleeps:
            self._feed_program(items, self._sleeps)
            self._next_line = line + len(items)
            return
        connection_of, slowest = self._open.get, self._slowest
        recvs, sends = self._calls["recv"], self._calls["send"]
        turn, first, start, end = self._turn
        for at, item in enumerate(items, line):
            # Nearly all events are these two; they are counted here, without a call. Nobody derives from
            # them, and isinstance() takes twice as long to say so.
            if type(item) is Recv or type(item) is Send:
                name, dur, n = item.conn, item.dur, item.n
                if name != turn:
                    if end - start > slowest.floor and turn is not None:
                        self._slow(turn, first, start, end, at)
                    turn, first, start = name, at, end
                end = item.t + dur
                connection = connection_of(name) or self._unheard_of(name, item.t)
                connection.calls += 1
                connection.time += dur
                if type(item) is Recv:
                    calls = recvs
                    if n is not None:
                        self._recv_sizes[n.bit_length()] += 1
                        connection.received += n
                else:
                    calls = sends
                    if n is not None:
                        self._send_sizes[n.bit_length()] += 1
                        connection.sent += n
                if n is None:
                    calls.add(dur, item.errno)
                    continue
                calls.total += dur
                calls.buckets[dur.bit_length()] += 1
                if dur > calls.longest:  # noqa: PLR1730 - nor is max() free
                    calls.longest = dur
            elif not isinstance(item, Problem):
                if (other := _turn_of(item)) != turn:
                    if turn is not None:
                        self._slow(turn, first, start, end, at)
                    turn, first, start = other, at, end
                end = self._other(item)
        self._turn = (turn, first, start, end)
        self._next_line = line + len(items)
        self._now = max(self._now, end)

    def _feed_program(self, items: list[Item], sleeps: Sleeps) -> None:
        """The same for a program's log, which has no turns of handlers: it may sleep in every call."""
        for item in items:
            if isinstance(item, Problem):
                continue
            if isinstance(item, Located):
                sleeps.add(item)
            if isinstance(item, (Recv, Send)):
                self._stream(item)
            self._now = max(self._now, self._other(item))

    def _stream(self, event: Recv | Send) -> None:
        connection = self._open.get(event.conn) or self._unheard_of(event.conn, event.t)
        connection.calls += 1
        connection.time += event.dur
        if event.n is None or (isinstance(event, Recv) and is_apart(event)):
            return
        if isinstance(event, Recv):
            self._recv_sizes[event.n.bit_length()] += 1
            connection.received += event.n
        else:
            self._send_sizes[event.n.bit_length()] += 1
            connection.sent += event.n

    def _count(self, items: list[Item]) -> None:
        """What can be counted of many events at once."""
        for cls, count in Counter(map(type, items)).items():
            self._types[cls] = self._types.get(cls, 0) + count
        last = next((it.seq for it in reversed(items) if not isinstance(it, Problem) and it.seq >= 0), -1)
        self._last_seq = max(self._last_seq, last)

    def _other(self, event: AnyEvent | Unknown) -> int:
        """An event that is neither recv nor send; when it ended."""
        dur = 0
        if isinstance(event, Call):
            dur = event.dur
            errno = None if isinstance(event, Close) else getattr(event, "errno", None)
            self._calls.setdefault(kind_of(event), _Calls()).add(dur, errno)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        return event.t + dur

    def _slow(self, name: str, line: int, start: int, end: int, next_line: int) -> None:
        took = end - start
        self._slowest.add(took, TurnReport(name, line, start, took, next_line - line))

    def _unheard_of(self, name: str, t: int) -> _Connection:
        """A connection whose accept is missing."""
        connection = self._open[name] = _Connection(name, None, t)
        return connection

    def _header(self, event: Header) -> None:
        self._model = self._model or event.model
        self._first = self._first or event.first

    def _inherit(self, event: Inherit) -> None:
        if event.seq < 0:
            self._none += 1
            self._since = self._since or event.t
        if (event.peer or event.opened is not None) and not event.name.startswith("udp"):
            self._open[event.name] = _Connection(event.name, event.peer, event.t)
            self._most = max(self._most, len(self._open))

    def _connect(self, event: Connect) -> None:
        """One that goes on in the background ends when the program asks what became of it."""
        if event.conn is None:
            return
        begun = self._connecting.setdefault(event.conn, event.t)
        if event.errno is None:
            self._connected += 1
            self._connects.add(max(0, event.t + event.dur - begun))
            self._open[event.conn] = _Connection(event.conn, event.peer, event.t + event.dur)
            self._most = max(self._most, len(self._open))
        if event.errno != "EINPROGRESS":
            del self._connecting[event.conn]

    def _poll(self, event: Poll) -> None:
        self._ready[len(event.ready).bit_length()] += 1

    def _accept(self, event: Accept) -> None:
        if event.conn is not None:
            opened = event.t + event.dur if self._sleeps else event.t  # it slept until somebody came
            self._open[event.conn] = _Connection(event.conn, event.peer, opened)
            self._accepted += 1
            self._most = max(self._most, len(self._open))
            if event.waited is not None:
                self._waits.add(event.waited)

    def _close(self, event: Close) -> None:
        if event.conn is None:
            return
        self._connecting.pop(event.conn, None)
        connection = self._open.pop(event.conn, None) or _Connection(event.conn, None, event.t)
        connection.calls += 1
        connection.time += event.dur
        self._received += connection.received
        self._sent += connection.sent
        self._rank(connection.report(event.t, event))

    def _shutdown(self, event: Shutdown) -> None:
        connection = self._open.get(event.conn)
        if connection is not None:
            connection.calls += 1
            connection.time += event.dur

    def _rank(self, connection: ConnectionReport) -> None:
        self._busiest.add(connection.received + connection.sent, connection)

    def _recvfrom(self, event: Recvfrom) -> None:
        if event.n is not None:
            self._datagrams.received += 1
            self._datagrams.received_bytes += event.n
            self._datagrams.truncated += event.truncated

    def _sendto(self, event: Sendto) -> None:
        if event.n is not None:
            self._datagrams.sent += 1
            self._datagrams.sent_bytes += event.n

    def _refuse(self, _event: Refuse) -> None:
        self._datagrams.refused += 1

    def _tcp_info(self, event: TcpInfo) -> None:
        self._tcp.add(event, self._open.get(event.conn))

    def _cut(self, event: Cut) -> None:
        self._none += 1
        self._why_cut = event.reason

    def _end(self, _event: End) -> None:
        self._ended = True

    def report(self) -> Report:
        """What the log came to; the fold is over."""
        turn, first, start, end = self._turn
        if turn is not None:
            self._slow(turn, first, start, end, self._next_line)
        still_open = list(self._open.values())
        for connection in still_open:
            self._rank(connection.report(self._now, None))
        sleeps = self._sleeps or Sleeps()
        kinds = {ev: self._types[cls] for ev, cls in EVENT_TYPES.items() if cls in self._types}
        unknown, problems = self._types.get(Unknown, 0), self._types.get(Problem, 0)
        events = sum(kinds.values()) + unknown
        duration = self._now - self._since
        blocked, ticks = self._calls["poll"].total, kinds.get("poll", 0)
        return Report(
            events=events,
            problems=problems,
            unknown=unknown,
            # A gap stands in for the last of the events it tells of, and is itself none.
            lost=max(
                0, self._last_seq + 1 - max(self._first - 1, 0) - events + kinds.get("gap", 0) + self._none
            ),
            complete=self._ended,
            model=self._model,
            cut=self._why_cut,
            duration_ns=duration,
            ticks=ticks,
            ticks_per_second=ticks * 1e9 / duration if duration else 0.0,
            blocked_ns=blocked,
            working_ns=max(0, duration - blocked),
            connections=self._accepted,
            connections_open=len(still_open),
            connections_most=self._most,
            received=self._received + sum(connection.received for connection in still_open),
            sent=self._sent + sum(connection.sent for connection in still_open),
            kinds=kinds,
            connected=self._connected,
            sleeps=sleeps.calls(),
            threads=sleeps.threads(self._now),
            threads_count=sleeps.count,
            connects=self._connects,
            accept_waits=self._waits,
            calls={name: calls.report() for name, calls in self._calls.items() if calls.count},
            busiest=self._busiest.items(),
            slowest=self._slowest.items(),
            ready=buckets(self._ready),
            sleeps_ns=buckets(self._calls["poll"].buckets),
            recv_sizes=buckets(self._recv_sizes),
            send_sizes=buckets(self._send_sizes),
            datagrams=self._datagrams,
            tcp=self._tcp.report(),
        )


def _turn_of(event: AnyEvent | Unknown) -> str | None:
    """Whose turn it is: a handler belongs to a socket, and the rest is the loop's own."""
    if isinstance(event, Accept):
        return event.sock
    if isinstance(event, (Listen, Bind, Queue)):
        return None
    return getattr(event, "conn", None) or getattr(event, "sock", None)
