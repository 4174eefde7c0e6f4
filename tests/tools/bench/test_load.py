"""The load generator believes nothing: what a server answers is compared byte by byte."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BENCH = Path(__file__).parents[3] / "tools" / "bench"
SECONDS = 30


def load(kind: str, address: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run it for a moment: its exit code and report."""
    command = [sys.executable, str(BENCH / "load.py"), kind, address, "--seconds", "0.05", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=SECONDS, check=False)
    return done.returncode, json.loads(done.stdout)


@contextmanager
def child(*command: str) -> Iterator[tuple[str, int]]:
    """A server that says where it listens: its address and process."""
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.match(r"listening \w+ (.+)", process.stderr.readline())
            assert found
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(SECONDS)


@contextmanager
def liar(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A server of one connection at a time that answers what it likes: its address."""

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(SECONDS)
                try:
                    while data := sock.recv(65536):
                        sock.sendall(answer(data))
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SECONDS)


EVLOOP = ("-P", "-m", "evloop", "serve", "--mode", "echo")
PEERS = ["asyncio_protocol.py", "asyncio_streams.py", "bare_selectors.py"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("tcp", ("--clients", "20", "--size", "64")),
        ("tcp", ("--clients", "3", "--size", "300000")),
        ("tcp", ("--clients", "2", "--size", "1", "--idle", "60")),
        ("churn", ("--clients", "3")),
        ("udp", ("--clients", "3", "--window", "4")),
        ("unix", ("--clients", "5")),
    ],
)
def test_evloop_answers_every_kind_of_load(kind: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """Messages come back, none is wrong, and what they cost the server is known."""
    family = "tcp" if kind == "churn" else kind
    address = str(tmp_path / "echo.sock") if kind == "unix" else "127.0.0.1:0"
    with child(*EVLOOP, f"--{family}", address) as (listening, pid):
        code, report = load(kind, listening, "--pid", str(pid), *options)
    assert (code, report["errors"], report["first_error"]) == (0, 0, "")
    assert report["messages"] > 0
    assert report["user_us"] + report["system_us"] > 0


@pytest.mark.parametrize("script", PEERS)
def test_peers_echo(script: str) -> None:
    """What evloop is compared with answers rightly too, and keeps what the kernel does not take at once."""
    with child(str(BENCH / "peers" / script), "tcp", "127.0.0.1:0") as (address, _):
        code, report = load("tcp", address, "--clients", "3", "--size", "300000")
    assert (code, report["first_error"]) == (0, "")


@pytest.mark.parametrize("script", ["asyncio_protocol.py", "bare_selectors.py"])
def test_peers_echo_datagrams(script: str) -> None:
    """So do those that know UDP."""
    with child(str(BENCH / "peers" / script), "udp", "127.0.0.1:0") as (address, _):
        code, report = load("udp", address, "--clients", "3", "--window", "4")
    assert (code, report["first_error"]) == (0, "")


def spoil(data: bytes) -> bytes:
    """Change the sixth byte of a message, but not the greeting that precedes them."""
    return data if data.startswith(b"ready") else data[:5] + bytes([data[5] ^ 1]) + data[6:]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (spoil, r"byte 5 of the answer is 0x.. and not 0x.."),
        (lambda data: data if data.startswith(b"ready") else data + b"!", "more came back"),
        (lambda _: b"?" * 6, "wrong one"),
    ],
)
def test_a_wrong_byte_is_an_error(answer: Callable[[bytes], bytes], words: str) -> None:
    """A changed, an added and a foreign byte are found, and the exit code says so."""
    with liar(answer) as address:
        code, report = load("tcp", address, "--clients", "1")
    assert code == 1
    assert report["errors"] > 0
    assert re.search(words, report["first_error"])


def test_a_wrong_answer_to_a_short_connection() -> None:
    """Churn checks its one answer as well."""
    with liar(bytes.swapcase) as address:
        code, report = load("churn", address, "--clients", "1")
    assert code == 1
    assert "was wrong" in report["first_error"]


def test_nobody_listens() -> None:
    """A server that is not there is an error in the report, not a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, report = load("tcp", f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 1
    assert "refused" in report["first_error"]
