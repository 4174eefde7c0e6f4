"""An exception, as a log has it."""

from __future__ import annotations

import errno
import os

from evloop.printable import encodable

__all__ = ["error_line"]

_CUT = "unexpected end of data"  # as Python's decoders say it; a read that cuts a character is found by that


def error_line(error: BaseException, *, payloads: bool = True) -> str:
    """Its type, and what it says.

    That may quote what was received. Where no payload is kept, only the type is told, of an errno what
    the system says (strerror(3)), and that a text ended in the midst of a character.
    """
    name = type(error).__name__
    if not payloads:
        return name + _unquoting(error)
    try:
        said = encodable(str(error))
    except Exception:  # noqa: BLE001 - it is the program's own, and Python says no more of it either
        said = "<exception str() failed>"
    return f"{name}: {said}" if said else name


def _unquoting(error: BaseException) -> str:
    """Of what it says, what can quote nothing."""
    if isinstance(error, OSError):
        return _errno(error)
    if isinstance(error, UnicodeDecodeError) and error.reason == _CUT:
        return f": {_CUT}"
    return ""


def _errno(error: OSError) -> str:
    """The number and the system's words; nothing where whoever raised it put others in their place."""
    number = error.errno
    if type(number) is int and number in errno.errorcode and error.strerror == os.strerror(number):
        return f": [Errno {number}] {error.strerror}"
    return ""
