"""The live picture's process: a watcher that the server starts itself.

Drawing happens over there, so that a slow terminal slows nothing here.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.net.watch import Watchers

__all__ = ["Viewer"]

LAST_PICTURE = 5.0  # seconds to draw it


class Viewer:
    """`evloop-trace watch` on one end of a socket pair, the server's watchers on the other."""

    def __init__(self, watchers: Watchers, report: Callable[[str], None]) -> None:
        self._watchers = watchers
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """From now on it draws."""
        watchers = self._watchers
        ours, theirs = watchers.kernel.socket_pair()
        fd = theirs.fileno()
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "watch", "--fd", str(fd)]
        self._process = subprocess.Popen(command, pass_fds=[fd])
        watchers.kernel.close(theirs, "stop")
        watchers.join(ours)

    def wait(self) -> None:
        """Let it draw the last picture; its stream has ended."""
        if self._process is None:
            return
        try:
            code = self._process.wait(LAST_PICTURE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code:
            self._report(f"the live picture ended with code {code}; the server was not affected")
