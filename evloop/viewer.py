"""The live picture's process, which the server starts itself.

Drawing happens over there, so that a slow terminal slows nothing here.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.net.watch import Watchers

__all__ = ["LogViewer", "Viewer"]

LAST_PICTURE = 5.0  # seconds to draw it


class _Picture:
    """A process of `evloop-trace watch`, and how it ends."""

    def __init__(self, report: Callable[[str], None], packets: str | None) -> None:
        """`packets` is a capture file that grows, to be drawn as well."""
        self._report = report
        self._packets = packets
        self._process: subprocess.Popen[bytes] | None = None

    def _draw(self, *arguments: str, pass_fds: Sequence[int] = ()) -> None:
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "watch"]
        if self._packets is not None:
            command.append(f"--packets={self._packets}")
        command += arguments
        self._process = subprocess.Popen(command, pass_fds=pass_fds)

    def wait(self) -> None:
        """Let it draw the last picture; it has been given the last event."""
        if self._process is None:
            return
        try:
            code = self._process.wait(LAST_PICTURE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code:
            self._report(f"the live picture ended with code {code}; the server was not affected")


class Viewer(_Picture):
    """It reads from one end of a socket pair, of which the server's watchers have the other."""

    def __init__(self, watchers: Watchers, report: Callable[[str], None], packets: str | None = None) -> None:
        super().__init__(report, packets)
        self._watchers = watchers

    def start(self) -> None:
        """From now on it draws."""
        watchers = self._watchers
        ours, theirs = watchers.kernel.socket_pair()
        fd = theirs.fileno()
        self._draw("--fd", str(fd), pass_fds=[fd])
        watchers.kernel.close(theirs, "stop")
        watchers.join(ours)


class LogViewer(_Picture):
    """It follows the log of a program that blocks, and so has no time to send anything to anybody."""

    def __init__(self, path: str, report: Callable[[str], None], packets: str | None = None) -> None:
        super().__init__(report, packets)
        self._path = path

    def start(self) -> None:
        """From now on it draws; the log has its first lines."""
        self._draw("--child", "--", self._path)
