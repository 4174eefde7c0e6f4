"""A capture packet by packet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.segments import ACK, AGAIN, FIN, KEEP_ALIVE
from evloop_trace.packets.sightings import Sighting, Sightings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

MS = 1_000_000


def sight(wire: ModuleType, frames: list[tuple[int, bytes]], **how: Any) -> list[Sighting | None]:
    """What is seen in a capture of these frames."""
    sightings = Sightings()
    return [sightings.see(it) for it in read_packets(io.BytesIO(wire.pcap(frames, **how)).read, Capture())]


def ranges(seen: list[Sighting | None]) -> list[tuple[int, int, int | None]]:
    """Where each is in its stream, and what it acknowledges."""
    return [(it.begin, it.end, it.ack) for it in seen if it is not None]


def test_a_connection(wire: ModuleType) -> None:
    """Offsets count from the first byte behind the SYN, of both directions."""
    talk = wire.Talk().opened().c(ACK, b"hello").s(ACK, b"HELLO!").closed()
    seen = sight(wire, talk.frames)
    assert ranges(seen) == [
        (0, 0, None), (0, 0, 0), (0, 0, 0), (0, 5, 0), (0, 6, 5), (5, 5, 6), (6, 6, 6), (6, 6, 7),
    ]  # fmt: skip
    assert [it.number for it in seen] == list(range(1, 9))
    assert [it.client for it in seen][:5] == [True, False, True, True, False]
    assert seen[3].data == b"hello"
    assert (seen[2].before[1], seen[2].states[1]) == ("SYN-RECEIVED", "ESTABLISHED")
    it = seen[0].wire
    assert (it.client, it.server, it.proto, it.whole) == ("10.0.0.1:40000", "10.0.0.2:8080", "tcp", True)
    assert all(one.wire is it for one in seen)


def test_numbers_that_begin_again(wire: ModuleType) -> None:
    """Sequence numbers wrap, offsets do not; what is sent again keeps its place."""
    talk = wire.Talk(seqs=[2**32 - 4, 7]).opened()
    for _ in range(5):
        talk.c(ACK, b"x" * 10)
    talk.c(ACK, b"x" * 10, seq=2**32 - 3)
    seen = sight(wire, talk.frames)
    assert [it.begin for it in seen[3:]] == [0, 10, 20, 30, 40, 0]
    assert seen[-1].found & AGAIN


def test_very_long_streams(wire: ModuleType) -> None:
    """More than 2**32 bytes: each segment is near the highest place so far."""
    talk = wire.Talk(seqs=[0, 0]).opened()
    places = [step * 2**30 for step in range(1, 10)]
    for place in places:
        talk.c(ACK, b"x", seq=(place + 1) & 0xFFFFFFFF)
    seen = sight(wire, talk.frames)
    assert [it.begin for it in seen[3:]] == places


def test_keep_alive(wire: ModuleType) -> None:
    """It stands at a byte that was acknowledged."""
    talk = wire.Talk().opened().c(ACK, b"x").s(ACK)
    talk.c(ACK, seq=talk.seqs[0] - 1)
    last = sight(wire, talk.frames)[-1]
    assert (last.begin, last.end, bool(last.found & KEEP_ALIVE)) == (0, 0, True)


def test_the_middle(wire: ModuleType) -> None:
    """Without a SYN offsets count from what was seen first; an acknowledgment may be of more."""
    seen = sight(wire, wire.Talk().c(ACK, b"abc").s(ACK, b"de").c(FIN | ACK).frames)
    assert ranges(seen) == [(0, 3, 0), (0, 2, 3), (3, 3, 2)]
    assert not seen[0].wire.whole


def test_the_same_ports_again(wire: ModuleType) -> None:
    """Another connection with its own offsets."""
    talk = wire.Talk().opened().c(ACK, b"x").closed()
    talk.seqs = [900_000, 70]
    seen = sight(wire, talk.opened().c(ACK, b"yz").frames)
    assert (seen[-1].begin, seen[-1].end) == (0, 2)
    assert [it.wire.number for it in seen][-4:] == [1] * 4
    assert seen[0].wire.number == 0


@pytest.mark.parametrize("snap", [58, 54, 200])
def test_payloads_that_were_cut(wire: ModuleType, snap: int) -> None:
    """The length is the header's; of the bytes there are as many as were captured, 64 at most."""
    seen = sight(wire, wire.Talk().opened().c(ACK, bytes(range(100))).frames, snap=snap)
    assert (seen[-1].begin, seen[-1].end) == (0, 100)
    assert seen[-1].data == bytes(range(100))[: min(snap - 54, 64)]


def test_ipv6(wire: ModuleType) -> None:
    """Addresses as in event logs."""
    (first, *_) = sight(wire, wire.Talk(v6=True, client="fe80::1", server="::1").opened().frames)
    assert (first.wire.client, first.wire.server) == ("[fe80::1]:40000", "[::1]:8080")


def test_datagrams_and_errors(wire: ModuleType) -> None:
    """A datagram is [0, n); an ICMP error is of whoever sent what it is about; the rest is nothing."""

    def frame(source: str, target: str, protocol: int, payload: bytes) -> bytes:
        return wire.ethernet(wire.ipv4(source, target, protocol, payload))

    question = wire.udp(40000, 53, b"question")
    packet = wire.ipv4(wire.CLIENT, wire.SERVER, 17, question)
    frames = [
        frame(wire.CLIENT, wire.SERVER, 17, question),
        frame(wire.SERVER, wire.CLIENT, 17, wire.udp(53, 40000, b"")),
        frame(wire.SERVER, wire.CLIENT, 1, bytes([3, 3, 0, 0, 0, 0, 0, 0]) + packet),
        frame(wire.SERVER, wire.CLIENT, 47, b"gre"),
    ]
    seen = sight(wire, [(wire.START + at * MS, it) for at, it in enumerate(frames)])
    asked, answered, error, other = seen
    assert (asked.client, asked.end, asked.data, asked.wire.proto) == (True, 8, b"question", "udp")
    assert (answered.client, answered.end, answered.data) == (False, 0, b"")
    assert (error.client, error.error, error.sender) == (True, "port unreachable", wire.SERVER)
    assert (error.wire, other) == (asked.wire, None)
    assert asked.wire.whole is False


def tunnel(wire: ModuleType, packet: bytes) -> bytes:
    """An Ethernet frame of VXLAN with a packet in it."""
    vxlan = wire.udp(50000, 4789, b"\x08" + bytes(7) + wire.ethernet(packet))
    return wire.ethernet(wire.ipv4("192.0.2.1", "192.0.2.2", 17, vxlan))


def gre(wire: ModuleType, packet: bytes) -> bytes:
    """An Ethernet frame of GRE with a packet in it."""
    return wire.ethernet(wire.ipv4("192.0.2.1", "192.0.2.2", 47, b"\0\0\x08\0" + packet))


@pytest.mark.parametrize("wrap", [tunnel, gre])
def test_what_a_tunnel_carries(wire: ModuleType, wrap: Callable[[ModuleType, bytes], bytes]) -> None:
    """A packet is what is innermost, with its own payload; the datagram around it only counts."""
    inner = wire.CLIENT, wire.SERVER
    segment = wire.tcp(40000, 80, 7, 9, ACK, payload=b"inside", options=b"\1\1\1\1")
    frames = [
        wrap(wire, wire.ipv4(*inner, 6, segment)),
        wrap(wire, wire.ipv4(*inner, 17, wire.udp(40000, 53, b"question"))),
    ]
    sightings = Sightings()
    packets = read_packets(io.BytesIO(wire.pcap(list(enumerate(frames)))).read, Capture())
    first, second = [sightings.see(it) for it in packets]
    assert (first.wire.proto, first.wire.server, first.data) == ("tcp", "10.0.0.2:80", b"inside")
    assert (second.wire.proto, second.wire.server, second.data) == ("udp", "10.0.0.2:53", b"question")
    assert [first.place, second.place] == [1, 1]
    assert len(sightings.analysis) == 2 + (wrap is tunnel)


def test_what_a_tunnel_carries_and_nobody_knows(wire: ModuleType) -> None:
    """Then the packet is the datagram around it, with all that is in it."""
    (seen,) = sight(wire, [(1, tunnel(wire, wire.ipv4(wire.CLIENT, wire.SERVER, 99, b"?")))])
    assert (seen.wire.server, seen.end, len(seen.data)) == ("192.0.2.2:4789", 8 + 14 + 20 + 1, 43)


def test_numbers_of_the_file(wire: ModuleType) -> None:
    """Who knows of packets that could not be read says which one it is."""
    sightings = Sightings()
    packets = read_packets(io.BytesIO(wire.pcap(wire.Talk().opened().frames)).read, Capture())
    seen = [sightings.see(packet, number) for packet, number in zip(packets, (3, 0, 9), strict=True)]
    assert [(it.number, it.place, it.client) for it in seen] == [(3, 1, True), (4, 1, False), (9, 2, True)]


def test_little_is_kept(wire: ModuleType) -> None:
    """Of short streams no highest place is needed."""
    sightings = Sightings()
    frames = [it for port in range(100) for it in wire.Talk(2000 + port).opened().c(ACK, b"x").frames]
    for it in read_packets(io.BytesIO(wire.pcap(frames)).read, Capture()):
        sightings.see(it)
    assert sightings._highs == {}
