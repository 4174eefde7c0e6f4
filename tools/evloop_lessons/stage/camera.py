"""The capture of a scenario: all packets of its network, and those that are in the file by now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.pcapng import Growing
from evloop_trace.packets.sightings import Sightings

from evloop.capture_process import CaptureProcess
from evloop.errors import LogError
from evloop_lessons.plan import CAPTURE
from evloop_lessons.stage.actors import StageError

if TYPE_CHECKING:
    from pathlib import Path

    from evloop_trace.packets.sightings import Sighting

__all__ = ["Camera"]


class Camera:
    """`evloop-trace capture`, from its making to `close`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CAPTURE
        self._process: CaptureProcess | None = CaptureProcess([f"-w{self._path}"], wait=False)
        self._fd = -1
        self._packets = Growing(self._read, Capture())
        self._sightings = Sightings()

    def ready(self) -> None:
        """Wait until the next packet will be seen.

        Raises:
            StageError: it cannot begin.
        """
        assert self._process
        try:
            self._process.ready()
        except LogError as error:
            self._process = None
            raise StageError(str(error)) from None

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

    def tell_to_end(self) -> None:
        """What comes now is wanted no more."""
        if self._process:
            self._process.tell_to_end()

    def close(self) -> None:
        """Let it write what it has."""
        if self._process:
            self._process.end()
            self._process.close()
        if self._fd >= 0:
            os.close(self._fd)
