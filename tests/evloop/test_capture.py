"""The captures beside a server, when they do not do what they should."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from evloop.capture import Capture, PictureCapture, captures
from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READY = "echo capturing on lo >&2;"


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a shell script instead of every capture."""

    def play(script: str) -> None:
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(file))

    return play


def test_what_they_are_asked_for(play: Callable[[str], None], tmp_path: Path) -> None:
    """One after the other: the kernel's events of TCP's ports, packets of all, and less of each to draw."""
    args, said = tmp_path / "args", []
    play(f'echo "$@" >> {args}; {READY} read x')
    opened = [("tcp", 2), ("udp", 1), ("tcp", 2)]
    begun = list(captures("-x.pcapng", "k", True, opened, said.append))
    for capture in begun:
        capture.close()
    assert isinstance(begun[-1], PictureCapture)
    os.close(begun[-1].packets)
    assert [line.partition(" --attached ")[2] for line in args.read_text().splitlines()] == [
        "--kernel=k --port=2", "-w-x.pcapng --port=1 --port=2", "-w- --snap=256 --port=1 --port=2",
    ]  # fmt: skip
    assert said == []


def test_one_that_dies(play: Callable[[str], None]) -> None:
    """It is said once what is missing; a message that has None in it is passed on as it is."""
    said: list[str] = []
    play(f"{READY} echo evloop-trace: None: it is full >&2; exit 4")
    for packets, kernel, lacks in (
        ("p", None, "p lacks the packets from its beginning on"),
        (None, "k", "k lacks the kernel's events from its beginning on"),
    ):
        (capture,) = captures(packets, kernel, False, [("tcp", 1)], said.append)
        capture._process._process.wait()
        capture.close()
        assert said == [
            "None: it is full",
            f"the capture ended before the server (code 4): {lacks}; the server was not affected",
        ]
        said.clear()


DARK = (
    "the capture ended before the server (code 4): the picture shows no more packets; "
    "the server was not affected"
)


@pytest.mark.parametrize(("code", "said"), [(0, ["on the wire: all"]), (4, ["on the wire: all", DARK])])
def test_one_for_the_picture(play: Callable[[str], None], code: int, said: list[str]) -> None:
    """Its packets come out of a pipe; that it has ended with its reader is nothing to be told."""
    heard: list[str] = []
    play(f"{READY} printf abc; echo evloop-trace: all >&2; exit {code}")
    (capture,) = captures(None, None, True, [("tcp", 1)], heard.append)
    assert isinstance(capture, PictureCapture)
    capture._process._process.wait()
    assert os.read(capture.packets, 9) == b"abc"
    assert os.read(capture.packets, 9) == b""  # nobody else has the other end
    os.close(capture.packets)
    capture.close()
    assert heard == said


def test_one_for_the_picture_cannot_begin(play: Callable[[str], None]) -> None:
    """Nothing of the pipe is left."""
    play("echo evloop-trace: no rights >&2; exit 2")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(EvloopError, match="no rights"):
        list(captures(None, None, True, [("tcp", 1)], print))
    assert os.listdir("/proc/self/fd") == before


def test_one_that_cannot_be_heard(play: Callable[[str], None]) -> None:
    """A failure of its handler is told, and is nobody else's."""
    said: list[str] = []
    play(f"{READY} read x")
    capture = Capture(["-wa.pcapng"], "a.pcapng", "packets", said.append)
    capture.fail(OSError("no"))
    capture.close()
    assert said == ["the capture cannot be heard any more: no"]
