"""Two programs' events, written down one after the other, as they come to the joiner."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.joiner import Joiner, Source
from evloop_trace.correlate.weave import Weaver
from evloop_trace.packets.segments import ACK, FIN, RST, SYN
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events import schema
from evloop.events.schema import SCHEMA, Header

CLIENT, SERVER = 0, 1
HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


class Stage:
    """A joiner, and the events that it is fed: each begins 100 ns after the last and takes 10."""

    def __init__(
        self,
        labels: tuple[str, ...] = ("client", "server"),
        *,
        one_clock: bool = True,
        parents: tuple[int | None, ...] = (),
    ) -> None:
        headers = [
            Header(0, 0, 0, SCHEMA, 0, 0, 0, 100 + at, [], {}, "", "", "none", 0) for at in range(len(labels))
        ]
        for header, parent in zip(headers, parents, strict=False):
            header.parent = parent
        self.joiner = Joiner([Source(*it) for it in zip(labels, headers, strict=True)], one_clock=one_clock)
        self.labels = labels
        self.seq = [0] * len(labels)
        self.off: dict[tuple[str, str], int] = {}
        self.t = 0

    def name(self, log: int, name: str) -> str:
        """The labelled name."""
        return f"{self.labels[log]}:{name}" if len(self.labels) > 1 else name

    def event(self, log: int, kind: type, **fields: Any) -> Any:
        """The log's next event, which is not fed."""
        self.t += 100
        self.seq[log] += 1
        for key in ("conn", "sock", "pair", "name"):
            if fields.get(key):
                fields[key] = self.name(log, fields[key])
        defaults = {"dur": 10, "fd": 3} if "dur" in kind.__struct_fields__ else {}
        if "fd" in kind.__struct_fields__:
            defaults["fd"] = 3
        return kind(**{"seq": self.seq[log], "t": self.t, "tick": 0, **defaults, **fields})

    def feed(self, log: int, kind: type, **fields: Any) -> Any:
        """What the joiner gives back for the log's next event."""
        return self.joiner.feed(log, self.event(log, kind, **fields))

    def connect(
        self, conn: str, local: str = HERE, peer: str = THERE, log: int = CLIENT, **more: Any
    ) -> None:
        """A connect that succeeds."""
        self.feed(log, schema.Connect, conn=conn, local=local, peer=peer, **more)

    def accept(self, conn: str, peer: str = HERE, local: str = THERE, log: int = SERVER, **more: Any) -> Any:
        """An accept that succeeds."""
        return self.feed(log, schema.Accept, sock="listen-1", conn=conn, peer=peer, local=local, **more)

    def meet(self, name: str = "tcp-1") -> None:
        """A client's connection is accepted; it has the same name on both ends."""
        self.connect(name)
        self.accept(name)

    def send(self, log: int, conn: str, n: int, **more: Any) -> None:
        """The next bytes of a stream."""
        self.feed(log, schema.Send, conn=conn, size=n, n=n, off=self._off("send", log, conn, n), **more)

    def recv(self, log: int, conn: str, n: int, **more: Any) -> Any:
        """The next bytes of the other."""
        return self.feed(
            log, schema.Recv, conn=conn, size=65536, n=n, off=self._off("recv", log, conn, n), **more
        )

    def close(self, log: int, conn: str, **more: Any) -> None:
        """The connection's close."""
        sent = self.off.get(("send", self.name(log, conn)), 0)
        self.feed(log, schema.Close, conn=conn, reason="close", **{"sent": sent, **more})

    def _off(self, way: str, log: int, conn: str, n: int) -> tuple[int, int]:
        key = way, self.name(log, conn)
        start = self.off.get(key, 0)
        self.off[key] = start + n
        return start, start + n


@pytest.fixture
def stage() -> Stage:
    """A client and a server on one clock."""
    return Stage()


@pytest.fixture
def new_stage() -> type[Stage]:
    """For tests that need other programs."""
    return Stage


class Loom:
    """A weaver, and what it is fed: each call and packet comes 0.1 ms after the last, and a call takes 10 µs.

    The client is `c`, the server `s`; offsets of calls go on where they were.
    """

    def __init__(self) -> None:
        self.weaver = Weaver()
        self.entries: list[Any] = []
        self.t = 0
        self.number = self.seq = self.wires = 0
        self.off: dict[tuple[str, str], int] = {}
        self.wire = self.new_wire()

    def new_wire(
        self, client: str = HERE, server: str = THERE, *, proto: str = "tcp", whole: bool = True
    ) -> Wire:
        """Another connection of the capture."""
        self.wires += 1
        return Wire(self.wires, proto, client, server, whole)

    def at(self, t: int | None) -> int:
        """When the next thing happens, in ns."""
        self.t = self.t + 100_000 if t is None else t
        return self.t

    def packet(
        self, client: bool, begin: int = 0, end: int | None = None, flags: int = ACK, *,
        t: int | None = None, wire: Wire | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        """A packet of the client's, or of the server's."""
        self.number += 1
        when = self.at(t)
        it = Sighting(
            self.number, when, wire or self.wire, client,
            flags=flags, begin=begin, end=begin if end is None else end, **more,
        )  # fmt: skip
        return self._keep(self.weaver.packet(when, it))

    def call(
        self, kind: type, conn: str = "", *, client: bool | None = None,
        t: int | None = None, at: int | None = None, names: tuple[str, ...] = (), last: bool = True,
        **fields: Any,
    ) -> Any:  # fmt: skip
        """A call; it stands at its beginning, or `at` another time."""
        when = self.at(t)
        self.seq += 1
        known = {"dur": 10_000, "fd": 3, "size": 1000, "reason": "close", "how": "SHUT_WR", "sock": "l"}
        if kind is schema.Connect or conn:
            del known["sock"]
        given = {"seq": self.seq, "t": when, "tick": 0}
        given |= {key: it for key, it in known.items() if key in kind.__struct_fields__}
        given |= {"conn": conn} if conn else {}
        side = conn.endswith("c") if client is None else client
        log = 0 if side else 1
        return self._keep(
            self.weaver.call(
                when if at is None else at,
                log,
                kind(**{**given, **fields}),
                client=side,
                names=names,
                last=last,
            )
        )

    def connect(self, conn: str = "c", local: str | None = HERE, peer: str = THERE, **more: Any) -> Any:
        """A client asks for a connection."""
        return self.call(schema.Connect, conn, local=local, peer=peer, **more)

    def accept(self, conn: str = "s", local: str = THERE, peer: str = HERE, **more: Any) -> Any:
        """A server takes one."""
        return self.call(schema.Accept, conn, sock="l", local=local, peer=peer, **more)

    def shake(self, wire: Wire | None = None) -> list[Any]:
        """The packets of a handshake."""
        return [
            self.packet(True, flags=SYN, wire=wire),
            self.packet(False, flags=SYN | ACK, wire=wire),
            self.packet(
                True, wire=wire, before=("ESTABLISHED", "SYN-RECEIVED"), states=("ESTABLISHED", "ESTABLISHED")
            ),
        ]

    def open(self) -> None:
        """A connection, from both programs."""
        self.connect()
        self.shake()
        self.accept()

    def send(self, conn: str, n: int, /, **more: Any) -> Any:
        """The next bytes of a stream."""
        return self.call(schema.Send, conn, **{"size": n, "n": n, "off": self._off("send", conn, n), **more})

    def recv(self, conn: str, n: int, /, **more: Any) -> Any:
        """The next bytes of the other."""
        return self.call(schema.Recv, conn, **{"n": n, "off": self._off("recv", conn, n), **more})

    def close(self, conn: str, **more: Any) -> Any:
        """The connection's close."""
        return self.call(schema.Close, conn, **{"sent": self.off.get(("send", conn), 0), **more})

    def fin(self, client: bool, at: int = 0, begin: int | None = None, **more: Any) -> Any:
        """A FIN behind a byte, and what comes with it."""
        return self.packet(client, at if begin is None else begin, at, FIN | ACK, **more)

    def reset(self, client: bool, at: int = 0, **more: Any) -> Any:
        """A RST."""
        return self.packet(client, at, at, RST | ACK, **more)

    def settle(self, entry: Any, captured: tuple[int, int] = (0, 1 << 64)) -> str:
        """How its links are known in the end."""
        self.weaver.settle(entry, captured)
        return entry.trust

    def _off(self, way: str, conn: str, n: int) -> tuple[int, int]:
        start = self.off.get((way, conn), 0)
        self.off[way, conn] = start + n
        return start, start + n

    def _keep(self, entry: Any) -> Any:
        self.entries.append(entry)
        return entry


@pytest.fixture
def loom() -> Loom:
    """An empty one."""
    return Loom()
