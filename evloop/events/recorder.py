"""From a call to a line: events are collected during a tick, and encoded and handed on at its end."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from itertools import count
from threading import RLock, current_thread, main_thread
from typing import TYPE_CHECKING

from evloop.events.schema import Clock, End, Event, Gap, Header
from evloop.events.sinks import encode, encode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.sinks import Sink

__all__ = ["DirectRecorder", "Recorder", "read_clocks"]

CLOCK_EVERY = 10_000_000_000  # ns

# Bound now: a program that is recorded may replace what is in `time`.
_monotonic_ns, _wall_ns = time.monotonic_ns, time.time_ns


def read_clocks() -> tuple[int, int, int]:
    """(monotonic ns, wall ns, how far apart they may be): the closest of a few tries.

    Packets carry the wall's time and calls the monotonic; a pair read together joins them.
    """
    best = (0, 0, 1 << 62)
    for _ in range(5):
        before, wall, after = _monotonic_ns(), _wall_ns(), _monotonic_ns()
        if after - before < best[2]:
            best = ((before + after) // 2, wall, after - before)
    return best


class Recorder:
    """Numbers events and hands them to sinks, a block a tick.

    Recording is on the way of every call, so it does as little as it can: a
    struct appended to `batch`, with a number from `next_seq`. Encoding waits for
    the end of the tick, when nobody waits for an answer any more.
    """

    clocks = staticmethod(read_clocks)
    """What reads both clocks."""

    def __init__(self, header: Header, on_broken_sink: Callable[[Sink, Exception], None]) -> None:
        self.header = header
        self.origin = header.mono_ns
        self.tick = 0
        self.batch: list[Event] = [header]
        self.append = self.batch.append
        self.next_seq = count(1).__next__
        self.sinks: list[Sink] = []
        self._on_broken_sink = on_broken_sink
        self._next_clock = CLOCK_EVERY
        self.reason = "stopped"  # or the last signal that stops the server, or a crash

    def flush(self) -> None:
        """Encode what was recorded and hand it to every sink."""
        batch = self.batch
        if not batch:
            return
        if batch[-1].t >= self._next_clock:
            self._record_clock(batch[-1].t)
        block = encode(batch) if any(sink.wants_lines for sink in self.sinks) else b""
        for sink in tuple(self.sinks):
            try:
                sink.write(block, batch)
            except Exception as error:  # noqa: BLE001 - a sink must not end the server
                self._let_go(sink, error)
        batch.clear()

    def _let_go(self, sink: Sink, error: Exception) -> None:
        self.sinks.remove(sink)
        with suppress(Exception):  # it is broken already, and that is told
            sink.close()
        self._on_broken_sink(sink, error)

    def _record_clock(self, t: int) -> None:
        self._next_clock = t + CLOCK_EVERY
        mono_ns, wall_ns, bracket_ns = self.clocks()
        self.append(Clock(self.next_seq(), mono_ns - self.origin, self.tick, mono_ns, wall_ns, bracket_ns))

    def close(self, t: int) -> None:
        """Write the last line, one a sink, since each counts what it lost, and close the sinks."""
        self.flush()
        seq = self.next_seq()
        for sink in tuple(self.sinks):
            end = End(seq, t, self.tick, self.reason, seq + 1, sink.lost)
            try:
                sink.write(encode([end]), [end])
            except Exception as error:  # noqa: BLE001 - nor must it keep the others from their end
                self._let_go(sink, error)
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001
                self._on_broken_sink(sink, error)
        self.sinks.clear()


class DirectRecorder:
    """Numbers events and writes each at once, from any thread: for programs that block.

    What was recorded is in the file before the call returns to the program, so
    that it survives whatever kills the program.
    """

    def __init__(self, header: Header, sink: Sink) -> None:
        """Writes the header."""
        self.header = header
        self.origin = header.mono_ns
        self.tick = 0  # polls so far
        self._sink = sink
        self._write: Callable[[bytes, Sequence[Event]], None] = sink.write
        self._lock = RLock()
        self._busy = False
        self._waiting: deque[Event] = deque()  # recorded while this thread was recording
        self._seq = 0
        self._lost = 0  # events that could not be encoded
        self._next_clock = CLOCK_EVERY
        self.interrupts: deque[Callable[[], None]] = deque()
        """Called in the main thread when its event is written: they raise what had to wait for it."""
        self.record(header)

    def clock(self) -> int:
        """The present as a `t`."""
        return _monotonic_ns() - self.origin

    def record(self, event: Event) -> None:
        """Number an event and write it; what comes after the end is dropped."""
        with self._lock:
            if self._busy:
                # A signal handler or a finalizer has interrupted this very thread in here: it goes on
                # when we return, and sees to this one, too.
                self._waiting.append(event)
                return
            self._busy = True
            try:
                # Counted first: where a signal's handler raises in here, a number is missing, and none is
                # there twice.
                event.seq = self._seq
                self._seq += 1
                try:
                    line = encode_line(event)
                except Exception as error:
                    if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                        raise  # not the encoder's: a signal's handler has raised
                    event = self._gap(event, error)
                    line = encode_line(event)
                self._write(line + b"\n", (event,))
            finally:
                self._busy = False
            if event.t >= self._next_clock:
                self._record_clock(event.t)
            if self._waiting:
                self.record(self._waiting.popleft())
        if self.interrupts and current_thread() is main_thread():
            with suppress(IndexError):  # whoever was to remind us of it has done so
                interrupt = self.interrupts.popleft()
                interrupt()

    def _gap(self, event: Event, error: Exception) -> Gap:
        """What stands for an event that cannot be encoded: of that the program must not hear."""
        self._lost += 1
        tag = type(event).__struct_config__.tag
        reason = f"an event ({tag}) could not be written: {type(error).__name__}"
        return Gap(event.seq, event.t, event.tick, 1, reason)

    def _record_clock(self, t: int) -> None:
        self._next_clock = t + CLOCK_EVERY
        mono_ns, wall_ns, bracket_ns = read_clocks()
        self.record(Clock(0, mono_ns - self.origin, self.tick, mono_ns, wall_ns, bracket_ns))

    def close(self, reason: str) -> None:
        """Write the last line and close the sink; nothing is recorded any more."""
        with self._lock:
            self.record(End(0, self.clock(), self.tick, reason, self._seq + 1, self._sink.lost + self._lost))
            self._write = _drop
            self._sink.close()


def _drop(line: bytes, events: Sequence[Event]) -> None:
    """The log has its end."""
