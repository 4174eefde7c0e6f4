"""Logs for tests: a book in which events are written down with number and time filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand
from evloop_trace.correlate.ruler import Ruler
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events.schema import (
    SCHEMA,
    Accept,
    Bind,
    Call,
    Close,
    End,
    Event,
    Header,
    Listen,
    Located,
    Poll,
    Recv,
    Send,
    Socket,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Book:
    """Events in order; each takes 100 ns and begins 1,000 ns after the last."""

    def __init__(
        self, mono_ns: int = 1000, wall_ns: int = 1_700_000_000_000_000_000, boot_id: str = ""
    ) -> None:
        self.events: list[Any] = []
        self.tick = 0
        self.off: dict[tuple[type, str], int] = {}
        self.add(
            Header, SCHEMA, mono_ns, wall_ns, 100, 1, ["evloop"], {"evloop": "0"}, "epoll", "upper",
            "prefix", 64, boot_id=boot_id,
        )  # fmt: skip

    def add(self, cls: type[Event], *args: Any, **fields: Any) -> Any:
        """An event with the next number and time."""
        at = len(self.events)
        event = cls(at, at * 1000, self.tick, *args, **fields)
        self.events.append(event)
        return event

    def listen(self) -> None:
        """A TCP listener."""
        self.add(Listen, 100, "listen-1", 5, "tcp", "127.0.0.1:8080", 128)

    def bind(self) -> None:
        """A UDP socket."""
        self.add(Bind, 100, "udp-1", 6, "udp", "127.0.0.1:8080")

    def poll(self, *ready: str) -> None:
        """A tick begins."""
        self.tick += 1
        self.add(Poll, 100, None, "nothing is due", [(name, "IN") for name in ready])

    def accept(self, conn: str) -> None:
        """A connection through the listener."""
        self.add(Accept, 100, "listen-1", conn, 7, "127.0.0.1:40000", "127.0.0.1:8080", 0)

    def recv(self, conn: str, data: bytes) -> Any:
        """Bytes came, with the right offsets."""
        return self._bytes(Recv, conn, data, 65536)

    def send(self, conn: str, data: bytes) -> Any:
        """Bytes went, with the right offsets."""
        return self._bytes(Send, conn, data, len(data))

    def _bytes(self, cls: type[Event], conn: str, data: bytes, size: int) -> Any:
        start = self.off.get((cls, conn), 0)
        self.off[cls, conn] = end = start + len(data)
        return self.add(cls, 100, conn, 7, size, len(data), (start, end), data)

    def close(self, conn: str) -> Any:
        """A connection is closed, with the right totals."""
        received, sent = self.off.get((Recv, conn), 0), self.off.get((Send, conn), 0)
        return self.add(Close, 100, 7, "eof", conn, received=received, sent=sent)

    def close_socket(self, sock: str) -> None:
        """A listener or datagram socket is closed."""
        self.add(Close, 100, 5, "stop", sock=sock)

    def end(self) -> None:
        """The last line."""
        self.add(End, "SIGTERM", len(self.events) + 1)

    def conversation(self) -> Book:
        """A whole log: one client says hello and goes."""
        self.listen()
        self.poll("listen-1")
        self.accept("tcp-1")
        self.poll("tcp-1")
        self.recv("tcp-1", "hello 哈".encode())
        self.send("tcp-1", "HELLO 哈".encode())
        self.poll("tcp-1")
        self.recv("tcp-1", b"")
        self.close("tcp-1")
        self.close_socket("listen-1")
        self.end()
        return self

    def encode(self) -> bytes:
        """The log as it stands in a file."""
        return msgspec.json.Encoder().encode_lines(self.events)


@pytest.fixture
def book() -> Book:
    """An open book that has a header."""
    return Book()


@pytest.fixture
def new_book() -> type[Book]:
    """For tests that need several."""
    return Book


@pytest.fixture
def save(tmp_path: Path) -> Callable[[str, bytes], str]:
    """Writes a file, and gives its path."""

    def write(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


class Serving:
    """The log of a server as its clients live it: who does what when, in milliseconds; calls take no time."""

    def __init__(self, model: str = "sequential") -> None:
        self.events: list[Any] = []
        self.off: dict[tuple[type, str], int] = {}
        self.add(
            Header, 0, SCHEMA, 1, 1, 0, 1, ["x"], {}, "epoll", "upper", "prefix", 64, model=model
        )  # fmt: skip

    def add(self, cls: type[Event], at: float, *args: Any, **fields: Any) -> Any:
        """Any event; a call's `took` is in milliseconds, and it ends `at` that time."""
        took = round(fields.pop("took", 0) * 1e6)
        dur = (took,) if issubclass(cls, Call) else ()
        event = cls(len(self.events), round(at * 1e6) - took, 0, *dur, *args, **fields)
        self.events.append(event)
        return event

    def accept(self, at: float, conn: str, waited: float | None = 0, **fields: Any) -> None:
        """A client who has been in the queue for `waited`."""
        peer = f"127.0.0.1:4{conn[-1]}"
        ns = None if waited is None else round(waited * 1e6)
        self.add(Accept, at, "tcp-0", conn, 7, peer, "127.0.0.1:80", waited=ns, **fields)

    def recv(self, at: float, conn: str, data: bytes = b"hello", **fields: Any) -> None:
        """It said something."""
        self._bytes(Recv, at, conn, data, fields)

    def send(self, at: float, conn: str, data: bytes = b"HELLO", **fields: Any) -> None:
        """It was answered."""
        self._bytes(Send, at, conn, data, fields)

    def _bytes(self, cls: type[Event], at: float, conn: str, data: bytes, fields: dict[str, Any]) -> None:
        start = self.off.get((cls, conn), 0)
        self.off[cls, conn] = end = start + len(data)
        self.add(cls, at, conn, 7, max(len(data), 1), len(data), (start, end), data, **fields)

    def close(self, at: float, conn: str) -> None:
        """It is gone."""
        self.add(Close, at, 7, "eof", conn)

    def client(self, came: float, accepted: float, closed: float, conn: str, says: bytes = b"hello") -> None:
        """A client who says something at once, and is waited for until it hangs up."""
        self.accept(accepted, conn, accepted - came)
        self.recv(accepted + 0.1, conn, says)
        self.send(accepted + 0.2, conn)
        self.recv(closed, conn, b"", took=closed - accepted - 0.2, where="server.py:9")
        self.close(closed, conn)

    def encode(self) -> bytes:
        """The log as it stands in a file."""
        return msgspec.json.Encoder().encode_lines(self.events)


@pytest.fixture
def serving() -> type[Serving]:
    """Logs of servers, made up."""
    return Serving


class Program:
    """The log of a program: each event says when it began; a call takes 100 ns if it says nothing else."""

    def __init__(self, model: str = "run") -> None:
        self.events: list[Any] = [
            Header(
                0, 0, 0, SCHEMA, 1000, 1_700_000_000_000_000_000, 100, 7, ["src/app.py", "-v"],
                {"evloop": "0"}, "", "", "prefix", 64, model=model,
            )
        ]  # fmt: skip

    def __call__(self, cls: type[Event], t: int, *args: Any, dur: int = 100, **fields: Any) -> Program:
        """One more event; what comes after the duration is given by position or name."""
        if issubclass(cls, Located):
            fields.setdefault("where", f"src/app.py:{len(self.events)}")
        first = (len(self.events), t, fields.pop("tick", 0))
        self.events.append(cls(*first, *((dur,) if issubclass(cls, Call) else ()), *args, **fields))
        return self

    def listen(self, t: int = 1000) -> Program:
        """A listener, `tcp-1`."""
        self(Socket, t, "tcp-1", 3, "tcp")(Bind, t + 200, "tcp-1", 3, "tcp", "127.0.0.1:8080")
        return self(Listen, t + 400, "tcp-1", 3, "tcp", "127.0.0.1:8080", 5)

    def accept(self, t: int, conn: str, queued: int = 0, **fields: Any) -> Program:
        """A client comes; so many others wait."""
        return self(Accept, t, "tcp-1", conn, 5, "127.0.0.1:40000", "127.0.0.1:8080", queued, **fields)

    def end(self, t: int) -> Program:
        """The last line."""
        self.events.append(End(len(self.events), t, 0, "exit", len(self.events) + 1))
        return self


@pytest.fixture
def program() -> Program:
    """The log of a program, so far its header."""
    return Program()


@pytest.fixture
def new_program() -> type[Program]:
    """For tests that need another model."""
    return Program


class Crossing:
    """A client's connection to a server, and the ruler that its calls and segments are laid along."""

    def __init__(
        self,
        names: tuple[str, str] = ("client:tcp-1", "server:tcp-1"),
        *,
        captured: bool = True,
        whole: bool = True,
        proto: str = "tcp",
    ) -> None:
        wire = Wire(0, proto, "10.0.0.1:40000", "10.0.0.2:80", whole) if captured else None
        self.strand = Strand(0, proto, "10.0.0.1:40000", "10.0.0.2:80", names, wire)
        self.ruler = Ruler(self.strand, captured=captured)
        self.way = self.ruler.directions[True]
        """What the client sends."""
        self.seq = self.number = 0

    def call(self, cls: type[Event], *, client: bool, **fields: Any) -> None:
        """A call of one of them."""
        self.seq += 1
        if issubclass(cls, Call):
            fields = {"dur": 10, "fd": 3, **fields}
        name = "client:tcp-1" if client else "server:tcp-1"
        event = cls(seq=self.seq, t=self.seq * 1000, tick=0, **{"conn": name, **fields})
        self.ruler.add(CallEntry(event.t, int(not client), event, client, self.strand))  # type: ignore[arg-type]

    def send(self, begin: int, end: int, *, of: int = 0, data: bytes = b"", client: bool = True) -> None:
        """Bytes are sent; `of` is how many were offered, if that was more."""
        n = end - begin
        self.call(Send, client=client, size=of or n, n=n, off=(begin, end), data=data)

    def recv(self, begin: int, end: int, *, flags: str = "", data: bytes = b"", client: bool = False) -> None:
        """Bytes are read; none at the end of the stream."""
        self.call(Recv, client=client, size=65536, n=end - begin, off=(begin, end), data=data, flags=flags)

    def segment(
        self, begin: int, end: int, *, flags: int = 16, found: int = 0, of: int = 0, data: bytes = b"",
        client: bool = True, error: str = "",
    ) -> None:  # fmt: skip
        """A packet carries bytes."""
        self.number += 1
        assert self.strand.wire is not None
        seen = Sighting(
            self.number, self.seq * 1000, self.strand.wire, client, flags, begin, end, found=found, data=data,
            error=error,
        )  # fmt: skip
        self.ruler.add(PacketEntry(seen.time, seen, self.strand, original=of))


@pytest.fixture
def crossing() -> type[Crossing]:
    """A connection to be measured."""
    return Crossing
