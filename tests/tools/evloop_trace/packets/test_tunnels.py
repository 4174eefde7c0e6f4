"""Packets inside packets: the inner connection is found, and damage finds nothing."""

from __future__ import annotations

import struct

import pytest
from evloop_trace.packets.decode import Reason

OUT, BACK = "192.0.2.1", "192.0.2.2"
SYN = 2


@pytest.fixture
def inside(wire):
    """An IPv4 packet with a SYN."""
    return wire.ipv4("10.0.0.1", "10.0.0.2", 6, wire.tcp(40000, 8080, 1000, 0, SYN))


def gre(flags, version, kind, rest):
    """A header and what follows it."""
    return struct.pack(">BBH", flags, version, kind) + rest


GRE = {
    "plain": lambda _, it: gre(0, 0, 0x0800, it),
    "with checksum, key and number": lambda _, it: gre(0xB0, 0, 0x0800, b"cccckkkknnnn" + it),
    "a frame": lambda wire, it: gre(0, 0, 0x6558, wire.ethernet(it)),
    "PPTP": lambda _, it: gre(0x30, 0x81, 0x880B, b"kkkknnnnaaaa\xff\x03\0\x21" + it),
    "PPTP that acknowledges nothing": lambda _, it: gre(0x30, 1, 0x880B, b"kkkknnnn\0\x21" + it),
}


@pytest.mark.parametrize("name", GRE)
def test_gre(wire, look, inside, name):
    """With what is in its header or not."""
    packet = wire.ipv4(OUT, BACK, 47, GRE[name](wire, inside))
    only = look(wire.pcap([(wire.START, wire.ethernet(packet))])).only
    assert (only.client, only.server, only.packets) == (("10.0.0.1", 40000), ("10.0.0.2", 8080), (1, 0))


@pytest.mark.parametrize(
    "body", [b"", b"\0\0\x08", gre(0, 2, 0x0800, b""), gre(0, 0, 0x1234, b"x" * 40), gre(0, 1, 0x0800, b"")]
)
def test_gre_without_ip(wire, look, body):
    """A header that is cut off, of another version, or with something else in it."""
    found = look(wire.pcap([(wire.START, wire.ethernet(wire.ipv4(OUT, BACK, 47, body)))]))
    assert not found.summaries
    assert found.analysis.left_out == {Reason.TRANSPORT: 1}


def geneve(options, kind, rest):
    """A header with so many words of options."""
    return struct.pack(">BBHI", options, 0, kind, 7 << 8) + b"opt!" * options + rest


V6 = "2001:db8::1", "2001:db8::2"
UDP = {
    "VXLAN": (4789, lambda wire, it: b"\x08\0\0\0\0\0\7\0" + wire.ethernet(it)),
    "Geneve": (6081, lambda wire, it: geneve(0, 0x6558, wire.ethernet(it))),
    "Geneve with options": (6081, lambda _, it: geneve(2, 0x0800, it)),
    "GTP": (2152, lambda _, it: b"\x30\xff\0\0\0\0\0\1" + it),
    "GTP with a number": (2152, lambda _, it: b"\x32\xff\0\0\0\0\0\1\0\7\0\0" + it),
    "GTP with extensions": (2152, lambda _, it: b"\x34\xff\0\0\0\0\0\1\0\0\0\x85\1xx\xc0\1xx\0" + it),
    "a tunnel in a tunnel": (4789, lambda wire, it: b"\x08\0\0\0\0\0\7\0" + wire.ethernet(
        wire.ipv4(OUT, BACK, 17, wire.udp(1, 2152, b"\x30\xff\0\0\0\0\0\1" + it)))),
}  # fmt: skip


@pytest.mark.parametrize("name", UDP)
@pytest.mark.parametrize("swap", [False, True])
def test_over_udp(wire, look, inside, name, swap):
    """The datagram is counted, and so is what it carries; whichever end has the tunnel's port."""
    port, wrap = UDP[name]
    ports = (port, 50000) if swap else (50000, port)
    packet = wire.ipv4(OUT, BACK, 17, wire.udp(*ports, wrap(wire, inside)))
    *outer, inner = look(wire.pcap([(wire.START, wire.ethernet(packet))])).summaries
    assert {it.proto for it in outer} == {"udp"}
    assert (inner.proto, inner.client, inner.server) == ("tcp", ("10.0.0.1", 40000), ("10.0.0.2", 8080))


@pytest.mark.parametrize(
    "before",
    [b"", b"\0\0origin", b"\0\1\1\1iaNONCE123-\0\0origin"],
)
def test_teredo(wire, look, before):
    """IPv6 behind an authentication, an origin, or nothing."""
    packet = wire.ipv6(*V6, 6, wire.tcp(40000, 8080, 1000, 0, SYN))
    frame = wire.ethernet(wire.ipv4(OUT, BACK, 17, wire.udp(50000, 3544, before + packet)))
    _, inner = look(wire.pcap([(wire.START, frame)])).summaries
    assert (inner.client, inner.server) == ((V6[0], 40000), (V6[1], 8080))


@pytest.mark.parametrize(
    ("port", "body"),
    [
        (4789, b"\x08\0\0"), (4789, b"\0" * 60), (6081, b"\0\0\x08"), (6081, b"\xc0" + b"\0" * 40),
        (2152, b"\x30\xff"), (2152, b"\x30\1" + b"\0" * 40), (2152, b"\x50\xff" + b"\0" * 40),
        (2152, b"\x34\xff\0\0\0\0\0\1\0\0\0\x85\xff" + b"x" * 30),
        (2152, b"\x30\xff\0\0\0\0\0\1" + b"\x70" * 9), (2152, b"\x34\xff\0\0\0\0\0\1\0\0\0\0"),
        (2152, b"\x30\xff\0\0\0\0\0\1\x45" + b"\0" * 10), (3544, b""), (3544, b"\x40" * 20),
        (4789, b"\x08" + b"\0" * 20),
    ],
)  # fmt: skip
def test_udp_without_a_tunnel(wire, look, port, body):
    """What is cut off, or something else on a tunnel's port, is a datagram like any other."""
    frame = wire.ethernet(wire.ipv4(OUT, BACK, 17, wire.udp(50000, port, body)))
    found = look(wire.pcap([(wire.START, frame)]))
    assert (found.only.proto, found.only.bytes) == ("udp", (len(body), 0))
    assert not found.analysis.left_out


def test_tunnels_in_tunnels_end(wire, look, inside):
    """However deep they go."""
    packet = inside
    for _ in range(40):
        packet = wire.ipv4(OUT, BACK, 17, wire.udp(50000, 2152, b"\x30\xff\0\0\0\0\0\1" + packet))
    found = look(wire.pcap([(wire.START, wire.ethernet(packet))])).summaries
    assert {it.proto for it in found} == {"udp"}
