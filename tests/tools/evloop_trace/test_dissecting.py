"""Single packets of a file: which, and what the analysis says of each."""

from __future__ import annotations

import gzip
import importlib.util
import struct
import sys
from pathlib import Path

import pytest
from evloop_trace.dissecting import frames, parse_range
from evloop_trace.packets import segments
from evloop_trace.packets.capture_file import Capture, CaptureError
from evloop_trace.views.dissection import dissection
from evloop_trace.views.page import render
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SYN, PSH, ACK, FIN = 2, 8, 16, 1


@pytest.fixture(scope="module")
def wire():
    """The packet builders of the analysis' tests."""
    path = Path(__file__).with_name("packets") / "wire.py"
    spec = importlib.util.spec_from_file_location("dissecting_wire", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def take(tmp_path):
    """The packets with these numbers, of a file with these bytes."""

    def take(data, *numbers):
        path = tmp_path / "it.pcap"
        path.write_bytes(data)
        capture = Capture()
        return list(frames(str(path), [parse_range(number) for number in numbers], capture)), capture

    return take


@pytest.mark.parametrize(
    ("text", "numbers"), [("7", [7]), ("3-5", [3, 4, 5]), ("1-1", [1]), ("12-13", [12, 13])]
)
def test_numbers(text, numbers):
    """One, or from one to another."""
    assert list(parse_range(text)) == numbers


@pytest.mark.parametrize("text", ["", "0", "0-3", "5-4", "-3", "3-", "x", "1-2-3", "²", "1.5", "+1"])
def test_no_numbers(text):
    """A sentence with the word that is wrong."""
    with pytest.raises(ValueError, match="packet"):
        parse_range(text)


def test_packets_of_a_connection(take, wire):
    """Offsets, states, what is notable, and times: as the analysis of the whole file has them."""
    talk = wire.Talk().opened().c(PSH | ACK, b"hello").s(ACK).c(PSH | ACK, b"hello", seq=1001).s(FIN | ACK)
    found, _ = take(talk.pcap(), "1-7")
    assert [it.number for it in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [it.before is None for it in found] == [True] + 6 * [False]
    assert {it.first for it in found} == {found[0].time}
    roles = [it.role for it in found]
    assert [(it.client, it.place, it.begin, it.end, it.ack) for it in roles] == [
        (True, 1, 0, 0, None), (False, 1, 0, 0, 0), (True, 2, 0, 0, 0), (True, 3, 0, 5, 0),
        (False, 2, 0, 0, 5), (True, 4, 0, 5, 0), (False, 3, 0, 0, 5),
    ]  # fmt: skip
    assert (roles[0].before, roles[0].states) == (("CLOSED", "LISTEN"), ("SYN-SENT", "LISTEN"))
    assert roles[5].found & segments.SPURIOUS
    assert found[3].layers[-1].name == "payload"


def test_only_those_and_no_further(take, wire):
    """Several numbers, in the file's order; what is behind the last is not read."""
    talk = wire.Talk().opened().c(PSH | ACK, b"hello").s(ACK)
    found, capture = take(talk.pcap() + b"garbage", "4", "2-3", "2")
    assert [it.number for it in found] == [2, 3, 4]
    assert (capture.packets, capture.problems) == (4, [])
    found, capture = take(talk.pcap() + b"garbage", "5-9")
    assert [it.number for it in found] == [5]
    assert (capture.packets, len(capture.problems)) == (5, 1)


def test_datagrams_and_errors(take, wire):
    """A datagram has a place in its direction; an error is about the datagram it carries."""
    udp = wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5, 6, b"abc"))
    icmp = wire.ipv4("10.0.0.2", "10.0.0.1", 1, struct.pack(">BBHI", 3, 3, 0, 0) + udp)
    orphan = wire.ipv4(
        "10.0.0.2", "10.0.0.1", 1, struct.pack(">BBHI", 3, 3, 0, 0) + udp.replace(b"\0\5\0\6", b"\0\7\0\6")
    )
    found, _ = take(
        wire.pcap([(at, wire.ethernet(it)) for at, it in enumerate([udp, udp, icmp, orphan])]), "1-4"
    )
    assert [(it.role.begin, it.role.end) for it in found[:2]] == [(0, 3), (0, 3)]
    assert [it.role.place for it in found[:3]] == [1, 2, 0]
    assert (found[2].role.error, found[2].role.client) == ("port unreachable", True)
    assert (found[3].role, found[3].reason) == (None, "")


def test_what_a_tunnel_carries(take, wire):
    """The role is that of what is inside."""
    inside = wire.ethernet(wire.ipv4("10.1.0.1", "10.1.0.2", 6, wire.tcp(40000, 80, 7, 0, SYN)))
    vxlan = wire.udp(5000, 4789, b"\x08" + bytes(7) + inside)
    found, _ = take(wire.pcap([(1, wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, vxlan)))]), "1")
    assert found[0].role.wire.client == "10.1.0.1:40000"
    assert [it.name for it in found[0].layers][2:5] == ["UDP", "VXLAN", "Ethernet"]


def test_what_is_left_out(take, wire):
    """A packet in no connection says why."""
    found, _ = take(wire.pcap([(1, wire.ethernet(b"arp", 0x0806))]), "1")
    assert (found[0].role, found[0].reason) == (None, "neither IPv4 nor IPv6")
    found, _ = take(wire.pcap([(1, b"abc")], 147), "1")
    assert found[0].reason == "of a link type that cannot be read"


def test_comments_and_interfaces(take, wire):
    """Those of this packet, even if there are more before it than are kept."""
    frame = wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5, 6, b"abc")))
    many = [wire.enhanced(1, frame, 0, "<", wire.option(1, b"before")) for _ in range(30)]
    noted = wire.enhanced(5, frame, 1, "<", wire.option(1, b"one") + wire.option(1, "zwei ü".encode()))
    links = wire.interface(1) + wire.interface(1, options=wire.option(2, b"veth0"))
    found, _ = take(
        wire.section(options=wire.option(1, b"of the file")) + links + b"".join(many) + noted, "30-31"
    )
    assert [it.comments for it in found] == [("before",), ("one", "zwei ü")]
    assert [it.interface for it in found] == ["", "veth0"]


def test_numbers_are_those_of_wireshark(take, wire):
    """A packet that cannot be read has its number, too."""
    frame = wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5, 6, b"abc")))
    nowhere = wire.enhanced(2, frame, 9)
    good = wire.enhanced(3, frame)
    found, capture = take(wire.section() + wire.interface() + good + nowhere + good, "2-3")
    assert [it.number for it in found] == [3] == [it.role.number for it in found]
    assert capture.problems == ["packet 2 is of interface 9, which is not described: it is left out"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_file(take, wire, data):
    """Whatever the bytes, packed or not: packets that can be drawn, or our own error."""
    make = data.draw(st.sampled_from([wire.pcap, wire.pcapng]))
    content = bytearray(
        make(
            wire.random_talks(data.draw(st.integers(0, 9)), 1)[:5], data.draw(st.sampled_from([1, 101, 276]))
        )
    )
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(content))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found, capture = take(bytes(content), "1-2", "4")
    except CaptureError:
        return
    assert len(found) <= capture.packets
    for frame in found:
        assert all(it.isprintable() or it == "\n" for it in render(dissection(frame, "a", 80)))


def test_long_streams_and_what_was_before(take, wire):
    """Offsets go on beyond 2**32; a keep-alive stands one before what is expected."""
    talk = wire.Talk().opened().c(ACK, b"", seq=1000)
    for step in range(1, 6):
        talk.c(ACK, b"x", seq=(1001 + step * 2**30) & 0xFFFFFFFF)
    found, _ = take(talk.pcap(), "4-9")
    assert [it.role.begin for it in found] == [-1, *[step * 2**30 for step in range(1, 6)]]
