"""A real server with everything that can be beside it, and its log run again."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Server, Watcher

    Run = Callable[..., subprocess.CompletedProcess[str]]
    Serve = Callable[..., Server]

SECONDS = 10
RERUN = [sys.executable, "-m", "evloop_trace", "rerun"]


def say(path: Path, *lines: str) -> None:
    """Hold and release."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(str(path))
        for line in lines:
            sock.sendall(f"{line}\n".encode())
            assert sock.recv(100) == b"ok\n"


def exchange(sock: socket.socket, data: bytes) -> None:
    """Say it and be answered."""
    sock.settimeout(SECONDS)
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        got += sock.recv(len(data) - len(got))
    assert got == data.upper()


def test_a_server_that_is_watched_sampled_and_held_back(
    serve: Serve, watch: Callable[[], Watcher], run: Run, tmp_path: Path
) -> None:
    """Who looks on or holds back is not run again; what came of it is."""
    control = tmp_path / "control"
    server = serve(
        "--tcp", "127.0.0.1:0", "--udp", "[::1]:0", "--unix", "unix.sock", "--payload", "full",
        "--log", "run.jsonl", "--watch", "watch.sock", "--control", str(control), "--hold", "accept",
        "--sample", "0.05", "--idle-timeout", "60", "--selector", "poll",
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port()), SECONDS))
        watcher = watch()
        say(control, "release accept", "hold read", "release read", "hold write", "release write")
        exchange(client, b"hello")
        watcher.until("tcp_info", lambda event: event["why"] == "sample")
        card = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        card.connect(("::1", server.port("udp")))
        exchange(card, b"card")
        postcard = stack.enter_context(socket.socket(socket.AF_UNIX))
        postcard.connect(str(tmp_path / "unix.sock"))
        exchange(postcard, b"unix")
        watcher.close()
    assert server.stop() == 0
    done = run(*RERUN, "run.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    assert ": the rerun is the same (what woke the loop besides was taken from the log: " in done.stdout
    assert "of watchers" in done.stdout
    assert "through --control" in done.stdout
    assert {"control", "signal", "timer"} <= {event["ev"] for event in server.events()}


def test_a_server_without_descriptors_that_is_killed(serve: Serve, run: Run, tmp_path: Path) -> None:
    """accept fails for real, and the log has no end."""
    limit = ["sh", "-c", 'ulimit -n 24; exec "$@"', "sh"]
    server = serve("--tcp", "127.0.0.1:0", "--payload", "full", "--log", "run.jsonl", prefix=limit)
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port()), SECONDS))
            for _ in range(30)
        ]
        exchange(clients[0], b"in time")
        while not _short(tmp_path):
            exchange(clients[0], b"once more")
        server.kill()
    done = run(*RERUN, "run.jsonl")
    assert (done.returncode, done.stdout.endswith(": the rerun is the same\n")) == (0, True), done
    assert "run.jsonl has no end; it was rerun up to where it stops: the server was killed" in done.stderr


def test_a_log_that_was_rotated(serve: Serve, run: Run, tmp_path: Path) -> None:
    """Its files are one log; without one there is a gap, and without the older ones no beginning."""
    options = ["--payload", "full", "--log", "run.jsonl", "--log-max-bytes", "10000", "--log-keep", "20"]
    server = serve("--tcp", "127.0.0.1:0", *options)
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        for _ in range(20):
            exchange(client, b"much to say" * 50)
    assert server.stop() == 0
    older = sorted(path for path in tmp_path.iterdir() if path.name.startswith("run.jsonl."))
    assert len(older) > 1
    done = run(*RERUN, "run.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    older.pop(1).unlink()
    done = run(*RERUN, "run.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert " are missing before line " in done.stderr
    for path in older:
        path.unlink()
    done = run(*RERUN, "run.jsonl")
    assert done.returncode == 2
    assert "began in one that is not here" in done.stderr


def _short(folder: Path) -> bool:
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return any(event.get("errno") == "EMFILE" for event in events) and events[-1]["ev"] != "accept"
