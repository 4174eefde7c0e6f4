"""Ctrl-C, which Python turns into an exception wherever the main thread happens to be.

If it is with us, between a call and its event, the event would be lost. So the
exception waits until it is back in the program, or in the system: in a call that
sleeps it comes at once, as without us.
"""

from __future__ import annotations

import _thread
import linecache
import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from evloop.instrument.instrument import Instrument

__all__ = ["patch"]

_OURS = os.path.join(os.path.dirname(__file__), "")
_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_LIBRARY = os.path.join(os.path.dirname(os.__file__), "")
_CALLS = re.compile(r"\b(real|_real\.\w+|_real_\w+|poll|_close|attempt|readable|writable)\(")
"""A line of ours that is in the system, or has just come from there: nothing is lost yet."""


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
    """Whether this is our code, or what it calls, and not where it calls the system."""
    at: FrameType | None = frame
    records = False
    while at is not None:
        name = at.f_code.co_filename
        if name.startswith(_OURS):
            line = linecache.getline(name, at.f_lineno)
            return records or not (line == "" or _CALLS.search(line))
        if name.startswith(_PACKAGE):
            records = True
        elif not name.startswith(_LIBRARY):
            return False
        at = at.f_back
    return False
