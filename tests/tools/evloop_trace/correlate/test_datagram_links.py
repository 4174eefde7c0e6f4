"""Datagrams between calls and packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from evloop.events.schema import Bind, Close, Connect, Recvfrom, Sendto

if TYPE_CHECKING:
    from conftest import Loom
    from evloop_trace.correlate.datagram_links import DatagramLinks

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:5353"
LATER = 10_000_000


def wire(loom: Loom, client: str = HERE, server: str = THERE) -> Any:
    """What goes between two addresses."""
    return loom.new_wire(client, server, proto="udp", whole=False)


def bind(loom: Loom, sock: str = "u2", address: str = THERE, **more: Any) -> None:
    """A server's socket."""
    loom.call(Bind, sock=sock, proto="udp", address=address, client=False, **more)


def sendto(loom: Loom, n: int | None, sock: str = "u1", peer: str = THERE, **more: Any) -> Any:
    """A datagram goes out."""
    return loom.call(Sendto, sock=sock, n=n, peer=peer, client=sock == "u1", **more)


def recvfrom(loom: Loom, n: int | None, sock: str = "u2", peer: str | None = HERE, **more: Any) -> Any:
    """One comes in."""
    return loom.call(Recvfrom, sock=sock, n=n, peer=peer, client=sock == "u1", **more)


def numbers(call: Any) -> list[int]:
    """The packets of a call."""
    return [it.number for it in call.packets]


def test_there_and_back(loom: Loom) -> None:
    """A question and its answer; nobody told the client's address."""
    bind(loom)
    it = wire(loom)
    question = sendto(loom, 5)
    loom.packet(True, 0, 5, wire=it)
    got = recvfrom(loom, 5)
    answer = sendto(loom, 6, "u2", HERE)
    packet = loom.packet(False, 0, 6, wire=it)
    back = recvfrom(loom, 6, "u1", THERE)
    assert [numbers(call) for call in (question, got, answer, back)] == [[1], [1], [2], [2]]
    assert [call.client for call in (question, got, answer, back)] == [True, False, False, True]
    assert {call.trust for call in (question, got, answer, back)} == {"inferred"}
    assert (packet.strand.names, packet.strand.trust) == (("u1", "u2"), "inferred")
    assert all(loom.settle(entry) == entry.trust for entry in loom.entries)


def test_recv_of_a_socket_that_is_not_connected(loom: Loom) -> None:
    """It does not tell who sent: length, bytes and the own address do; what never came is not matched."""
    bind(loom)
    sent = sendto(loom, 5, data=b"hello")
    loom.packet(True, 0, 5, wire=wire(loom), data=b"hello")
    others = [recvfrom(loom, 5, peer="", data=b"HELLO"), recvfrom(loom, 6, peer="", data=b"hello!")]
    got = recvfrom(loom, 5, peer="", data=b"hello")
    loom.call(Close, sock="u2", client=False)
    assert (numbers(sent), numbers(got), got.trust) == ([1], [1], "inferred")
    assert [(numbers(it), loom.settle(it)) for it in others] == [([], "unmatched")] * 2
    bind(loom, "u3", "127.0.0.1:9")
    elsewhere = recvfrom(loom, 5, "u3", "", data=b"hello")
    assert loom.settle(elsewhere) == ""


def test_very_many_closed_sockets(loom: Loom) -> None:
    """The addresses of the last are remembered."""
    for number in range(1030):
        bind(loom, f"u-{number}")
        loom.call(Close, sock=f"u-{number}", client=False)
    assert len(loom.weaver._datagrams._gone) == 1024


def test_a_call_that_took_its_time(loom: Loom) -> None:
    """It stands where it returned, behind its packet."""
    packet = loom.packet(True, 0, 5, wire=wire(loom))
    other = loom.packet(True, 0, 7, wire=wire(loom))
    late = sendto(loom, 5, t=loom.t + LATER)
    call = sendto(loom, 5, t=packet.t - 5_000, dur=LATER, at=loom.t)
    assert (numbers(call), late.packets, other.causes) == ([1], [], [])


def test_several_alike(loom: Loom) -> None:
    """The first that was sent is the first that was seen, and the first that is read; a peek leaves it."""
    bind(loom)
    it = wire(loom)
    sent = [sendto(loom, 4), sendto(loom, 4)]
    for _ in range(2):
        loom.packet(True, 0, 4, wire=it)
    got = [recvfrom(loom, 4, flags=flags) for flags in ("MSG_PEEK", "", "")]
    assert [numbers(call) for call in sent + got] == [[1], [2], [1], [1], [2]]


@pytest.mark.parametrize("truncated", [True, False])
def test_cut(loom: Loom, truncated: bool) -> None:
    """Fewer bytes were received than sent, whether the call could tell or not."""
    bind(loom)
    loom.packet(True, 0, 9, wire=wire(loom), data=b"truncated")
    assert recvfrom(loom, 4, data=b"runc", truncated=truncated).packets == []
    assert numbers(recvfrom(loom, 4, data=b"trun", truncated=truncated)) == [1]


def test_what_is_missing(loom: Loom) -> None:
    """Of a port that the capture knows, what is not there is missing; of others it says nothing."""
    bind(loom)
    lost = sendto(loom, 5)
    elsewhere = sendto(loom, 5, peer="127.0.0.1:9")
    loom.packet(True, 0, 6, wire=wire(loom))
    assert (loom.settle(lost), loom.settle(elsewhere)) == ("unmatched", "")
    assert loom.settle(lost, (0, 10)) == "unmatched"
    early = sendto(loom, 5, t=1)
    assert loom.settle(early, (LATER, 1 << 64)) == ""
    it = wire(loom, "127.0.0.1:40001")
    first = sendto(loom, 1, "u3")
    loom.packet(True, 0, 1, wire=it)
    stray = loom.packet(True, 0, 2, wire=it)
    assert (first.strand.names[0], loom.settle(stray)) == ("u3", "unmatched")
    assert loom.settle(loom.packet(True, wire=it, error="port unreachable")) == ""


def test_who_is_where(loom: Loom) -> None:
    """A socket without an address, or one that is closed, gets nothing; one of any host gets its port's."""
    bind(loom, errno="EADDRINUSE")
    loom.packet(True, 0, 5, wire=wire(loom))
    assert recvfrom(loom, 5).packets == []
    bind(loom, address="0.0.0.0:5353")
    assert numbers(recvfrom(loom, 5)) == [1]
    loom.packet(True, 0, 5, wire=wire(loom))
    loom.call(Close, sock="u2", client=False)
    assert recvfrom(loom, 5).packets == []


def test_refused(loom: Loom) -> None:
    """A connected socket is told what ICMP said of its last datagram, by the next call and once."""
    loom.call(Connect, sock="u1", peer=THERE, local=HERE, client=True)
    loom.call(Connect, sock="u9", peer=THERE, local=None, client=True)
    it = wire(loom)
    sendto(loom, 5)
    loom.packet(True, 0, 5, wire=it)
    error = loom.packet(True, wire=it, error="port unreachable")
    assert recvfrom(loom, None, "u1", None, errno="EAGAIN").packets == []
    told = recvfrom(loom, None, "u1", None, errno="ECONNREFUSED")
    assert (numbers(told), told.trust, told.strand) == ([2], "inferred", error.strand)
    assert sendto(loom, None, errno="ECONNREFUSED").packets == []
    for port in range(2000):
        loom.packet(True, wire=wire(loom, f"127.0.0.1:{port}"), error="port unreachable")
    assert len(loom.weaver._datagrams._errors) == 1024


def test_very_many(loom: Loom) -> None:
    """Only so many wait at a port, and at so many ports."""
    for port in range(1200):
        sendto(loom, 5, peer=f"127.0.0.1:{port}")
    for _ in range(300):
        sendto(loom, 5, peer="127.0.0.1:1199")
    cards: DatagramLinks = loom.weaver._datagrams
    assert len(cards._sent._ports) == 1024
    assert len(cards._sent._ports["1199"]) == 256
