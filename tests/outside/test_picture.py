"""The live picture on a real terminal, which tmux plays."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 30


@pytest.fixture
def terminal(tmp_path):
    """A terminal of 80 by 24, or taller, in which a command runs; what it shows is waited for."""
    tmux = ("tmux", "-S", str(tmp_path / "tmux.sock"), "-f", "/dev/null")

    # Readline sets LINES and COLUMNS behind the back of os.environ, as soon as somebody imports it.
    plain = {name: value for name, value in os.environ.items() if name not in {"LINES", "COLUMNS"}}

    def call(*command):
        return subprocess.run(
            [*tmux, *command], check=True, capture_output=True, text=True, timeout=SECONDS, env=plain
        ).stdout

    class Terminal:
        def start(self, *command, rows="24"):
            line = f"{shlex.join(command)}; echo ended with $?; tmux wait-for -S ended; read -r _"
            call("new-session", "-d", "-x", "80", "-y", rows, "-c", str(tmp_path), line)

        def show(self):
            return call("capture-pane", "-p")

        def type(self, *keys):
            call("send-keys", *keys)

        def await_text(self, text):
            """Poll the screen, at most so many times; a call to tmux takes a while, so it does not spin."""
            for _ in range(2000):
                if text in (screen := self.show()):
                    return screen
            raise AssertionError(f"{text!r} never appeared:\n{screen}")

    yield Terminal()
    subprocess.run([*tmux, "kill-server"], check=False, capture_output=True, timeout=SECONDS)


@pytest.mark.needs("tmux")
def test_picture(terminal, serve):
    """`evloop serve --trace` at 80x24: a client's bytes appear, and SIGINT leaves a clean terminal."""
    # A port that is free: of a server that has just ended.
    free = serve("--tcp", "127.0.0.1:0")
    assert free.stop() == 0
    address = free.address("tcp")
    terminal.start(sys.executable, "-P", "-m", "evloop", "serve", "--tcp", address, "--trace")
    terminal.await_text(address)
    with socket.create_connection(("127.0.0.1", free.port()), SECONDS) as client:
        client.sendall(b"look at me")
        assert client.recv(100) == b"LOOK AT ME"
        screen = terminal.await_text("LOOK AT ME")
    assert len(screen.splitlines()) <= 24
    terminal.type("C-c")
    screen = terminal.await_text("ended with ")
    assert "ended with 0" in screen
    assert "Traceback" not in screen


@pytest.mark.needs("tmux", "namespaces", "nsenter", "ip")
def test_a_picture_with_packets(terminal, lab):
    """`--trace --packets`: the wire stands between the calls, live; how much it was is told at the end."""
    serving = ("serve", "--tcp", "127.0.0.1:8080", "--trace", "--packets")
    terminal.start(*lab.inside, sys.executable, "-P", "-m", "evloop", *serving, rows="50")
    terminal.await_text("listen()")
    done = lab.run(sys.executable, "-P", "-m", "evloop", "client", "127.0.0.1:8080", "look at me")
    assert done.stdout == "LOOK AT ME\n", done.stderr
    screen = terminal.await_text("LAST-ACK")
    rows = screen.splitlines()
    (arrow,) = (row for row, text in enumerate(rows) if re.search(r"◀─+( #\d+ ─+)? 10 B.*│", text))
    (send,) = (row for row, text in enumerate(rows) if re.search(r"│ +send\(\) = 10", text))
    assert arrow <= send  # in one row, but for a send that took long: that ends behind its segment
    terminal.type("C-c")
    screen = terminal.await_text("ended with ")
    assert "ended with 0" in screen
    assert re.search(r"on the wire: \d+ packets, [\d,]+ bytes, none dropped", screen)


SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    print("port", listener.getsockname()[1], "end")
    conn, _ = listener.accept()
    name = input("name? ")
    conn.sendall(conn.recv(100).upper())
    print(name, "was served")
raise SystemExit(3)
"""


@pytest.mark.needs("tmux")
def test_a_split_screen(terminal, tmp_path):
    """`evloop-trace run --trace`: the picture above a program that has its keyboard and its screen."""
    (tmp_path / "server.py").write_text(SERVER)
    terminal.start(sys.executable, "-P", "-m", "evloop_trace", "run", "--trace", "server.py")
    screen = terminal.await_text(" end")
    assert "── terminal of server.py ──" in screen.splitlines()[15]
    port = int(re.search(r"port (\d+) end", screen)[1])
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(b"look at me")
        terminal.await_text("name?")
        terminal.type("Bob", "Enter")
        assert client.recv(100) == b"LOOK AT ME"
    screen = terminal.await_text("ended with ")
    assert "ended with 3" in screen
    lines = screen.splitlines()
    assert "name? Bob" in lines
    assert "Bob was served" in lines
    assert '"LOOK AT ME"' in screen


@pytest.mark.needs("tmux")
def test_the_picture_of_a_log(terminal, serve):
    """`evloop-trace watch LOG`: a server that is killed leaves its last picture, and why it is the last."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "run.jsonl")
    terminal.start(sys.executable, "-P", "-m", "evloop_trace", "watch", "run.jsonl")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"look at me")
        assert client.recv(100) == b"LOOK AT ME"
        terminal.await_text("LOOK AT ME")
        server.stop(signal.SIGKILL)
        screen = terminal.await_text("ended with ")
    assert "The log has no end: the program was killed." in screen
    assert "ended with 0" in screen


def test_lines(serve):
    """Where there is no terminal, each event is a line, down to the last."""
    server = serve("--tcp", "127.0.0.1:0", "--trace")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"look at me")
        assert client.recv(100) == b"LOOK AT ME"
    assert server.stop() == 0
    assert server.complaints == []
    lines = server.popen.stdout.read().decode().splitlines()
    assert [line for line in lines if "recv(65536) = 10" in line]
    assert [line for line in lines if "LOOK AT ME" in line]
    assert " end " in lines[-1]
    assert "SIGINT" in lines[-1]


def test_the_picture_dies(serve):
    """Whatever becomes of the picture, the server goes on; in the end it says what became of it."""
    server = serve("--tcp", "127.0.0.1:0", "--trace")
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    deadline = time.monotonic() + SECONDS
    while not children.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(int(children.read_text()), signal.SIGKILL)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
            client.sendall(b"still here")
            assert client.recv(100) == b"STILL HERE"
    assert server.stop() == 0
    assert server.complaints == ["evloop: the live picture ended with code -9; the server was not affected"]
