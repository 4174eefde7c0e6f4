"""Record the logs in `logs/` again: `python tests/evloop/rerun/record.py`.

They are of real servers with real clients. A change of the server that is not meant to change what it does
must rerun them as they are; after one that is, record them again, and say in the commit what is different.
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from evloop.events.schema import Header

LOGS = Path(__file__).parent / "logs"
LINGER = struct.pack("ii", 1, 0)


class Server:
    """`evloop serve`, and its log when it has ended."""

    def __init__(self, name: str, *options: str) -> None:
        self.path = LOGS / f"{name}.jsonl"
        command = [
            sys.executable,
            "-m",
            "evloop",
            "serve",
            "--payload",
            "full",
            "--log",
            str(self.path),
            *options,
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.where: dict[str, str] = {}
        for _ in range(sum(option in {"--tcp", "--udp", "--unix"} for option in options)):
            _, kind, address = self.process.stderr.readline().split()
            self.where[kind] = address

    def client(self, kind: str = "tcp") -> socket.socket:
        """Connected."""
        address = self.where[kind]
        if kind == "unix":
            sock, to = socket.socket(socket.AF_UNIX), "\0" + address[1:]
        else:
            host, _, port = address.rpartition(":")
            family = socket.AF_INET6 if "[" in host else socket.AF_INET
            sock, to = socket.socket(family, TYPES[kind]), (host.strip("[]"), int(port))
        sock.connect(to)
        return sock

    def end(self, *signals: int) -> None:
        """Stop it, and leave out of the log what is this machine's."""
        for number in signals or (2,):
            self.process.send_signal(number)
            time.sleep(0.1)
        assert self.process.wait(10) == 0
        first, _, rest = self.path.read_bytes().partition(b"\n")
        self.path.unlink()
        header = msgspec.json.decode(first, type=Header)
        header.argv, header.boot_id, header.sysctls = ["evloop", "serve"], "", {}
        header.versions["kernel"] = "Linux"
        with gzip.GzipFile(f"{self.path}.gz", "wb", mtime=0) as file:
            file.write(msgspec.json.encode(header) + b"\n" + rest)


TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def say(sock: socket.socket, data: bytes) -> None:
    """An exchange."""
    sock.sendall(data)
    left = len(data)
    while left:
        left -= len(sock.recv(left))


def kinds() -> None:
    """Every kind of client, and every end."""
    server = Server("kinds", "--tcp", "[::1]:0", "--udp", "127.0.0.1:0", "--unix", "@evloop-rerun")
    for kind in ("tcp", "unix"):
        closed, reset, half = (server.client(kind) for _ in range(3))
        for sock in (closed, reset, half):
            say(sock, "hello la 哈哈哈".encode())
        closed.close()
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        reset.close()
        half.sendall(b"last words")
        half.shutdown(socket.SHUT_WR)
        while half.recv(100):
            pass
    with server.client("udp") as sock:
        for data in (b"a postcard", b""):
            sock.send(data)
            sock.recv(100)
    stays = server.client()
    say(stays, b"I stay")
    server.end(2, 2)


def limits() -> None:
    """Deadlines, a full house, samples."""
    server = Server(
        "limits", "--tcp", "127.0.0.1:0", "--max-connections", "2", "--idle-timeout", "0.4",
        "--lifetime", "0.8", "--sample", "0.2", "--selector", "poll",
    )  # fmt: skip
    first, second, third = (server.client() for _ in range(3))
    say(first, b"me")
    say(second, b"and me")
    for _ in range(3):
        time.sleep(0.25)
        say(second, b"still here")
    say(third, b"at last")
    server.end(15)


def pressure() -> None:
    """A client that does not read for a while, and then does; another that never does."""
    server = Server(
        "pressure",
        "--unix",
        "@evloop-rerun",
        "--mode",
        "echo",
        "--high-water",
        "20000",
        "--drain-timeout",
        "0.3",
    )
    slow, never = server.client("unix"), server.client("unix")
    for sock in (slow, never):
        sock.settimeout(0.3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while True:
                sent += sock.send(b"x" * 20_000)
        if sock is slow:
            while sent:
                sent -= len(sock.recv(sent))
    server.end(15)


if __name__ == "__main__":
    LOGS.mkdir(exist_ok=True)
    for record in (kinds, limits, pressure):
        record()
