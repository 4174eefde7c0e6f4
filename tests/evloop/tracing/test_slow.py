"""A tick that took long is an event, in its place: after what made it slow, and never after the end."""

from __future__ import annotations

import pytest

from evloop.events.recorder import Recorder
from evloop.events.sinks import MemorySink
from evloop.kernel import Kernel
from evloop.loop.loop import Loop
from evloop.tracing import EventTrace, TracedKernel


@pytest.fixture
def loop(header):
    """A traced loop, that woke up a second ago and has not slept since."""
    recorder = Recorder(header(), lambda _sink, error: pytest.fail(str(error)))
    recorder.sinks.append(MemorySink())
    kernel = TracedKernel(Kernel(), recorder, 64)
    loop = Loop(kernel, "epoll", EventTrace(kernel))
    kernel.woke_at -= 1_000_000_000
    yield loop
    loop.close()


def test_a_slow_tick(loop):
    """It is told once, and the numbers of events go on without a gap."""
    recorder = loop.kernel.recorder
    (sink,) = recorder.sinks
    loop.trace.timer("a deadline", 0)
    loop.trace.tick_done()
    loop.trace.timer("another", 0)
    recorder.flush()
    assert [type(event).__name__ for event in sink.events] == ["Header", "Timer", "Slow", "Timer"]
    assert [event.seq for event in sink.events] == [0, 1, 2, 3]
    assert sink.events[2].dur > 900_000_000
    assert loop.kernel.snapshot(0).slow == 1, "who missed it is told how many there were"


def test_nothing_was_done(loop):
    """Where nothing was recorded since, nothing was slow: such as when the last line has been written."""
    recorder = loop.kernel.recorder
    (sink,) = recorder.sinks
    recorder.close(loop.kernel.clock())
    loop.close()
    assert [type(event).__name__ for event in sink.events] == ["Header", "End"]
