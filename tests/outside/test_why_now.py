"""`evloop-trace why` while the program hangs: the kernel is asked, and tells what no log can."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.diagnosing import as_json, diagnose
from evloop_trace.proc_net import sockets_of
from evloop_trace.replay import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 30.0
TRACE = (sys.executable, "-P", "-m", "evloop_trace")

SEQUENTIAL = """
import socket
phone = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
phone.bind(('127.0.0.1', 0))
phone.listen(5)
print(*phone.getsockname(), flush=True)
while True:
    conn, client_addr = phone.accept()
    while True:
        data = conn.recv(1024)
        if len(data) == 0:
            break
        conn.send(data.upper())
    conn.close()
"""

ONE = """
import select, socket, sys, time
phone = socket.create_server(('127.0.0.1', 0))
print(*phone.getsockname(), flush=True)
conn = phone.accept()[0]
"""


class Program:
    """A Python program under `evloop-trace run`, and what `why` says of it while it runs."""

    def __init__(self, process: Any, folder: Path) -> None:
        self.pid = process.pid
        self.log_file = folder / "run.jsonl"
        self.log = str(self.log_file)
        self.port = int(process.popen.stdout.readline().split()[1])
        self._process = process

    def ask(self) -> tuple[list[str], list[dict[str, Any]]]:
        """The summary, and the findings."""
        problems: list[str] = []
        answer = diagnose([self.log], None, Problems(problems.append))
        assert problems == []
        return answer.verdict.summary, json.loads(as_json(answer))

    def hangs(self, kind: str, words: str) -> dict[str, Any]:
        """Ask until such a finding is there, and hangs: it is not told before it has lasted a moment."""
        deadline = time.monotonic() + SECONDS
        while True:
            found = [it for it in self.ask()[1] if it["kind"] == kind and it["stuck"]]
            if found and words in found[0]["sentence"]:
                return found[0]
            assert time.monotonic() < deadline, self.ask()

    def until(self, is_so: Callable[[dict[tuple[str, str], Any]], bool]) -> None:
        """Wait until the kernel's table of its sockets is so."""
        deadline = time.monotonic() + SECONDS
        while not is_so(table := sockets_of(self.pid)):
            assert time.monotonic() < deadline, table

    def waits(self, text: str) -> None:
        """Wait until something stands in its log."""
        deadline = time.monotonic() + SECONDS
        while text not in self.log_file.read_text():
            assert time.monotonic() < deadline

    def kill(self) -> None:
        """End it, as the kernel does when memory is short."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.popen.wait(SECONDS)


@pytest.fixture
def program(begin: Callable[..., Any], tmp_path: Path) -> Callable[[str], Program]:
    """Start a program that says where it listens."""

    def start(text: str) -> Program:
        (tmp_path / "server.py").write_text(text)
        return Program(begin(*TRACE, "run", "--log", "run.jsonl", "server.py"), tmp_path)

    return start


@pytest.fixture
def call() -> Iterator[Callable[..., socket.socket]]:
    """A connection to a program, closed with the test."""
    callers: list[socket.socket] = []

    def connect(server: Program, said: bytes = b"") -> socket.socket:
        callers.append(socket.create_connection(("127.0.0.1", server.port), SECONDS))
        callers[-1].sendall(said)
        return callers[-1]

    yield connect
    for caller in callers:
        caller.close()


def test_three_more_callers_of_a_server_that_hangs(
    program: Callable[..., Program], call: Callable[..., socket.socket], run: Callable[..., Any]
) -> None:
    """They came after the accept, so they are in no log; the kernel counts them. Killed, it tells no more."""
    server = program(SEQUENTIAL)
    assert call(server, b"hello").recv(5) == b"HELLO"
    for _ in range(3):
        call(server)
    address = f"127.0.0.1:{server.port}"
    server.until(lambda table: table[address, ""].unread == 3)
    server.hangs("recv-more", "3 finished handshakes")
    answer = run(*TRACE, "why", "run.jsonl")
    said = " ".join(answer.stdout.split())
    assert (answer.returncode, answer.stderr) == (1, "")
    assert f"run.jsonl: 1 thing hangs; still running (pid {server.pid}) at " in said
    assert "The main thread has been blocked in recv() on tcp-2" in said
    assert "The kernel, now: nothing to read, ESTABLISHED. " in said
    assert "Meanwhile 3 finished handshakes wait in tcp-1's queue (backlog 5), as the kernel counts" in said
    server.kill()
    killed = " ".join(run(*TRACE, "why", "run.jsonl").stdout.split())
    assert "the log has no end (killed or crashed)" in killed
    assert "kernel" not in killed


def test_a_server_that_waits_for_callers(
    program: Callable[..., Program], call: Callable[..., socket.socket]
) -> None:
    """Nothing hangs, before a caller and after it."""
    server = program(SEQUENTIAL)
    for _ in range(2):
        server.waits('"awaits":"accept"')
        (summary,), findings = server.ask()
        assert summary.startswith("nothing hangs; still running")
        assert {finding["stuck"] for finding in findings} <= {False}
        caller = call(server, b"x")
        assert caller.recv(1) == b"X"
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1) == b""


@pytest.mark.parametrize(
    ("then", "said", "end", "kind", "words"),
    [
        ("time.sleep(1000)", b"hello", False, "own-code", "But the kernel, now: 5 B to read, ESTABLISHED."),
        (
            "phone.accept()",
            b"hello",
            True,
            "unattended",
            "But the kernel, now: 5 B to read, CLOSE-WAIT (the peer has closed).",
        ),
        (
            "e = select.epoll(); e.register(conn, 1 | select.EPOLLET); e.poll(); conn.recv(2); e.poll()",
            b"hello",
            False,
            "edge-left",
            "But the kernel, now: 3 B to read",
        ),
        ("conn.recv(5); conn.sendall(b'x' * 50_000_000)", b"hello", False, "send-full", "B of ours not ack"),
    ],
    ids=["asleep", "elsewhere", "edge-triggered", "full"],
)
def test_what_the_kernel_has(
    program: Callable[..., Program],
    call: Callable[..., socket.socket],
    then: str,
    said: bytes,
    end: bool,
    kind: str,
    words: str,
) -> None:
    """What has come and is not read, what is not acknowledged, and whether the peer has closed."""
    server = program(f"{ONE}{then}")
    caller = call(server, said)
    if end:
        caller.shutdown(socket.SHUT_WR)
    server.hangs(kind, words)


def test_a_log_that_is_being_written(
    program: Callable[..., Program], call: Callable[..., socket.socket]
) -> None:
    """However often one looks while lines are written: no problem is told, and what hangs is told."""
    server = program(
        f"{ONE}conn.setblocking(0)\nwhile True:\n    try: conn.recv(1)\n    except OSError: time.sleep(2e-4)"
    )
    call(server)
    server.hangs("spin-asking", "has brought EAGAIN")
    for _ in range(10):
        (summary,), findings = server.ask()
        assert summary.startswith("1 thing hangs; still running")
        assert [finding["kind"] for finding in findings] == ["spin-asking"]


def test_a_program_that_is_stopped(
    program: Callable[..., Program], call: Callable[..., socket.socket]
) -> None:
    """Ctrl-Z is the simplest hang of all, and the one that is looked for last; it goes on when it may."""
    server = program(SEQUENTIAL)
    caller = call(server, b"hello")
    assert caller.recv(5) == b"HELLO"
    os.kill(server.pid, signal.SIGSTOP)
    server.hangs("stopped", f"kill -CONT {server.pid}")
    (summary,), findings = server.ask()
    assert "1 thing hangs; stopped by a signal" in summary
    assert [finding["kind"] for finding in findings] == ["stopped"]
    os.kill(server.pid, signal.SIGCONT)
    caller.sendall(b"again")
    assert caller.recv(5) == b"AGAIN"
    server.hangs("recv-more", "The kernel, now: nothing to read")


def test_a_connection_that_a_child_has_inherited(program: Callable[..., Program]) -> None:
    """Closed here, and open there: the end that is waited for never comes."""
    server = program("""
import socket, subprocess
phone = socket.create_server(('127.0.0.1', 0))
print(*phone.getsockname(), flush=True)
client = socket.create_connection(phone.getsockname())
conn = phone.accept()[0]
child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, pass_fds=[conn.fileno()])  # ends with its parent
conn.close()
client.recv(10)
""")
    server.hangs("recv-silent", "but no FIN has come: something else may have it open")


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("time.sleep(1000)", "it sleeps until a time, as in sleep() (hrtimer_nanosleep)."),
        ("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", "for a lock, or"),
        ("import subprocess; subprocess.run(['sleep', '30'], stdout=-3)", "for a child process to end"),
        (
            "import os; read, write = os.pipe(); os.read(read, 1)",
            "it waits for something to read from a pipe",
        ),
        ("while True: pass", "The kernel, now: it runs."),
    ],
    ids=["sleep", "lock", "child", "pipe", "computes"],
)
def test_what_a_program_does_that_is_in_no_call(
    program: Callable[..., Program], call: Callable[..., socket.socket], does: str, words: str
) -> None:
    """The kernel knows what no log can."""
    server = program(f"{ONE}{does}")
    call(server)
    server.hangs("own-code", words)
