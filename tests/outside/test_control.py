"""`evloop serve --control` from outside: what is held back, the kernel does without the server."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Server

    Serve = Callable[..., Server]

MODELS = ["loop", "sequential", "threaded"]
SECONDS = 10


def say(path: Path, *lines: str) -> list[str]:
    """What each line is answered by."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        file = sock.makefile("rw", encoding="utf-8")
        answers = []
        for line in lines:
            print(line, file=file, flush=True)
            answers.append(file.readline().strip())
        return answers


def held(serve: Serve, tmp_path: Path, model: str, *gates: str) -> tuple[Server, Path]:
    """A server that begins with gates held."""
    path = tmp_path / "control"
    options = [f"--hold={it}" for it in gates]
    server = serve(
        "--model", model, "--tcp", "127.0.0.1:0", "--log", "server.jsonl", "--control", str(path), *options
    )
    return server, path


@pytest.mark.parametrize("model", MODELS)
def test_accept_and_read_wait_until_they_are_released(serve: Serve, tmp_path: Path, model: str) -> None:
    """The client is connected and its bytes are taken all the same; the log tells of the gates."""
    server, path = held(serve, tmp_path, model, "accept", "read")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"hello")
        assert say(path, "gates", "release accept", "release read") == ["ok accept read", "ok", "ok"]
        assert client.recv(9) == b"HELLO"
    assert server.stop() == 0
    events = server.events("control", "accept", "recv")
    kinds = [(it["ev"], it.get("gate"), it.get("held", False)) for it in events if "errno" not in it]
    assert kinds[:4] == [
        ("control", "accept", True), ("control", "read", True), ("control", "accept", False),
        *[it for it in kinds if it[0] != "control" or it == ("control", "read", False)][:1],
    ]  # fmt: skip
    order = [it[0] for it in kinds]
    assert order.index("recv") > kinds.index(("control", "read", False))
    assert order.index("accept") > kinds.index(("control", "accept", False))


@pytest.mark.parametrize("model", MODELS)
def test_a_connection_that_is_not_closed_stays_open(serve: Serve, tmp_path: Path, model: str) -> None:
    """The client has sent its FIN, and gets none until close is released."""
    server, path = held(serve, tmp_path, model, "close")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"hello")
        assert client.recv(9) == b"HELLO"
        client.shutdown(socket.SHUT_WR)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert say(path, "release close") == ["ok"]
        client.settimeout(SECONDS)
        assert client.recv(1) == b""
    assert server.stop() == 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("gate", ["accept", "read", "close"])
def test_what_is_held_does_not_keep_a_server_from_ending(
    serve: Serve, tmp_path: Path, model: str, gate: str
) -> None:
    """SIGTERM is obeyed; the path is gone, and the log has its end."""
    server, path = held(serve, tmp_path, model, gate)
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        if gate == "close":
            assert client.recv(9) == b"HELLO"
        assert server.stop(signal.SIGTERM) == 0
    assert not path.exists()
    assert server.events()[-1]["ev"] == "end"


def test_write_interest_that_is_left_on_spins(serve: Serve, tmp_path: Path) -> None:
    """A connection with nothing to send is reported writable again and again."""
    log = tmp_path / "server.jsonl"
    server, path = held(serve, tmp_path, "loop", "write")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.sendall(b"hello")
        assert client.recv(9) == b"HELLO"
        deadline = time.monotonic() + SECONDS
        while log.read_text(encoding="utf-8").count('"ready":[["tcp-1","OUT"]]') < 10:
            assert time.monotonic() < deadline, "it does not spin"
        assert say(path, "release write") == ["ok"]
    assert server.stop() == 0


@pytest.mark.parametrize("model", ["loop", "sequential"])
def test_who_talks_without_end_is_hung_up_on(serve: Serve, tmp_path: Path, model: str) -> None:
    """A line has an end; and the next one who comes is heard."""
    server, path = held(serve, tmp_path, model)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        sock.sendall(b"x" * 300)
        with contextlib.suppress(ConnectionResetError):  # it left the rest unread
            assert sock.recv(99) == b""
    assert say(path, "gates") == ["ok"]
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--hold", "read"],
            "--hold would hold it back for ever: say where it is released with --control PATH",
        ),
        (
            ["--hold", "write", "--control", "c", "--model", "sequential"],
            "--hold needs the loop: a program of --model sequential sleeps in one call",
        ),
        (["--hold", "door", "--control", "c"], "'door' is not one of"),
    ],
)
def test_wrong_usage_is_a_sentence(options: list[str], said: str) -> None:
    """It ends with 2 before it listens."""
    command = [sys.executable, "-P", "-m", "evloop", "serve", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
