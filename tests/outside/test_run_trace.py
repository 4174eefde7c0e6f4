"""Programs that know nothing of us, run with their events as lines; and logs that are watched."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

import pytest

SECONDS = 30
TRACE = (sys.executable, "-P", "-m", "evloop_trace")

# A line with its end in one write(2): those of our own come from another process, in between.
SERVER = """
import socket, sys
phone = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
phone.bind(('127.0.0.1', 0))
phone.listen(5)
sys.stderr.write(f"{phone.getsockname()[1]}\\n")
conn, client_addr = phone.accept()
data = conn.recv(1024)
conn.send(data.upper())
{last}
"""

HANGS = """
import os, socket, sys
phone = socket.create_server(("127.0.0.1", 0), backlog=5)
sys.stderr.write(f"{phone.getsockname()[1]}\\n")
if {forks} and os.fork():
    phone.close()
    os.wait()
    sys.exit()
conn, _ = phone.accept()
conn.recv(1024)
"""

FORKS = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    sys.stderr.write(f"{listener.getsockname()[1]}\\n")
    conn, _ = listener.accept()
    if os.fork() == 0:
        conn.sendall(conn.recv(1024).upper())
        conn.close()
        os._exit(0)
    conn.close()
    os.wait()
"""


@pytest.fixture
def script(tmp_path):
    """A program in the test's folder."""

    def write(text, **words):
        (tmp_path / "server.py").write_text(text.replace("{last}", words.get("last", "conn.close()")))
        return "server.py"

    return write


def talk(port):
    """Say hello to it."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"


def test_every_event_is_a_line(begin, script):
    """On standard error, between the program's own lines."""
    process = begin(*TRACE, "run", script(SERVER))
    talk(int(process.expect(r"^\d+$")[0]))
    assert process.end() == 0
    assert process.popen.stdout.read() == b""
    process.expect(r"accept\(\)")
    assert "server.py:8" in process.expect(r"recv\(1024\) = 5 .*hello").string
    assert "server.py:9" in process.expect(r"send\(5\) = 5 .*HELLO").string
    process.expect(r" end ")


@pytest.mark.parametrize(("last", "code"), [("sys.exit(3)", 3), ("import os; os.abort()", -signal.SIGABRT)])
def test_the_exit_code_is_the_programs(begin, script, last, code):
    """Also if it kills itself."""
    process = begin(*TRACE, "run", script(SERVER, last=last))
    talk(int(process.expect(r"^\d+$")[0]))
    assert process.end() == code


def test_signals_are_passed_on(begin, script, tmp_path):
    """The program is not left behind, nor is the folder of its log."""
    (tmp_path / "tmp").mkdir()
    process = begin(*TRACE, "run", script(SERVER), env={**os.environ, "TMPDIR": str(tmp_path / "tmp")})
    process.expect(r"accept\(\) …")
    assert list((tmp_path / "tmp").iterdir())
    assert process.stop(signal.SIGTERM) == -signal.SIGTERM
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_child_process_has_lines_too(begin, script):
    """With its pid before its sockets' names."""
    process = begin(*TRACE, "run", script(FORKS))
    talk(int(process.expect(r"^\d+$")[0]))
    assert process.end() == 0
    process.expect(r" \d+:tcp-2 +recv\(1024\) = 5 .*hello")
    process.expect(r" \d+:tcp-2 +sendall\(5\) = 5 .*HELLO")


def test_with_trace_a_named_log_is_kept(begin, script, tmp_path, run):
    """And is as good as any."""
    process = begin(*TRACE, "run", "--trace", "--log", "run.jsonl", script(SERVER))
    talk(int(process.expect(r"^\d+$")[0]))
    assert process.end() == 0
    process.expect(r"send\(5\) = 5 .*HELLO")
    assert run(*TRACE, "check", "run.jsonl").returncode == 0


def test_a_log_is_watched_while_it_grows(begin, script):
    """By whom the program does not know; both end together."""
    program = begin(*TRACE, "run", "--log", "run.jsonl", script(SERVER))
    port = int(program.expect(r"^\d+$")[0])
    watcher = begin(*TRACE, "watch", "run.jsonl")
    first = watcher.popen.stdout.readline()
    assert b" header " in first
    talk(port)
    assert program.end() == 0
    assert watcher.end() == 0
    lines = watcher.popen.stdout.read().decode().splitlines()
    assert [line for line in lines if "recv(1024) = 5" in line]
    assert " end " in lines[-1]


@pytest.mark.parametrize(("forks", "whose"), [(False, r""), (True, r"\d+:")], ids=["alone", "child"])
def test_who_waits_for_a_program_that_sleeps_is_told(begin, script, forks, whose):
    """It does not look at its queue before the next accept, which never comes; the watcher does."""
    script(HANGS.replace("{forks}", str(forks)))
    program = begin(*TRACE, "run", "--log", "run.jsonl", "server.py")
    port = int(program.expect(r"^\d+$")[0])
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS))
        watcher = begin("sh", "-c", 'exec "$@" >&2', "sh", *TRACE, "watch", "run.jsonl")
        watcher.expect(rf" {whose}tcp-1 +queue +3/5 wait to be accepted")
    program.end()
    assert watcher.end() == 0


def test_a_program_that_is_killed_is_watched_to_its_end(begin, script):
    """Its log has none, and is longer than what stands in it."""
    program = begin(*TRACE, "run", "--log", "run.jsonl", script(SERVER))
    program.expect(r"^\d+$")
    watcher = begin(*TRACE, "watch", "run.jsonl")
    while b"accept() " not in watcher.popen.stdout.readline():
        pass
    assert program.stop(signal.SIGKILL) == -signal.SIGKILL
    assert watcher.end() == 0
    assert watcher.said == []
