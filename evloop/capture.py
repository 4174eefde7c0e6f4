"""The capture beside a server: a process of `evloop-trace capture` for exactly the server's ports.

Packets, and what the kernel says of TCP's states, are looked at over there, so that they cost the server next
to nothing, and whatever becomes of the capture, the server goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from evloop.errors import LogError
from evloop.kernel import READ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evloop.loop.loop import Loop

__all__ = ["Capture"]

ENDING = 5.0  # seconds to write what it has
_READY = "capturing on "


class Capture:
    """It captures from its making until `close`, or until we are no more: then its standard input ends."""

    def __init__(
        self,
        packets: str | None,
        kernel: str | None,
        ports: Iterable[int],
        report: Callable[[str], None],
        drawn: str | None = None,
    ) -> None:
        """Start it, and wait until the next packet will be seen.

        Args:
            packets: A file for them, if they are wanted.
            kernel: A file for what the kernel says, if that is wanted.
            ports: The server's.
            report: Takes a sentence for the person who runs the server.
            drawn: The file from which a picture takes packets: that of `packets`, or one that nobody keeps.

        Raises:
            LogError: it could not begin; the message is its own.
        """
        self._report = report
        self._passing = drawn if packets is None else None
        packets = packets or drawn
        self._files: dict[str, str] = {}  # what is in each
        options = []
        if packets is not None:
            self._files[packets] = "packets"
            options.append(f"-w{packets}")
        if kernel is not None:
            self._files[kernel] = "kernel's events"
            options.append(f"--kernel={kernel}")
        options += [f"--port={port}" for port in sorted({*ports})]
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "capture", "--attached", *options]
        pipe = subprocess.PIPE
        # In a session of its own: Ctrl-C is for the server, whose last packets are wanted, too.
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe, start_new_session=True
        )
        assert self._process.stderr
        self.fd = self._process.stderr.fileno()
        self.watching = 0
        self._loop: Loop | None = None
        self._line = b""  # as much of one as has come
        self._over = self._complained = False
        lines: list[str] = []
        while not lines and not self._over:
            lines = self._read()
        if not (lines and lines[0].startswith(_READY)):
            self._wait()
            self._process.stderr.close()
            raise LogError(" ".join(lines) or f"the capture could not begin: {self._how()}")

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
        return (0, "the capture has ended") if self._over else (READ, "the capture may say something")

    def on_ready(self, _bits: int) -> None:
        """Pass on what it says; if it has ended, the server goes on without it."""
        for line in self._read():
            self._report(line)
        if self._over and self._loop:
            self._loop.interests.update(self)
            self._wait()
            self._complain()

    def fail(self, error: Exception) -> None:
        """Nothing of it is the server's trouble."""
        self._report(f"the capture cannot be heard any more: {error}")

    def _read(self) -> list[str]:
        """Lines that it has said, without its name; at the end of what it says, none."""
        data = os.read(self.fd, 65536)
        self._over = not data
        *lines, self._line = (self._line + data).split(b"\n")
        said = [line.decode(errors="replace").removeprefix("evloop-trace: ") for line in lines]
        return [line.replace(f"{self._passing}: ", "on the wire: ") for line in said]

    # -- ending ------------------------------------------------------------------------

    def close(self) -> None:
        """Let it write what it has, and pass on how much that is; the server has closed everything."""
        if self._loop and self.watching:
            self._loop.interests.drop(self, "the loop ends")
        died = self._process.poll() is not None
        self._wait()
        while not self._over:
            for line in self._read():
                self._report(line)
        assert self._process.stderr
        self._process.stderr.close()
        if died:
            self._complain()

    def _wait(self) -> None:
        """Its standard input ends, and so does it."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _complain(self) -> None:
        """Say once that it ended before its time, and since when something is missing."""
        if self._complained:
            return
        self._complained = True
        lacks = [f"{path} lacks the {what} from {_since(path)} on" for path, what in self._files.items()]
        self._report(
            f"the capture ended before the server ({self._how()}): "
            f"{', '.join(lacks)}; the server was not affected"
        )

    def _how(self) -> str:
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"code {code}"


def _since(path: str) -> str:
    """When something was written to a file last."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(os.stat(path).st_mtime))
    except OSError:  # it is not even there any more
        return "its beginning"
