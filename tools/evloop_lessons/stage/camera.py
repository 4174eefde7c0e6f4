"""The capture of a scenario: all packets of its network, and those that are in the file by now."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.pcapng import Growing
from evloop_trace.packets.sightings import Sightings

from evloop_lessons.plan import CAPTURE
from evloop_lessons.stage.actors import StageError, python
from evloop_lessons.stage.leash import die_with_parent

if TYPE_CHECKING:
    from pathlib import Path

    from evloop_trace.packets.sightings import Sighting

__all__ = ["Camera"]

ENDING = 5.0  # seconds to write what it has


class Camera:
    """`evloop-trace capture`, from its making to `close`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CAPTURE
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            python("evloop_trace", "capture", "--attached", f"-w{self._path}"),
            stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, preexec_fn=die_with_parent,  # noqa: PLW1509
            start_new_session=True,
        )  # fmt: skip
        self._runs = False
        self._fd = -1
        self._packets = Growing(self._read, Capture())
        self._sightings = Sightings()

    def ready(self) -> None:
        """Wait until the next packet will be seen.

        Raises:
            StageError: it cannot begin.
        """
        if self._runs:
            return
        assert self._process.stderr
        line = self._process.stderr.readline()
        if not line.startswith(b"capturing on "):
            lines = (line + self._process.stderr.read()).decode(errors="replace").splitlines()
            said = lines[-1].removeprefix("evloop-trace: ") if lines else "it has not said why"
            raise StageError(f"the capture could not begin: {said}")
        self._runs = True

    def more(self) -> list[Sighting]:
        """The packets that were not asked for before."""
        return [seen for packet in self._packets.packets() if (seen := self._sightings.see(packet))]

    def _read(self, size: int) -> bytes:
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # it is not there yet
                return b""
        return os.read(self._fd, size)

    def close(self) -> None:
        """Let it write what it has."""
        assert self._process.stdin
        assert self._process.stderr
        self._process.stdin.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stderr.close()
        if self._fd >= 0:
            os.close(self._fd)
