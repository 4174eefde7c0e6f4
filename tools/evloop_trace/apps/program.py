"""A program that we run: its process, its terminal if it gets one of its own, and how it ended."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Program", "PseudoTerminal", "end_like"]

_PIECE = 16 * 1024
# Python ignores these for itself; a program of any kind expects them as they were.
_DEFAULT = {signal.SIGPIPE, signal.SIGXFSZ}


class PseudoTerminal:
    """A terminal whose keys and screen are ours: see pty(7). The program has the other end.

    Its line discipline does what a terminal's does: echo, line editing, and signals for Ctrl-C.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._master, self._slave = os.openpty()
        self.name = os.ttyname(self._slave)
        os.set_blocking(self._master, False)
        self._typed = bytearray()  # that the program's side had no room for
        self.resize(columns, lines)

    def fileno(self) -> int:
        """To wait for what the program writes."""
        return self._master

    def resize(self, columns: int, lines: int) -> None:
        """Another size; the kernel sends the program SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self) -> bytes:
        """What the program wrote; nothing if there is nothing."""
        try:
            return os.read(self._master, _PIECE)
        except OSError:  # nothing yet, or EIO: nobody has it open any more
            return b""

    def write(self, data: bytes) -> None:
        """Type keys. What the program does not take now is typed later."""
        self._typed += data
        with suppress(OSError):
            del self._typed[: os.write(self._master, self._typed)]

    def suspends(self, keys: bytes) -> int:
        """Which of the keys would suspend a program at this terminal, Ctrl-Z mostly; -1 if none."""
        attributes = termios.tcgetattr(self._master)
        return keys.find(attributes[6][termios.VSUSP]) if attributes[3] & termios.ISIG else -1

    def release(self) -> None:
        """The program has its end: only as long as it keeps it does the terminal live."""
        os.close(self._slave)

    def close(self) -> None:
        """Hang up: who is still there gets SIGHUP."""
        os.close(self._master)


class Program:
    """A process, started with signals as a shell would give it.

    Args:
        command: What to run; its first word is looked up on PATH.
        environment: Its environment.
        terminal: The terminal that stands for those of its streams that `tty` names; else all are ours.
        tty: Descriptors among 0, 1 and 2.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        terminal: PseudoTerminal | None = None,
        tty: Sequence[int] = (),
    ) -> None:
        actions: list[tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, fd, terminal.name, os.O_RDWR, 0) for fd in tty if terminal
        ]
        # The first terminal that the leader of a new session opens controls it: Ctrl-C reaches the program.
        self.pid = os.posix_spawnp(
            command[0], list(command), environment,
            file_actions=actions, setsid=bool(actions), setsigmask=(), setsigdef=_DEFAULT,
        )  # fmt: skip
        self._code: int | None = None
        if terminal:
            terminal.release()

    def poll(self) -> int | None:
        """The exit code, as subprocess gives it: of a program that a signal killed the signal's, negative."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def send(self, number: int) -> None:
        """Pass a signal on, if it is still there."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def send_all(self, number: int) -> None:
        """Signal it and the processes that it started, where it has a terminal of its own."""
        if self.poll() is None:
            os.killpg(self.pid, number)


def end_like(code: int) -> int:
    """End as the program did: killed by the same signal, or else the exit code to end with."""
    if code >= 0:
        return code
    number = -code
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core is enough
    with suppress(OSError, ValueError):  # of SIGKILL there is nothing to be set
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    return 128 + number  # its default is to be ignored
