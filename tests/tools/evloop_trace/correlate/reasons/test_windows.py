"""Closed windows, probes, keep-alives."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from evloop_trace.correlate.entries import PacketEntry
from evloop_trace.packets.segments import ACK, FIN, KEEP_ALIVE, PROBE, RST, SYN, WINDOW_FULL, ZERO_WINDOW

from evloop.events.schema import Recv

HAS_NOT = "the server has not called recv() yet, and 4,096 B fill its buffer"


def closed(told: Any) -> Any:
    """The server's window closes at 100 ms, with 4,096 bytes."""
    told.opened()
    told.packet(True, 0, 4096, t=99, found=WINDOW_FULL)
    return told.packet(False, ack=4096, window=0, found=ZERO_WINDOW, t=100)


def test_who_has_not_read_has_no_room(told: Any) -> None:
    """The first zero window says why; the next says nothing new."""
    assert closed(told).reasons == [HAS_NOT]
    assert told.packet(False, ack=4096, window=0, found=ZERO_WINDOW).reasons == []


def test_who_read_long_ago(told: Any) -> None:
    """The last recv is told."""
    told.recv(False, 0, 0, t=40)
    told.recv(False, 0, 96, t=50)
    assert closed(told).reasons == [
        "the last recv() of the server was 50.0 ms ago, and 4,000 B fill its buffer"
    ]


def test_of_who_has_no_log_it_is_likely(new_told: Any) -> None:
    """Nobody knows what it calls."""
    assert closed(new_told(names=("c", ""))).reasons == [
        "likely the server's program does not call recv(): its buffer is full"
    ]


def test_the_last_packet_that_fits(told: Any) -> None:
    """It is told once."""
    told.opened()
    assert told.packet(True, 0, 10, found=WINDOW_FULL).reasons == [
        "the server has room for no more: the window is full"
    ]
    assert told.packet(True, 10, 20, found=WINDOW_FULL).reasons == []


def test_probes_and_their_timer(told: Any) -> None:
    """The first asks, the next is later."""
    closed(told)
    assert told.packet(True, 4095, found=KEEP_ALIVE, ack=0, t=300).reasons == [
        "is there room again? The window is closed for 200 ms, and an update could be lost"
    ]
    assert told.packet(True, 4096, 4097, found=PROBE, ack=0, t=700).reasons == [
        "probe 2, 400 ms after the last, which waited 200 ms: the persist timer backs off"
    ]
    assert told.packet(True, 4095, found=KEEP_ALIVE, ack=0, t=1500).reasons == [
        "probe 3, 800 ms after the last, which waited 400 ms: the persist timer backs off"
    ]


def test_a_recv_makes_room(told: Any) -> None:
    """It came before the packet, or is in its call while the packet goes out."""
    closed(told)
    told.recv(False, 0, 4096, t=200)
    assert told.packet(False, ack=4096, t=201).reasons == [
        "room again, after 101 ms: the server's recv() #1 took what waited"
    ]


def test_a_recv_that_returns_later_has_made_room(told: Any) -> None:
    """That is known when it returns."""
    closed(told)
    told.recv(False, 0, 10, t=150)
    closing = told.packet(False, ack=4096, window=0, found=ZERO_WINDOW, t=151)
    assert closing.reasons == []
    room = told.packet(False, ack=4096, t=200)
    told.recv(False, 10, 20, t=190, dur=1)
    room.reasons.insert(0, "another")
    assert room.reasons[1] == "room again, after 100 ms: the server's recv() #1 took what waited"
    told.recv(False, 20, 4096, t=201, dur=2)
    assert room.reasons == ["another", "room again, after 100 ms: the server's recv() #3 took what waited"]


def test_room_that_nobody_is_known_to_have_made(told: Any) -> None:
    """It is likely a recv."""
    closed(told)
    room = told.packet(False, ack=4096, t=200)
    assert room.reasons == ["room again, after 100 ms: likely the server has called recv()"]
    told.call(Recv, False, n=5, off=(0, 5), t=300)
    assert room.reasons == ["room again, after 100 ms: likely the server has called recv()"]


def test_keep_alives(told: Any) -> None:
    """The first comes after silence, the next after no answer; data ends them."""
    told.opened()
    assert told.packet(True, -1, found=KEEP_ALIVE, ack=0, t=1003).reasons == [
        "keep-alive: nothing was said for 1.0 s; is the server still there?"
    ]
    assert told.packet(True, -1, found=KEEP_ALIVE, ack=0, t=2003).reasons == [
        "keep-alive probe 2: no answer for 1.0 s"
    ]
    told.packet(True, 0, 5)
    assert told.packet(True, 4, found=KEEP_ALIVE, ack=0, t=3004).reasons == [
        "keep-alive: nothing was said for 1.0 s; is the server still there?"
    ]


@pytest.mark.parametrize(
    ("opened", "flags", "found"), [(False, SYN, 0), (True, ACK, KEEP_ALIVE), (True, ACK, PROBE)]
)
def test_who_asks_for_hours_costs_no_memory(told: Any, opened: bool, flags: int, found: int) -> None:
    """SYNs, probes and keep-alives are counted, not kept."""
    if opened:
        closed(told) if found == PROBE else told.opened()
    end = 4097 if found == PROBE else None

    def kept() -> int:
        return sum(isinstance(it, PacketEntry) for it in gc.get_objects())

    before = kept()
    for _ in range(1000):
        last = told.packet(True, 4096, end, flags=flags, found=found, ack=0)
    assert ("try 1000" if flags & SYN else "probe 1000") in last.reasons[0]
    assert kept() - before < 100


def test_windows_of_other_packets_say_nothing(told: Any) -> None:
    """A SYN's, a RST's, and that of a FIN are no zero windows."""
    told.opened()
    for flags in (SYN | ACK, RST, FIN | ACK):
        assert not any(
            "window" in it or "room" in it for it in told.packet(False, flags=flags, window=0).reasons
        )


def test_a_keep_alive_that_was_answered(told: Any) -> None:
    """The next asks the same: it is not told again, until something was said."""
    told.opened()
    first = told.packet(True, -1, found=KEEP_ALIVE, ack=0, t=1003)
    told.packet(False, ack=0, t=1004)
    assert len(first.reasons) == 1
    assert told.packet(True, -1, found=KEEP_ALIVE, ack=0, t=2004).reasons == []
    told.packet(False, ack=0, t=2005)
    told.packet(True, 0, 5, t=2100)
    assert told.packet(True, 4, found=KEEP_ALIVE, ack=0, t=3100).reasons == first.reasons


def test_a_program_that_has_peeked(told: Any) -> None:
    """It called recv(), and took nothing; how much waits is not known."""
    told.opened()
    told.call(Recv, False, n=5, off=(0, 5), flags="MSG_PEEK")
    assert told.packet(False, ack=0, window=0, found=ZERO_WINDOW).reasons == [
        "the server has read nothing yet, and its buffer is full"
    ]
