"""Two programs' events, written down one after the other, as they come to the joiner."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.joiner import Joiner, Source

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
