"""How connections end, and how they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.model.diagnosis.state import Stream
from evloop_trace.model.diagnosis.words import call, close_wait, reset, when
from evloop_trace.model.filters import due
from evloop_trace.model.lint.finding import Finding
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Close, Error, Recv
    from evloop_trace.model.diagnosis.state import Process
    from evloop_trace.model.lint.finding import Findings

__all__ = ["Ending"]

LEAK = 10_000_000_000
"""Nanoseconds after the peer's end without a call on the connection, from which on it is a leak.

Half-closed connections live as long as an answer takes. Who says nothing at all for so long has
forgotten it: such connections are never closed, so nothing is lost by waiting.
"""

_DELIBERATE = frozenset({"error", "aborted", "drain-timeout", "idle-timeout", "lifetime", "stop", "exit"})
"""Closes with unread bytes that nobody means to be an end in good order, or that are after one.

What a program leaves open when it ends `why` does not count either.
"""


class _Ended(NamedTuple):
    """A connection whose peer has finished."""

    stream: Stream
    recv: Recv
    accepts: int  # how many connections had been accepted


class Ending:
    """Ends of streams that wait for a close, closes that break off, and characters that are cut in two."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self.ended: dict[str, _Ended] = {}
        """Open connections whose peer has finished."""
        self.accepts = 0

    def end(self, stream: Stream, event: Recv) -> None:
        """recv() = 0, which may not be the first."""
        if stream.name not in self.ended and not stream.paired:
            self.ended[stream.name] = _Ended(stream, event, self.accepts)

    def polled(self, event: AnyEvent, *, held: bool) -> None:
        """A turn of our own loop is over, in which whatever is at its end must have been closed.

        Unless an answer is still to be sent, or somebody holds it back.
        """
        for stream, recv, _ in tuple(self.ended.values()):
            if self._process.loops:
                if not held and stream.rest is None and "WRITE" not in stream.watched:
                    self._leak(stream, recv, event)
            elif event.t - max(recv.t, 0 if stream.touched is None else stream.touched.t) > LEAK:
                self._leak(stream, recv, event)

    def closed(self, stream: Stream, event: Close) -> None:
        """Bytes that nobody has read make close(2) a reset (RFC 2525, 2.17)."""
        ended = self.ended.pop(stream.name, None)
        if ended is not None and event.reason in {"exit", "collected"}:
            self._left(ended, event)
        if not event.unread or event.reason in _DELIBERATE or event.errno is not None:
            return
        if stream.gone:  # whoever has sent a reset is sent none
            return
        if not self._findings.again("ended-badly", stream.name, event):
            self._findings.add(Finding("ended-badly", stream.name, [event], event, reset(event)))

    def finish(self, last: AnyEvent | None) -> None:
        """The log is over: what was left behind?"""
        if last is not None:
            for ended in self.ended.values():
                self._left(ended, last)

    def _left(self, ended: _Ended, event: AnyEvent) -> None:
        """Nobody has closed it; a leak only if the program had time for others."""
        stream, recv, accepts = ended
        if self._process.loops:  # a log that stops in the middle of a turn does not say how that went on
            leaks = self._process.end is not None or event.t - recv.t > LEAK
        else:
            leaks = self.accepts > accepts or event.t - recv.t > LEAK
        if leaks:
            self._leak(stream, recv, event)

    def _leak(self, stream: Stream, recv: Recv, event: AnyEvent) -> None:
        if not self._findings.again("close-wait", stream.name, event, times=0):
            text = close_wait(stream, recv)
            self._findings.add(Finding("close-wait", stream.name, [recv], event, text))

    # -- decoding --------------------------------------------------------------------------------------

    def failed(self, event: Error) -> None:
        """An exception: was it a character of which a read had only a part?"""
        if "UnicodeDecodeError" not in event.message:
            return
        recv = self._read_before(event)
        if recv is None:
            return
        edge = _edge(recv, event.message)
        if edge and not self._findings.again("decode-edge", recv.conn, event):
            text = (
                f"{call(recv)} on {recv.conn} {edge} {when(recv)}, and decoding it failed: {event.message}."
            )
            took = due(event) - recv.t
            where = f"It was raised {duration(took)} later, in {event.where}."
            self._findings.add(Finding("decode-edge", recv.conn, [recv], event, text, where))

    def _read_before(self, event: Error) -> Recv | None:
        """What was read last: of the connection, if the error says which."""
        streams = [sock for sock in self._process.sockets.values() if isinstance(sock, Stream)]
        reads = [it.recv for it in streams if it.recv is not None and event.conn in {None, it.name}]
        return max(reads, key=lambda recv: recv.seq, default=None)


def _edge(recv: Recv, message: str) -> str:
    """Where a read cuts a character in two, in words; nothing if it does not, or nobody knows.

    A byte 10xxxxxx goes on with a character; one of 11xxxxxx begins it and says how long it is (RFC 3629).
    """
    data = bytes(recv.data)
    if data and 0x80 <= data[0] < 0xC0:
        return "begins in the middle of a character"
    cut = _is_cut(data) if len(data) == recv.n else "unexpected end of data" in message
    return "ends in the middle of a character" if cut else ""


def _is_cut(data: bytes) -> bool:
    """Whether the last character is not whole."""
    for back, byte in enumerate(reversed(data[-4:]), 1):
        if byte < 0x80 or byte > 0xF4:  # no byte of a longer character
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False
