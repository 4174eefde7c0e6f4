"""`evloop lesson` on a terminal: what grows there, what keys do, and how it is left."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
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
    def unread(self) -> int:
        """Bytes that were typed, and wait for who reads next: ioctl_tty(2)."""
        waits = fcntl.ioctl(self._slave, termios.FIONREAD, bytes(4))
        return int.from_bytes(waits, sys.byteorder)

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


def lesson(*options: str, **how) -> Window:
    """A command about lessons, in a window."""
    return Window(*LESSON, *options, env=how.pop("env", ENGLISH), **how)


def test_a_saved_run_grows_again(saved_lesson: Path) -> None:
    """On the other screen, here from stop to stop; the whole of it, and the check, are told on ours."""
    with lesson("1", "--replay", str(saved_lesson), "--pace") as window:
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
def test_a_key_goes_to_the_end_of_it(saved_lesson: Path, key: str) -> None:
    """Other keys do nothing."""
    with lesson("1", "--replay", str(saved_lesson), "--slow") as window:
        window.until("Enter: to the end")
        start = time.monotonic()
        window.press("x")
        window.press(key)
        assert window.end() == 0
        assert time.monotonic() - start < 5 * THINK


def test_stops_do_not_change_what_is_seen() -> None:
    """It waits at each step, and everything that must be seen is."""
    with lesson("1", "--no-ask", "--pace") as window:
        window.until("Enter: it begins")
        window.press("\r")
        for step in (
            "The server opens",
            "calls connect()",
            "nobody says",
            "The client sends",
            "calls close()",
        ):
            window.until(lambda text, step=step: step in text.rpartition("▸")[2] and STOP in text)
            window.press("\r")
        for last in ("TIME-WAIT", "asked for: 10.", "still there."):
            window.until(lambda text, last=last: last in text and text.strip().endswith(STOP))
            window.press("\r")
        assert window.end() == 0


def test_time_to_think_does_not_change_what_is_seen() -> None:
    """Before each step."""
    start = time.monotonic()
    command = [*LESSON, "1", "--no-ask", "--slow"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - start > 5 * THINK


def test_keys_while_it_runs_are_not_the_shells() -> None:
    """What is typed then is gone when it is over. Ctrl-Z gives the terminal back, and fg goes on."""
    with lesson("1", "--no-ask", "--set", "wait=3") as window:
        window.until("nobody says anything")
        window.press("ls -la\rq")
        window.press("\x1a")
        _, status = os.waitpid(window.popen.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        window.until(lambda _: window.said.count(OUR_SCREEN) == 1)
        assert window.modes() == window.before
        window.popen.send_signal(signal.SIGCONT)
        assert window.end() == 0
        assert window.said.count(OTHER_SCREEN) == window.said.count(OUR_SCREEN) == 2
        assert window.unread == 0


# -- broken off --------------------------------------------------------------------------------------------


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of this test, and of nobody else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setitem(ENGLISH, "TMPDIR", str(folder))
    return folder


def until_nothing_is_left(folder: Path) -> None:
    """No file, and no process that was about one; in the time that programs take to end."""
    deadline = time.monotonic() + SECONDS
    while left := [*folder.iterdir(), *_processes(str(folder))]:
        assert time.monotonic() < deadline, left


def _processes(folder: str) -> list[str]:
    """The command lines of living processes that name a folder, or are in it."""
    found = []
    for it in Path("/proc").glob("[0-9]*"):
        try:
            line, cwd = (it / "cmdline").read_bytes().decode(), os.readlink(it / "cwd")
        except OSError:
            continue
        if folder in line or cwd.startswith(folder):
            found.append(line)
    return found


@pytest.mark.parametrize("how", ["key", signal.SIGTERM, signal.SIGHUP])
def test_what_is_broken_off_while_it_runs_leaves_nothing(own_folder: Path, how: str | int) -> None:
    """The terminal is as it was, and the exit code is that of Ctrl-C."""
    with lesson("1", "--no-ask", "--set", "wait=60") as window:
        window.until(lambda text: "nobody says anything" in text and "SYN" in text)
        if how == "key":
            window.press("\x03")
        else:
            window.popen.send_signal(how)
        assert window.end() == 130
        assert window.said.count(OTHER_SCREEN) == window.said.count(OUR_SCREEN) == 1
        assert window.modes() == window.before
        assert b"Traceback" not in window.said
    until_nothing_is_left(own_folder)


@pytest.mark.parametrize(("options", "where"), [((), "Your answer"), (("--no-ask", "--pace"), STOP)])
def test_what_is_broken_off_while_it_waits_leaves_nothing(
    own_folder: Path, options: tuple[str, ...], where: str
) -> None:
    """For an answer, or for Enter."""
    with lesson("1", *options) as window:
        if "--pace" in options:
            window.until("Enter: it begins")
            window.press("\r")
        window.until(where)
        window.press("\x03")
        assert window.end() == 130
        assert window.modes() == window.before
        assert b"Traceback" not in window.said
    until_nothing_is_left(own_folder)


def test_a_closed_window_ends_it(own_folder: Path) -> None:
    """The kernel sends SIGHUP: see termios(3)."""
    with lesson("1", "--no-ask", "--set", "wait=60") as window:
        window.until("nobody says anything")
        window.hang_up()
        while window.popen.poll() is None:  # the shell sends one, too, in the middle of the tidying up
            window.popen.send_signal(signal.SIGHUP)
            time.sleep(0.01)
    until_nothing_is_left(own_folder)


def test_who_has_no_answer_may_end_the_input(own_folder: Path) -> None:
    """Ctrl-D is no answer, and it goes on. What is saved when it is broken off says that it is not whole."""
    folder = own_folder / "saved"
    with lesson("1", "--set", "wait=60", "--save", str(folder)) as window:
        window.until("Your answer")
        window.press("\x04")
        window.until(lambda text: "nobody says anything" in text and "SYN" in text)
        window.press("\x03")
        assert window.end() == 130
    done = subprocess.run(
        [*LESSON, "check", str(folder), "--lang", "en"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"the run is not whole" in done.stdout
    shutil.rmtree(folder)
    until_nothing_is_left(own_folder)
