"""Nobody outlives who started them: prctl(PR_SET_PDEATHSIG), prctl(2)."""

from __future__ import annotations

import ctypes
import signal

__all__ = ["die_with_parent", "end_with_parent"]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed when our parent has died; for a process that is about to become another program."""
    _ask(signal.SIGKILL)


def end_with_parent() -> None:
    """Get SIGTERM when our parent has died. A change of rights undoes it, so namespaces come first."""
    _ask(signal.SIGTERM)


def _ask(number: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
