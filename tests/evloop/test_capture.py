"""The process beside the server, when it does not do what it should."""

from __future__ import annotations

import os
import stat

import pytest

from evloop import capture
from evloop.capture import Capture
from evloop.errors import LogError


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a shell script instead of a capture; and what it said to the server's user."""
    said = []

    def run(script, path="a.pcapng", kernel=None):
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(capture.sys, "executable", str(file))
        return Capture(path, kernel, [2, 1, 2], said.append), said

    return run


def test_it_is_asked_for_each_port_once(start, tmp_path):
    """And for the file, whose name may begin as an option does."""
    args, path = tmp_path / "args", "-x.pcapng"
    beside, said = start(f'echo "$@" > {args}; echo capturing on lo >&2; read x', path)
    beside.close()
    assert args.read_text().split() == [
        "-P", "-m", "evloop_trace", "capture", "--attached", "-w-x.pcapng", "--port=1", "--port=2",
    ]  # fmt: skip
    assert said == []


def test_it_is_asked_for_what_is_wanted(start, tmp_path):
    """Only what the kernel says, or the packets too; one that dies lacks both."""
    args = tmp_path / "args"
    script = f'echo "$@" > {args}; echo "capturing on the kernel" >&2; exit 4'
    for packets, options, lacks in (
        (None, "--kernel=k", "k lacks the kernel's events from its beginning on"),
        (
            "p",
            "-wp --kernel=k",
            "p lacks the packets from its beginning on, k lacks the kernel's events from its beginning on",
        ),
    ):
        beside, said = start(script, packets, "k")
        beside._process.wait()
        beside.close()
        assert f"--attached {options} --port=1" in args.read_text()
        assert said.pop().endswith(f"(code 4): {lacks}; the server was not affected")
        assert not said


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo evloop-trace: no rights >&2; exit 2", "no rights"),
        ("exit 3", r"the capture could not begin: code 3"),
        ("kill -9 $$", r"the capture could not begin: signal 9"),
    ],
)
def test_it_cannot_begin(start, script, message):
    """The sentence is its own, or else how it ended."""
    with pytest.raises(LogError, match=message):
        start(script)


def test_what_it_says_at_the_end_is_passed_on(start):
    """However it is cut into pieces."""
    beside, said = start("echo capturing on lo >&2; read x; printf 'evloop-trace: one\\nt' >&2; echo wo >&2")
    beside.close()
    assert said == ["one", "two"]


def test_one_that_does_not_end_is_ended(start, monkeypatch):
    """The server does not wait for ever."""
    monkeypatch.setattr(capture, "ENDING", 0.1)
    beside, said = start("echo capturing on lo >&2; exec sleep 60")
    beside.close()
    assert beside._process.returncode == -9
    assert said == []


def test_one_whose_file_is_gone(start, tmp_path):
    """Then all packets are missing."""
    beside, said = start("echo capturing on lo >&2; exit 4", str(tmp_path / "gone"))
    beside._process.wait()
    beside.close()
    (sentence,) = said
    assert "before the server (code 4): " in sentence
    assert f"{tmp_path / 'gone'} lacks the packets from its beginning on" in sentence


def test_one_that_cannot_be_heard(start):
    """A failure of its handler is told, and is nobody else's."""
    beside, said = start("echo capturing on lo >&2; read x")
    beside.fail(OSError("no"))
    beside.close()
    assert said == ["the capture cannot be heard any more: no"]
    assert not os.path.exists("a.pcapng")
