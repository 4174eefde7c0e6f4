"""How a signal gets to a program that blocks, and to nobody else."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading

import pytest

from evloop.signals import Stopped


def test_a_signal_raises_where_it_may(kernel):
    """Once, out of a call that sleeps; the second waits for the next such place."""
    interrupts = kernel.interrupts(["SIGUSR1"])
    signal.raise_signal(signal.SIGUSR1)  # not armed: it is kept
    with pytest.raises(Stopped, match="SIGUSR1"), interrupts.armed():
        pytest.fail("it came before")
    signal.raise_signal(signal.SIGUSR1)
    with pytest.raises(Stopped), interrupts.armed():
        pytest.fail("it came before")
    ours, theirs = socket.socketpair()
    killer = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))

    def sleep():
        killer.start()
        ours.recv(1)

    with ours, theirs, pytest.raises(Stopped), interrupts.armed():
        sleep()
    killer.join()
    interrupts.close()


def test_a_signal_waits_for_who_is_busy(kernel):
    """It is tried again until it may raise."""
    interrupts, asked = kernel.interrupts(["SIGUSR1"]), []

    def is_busy(frame):
        asked.append(frame.f_code.co_name)
        return len(asked) < 3

    interrupts.is_busy = is_busy
    ours, theirs = socket.socketpair()

    def sleep():
        signal.raise_signal(signal.SIGUSR1)
        ours.recv(1)

    with ours, theirs, pytest.raises(Stopped), interrupts.armed():
        sleep()
    interrupts.close()
    assert asked == ["sleep"] * 3


def test_at_the_end(kernel):
    """Nothing breaks that off any more."""
    interrupts = kernel.interrupts(["SIGUSR1"])
    with interrupts.armed():
        pass
    interrupts.close()
    signal.raise_signal(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN


def test_threads_that_no_signal_reaches(kernel):
    """Who is started in there blocks them; the main thread does not, before and after."""
    interrupts, masks = kernel.interrupts(["SIGUSR1"]), []
    thread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with interrupts.elsewhere():
        thread.start()
    thread.join()
    assert masks[0] - before == {signal.SIGUSR1, signal.SIGALRM}
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    interrupts.close()


def test_a_pipe_that_cannot_be_read_now(kernel, monkeypatch):
    """For want of memory, recv(2): the signal is known all the same, and the pipe is read the next time."""
    pipe = kernel.signals(["SIGUSR1"])
    signal.raise_signal(signal.SIGUSR1)

    class Short:
        """A socket whose recv finds no memory, once."""

        def recv(self, size):
            monkeypatch.undo()
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(pipe, "_receiver", Short())
    assert pipe.drain() == (["SIGUSR1"], True)
    assert pipe.drain() == ([], True)
    pipe.close()
