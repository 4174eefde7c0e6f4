"""epoll, level-triggered, in which the simulated time passes; and the signal pipe."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

from evloop.kernel import ERR, HUP, IN, READ, WRITE, Poller
from evloop.testing.simulated.errors import failure
from evloop.testing.simulated.streams import Pollable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.testing.simulated.kernel import SimulatedKernel

__all__ = ["SimulatedPoller", "SimulatedSignals", "SleepsForEverError"]

MILLISECOND = 1_000_000  # ns
POLL_COSTS = 1_000  # ns, of a poll that does not sleep: time never stands still


class SleepsForEverError(Exception):
    """The loop went to sleep without a deadline, and nothing is ready: nobody would wake it."""


class SimulatedPoller(Poller):
    """What is registered, and who of these is ready.

    `masks` is what `selectors` remembers: of a descriptor that was closed first it still does.
    """

    def __init__(self, kernel: SimulatedKernel) -> None:
        self._kernel = kernel
        self.masks: dict[int, int] = {}
        self._ready: dict[int, int] = {}
        self.closed = False
        self.poll: Callable[[float | None], Sequence[tuple[int, int]]] = self._poll

    @property
    def is_anybody_ready(self) -> bool:
        """Whether a poll would return at once."""
        return bool(self._ready)

    def register(self, fd: int, mask: int) -> None:
        """epoll_ctl(2), EPOLL_CTL_ADD."""
        if fd in self.masks:
            raise KeyError(f"{fd!r} is registered already")
        number = self._kernel.faults.take("register", self._kernel.open.get(fd))
        if number:
            self._kernel.work += 1
            raise failure(number)
        self._watch(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """epoll_ctl(2), EPOLL_CTL_MOD."""
        if fd not in self.masks:
            raise KeyError(f"{fd!r} is not registered")
        self._watch(fd, mask)

    def _watch(self, fd: int, mask: int) -> None:
        sock = self._kernel.open.get(fd)
        if sock is None:
            raise failure(errno.EBADF)
        self.masks[fd] = mask
        sock.interest = (mask & READ) | (mask & WRITE) << 1 | ERR | HUP
        sock.ready = self._ready
        sock.refresh()

    def unregister(self, fd: int) -> None:
        """epoll_ctl(2), EPOLL_CTL_DEL."""
        del self.masks[fd]
        self._ready.pop(fd, None)
        sock = self._kernel.open.get(fd)
        if sock is not None:
            sock.ready, sock.interest = None, 0

    def forget(self, fd: int) -> None:
        """It was closed: epoll reports it no more, epoll(7)."""
        self._ready.pop(fd, None)

    def _poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """epoll_wait(2): whoever is ready; or sleep to the time-out, which it rounds up to milliseconds."""
        kernel = self._kernel
        kernel.turn += 1
        kernel.touched.clear()
        kernel.time += kernel.away + POLL_COSTS
        kernel.away = 0
        ready = list(self._ready.items())
        if ready:
            first = kernel.rotation % len(ready)
            if first:
                ready = ready[first:] + ready[:first]
        elif timeout is None:
            raise SleepsForEverError("the loop would sleep for ever: nobody is ready and no timer is set")
        else:
            kernel.time += math.ceil(timeout * 1000) * MILLISECOND + kernel.oversleep
            kernel.oversleep = 0
        kernel.woken = kernel.time
        return ready

    def close(self) -> None:
        """Its descriptor goes back."""
        self.closed = True
        self._kernel.give_back(self)


class SimulatedSignals(Pollable):
    """A signal pipe: `arrive` is what the system does, `end` what somebody does who closes it."""

    __slots__ = ("_alive", "_arrived", "_knocked", "closed")

    def __init__(self, kernel: SimulatedKernel) -> None:
        super().__init__(kernel, "")
        self._arrived: list[str] = []
        self._alive = True
        self._knocked = False
        self.closed = False

    @property
    def has_news(self) -> bool:
        """Whether a signal has come that nobody has heard of yet."""
        return bool(self._arrived)

    def bits(self) -> int:
        """Readable: a signal came, or it has ended."""
        return IN if self._arrived or self._knocked or not self._alive else 0

    def arrive(self, name: str) -> None:
        """A signal comes."""
        self._arrived.append(name)
        self.refresh()

    def knock(self) -> None:
        """A byte comes and no signal: the loop wakes, and that is all."""
        self._knocked = True
        self.refresh()

    def end(self) -> None:
        """The other end of the pipe is closed."""
        self._alive = False
        self.refresh()

    def drain(self) -> tuple[list[str], bool]:
        """As `SignalPipe`."""
        arrived, self._arrived = self._arrived, []
        self._knocked = False
        self.kernel.work += 1
        self.refresh()
        return arrived, self._alive

    def close(self) -> None:
        """As `SignalPipe`."""
        self.closed = True
        self.kernel.give_back(self)
