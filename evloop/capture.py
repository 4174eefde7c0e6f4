"""The captures beside a server, of exactly its ports: packets, and what the kernel says of TCP's states.

Each is a process, and none is the server's trouble.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from evloop.capture_process import CaptureProcess, lack
from evloop.kernel import READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evloop.loop.loop import Loop

__all__ = ["Capture", "PictureCapture", "captures"]

DRAWN = 256  # bytes of a packet: all headers, and as much of a payload as fits into a line


class Capture:
    """One whose file is kept: it goes on from its making until `close`."""

    regular = True
    _prefix = ""  # of what it says

    def __init__(
        self, options: Sequence[str], path: str, what: str, report: Callable[[str], None],
        output: int = subprocess.DEVNULL,
    ) -> None:  # fmt: skip
        """Start it, and wait until the next packet will be seen.

        Args:
            options: As `evloop-trace capture` has them.
            path: Its file.
            what: Is in that.
            report: Takes a sentence for the person who runs the server.
            output: The descriptor of its standard output.

        Raises:
            LogError: it could not begin; the message is its own.
        """
        self._report = report
        self._path, self._what = path, what
        self._process = CaptureProcess(options, output)
        self.fd = self._process.fd
        self.watching = 0
        self._loop: Loop | None = None
        self._complained = False

    # -- what the loop asks ------------------------------------------------------------

    @property
    def sock(self) -> Capture:
        """What has the descriptor: nobody's socket."""
        return self

    def fileno(self) -> int:
        """Where it says what there is to say."""
        return self.fd

    def watch(self, loop: Loop) -> None:
        """Have the loop tell us what it says, and that it has ended."""
        self._loop = loop
        loop.trace.own(self.fd, "capture")
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """To be read, as long as it lives."""
        over = self._process.over
        return (0, "the capture has ended") if over else (READ, "the capture may say something")

    def on_ready(self, _bits: int) -> None:
        """Pass on what it says; if it has ended, the server goes on without it."""
        for line in self._process.read():
            self._report(self._prefix + line)
        if self._process.over and self._loop:
            self._loop.interests.update(self)
            self._process.end()
            self._complain()

    def fail(self, error: Exception) -> None:
        """Nothing of it is the server's trouble."""
        self._report(f"the capture cannot be heard any more: {error}")

    # -- ending ------------------------------------------------------------------------

    def close(self) -> None:
        """Let it write what it has, and pass on how much that is; the server has closed everything."""
        if self._loop and self.watching:
            self._loop.interests.drop(self, "the loop ends")
        for line in self._process.end():
            self._report(self._prefix + line)
        self._process.close()
        if self._process.died:
            self._complain()

    def _complain(self) -> None:
        """Say once that it ended before its time."""
        if not self._complained and (lacks := self._lacks()):
            self._report(self._process.complaint("server", lacks))
        self._complained = True

    def _lacks(self) -> str:
        """What is missing, now that it has ended before its time, and since when."""
        return lack(self._path, self._what)


class PictureCapture(Capture):
    """One that nobody keeps: a picture takes the packets out of a pipe, which holds no more than a moment's.

    If it does not keep up, the capture waits, and the kernel counts what it drops; if it has gone, there is
    no capture any more.
    """

    _prefix = "on the wire: "

    def __init__(self, ports: Sequence[str], report: Callable[[str], None]) -> None:
        """Start it.

        Raises:
            LogError: it could not begin; the message is its own.
        """
        self.packets, theirs = os.pipe()
        """The end of the pipe that is the picture's."""
        try:
            options = ["-w-", f"--snap={DRAWN}", *ports]
            super().__init__(options, "", "", report, theirs)
        except BaseException:
            os.close(self.packets)
            raise
        finally:
            os.close(theirs)

    def _lacks(self) -> str:
        # With code 0 it ended since nobody reads the pipe any more: the picture's end is told by itself.
        return "the picture shows no more packets" if self._process.code else ""


def captures(
    packets: str | None, kernel: str | None, picture: bool, opened: Sequence[tuple[str, int]],
    report: Callable[[str], None],
) -> Iterator[Capture]:  # fmt: skip
    """Begin what is wanted, one after the other; each is to be closed, also if the next cannot begin.

    Args:
        packets: A file for them, if they are to be kept.
        kernel: A file for what the kernel says, if that is wanted.
        picture: Whether a picture is to have packets.
        opened: Kind, tcp or udp, and port of what the server has opened.
        report: Takes a sentence for the person who runs the server.

    Raises:
        LogError: one could not begin; the message is its own.
    """
    ports = _options(port for _, port in opened)
    if kernel is not None:
        of_tcp = _options(port for kind, port in opened if kind == "tcp")
        yield Capture([f"--kernel={kernel}", *of_tcp], kernel, "kernel's events", report)
    if packets is not None:
        yield Capture([f"-w{packets}", *ports], packets, "packets", report)
    if picture:
        yield PictureCapture(ports, report)


def _options(ports: Iterable[int]) -> list[str]:
    return [f"--port={port}" for port in sorted({*ports})]
