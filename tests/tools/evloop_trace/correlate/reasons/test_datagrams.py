"""Datagrams: cut, empty, refused, lost."""

from __future__ import annotations

from typing import Any

import pytest

from evloop.events.schema import Bind, Close, Connect, Recvfrom, Sendto

PORT = "port unreachable"
NOBODY = "nobody is bound to 127.0.0.1:8080"


@pytest.fixture
def udp(new_told: Any) -> Any:
    """Datagrams between two addresses."""
    return new_told("udp", names=("", ""))


def send(udp: Any, **more: Any) -> Any:
    """A client sends."""
    return udp.call(Sendto, loose=True, **{"sock": "u", "peer": "127.0.0.1:8080", "n": 5, **more})


def receive(udp: Any, **more: Any) -> Any:
    """The server receives."""
    return udp.call(Recvfrom, False, **{"sock": "r", "n": 5, **more})


def test_empty_ones(udp: Any) -> None:
    """They are sent, and received, and end nothing."""
    assert send(udp, n=0).reasons == ["an empty datagram is sent all the same: a header of 8 B"]
    assert receive(udp, n=0).reasons == ["an empty datagram is no end: UDP has none"]
    assert send(udp).reasons == receive(udp).reasons == receive(udp, n=None, errno="EAGAIN").reasons == []


def test_what_was_cut(udp: Any) -> None:
    """The packet tells how long it was; a recv that does not say so has cut it, too."""
    packet = udp.packet(True, 0, 1500, flags=0)
    why = "recv() asked for no more, and the rest is gone"
    for truncated in (True, False):
        cut = receive(udp, n=1024, truncated=truncated, got=(packet,))
        assert cut.reasons == [f"cut to 1,024 B of 1,500 B: {why}"]
    assert receive(udp, n=1024, truncated=True).reasons == [f"cut to 1,024 B: {why}"]


def refused(udp: Any) -> list[str]:
    """Of an ICMP error."""
    return udp.settled(udp.packet(True, flags=0, error=PORT))


def test_nobody_is_there(udp: Any) -> None:
    """Who is not connected is never told; who is gets it with the next call."""
    assert refused(udp) == [NOBODY]
    udp.strand.names = ("u", "")
    assert refused(udp) == [f"{NOBODY}; u is not connected, so it is never told"]
    udp.call(Connect, loose=True, sock="u", conn=None, errno="EINVAL")
    udp.call(Connect, loose=True, sock="u", conn=None)
    assert refused(udp) == [f"{NOBODY}: the next call on u gets ECONNREFUSED"]


def test_calls_that_are_told_of_it(udp: Any) -> None:
    """The packet is linked, if it is known."""
    error = udp.packet(True, flags=0, error=PORT)
    why = "of an earlier datagram: ICMP, packet #1"
    assert send(udp, n=None, errno="ECONNREFUSED", got=(error,)).reasons == [why]
    assert receive(udp, n=None, errno="ECONNREFUSED", got=(error,)).reasons == [why]
    assert receive(udp, n=None, errno="ECONNREFUSED").reasons == []


def test_an_answer_that_nobody_waits_for(udp: Any) -> None:
    """The client's port is the one that is not bound."""
    error = udp.packet(False, flags=0, error=PORT)
    assert udp.settled(error) == ["nobody is bound to 127.0.0.1:40000"]


def test_other_errors(udp: Any, told: Any) -> None:
    """They speak for themselves."""
    assert udp.settled(udp.packet(True, flags=0, error="host unreachable")) == []
    assert told.settled(told.packet(True, error=PORT)) == []


def test_what_nobody_received(udp: Any) -> None:
    """It came to a bound socket."""
    udp.call(Bind, False, loose=True, sock="r", proto="udp", address="127.0.0.1:8080")
    taken, lost, next_one = (udp.packet(True, 0, 5, flags=0) for _ in range(3))
    receive(udp, got=(taken,))
    assert udp.settled(taken) == []
    assert udp.settled(lost) == [
        "no recvfrom() took it: it was not read, or dropped since the receive buffer was full"
    ]
    assert udp.settled(next_one) == ["not taken either"]


def test_what_somebody_may_have_received(udp: Any) -> None:
    """A recvfrom is linked to no packet: it may be this."""
    udp.call(Bind, False, loose=True, sock="r", proto="udp", address="127.0.0.1:8080")
    packet = udp.packet(True, 0, 5, flags=0)
    receive(udp, n=3)
    assert udp.settled(packet) == []


def test_what_came_to_nobody_is_not_lost(udp: Any) -> None:
    """The socket failed to be bound, or is closed; or it is another's."""
    udp.call(Bind, False, loose=True, sock="r", proto="udp", address="127.0.0.1:8080", errno="EADDRINUSE")
    assert udp.settled(udp.packet(True, 0, 5, flags=0)) == []
    udp.call(Bind, False, loose=True, sock="r", proto="udp", address="127.0.0.1:8080")
    udp.call(Bind, False, loose=True, sock="q", proto="udp", address="127.0.0.1:8081")
    udp.call(Close, False, loose=True, sock="r", conn=None)
    assert udp.settled(udp.packet(True, 0, 5, flags=0)) == []
    assert udp.settled(udp.packet(False, 0, 5, flags=0)) == []


def test_very_many_datagrams(udp: Any) -> None:
    """Only the last are remembered."""
    udp.call(Bind, False, loose=True, sock="r", proto="udp", address="127.0.0.1:8080")
    packets = [udp.packet(True, 0, 5, flags=0) for _ in range(1100)]
    assert udp.settled(packets[0]) == []
    assert udp.settled(packets[-1]) != []
