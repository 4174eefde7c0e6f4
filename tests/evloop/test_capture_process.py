"""The process beside a program, when it does not do what it should."""

from __future__ import annotations

import re
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from evloop import capture_process
from evloop.capture_process import CaptureProcess, lack
from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., CaptureProcess]

READY = "echo capturing on lo >&2;"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a shell script instead of a capture."""

    def run(script: str, **how: bool) -> CaptureProcess:
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(file))
        return CaptureProcess(["-w-x.pcapng"], **how)

    return run


def test_what_it_is_asked_for(start: Start, tmp_path: Path) -> None:
    """That it ends with us, and what is wanted of it."""
    process = start(f'echo "$@" > {tmp_path / "args"}; {READY} read x')
    assert process.end() == []
    process.close()
    words = (tmp_path / "args").read_text().split()
    assert words == ["-P", "-m", "evloop_trace", "capture", "--attached", "-w-x.pcapng"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo evloop-trace: no rights >&2; exit 2", "^no rights$"),
        ("printf 'evloop-trace: a\\nb\\n' >&2; exit 2", "^a b$"),
        ("exit 3", "^the capture could not begin: code 3$"),
        ("kill -9 $$", "^the capture could not begin: signal 9$"),
    ],
)
def test_it_cannot_begin(start: Start, script: str, message: str) -> None:
    """The sentence is its own, or else how it ended."""
    with pytest.raises(EvloopError, match=message):
        start(script)


def test_who_has_something_else_to_do_meanwhile_asks_later(start: Start) -> None:
    """Whether it is ready, and as often as they like; or ends it without having asked."""
    process = start(f"{READY} read x", wait=False)
    process.ready()
    process.ready()
    assert process.end() == []
    process.close()
    process = start(f"{READY} read x", wait=False)
    process.end()
    process.close()
    process = start("echo evloop-trace: no rights >&2; exit 2", wait=False)
    with pytest.raises(EvloopError, match=r"^no rights$"):
        process.ready()


def test_who_has_something_else_to_end_says_so_first(start: Start) -> None:
    """What ends because it was told to has not died."""
    process = start(f"{READY} read x; echo the end >&2")
    process.tell_to_end()
    while process.read():
        pass
    assert process.end() == []
    assert not process.died
    process.close()


def test_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaces its Python while it runs finds out."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EvloopError, match="cannot be started: /nowhere/python: No such file or directory"):
        CaptureProcess([])


def test_what_it_says(start: Start) -> None:
    """Line by line, however it is cut into pieces, and what it said together with that it is ready."""
    first, last = (
        "printf 'capturing on lo\\nNone: a\\n' >&2",
        "printf 'evloop-trace: one\\nt' >&2; echo wo >&2",
    )
    process = start(f"{first}; read x; {last}")
    assert process.read() == ["None: a"]
    assert not process.died
    assert process.end() == ["one", "two"]
    assert process.end() == []
    assert process.code == 0
    process.close()


def test_one_that_does_not_end_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr(capture_process, "ENDING", 0.1)
    process = start(f"{READY} exec sleep 60")
    assert process.end() == []
    assert process.how == "signal 9"
    process.close()


def test_the_complaint(start: Start, tmp_path: Path) -> None:
    """How it ended, and since when something is missing: the file's time tells, if there is a file."""
    process = start(f"{READY} exit 4")
    process.end()
    process.close()
    path = tmp_path / "a"
    assert process.complaint("server", lack(str(path), "packets")) == (
        f"the capture ended before the server (code 4): {path} lacks the packets from its beginning on; "
        "the server was not affected"
    )
    path.write_bytes(b"x")
    assert re.search(r"a lacks the packets from \d\d:\d\d:\d\d on$", lack(str(path), "packets"))
