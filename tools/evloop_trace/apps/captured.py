"""The capture beside a program: a process of `evloop-trace capture`, which begins before it and ends after.

The program knows nothing of it: it is no child of the program's, and whatever becomes of it, the program goes
on. Ports are not known before, so that it takes all that goes over lo.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from evloop.capture_process import CaptureProcess, lack
from evloop.events.run import VARIABLE, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Captured"]

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
        self._process = CaptureProcess([f"-w{path}", *[f"--port={port}" for port in ports]])

    def finish(self, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        """The program has ended, and so does the capture, unless others that the program started go on.

        Args:
            environment: The program's: who was started in it is known by its EVLOOP_RUN.
            tell: Takes sentences for people.
        """
        run = Run.decode(environment[VARIABLE]).run
        others = _alive(run)
        if not others or self._process.died:
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
        for line in self._process.end():
            tell(line)
        self._process.close()
        if self._process.died:
            tell(self._process.complaint("program", lack(self._path, "packets")))

    def _outlive(self, run: str) -> None:
        """Hold nobody's streams, and end the capture when no process of the run is left."""
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(nowhere, fd)
        gone = select.poll()
        gone.register(self._process.fd, 0)
        while _alive(run) and not gone.poll(_LOOK * 1000):
            pass
        self._process.end()


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
