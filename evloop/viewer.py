"""The live picture's process, which the server starts itself.

Drawing happens over there, so that a slow terminal slows nothing here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.net.watch import Watchers

__all__ = ["LogViewer", "Viewer"]

LAST_PICTURE = 5.0  # seconds to draw it
_TURN_BACK = "\x1b[?25h\x1b[?1049l"  # the cursor, and the screen that was there before


class _Picture:
    """A process of `evloop-trace watch`, and how it ends."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._process: subprocess.Popen[bytes] | None = None
        self._modes: list[Any] | None = None

    def _draw(self, packets: str | int | None, *arguments: str, pass_fds: Sequence[int] = ()) -> None:
        """Start it; `packets` are in a file that grows, or come out of a pipe, which is its alone then."""
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "watch"]
        if isinstance(packets, str):
            command.append(f"--packets={packets}")
        elif packets is not None:
            command.append(f"--packets-fd={packets}")
            pass_fds = [*pass_fds, packets]
        command += arguments
        self._modes = _modes()
        try:
            self._process = subprocess.Popen(command, pass_fds=pass_fds)
        except OSError as error:
            raise EvloopError(f"the picture cannot be started: {command[0]}: {error.strerror}") from None
        finally:
            if isinstance(packets, int):
                os.close(packets)

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
            self._turn_back()
            self._report(f"the live picture ended with code {code}; the server was not affected")

    def _turn_back(self) -> None:
        """It was killed, and has left the terminal with its picture, no cursor and no echo."""
        if self._modes is not None:
            with suppress(OSError, termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdout.fileno(), termios.TCSANOW, self._modes)
                sys.stdout.write(_TURN_BACK)
                sys.stdout.flush()


def _modes() -> list[Any] | None:
    """What the terminal does with keys, see termios(3); None if standard output is none."""
    try:
        return termios.tcgetattr(sys.stdout.fileno())
    except (AttributeError, OSError, ValueError, termios.error):
        return None


class Viewer(_Picture):
    """It reads from one end of a socket pair, of which the server's watchers have the other."""

    def __init__(self, watchers: Watchers, report: Callable[[str], None]) -> None:
        super().__init__(report)
        self._watchers = watchers

    def start(self, packets: str | int | None = None) -> None:
        """From now on it draws; packets too, of a file that grows, or of a pipe, which becomes its own."""
        watchers = self._watchers
        ours, theirs = watchers.kernel.socket_pair()
        fd = theirs.fileno()
        self._draw(packets, "--fd", str(fd), pass_fds=[fd])
        watchers.kernel.close(theirs, "stop")
        watchers.join(ours)


class LogViewer(_Picture):
    """It follows the log of a program that blocks, and so has no time to send anything to anybody."""

    def __init__(self, path: str, report: Callable[[str], None], inherited: Sequence[int] = ()) -> None:
        """`inherited` are descriptors that the path needs over there: it may be /dev/fd/N."""
        super().__init__(report)
        self._path, self._inherited = path, inherited

    def start(self, packets: str | int | None = None) -> None:
        """From now on it draws, as that of the loop; the log has its first lines."""
        self._draw(packets, "--child", "--", self._path, pass_fds=self._inherited)
