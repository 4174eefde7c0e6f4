"""The process that writes a log: whether it is there."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop.events.schema import Header

__all__ = ["is_known_here", "is_running"]


def is_running(header: Header) -> bool:
    """Whether the process that wrote a header is there, and not another that has its number by now."""
    if not 0 < header.pid < 2**31 or (header.boot_id and _boot_id() not in {"", header.boot_id}):
        return False
    try:
        text = Path(f"/proc/{header.pid}/stat").read_bytes()
    except OSError:
        return not Path("/proc/self/stat").exists() and _answers(header.pid)
    # proc_pid_stat(5): the command's name, in brackets, may hold anything; the state is next.
    fields = text.rpartition(b")")[2].split()
    if fields[0] in {b"Z", b"X"}:  # dead, and nobody has asked for its exit code yet
        return False
    began = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # seconds since the boot, as of CLOCK_BOOTTIME
    age = (time.monotonic_ns() - header.mono_ns) / 1e9
    return began <= time.clock_gettime(time.CLOCK_BOOTTIME) - age + 1.0


def is_known_here(header: Header) -> bool:
    """Whether a header is of this machine and this boot, so that its process is there or is dead."""
    return header.boot_id != "" and header.boot_id == _boot_id()


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
