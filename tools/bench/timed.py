"""Run a command to its end and print, as JSON, its seconds, CPU seconds and the most memory it held.

    python -S timed.py COMMAND…

A process of its own and small, because a child's peak begins with what its parent held when it started it.
"""

from __future__ import annotations

import json
import os
import sys
import time

__all__ = ["main"]


def main(command: list[str]) -> None:
    """Run it, its output thrown away; `rss` is in bytes."""
    begun = time.perf_counter()
    null = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    _, status, usage = os.wait4(pid, 0)
    report = {
        "seconds": time.perf_counter() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "code": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1:])
