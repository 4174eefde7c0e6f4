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
    Close,
    End,
    Gap,
    Header,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Unknown,
)
from evloop_trace.model.names import Names

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent

__all__ = ["Checker", "Finding"]

_PROBLEMS = {"broken": "broken-line", "too-long": "broken-line", "torn": "torn-end"}


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

    __slots__ = ("line", "received", "recv_epoch", "send_epoch", "sent")

    def __init__(self, line: int, epoch: int) -> None:
        self.line = line
        self.received = self.sent = 0
        self.recv_epoch = self.send_epoch = epoch


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
        self._ended = False
        self._streams: dict[str, _Stream] = {}
        self._sockets: dict[str, int] = {}
        self._names = Names()
        self._unknown: set[str] = set()
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Header: self._header,
            Listen: self._opened,
            Bind: self._opened,
            Accept: self._accept,
            Recv: self._stream,
            Send: self._stream,
            Recvfrom: self._datagram,
            Sendto: self._datagram,
            Shutdown: self._shutdown,
            Close: self._close,
            Gap: self._gap,
            End: self._end,
            Unknown: self._unknown_kind,
        }

    def feed(self, line: int, items: list[Item]) -> None:
        """Consecutive items, of which the first stands in `line`."""
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

    def finish(self) -> None:
        """The log is over: what is still open, and whether it has an end."""
        if not self._ended:
            self._no_end()
        elif not self._epoch:  # a close may be among the events that are missing
            for name, stream in self._streams.items():
                self._find(stream.line, "not-closed", f"{name} was accepted here and never closed")
            for name, line in self._sockets.items():
                self._find(line, "not-closed", f"{name} was opened here and never closed")

    def _find(self, line: int, kind: str, text: str, *, note: bool = False) -> None:
        self._report(Finding(line, kind, text, note))

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

    def _header(self, line: int, _header: Header) -> None:
        if line != 1:
            self._find(line, "header", "a header stands in the middle: another log was appended")
            self._streams.clear()
            self._sockets.clear()
            self._names = Names()

    def _unknown_kind(self, line: int, event: Unknown) -> None:
        if event.ev not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(event.ev)
            self._find(
                line, "unknown-kind", f"{event.ev!r} is an event that this version does not know", note=True
            )

    # -- sockets ---------------------------------------------------------------------------------------

    def _opened(self, line: int, event: Listen | Bind) -> None:
        self._new(line, event.sock)
        self._sockets[event.sock] = line

    def _accept(self, line: int, event: Accept) -> None:
        self._socket(line, event.sock, "accept()")
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
            if self._epoch and not self._names.closed(name):
                self._sockets[name] = line  # its beginning is among the events that are missing
            else:
                self._find(line, "not-open", f"{call} on {name}, which {self._why_not_open(name)}")

    def _why_not_open(self, name: str) -> str:
        closed = self._names.closed(name)
        return f"was closed in line {closed}" if closed else "is not open"

    def _open_stream(self, line: int, name: str, call: str) -> _Stream | None:
        stream = self._streams.get(name)
        if stream is None and self._epoch and not self._names.closed(name):
            stream = self._streams[name] = _Stream(line, -1)
        if stream is None:
            self._find(line, "not-open", f"{call} on {name}, which {self._why_not_open(name)}")
        return stream

    def _shutdown(self, line: int, event: Shutdown) -> None:
        self._open_stream(line, event.conn, "shutdown()")

    def _stream(self, line: int, event: Recv | Send) -> None:
        call = f"{type(event).__name__.lower()}()"
        stream = self._open_stream(line, event.conn, call)
        if stream is None or event.n is None:
            return
        if event.n > event.size:
            self._find(line, "size", f"{call} on {event.conn} gave {event.n} bytes of {event.size}")
        if event.off is not None:
            self._offsets(line, event, stream, event.off)
        elif event.n:
            self._find(line, "offsets", f"{call} on {event.conn} moved {event.n} bytes and has no offsets")

    def _offsets(self, line: int, event: Recv | Send, stream: _Stream, off: tuple[int, int]) -> None:
        receives = isinstance(event, Recv)
        where = f"{type(event).__name__.lower()}() on {event.conn}"
        at, epoch = (stream.received, stream.recv_epoch) if receives else (stream.sent, stream.send_epoch)
        if off[0] != at and epoch == self._epoch:
            self._find(line, "offsets", f"{where} starts at byte {off[0]}, and the one before ended at {at}")
        if off[1] - off[0] != event.n:
            self._find(line, "offsets", f"{where} spans [{off[0]},{off[1]}) and moved {event.n} bytes")
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
            self._names.close(event.conn, line)
        if event.sock is not None:
            self._socket(line, event.sock, "close()")
            self._sockets.pop(event.sock, None)
            self._names.close(event.sock, line)

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

    # -- the end ---------------------------------------------------------------------------------------

    def _end(self, line: int, end: End) -> None:
        self._ended = True
        if end.events != end.seq + 1:
            self._find(
                line, "end-count", f"the end counts {end.events} events, and the last one's seq is {end.seq}"
            )

    def _no_end(self) -> None:
        still = [f"{len(self._streams)} open connections", f"{len(self._sockets)} other open sockets"]
        self._find(
            max(self.lines, 1),
            "no-end",
            "the log has no end: the server crashed, was killed, or is still running; "
            f"it leaves {' and '.join(still)}",
        )
