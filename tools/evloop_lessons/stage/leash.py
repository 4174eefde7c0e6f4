"""Nobody outlives who started them: prctl(PR_SET_PDEATHSIG), prctl(2)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

__all__ = ["adopt_orphans", "die_with_parent", "end_children", "end_with_parent"]

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def die_with_parent() -> None:
    """Be killed when our parent has died; for a process that is about to become another program."""
    _ask(_PR_SET_PDEATHSIG, signal.SIGKILL)


def end_with_parent() -> None:
    """Get SIGTERM when our parent has died. A change of rights undoes it, so namespaces come first."""
    _ask(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """From here on whose parent has died, and was started by us or by one of ours, is our child."""
    _ask(_PR_SET_CHILD_SUBREAPER, 1)


def end_children() -> None:
    """Kill whoever is still there, and those who are left alone by that."""
    while children := _children():
        for pid in children:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(it) for it in file.read().split()]
    except OSError:  # this Linux does not tell
        return []


def _ask(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
