"""Datagrams are told by addresses, length, bytes and order."""

from __future__ import annotations

import pytest
from evloop_trace.correlate import datagrams
from evloop_trace.correlate.datagrams import Datagrams
from evloop_trace.correlate.ends import Joined, Origin

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


class Wire:
    """A server's socket, and who sends to it."""

    def __init__(self, server: str = THERE) -> None:
        self.datagrams = Datagrams()
        self.datagrams.at("server", server)
        self.number = 0

    def send(self, data: bytes, n: int | None = None, sock: str = "client", to: str = THERE) -> Joined | None:
        """The next datagram."""
        self.number += 1
        origin = Origin("sendto", "", self.number, self.number)
        return self.datagrams.sent(sock, to, len(data) if n is None else n, data, origin)

    def recv(self, data: bytes, n: int | None = None, source: str = HERE, **more: bool) -> list[int]:
        """The numbers of what it was from."""
        joined = Joined(1000, 1, peeked=more.get("peeked", False))
        size = len(data) if n is None else n
        self.datagrams.came("server", source, size, data, joined, cut=more.get("cut", False))
        return [origin.seq for origin in joined.origins]


def test_the_first_that_is_the_same() -> None:
    """Same bytes: in order. Other bytes, other lengths: another. One that was lost is nobody's."""
    wire = Wire()
    for data in (b"a", b"lost", b"b", b"b"):
        wire.send(data)
    assert [wire.recv(data) for data in (b"a", b"b", b"b", b"b")] == [[1], [3], [4], []]


def test_recv_does_not_tell_who_sent() -> None:
    """Nor does the sender know its own address then; the next time it is told."""
    wire = Wire()
    wire.send(b"a")
    wire.send(b"b")
    wire.datagrams.at("bound", "127.0.0.1:9")
    wire.send(b"c", sock="bound")
    assert [wire.recv(data, source="") for data in (b"x", b"a")] == [[], [1]]
    assert wire.recv(b"b") == [2]
    assert [wire.recv(b"c"), wire.recv(b"c", source="")] == [[], [3]]


def test_only_a_beginning_is_known() -> None:
    """Of one log, or of neither; a receiver that took too few bytes got the first of them."""
    wire = Wire()
    wire.send(b"", 9)
    wire.send(b"abc", 100)
    assert wire.recv(b"abcd", 100) == [2]
    wire.send(b"abcdef")
    assert wire.recv(b"abc", cut=True) == [1]
    assert wire.recv(b"abcd", cut=True) == [3]


def test_who_peeks_leaves_it() -> None:
    """MSG_PEEK; and nothing waits for what was peeked at."""
    wire = Wire()
    assert wire.recv(b"a", peeked=True) == []
    wire.send(b"a")
    assert [wire.recv(b"a", peeked=True), wire.recv(b"a"), wire.recv(b"a")] == [[1], [1], []]


def test_two_senders() -> None:
    """Each is known by its address from its first datagram on."""
    wire = Wire()
    wire.send(b"a", sock="one")
    assert wire.recv(b"a", source="127.0.0.1:1") == [1]
    wire.send(b"b", sock="one")
    wire.send(b"b", sock="two")
    assert wire.recv(b"b", source="127.0.0.1:2") == [3]
    assert wire.recv(b"b", source="127.0.0.1:1") == [2]


@pytest.mark.parametrize("bound", ["0.0.0.0:8080", "[::]:8080"])
def test_a_server_of_no_host_in_particular(bound: str) -> None:
    """It is bound to all of the machine's addresses; but not to another's port, or another host."""
    wire = Wire(bound)
    wire.send(b"a")
    wire.send(b"b", to="127.0.0.1:9")
    assert wire.recv(b"a") == [1]
    assert wire.recv(b"b") == []
    other = Wire("127.0.0.2:8080")
    other.send(b"a")
    assert other.recv(b"a") == []


def test_what_came_before_its_sendto_returned() -> None:
    """The first that waits and is the same; never one that came before it was sent."""
    wire = Wire()
    assert wire.recv(b"a") == wire.recv(b"b") == []
    wire.number = 5000
    assert wire.send(b"b") is None
    wire.number = 5
    assert wire.send(b"b") is not None
    assert wire.send(b"b") is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports at which datagrams wait are not more than a number."""
    monkeypatch.setattr(datagrams, "WAITING", 2)
    wire = Wire()
    for port in (8080, 1, 2):
        wire.send(b"a", to=f"127.0.0.1:{port}")
    assert wire.recv(b"a") == []
