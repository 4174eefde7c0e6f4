"""Ctrl-C, which Python turns into an exception wherever the main thread happens to be.

If it is with us, between a call and its event, the event would be lost. So the
exception waits until it is back in the program, or `asleep` in the system: there it
comes at once, as without us.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evloop.instrument.instrument import Instrument

__all__ = ["asleep", "patch"]

_OURS = os.path.join(os.path.dirname(__file__), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_LIBRARY = os.path.join(os.path.dirname(os.__file__), "")

_T = TypeVar("_T")


def asleep(call: Callable[..., _T], *args: Any) -> _T:
    """Make a call that may sleep. Nothing is lost yet: an exception that comes in here comes at once."""
    return call(*args)


def patch(instrument: Instrument) -> None:
    """Take the place of Python's handler of SIGINT, where there is nobody else's."""
    real = signal.default_int_handler
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not real:
        return

    def default_int_handler(number: Any, frame: FrameType | None, /) -> None:
        if frame is not None and _is_between(frame):
            # It comes again in a moment, and so on, until we are out of it. From another thread, which
            # waits until this one is in the system, or has run for long enough: in here it would come
            # again before we have returned.
            _thread.start_new_thread(_thread.interrupt_main, (number,))
        else:
            real(number, frame)

    default_int_handler.__doc__ = real.__doc__
    # Who asks whether the handler is Python's own, such as asyncio, compares the two.
    instrument.patch(signal, "default_int_handler", default_int_handler)
    signal.signal(signal.SIGINT, default_int_handler)
    instrument.undo(lambda: _give_back(default_int_handler, real))


def _give_back(ours: object, real: object) -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is ours:
        signal.signal(signal.SIGINT, real)  # type: ignore[arg-type]


def _is_between(frame: FrameType) -> bool:
    """Whether this is our code, or what it calls, and it is not asleep."""
    at: FrameType | None = frame
    while at is not None and at.f_code is not asleep.__code__:
        name = at.f_code.co_filename
        if name.startswith(_OURS):
            return True
        if not name.startswith((_PACKAGE, _LIBRARY)):
            return False
        at = at.f_back
    return False
