"""The process that writes a log: whether it is there, and whether it runs while it writes nothing."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop.events.schema import Header

__all__ = ["Work", "is_known_here", "is_running"]

_SHARE = 4  # of the time, this part at least is work


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


class Work:
    """Whether a process's first thread, which is the loop's, runs: of a turn it tells when that is over.

    The kernel counts for how long it ran, and for how long it would have, had there been a processor:
    /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst.
    """

    def __init__(self, header: Header) -> None:
        self._path = Path(f"/proc/{header.pid}/schedstat") if is_running(header) else None
        self._asked: tuple[int, int] | None = None  # when the kernel was last asked, and what it said
        self._heard: int | None = None
        self._since: int | None = None
        self._sure = False

    def since(self, now: int, heard: int) -> int | None:
        """Since when it has worked in silence, as far as that is known; None if it has not.

        Once it has, it counts as at work until it is heard of: each turn of a loop ends with an event.

        Args:
            now: Nanoseconds on the log's clock.
            heard: The time of the last event, on the same.
        """
        ran = self._ran()
        before, self._asked = self._asked, None if ran is None else (now, ran)
        news, self._heard = heard != self._heard, heard
        if ran is None or before is None:
            self._since, self._sure = None, False
            return None
        worked = (ran - before[1]) * _SHARE > now - before[0]
        if heard > before[0]:  # some of the work was before it, or all
            self._since, self._sure = heard if worked else None, False
        elif worked:
            self._since, self._sure = max(heard, before[0] if self._since is None else self._since), True
        elif news or not self._sure:
            self._since, self._sure = None, False
        return self._since if self._sure else None

    def _ran(self) -> int | None:
        """Nanoseconds; None where the kernel does not tell."""
        if self._path is None:
            return None
        try:
            ran, waited, _ = map(int, self._path.read_bytes().split())
        except (OSError, ValueError):
            return None
        return ran + waited
