"""What is put in comes out in order, is held, and is complete when it is settled."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate import loom as looms
from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.correlate.loom import HOLD, NEVER, Called, Loom, Span
from evloop_trace.packets.segments import ACK
from evloop_trace.packets.sightings import Sighting, Wire
from evloop_trace.states.schema import Transition

from evloop.events.schema import Accept, Close, Poll, Recv, Send

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


def packet(number: int, t: int, of: int = 0, *, begin: int = 0) -> Sighting:
    """Five bytes of the client's, in the middle of a connection."""
    wire = Wire(of, "tcp", HERE, THERE, False)
    return Sighting(number, t, wire, client=True, flags=ACK, begin=begin, end=begin + 5)


def called(event: Any) -> Called:
    """The only log's."""
    return Called(Row(0, event))


def accept(t: int = 100, conn: str = "tcp-1") -> Accept:
    """It takes no time."""
    return Accept(1, t, 0, 0, "listen-1", conn, 7, HERE, THERE, 0)


def taken(loom: Loom) -> list[int]:
    """When all stand that wait."""
    return [loom.take().t for _ in range(len(loom))]


def test_what_is_put_comes_in_order() -> None:
    """Of one moment calls are first, then packets; what comes too late stands where it still can."""
    loom = Loom()
    assert loom.first == NEVER
    for t in (300, 200):
        loom.put(t, Transition(t, HERE, THERE, 1, "CLOSED", "SYN-SENT"))
        loom.put(t, packet(t, t))
        loom.put(t, called(accept(t, f"tcp-{t}")))
    assert (loom.first, len(loom)) == (200, 6)
    kinds = [type(loom.take()).__name__ for _ in range(6)]
    assert kinds == ["CallEntry", "PacketEntry", "KernelEntry"] * 2
    loom.put(150, called(accept(150)))
    assert taken(loom) == [300]


def test_entries_are_held_until_they_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """For so long, and so many."""
    loom = Loom()
    for t in (0, 10, 20):
        loom.put(t, called(Poll(1, t, 0, 0, None, "", [])))
    taken(loom)
    assert [it.t for it in loom.settled(10)] == [0]
    monkeypatch.setattr(looms, "MOST", 1)
    assert [it.t for it in loom.settled(10)] == [10]
    assert [it.t for it in loom.settled(NEVER)] == [20]
    assert HOLD > 10**8


@pytest.mark.parametrize("is_captured", [False, True])
def test_what_was_called_behind_the_capture_lacks_no_packet(is_captured: bool) -> None:
    """As long as packets may follow, it does."""
    loom = Loom()
    loom.put(100, called(accept()))
    loom.put(200, packet(1, 200))
    loom.put(900, called(Send(2, 900, 0, 10, "tcp-1", 7, 5, 5, (0, 5), b"hello")))
    loom.is_captured = is_captured
    taken(loom)
    last = list(loom.settled(NEVER))[-1]
    assert isinstance(last, CallEntry)
    assert last.trust == ("" if is_captured else "unmatched")
    assert (loom.packets.begin, loom.packets.end, loom.packets.is_empty) == (200, 200, False)
    assert Span().is_empty


def test_passing_over_keeps_what_is_open() -> None:
    """Names and the places in the streams; the first entry behind it says how much is missing."""
    loom = Loom()
    loom.put(100, called(accept()))
    loom.put(150, packet(1, 150))
    taken(loom)
    for event in (
        Recv(2, 200, 0, 0, "tcp-1", 7, 9, 5, (0, 5), b"hello"),
        Recv(3, 210, 0, 0, "tcp-1", 7, 9, None, None, b"", errno="EAGAIN"),
        Recv(4, 220, 0, 0, "tcp-1", 7, 9, 2, (5, 7), b"pe", flags="MSG_PEEK"),
        Send(5, 230, 0, 0, "tcp-1", 7, 3, 3, (0, 3), b"abc"),
        Send(6, 240, 0, 0, "tcp-9", 7, 3, 3, (0, 3), b"abc"),
        accept(250, "tcp-2"),
        Close(8, 260, 0, 0, 8, "close", "tcp-2"),
        Poll(9, 270, 0, 0, None, "", []),
    ):
        loom.put(event.t, called(event))
    loom.put(280, packet(2, 280, begin=5))
    assert loom.pass_over(3) == 12
    loom.begin_anew()
    assert (len(loom), loom.packets.is_empty) == (0, True)
    (strand,) = loom.weaver.strands
    assert (strand.names, strand.number, strand.wire) == (("", "tcp-1"), 2, None)
    way = loom.weaver._ties.called("tcp-1")[0].directions  # type: ignore[index]
    assert (way[True].taken, way[False].sent) == (5, 3)
    loom.put(300, packet(15, 300, begin=700))
    entry = loom.take()
    assert isinstance(entry, PacketEntry)
    assert (entry.strand, entry.quiet) == (strand, "12 calls and packets were passed over")
    loom.put(310, packet(16, 310, begin=705))
    assert loom.take().quiet == ""
