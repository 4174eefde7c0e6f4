"""What is left out of a ladder, since it says the same again and again."""

from __future__ import annotations

import time

from evloop_lessons.leading.repeats import LEAST, LONGEST, LeftOut, shortened
from evloop_trace.correlate.entries import CallEntry, PacketEntry, PacketRef, Strand
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events.schema import Block, Event, Poll, Recv, Send, Sendto


def calls(*events: Event) -> list[CallEntry]:
    """Entries, in the order of time."""
    for at, event in enumerate(events):
        event.seq = event.t = at
    return [CallEntry(it.t, 0, it, client=False) for it in events]


def recv(n: int = 0) -> Recv:
    """That got so much."""
    return Recv(0, 0, 0, 5, "tcp-1", 7, 1024, n)


def send(n: int = 0) -> Send:
    """That sent so much."""
    return Send(0, 0, 0, 5, "tcp-1", 7, n, n)


def test_of_a_loop_that_spins_the_first_turns_are_shown_and_the_last() -> None:
    """Turns of two calls here; in front of them and behind them everything is."""
    entries = calls(recv(5), send(5), *[it for _ in range(1000) for it in (recv(), send())], recv(5))
    shown, left_out = shortened(entries, "round and round")
    assert [it.t for it in shown] == [0, 1, 2, 3, 4, 5, 2000, 2001, 2002]
    assert [it.quiet for it in shown if it.quiet] == [shown[6].quiet] == ["round and round"]
    assert left_out == [LeftOut(2000, 997)]


def test_a_few_turns_are_shown() -> None:
    """Up to a number of them."""
    entries = calls(*[recv() for _ in range(LEAST - 1)])
    assert shortened(entries) == (entries, [])
    assert shortened(calls(*[recv() for _ in range(LEAST)]))[1] == [LeftOut(LEAST - 1, LEAST - 3)]


def test_what_is_not_the_same_is_shown() -> None:
    """Other bytes, another reason, a packet."""
    entries = calls(*[recv(n) for n in range(1, 100)])
    assert shortened(entries) == (entries, [])
    entries = calls(*[recv() for _ in range(3 * LEAST)])
    entries[LEAST].reasons = ["the client sends no more"]
    entries[2 * LEAST].packets = [PacketRef(1)]
    shown, left_out = shortened(entries)
    assert entries[LEAST] in shown
    assert entries[2 * LEAST] in shown
    assert [it.t for it in left_out] == [LEAST - 1]


def test_a_turn_has_only_so_many_calls() -> None:
    """Longer ones are none that a reader would recognise."""
    turn = [Block(0, 0, 0, awaits="recv", fd=fd) for fd in range(LONGEST + 1)]
    entries = calls(*[Block(0, 0, 0, awaits="recv", fd=it.fd) for _ in range(LEAST) for it in turn])
    assert shortened(entries) == (entries, [])
    entries = calls(*[Block(0, 0, 0, awaits="recv", fd=it.fd) for _ in range(LEAST) for it in turn[1:]])
    assert len(shortened(entries)[0]) == 3 * LONGEST


def test_polls_alone_are_no_turns() -> None:
    """They have no rows."""
    polls = [Poll(0, 0, 0, 5, 0, "", []) for _ in range(100)]
    entries = calls(*polls)
    assert shortened(entries) == (entries, [])
    entries = calls(*polls, *[it for _ in range(LEAST) for it in (recv(), Poll(0, 0, 0, 5, 0, "", []))])
    shown, left_out = shortened(entries)
    assert [it.t for it in shown] == [*range(99 + 4), 99 + 2 * (LEAST - 1), 100 + 2 * (LEAST - 1), 115]
    assert left_out == [LeftOut(99 + 2 * (LEAST - 1), LEAST - 3)]


def test_a_loop_that_has_spun_for_long_is_looked_at_once() -> None:
    """And not once more at each of its turns: the time would grow with their square."""
    entries = calls(*[Poll(0, 0, 0, 5, 0, "", []) for _ in range(20_000)])
    begin = time.process_time()
    assert len(shortened(entries)[0]) == 20_000
    assert time.process_time() - begin < 5


def datagrams(count: int) -> list[CallEntry | PacketEntry]:
    """A burst: calls, each with its packet; no two say the same."""
    wire = Wire(0, "udp", "127.0.0.1:40000", "127.0.0.1:8080", whole=True)
    strand = Strand(0, "udp", wire.client, wire.server, ("c", "s"), wire)
    entries: list[CallEntry | PacketEntry] = []
    for at in range(count):
        event = Sendto(at, 2 * at, 0, 5, "udp-1", 7, wire.server, 20, b"card %d" % at)
        call = CallEntry(2 * at, 0, event, client=True, strand=strand)
        call.packets = [PacketRef(at + 1)]
        packet = Sighting(at + 1, 2 * at + 1, wire, client=True, begin=0, end=20)
        entries += [call, PacketEntry(2 * at + 1, packet, strand)]
    return entries


def test_a_burst_of_datagrams_is_shortened_with_its_packets() -> None:
    """Each call that is shown has its own, and what was said of one is shown."""
    entries = datagrams(50)
    entries[41].reasons = ["nobody took it"]
    shown, left_out = shortened(entries)
    assert [it.t for it in shown] == [0, 1, 2, 3, *range(38, 46), 98, 99]
    assert left_out == [LeftOut(38, 17), LeftOut(98, 26)]


def test_an_error_of_a_datagram_is_shown() -> None:
    """Each."""
    entries = datagrams(50)
    for it in entries[1::2]:
        assert isinstance(it, PacketEntry)
        it.packet.error = "port unreachable"
    assert shortened(entries) == (entries, [])


def test_nothing_is_as_short_as_it_can_be() -> None:
    """Before anybody has called anything."""
    assert shortened([]) == ([], [])
