"""Whether a log is whole and agrees with itself: a fold over its lines that reports what does not.

It holds what is open and a little of what was closed, so its memory does not grow with the log. Where
events are missing it says so once, and then believes what it sees: a loss is no reason for a hundred
findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Clock,
    Close,
    Connect,
    Cut,
    End,
    Gap,
    Header,
    Inherit,
    Listen,
    Located,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Setsockopt,
    Shutdown,
    Socket,
    TcpInfo,
    Unknown,
)
from evloop_trace.model.filters import due, kind_of
from evloop_trace.model.names import Names
from evloop_trace.model.sockets import DATAGRAMS, is_apart
from evloop_trace.model.threads import MAIN
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent

__all__ = ["Checker", "Finding", "begins_late"]

_STEP = 50_000_000  # ns: by less the clocks drift apart, or are brought together slowly
_THREADS = 10_000  # whose time is remembered

_PROBLEMS = {"broken": "broken-line", "too-long": "broken-line", "torn": "torn-end"}


def begins_late(header: Header) -> str:
    """Where a log begins whose oldest files were removed: a sentence without its name, or nothing."""
    before = header.first - 1  # the header itself has the number 0, and is there
    if before <= 0:
        return ""
    which = "the event before it is" if before == 1 else f"the {before:,} events before it are"
    return f"begins at event {header.first:,}: {which} in older files, which are gone"


class Finding(NamedTuple):
    """Something that does not hold, or is worth a note."""

    line: int
    kind: str
    text: str
    """A sentence; it may quote the log, so escape it before it is shown."""
    note: bool = False
    """It does not make the log wrong."""


class _Stream:
    """An open connection: where its next byte stands, in both directions."""

    __slots__ = ("begun", "line", "received", "recv_epoch", "send_epoch", "sent")

    def __init__(self, line: int, epoch: int, begun: str = "accepted") -> None:
        self.line = line
        self.begun = begun
        self.received = self.sent = 0
        self.recv_epoch = self.send_epoch = epoch


class _Thread:
    """Where a thread of a program stands."""

    __slots__ = ("blocks", "due", "tick")

    def __init__(self) -> None:
        self.due = self.tick = 0  # when its last call returned
        # (line, event): the calls in which it sleeps. While one sleeps, the handler of a signal, or a
        # finalizer, may make others.
        self.blocks: list[tuple[int, Block]] = []


class Checker:
    """Fold a log with `feed`, then ask `finish`; findings go to `report` as they are made."""

    def __init__(self, report: Callable[[Finding], None]) -> None:
        self.events = 0
        self.missing = 0
        self.lines = 0
        self._report = report
        self._seq = self._t = self._tick = 0  # of the next event, and of the last
        self._epoch = 0  # how often events were missing: what was known before may not hold
        self._broken_at, self._broken = -1, 0  # broken lines in a row, and the event expected then
        self._ended = self._cut = False
        self._apart: int | None = None  # the wall's clock and the monotonic one, in ns
        self._beginning = True  # nothing but what begins a file has come
        self._streams: dict[str, _Stream] = {}
        self._sockets: dict[str, int] = {}
        self._made: dict[str, int] = {}  # sockets that are not yet anything
        self._program = False  # its sockets are made by socket(2), and its threads have each their own time
        self._threads: dict[str, _Thread] = {}
        self._names = Names()
        self._event: Located | None = None  # that is looked at, of a program
        self._unknown: set[str] = set()
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Header: self._header,
            Listen: self._opened,
            Bind: self._bind,
            Socket: self._socket_made,
            Inherit: self._inherit,
            Connect: self._connect,
            Setsockopt: self._option,
            Accept: self._accept,
            Recv: self._stream,
            Send: self._stream,
            Recvfrom: self._datagram,
            Sendto: self._datagram,
            Shutdown: self._shutdown,
            Close: self._close,
            TcpInfo: self._tcp_info,
            Clock: self._clock,
            Gap: self._gap,
            Cut: self._end_of_file,
            End: self._end,
            Unknown: self._unknown_kind,
        }

    def feed(self, line: int, items: list[Item]) -> None:  # noqa: C901 - nearly all take the short way
        """Consecutive items, of which the first stands in `line`."""
        if self._is_program(line, items):
            self._feed_program(line, items)
            return
        if self._beginning:
            line, items = self._begin(line, items)
        seq, t, tick = self._seq, self._t, self._tick
        streams, handler_of = self._streams, self._handlers.get
        for item in items:
            if isinstance(item, Problem):
                self._problem(item, seq)
                line += 1
                continue
            if item.seq != seq or item.t < t or item.tick < tick or self._ended:
                self._out_of_order(line, item, seq, t, tick)
            seq, t, tick = item.seq + 1, item.t, item.tick
            # Nearly all events are these two, and nearly always all is well with them. Nobody derives from
            # them, and isinstance() takes twice as long to say so.
            if (
                (type(item) is Recv or type(item) is Send)
                and (off := item.off) is not None
                and (stream := streams.get(item.conn)) is not None
                and (n := off[1] - off[0]) == item.n
                and n <= item.size
            ):
                if type(item) is Recv:
                    if off[0] == stream.received:
                        stream.received = off[1]
                        line += 1
                        continue
                elif off[0] == stream.sent:
                    stream.sent = off[1]
                    line += 1
                    continue
            handler = handler_of(type(item))
            if handler is not None:
                handler(line, item)
            line += 1
        self._seq, self._t, self._tick = seq, t, tick
        self._lines(line, items)

    def _begin(self, line: int, items: list[Item]) -> tuple[int, list[Item]]:
        """A file may begin in the middle of its log: it says so, and what was open then."""
        for at, item in enumerate(items):
            if isinstance(item, Header) and line == 1:
                self._seq = item.first or 1
                self._late(item)
                self._apart = item.wall_ns - item.mono_ns
            elif isinstance(item, Gap) and item.wanted and item.seq == item.lost:
                self.missing += item.lost
                self._seq, self._epoch = item.seq + 1, 1
            elif isinstance(item, Inherit) and item.seq < 0:
                self._inherit(line + at, item)
            else:
                self._beginning = False
                self.events += at
                return line + at, items[at:]
        self.events += len(items)
        return line + len(items), []

    def _late(self, header: Header) -> None:
        """The oldest files of a log that was rotated may have been removed, as it was asked for."""
        if said := begins_late(header):
            self.missing += header.first - 1
            self._report(Finding(1, "begins-late", f"the log {said}", note=True))

    def _feed_program(self, line: int, items: list[Item]) -> None:
        """The same for a program's log, whose threads have each their own time."""
        in_thread, handler_of = self._in_thread, self._handlers.get
        for at, item in enumerate(items, line):
            if isinstance(item, Problem):
                self._problem(item, self._seq)
                continue
            if item.seq != self._seq or self._ended:
                self._out_of_order(at, item, self._seq, item.t, item.tick)
            self._seq = item.seq + 1
            if isinstance(item, Located):
                self._event = item
                in_thread(at, item)
            handler = handler_of(type(item))
            if handler is not None:
                handler(at, item)
        self._lines(line + len(items), items)

    def finish(self) -> None:
        """The log is over: what is still open, and whether it has an end."""
        if self._cut:
            pass  # its log goes on, or was not all that was wanted
        elif not self._ended:
            self._no_end()
        elif not self._epoch:  # a close may be among the events that are missing
            for name, stream in self._streams.items():
                self._find(stream.line, "not-closed", f"{name} was {stream.begun} here and never closed")
            for name, line in (self._sockets | self._made).items():
                self._find(line, "not-closed", f"{name} was opened here and never closed")

    def _find(self, line: int, kind: str, text: str, *, note: bool = False) -> None:
        self._report(Finding(line, kind, text, note))

    def _is_program(self, line: int, items: list[Item]) -> bool:
        """Whether it is the log of a program that is no loop of ours; its first line says so."""
        if line == 1 and items and isinstance(items[0], Header):
            self._program = items[0].model != "loop"
        return self._program

    def _lines(self, line: int, items: list[Item]) -> None:
        self.lines = line - 1
        self.events += len(items)

    # -- the order of lines ----------------------------------------------------------------------------

    def _problem(self, problem: Problem, seq: int) -> None:
        self.events -= 1
        if seq != self._broken_at:
            self._broken_at, self._broken = seq, 0
        self._broken += 1
        self._find(problem.line, _PROBLEMS[problem.kind], f"the line {problem.message}")

    def _out_of_order(self, line: int, event: AnyEvent | Unknown, seq: int, t: int, tick: int) -> None:
        if isinstance(event, Cut) and event.seq < 0:
            return
        if self._ended:
            self._find(
                line, "after-end", "an event stands after the end: another log was appended, or two wrote"
            )
            self._ended = False
        if event.seq != seq:
            self._sequence(line, event, seq)
        if event.t < t:
            self._find(line, "time", f"t goes back by {t - event.t} ns, from {t} to {event.t}")
        if event.tick < tick:
            self._find(line, "tick", f"tick goes back from {tick} to {event.tick}")

    def _in_thread(self, line: int, event: Any) -> None:
        """Calls are told in the order of their return: in a thread none returns before the one before it."""
        name = event.thread or MAIN
        thread = self._threads.get(name)
        if thread is None:
            thread = self._threads[name] = _Thread()
            if len(self._threads) > _THREADS:  # a server may start one for every client
                del self._threads[next(iter(self._threads))]
        returned = due(event)
        if returned < thread.due:
            back = thread.due - returned
            self._find(line, "time", f"t goes back by {back} ns in the thread {name}")
        if event.tick < thread.tick:
            self._find(
                line, "tick", f"tick goes back from {thread.tick} to {event.tick} in the thread {name}"
            )
        thread.due, thread.tick = returned, event.tick
        if isinstance(event, Block):
            self._asleep(line, thread, event)
        elif thread.blocks:
            self._awake(line, thread, event)

    def _asleep(self, line: int, thread: _Thread, event: Block) -> None:
        if thread.blocks and not self._epoch:
            before, pending = thread.blocks[-1]
            if (pending.awaits, _about(pending)) == (event.awaits, _about(event)):
                self._no_return(line, before, pending)
        thread.blocks.append((line, event))
        del thread.blocks[:-10]

    def _awake(self, line: int, thread: _Thread, event: Any) -> None:
        """The call that slept returned, unless this one was made while it sleeps."""
        before, pending = thread.blocks[-1]
        if event.t > pending.t:
            return
        if (kind_of(event), _about(event)) != (pending.awaits, _about(pending)) and not self._epoch:
            self._no_return(line, before, pending)
        thread.blocks.pop()

    def _no_return(self, line: int, before: int, block: Block) -> None:
        name = _about(block)
        on = f" on {name}" if name else ""
        self._find(
            line,
            "no-return",
            f"{block.awaits}(){on} went to sleep in line {before}, and its return is missing",
        )

    def _sequence(self, line: int, event: AnyEvent | Unknown, expected: int) -> None:
        self._epoch += 1
        lost = event.seq - expected
        if lost < 0:
            self._find(line, "sequence", f"seq goes back from {expected - 1} to {event.seq}")
        elif isinstance(event, Gap) and event.lost == lost + 1:
            pass  # it tells of them itself
        elif lost == self._broken and expected == self._broken_at:
            self.missing += lost  # the broken lines before this one, which have been told of
        else:
            self.missing += lost
            which = f"event {expected} is" if lost == 1 else f"events {expected} to {event.seq - 1} are"
            self._find(line, "lost", f"{which} missing before this line: {lost} lost")

    def _gap(self, line: int, gap: Gap) -> None:
        """It has the number of the last event that it stands for."""
        self._epoch += 1
        self.missing += gap.lost
        first = gap.seq - gap.lost + 1
        which = f"event {gap.seq} is" if gap.lost == 1 else f"events {first} to {gap.seq} are"
        self._find(line, "lost", f"{which} missing, and the log says why: {gap.reason}")

    def _clock(self, line: int, event: Clock) -> None:
        apart = event.wall_ns - event.mono_ns
        moved = 0 if self._apart is None else apart - self._apart
        self._apart = apart
        if abs(moved) > _STEP:
            way = "forward" if moved > 0 else "back"
            text = f"the time of day was set {way} by {duration(abs(moved))} since the clocks were last read"
            self._find(
                line, "clock-step", f"{text}: times of packets before and after do not compare", note=True
            )

    def _header(self, line: int, header: Header) -> None:
        self._apart = header.wall_ns - header.mono_ns
        if line != 1:
            self._find(line, "header", "a header stands in the middle: another log was appended")
            self._streams.clear()
            self._sockets.clear()
            self._made.clear()
            self._threads.clear()
            self._names = Names()

    def _unknown_kind(self, line: int, event: Unknown) -> None:
        if event.ev not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(event.ev)
            self._find(
                line, "unknown-kind", f"{event.ev!r} is an event that this version does not know", note=True
            )

    # -- sockets ---------------------------------------------------------------------------------------

    def _opened(self, line: int, event: Listen | Bind) -> None:
        """Our loop's sockets have their names from here, those of programs have them from socket(2)."""
        if self._program:
            if event.errno is None:
                self._socket(line, event.sock, f"{kind_of(event)}()")
            else:
                self._is_open(line, event.sock, f"{kind_of(event)}()")
        else:
            self._new(line, event.sock)
            self._sockets[event.sock] = line

    def _bind(self, line: int, event: Bind) -> None:
        """What a stream socket becomes is open still: also who connects may bind."""
        if self._program and event.proto not in DATAGRAMS:
            self._is_open(line, event.sock, "bind()")
        else:
            self._opened(line, event)

    def _socket_made(self, line: int, event: Socket) -> None:
        if event.sock is not None:
            self._new(line, event.sock)
            self._made[event.sock] = line

    def _inherit(self, line: int, event: Inherit) -> None:
        self._new(line, event.name)
        if event.listens or event.proto in DATAGRAMS:
            self._sockets[event.name] = line
        elif event.peer or event.received or event.sent or event.opened is not None:
            stream = self._streams[event.name] = _Stream(line, self._epoch, "inherited")
            stream.received, stream.sent = event.received, event.sent
        else:  # or a connection whose other end has no name
            self._made[event.name] = line

    def _connect(self, line: int, event: Connect) -> None:
        if event.conn is not None and event.errno is None:
            self._open_stream(line, event.conn, "connect()")
        else:
            self._is_open(line, event.conn or event.sock or "", "connect()")

    def _option(self, line: int, event: Setsockopt) -> None:
        self._is_open(line, event.conn or event.sock or "", "setsockopt()")

    def _is_open(self, line: int, name: str, call: str) -> None:
        """A call on a socket that may be anything."""
        known = name in self._made or name in self._sockets or name in self._streams
        if not known and (not self._epoch or self._names.closed(name)):
            self._not_open(line, name, call)

    def _accept(self, line: int, event: Accept) -> None:
        if event.errno is None:
            self._socket(line, event.sock, "accept()")
        else:
            self._is_open(line, event.sock, "accept()")
        if event.conn is not None:
            self._new(line, event.conn)
            self._streams[event.conn] = _Stream(line, self._epoch)

    def _new(self, line: int, name: str) -> None:
        if not self._names.add(name):
            self._find(line, "reused", f"the name {name} was used before, and names are never reused")

    def _datagram(self, line: int, event: Recvfrom | Sendto) -> None:
        self._socket(line, event.sock, f"{type(event).__name__.lower()}()")

    def _socket(self, line: int, name: str, call: str) -> None:
        if name not in self._sockets:
            if name in self._made:
                self._sockets[name] = self._made.pop(name)
            elif self._epoch and not self._names.closed(name):
                self._sockets[name] = line  # its beginning is among the events that are missing
            else:
                self._not_open(line, name, call)

    def _not_open(self, line: int, name: str, call: str) -> None:
        """Unless it had begun before another thread's close() returned: events stand as calls return."""
        closed = self._names.closed(name)
        if closed is None:
            self._find(line, "not-open", f"{call} on {name}, which is not open")
        elif not closed.raced(self._event):
            self._find(line, "not-open", f"{call} on {name}, which was closed in line {closed.line}")

    def _open_stream(self, line: int, name: str, call: str) -> _Stream | None:
        stream = self._streams.get(name)
        if stream is None and name in self._made:
            stream = self._streams[name] = _Stream(self._made.pop(name), self._epoch, "opened")
        if stream is None and self._epoch and not self._names.closed(name):
            stream = self._streams[name] = _Stream(line, -1)
        if stream is None:
            self._not_open(line, name, call)
        return stream

    def _shutdown(self, line: int, event: Shutdown) -> None:
        self._is_open(line, event.conn, "shutdown()")

    def _stream(self, line: int, event: Recv | Send) -> None:
        call = "recv()" if isinstance(event, Recv) else "send()"
        if event.n is None:
            self._is_open(line, event.conn, call)
            return
        stream = self._open_stream(line, event.conn, call)
        if stream is None:
            return
        if event.n > event.size:
            self._find(line, "size", f"{call} on {event.conn} gave {event.n} bytes of {event.size}")
        if event.off is not None:
            self._offsets(line, event, stream, event.off)
        elif event.n:
            self._find(line, "offsets", f"{call} on {event.conn} moved {event.n} bytes and has no offsets")

    def _offsets(self, line: int, event: Recv | Send, stream: _Stream, off: tuple[int, int]) -> None:
        receives = isinstance(event, Recv)
        at, epoch = (stream.received, stream.recv_epoch) if receives else (stream.sent, stream.send_epoch)
        where = f"{'recv' if receives else 'send'}() on {event.conn}"
        if off[0] != at and epoch == self._epoch:
            self._find(line, "offsets", f"{where} starts at byte {off[0]}, and the one before ended at {at}")
        if off[1] - off[0] != event.n:
            self._find(line, "offsets", f"{where} spans [{off[0]},{off[1]}) and moved {event.n} bytes")
        if isinstance(event, Recv) and is_apart(event):
            return
        if receives:
            stream.received, stream.recv_epoch = off[1], self._epoch
        else:
            stream.sent, stream.send_epoch = off[1], self._epoch

    def _close(self, line: int, event: Close) -> None:
        if event.conn is not None:
            stream = self._open_stream(line, event.conn, "close()")
            if stream is not None:
                self._totals(line, event, stream)
            self._streams.pop(event.conn, None)
            self._names.close(event.conn, line, event)
        if event.sock is not None:
            self._socket(line, event.sock, "close()")
            self._sockets.pop(event.sock, None)
            self._names.close(event.sock, line, event)

    def _totals(self, line: int, event: Close, stream: _Stream) -> None:
        directions = (
            ("received", event.received, stream.received, stream.recv_epoch),
            ("sent", event.sent, stream.sent, stream.send_epoch),
        )
        for word, total, seen, epoch in directions:
            if total != seen and epoch == self._epoch:
                self._find(
                    line,
                    "totals",
                    f"{event.conn} {word} {total} bytes, its close says, and {seen} by its calls",
                )

    def _tcp_info(self, line: int, event: TcpInfo) -> None:
        """What the kernel counts is at least what the calls got, and at most what they gave.

        Of a program's threads one may have been asked before another's call, and be told after it.
        """
        if self._program:
            self._is_open(line, event.conn, "tcp_info")
            return
        stream = self._open_stream(line, event.conn, "tcp_info")
        if stream is None:
            return
        if stream.received > event.bytes_received and stream.recv_epoch == self._epoch:
            text = f"{event.conn} read {stream.received} bytes, and to TCP came {event.bytes_received}"
            self._find(line, "kernel", text)
        # A SYN and a FIN have a number each.
        if event.bytes_acked > stream.sent + 2 and stream.send_epoch == self._epoch:
            text = f"of {event.conn} {event.bytes_acked} bytes were acknowledged, and it sent {stream.sent}"
            self._find(line, "kernel", text)

    # -- the end ---------------------------------------------------------------------------------------

    def _end(self, line: int, end: End) -> None:
        self._ended = True
        if end.events != end.seq + 1:
            self._find(
                line, "end-count", f"the end counts {end.events} events, and the last one's seq is {end.seq}"
            )

    def _end_of_file(self, _line: int, _cut: Cut) -> None:
        self._cut = self._ended = True

    def _no_end(self) -> None:
        others = len(self._sockets) + len(self._made)
        still = [f"{len(self._streams)} open connections", f"{others} other open sockets"]
        who = "program" if self._program else "server"
        self._find(
            max(self.lines, 1),
            "no-end",
            f"the log has no end: the {who} crashed, was killed, or is still running; "
            f"it leaves {' and '.join(still)}",
        )


def _about(event: Any) -> str:
    """The socket that a call is on; it may change from a socket into a connection, but not its name."""
    if isinstance(event, Accept):
        return event.sock
    return getattr(event, "conn", None) or getattr(event, "sock", None) or ""
