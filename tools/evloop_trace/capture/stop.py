"""When to stop: a signal, which wakes whoever polls."""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Self

__all__ = ["Stop"]


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
