"""Servers for the tests of the runtime: one on a scripted kernel, one on real sockets, both turned by hand.

Nothing here waits for time to pass: a scripted kernel's clock is turned on by the test, and on
real sockets a test takes turns until what it waits for has come.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from evloop.address import UnixPath, parse_inet
from evloop.bugs.gallery import BUGS
from evloop.events.recorder import Recorder
from evloop.events.schema import SCHEMA, Header
from evloop.events.sinks import MemorySink
from evloop.kernel import IN, Kernel, selector_names
from evloop.parts import Parts
from evloop.servers.loop import ServerOptions
from evloop.testing import ScriptedKernel, ScriptedSocket
from evloop.trace import Trace
from evloop.tracing import EventTrace, TracedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop.net.stream import Stream

# A busy machine is no failure.
settings.register_profile("evloop", deadline=None)
settings.load_profile("evloop")


def pytest_configure(config: pytest.Config) -> None:
    """With --bug the servers of the tests have it."""
    bug = config.getoption("--bug")
    Scripted.parts = Real.parts = BUGS[bug].parts if bug else Parts()


TURNS = 10_000  # of a loop, until what is waited for must have come
NAP = 0.002  # seconds a turn may sleep when there is nothing to do


class Spy(Trace):
    """Writes down what the loop says of its decisions."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def prepare(self, deadline, why):
        """As `Trace`."""
        self.heard.append(("prepare", deadline, why))

    def interest(self, sock, old, new, reason):
        """As `Trace`."""
        self.heard.append(("interest", sock.fileno(), old, new, reason))

    def timer(self, why, late):
        """As `Trace`."""
        self.heard.append(("timer", why, late))

    def signal(self, name):
        """As `Trace`."""
        self.heard.append(("signal", name))

    def limit(self, what, *, active, sock=None):
        """As `Trace`."""
        self.heard.append(("limit", what, active))

    def queue(self, sock):
        """As `Trace`."""
        self.heard.append(("queue", sock.fileno()))

    def refuse(self, sock, peer, reason):
        """As `Trace`."""
        self.heard.append(("refuse", peer, reason))

    def error(self, where, error, sock=None):
        """As `Trace`."""
        self.heard.append(("error", where, error, sock))

    def of(self, kind):
        """What was said of one kind."""
        return [said for said in self.heard if said[0] == kind]


class Scripted:
    """A server on a scripted kernel."""

    parts: Parts

    def __init__(self, **options) -> None:
        self.kernel = ScriptedKernel()
        self.trace = Spy()
        self.loop = self.parts.loop(self.kernel, "epoll", self.trace)
        self.said: list[str] = []
        self.server = self.parts.server(self.loop, ServerOptions(**options), self.said.append)
        self.server.handle_signals()
        self.pipe = self.kernel.pipes[0]
        self.poller = self.kernel.pollers[0]

    def listener(self, *accepts) -> ScriptedSocket:
        """A TCP listener whose accept answers these, and then EAGAIN."""
        sock = self.kernel.socket(accept=list(accepts))
        self.kernel.listeners.append(sock)
        self.server.listen_tcp(parse_inet("127.0.0.1:8080"))
        return sock

    def datagrams(self, address="127.0.0.1:8080", **scripts) -> ScriptedSocket:
        """A UDP socket with these scripts."""
        sock = self.kernel.socket(address, **scripts)
        self.kernel.listeners.append(sock)
        self.server.bind_udp(parse_inet(address))
        return sock

    def connect(self, **scripts) -> ScriptedSocket:
        """A connection with these scripts, accepted in a tick of its own."""
        peer = self.kernel.socket("127.0.0.1:50000", **scripts)
        listener = self.listener(peer)
        self.tick(listener)
        return peer

    def stream(self, sock) -> Stream:
        """The server's object for a connection."""
        return self.loop.interests.watched[sock.fileno()]

    def tick(self, *ready) -> None:
        """One turn in which these are ready: a socket for IN, or (socket, bits)."""
        pairs = [item if isinstance(item, tuple) else (item, IN) for item in ready]
        self.kernel.ready.append([(sock.fileno(), bits) for sock, bits in pairs])
        self.loop.tick()

    def sleep(self) -> None:
        """One turn in which nobody is ready and the clock goes on to the next timer."""
        assert not self.kernel.ready
        self.loop.tick()

    def signal(self, name="SIGTERM") -> None:
        """One turn in which a signal comes."""
        self.pipe.arrive(name)
        self.tick(self.pipe)

    def calls(self, name, sock=None) -> list[tuple[Any, ...]]:
        """The arguments of every call of a name, of one socket or of all."""
        return [
            call.args
            for call in self.kernel.calls
            if call.name == name and (sock is None or call.fd == sock.fileno())
        ]

    def closed(self, sock) -> tuple[Any, ...] | None:
        """(reason, buffered, error) of a socket that was closed once; None if it is open."""
        calls = self.calls("close", sock)
        assert len(calls) <= 1
        return calls[0] if calls else None

    def watching(self, sock) -> int:
        """What the selector knows of a socket; 0 is nothing."""
        return self.poller.registered.get(sock.fileno(), 0)


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    """A server on a scripted kernel, made with the server's options."""
    return Scripted


class Real:
    """A server on real sockets, in the thread of the test."""

    parts: Parts

    def __init__(self, selector, *, traced=False, payload=64, **options) -> None:
        self.sink = MemorySink()
        self.recorder: Recorder | None = None
        self.said: list[str] = []
        if traced:
            self.recorder = Recorder(make_header(selector), lambda sink, error: self.said.append(str(error)))
            self.recorder.sinks.append(self.sink)
            self.kernel: Kernel = TracedKernel(self.parts.kernel(), self.recorder, payload)
            self.loop = self.parts.loop(self.kernel, selector, EventTrace(self.kernel))
        else:
            self.kernel = self.parts.kernel()
            self.loop = self.parts.loop(self.kernel, selector)
        self.server = self.parts.server(self.loop, ServerOptions(**options), self.said.append)
        self.polls = 0
        self._poll, self.loop.poller.poll = self.loop.poller.poll, self._nap
        self._clients: list[socket.socket] = []
        self._closed = False

    def _nap(self, timeout):
        self.polls += 1
        return self._poll(NAP if timeout is None else min(timeout, NAP))

    def tcp(self, address="127.0.0.1:0") -> tuple[str, int]:
        """Listen; where to connect."""
        inet = parse_inet(self.server.listen_tcp(parse_inet(address))[0])
        return (inet.host, inet.port)

    def udp(self, address="127.0.0.1:0") -> tuple[str, int]:
        """Receive datagrams; where to send them."""
        inet = parse_inet(self.server.bind_udp(parse_inet(address))[0])
        return (inet.host, inet.port)

    def unix(self, path) -> str:
        """Listen on a path; where to connect."""
        self.server.listen_unix(UnixPath(path))
        return path

    def client(self, address, kind=socket.SOCK_STREAM, *, buffers=None) -> socket.socket:
        """A connected non-blocking socket; `buffers` makes those of the kernel small."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        sock = socket.socket(family, kind)
        self._clients.append(sock)
        if buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        sock.connect(address)
        sock.setblocking(False)
        return sock

    def until(self, condition: Callable[[], object], turns=TURNS) -> None:
        """Take turns until it is so."""
        for _ in range(turns):
            if condition():
                return
            self.loop.tick()
        raise AssertionError("what the test waits for did not come")

    def receive(self, sock, size=None) -> bytes:
        """So many bytes, or one datagram; without a size whatever comes until the end of the stream."""
        got: list[bytes] = []

        def is_there() -> bool:
            with contextlib.suppress(BlockingIOError):
                while size is None or sum(map(len, got)) < size:
                    wanted = 1 << 16 if size is None else size - sum(map(len, got))
                    data = sock.recv(wanted)
                    if not data:
                        assert size is None, f"the stream ended after {sum(map(len, got))} bytes"
                        return True
                    got.append(data)
                return True
            return False

        self.until(is_there)
        return b"".join(got)

    def datagram(self, sock) -> bytes:
        """One datagram."""
        got: list[bytes] = []

        def is_there() -> bool:
            with contextlib.suppress(BlockingIOError):
                got.append(sock.recv(1 << 16))
            return bool(got)

        self.until(is_there)
        return got[0]

    def exchange(self, sock, data: bytes) -> bytes:
        """Say something; as many bytes of answer."""
        sock.sendall(data)
        return self.receive(sock, len(data))

    @property
    def streams(self) -> set[Stream]:
        """The server's open connections."""
        return self.server._streams

    @property
    def stream(self) -> Stream:
        """The only one of them."""
        (stream,) = self.streams
        return stream

    def events(self, *kinds) -> list[Any]:
        """What was recorded, of some kinds or all."""
        self.recorder.flush()
        return [e for e in self.sink.events if not kinds or e.__struct_config__.tag in kinds]

    def close(self) -> None:
        """Close the server, and the clients."""
        if not self._closed:
            self._closed = True
            self.server.close()
            if self.recorder:
                self.recorder.close(self.kernel.clock())
            self.loop.close()
        for client in self._clients:
            client.close()


@pytest.fixture(params=selector_names())
def selector(request) -> str:
    """Every selector of this system."""
    return request.param


@pytest.fixture
def real() -> Iterator[Callable[..., Real]]:
    """A server on real sockets, closed with the test."""
    made: list[Real] = []

    def make(selector="epoll", **options) -> Real:
        made.append(Real(selector, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def make_header(selector="epoll", **fields) -> Header:
    """A log's first line."""
    given = {
        "schema": SCHEMA, "mono_ns": Kernel.now(), "wall_ns": 0, "bracket_ns": 0, "pid": 1, "argv": [],
        "versions": {}, "selector": selector, "mode": "upper", "payload": "prefix", "payload_max": 64,
    }  # fmt: skip
    return Header(0, 0, 0, **{**given, **fields})


@pytest.fixture
def header() -> Callable[..., Header]:
    """How to make a header."""
    return make_header


@pytest.fixture
def short_dir() -> Iterator[str]:
    """A folder whose name is short enough for the paths of Unix sockets."""
    path = tempfile.mkdtemp(prefix="evl-", dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def descriptors() -> Callable[[], set[str]]:
    """How to count the descriptors of this process."""
    return lambda: set(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers of signals back: a program that ends leaves them ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def parts() -> Parts:
    """The classes of which a server is made."""
    return Real.parts


@pytest.fixture
def kernel(parts) -> Kernel:
    """The real one."""
    return parts.kernel()


@pytest.fixture
def keep() -> Iterator[Callable[[Any], Any]]:
    """Close these sockets with the test."""
    kept: list[Any] = []
    yield lambda sock: kept.append(sock) or sock
    for sock in kept:
        sock.close()
