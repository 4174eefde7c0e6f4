"""Real programs talking on a loopback interface of their own, each recorded in a capture of its own.

    unshare -Urn -- sh -c 'ip link set lo up && python talks.py FOLDER'

A raw socket sees what the interface sees; a packet that is sent by this process marks the end of a recording,
so nothing has to be waited for.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IGNORE_OUTGOING, TIMESTAMPNS = 23, 35
PACKET = 263
STOP = b"the end of this recording"
LO, LO6 = "127.0.0.1", "::1"


class Recorder:
    """Everything on lo, into a pcap file with nanoseconds."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.raw.setsockopt(PACKET, IGNORE_OUTGOING, 1)
        self.raw.setsockopt(socket.SOL_SOCKET, TIMESTAMPNS, 1)
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self.raw.bind(("lo", 0))
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Recorder:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(STOP, (LO, 9))
        self.thread.join()
        self.raw.close()
        self.file.close()

    def run(self) -> None:
        while True:
            data, notes, _, _ = self.raw.recvmsg(1 << 17, 64)
            seconds, rest = struct.unpack("qq", notes[0][2])
            if STOP in data:
                return
            self.file.write(struct.pack("<IIII", seconds, rest, len(data), len(data)) + data)


def listen(family: int = socket.AF_INET, buffer: int = 0, backlog: int = 8) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.bind((LO6 if family == socket.AF_INET6 else LO, 0))
    sock.listen(backlog)
    return sock


@contextlib.contextmanager
def pair(family: int = socket.AF_INET, buffer: int = 0):
    with listen(family, buffer) as listener, socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        server.settimeout(10)
        with server:
            yield client, server


def echo(family: int = socket.AF_INET, times: int = 3) -> None:
    with pair(family) as (client, server):
        for n in range(times):
            client.sendall(b"hello %d" % n)
            server.sendall(server.recv(100).upper())
            client.recv(100)
        client.close()
        server.recv(1)


def echo6() -> None:
    echo(socket.AF_INET6)


def small_sends() -> None:
    with pair() as (client, server):
        for _ in range(40):
            client.send(b"x" * 11)
        client.shutdown(socket.SHUT_WR)
        while server.recv(1000):
            pass


def transfer(size: int = 3_000_000) -> None:
    with pair() as (client, server):
        thread = threading.Thread(target=client.sendall, args=(b"y" * size,))
        thread.start()
        left = size
        while left:
            left -= len(server.recv(1 << 16))
        thread.join()


def slow_reader() -> None:
    with pair(buffer=4096) as (client, server):
        thread = threading.Thread(target=client.sendall, args=(b"z" * 100_000,))
        thread.start()
        left = 100_000
        while left:
            left -= len(server.recv(700))
        thread.join()


def zero_window() -> None:
    with pair(buffer=4096) as (client, server):
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(b"w" * 2048)
        probed = threading.Event()
        probed.wait(0.7)  # two probes: time itself is what this one is about
        left = 1
        server.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while left:
                left = len(server.recv(1 << 16))


def half_close() -> None:
    with pair() as (client, server):
        client.sendall(b"all I have")
        client.shutdown(socket.SHUT_WR)
        while server.recv(100):
            pass
        server.sendall(b"but I have more")
        server.close()
        while client.recv(100):
            pass


def server_first() -> None:
    with pair() as (client, server):
        server.sendall(b"bye")
        server.close()
        while client.recv(100):
            pass


def unread_reset() -> None:
    with pair() as (client, server):
        client.sendall(b"unread")
        server.recv(1)
        server.close()
        with contextlib.suppress(ConnectionResetError):
            client.recv(1)


def linger_reset() -> None:
    with pair() as (client, server):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with contextlib.suppress(ConnectionResetError):
            server.recv(1)


def send_after_close() -> None:
    with pair() as (client, server):
        server.close()
        client.recv(1)
        with contextlib.suppress(OSError):
            for _ in range(3):
                client.send(b"into the void")
                client.recv(1)


def refused() -> None:
    with listen() as sock:
        port = sock.getsockname()[1]
    with socket.socket() as client, contextlib.suppress(ConnectionRefusedError):
        client.connect((LO, port))


def refused6() -> None:
    with listen(socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
    with socket.socket(socket.AF_INET6) as client, contextlib.suppress(ConnectionRefusedError):
        client.connect((LO6, port))


def full_queue() -> None:
    with listen(backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.settimeout(1.2)
            with contextlib.suppress(TimeoutError):
                client.connect(listener.getsockname())


def never_accepted() -> None:
    with listen() as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        client.send(b"is there anybody")


def self_connect() -> None:
    with socket.socket() as sock:
        sock.bind((LO, 0))
        sock.connect(sock.getsockname())
        sock.send(b"me")
        sock.recv(10)


def same_ports() -> None:
    with listen() as listener, socket.socket() as first:
        first.bind((LO, 0))
        own = first.getsockname()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for n in range(3):
            client = first if not n else socket.socket()
            if n:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.bind(own)
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            client.send(b"again")
            server.recv(10)
            client.close()
            server.close()


def keep_alive() -> None:
    with pair() as (client, server):
        for name, value in ((socket.SO_KEEPALIVE, 1),):
            client.setsockopt(socket.SOL_SOCKET, name, value)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        server.settimeout(1.3)
        with contextlib.suppress(TimeoutError):
            server.recv(1)


def simultaneous_close() -> None:
    for _ in range(20):
        with pair() as (client, server):
            gate = threading.Barrier(2)

            def close(sock: socket.socket, gate: threading.Barrier = gate) -> None:
                gate.wait()
                sock.shutdown(socket.SHUT_WR)

            threads = [threading.Thread(target=close, args=(sock,)) for sock in (client, server)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


def many() -> None:
    with listen(backlog=128) as listener, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(60)]
        servers = [stack.enter_context(listener.accept()[0]) for _ in clients]
        for n, client in enumerate(clients):
            client.send(b"m" * (n + 1))
        for server in servers:
            server.sendall(server.recv(100))


def datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LO, 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
            two.connect(one.getsockname())
            two.send(b"ask")
            _, where = one.recvfrom(10)
            one.sendto(b"", where)
            two.recv(10)
            two.send(b"u" * 60_000)


def nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LO, 0))
        where = one.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
        two.connect(where)
        with contextlib.suppress(ConnectionRefusedError):
            two.send(b"hello?")
            two.recv(1)


TALKS: tuple[Callable[[], None], ...] = (
    echo, echo6, small_sends, transfer, slow_reader, zero_window, half_close, server_first, unread_reset,
    linger_reset, send_after_close, refused, refused6, full_queue, never_accepted, self_connect, same_ports,
    keep_alive, simultaneous_close, many, datagrams, nobody_there,
)  # fmt: skip


def main(folder: str) -> None:
    for talk in TALKS:
        with Recorder(Path(folder) / f"{talk.__name__}.pcap"):
            talk()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
