"""Signals as readiness."""

from __future__ import annotations

import contextlib
import os
import signal
import socket

import pytest

from evloop.kernel import READ
from evloop.loop.wakeup import Wakeup


def test_each_signal_is_told_once_and_in_order(scripted):
    """However many came before the loop woke."""
    server = scripted()
    server.connect()
    server.pipe.arrive("SIGTERM")
    server.pipe.arrive("SIGINT")
    server.tick(server.pipe)
    assert server.trace.of("signal") == [("signal", "SIGTERM"), ("signal", "SIGINT")]
    assert server.said[-1] == "SIGINT again: stopping at once"


def test_a_pipe_at_its_end_does_not_spin(scripted):
    """It is readable for ever, so it is watched no more; signals that came with it are told."""
    server = scripted()
    server.connect()
    server.pipe.alive = False
    server.signal()
    assert server.watching(server.pipe) == 0
    assert len(server.trace.of("signal")) == 1
    assert ("interest", server.pipe.fileno(), READ, 0, "the signal pipe was closed") in server.trace.heard


def test_a_wake_up_without_a_signal(scripted):
    """Whoever wrote into the pipe, nothing happens."""
    server = scripted()
    server.tick(server.pipe)
    assert server.trace.of("signal") == []
    assert server.watching(server.pipe) == READ


def test_a_signal_that_cannot_be_handled_ends_the_program(scripted):
    """It must not vanish."""
    server = scripted()
    pipe = server.kernel.signals(())

    def fails(name):
        raise RuntimeError(name)

    Wakeup(server.loop, pipe, fails)
    pipe.arrive("SIGINT")
    with pytest.raises(RuntimeError, match="SIGINT"):
        server.tick(pipe)


def test_why_it_is_watched_and_let_go(scripted):
    """Its descriptor is the loop's own; it is watched from the first moment to the last."""
    server = scripted()
    owned, pipe = [], server.kernel.signals(())
    server.trace.own = lambda *given: owned.append(given)
    wakeup = Wakeup(server.loop, pipe, print)
    assert owned == [(pipe.fileno(), "signals")]
    wakeup.close()
    assert pipe.closed
    assert server.trace.of("interest")[-2:] == [
        ("interest", pipe.fileno(), 0, READ, "signals"),
        ("interest", pipe.fileno(), READ, 0, "the loop ends"),
    ]


# -- real signals ----------------------------------------------------------------------------


@pytest.fixture
def loop(selector, parts):
    """A loop that watches real signals, whose names it appends to `loop.arrived`."""
    made = parts.loop(parts.kernel(), selector)
    yield made
    made.close()


@pytest.fixture
def wakeup(loop):
    """SIGUSR1 and SIGUSR2 become readiness."""
    loop.arrived = []
    made = Wakeup(loop, loop.kernel.signals(["SIGUSR1", "SIGUSR2"]), loop.arrived.append)
    yield made
    made.close()


def test_a_real_signal_wakes_the_loop(loop, wakeup):
    """The loop sleeps without a time-out, and a signal ends that: the same, twice."""
    for name in ("SIGUSR1", "SIGUSR2"):
        os.kill(os.getpid(), getattr(signal, name))
        loop.tick()
    assert loop.arrived == ["SIGUSR1", "SIGUSR2"]


def test_a_full_pipe_loses_no_signal(loop, wakeup):
    """The byte only wakes; which signal it was is noted elsewhere."""
    with contextlib.suppress(BlockingIOError):
        while wakeup.sock._sender.send(b"x" * 65536):
            pass
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.tick()
    assert loop.arrived == ["SIGUSR1"]


def test_the_end_of_a_real_pipe_does_not_spin(loop, wakeup):
    """One tick hears of it, and the next has nothing to hear."""
    wakeup.sock._sender.shutdown(socket.SHUT_RDWR)
    loop.tick()
    assert loop.interests.watched == {}
    assert list(loop.poller.poll(0)) == []


def test_at_the_end(loop):
    """A signal ends nothing any more, and the old wake-up descriptor is back."""
    wakeup = Wakeup(loop, loop.kernel.signals(["SIGUSR1"]), print)
    assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_IGN
    wakeup.close()
    signal.raise_signal(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.set_wakeup_fd(-1) == -1
    assert loop.interests.watched == {}
