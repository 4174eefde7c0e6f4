"""Link layers and IP headers: the same datagram, whatever is around it."""

from __future__ import annotations

import io
import struct

import pytest
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.decode import Datagram, Reason, decode, ports
from evloop_trace.packets.links import link_of
from evloop_trace.packets.sightings import Sightings
from evloop_trace.packets.summary import summarize

ACK, SYN = 16, 2
V4, V6 = ("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")


def segment(wire):
    """A segment with five bytes."""
    return wire.tcp(1234, 80, 7, 9, ACK, payload=b"hello")


def around(number, packet, v6):
    """A packet in a frame of this link type."""
    kind = 0x86DD if v6 else 0x0800
    family = 10 if v6 else 2
    return {
        0: struct.pack("<I", family),
        9: struct.pack(">H", 0x57 if v6 else 0x21),
        12: b"", 14: b"", 101: b"", 228: b"", 229: b"",
        104: b"\x0f\0" + struct.pack(">H", kind),
        50: b"\xff\x03" + struct.pack(">H", 0x57 if v6 else 0x21),
        108: struct.pack(">I", 30 if v6 else 2),
        113: b"\0" * 14 + struct.pack(">H", kind),
        276: struct.pack(">H", kind) + b"\0" * 18,
        1: b"\0" * 12 + struct.pack(">H", kind),
    }[number] + packet  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 9, 12, 14, 50, 101, 104, 108, 113, 228, 229, 276])
@pytest.mark.parametrize("v6", [False, True])
def test_link_types(wire, look, number, v6):
    """Each finds the connection; bytes behind the datagram are padding."""
    hosts, make = (V6, wire.ipv6) if v6 else (V4, wire.ipv4)
    frame = around(number, make(*hosts, 6, segment(wire)), v6) + b"padding"
    for stories in (0, 1):
        only = look(wire.pcap([(wire.START, frame)], number), stories).only
        assert (only.client, only.server) == ((hosts[0], 1234), (hosts[1], 80))
        assert only.bytes == (5, 0)


def test_null_of_the_other_order(wire, look):
    """The family is in the order of the machine that captured, whichever that was."""
    frame = struct.pack(">I", 2) + wire.ipv4(*V4, 6, segment(wire))
    assert look(wire.pcap([(1, frame)], 0)).only.bytes == (5, 0)
    assert look(wire.pcap([(1, b"\0\0\0\x63" + frame)], 0)).analysis.left_out == {Reason.NETWORK: 1}


@pytest.mark.parametrize(
    "tags",
    [
        struct.pack(">HH", 0x8100, 5),
        struct.pack(">HHHH", 0x88A8, 5, 0x8100, 6),
        struct.pack(">HHHHHH", 0x9100, 1, 0x9200, 2, 0x8100, 3),
    ],
)
def test_vlan(wire, look, tags):
    """One tag or several."""
    frame = wire.ethernet(wire.ipv4(*V4, 6, segment(wire)), tags=tags)
    assert look(wire.pcap([(1, frame)])).only.bytes == (5, 0)


def test_other_wrappings(wire, look):
    """PPPoE, MPLS, SNAP, and IP in IP."""
    packet, packet6 = wire.ipv4(*V4, 6, segment(wire)), wire.ipv6(*V6, 6, segment(wire))
    length = struct.pack(">H", len(packet) + 8)
    frames = [
        wire.ethernet(b"\x11\0\0\1" + length + b"\0\x21" + packet, 0x8864),
        wire.ethernet(struct.pack(">II", 0x00010040, 0x00020140) + packet, 0x8847),
        wire.ethernet(b"\xaa\xaa\3\0\0\0\x08\0" + packet, len(packet) + 8),
        wire.ethernet(wire.ipv4("9.9.9.9", "8.8.8.8", 4, packet)),
        wire.ethernet(wire.ipv4("9.9.9.9", "8.8.8.8", 41, packet6)),
        wire.ethernet(wire.ipv6(*V6, 4, packet)),
    ]
    for frame in frames:
        assert look(wire.pcap([(1, frame)])).only.bytes == (5, 0)


def test_wrapped_too_deep(wire, look):
    """IP in IP ends somewhere."""
    packet = wire.ipv4(*V4, 6, segment(wire))
    for _ in range(9):
        packet = wire.ipv4("9.9.9.9", "8.8.8.8", 4, packet)
    assert look(wire.pcap([(1, wire.ethernet(packet))])).analysis.left_out == {Reason.DAMAGED: 1}


@pytest.mark.parametrize("number", [0, 1, 9, 50, 101, 113, 276])
def test_frames_too_short_for_their_header(wire, look, number):
    """They are of no network."""
    found = look(wire.pcap([(1, b"\xff\x03")], number)).analysis.left_out
    assert found == {Reason.NETWORK: 1}


def test_wrappings_too_short(wire, look):
    """So are those cut inside of what is around them."""
    for frame in [
        wire.ethernet(b"\0\1", 0x8100),
        wire.ethernet(b"\0\1\0", 0x8847),
        wire.ethernet(b"\0\1\1\1\0", 0x8847),
        wire.ethernet(b"\0\1\0\1", 0x8864),
        wire.ethernet(b"\xaa\xaa\3\0\0\0", 6),
    ]:
        assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.NETWORK: 1}


def test_unknown_link():
    """Nothing is found in it, and it says so."""
    link = link_of(147)
    assert not link.known
    assert decode(link, b"x" * 60, 0, 60, 60) is Reason.LINK
    assert link.locate(b"x", 0, 1) == (0, 0)


def test_unknown_link_in_a_file(wire, look):
    """Its packets are left out."""
    assert look(wire.pcap([(1, b"x" * 60)], 147)).analysis.left_out == {Reason.LINK: 1}


def test_ipv4_options_and_offload(wire, look):
    """Options move the ports; a length of 0 is that of the frame."""
    frames = [
        wire.ethernet(wire.ipv4(*V4, 6, segment(wire), options=b"\1\1\1\1\x94\4\0\0")),
        wire.ethernet(wire.ipv4(*V4, 6, segment(wire), total=0)),
    ]
    for frame in frames:
        assert look(wire.pcap([(1, frame)])).only.bytes == (5, 0)
    large = wire.tcp(1, 2, 0, 0, ACK, payload=b"x" * 65483)
    assert look(wire.pcap([(1, wire.ethernet(wire.ipv4(*V4, 6, large)))], snap=100)).only.bytes == (65483, 0)


@pytest.mark.parametrize("total", [10, 19])
def test_ipv4_lies(wire, look, total):
    """A datagram shorter than its header."""
    frame = wire.ethernet(wire.ipv4(*V4, 6, segment(wire), total=total))
    assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.DAMAGED: 1}


def test_versions_that_do_not_fit(wire, look):
    """The EtherType says one, the header another."""
    four, six = wire.ipv4(*V4, 6, segment(wire)), wire.ipv6(*V6, 6, segment(wire))
    for frame in (wire.ethernet(six, 0x0800), wire.ethernet(four, 0x86DD)):
        assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.DAMAGED: 1}
    assert look(wire.pcap([(1, wire.ethernet(four[:12] + b"", 0x0800))])).analysis.left_out == {Reason.CUT: 1}
    assert look(wire.pcap([(1, wire.ethernet(six[:30], 0x86DD))])).analysis.left_out == {Reason.CUT: 1}


def test_ipv6_extensions(wire, look):
    """Each with its own way to say how long it is."""
    # Hop by hop, destination, authentication, routing, and an atomic fragment, which is all of it.
    chain = (
        bytes([60, 0]) + b"\0" * 6
        + bytes([51, 1]) + b"\0" * 14
        + bytes([43, 1]) + b"\0" * 10
        + bytes([44, 0]) + b"\0" * 6
        + bytes([6, 0, 0, 0]) + b"\0" * 4
    )  # fmt: skip
    frame = wire.ethernet(wire.ipv6(*V6, 0, segment(wire), extensions=chain))
    assert look(wire.pcap([(1, frame)])).only.bytes == (5, 0)
    fragment = bytes([6, 0, 0, 1]) + b"\0" * 4
    frame = wire.ethernet(wire.ipv6(*V6, 44, segment(wire), extensions=fragment))
    assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.FRAGMENT: 1}
    frame = wire.ethernet(wire.ipv6(*V6, 60, b"\6\0\0"))
    assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.CUT: 1}
    frame = wire.ethernet(wire.ipv6(*V6, 60, b"\6\x09" + b"\0" * 30))
    assert look(wire.pcap([(1, frame)])).analysis.left_out == {Reason.DAMAGED: 1}
    frame = wire.ethernet(wire.ipv6(*V6, 6, segment(wire), length=0))
    assert look(wire.pcap([(1, frame)])).only.bytes == (5, 0)


def test_ppp_with_another_address(wire, look):
    """The plainest frame begins with address and control; one that does not is no frame of ours."""
    packet = wire.ipv4(*V4, 6, segment(wire))
    found = look(wire.pcap([(1, b"\xff\x03\x00\x21" + packet), (2, b"\x0f\x00\x00\x21" + packet)], 50))
    assert found.only.packets == (1, 0)
    assert found.analysis.left_out == {Reason.NETWORK: 1}


@pytest.mark.parametrize("v6", [False, True])
def test_options_end_with_the_datagram(wire, v6):
    """A header that claims to be longer has no options from behind it, however the packet is looked at."""
    capable = b"\x1e\x0c\0\x81" + bytes(8)
    dss = b"\x1e\x10" + bytes(14)
    frames = []
    talk = wire.Talk(v6=v6, client=V6[0] if v6 else V4[0], server=V6[1] if v6 else V4[1])
    talk.c(SYN, options=capable).s(SYN | ACK, options=capable).c(ACK).s(ACK, options=dss)
    for cut in range(20):
        frames = list(talk.frames)
        time, first = frames[0]
        short = bytearray(first)
        at = 18 if v6 else 16  # the length in the IP header
        short[at : at + 2] = (int.from_bytes(short[at : at + 2], "big") - cut).to_bytes(2, "big")
        frames[0] = time, bytes(short)
        packets = list(read_packets(io.BytesIO(wire.pcap(frames)).read, Capture()))
        plain, careful = Analysis(), Sightings()
        plain.feed(packets)
        for packet in packets:
            careful.see(packet)
        found = [[summarize(conn) for conn in it.connections()] for it in (plain, careful.analysis)]
        assert found[0] == found[1], cut


def test_decode_and_ports(wire):
    """What a datagram is, by itself."""
    frame = wire.ethernet(wire.ipv4(*V4, 17, wire.udp(5, 6, b"abc")))
    found = decode(link_of(1), frame, 0, len(frame), len(frame))
    assert isinstance(found, Datagram)
    assert (found.version, found.protocol, found.size, found.at) == (4, 17, 11, 34)
    assert ports(b"\0" * 8 + b"\1\2\3\4") == (0x102, 0x304)


@pytest.mark.parametrize(
    "header",
    [
        b"\x8f\0\x08\0",
        b"\x02\x81\0\x01\x01\x40",
        b"\xff\x03\x02\x83\0\x01\0\x40\0\x01\x01\x40",
        b"\x0f\0\x88\x47\0\x01\x01\x40",
    ],
)
def test_serial_lines(wire, look, header):
    """Cisco's HDLC on a line that should have PPP, and MPLS over both."""
    frame = header + wire.ipv4(*V4, 6, segment(wire))
    assert look(wire.pcap([(1, frame)], 9)).only.bytes == (5, 0)
    assert look(wire.pcap([(1, header[:3])], 9)).analysis.left_out == {Reason.NETWORK: 1}


def test_multipath_counts_from_the_handshake(wire, look):
    """A SYN ACK knows of the SYN's options, so what the server says again is a duplicate ACK."""
    capable = b"\x1e\x0c\0\x81" + bytes(8)
    talk = wire.Talk().c(SYN, options=capable).s(SYN | ACK, options=capable).c(ACK).s(ACK)
    assert look(talk.pcap()).only.dup_acks == (0, 1)
