"""Claims are judged, and what they looked at is cited."""

from __future__ import annotations

import pytest
from evloop_lessons.judging import judge
from evloop_lessons.lesson import Found, Missing, claim, found
from evloop_lessons.run import Run
from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events.schema import Poll

CLIENT, SERVER = "127.0.0.1:40000", "127.0.0.1:8080"


def packet(number: int, *, client: bool, size: int = 0, error: str = "") -> PacketEntry:
    """A datagram, or an ICMP error about one."""
    wire = Wire(0, "udp", CLIENT, SERVER, True)
    sighting = Sighting(
        number, number, wire, client, flags=0, begin=0, end=size, ack=None, window=0, error=error
    )
    return PacketEntry(number, sighting, Strand(0, "udp", CLIENT, SERVER, ("", ""), wire))


def test_an_icmp_error_comes_from_the_other_end() -> None:
    """A datagram of the client's is refused by the server's kernel."""
    packets = [packet(1, client=True, size=20), packet(2, client=True, error="port unreachable")]
    both = claim("both")(lambda run: found(True, *run.packets()))
    [verdict] = judge([both], {"both": "Both."}, Run({}, [*packets], [], [], []))
    assert [it.what for it in verdict.evidence] == ["c 20", "s ICMP"]


def test_a_poll_says_what_it_woke_for() -> None:
    """In the ladder's words, and without the name of its log, which stands before it."""
    polls = [
        CallEntry(it, 0, Poll(it, it, 0, 5, 0, "", ready), client=False)
        for it, ready in enumerate(([("server:tcp-1", "OUT")], []))
    ]
    both = claim("both")(lambda _: found(True, *polls))
    [verdict] = judge([both], {"both": "Both."}, Run({}, [*polls], ["server"], [], []))
    assert [it.what for it in verdict.evidence] == ["woke: tcp-1 writable", "woke: time-out"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Missing("a reset"), "a reset"),
        (IndexError("list index out of range"), "a call, a packet or a step that it counts on (IndexError)"),
        (StopIteration(), "a call, a packet or a step that it counts on (StopIteration)"),
    ],
)
def test_what_is_not_there_is_told_to_who_knows_no_python(error: Exception, said: str) -> None:
    """The claim fails."""

    def look(_: Run) -> Found:
        raise error

    [verdict] = judge([claim("it")(look)], {"it": "It."}, Run({}, [], [], [], []))
    assert (verdict.passed, verdict.missing) == (False, said)
