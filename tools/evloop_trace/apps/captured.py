"""The capture beside a program: a process of `evloop-trace capture`, which begins before it and ends after.

The program knows nothing of it: it is no child of the program's, and whatever becomes of it, the program goes
on. Ports are not known before, so that it takes all that goes over lo.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from evloop.errors import EvloopError
from evloop.events.run import VARIABLE, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Captured"]

_READY = "capturing on lo"
_ENDING = 5.0  # seconds to write what it has
_LOOK = 0.25  # seconds from one look at who is still there to the next


class Captured:
    """It captures from its making until `finish`, or until we are no more: then its standard input ends."""

    def __init__(self, path: str, ports: Sequence[int] = ()) -> None:
        """Start it, and wait until the next packet will be seen.

        Args:
            path: The pcapng file.
            ports: What to keep; empty is everything.

        Raises:
            EvloopError: it could not begin; the message is its own.
        """
        self._path = path
        options = [f"--port={port}" for port in ports]
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "capture", "--attached", f"-w{path}", *options]
        pipe = subprocess.PIPE
        # In a session of its own: Ctrl-C is for the program, whose last packets are wanted, too.
        try:
            self._process = subprocess.Popen(
                command, bufsize=0, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise EvloopError(f"the capture cannot be started: {command[0]}: {error.strerror}") from None
        assert self._process.stderr
        first = self._process.stderr.readline().decode(errors="replace")
        if first.rstrip() != _READY:
            said = [first, *self._rest()]
            self._wait()
            raise EvloopError(
                " ".join(_plain(line) for line in said if line)
                or f"the capture could not begin: {self._how()}"
            )

    def finish(self, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        """The program has ended, and so does the capture, unless others that the program started go on.

        Args:
            environment: The program's: who was started in it is known by its EVLOOP_RUN.
            tell: Takes sentences for people.
        """
        run = Run.decode(environment[VARIABLE]).run
        others = _alive(run)
        if not others or self._process.poll() is not None:
            self._end(tell)
            return
        pids = ", ".join(map(str, others))
        tell(f"{self._path}: the capture goes on as long as what the program has started: pid {pids}")
        if os.fork() == 0:
            try:
                self._outlive(run)
            finally:
                os._exit(0)

    def _end(self, tell: Callable[[str], None]) -> None:
        died = self._process.poll() is not None
        for line in self._rest():
            tell(_plain(line))
        self._wait()
        if died:
            tell(
                f"the capture ended before the program ({self._how()}): {self._path} lacks the packets from "
                f"{self._since()} on; the program was not affected"
            )

    def _rest(self) -> list[str]:
        """Its standard input ends, and so does it: what it has said, and says now."""
        assert self._process.stdin
        assert self._process.stderr
        with suppress(OSError):  # it is gone
            self._process.stdin.close()
        lines = b""
        deadline = time.monotonic() + _ENDING
        while select.select([self._process.stderr], [], [], max(0, deadline - time.monotonic()))[0]:
            data = os.read(self._process.stderr.fileno(), 65536)
            if not data:
                break
            lines += data
        return lines.decode(errors="replace").splitlines()

    def _wait(self) -> None:
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stderr
        self._process.stderr.close()

    def _how(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"code {code}"

    def _since(self) -> str:
        """When it last wrote."""
        try:
            return time.strftime("%H:%M:%S", time.localtime(os.stat(self._path).st_mtime))
        except OSError:  # it is not even there any more
            return "its beginning"

    def _outlive(self, run: str) -> None:
        """Hold nobody's streams, and end the capture when no process of the run is left."""
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        assert self._process.stderr
        gone = select.poll()
        gone.register(self._process.stderr, 0)
        while _alive(run) and not gone.poll(_LOOK * 1000):
            pass
        self._rest()


def _plain(line: str) -> str:
    """What it said, without its name."""
    return line.strip().removeprefix("evloop-trace: ")


def _alive(run: str) -> list[int]:
    """Processes that were started in a run, by the environment that they began with: proc(5)."""
    name, mark = f"{VARIABLE}=".encode(), f'"run":"{run}"'.encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if any(word.startswith(name) and mark in word for word in words):
            found.append(int(pid))
    return sorted(found)
