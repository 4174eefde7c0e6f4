"""A connection, entry by entry, as the reasons are told of it."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.entries import CallEntry, CallRef, PacketEntry, PacketRef, Strand
from evloop_trace.correlate.reasons import Reasons
from evloop_trace.packets.segments import ACK, SYN
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events import schema

MS = 1_000_000
CLIENT, SERVER = "127.0.0.1:40000", "127.0.0.1:8080"


class Told:
    """What was told of one connection; times are in milliseconds, and go on by 1 if none is given."""

    def __init__(
        self, proto: str = "tcp", *, names: tuple[str, str] = ("c", "s"), whole: bool = True
    ) -> None:
        self.reasons = Reasons()
        self.wire = Wire(0, proto, CLIENT, SERVER, whole)
        self.strand = Strand(0, proto, CLIENT, SERVER, names, self.wire)
        self.t = 0.0
        self.number = self.seq = 0
        self.quiet = ""

    def at(self, t: float | None) -> int:
        """The time of what comes next, in ns."""
        self.t = self.t + 1 if t is None else t
        return int(self.t * MS)

    def packet(
        self, client: bool, begin: int = 0, end: int | None = None, *,
        flags: int = ACK, t: float | None = None,
        causes: tuple[CallEntry, ...] = (),
        trust: str = "", original: int = 0, **fields: Any,
    ) -> PacketEntry:  # fmt: skip
        """A packet of an end."""
        self.number += 1
        when = self.at(t)
        it = Sighting(
            self.number, when, self.wire, client,
            flags=flags, begin=begin, end=begin if end is None else end,
            **{"ack": None, "window": 65536, **fields},
        )  # fmt: skip
        entry = PacketEntry(when, it, self.strand, trust=trust, original=original)
        for call in causes:
            word = type(call.event).__name__.lower()
            entry.causes.append(CallRef(call.log, call.event.seq, word, begin, it.end))
            call.packets.append(PacketRef(self.number, begin, it.end))
        return self.tell(entry)

    def call(
        self, kind: type, client: bool = True, *,
        t: float | None = None, dur: float = 0, log: int | None = None,
        got: tuple[PacketEntry, ...] = (), loose: bool = False, joined: Any = None, **fields: Any,
    ) -> CallEntry:  # fmt: skip
        """A call of an end that returns at `t`."""
        when = self.at(t)
        self.seq += 1
        defaults: dict[str, Any] = {"seq": self.seq, "t": when - int(dur * MS), "tick": 0}
        known = {
            "dur": int(dur * MS), "fd": 3, "conn": "c" if client else "s", "size": 1000, "reason": "close",
            "how": "SHUT_WR",
        }  # fmt: skip
        defaults |= {key: value for key, value in known.items() if key in kind.__struct_fields__}
        entry = CallEntry(
            when, (0 if client else 1) if log is None else log, kind(**{**defaults, **fields}), client,
            None if loose else self.strand, joined,
        )  # fmt: skip
        for packet in got:
            number, begin, end = packet.packet.number, packet.packet.begin, packet.packet.end
            off = fields.get("off") or (begin, end)
            entry.packets.append(PacketRef(number, max(begin, off[0]), min(end, off[1])))
            packet.effects.append(CallRef(entry.log, entry.event.seq, "recv"))
        return self.tell(entry)

    def tell(self, entry: Any) -> Any:
        """Any entry."""
        self.quiet = self.reasons.tell(entry)
        return entry

    def settled(self, entry: Any) -> list[str]:
        """Its reasons when all is known."""
        self.reasons.settle(entry)
        return entry.reasons

    def opened(self) -> None:
        """The handshake."""
        shut = ("CLOSED", "LISTEN")
        self.packet(True, flags=SYN, before=shut, states=("SYN-SENT", "LISTEN"))
        self.packet(False, flags=SYN | ACK, ack=0, states=("ESTABLISHED", "SYN-RECEIVED"))
        self.packet(
            True, ack=0, before=("ESTABLISHED", "SYN-RECEIVED"), states=("ESTABLISHED", "ESTABLISHED")
        )

    def listen(self, backlog: int = 5, address: str = SERVER, **fields: Any) -> CallEntry:
        """The server listens."""
        return self.call(
            schema.Listen,
            False,
            loose=True,
            sock="l",
            proto="tcp",
            address=address,
            backlog=backlog,
            **fields,
        )

    def send(self, client: bool, begin: int, end: int, **more: Any) -> CallEntry:
        """A send that takes all."""
        size = end - begin
        return self.call(schema.Send, client, **{"size": size, "n": size, "off": (begin, end), **more})

    def recv(self, client: bool, begin: int, end: int, **more: Any) -> CallEntry:
        """A recv of these bytes."""
        return self.call(schema.Recv, client, **{"n": end - begin, "off": (begin, end), **more})


@pytest.fixture
def told() -> Told:
    """A TCP connection of which both logs and the capture tell."""
    return Told()


@pytest.fixture
def new_told() -> type[Told]:
    """For another."""
    return Told
