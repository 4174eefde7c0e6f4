"""Who called: the line of the program, and its thread."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any, TypedDict

from evloop.printable import encodable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType

__all__ = ["Callers", "Place", "frame_at", "thread_name"]


class Place(TypedDict):
    """Where a call was made, as events have it."""

    thread: str
    where: str


# Where asyncio begins to run a callback: who is behind it on the stack has only started the loop.
_DISPATCH = "asyncio/events.py"

# The longest first: installed packages lie in a folder of the standard library's.
_LIBRARIES = (
    *sorted(
        {
            os.path.join(sysconfig.get_path(name), "")
            for name in ("stdlib", "platstdlib", "purelib", "platlib")
        },
        key=len,
        reverse=True,
    ),
    "<frozen ",
)

# Our own servers and clients are programs too, and may be installed where libraries are.
_OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")

# Not threading.current_thread(): for a thread that threading does not know it would make one up.
_threads = threading._active  # type: ignore[attr-defined]  # noqa: SLF001


def thread_name() -> str:
    """The name of this thread, which no other thread has in the log; empty for the main thread."""
    ident = get_ident()
    if ident == _main_ident:
        return ""
    thread = _threads.get(ident)
    if thread is None:
        return f"thread {ident}"
    name: str | None = thread.__dict__.get(_SHOWN)
    return _name(thread) if name is None else name


_SHOWN = "_evloop_name"
_MAIN = "MainThread"
_MOST_NAMES = 10_000
# The numbers of each name's next threads. No lock, which a signal's handler or a fork could find taken:
# each step is one that no other thread can come into.
_namesakes: dict[str, Iterator[int]] = {_MAIN: count(2)}


def _name(thread: threading.Thread) -> str:
    """Two threads may have the same name: then the second is told apart by a number."""
    if len(_namesakes) > _MOST_NAMES:
        _forget()
    number = next(_namesakes.setdefault(thread.name, count(1)))
    name = encodable(thread.name if number == 1 else f"{thread.name} #{number}")
    setattr(thread, _SHOWN, name)
    return name


def _forget() -> None:
    """The names of threads that have ended, in a program that starts new ones all the time."""
    living = {_MAIN, *(thread.name for thread in tuple(_threads.values()))}
    for name in tuple(_namesakes):
        if name not in living:
            _namesakes.pop(name, None)


_main_ident = threading.main_thread().ident


def frame_at(depth: int) -> Any:
    """sys._getframe(), but None where nobody has called: an exit handler may be a call on a socket."""
    try:
        return sys._getframe(depth + 1)  # noqa: SLF001
    except ValueError:
        return None


_MOST_CODES = 10_000


class Callers:
    """FILE:LINE of the nearest frame that is the program's own, or of the caller if none is.

    The standard library and installed packages are not the program, except evloop's own; a
    callback that asyncio runs has nobody but asyncio behind it.
    """

    def __init__(self, beside: tuple[str, ...] = ()) -> None:
        """`beside`: files that are no more the program than the standard library is."""
        try:
            self._folder = os.path.join(os.getcwd(), "")
        except FileNotFoundError:  # removed: no path leads through it
            self._folder = "\0"
        self._beside = beside
        # By the code's id, since a code object is hashed anew each time, by all that is in it; the code
        # itself is kept, so that its id stays its own. Its places are known by instruction: to find the
        # line of one, the interpreter walks through a table.
        self._codes: dict[int, tuple[CodeType, dict[int, str] | None]] = {}

    def where(self, frame: FrameType | None) -> str:
        """The place in the program of a call made in `frame`; nothing if nobody made it."""
        at = frame
        codes = self._codes
        while at is not None:
            code = at.f_code
            known = codes.get(id(code)) or self._classify(code)
            texts = known[1]
            if texts is not None:
                return texts.get(at.f_lasti) or self._remember(at, texts)
            at = None if code.co_filename.endswith(_DISPATCH) else at.f_back
        return self._remember(frame, {}) if frame else ""

    def raised(self, traceback: TracebackType | None) -> str:
        """The place where an exception left the program, or empty if it never was there."""
        place = ""
        while traceback is not None:
            code = traceback.tb_frame.f_code
            if (self._codes.get(id(code)) or self._classify(code))[1] is not None:
                place = f"{self._short(code.co_filename)}:{traceback.tb_lineno}"
            traceback = traceback.tb_next
        return place

    def _remember(self, frame: FrameType, texts: dict[int, str]) -> str:
        text = texts[frame.f_lasti] = f"{self._short(frame.f_code.co_filename)}:{frame.f_lineno}"
        return text

    def _short(self, path: str) -> str:
        for folder in (self._folder, *_LIBRARIES):
            if path.startswith(folder):
                return encodable(path[len(folder) :])
        return encodable(path)

    def _classify(self, code: CodeType) -> tuple[CodeType, dict[int, str] | None]:
        """(code, the texts of its places), or (code, None) if it is a library's."""
        if len(self._codes) > _MOST_CODES:  # a program that makes new code all the time
            self._codes.clear()
        known = self._codes[id(code)] = (code, {} if self._is_program(code.co_filename) else None)
        return known

    def _is_program(self, path: str) -> bool:
        if path.startswith(_OURS):
            return not path.startswith(self._beside)
        return not path.startswith(_LIBRARIES + self._beside)
