"""Who called: the line of the program, and its thread."""

from __future__ import annotations

import os
import sysconfig
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

__all__ = ["Callers", "thread_name"]

# Where asyncio begins to run a callback: who is behind it on the stack has only started the loop.
_DISPATCH = "asyncio/events.py"

_LIBRARY = tuple(
    os.path.join(path, "")
    for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_FROZEN = "<frozen"

# Not threading.current_thread(): for a thread that threading does not know it would make one up.
_threads = threading._active  # type: ignore[attr-defined]  # noqa: SLF001


def thread_name() -> str:
    """The name of this thread; empty for the main thread."""
    thread = _threads.get(threading.get_ident())
    if thread is None:
        return f"thread {threading.get_ident()}"
    name: str = thread.name
    return "" if name == "MainThread" else name


class Callers:
    """FILE:LINE of the nearest frame that is the program's own, or of the caller if none is.

    The standard library and installed packages are not the program; a callback that
    asyncio runs has nobody but asyncio behind it.
    """

    def __init__(self, folder: str = "") -> None:
        """Files in `folder` (by default the working directory) are shown relative to it."""
        self._folder = os.path.join(folder or os.getcwd(), "")
        self._texts: dict[tuple[CodeType, int], str] = {}
        self._is_library: dict[CodeType, bool] = {}

    def where(self, frame: FrameType) -> str:
        """The place in the program of a call made in `frame`."""
        at: FrameType | None = frame
        is_library = self._is_library
        while at is not None:
            code = at.f_code
            library = is_library.get(code)
            if library is None:
                library = is_library[code] = code.co_filename.startswith((*_LIBRARY, _FROZEN))
            if not library:
                break
            at = None if code.co_filename.endswith(_DISPATCH) else at.f_back
        return self._text(at or frame)

    def _text(self, frame: FrameType) -> str:
        key = frame.f_code, frame.f_lasti
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = f"{self._short(frame.f_code.co_filename)}:{frame.f_lineno}"
        return text

    def _short(self, path: str) -> str:
        for prefix in (self._folder, *sorted(_LIBRARY, key=len, reverse=True)):
            if path.startswith(prefix):
                return path[len(prefix) :]
        return path
