"""Clients of a stream server, TCP or Unix: each sends a message, checks its echo, and sends the next."""

from __future__ import annotations

import random
import select
import selectors
import socket
import struct
import time
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Poll: TypeAlias = Callable[[float], Iterable[tuple[int, int]]]

__all__ = ["Churn", "Failures", "Streams", "make_poller", "messages_of"]

IN, OUT = 0x1, 0x4  # bits of poll(2)
CONNECTING = 10.0  # seconds for connect(2), or for the first answer
TOGETHER = 50  # connections that are opened before one is heard: less than any server's backlog
FILLER = random.Random(1).randbytes(1 << 20)


def messages_of(client: int, count: int, size: int) -> list[bytes]:
    """`count` different messages of `size` bytes, of which no other client has one.

    So an answer that went to the wrong client, or comes twice, is found.
    """
    start = client * 7919 % 4096
    repeated = FILLER * (1 + (size + 4096) // len(FILLER))
    filler = repeated[start : start + size]
    return [(struct.pack("!IB", client, turn) + filler)[:size] for turn in range(count)]


class Failures:
    """How often a server answered wrongly or not at all, and how it began."""

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def add(self, what: str) -> None:
        """One more."""
        self.count += 1
        self.first = self.first or what


class _Selector:
    """`selectors` with epoll's methods, for systems without epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, bits: int) -> None:
        self._selector.register(fd, self._mask(bits))

    def modify(self, fd: int, bits: int) -> None:
        self._selector.modify(fd, self._mask(bits))

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        ready = self._selector.select(timeout)
        return [(key.fd, mask & 1 | (mask & 2) << 1) for key, mask in ready]

    def close(self) -> None:
        self._selector.close()

    @staticmethod
    def _mask(bits: int) -> int:
        return bits & IN | (bits & OUT) >> 1


def make_poller() -> select.epoll:
    """epoll, or what has its methods."""
    return select.epoll() if hasattr(select, "epoll") else _Selector()  # type: ignore[return-value]


def connect(kind: str, address: str) -> socket.socket:
    """A connected, non-blocking stream socket; `address` is HOST:PORT or a path."""
    sock = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.settimeout(CONNECTING)
        if kind == "unix":
            sock.connect(address)
        else:
            host, _, port = address.rpartition(":")
            sock.connect((host, int(port)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def exchange(sock: socket.socket, message: bytes) -> bool:
    """Send a message and wait for its echo; whether that is what came."""
    sock.settimeout(CONNECTING)
    answer = b""
    try:
        sock.sendall(message)
        while len(answer) < len(message) and (data := sock.recv(len(message) - len(answer))):
            answer += data
    except OSError:
        return False
    finally:
        sock.setblocking(False)
    return answer == message


def connect_all(kind: str, address: str, count: int, failures: Failures) -> list[socket.socket]:
    """Open connections, some at a time, and hear each time one that came last: so all were accepted."""
    socks: list[socket.socket] = []
    for number in range(count):
        socks.append(connect(kind, address))
        heard = number % TOGETHER == TOGETHER - 1 or number == count - 1
        if heard and not exchange(socks[-1], b"ready?"):
            failures.add("a new connection got no answer, or a wrong one")
    return socks


class Connection:
    """One client's state: the answer it waits for, and the parts of it that came."""

    __slots__ = ("begun", "expected", "messages", "recv", "send", "sock", "turn", "unsent")

    def __init__(self, sock: socket.socket, messages: list[bytes]) -> None:
        self.sock = sock
        self.recv, self.send = sock.recv, sock.send
        self.messages = messages
        self.turn = 0
        self.expected = messages[0]
        self.begun = b""
        self.unsent: memoryview | None = None


class Streams:
    """`count` clients of one server, on one thread, each with one message under way."""

    def __init__(self, kind: str, address: str, count: int, size: int) -> None:
        """`size`: bytes of a message."""
        self.failures = Failures()
        self._size = size
        self._poller = make_poller()
        self._clients: dict[int, Connection] = {}
        for number, sock in enumerate(connect_all(kind, address, count, self.failures)):
            client = self._clients[sock.fileno()] = Connection(sock, messages_of(number, 2, size))
            self._poller.register(sock.fileno(), IN)
            self._send(client)

    def run(self, seconds: float) -> int:  # noqa: C901 - in one piece, as it is for every message
        """Talk for so long; how many messages came back right; those under way count next time."""
        poll, clients, size, answered = self._poller.poll, self._clients, self._size, 0
        deadline = time.monotonic() + seconds
        while clients and time.monotonic() < deadline:
            for fd, bits in poll(0.05):
                client = clients[fd]
                if bits & OUT:
                    self._flush(client)
                if not bits & ~OUT:
                    continue
                try:
                    data = client.recv(size + 1)  # one more than is due: too much would show
                except BlockingIOError:
                    continue
                except OSError as error:
                    self._fail(client, f"recv: {error}")
                    continue
                if client.begun:
                    data = client.begun + data
                if data == client.expected:
                    answered += 1
                    client.turn ^= 1
                    client.begun = b""
                    message = client.expected = client.messages[client.turn]
                    try:
                        sent = client.send(message)
                    except OSError as error:  # no room at all cannot be: all that was sent has come back
                        self._fail(client, f"send: {error}")
                        continue
                    if sent < size:
                        client.unsent = memoryview(message)[sent:]
                        self._poller.modify(fd, IN | OUT)
                elif len(data) > len(client.begun) and client.expected.startswith(data):
                    client.begun = data
                else:
                    self._fail(client, _difference(client, data))
        return answered

    def _send(self, client: Connection) -> None:
        client.unsent = memoryview(client.expected)
        self._flush(client)

    def _flush(self, client: Connection) -> None:
        """Hand over what waits, and watch for room if the kernel did not take all of it."""
        assert client.unsent is not None
        try:
            client.unsent = client.unsent[client.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(client, f"send: {error}")
            return
        self._poller.modify(client.sock.fileno(), IN | OUT if client.unsent else IN)

    def _fail(self, client: Connection, what: str) -> None:
        """This client says no more."""
        self.failures.add(what)
        del self._clients[client.sock.fileno()]
        self._poller.unregister(client.sock.fileno())
        client.sock.close()

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.sock.close()
        self._poller.close()


def _difference(client: Connection, data: bytes) -> str:
    """In words, how an answer is not the message."""
    if len(data) == len(client.begun):
        return f"the server closed after {len(data)} of {len(client.expected)} bytes"
    if data.startswith(client.expected):
        return f"more came back than the {len(client.expected)} bytes that were sent"
    at = next(i for i, pair in enumerate(zip(data, client.expected, strict=False)) if pair[0] != pair[1])
    return f"byte {at} of the answer is {data[at]:#04x} and not {client.expected[at]:#04x}"


class Churn:
    """`count` clients that connect, have one message echoed, close, and come again as a new one."""

    def __init__(self, kind: str, address: str, count: int, size: int) -> None:
        """`size`: bytes of a message."""
        self.failures = Failures()
        self._where = kind, address
        self._messages = [messages_of(number, 1, size)[0] for number in range(61)]
        self._poller = make_poller()
        self._clients: dict[int, tuple[socket.socket, bytes, bytearray]] = {}
        self._opened = 0
        for _ in range(count):
            self._open()

    def _open(self) -> None:
        message = self._messages[self._opened % len(self._messages)]
        self._opened += 1
        try:
            sock = connect(*self._where)
            sock.sendall(message)
        except OSError as error:
            self.failures.add(f"connect: {error}")
            return
        self._clients[sock.fileno()] = sock, message, bytearray()
        self._poller.register(sock.fileno(), IN)

    def run(self, seconds: float) -> int:
        """Go on for so long; how many connections had their answer, and it was right."""
        answered, deadline = 0, time.monotonic() + seconds
        while self._clients and time.monotonic() < deadline:
            for fd, _ in self._poller.poll(0.05):
                sock, message, answer = self._clients[fd]
                try:
                    data = sock.recv(len(message) + 1)
                except OSError as error:
                    data = b""
                    self.failures.add(f"recv: {error}")
                answer += data
                if data and answer != message and message.startswith(answer):
                    continue
                if answer == message:
                    answered += 1
                else:
                    self.failures.add(f"the answer to {len(message)} bytes was wrong, or ended early")
                del self._clients[fd]
                self._poller.unregister(fd)
                sock.close()
                self._open()
        return answered

    def close(self) -> None:
        """Close every connection."""
        for sock, _, _ in self._clients.values():
            sock.close()
        self._poller.close()
