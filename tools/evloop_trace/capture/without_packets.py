"""A capture of no packets, only of what the kernel says of TCP's states."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from evloop_trace.capture.session import say_ready
from evloop_trace.capture.stop import Stop, Turns
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
        recorder = stack.enter_context(closing(Recorder(wanted.kernel, wanted.ports, tell)))
        say_ready("the kernel's tracepoints")
        turns = Turns(wanted, stop)
        for pipe in recorder.pipes:
            turns.add(pipe)
        while not (recorder.failed or turns.over):
            turns.wait(recorder.patience)
            recorder.take()
        return recorder.finish()
