"""The capture beside a program, when it does not do what it should; and who is still there after it."""

from __future__ import annotations

import os
import re
import select
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.apps.captured import Captured

from evloop.events.run import VARIABLE, Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

READY = "echo capturing on lo >&2;"
PYTHON = sys.executable


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Captured]:
    """Start a shell script instead of a capture."""

    def run(script: str, path: str = "a.pcapng", ports: tuple[int, ...] = ()) -> Captured:
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr("sys.executable", str(file))
        return Captured(path, ports)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """Of a run of its own."""
    return {**os.environ, VARIABLE: Run("l", os.urandom(8).hex()).encode()}


def finish(beside: Captured, environment: dict[str, str]) -> list[str]:
    """End it; what it said."""
    said: list[str] = []
    beside.finish(environment, said.append)
    return said


def test_what_it_is_asked_for(
    start: Callable[..., Captured], tmp_path: Path, environment: dict[str, str]
) -> None:
    """The file, whose name may begin as an option does, and the ports, if there are any."""
    args = tmp_path / "args"
    for ports, options in (((), []), ((80, 81), ["--port=80", "--port=81"])):
        beside = start(f'echo "$@" > {args}; {READY} read x', "-x.pcapng", ports)
        assert finish(beside, environment) == []
        first = ["-P", "-m", "evloop_trace", "capture", "--attached", "-w-x.pcapng"]
        assert args.read_text().split() == [*first, *options]


@pytest.mark.parametrize(("there", "since"), [(True, r"\d\d:\d\d:\d\d"), (False, "its beginning")])
def test_one_that_ends_too_early(
    start: Callable[..., Captured], tmp_path: Path, environment: dict[str, str], there: bool, since: str
) -> None:
    """It says so itself, or not; since when packets are missing the file's time tells, if there is a file."""
    path = tmp_path / "a.pcapng"
    if there:
        path.write_bytes(b"x")
    beside = start(f"{READY} echo evloop-trace: the disk is full >&2; exit 1", str(path))
    beside._process._process.wait()
    first, second = finish(beside, environment)
    assert first == "the disk is full"
    assert re.search(
        rf"before the program \(code 1\): {path} lacks the packets from {since} on; the program", second
    )


def test_it_goes_on_as_long_as_somebody_of_the_run(
    start: Callable[..., Captured], environment: dict[str, str], tmp_path: Path
) -> None:
    """We are told who that is, and do not wait; when the last has ended, so does the capture."""
    ended = tmp_path / "ended"
    beside = start(f"{READY} read x; echo > {ended}")
    pipe: Any = subprocess.PIPE
    first, second = (
        subprocess.Popen([PYTHON, "-c", "print(flush=True); input()"], env=env, stdin=pipe, stdout=pipe)
        for env in (environment, {**environment, VARIABLE: Run("l", "another").encode()})
    )
    with first, second:
        assert first.stdout.readline() == second.stdout.readline() == b"\n"
        (sentence,) = finish(beside, environment)
        assert sentence == (
            "a.pcapng: the capture goes on as long as what the program has started: pid " + str(first.pid)
        )
        capture = beside._process._process
        handle = os.pidfd_open(capture.pid)
        capture.stdin.close()  # as when we are no more
        assert not select.select([handle], [], [], 0.3)[0]
        first.communicate(b"\n")
        assert select.select([handle], [], [], 30)[0]
        os.close(handle)
        capture.wait()
        second.communicate(b"\n")
    assert ended.exists()
    beside._process.close()
    os.wait()  # who looked after it
