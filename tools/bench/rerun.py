"""Rerun the log of a real server under load.

    python tools/bench/rerun.py [EVENTS]

Clients that talk, come and go, reset, do not read, and send datagrams; then the log is rerun five times.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

from arguments import at_least_one

from evloop.events.reader import read_blocks
from evloop.rerun import rerun

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 5
SECONDS = 300.0  # until the log has so many events
LINGER = struct.pack("ii", 1, 0)
MESSAGE = b"hello la " * 7
Address = tuple[str, int]


def talks(address: Address, _udp: Address) -> None:
    """A conversation, and one of three ends."""
    with socket.create_connection(address, 5) as sock:
        for _ in range(200):
            sock.sendall(MESSAGE)
            sock.recv(len(MESSAGE))
        end = random.choice(("close", "reset", "half"))
        if end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        elif end == "half":
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)


def comes_and_goes(address: Address, _udp: Address) -> None:
    """A connection for a byte."""
    with socket.create_connection(address, 5) as sock:
        sock.sendall(b"x")


def does_not_read(address: Address, _udp: Address) -> None:
    """Sends until nothing goes any more, and then reads."""
    with socket.create_connection(address, 0.2) as sock, contextlib.suppress(TimeoutError):
        with contextlib.suppress(TimeoutError):
            for _ in range(50):
                sock.sendall(b"y" * 20_000)
        while sock.recv(1 << 16):
            pass


def sends_datagrams(_address: Address, udp: Address) -> None:
    """A postcard, and its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        for _ in range(100):
            sock.sendto(MESSAGE, udp)
            sock.recv(100)


def until(over: threading.Event, client: Callable[[Address, Address], None], *where: Address) -> None:
    """One client after another."""
    while not over.is_set():
        with contextlib.suppress(OSError):
            client(*where)


def record(path: str, events: int) -> None:
    """Have a server serve until its log has so many events."""
    options = ["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--payload", "full", "--idle-timeout", "1"]
    limits = ["--lifetime", "3", "--sample", "0.5", "--max-connections", "9", "--log", path]
    command = [sys.executable, "-P", "-m", "evloop", "serve", *options, *limits]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        ports = [int(server.stderr.readline().rpartition(":")[2]) for _ in range(2)]
        over, where = threading.Event(), [("127.0.0.1", port) for port in ports]
        clients = [talks] * 7 + [comes_and_goes, does_not_read, sends_datagrams]
        threads = [threading.Thread(target=until, args=(over, client, *where)) for client in clients]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + SECONDS
        while count(path) < events and time.monotonic() < deadline:
            time.sleep(0.5)
        over.set()
        server.send_signal(signal.SIGINT)
        for thread in threads:
            thread.join()


def count(path: str) -> int:
    """Lines so far."""
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def main() -> None:
    """Record, rerun, and print events a second: of the clock on the wall, and of the processor's time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("events", type=at_least_one, nargs="?", default=100_000, metavar="EVENTS", help="100,000 if not said")
    events: int = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.jsonl")
        record(path, events)
        print(f"{count(path):,} events, {os.path.getsize(path) / 2**20:.1f} MiB")
        for _ in range(ROUNDS):
            wall, processor = time.perf_counter(), time.process_time()
            with open(path, "rb") as file:
                outcome = rerun(*read_blocks(file, path))
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            assert outcome.ended, outcome.difference
            assert outcome.difference is None, outcome.difference
            rates = outcome.events / wall, outcome.events / processor
            print("{:10,.0f} events/s {:10,.0f} a second of processor".format(*rates))


if __name__ == "__main__":
    main()
