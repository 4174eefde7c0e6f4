"""The fold: how many reasons, of how many connections; and why a poll came back."""

from __future__ import annotations

from typing import Any

from evloop_trace.correlate.entries import CallRef, KernelEntry, Strand
from evloop_trace.correlate.reasons.words import call, numbers, often, packets, ref, text
from evloop_trace.packets.segments import ACK, FIN, RST

from evloop.events.schema import Close, Poll, Recv


def poll(told: Any, *ready: tuple[str, str], **more: Any) -> list[str]:
    """The server's poll returns."""
    return told.call(Poll, False, loose=True, timeout=None, why="", ready=list(ready), **more).reasons


def test_why_a_poll_came_back(told: Any) -> None:
    """The packet that it slept for, once a log."""
    told.packet(True, 0, 5, t=10)
    assert poll(told, ("l", "IN"), ("s", "OUT"), t=11, dur=5) == []
    assert poll(told, ("s", "IN"), t=15, dur=1) == []
    assert poll(told, ("s", "IN"), t=11, dur=3) == ["packet #1 woke it after 2.0 ms: 5 B for s"]
    assert poll(told, ("s", "IN"), t=11, dur=5) == []


def test_a_poll_that_finds_an_end(new_told: Any) -> None:
    """FIN and RST make readable, too; what nobody has a log of does not."""
    for flags, what in ((FIN | ACK, "a FIN"), (RST, "a RST")):
        told = new_told()
        told.packet(True, flags=ACK, t=9)
        told.packet(True, flags=flags, t=10)
        assert poll(told, ("s", "IN"), t=10) == [f"packet #2 woke it: {what} for s"]
    told = new_told(names=("c", ""))
    told.packet(True, 0, 5)
    assert poll(told, ("", "IN"), dur=9) == []


def test_an_entry_has_two_reasons_at_most(told: Any) -> None:
    """And none of them twice."""
    entry = told.call(Recv, errno="ECONNRESET")
    entry.reasons += ["one", "two"]
    told.packet(False, flags=RST)
    told.tell(entry)
    assert entry.reasons == ["one", "two"]
    entry.reasons[:] = ["the RST of packet #1"]
    told.tell(entry)
    assert entry.reasons == ["the RST of packet #1"]


def test_of_very_many_connections_only_the_last_are_known(told: Any) -> None:
    """Of one that was forgotten nothing is said, rather than what is not true."""
    first = told.packet(True, 0, 5)
    for number in range(1, 1100):
        told.strand = Strand(
            number, "tcp", f"127.0.0.1:{40000 + number}", "b", (f"c{number}", f"s{number}"), told.wire
        )
        told.packet(True, 0, 5)
    assert poll(told, ("s", "IN"), dur=2000) == []
    told.strand = first.strand
    told.packet(False, flags=RST)
    assert told.call(Recv, errno="ECONNRESET").reasons == []
    assert told.settled(first) == []
    told.strand = Strand(1099, "tcp", "", "", ("", ""), told.wire)
    told.packet(False, flags=RST)
    assert told.call(Recv, errno="ECONNRESET").reasons != []


def test_what_the_kernel_says_has_no_reasons(told: Any) -> None:
    """It is one."""
    assert told.settled(told.tell(KernelEntry(told.at(1), "state", True, told.strand))) == []


def test_words() -> None:
    """Short, and safe."""
    assert packets([4]) == "packet #4"
    assert packets([6, 4, 5, 5]) == "packets #4-#6"
    assert numbers([1, 2]) == "#1, #2"
    assert numbers([1, 3, 5, 7]) == "#1, #3, #5, #7"
    assert numbers([1, 3, 5, 7, 9]) == "#1 … #9"
    assert [often(number) for number in (1, 2, 1000)] == ["once", "twice", "1,000 times"]
    assert ref(CallRef(0, 3, "block", 4, 9)) == "send() #3"
    assert ref(CallRef(0, 3, "block")) == "connect() #3"
    assert ref(CallRef(0, 3, "shutdown", 4, 5)) == "shutdown() #3"
    assert text("a\x1b[2J") == "a\x1b[2J"  # who draws it makes it safe
    assert text("x" * 70) == "x" * 64 + "…"


def test_a_call_under_another_name(told: Any) -> None:
    """As the program called it."""
    assert call(told.call(Recv, n=1, call="recv_into")) == "recv_into() #1"
    assert call(told.call(Recv, n=1, call="getsockopt(SO_ERROR)")) == "getsockopt(SO_ERROR) #2"


def test_the_first_that_came_woke_a_poll(told: Any) -> None:
    """Of all that are ready; not if one was ready for something else."""
    packet = told.packet(True, 0, 5, t=20)
    told.strand = Strand(1, "tcp", "a", "b", ("c2", "s2"), told.wire)
    told.packet(True, 0, 7, t=18)
    assert poll(told, ("s", "IN"), ("s2", "IN|OUT"), ("x", "IN"), t=21, dur=10) == []
    assert poll(told, ("s", "IN"), ("s2", "OUT"), t=21, dur=10) == []
    assert poll(told, ("s", "IN"), ("s2", "IN"), t=21, dur=10) == [
        "packet #2 woke it after 7.0 ms: 7 B for s2"
    ]
    assert packet.reasons == []


def test_where_the_capture_has_ended_nothing_is_said_of_what_was_not_sent(told: Any) -> None:
    """It was not seen, that is all."""
    told.opened()
    told.send(True, 0, 5)
    told.reasons.captured = told.at(None)
    close = told.call(Close)
    assert told.settled(close) == []
    told.call(Recv, False, errno="EAGAIN", t=900)
    assert told.quiet == "the client is in no call"
