"""Real servers on real sockets whose runs are recorded in full, to be run again."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from evloop.address import UnixPath, parse_inet
from evloop.control.looped import GatedLoop, GatedServer
from evloop.events.reader import read_blocks
from evloop.events.recorder import Recorder
from evloop.events.schema import Event
from evloop.events.sinks import MemorySink, encode
from evloop.header import make_header
from evloop.kernel import Kernel, selector_names
from evloop.parts import Parts
from evloop.recording import LogOptions
from evloop.rerun import rerun
from evloop.servers.loop import ServerOptions
from evloop.testing import failure
from evloop.tracing import EventTrace, TracedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evloop.control.gates import Gates
    from evloop.rerun import Outcome

TURNS = 10_000  # of a loop, until what is waited for must have come
NAP = 0.002  # seconds a poll sleeps at most: nobody waits for time to pass here


class Pipe:
    """Signals that the test sends, without a handler in the test's own process."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._arrived: list[str] = []

    def fileno(self) -> int:
        """As `SignalPipe`."""
        return self._receiver.fileno()

    def arrive(self, *names: str) -> None:
        """These come, all before the loop looks."""
        self._arrived += names
        self._sender.send(b"\0")

    def drain(self) -> tuple[list[str], bool]:
        """As `SignalPipe`."""
        self._receiver.recv(4096)
        arrived, self._arrived = self._arrived, []
        return arrived, True

    def close(self) -> None:
        """As `SignalPipe`."""
        self._receiver.close()
        self._sender.close()


class TurnedClock(Kernel):
    """The real calls under a traced kernel; its polls nap, its clock is turned on by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0  # ns
        self.now = self.woke = lambda: time.monotonic_ns() + self.ahead
        self.pipe = Pipe()
        self.refusals: list[BaseException] = []  # of the next accepts
        self.untaken: list[BaseException] = []  # of the next listens
        self.work = 0.0  # seconds that each send takes

    def poller(self, name: str) -> Any:
        """A selector that wakes soon."""
        poller = super().poller(name)
        poll = poller.poll
        poller.poll = lambda timeout: poll(NAP if timeout is None else min(timeout, NAP))
        return poller

    def signals(self, names: Any) -> Any:
        """The test's."""
        return self.pipe

    def accept(self, listener: Any) -> Any:
        """As it is, unless it is to fail."""
        if self.refusals:
            raise self.refusals.pop(0)
        return super().accept(listener)

    def listen(self, address: Any, backlog: int, **how: Any) -> Any:
        """As it is, unless it is to fail."""
        if self.untaken and ":" in address.host:
            raise self.untaken.pop(0)
        return super().listen(address, backlog, **how)

    def stream_calls(self, sock: Any) -> Any:
        """As they are; a send may take its time."""
        recv, send = super().stream_calls(sock)

        def slowly(data: Any) -> int:
            self.ahead += round(self.work * 1e9)
            return send(data)

        return recv, slowly

    def pass_time(self, seconds: float) -> None:
        """Turn the clock on."""
        self.ahead += round(seconds * 1e9)


class Recorded:
    """A server that is recorded, turned by hand."""

    def __init__(
        self,
        selector: str | None = None,
        *,
        gates: Gates | None = None,
        parts: Parts | None = None,
        **options: Any,
    ) -> None:
        self.options = ServerOptions(**options)
        self.parts = parts or Parts()
        selector = selector or selector_names()[0]
        limits = {name: value for name, value in self.options._asdict().items() if name != "mode"}
        keep = LogOptions("x", "full", 0)
        header = make_header(keep, limits, model="loop", mode=self.options.mode, selector=selector)
        header.argv = ["evloop", "serve", *(["--control=gates"] if gates else [])]
        self.kernel = TurnedClock()
        self.sink = MemorySink()
        recorder = self.recorder = Recorder(header, lambda _sink, error: pytest.fail(str(error)))
        recorder.sinks.append(self.sink)
        self.traced = TracedKernel(self.kernel, recorder, sys.maxsize)
        trace = EventTrace(self.traced)
        if gates is None:
            self.loop = self.parts.loop(self.traced, selector, trace)
            self.server = self.parts.server(self.loop, self.options, lambda _: None)
        else:
            self.loop = GatedLoop(self.traced, selector, trace, lambda _: None, gates)
            self.server = GatedServer(self.loop, self.options, lambda _: None, gates)
        self._clients: list[socket.socket] = []
        self._turns = 0
        self._condition: Callable[[], object] = lambda: True
        self.closed = False

    # -- opening ---------------------------------------------------------------------

    def tcp(self, address: str = "127.0.0.1:0") -> tuple[str, int]:
        """Listen; where to connect."""
        inet = parse_inet(self.server.listen_tcp(parse_inet(address))[0])
        return (inet.host, inet.port)

    def udp(self, address: str = "127.0.0.1:0") -> tuple[str, int]:
        """Receive datagrams; where to send them."""
        inet = parse_inet(self.server.bind_udp(parse_inet(address))[0])
        return (inet.host, inet.port)

    def unix(self, path: str) -> str:
        """Listen on a path."""
        self.server.listen_unix(UnixPath(path))
        return path

    def begin(self, heard: Mapping[str, Callable[[str], None]] | None = None) -> None:
        """All is open: as `LoopServer.run`, but that the turns are taken by the test."""
        self.server.handle_signals(heard=heard)
        self.loop.run = lambda: None  # type: ignore[method-assign]
        self.server.run()
        self.loop._running = True

    # -- clients ---------------------------------------------------------------------

    def client(self, address: Any, kind: int = socket.SOCK_STREAM, buffers: int = 0) -> socket.socket:
        """One that is connected, and does not block."""
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        sock = socket.socket(family, kind)
        self._clients.append(sock)
        if buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        sock.connect(address)
        sock.setblocking(False)
        return sock

    def until(self, condition: Callable[[], object]) -> None:
        """Take turns until it is so."""
        for _ in range(TURNS):
            if condition():
                return
            self.loop.tick()
        raise AssertionError("what the test waits for did not come")

    def events(self, *kinds: type[Event], **fields: Any) -> list[Any]:
        """What was recorded so far, of these kinds and with these fields."""
        self.recorder.flush()
        return [
            event
            for event in self.sink.events
            if isinstance(event, kinds or (Event,))
            and all(getattr(event, name) == value for name, value in fields.items())
        ]

    def receive(self, sock: socket.socket, size: int) -> bytes:
        """So many bytes, or as many as there are before the end of the stream."""
        got = bytearray()

        def is_there() -> bool:
            with contextlib.suppress(BlockingIOError):
                while len(got) < size:
                    data = sock.recv(size - len(got))
                    if not data:
                        return True
                    got.extend(data)
            return len(got) == size

        self.until(is_there)
        return bytes(got)

    def exchange(self, sock: socket.socket, data: bytes) -> bytes:
        """Say something; as many bytes of answer."""
        sock.sendall(data)
        return self.receive(sock, len(data))

    @staticmethod
    def reset(sock: socket.socket) -> None:
        """End with a reset."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    # -- the end ---------------------------------------------------------------------

    def end(self, *signals: str) -> list[Event]:
        """Stop with these signals, and all events."""
        self.kernel.pipe.arrive(*(signals or ("SIGTERM",)))
        self.until(lambda: self.server._stopping)
        self.kernel.pass_time(self.options.drain_timeout)
        self.until(lambda: not self.loop._running)
        self.close()
        return self.sink.events

    def close(self) -> None:
        """Close what is open."""
        if not self.closed:
            self.closed = True
            self.server.close()
            self.recorder.close(self.traced.clock())
            self.loop.close()
        for client in self._clients:
            client.close()


@pytest.fixture(scope="module")
def make_recorded() -> type[Recorded]:
    """A recorded server, for who closes it."""
    return Recorded


@pytest.fixture
def recorded() -> Iterator[Callable[..., Recorded]]:
    """Makes recorded servers."""
    made: list[Recorded] = []

    def make(*args: Any, **options: Any) -> Recorded:
        made.append(Recorded(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _again(events: Sequence[Event], **how: Any) -> Outcome:
    """Written down, read, and run again."""
    header, blocks = read_blocks(io.BytesIO(encode(events)), "log")
    return rerun(header, blocks, **how)


@pytest.fixture(scope="session")
def again() -> Callable[..., Outcome]:
    """Runs events again, as they are in a log."""
    return _again


@pytest.fixture(scope="session")
def same() -> Callable[[Sequence[Event]], Outcome]:
    """Runs events again; nothing may differ, to the end."""

    def check(events: Sequence[Event]) -> Outcome:
        outcome = _again(events)
        assert outcome.difference is None, (outcome.difference.logged, outcome.difference.rerun)
        assert (outcome.events, outcome.ended, outcome.torn) == (len(events), True, "")
        return outcome

    return check


@pytest.fixture
def emfile() -> OSError:
    """There are no more descriptors."""
    return failure(errno.EMFILE)


@pytest.fixture
def path(tmp_path: Any) -> Iterator[str]:
    """Of a Unix socket; short, as such a path must be."""
    old = os.getcwd()
    os.chdir(tmp_path)
    yield "s"
    os.chdir(old)
