"""A trace buffer of our own, which nobody else's tracing touches, and which does not outlive us.

A directory made in `instances/` is a set of buffers, one a CPU, with events and a clock of its own; it goes
on recording until it is removed, whoever made it. So a guard watches over it: a shell in a session of its own
that waits until a pipe ends, as all that we hold does with us, be it by SIGKILL.

The kernel's Documentation/trace/ftrace.rst.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from evloop.errors import EvloopError
from evloop_trace.tracepoints.tracefs import no_rights, open_tracefs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Instance"]

_BUFFER_KB = 2048  # a CPU; some 20,000 events
_NAME = re.compile(r"evloop-(\d+)")

# What still reads from it keeps an instance from being removed: for a moment that may be who has just died.
_GUARD = """\
trap '' INT TERM HUP QUIT
read nothing
tries=0
while test -d "$0" && test $tries -lt 100; do
    rmdir "$0" || sleep 0.1
    tries=$((tries + 1))
done
"""


class Instance:
    """A buffer from its making until `close`."""

    def __init__(self) -> None:
        """Make it: nothing is recorded yet.

        Raises:
            EvloopError: it cannot be; the message says why.
        """
        self._root = open_tracefs()
        self._path = f"/proc/self/fd/{self._root}/instances/evloop-{os.getpid()}"
        self._guard = None
        try:
            folder, name = os.path.split(self._path)
            _remove_left_over(folder)
            self._guard = _guard(folder, name)
            os.mkdir(self._path)
            self.write("trace_clock", "mono")
            self.write("buffer_size_kb", str(_BUFFER_KB))
            # poll(2) is to say that there is something to read, not that a half of the buffer is full.
            self.write("buffer_percent", "0")
        except OSError as error:
            self.close()
            raise EvloopError(_why(error)) from None
        except BaseException:
            self.close()
            raise

    def write(self, name: str, text: str) -> None:
        """Say something to one of its files.

        Raises:
            EvloopError: the kernel does not accept it.
        """
        try:
            with open(f"{self._path}/{name}", "w") as file:
                file.write(text)
        except OSError as error:
            raise EvloopError(f"the kernel does not take {text!r} for {name}: {error.strerror}") from None

    def read(self, name: str) -> str:
        """The text of one of its files, or nothing where there is no such file."""
        try:
            with open(f"{self._path}/{name}") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def open_pipes(self) -> list[int]:
        """A descriptor a CPU, to read pages of its buffer from; it does not block."""
        cpus = [name for name in os.listdir(f"{self._path}/per_cpu") if name.startswith("cpu")]
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        return [os.open(f"{self._path}/per_cpu/{cpu}/trace_pipe_raw", flags) for cpu in cpus]

    def lost(self) -> int:
        """Events for which there was no room."""
        cpus = os.listdir(f"{self._path}/per_cpu")
        return sum([_lost(self.read(f"per_cpu/{cpu}/stats").splitlines()) for cpu in cpus])

    def close(self) -> None:
        """Remove it; its pipes have been closed."""
        with suppress(OSError):
            os.rmdir(self._path)
        if self._guard is not None:
            assert self._guard.stdin
            self._guard.stdin.close()
            self._guard.wait()
            self._guard = None
        if self._root >= 0:
            os.close(self._root)
            self._root = -1


def _guard(folder: str, name: str) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, name],
        stdin=subprocess.PIPE, stdout=null, stderr=null, cwd=folder, start_new_session=True,
    )  # fmt: skip


def _remove_left_over(folder: str) -> None:
    """Instances whose makers are no more, and their guards neither; we have made none yet."""
    for name in os.listdir(folder):
        found = _NAME.fullmatch(name)
        if found and (int(found[1]) == os.getpid() or not os.path.exists(f"/proc/{found[1]}")):
            with suppress(OSError):  # it is in use, then: by a process of another PID namespace
                os.rmdir(f"{folder}/{name}")


def _lost(lines: Iterable[str]) -> int:
    kinds = ("overrun: ", "commit overrun: ", "dropped events: ")
    return sum([int(line.rpartition(" ")[2]) for line in lines if line.startswith(kinds)])


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return no_rights()
    return f"--kernel cannot have a trace buffer of its own: {error.strerror}"
