"""The picture's process, played by the test: how it ends is told, and never waited for too long."""

from __future__ import annotations

import os
import subprocess
import termios

import pytest

from evloop import viewer
from evloop.errors import EvloopError
from evloop.kernel import Kernel
from evloop.loop.loop import Loop
from evloop.net.watch import Watchers
from evloop.viewer import LogViewer, Viewer


class Process:
    """As `subprocess.Popen`: ends with the codes of the script, or does not end in time."""

    script: tuple[int | None, ...] = ()

    def __init__(self, command, pass_fds):
        self.command, self.pass_fds = command, pass_fds
        self.left = list(self.script)
        self.killed = 0

    def wait(self, timeout=None):
        """The next code of the script."""
        code = self.left.pop(0)
        if code is None:
            raise subprocess.TimeoutExpired("picture", timeout)
        return code

    def kill(self):
        """Counted."""
        self.killed += 1


@pytest.mark.parametrize(
    ("script", "killed", "said"), [((0,), 0, 0), ((3,), 0, 1), ((None, -9), 1, 1)], ids=str
)
def test_how_it_ends(header, monkeypatch, script, killed, said):
    """Well, with a code, or not in time: then it is killed, once; the server is not affected."""
    monkeypatch.setattr(Process, "script", script)
    monkeypatch.setattr(viewer.subprocess, "Popen", Process)
    loop, sentences = Loop(Kernel(), "epoll"), []
    watchers = Watchers(loop, header(), lambda _lost: None)
    picture = Viewer(watchers, sentences.append)
    picture.wait()  # it was not started: there is nothing to wait for
    packets, theirs = os.pipe()
    picture.start(packets)
    process = picture._process
    assert process.command[-3:] == [f"--packets-fd={packets}", "--fd", str(process.pass_fds[0])]
    assert process.pass_fds[1:] == [packets]
    with pytest.raises(BrokenPipeError):  # that end is the picture's alone
        os.write(theirs, b"x")
    os.close(theirs)
    assert len(loop.interests.watched) == 1
    picture.wait()
    assert (process.killed, len(sentences), process.left) == (killed, said, [])
    watchers.close()
    loop.close()


def test_the_picture_of_a_log(monkeypatch):
    """It is told that it is a child, and a log whose name looks like an option is none."""
    monkeypatch.setattr(Process, "script", (0,))
    monkeypatch.setattr(viewer.subprocess, "Popen", Process)
    sentences = []
    picture = LogViewer("--log.jsonl", sentences.append)
    picture.start("a.pcapng")
    process = picture._process
    assert process.command[-5:] == ["watch", "--packets=a.pcapng", "--child", "--", "--log.jsonl"]
    picture.wait()
    assert (process.left, sentences, process.pass_fds) == ([], [], ())
    picture = LogViewer("/dev/fd/7", sentences.append, [7])
    picture.start()
    assert picture._process.pass_fds == [7]


@pytest.mark.parametrize(("code", "back"), [(-9, True), (0, False)])
def test_one_that_was_killed_leaves_the_terminal_as_it_was(monkeypatch, code, back):
    """With its echo, its cursor and its screen; one that ended by itself has seen to that."""
    master, slave = os.openpty()
    monkeypatch.setattr(Process, "script", (code,))
    monkeypatch.setattr(viewer.subprocess, "Popen", Process)
    with open(slave, "w") as terminal, open(master, "rb", buffering=0) as screen:
        monkeypatch.setattr(viewer.sys, "stdout", terminal)
        picture = LogViewer("log.jsonl", lambda _sentence: None)
        picture.start()
        silent = termios.tcgetattr(slave)
        assert silent[3] & termios.ECHO
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, silent)
        picture.wait()
        assert bool(termios.tcgetattr(slave)[3] & termios.ECHO) is back
        terminal.write("end")
        terminal.flush()
        said = b""
        while not said.endswith(b"end"):  # a terminal hands on each write by itself
            said += screen.read(100)
        assert said == (b"\x1b[?25h\x1b[?1049lend" if back else b"end")


def test_one_that_cannot_be_started(monkeypatch, tmp_path):
    """Which program that is, and why."""
    monkeypatch.setattr(viewer.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(EvloopError, match=r"the picture cannot be started: .*python: No such file"):
        LogViewer("log.jsonl", print).start()
