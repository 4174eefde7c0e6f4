"""A capture from its beginning to its end: ready, packets, drained."""

from __future__ import annotations

import select
import sys
import time
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from evloop_trace.capture.bar import Bar
from evloop_trace.capture.filters import assemble
from evloop_trace.capture.interface import find, is_up
from evloop_trace.capture.order import Order
from evloop_trace.capture.ring import BLOCK_AGE, Ring
from evloop_trace.capture.sinks import FileSink, LineSink
from evloop_trace.capture.stop import Stop, Turns
from evloop_trace.tracepoints.recorder import Recorder
from evloop_trace.whole_file import UnwrittenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.capture.ring import Packet
    from evloop_trace.capture.sinks import Sink
    from evloop_trace.capture.wanted import Wanted

__all__ = ["FAILED", "capture", "say_ready"]

_DONE, FAILED = 0, 1
_BLOCKS_A_ROUND = 32  # then what was read is written: at saturation there is always one more
_DRAINING = 1.0  # seconds at most for blocks that the kernel has to become ours; they need BLOCK_AGE
_LOOK = 0.5  # seconds between two looks whether an interface is up again


def capture(wanted: Wanted, write: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """Capture until a signal, or until there is enough; the exit code.

    Args:
        wanted: What.
        write: Takes lines.
        tell: Takes a sentence for people.

    Raises:
        EvloopError: it could not begin.
        BrokenPipeError: who reads the output has gone.
    """
    where = find(wanted.interface)
    program = assemble(wanted.ports, wanted.snap, where.link, everywhere=where.is_any)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        recorder = None
        if wanted.kernel is not None:
            recorder = stack.enter_context(closing(Recorder(wanted.kernel, wanted.ports, tell)))
        ring = stack.enter_context(closing(Ring(where, program)))
        sink: Sink = LineSink(write, where) if wanted.output is None else FileSink(wanted, where)
        stack.enter_context(closing(sink))
        say_ready(where.name)
        code = _Session(wanted, ring, Turns(wanted, stop), sink, tell, recorder=recorder).run()
        return code if recorder is None else max(code, recorder.finish())


def say_ready(name: str) -> None:
    """For a script to wait for; print would take standard output where there is no standard error."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"capturing on {name}", file=sys.stderr, flush=True)


class _Session:
    """The program's loop."""

    def __init__(
        self, wanted: Wanted, ring: Ring, turns: Turns, sink: Sink, tell: Callable[[str], None],
        *, recorder: Recorder | None,
    ) -> None:  # fmt: skip
        self._wanted, self._ring, self._turns, self._sink, self._tell = wanted, ring, turns, sink, tell
        self._recorder = recorder
        self._order = Order()
        self._taken = 0  # out of the ring
        self._packets = self._size = 0  # in the sink
        self._is_down = False
        self._gone = False
        for fd in (ring.fileno(), *(recorder.pipes if recorder else ())):
            turns.add(fd)
        if wanted.output in {None, "-"} and sys.stdout is not None:
            with suppress(OSError, ValueError):  # a test's, which is no file
                turns.add(sys.stdout.fileno(), 0)  # POLLERR: who reads it has gone

    def run(self) -> int:
        """Capture; the exit code."""
        try:
            with closing(Bar(self._wanted)) as self._bar:
                self._until_enough()
                self._drain()
            self._sink.finish(self._ring.count())
        except UnwrittenError as error:
            return self._cannot_write(error)
        self._tell(self._summary())
        return FAILED if self._gone else _DONE

    def _is_enough(self) -> bool:
        return self._gone or (self._wanted.packets is not None and self._packets >= self._wanted.packets)

    def _until_enough(self) -> None:
        while not (self._is_enough() or self._turns.over):
            self._turn()

    def _turn(self) -> None:
        """Wait until there is something to do, and do it."""
        for fd, mask in self._turns.wait(self._patience()):
            if fd == self._ring.fileno():
                if mask & select.POLLERR:
                    self._heed_error()
            elif mask & (select.POLLERR | select.POLLHUP):
                raise BrokenPipeError
        if self._is_down and (up := is_up(self._wanted.interface)) is not False:
            self._is_down, self._gone = False, up is None
            if up:
                self._tell(f"{self._wanted.interface} is up again")
        self._take()
        if self._recorder:
            self._recorder.take()

    def _patience(self) -> float | None:
        """Seconds."""
        waits = [self._bar.every, _LOOK if self._is_down else None]
        waits.append(self._recorder.patience if self._recorder else None)
        if self._order.waiting:
            waits.append(2 * BLOCK_AGE / 1000)
        return min([wait for wait in waits if wait is not None], default=None)

    def _take(self) -> None:
        """What is in the ring, into the sink."""
        packets: list[Packet] = []
        for _ in range(_BLOCKS_A_ROUND):
            block = self._ring.take()
            if not block:
                break
            packets += block
        self._taken += len(packets)
        self._put(self._order.add(packets) if packets else self._order.rest())

    def _put(self, packets: list[Packet]) -> None:
        if self._wanted.packets is not None:
            packets = packets[: self._wanted.packets - self._packets]
        counts = self._ring.count()
        try:
            self._sink.put(packets, counts)
        except UnwrittenError as error:
            # Blocks stand in the order of packets; behind them may be one of statistics.
            there = max(0, len(packets) - error.missing)
            error.since = packets[there][0] if there < len(packets) else time.time_ns()
            self._note(packets[:there])
            raise
        self._note(packets)
        self._bar.update(self._packets, self._size, counts.dropped)

    def _note(self, packets: list[Packet]) -> None:
        self._packets += len(packets)
        self._size += sum([size for _, _, size in packets])

    def _heed_error(self) -> None:
        """The kernel says ENETDOWN once; when the interface is up again, packets come as before."""
        name = self._wanted.interface
        if not self._ring.take_error() or is_up(name):
            return
        self._is_down = True
        self._tell(f"{name} is down: there are no packets until it is up again")

    def _drain(self) -> None:
        """Nothing comes in any more; what did, is taken out, to the last that the kernel counted."""
        self._ring.shut()
        until = time.monotonic() + _DRAINING
        while self._wanted.packets != self._packets and time.monotonic() < until:
            counts = self._ring.count()
            if self._taken >= counts.seen - counts.dropped:
                break
            select.select([self._ring], [], [], BLOCK_AGE / 1000)
            self._take()
        self._put(self._order.rest())

    def _cannot_write(self, error: UnwrittenError) -> int:
        counts = self._ring.count()
        since = datetime.fromtimestamp(error.since / 1e9).astimezone().strftime("%H:%M:%S.%f")
        sentence = f"packets are missing from {since} on"
        with suppress(UnwrittenError):  # the room of the block that is not there may do for it
            self._sink.finish(counts, f"the file could not be written any more: {error}; {sentence}")
        self._tell(f"{self._wanted.output} cannot be written: {error}; {sentence}, it has {self._packets:,}")
        return FAILED

    def _summary(self) -> str:
        counts = self._ring.count()
        what = f"{self._packets:,} packet{'s' * (self._packets != 1)}, {self._size:,} bytes"
        if self._gone:
            what += f" until {self._wanted.interface} was gone"
        if counts.dropped:
            what += f"; the kernel dropped {counts.dropped:,} that are not among them"
        else:
            what += ", none dropped"
        return f"{self._wanted.output}: {what}" if self._wanted.output not in {None, "-"} else what
