"""When a call was made, and how it ended."""

from __future__ import annotations

import socket
import time

from evloop.socket_state import errno_name

__all__ = ["WRONG", "now", "outcome"]

# Bound now: a program may replace what is in `time`.
now = time.monotonic_ns

WRONG = TypeError, ValueError, OverflowError
"""What Python says of wrong arguments, mostly before it asks the system."""

_RESOLVER = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


def outcome(error: BaseException) -> str:
    """What ended a call that gave no result, as an event's `errno`."""
    if not isinstance(error, OSError):
        complaint = next((kind.__name__ for kind in WRONG if isinstance(error, kind)), None)
        return complaint or "interrupted"  # a signal's handler has raised
    if isinstance(error, TimeoutError) and error.errno is None:
        return "timeout"
    if isinstance(error, socket.gaierror):
        return _RESOLVER.get(error.errno or 0, "EAI")
    return errno_name(error.errno)
