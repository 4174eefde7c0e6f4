"""`evloop-trace timeline --bytes` from outside: real programs, a real capture, and the ruler of each."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Lab

pytestmark = pytest.mark.needs("namespaces", "nsenter", "ip")

TRACE = (sys.executable, "-P", "-m", "evloop_trace")

# Both ends of each connection are in one program, so that nothing depends on who is quicker.
BOTH = """
import socket, threading
from socket import IPPROTO_TCP, TCP_NODELAY

server = socket.create_server(("127.0.0.1", 8080))

def meet():
    client = socket.create_connection(("127.0.0.1", 8080))
    client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return client, server.accept()[0]

client, conn = meet()
for part in (b"hel", b"lo ", b"world"):
    client.send(part)
assert conn.recv(1024) == b"hello world"
conn.close()
client.close()

client, conn = meet()
client.send("哈".encode() * 503)
assert (len(conn.recv(1024)), len(conn.recv(1024))) == (1024, 485)
client.shutdown(socket.SHUT_WR)
conn.recv(1)
conn.close()
client.close()

client, conn = meet()
def read():
    while conn.recv(16384):
        pass
reader = threading.Thread(target=read)
reader.start()
client.sendall(b"x" * 400_000)
client.close()
reader.join()
conn.close()
"""


@pytest.fixture
def ruler(lab: Lab, tmp_path: Path) -> Callable[..., list[str]]:
    """The lines of a connection's ruler, in which three connections were recorded."""
    (tmp_path / "both.py").write_text(BOTH)
    capture = lab.capture("--port", "8080", "-w", "run.pcapng")
    done = lab.run(*TRACE, "run", "--log", "both.jsonl", "both.py")
    assert done.returncode == 0, done.stderr
    assert capture.stop() == 0

    def draw(conn: str, *options: str, code: int = 0) -> list[str]:
        done = lab.run(*TRACE, "timeline", "both.jsonl", "--bytes", conn, "--width", "80", *options)
        assert done.returncode == code, done.stderr
        return [line.rstrip() for line in done.stdout.splitlines()] or done.stderr.splitlines()

    return draw


def row(lines: list[str], name: str) -> str:
    """The first row of this name."""
    return next(line for line in lines if line.startswith(f"{name:<8}"))[8:]


def moved(lines: list[str]) -> str:
    """How many bytes in how many calls; a busy machine may send a segment again, which is not the point."""
    return re.sub(r"\d+ sent again, ", "", lines[2])


def test_one_send_is_not_one_recv(ruler: Callable[..., list[str]]) -> None:
    """Three sends are one recv, one send is two, and one is many: on one axis each."""
    lines = ruler("0", "--packets", "run.pcapng")
    assert moved(lines) == "client → server   11 B in 3 sends, 3 segments, 1 recv"
    marks = [[it.start() for it in re.finditer("├", row(lines, name))] for name in ("send", "wire", "recv")]
    assert marks == [[0, 15, 30], [0, 15, 30], [0]]
    assert row(lines, "text").split() == list("hello␣world")
    assert "FIN p" in row(lines, "wire")

    lines = ruler("1", "--packets", "run.pcapng")
    assert moved(lines) == "client → server   1,509 B in 1 send, 1 segment, 2 recvs"
    assert any("begins in the middle of a character" in line for line in lines)
    assert "▪ shutdown #" in row(lines, "send")

    lines = ruler("2", "--packets", "run.pcapng")
    assert re.match(r"client → server   400,000 B in 1 send, \d+ segments, \d+ recvs", moved(lines))
    assert re.match(r"├─+ #\d+ 400,000 B ─+┤", row(lines, "send"))
    assert sum(int(it) if it.isdigit() else 1 for it in re.findall("[┼2-9]", row(lines, "recv")[:54])) > 20


def test_without_a_capture(ruler: Callable[..., list[str]]) -> None:
    """The wire's row says so; a connection that is not there is a sentence."""
    assert row(ruler("0"), "wire") == "no capture was read"
    (sentence,) = ruler("0", "--from", "1", code=2)
    assert "--bytes draws the whole of one connection: leave out" in sentence
    (sentence,) = ruler("tcp-99", code=1)
    assert "no connection is called 'tcp-99'; there are: 0 (" in sentence
