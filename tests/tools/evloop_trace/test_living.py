"""Whether the process that writes a log is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evloop_trace import living
from evloop_trace.living import Work, is_known_here, is_running

from evloop.events.schema import SCHEMA, Header


def header(pid: int = 1, *, mono_ns: int | None = None, boot_id: str = "") -> Header:
    """The header that a process would write now."""
    return Header(
        0, 0, 0, SCHEMA, time.monotonic_ns() if mono_ns is None else mono_ns, time.time_ns(), 0, pid, ["x"],
        {}, "epoll", "", "prefix", 64, boot_id=boot_id, model="run", run="r",
    )  # fmt: skip


def test_who_writes_is_running() -> None:
    """We are; a number that cannot be a pid, one from before the last boot, or nobody's, is not."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert is_running(header(os.getpid(), boot_id=boot_id))
    assert is_running(header(os.getpid()))
    assert not is_running(header(os.getpid(), boot_id="another"))
    for pid in (0, -1, 2**40):
        assert not is_running(header(pid))


def test_a_process_that_began_later_is_not_who_wrote() -> None:
    """Its number was free again."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_running(header(process.pid))
        assert not is_running(header(process.pid, mono_ns=time.monotonic_ns() - 10 * 10**9))


def test_a_process_that_nobody_has_asked_for_its_code_is_dead() -> None:
    """It still has its number, and a state of its own."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(header(process.pid))
    process.wait()
    assert not is_running(header(process.pid))


def test_without_proc_a_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signal 0 asks; that it may not be sent is an answer."""

    class NoPath:
        """No file at all."""

        def __init__(self, _path: str) -> None: ...

        def read_bytes(self) -> bytes:
            """Nothing is there."""
            raise FileNotFoundError

        def exists(self) -> bool:
            """Not even for us."""
            return False

    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr(living, "Path", NoPath)
    assert is_running(header(os.getpid()))
    assert not is_running(header(process.pid))

    def may_not(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", may_not)
    assert is_running(header(process.pid))


def test_of_which_machine_a_log_is() -> None:
    """Of this boot, of another, or nobody can tell."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert is_known_here(header(boot_id=boot_id))
    assert not is_known_here(header(boot_id="another"))
    assert not is_known_here(header())


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel says of us is what a test writes into this file."""
    file = tmp_path / "schedstat"
    monkeypatch.setattr(living, "Path", lambda path: file if path.endswith("/schedstat") else Path(path))
    return file


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # (now, the last event, ran, waited for a processor)
        ([(100, 90, 50, 0), (200, 90, 50, 0), (300, 90, 75, 0)], None),
        ([(100, 90, 50, 0), (200, 90, 50, 0), (300, 90, 70, 6)], 200),
        ([(100, 90, 50, 0), (200, 90, 50, 0), (300, 90, 50, 99), (400, 90, 50, 199)], 200),
        ([(100, 90, 0, 0), (200, 190, 99, 0), (300, 190, 199, 0)], 190),  # it went on
        ([(100, 90, 0, 0), (200, 190, 99, 0)], None),  # perhaps it told of that
        ([(100, 90, 0, 0), (200, 190, 99, 0), (300, 190, 99, 0), (400, 190, 199, 0)], 300),
        ([(100, 90, 0, 0), (200, 90, 0, 0), (300, 90, 99, 0), (400, 90, 99, 0)], 200),  # and it has not told
        ([(100, 90, 0, 0), (200, 90, 0, 0), (300, 90, 99, 0), (400, 390, 99, 0)], None),
        ([(100, 90, 0, 0), (200, 90, 99, 0), (300, 150, 199, 0)], 150),  # what it tells of is long past
        ([(100, 90, 0, 0), (200, 90, 99, 0), (300, 150, 99, 0)], None),
        ([(100, 90, 0, 0), (100, 90, 0, 0), (100, 90, 0, 0)], None),
    ],
)
def test_since_when_a_process_works(
    says: Path, asked: list[tuple[int, int, int, int]], expected: int | None
) -> None:
    """It ran, or waited for a processor, for more than a quarter of a time in which it said nothing."""
    work, since = Work(header(os.getpid())), None
    for now, heard, ran, waited in asked:
        says.write_text(f"{ran} {waited} 9\n")
        since = work.since(now, heard)
    assert since == expected


@pytest.mark.parametrize("text", ["", "0\n", "one two three", None])
def test_where_the_kernel_does_not_tell_nobody_is_said_to_work(says: Path, text: str | None) -> None:
    """What was known before counts no more."""
    work = Work(header(os.getpid()))
    for now in (100, 200, 300):
        says.write_text(f"{now} 0 9\n")
        since = work.since(now, 90)
    assert since == 100
    says.unlink() if text is None else says.write_text(text)
    assert work.since(400, 90) is None
    says.write_text("900 900 9")
    assert work.since(500, 90) is None
    says.write_text("1000 1000 9")
    assert work.since(600, 90) == 500


def test_the_kernel_says_who_works() -> None:
    """We do, once we have begun; who waits for a line does not, nor does nobody."""
    ours = Work(header(os.getpid()))
    deadline = time.monotonic() + 60
    while (began := ours.since(time.monotonic_ns(), 0)) is None and time.monotonic() < deadline:
        for _ in range(10**6):
            pass
    assert began is not None
    assert Work(header(2**40)).since(1, 0) is None
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)
        its = Work(header(process.pid))
        heard = 0
        while its.since(time.monotonic_ns(), heard) is not None and time.monotonic() < deadline:
            heard += 1
        assert its.since(time.monotonic_ns(), heard) is None
