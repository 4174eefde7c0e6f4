"""What the kernel says, now, of the main thread of a process: /proc/PID/stat and /proc/PID/wchan."""

from __future__ import annotations

from pathlib import Path

from evloop_trace.model.diagnosis import Task

__all__ = ["task_of"]


def task_of(pid: int) -> Task:
    """What it does; nothing is known of a process that is gone, nor, of most, where there is no /proc."""
    try:
        # The command's name, in brackets, may hold anything; the state is next.
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
        wchan = Path(f"/proc/{pid}/wchan").read_text(encoding="ascii")
    except OSError:
        return Task()
    return Task(state, "" if wchan == "0" else wchan)
