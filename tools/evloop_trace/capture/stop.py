"""When to stop: a signal, the end of standard input, a time; each wakes who waits for something to do."""

from __future__ import annotations

import contextlib
import math
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

    from evloop_trace.capture.wanted import Wanted

__all__ = ["Stop", "Turns"]

INPUT = 0  # the descriptor of standard input
GRACE = 0.1  # seconds from being told to stop to the end: what was under way then is wanted, too


class Stop:
    """From `with` on SIGINT, SIGTERM and SIGHUP are only counted; a second one is a KeyboardInterrupt.

    SIGINT is heeded even where a shell has it ignored, as it has for what is started with &.
    """

    def __init__(self) -> None:
        self.asked = False
        self._ours, self._kernels = socket.socketpair()
        for end in (self._ours, self._kernels):
            end.setblocking(False)

    def __enter__(self) -> Self:
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1)
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        # A handler runs between two instructions of Python, and poll(2) goes on after it: it has to be woken.
        self._wakeup = signal.set_wakeup_fd(self._kernels.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._ours.close()
        self._kernels.close()

    def fileno(self) -> int:
        """What to poll: readable when a signal came."""
        return self._ours.fileno()

    def clear(self) -> None:
        """It is not readable any more."""
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(64)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Turns:
    """One wait after the other for what there is to do, until it is time to end."""

    def __init__(self, wanted: Wanted, stop: Stop) -> None:
        self._stop = stop
        self._stopping = False
        self._end = math.inf if wanted.duration is None else time.monotonic() + wanted.duration
        self._poll = select.poll()
        self.add(stop.fileno())
        if wanted.attached:
            self.add(INPUT)

    def add(self, fd: int, mask: int = select.POLLIN) -> None:
        """Wait for this one, too."""
        self._poll.register(fd, mask)

    @property
    def over(self) -> bool:
        """Whether it is time to end."""
        return time.monotonic() >= self._end

    def wait(self, patience: float | None = None) -> list[tuple[int, int]]:
        """Wait until there is something to do, for so many seconds at most: which descriptors, and how."""
        left = min(self._end - time.monotonic(), math.inf if patience is None else patience)
        ready = dict(self._poll.poll(None if left == math.inf else max(0, math.ceil(left * 1000))))
        if ready.pop(self._stop.fileno(), 0):
            self._stop.clear()
        if ready.pop(INPUT, 0):
            self._stop.asked = True
            self._poll.unregister(INPUT)
        if self._stop.asked and not self._stopping:
            self._stopping, self._end = True, time.monotonic() + GRACE
        return list(ready.items())
