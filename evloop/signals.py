"""Signals, as each kind of program can use them: as readiness for a loop, as an exception for who blocks."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

__all__ = ["Interrupts", "SignalPipe", "Stopped"]

SHORTLY = 0.001  # seconds


class SignalPipe:
    """Signals as readiness: each writes a byte into a socket pair, and the selector wakes (self-pipe trick).

    The byte only wakes. Which signals came is noted by the handlers, because a
    full pipe drops bytes, and whoever else set a wake-up fd writes there too.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._arrived: list[str] = []
        # The fd before the handlers: a signal between the two would be noted, and nothing would
        # wake the loop to look.
        self._old_fd = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._signals = tuple(signals)
        for number in self._signals:
            signal.signal(number, self._on_signal)

    def fileno(self) -> int:
        """What the selector watches."""
        return self._receiver.fileno()

    def _on_signal(self, number: int, _frame: object) -> None:
        self._arrived.append(signal.Signals(number).name)

    def drain(self) -> tuple[list[str], bool]:
        """The names of the signals that arrived, and whether the pipe is still open."""
        alive = True
        # Nothing may be there: EAGAIN. If it cannot be read for want of memory, recv(2), the next poll says
        # so again; what arrived is known all the same, and a SIGTERM must not end us as if we had failed.
        with contextlib.suppress(OSError):
            alive = bool(self._receiver.recv(4096))
        arrived, self._arrived = self._arrived, []
        return arrived, alive

    def close(self) -> None:
        """The program is at its end, which nothing shall break off: ignore the signals from now on."""
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._old_fd)
        self._receiver.close()
        self._sender.close()


class Stopped(BaseException):
    """A signal that is to end a program that blocks, raised out of the call in which it sleeps."""


class Interrupts:
    """Signals as an exception, for a program that sleeps in calls and not in a selector.

    A call that a signal interrupts is made again when the handler has returned (PEP 475):
    nobody gets out of accept(2) but by an exception. It is raised once. What the program
    then does to end well must not be torn apart by the next signal, unless it says so.
    """

    def __init__(self, signals: Iterable[signal.Signals]) -> None:
        self.is_busy: Callable[[FrameType | None], bool] = lambda _frame: False
        """Whether the main thread, in this frame, does what must not be broken off; asked again if so."""
        self.stopping = False
        """Whether one has come."""
        self._armed = False
        self._arrived: list[str] = []
        self._signals = tuple(signals)
        for number in self._signals:
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGALRM, self._raise)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """In here the next signal raises `Stopped` with its name; one that came before does so at once."""
        self._armed = True
        try:
            self._raise(0, None)
            yield
        finally:
            self._armed = False

    @contextlib.contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Threads that are started in here never get these signals: a thread has the mask of who starts it.

        The system may hand a process's signal to any thread that does not block it, signal(7). Linux takes
        the main thread if it can; but not while a debugger, or strace, has stopped that. The signal would be
        noted, and the main thread, in which alone Python runs handlers, would sleep on in accept(2).
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {*self._signals, signal.SIGALRM})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        self._arrived.append(signal.Signals(number).name)
        self._raise(number, frame)

    def _raise(self, _number: int, frame: FrameType | None) -> None:
        if not (self._armed and self._arrived):
            return
        if self.is_busy(frame):
            signal.setitimer(signal.ITIMER_REAL, SHORTLY)
            return
        self._armed = False
        raise Stopped(self._arrived.pop(0))

    def close(self) -> None:
        """The program is at its end, which nothing shall break off: ignore the signals from now on."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (*self._signals, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
