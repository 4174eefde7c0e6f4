"""Ctrl-C, which Python turns into an exception wherever the main thread happens to be.

If it is with us, between a call and its event, the event would be lost. So the
exception waits until the event is written. In the program, and `asleep` in the
system, it comes at once, as without us.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from evloop.instrument.instrument import Instrument

__all__ = ["asleep", "patch"]

_OURS = os.path.join(os.path.dirname(__file__), "")
_SITE = os.path.join(_OURS, "site", "")  # under which the user's own sitecustomize runs

SOON = 0.01  # seconds

_sleep = time.sleep  # now: a program may replace it
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

    interrupts = instrument.recorder.interrupts

    def default_int_handler(number: Any, frame: FrameType | None, /) -> None:
        if frame is not None and _is_between(frame):
            interrupts.append(lambda: real(number, None))
            _thread.start_new_thread(remind, (number,))
        else:
            real(number, frame)

    def remind(number: Any) -> None:
        """The event may have been written already, and none come for a long time."""
        _sleep(SOON)
        with suppress(IndexError):
            interrupts.popleft()
            _thread.interrupt_main(number)

    default_int_handler.__doc__ = real.__doc__
    # Who asks whether the handler is Python's own, such as asyncio, compares the two.
    instrument.patch(signal, "default_int_handler", default_int_handler)
    signal.signal(signal.SIGINT, default_int_handler)
    instrument.undo(lambda: _give_back(default_int_handler, real))


def _give_back(ours: object, real: object) -> None:
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is ours:
        signal.signal(signal.SIGINT, real)  # type: ignore[arg-type]


def _is_between(frame: FrameType) -> bool:
    """Whether this is our code, or whatever it has called, and it is not asleep.

    Also a debugger's or a coverage tool's, that looks at our lines: it may hold a lock.
    """
    at: FrameType | None = frame
    while at is not None and at.f_code is not asleep.__code__:
        name = at.f_code.co_filename
        if name.startswith(_OURS) and not name.startswith(_SITE):
            return True
        at = at.f_back
    return False
