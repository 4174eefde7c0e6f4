"""The pipe through which signals wake the loop, read as if what lies in it were news."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from evloop.bugs.bug import Bug
from evloop.kernel import Kernel
from evloop.parts import Parts
from evloop.signals import SignalPipe

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BUGS"]


class _BytesAreSignals(SignalPipe):
    def drain(self) -> tuple[list[str], bool]:
        """Each byte is a signal's number: so signal.set_wakeup_fd() writes it.

        But for every signal that has a handler, whoever's it is; and what does not fit is dropped.
        """
        data, names = b"", []
        with contextlib.suppress(BlockingIOError):
            data = self._receiver.recv(4096)
        for number in data:
            with contextlib.suppress(ValueError):
                names.append(signal.Signals(number).name)
        self._arrived.clear()
        return names, True


class _Listens(Kernel):
    def signals(self, names: Iterable[str]) -> SignalPipe:
        """As in `Kernel`. Another part of the program has a handler for SIGWINCH."""
        pipe = _BytesAreSignals(signal.Signals[name] for name in names)
        signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
        return pipe


BUGS = (
    Bug(
        name="wakeup-as-data",
        wrong="The bytes in the wake-up pipe are taken for the signals that came. But every signal with "
        "a handler writes there, whoever's it is, and when the pipe is full nothing is written: "
        "some signals are heard that were not meant, others are lost.",
        project="CPython: asyncio reads the numbers of signals out of the pipe, as said in this thread "
        "about when they are written; Twisted, libuv, Tornado and Trio only let it wake them",
        thread="https://github.com/python/cpython/issues/74224",
        cure="The byte wakes, and says nothing else: which signals came, their handlers note.",
        lint="wakeup-data",
        parts=Parts(kernel=_Listens),
        provoke=(
            "# the window's size changes, as far as the server can tell",
            "kill -WINCH $SERVER",
        ),
        seen="A server that ends because a window was resized: its log's last line says SIGWINCH.",
    ),
)
