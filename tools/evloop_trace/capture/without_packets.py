"""A capture of no packets, only of what the kernel says of TCP's states."""

from __future__ import annotations

import math
import select
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from evloop_trace.capture.session import GRACE, INPUT, say_ready
from evloop_trace.capture.stop import Stop
from evloop_trace.tracepoints.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.capture.wanted import Wanted

__all__ = ["record"]


def record(wanted: Wanted, tell: Callable[[str], None]) -> int:
    """Record until a signal, or until the time is over; the exit code.

    Raises:
        EvloopError: it could not begin.
    """
    assert wanted.kernel is not None
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        recorder = stack.enter_context(closing(Recorder(wanted.kernel, wanted.ports)))
        say_ready("the kernel's tracepoints")
        _until_over(wanted, recorder, stop)
        return recorder.finish(tell)


def _until_over(wanted: Wanted, recorder: Recorder, stop: Stop) -> None:
    poll = select.poll()
    for fd in (stop.fileno(), *recorder.pipes, *([INPUT] if wanted.attached else [])):
        poll.register(fd, select.POLLIN)
    end = math.inf if wanted.duration is None else time.monotonic() + wanted.duration
    stopping = False
    while not recorder.failed and (left := end - time.monotonic()) > 0:
        waits = [wait for wait in (left, recorder.patience) if wait is not None]
        for fd, _ in poll.poll(None if (wait := min(waits)) == math.inf else math.ceil(wait * 1000)):
            if fd == stop.fileno():
                stop.clear()
            elif fd == INPUT:
                stop.asked = True
                poll.unregister(INPUT)
        recorder.take()
        if stop.asked and not stopping:
            stopping, end = True, time.monotonic() + GRACE
