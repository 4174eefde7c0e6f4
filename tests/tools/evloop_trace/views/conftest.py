"""Entries of small conversations, made by hand: what the views of the timeline are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.correlate.entries import EXACT, CallEntry, CallRef, PacketEntry, PacketRef, Strand
from evloop_trace.packets.segments import ACK, FIN, SYN
from evloop_trace.packets.sightings import Sighting, Wire
from evloop_trace.views.timeline import TimelineView

from evloop.events.schema import Accept, Close, Connect, Poll, Recv, Send

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop_trace.correlate.entries import Entry

US = 1000
PSH = 8


class Talk:
    """Makes entries at so many µs, and draws them."""

    CLIENT, SERVER = 0, 1

    def strand(
        self, number: int = 0, port: int = 5000, names: tuple[str, str] = ("tcp-1", "tcp-1"), *,
        proto: str = "tcp", captured: bool = True,
    ) -> Strand:  # fmt: skip
        """A connection."""
        ends = f"127.0.0.1:{port}", "127.0.0.1:8080"
        wire = Wire(number, proto, *ends, True) if captured else None
        return Strand(number, proto, *ends, names, wire, EXACT)

    def call(
        self, t: float, log: int, event: Any, of: Strand | None = None, *numbers: int, **more: Any
    ) -> CallEntry:
        """A call, with the numbers of the packets that are its."""
        packets = [PacketRef(number) for number in numbers]
        more.setdefault("trust", EXACT if numbers else "")
        client = more.pop("client", log == self.CLIENT)
        return CallEntry(int(t * US), log, event, client, of, packets=packets, **more)

    def packet(
        self, t: float, of: Strand, number: int, *, client: bool = True,
        cause: tuple[int, int, str] | None = None, reasons: list[str] | None = None, trust: str = "",
        quiet: str = "", **more: Any,
    ) -> PacketEntry:  # fmt: skip
        """A packet; its cause is a log's number, a call's, and what was called."""
        assert of.wire is not None
        causes = [CallRef(*cause)] if cause else []
        seen = Sighting(number, int(t * US), of.wire, client, **more)
        trust = trust or (EXACT if cause else "")
        return PacketEntry(int(t * US), seen, of, causes, trust=trust, reasons=reasons or [], quiet=quiet)

    def send(
        self, t: float, log: int, seq: int, begin: int, data: bytes, of: Strand, *numbers: int, **more: Any
    ) -> CallEntry:
        """A send of all that is in `data`."""
        n = len(data)
        event = Send(seq, int(t * US), 0, 10 * US, "tcp-1", 3, n, n, (begin, begin + n), data)
        return self.call(t, log, event, of, *numbers, **more)

    def data(self, t: float, of: Strand, number: int, begin: int, data: bytes, **more: Any) -> PacketEntry:
        """A packet with data."""
        end = begin + len(data)
        return self.packet(t, of, number, flags=PSH | ACK, begin=begin, end=end, ack=0, data=data, **more)

    def conversation(self, of: Strand | None = None) -> list[Entry]:
        """One message, its answer, and the client's end."""
        it = of or self.strand()
        both = "ESTABLISHED", "ESTABLISHED"
        client, server, call, packet = self.CLIENT, self.SERVER, self.call, self.packet
        connect = Connect(1, 100 * US, 0, 150 * US, 3, "tcp-1", None, it.server, it.client)
        accept = Accept(2, 11_000 * US, 1, 90 * US, "listen-1", "tcp-1", 7, it.client, it.server, 0)
        close = Close(4, 11_500 * US, 0, 40 * US, 3, "close", "tcp-1", None, 0, 0, 0, 5, 5)
        asked, answered = ("SYN-SENT", "LISTEN"), ("ESTABLISHED", "SYN-RECEIVED")
        return [
            call(100, client, connect, it, 1, 2),
            packet(
                120, it, 1, flags=SYN, cause=(client, 1, "connect"), before=("CLOSED", "LISTEN"), states=asked
            ),
            packet(140, it, 2, client=False, flags=SYN | ACK, ack=0, before=asked, states=answered),
            packet(160, it, 3, flags=ACK, ack=0, before=answered, states=both),
            call(11_000, server, Poll(1, 0, 1, 11_000 * US, None, "", [("listen-1", "IN")])),
            call(11_100, server, accept, it, 3),
            self.send(11_200, client, 2, 0, b"hello", it, 4),
            self.data(11_220, it, 4, 0, b"hello", cause=(client, 2, "send")),
            packet(11_230, it, 5, client=False, flags=ACK, ack=5),
            call(11_300, server, Poll(3, 11_250 * US, 2, 50 * US, None, "", [("tcp-1", "IN")])),
            call(11_310, server, Recv(4, 0, 2, 10 * US, "tcp-1", 7, 1024, 5, (0, 5), b"hello"), it, 4),
            self.send(11_320, server, 5, 0, b"HELLO", it, 6),
            self.data(11_330, it, 6, 0, b"HELLO", client=False, cause=(server, 5, "send")),
            packet(11_340, it, 7, flags=ACK, begin=5, end=5, ack=5),
            call(11_400, client, Recv(3, 0, 0, 160 * US, "tcp-1", 3, 1024, 5, (0, 5), b"HELLO"), it, 6),
            call(11_500, client, close, it, 8),
            packet(
                11_510, it, 8, flags=FIN | ACK, begin=5, end=5, ack=5, cause=(client, 4, "close"),
                before=both, states=("FIN-WAIT-1", "CLOSE-WAIT"), reasons=["it sends no more"],
            ),
        ]  # fmt: skip

    def drawn(self, entries: Iterable[Entry], width: int = 80, **more: Any) -> list[str]:
        """The lines of a timeline, without the heading and the spaces at their ends."""
        labels = more.pop("labels", ["client", "server"])
        view = TimelineView(width, labels, **more)
        return ["".join([it.text for it in line]).rstrip() for line in view.lines(entries)][1:]


@pytest.fixture
def talk() -> Talk:
    """Who makes entries."""
    return Talk()
