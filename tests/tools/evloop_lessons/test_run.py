"""What claims ask a run for: its calls, its packets, and what was when."""

from __future__ import annotations

import pytest
from evloop_lessons.lesson import Missing
from evloop_lessons.run import (
    Run,
    Sample,
    Socket,
    Step,
    by_connection,
    first,
    milliseconds,
    notation,
    payload_size,
    results,
    returned,
)
from evloop_trace.correlate.entries import CallEntry, PacketEntry, Strand
from evloop_trace.packets.segments import ACK, FIN, RST, SYN
from evloop_trace.packets.sightings import Sighting, Wire

from evloop.events.schema import Accept, Block, Recv, Send

SERVER = "127.0.0.1:8080"
WIRES = [Wire(it, "tcp", f"127.0.0.1:4000{it}", SERVER, True) for it in range(2)]
STRANDS = [Strand(it.number, "tcp", it.client, it.server, ("", f"tcp-{it.number}"), it) for it in WIRES]


def call(event: object, strand: Strand | None = None, log: int = 0) -> CallEntry:
    """That stands where it returned."""
    return CallEntry(event.t + getattr(event, "dur", 0), log, event, client=False, strand=strand)


def packet(t: int, of: int = 0, *, client: bool = True, flags: int = ACK, size: int = 0) -> PacketEntry:
    """A segment of one of the two connections."""
    sighting = Sighting(t, t, WIRES[of], client, flags, 0, size, 0)
    return PacketEntry(t, sighting, STRANDS[of])


ACCEPT = call(Accept(0, 10, 0, 5, sock="tcp", fd=3, conn="tcp-0", peer="", local=""), STRANDS[0])
RECV = call(Recv(1, 20, 0, 5, "tcp-0", 7, 1024, 18), STRANDS[0])
EMPTY = call(Recv(2, 40, 0, 5, "tcp-1", 8, 1024, 0), STRANDS[1])
REFUSED = call(Send(3, 50, 0, 5, "tcp-1", 8, 3, None, errno="EPIPE"), STRANDS[1])
ASLEEP = call(Block(4, 60, 0, awaits="accept", fd=3))
OTHERS = call(Recv(0, 70, 0, 5, "tcp-0", 7, 1024, 18), STRANDS[0], log=1)
PACKETS = [
    packet(1, flags=SYN),
    packet(2, flags=SYN | ACK, client=False),
    packet(15, size=18),
    packet(41, 1, flags=FIN | ACK),
    packet(42, 1, flags=RST, client=False),
]
CALLS = [ACCEPT, RECV, EMPTY, REFUSED, ASLEEP, OTHERS]
RUN = Run(
    {"messages": 1},
    sorted([*CALLS, *PACKETS], key=lambda it: it.t),
    ["server", "client"],
    [Step(12, "say"), Step(40, "close")],
    [Sample(5, (Socket(SERVER, "", "LISTEN", 1, 0),), {}), Sample(30, (), {})],
)


def test_calls_are_asked_for_by_log_kind_and_connection() -> None:
    """Without any of these all are given."""
    assert RUN.calls() == CALLS
    assert RUN.calls("client") == [OTHERS]
    assert RUN.calls("server", "recv", "send") == [RECV, EMPTY, REFUSED]
    assert RUN.calls("", "recv", strand=STRANDS[0]) == [RECV, OTHERS]
    assert RUN.call("server", "recv", -1) is EMPTY
    with pytest.raises(Missing, match="server has 2 recv"):
        RUN.call("server", "recv", 2)


def test_a_program_has_its_connections_in_their_order() -> None:
    """Whatever else it calls."""
    assert [RUN.strand("server", it) for it in range(2)] == STRANDS
    with pytest.raises(Missing, match="client has 1 connections"):
        RUN.strand("client", 1)


def test_packets_are_asked_for_by_connection_side_flags_and_data() -> None:
    """Without any of these all are given."""
    assert RUN.packets() == PACKETS
    assert RUN.packets(STRANDS[1]) == PACKETS[3:]
    assert RUN.packets(client=False) == [PACKETS[1], PACKETS[4]]
    assert RUN.packets(flags=FIN | RST) == PACKETS[3:]
    assert RUN.packets(STRANDS[0], client=True, data=True) == [PACKETS[2]]
    assert payload_size(PACKETS[2]) == 18
    assert notation(PACKETS) == "S SA 18 F R"


def test_what_was_between_is_asked_for_by_times_and_steps() -> None:
    """The begin is within, the end is not."""
    assert RUN.between(2, 25) == [PACKETS[1], ACCEPT, PACKETS[2]]
    assert RUN.between("say", "close", RUN.packets()) == [PACKETS[2]]
    assert RUN.between("say", 26, RUN.calls()) == [ACCEPT, RECV]
    with pytest.raises(Missing, match="the step leave"):
        RUN.between("say", "leave")


def test_the_kernels_table_is_that_of_the_last_look() -> None:
    """Before the first nobody knows."""
    assert RUN.sample(29).queue(SERVER) == 1
    assert RUN.sample(30).queue(SERVER) == -1
    with pytest.raises(Missing, match="table of sockets"):
        RUN.sample(4)


def test_what_calls_gave() -> None:
    """The name of an error, a number of bytes, or neither."""
    assert results(RUN.calls("server")) == [
        ("accept", None), ("recv", 18), ("recv", 0), ("send", "EPIPE"), ("block", None),
    ]  # fmt: skip
    assert returned(RECV) == 25


def test_entries_by_their_connections() -> None:
    """Those of none are left out."""
    assert by_connection(RUN.calls("server")) == {0: [ACCEPT, RECV], 1: [EMPTY, REFUSED]}
    assert by_connection(RUN.packets()) == {0: PACKETS[:3], 1: PACKETS[3:]}


def test_the_first_or_what_is_not_there() -> None:
    """In words."""
    assert first(RUN.packets(flags=RST), "a reset") is PACKETS[4]
    with pytest.raises(Missing, match="a packet of nobody"):
        first([], "a packet of nobody")


def test_times_are_rounded() -> None:
    """To whole milliseconds."""
    assert milliseconds(1_500_001) == "2 ms"
