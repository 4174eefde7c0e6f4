"""A process of `evloop-trace capture` beside a program: how it begins, what it says, how it ends.

Packets, and what the kernel says of TCP's states, are looked at over there, so that they cost the program
next to nothing, and whatever becomes of the capture, the program goes on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from evloop.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CaptureProcess", "lack"]

ENDING = 5.0  # seconds to write what it has
_READY = "capturing on "
_NAME = "evloop-trace: "


class CaptureProcess:
    """It captures from its making until `end`, or until we are no more: then its standard input ends."""

    def __init__(
        self, options: Sequence[str], output: int = subprocess.DEVNULL, *, wait: bool = True
    ) -> None:
        """Start it, and wait until it is `ready`, unless something else can be done meanwhile.

        Args:
            options: As `evloop-trace capture` has them.
            output: The descriptor of its standard output.
            wait: Until it is ready; else who wants it to be waits.

        Raises:
            LogError: it could not begin; the message is its own.
        """
        # -P: a file in the current folder must not stand in for one of our modules.
        command = [sys.executable, "-P", "-m", "evloop_trace", "capture", "--attached", *options]
        pipe = subprocess.PIPE
        # In a session of its own: Ctrl-C is for the program, whose last packets are wanted, too.
        try:
            self._process = subprocess.Popen(
                command, bufsize=0, stdin=pipe, stdout=output, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise LogError(f"the capture cannot be started: {command[0]}: {error.strerror}") from None
        assert self._process.stderr
        self.fd = self._process.stderr.fileno()
        """Where it says what there is to say."""
        self._died: bool | None = None
        self.over = False
        """Whether it has said all."""
        self._line = b""  # as much of one as has come
        self._is_ready = False
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until the next packet will be seen.

        Raises:
            LogError: it could not begin, and has ended; the message is its own.
        """
        if self._is_ready:
            return
        assert self._process.stderr
        first = self._process.stderr.readline()
        self._is_ready = first.startswith(_READY.encode())
        if not self._is_ready:
            self._line = first
            said = self.end()
            self.close()
            raise LogError(" ".join(said) or f"the capture could not begin: {self.how}")

    @property
    def died(self) -> bool:
        """Whether it has ended by itself, and not by `end`."""
        if self._died is None:
            return self._process.poll() is not None
        return self._died

    @property
    def code(self) -> int:
        """Its exit code, or minus the signal that killed it, when it has ended."""
        return self._process.returncode

    @property
    def how(self) -> str:
        """The same in words."""
        return f"signal {-self.code}" if self.code < 0 else f"code {self.code}"

    def read(self) -> list[str]:
        """Lines that it has said, without its name; waits for some, or for the end of them."""
        data = os.read(self.fd, 65536)
        self.over = not data
        *lines, self._line = (self._line + data).split(b"\n")
        return [line.decode(errors="replace").removeprefix(_NAME) for line in lines]

    def tell_to_end(self) -> None:
        """Its standard input ends, and so will it; `end` waits for that."""
        assert self._process.stdin
        self._died = self.died
        with suppress(OSError):  # it is gone
            self._process.stdin.close()

    def end(self) -> list[str]:
        """Its standard input ends, and so does it; what it has said that was not read before."""
        self.tell_to_end()
        died, ours = self.died, False
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            ours = True
        self._died = died or (self.code < 0 and not ours)  # a signal may have been on its way
        said = []
        while not self.over:
            said += self.read()
        return said

    def close(self) -> None:
        """It has ended: its descriptor is somebody else's from now on."""
        assert self._process.stderr
        self._process.stderr.close()

    def complaint(self, program: str, lacks: str) -> str:
        """A sentence: it ended before a program did, and what is not there for that reason."""
        return f"the capture ended before the {program} ({self.how}): {lacks}; the {program} was not affected"


def lack(path: str, what: str) -> str:
    """What is missing in a file that the capture wrote, and since when: since it was written to last."""
    try:
        since = time.strftime("%H:%M:%S", time.localtime(os.stat(path).st_mtime))
    except OSError:  # it is not even there any more
        since = "its beginning"
    return f"{path} lacks the {what} from {since} on"
