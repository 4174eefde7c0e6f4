"""`evloop lesson` on a terminal: what grows there, what keys do, and how it is left."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pyte
import pytest
from evloop_lessons.plan import THINK

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.needs("namespaces")

LESSON = (sys.executable, "-P", "-m", "evloop", "lesson")
ENGLISH = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm"}
SECONDS = 30.0
STOP = "Enter: go on"
OTHER_SCREEN, OUR_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


class Window:
    """A terminal with one command: what it shows, its keys, and how it is left. See pty(7).

    A context manager, behind which the command is gone.
    """

    def __init__(self, *command: str, columns: int = 80, lines: int = 24, **how: object) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.said = b""
        """All that was written."""
        self._stream = pyte.ByteStream(self.screen)
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = self.modes()
        """How the terminal was."""
        fds = dict.fromkeys(("stdin", "stdout", "stderr"), self._slave)
        self.popen = subprocess.Popen(
            command,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
            **{**fds, **how},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait(SECONDS)
        os.close(self._slave)
        if self._master >= 0:
            os.close(self._master)

    def modes(self) -> list:
        """Echo, line editing, and all else: termios(3)."""
        return termios.tcgetattr(self._slave)

    @property
    def text(self) -> str:
        """What it shows."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def press(self, keys: str) -> None:
        """Type them."""
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """Somebody closes the window."""
        os.close(self._slave)
        os.close(self._master)
        self._master, self._slave = -1, os.open(os.devnull, os.O_RDONLY)

    def read(self) -> None:
        """What is written now, waiting a moment for it."""
        if select.select([self._master], [], [], 0.05)[0]:
            data = os.read(self._master, 65536)
            self.said += data
            self._stream.feed(data)

    def until(self, there: Callable[[str], object] | str) -> str:
        """Wait until it shows this; what it shows then."""
        is_there = there if callable(there) else lambda text: there in text
        deadline = time.monotonic() + SECONDS
        while not is_there(self.text):
            ended = self.popen.poll() is not None
            self.read()
            assert time.monotonic() < deadline, self.text
            assert not ended or is_there(self.text), self.text
        return self.text

    def end(self) -> int:
        """The exit code of the command, which is about to end."""
        deadline = time.monotonic() + SECONDS
        while self.popen.poll() is None:
            self.read()
            assert time.monotonic() < deadline, self.text
        while select.select([self._master], [], [], 0)[0]:
            self.read()
        return self.popen.returncode


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    """A run of the first lesson."""
    folder = tmp_path_factory.mktemp("lesson") / "saved"
    command = [*LESSON, "1", "--no-ask", "--save", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return str(folder)


def lesson(*options: str, **how) -> Window:
    """A command about lessons, in a window."""
    return Window(*LESSON, *options, env=how.pop("env", ENGLISH), **how)


def test_a_saved_run_grows_again(saved: str) -> None:
    """On the other screen, here from stop to stop; the whole of it, and the check, are told on ours."""
    with lesson("1", "--replay", saved, "--pace") as window:
        window.until("Enter: it begins")
        window.press("\r")
        for step, has, lacks in (
            ("The server opens a socket", "", "socket()"),
            ("The client calls connect().", "listen()", "SYN"),
            ("The connection is there", "SYN ACK", "18 B"),
            ("The client sends", "ESTABLISHED", "18 B"),
            ("The client calls close().", "18 B", "FIN"),
        ):
            text = window.until(lambda text, step=step: step in text.rpartition("▸")[2] and STOP in text)
            assert has in text
            assert lacks not in text
            window.press("\r")
        for last in ("TIME-WAIT", "asked for: 10.", "still there."):
            window.until(lambda text, last=last: last in text and text.strip().endswith(STOP))
            window.press("\r")
        assert window.end() == 0
        assert window.said.count(OTHER_SCREEN) == window.said.count(OUR_SCREEN) == 1
        assert "What to try next" in window.said.partition(OUR_SCREEN)[2].decode()
        assert window.modes() == window.before


@pytest.mark.parametrize("key", ["\r", " "])
def test_a_key_goes_to_the_end_of_it(saved: str, key: str) -> None:
    """Other keys do nothing."""
    with lesson("1", "--replay", saved, "--slow") as window:
        window.until("Enter: to the end")
        start = time.monotonic()
        window.press("x")
        window.press(key)
        assert window.end() == 0
        assert time.monotonic() - start < 5 * THINK
