"""Whether the process that writes a log is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evloop_trace import living
from evloop_trace.living import is_known_here, is_running

from evloop.events.schema import SCHEMA, Header

if TYPE_CHECKING:
    import pytest


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
