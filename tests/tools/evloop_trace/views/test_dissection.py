"""A packet in full: readable at any width, and nothing in it reaches the terminal as it is."""

from __future__ import annotations

import msgspec
import pytest
from evloop_trace.packets import segments
from evloop_trace.packets.dissected import Frame, Layer
from evloop_trace.packets.sightings import Sighting, Wire
from evloop_trace.views.cells import width_of
from evloop_trace.views.dissection import dissection
from evloop_trace.views.page import render

START = 1_700_000_000_123_456_789
DATA = bytes(range(14)) + b"hello la \xe5\x93\x88"
LAYERS = (
    Layer("Ethernet", 0, 14, (("dst", "00:01:02:03:04:05"), ("src", "06:07:08:09:0a:0b"), ("type", "IPv4"))),
    Layer("payload", 14, 26, ()),
)
WIRE = Wire(0, "tcp", "10.0.0.1:5", "[fd00::2]:80", whole=True)
ROLE = Sighting(4, START, WIRE, True, place=3, end=12, ack=7, before=("A", "B"), states=("A", "C"))
FRAME = Frame(4, START + 2_000_000, START, START + 500, DATA, 26, 1, "lo", ("a note",), LAYERS, ROLE, "")


def drawn(frame=FRAME, width=80, **options):
    """As text."""
    return render(dissection(frame, "a.pcapng", width), **options)


def test_all_of_it():
    """When, how long, where, which connection, each field, each byte."""
    assert (
        drawn()
        == """
── packet 4 of a.pcapng ────────────────────────────────────────────────────────
time        2023-11-14 22:13:20.125456789 UTC
            2.0 ms after the first packet, 2.0 ms after the one before
length      26 B on the wire, all of it kept
interface   lo
comment     a note
connection  tcp 10.0.0.1:5 → [fd00::2]:80
            packet 3 from the client: 12 B [0,12), ack 7
states      client A, server B → C
Ethernet  14 B [0,14)
  dst 00:01:02:03:04:05     src 06:07:08:09:0a:0b     type IPv4
payload  12 B [14,26)  "hello la 哈"

0000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 68 65  ··············he
0010  6c 6c 6f 20 6c 61 20 e5  93 88                    llo la ···
"""
    )


def test_other_words():
    """The first packet, one that was cut, one that goes back in time, retransmissions, errors, no role."""
    text = drawn(FRAME._replace(number=1, before=None))
    assert "after the" not in text
    text = drawn(FRAME._replace(number=2, time=START - 1, before=START, wire=99, interface="", comments=()))
    assert "1 ns before the first packet\n" in text
    assert "99 B on the wire, the first 26 kept" in text
    assert "interface" not in text
    assert "  fast retransmission\n" in drawn(
        FRAME._replace(role=msgspec.structs.replace(ROLE, found=segments.FAST))
    )
    assert "  window update\n" in drawn(
        FRAME._replace(role=msgspec.structs.replace(ROLE, found=segments.UPDATE))
    )
    error = msgspec.structs.replace(ROLE, error="port unreachable", client=False)
    assert "  ICMP port unreachable: about what the server sent\n" in drawn(FRAME._replace(role=error))
    quiet = Sighting(1, START, Wire(0, "udp", "1.1.1.1:5", "2.2.2.2:80", whole=False), False, place=1, end=9)
    assert "  packet 1 from the server: 9 B\n" in drawn(FRAME._replace(role=quiet))
    assert "analysis    left out, as packets neither IPv4 nor IPv6 are" in drawn(
        FRAME._replace(role=None, reason="neither IPv4 nor IPv6")
    )
    assert "an ICMP error about nothing" in drawn(FRAME._replace(role=None))


@pytest.mark.parametrize("time", [-(10**30), 10**30, 253402300800 * 10**9])
def test_times_that_no_calendar_has(time):
    """A file may claim anything."""
    assert f"{time // 10**9}.{time % 10**9:09} s since 1970" in drawn(FRAME._replace(time=time))


def test_fields_in_columns():
    """Short ones beside each other, long ones by themselves, and nothing wider than the page."""
    fields = [(f"name{at}", "x" * (at * 7 % 61)) for at in range(40)] + [("long", "y" * 400), ("end", "1")]
    for width in (10, 76, 80, 99, 120, 300):
        lines = dissection(FRAME._replace(layers=(Layer("Odd", 0, 26, tuple(fields)),)), "a" * 200, width)
        assert max(map(width_of, lines)) <= min(max(76, width), 120)
        text = render(lines)
        for name, value in fields:
            assert name in text
            assert value in text.replace("\n    ", "")


def test_hostile_bytes():
    """Terminal sequences, newlines and marks of direction, wherever they may stand."""
    bad = "\x1b[31m\n\u202eevil\x9b\x07"
    layers = (Layer(bad, 0, 4, ((bad, bad),)), Layer("payload", 4, 26, ()))
    frame = FRAME._replace(
        data=bad.encode() + bytes(9), layers=layers, interface=bad, comments=(bad,), reason=""
    )
    text = render(dissection(frame, bad, 80))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "evil" in text


def test_a_payload_on_its_line():
    """However many escapes it needs."""
    frame = FRAME._replace(data=bytes(60), wire=60, layers=(Layer("payload", 0, 60, ()),))
    for width in (76, 100):
        (line,) = [it for it in dissection(frame, "a", width) if it and it[0].text.startswith("payload")]
        assert width_of(line) == width
        assert line[-1].text.endswith("…")


def test_large_packets():
    """The beginning of their bytes, and how many more there are."""
    text = drawn(FRAME._replace(data=bytes(65_549), wire=65_549, layers=(Layer("payload", 0, 65_549, ()),)))
    assert "\n07f0  00 " in text
    assert "\n0800  " not in text
    assert text.endswith("… 63,501 more bytes\n")


def test_colours():
    """Each layer's bytes are in its colour; plain without a terminal."""
    assert "\x1b[" not in drawn()
    assert "\x1b[36m00 01 02" in drawn(colour=True)
    assert drawn(FRAME._replace(data=b"", layers=()), colour=True)
