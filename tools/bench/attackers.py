"""Clients that nobody wishes for; each says in a JSON object what it really did.

    python attackers.py burst HOST:PORT --connects 20000    # as fast as it can, a question each
    python attackers.py drip HOST:PORT --clients 200        # slowloris: a byte now and then, on each of them
    python attackers.py deaf HOST:PORT                      # asks for more than it ever reads

`burst` goes on until so many connections were tried and the seconds are over, whichever is later, but at most
ten times as long; a connect that hangs, because the listener's queue is full, is given up and tried again.
`drip` and `deaf` go on until they are told to stop (SIGTERM), or the seconds are over.
"""

from __future__ import annotations

import argparse
import errno
import json
import select
import signal
import socket
import sys
import time
from typing import NamedTuple

from process import raise_file_limit

__all__ = ["main"]

QUESTION = b"one of many"
GIVEN_UP = 0.25  # seconds for a connect, before the next is tried instead
LONGEST = 10  # times the seconds
UNDER_WAY = {errno.EINPROGRESS, errno.EAGAIN, errno.EINTR}


class _Trying(NamedTuple):
    sock: socket.socket
    since: float


class Burst:
    """Many connections at once, each of them short."""

    def __init__(self, address: tuple[str, int], together: int) -> None:
        self._address = address
        self._together = together
        self._poller = select.epoll()
        self._trying: dict[int, _Trying] = {}
        self._asking: dict[int, socket.socket] = {}
        self.tried = self.connected = self.answered = self.given_up = self.refused = 0

    def run(self, connects: int, seconds: float) -> None:
        """Until so many were tried and the time is over."""
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds * LONGEST:
            if self.tried >= connects and passed >= seconds:
                break
            self._begin(min(64, self._together - len(self._trying) - len(self._asking)))
            for fd, bits in self._poller.poll(0.001):
                self._step(fd, bits)
            self._give_up(time.monotonic() - GIVEN_UP)
        for sock in (*(it.sock for it in self._trying.values()), *self._asking.values()):
            sock.close()

    def _begin(self, number: int) -> None:
        for _ in range(number):
            sock = socket.socket()
            sock.setblocking(False)
            self.tried += 1
            if sock.connect_ex(self._address) not in {0, *UNDER_WAY}:
                self.refused += 1
                sock.close()
                continue
            self._poller.register(sock.fileno(), select.EPOLLOUT)
            self._trying[sock.fileno()] = _Trying(sock, time.monotonic())

    def _step(self, fd: int, bits: int) -> None:
        if fd in self._trying:
            sock = self._trying.pop(fd).sock
            if bits & (select.EPOLLERR | select.EPOLLHUP):
                self.refused += 1
                sock.close()
                return
            self.connected += 1
            sock.send(QUESTION)
            self._poller.modify(fd, select.EPOLLIN)
            self._asking[fd] = sock
            return
        sock = self._asking.pop(fd)
        try:
            self.answered += sock.recv(100) == QUESTION.upper()
        except OSError:
            self.refused += 1
        sock.close()

    def _give_up(self, before: float) -> None:
        """Those that have waited longest stand first."""
        for fd, (sock, since) in list(self._trying.items())[:256]:
            if since > before:
                break
            del self._trying[fd]
            self.given_up += 1
            sock.close()

    def report(self) -> dict[str, int]:
        """What it did."""
        names = ("tried", "connected", "answered", "given_up", "refused")
        return {name: getattr(self, name) for name in names}


class Drip:
    """Connections that say a byte now and then, and read what comes."""

    def __init__(self, address: tuple[str, int], clients: int) -> None:
        self._socks = [socket.create_connection(address, 10) for _ in range(clients)]
        for sock in self._socks:
            sock.setblocking(False)
        self.connected, self.bytes, self.ended = clients, 0, 0

    def run(self, every: float, seconds: float) -> None:
        """A byte on each connection `every` so many seconds, evenly spread."""
        due = now = time.monotonic()
        ends, turn = now + seconds, 0
        while self._socks and (now := time.monotonic()) < ends:
            if due > now:
                time.sleep(min(due - now, 0.1))
                continue
            due += every / len(self._socks)
            self._say(turn % len(self._socks))
            turn += 1

    def _say(self, which: int) -> None:
        sock = self._socks[which]
        try:
            self.bytes += sock.send(b"x")
            if sock.recv(100):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.ended += 1
        self._socks.pop(which).close()

    def report(self) -> dict[str, int]:
        """What it did."""
        return {"connected": self.connected, "bytes": self.bytes, "ended": self.ended}


class Deaf:
    """One that sends for as long as anybody takes it, and reads nothing."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._sock = socket.create_connection(address, 10)
        self.bytes = self.full = 0

    def run(self, seconds: float) -> None:
        """Until nothing is taken any more, and then stay."""
        self._sock.settimeout(0.2)
        ends = time.monotonic() + seconds
        block = bytes(65536)
        while time.monotonic() < ends:
            try:
                self.bytes += self._sock.send(block)
            except TimeoutError:
                self.full += 1
            except OSError:
                return

    def report(self) -> dict[str, int]:
        """What it did."""
        return {"bytes": self.bytes, "full": self.full}


class _Told(Exception):  # noqa: N818 - it is no error
    """It is to stop."""


def _stop(_number: int, _frame: object) -> None:
    raise _Told


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["burst", "drip", "deaf"])
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--connects", type=int, default=20_000)
    parser.add_argument("--together", type=int, default=2000, help="connections under way, of a burst")
    parser.add_argument("--clients", type=int, default=200, help="that drip")
    parser.add_argument("--every", type=float, default=0.5, help="seconds from one drop to the next")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    raise_file_limit()
    signal.signal(signal.SIGTERM, _stop)
    host, _, port = given.address.rpartition(":")
    address = (host, int(port))
    attacker: Burst | Drip | Deaf
    try:
        match given.what:
            case "burst":
                attacker = Burst(address, given.together)
                _ready()
                attacker.run(given.connects, given.seconds)
            case "drip":
                attacker = Drip(address, given.clients)
                _ready()
                attacker.run(given.every, given.seconds)
            case _:
                attacker = Deaf(address)
                _ready()
                attacker.run(given.seconds)
    except _Told:
        pass
    print(json.dumps({"what": given.what, "cpu": time.process_time(), **attacker.report()}), flush=True)
    return 0


def _ready() -> None:
    print("ready", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
