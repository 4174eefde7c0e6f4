"""Signals, as one more readable thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.kernel import READ

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.loop.loop import Loop
    from evloop.signals import SignalPipe

__all__ = ["Wakeup"]


class Wakeup:
    """Watches the signal pipe; calls `on_signal(name)` for each signal, inside the loop's own turn."""

    regular = True

    def __init__(self, loop: Loop, pipe: SignalPipe, on_signal: Callable[[str], None]) -> None:
        self.sock = pipe
        self.fd = pipe.fileno()
        self.watching = 0
        self._loop = loop
        self._on_signal = on_signal
        self._alive = True
        loop.trace.own(self.fd, "signals")
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """To be read, as long as it is open: a pipe at its end is readable for ever."""
        return (READ, "signals") if self._alive else (0, "the signal pipe was closed")

    def on_ready(self, _bits: int) -> None:
        """Read the pipe empty and tell of every signal."""
        names, self._alive = self.sock.drain()
        for name in names:
            self._loop.trace.signal(name)
            self._on_signal(name)
        self._loop.interests.update(self)

    def fail(self, error: Exception) -> None:
        """A signal that cannot be handled must end the program, not vanish."""
        raise error

    def close(self) -> None:
        """Hear of no signal any more: from now on they are ignored."""
        self._loop.interests.drop(self, "the loop ends")
        self.sock.close()
