"""Capture files of both kinds, whole and damaged: what can be read is given out, the rest is a sentence."""

from __future__ import annotations

import io
import struct
import tracemalloc

import pytest
from evloop_trace.packets import capture_file, pcapng
from evloop_trace.packets.capture_file import Capture, CaptureError, read_packets
from hypothesis import given, settings
from hypothesis import strategies as st

FRAME = b"frame of 16 byte"
TIMES = [1_700_000_000_123_456_789, 1_700_000_001_000_000_000]


def read(data, piece=None):
    """The capture, and its packets as time and bytes."""
    capture = Capture()
    source = io.BytesIO(data)
    give = (lambda _: source.read(piece)) if piece else source.read
    packets = [
        (time, buffer[at : at + kept], wire)
        for time, buffer, at, kept, wire, _ in read_packets(give, capture)
    ]
    return capture, packets


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nano", [True, False])
@pytest.mark.parametrize("piece", [None, 1, 7, 30])
def test_pcap(wire, order, nano, piece):
    """Both orders of bytes, both units of time, however the pieces fall."""
    capture, packets = read(wire.pcap([(time, FRAME) for time in TIMES], 1, order, nano=nano), piece)
    unit = 1 if nano else 1000
    assert packets == [(time // unit * unit, FRAME, 16) for time in TIMES]
    assert (capture.kind, capture.snap, capture.packets, capture.problems) == ("pcap", 262144, 2, [])


def test_pcap_of_old_linux():
    """Eight more bytes before each packet."""
    head = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 99, 1)
    _, packets = read(head + struct.pack("<IIIIIHBB", 5, 6, 16, 20, 1, 8, 0, 0) + FRAME)
    assert packets == [(5_000_006_000, FRAME, 20)]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("piece", [None, 1, 5, 100])
def test_pcapng(wire, order, piece):
    """The same for pcapng."""
    capture, packets = read(wire.pcapng([(time, FRAME) for time in TIMES], 1, order), piece)
    assert packets == [(time, FRAME, 16) for time in TIMES]
    assert (capture.kind, capture.packets, capture.problems) == ("pcapng", 2, [])


@pytest.mark.parametrize(
    ("resolution", "stamp", "time"),
    [
        (None, 1_700_000_000_000_001, 1_700_000_000_000_001_000),
        (6, 5, 5000),
        (9, 5, 5),
        (3, 5, 5_000_000),
        (12, 7_000, 7),
        (0x80 | 10, 1024, 10**9),
        (0x80 | 1, 3, 1_500_000_000),
        (0, 3, 3 * 10**9),
    ],
)
def test_resolutions(wire, resolution, stamp, time):
    """A timestamp counts in powers of ten or of two, and microseconds if nothing is said."""
    options = b"" if resolution is None else wire.option(9, bytes([resolution]))
    _, packets = read(wire.section() + wire.interface(options=options) + wire.enhanced(stamp, FRAME))
    assert [it[0] for it in packets] == [time]


def test_offset_and_interfaces_of_their_own(wire):
    """Each interface has its unit, its offset and its name."""
    options = wire.option(2, b"veth0") + wire.option(9, b"\x09") + wire.option(14, struct.pack("<q", 100))
    data = (
        wire.section() + wire.interface(113) + wire.interface(1, options=options) + wire.enhanced(7, FRAME, 1)
    )
    capture, packets = read(data + wire.enhanced(7, FRAME, 0))
    assert [it[0] for it in packets] == [100 * 10**9 + 7, 7000]
    assert [it.name for it in capture.interfaces] == ["", "veth0"]
    assert [it.link.number for it in capture.interfaces] == [113, 1]


def test_sections_in_the_middle(wire):
    """A second section may have another order of bytes, and begins with no interfaces."""
    data = (
        wire.pcapng([(1, FRAME)])
        + wire.pcapng([(2, FRAME)], 1, ">")
        + wire.section()
        + wire.enhanced(3, FRAME)
    )
    capture, packets = read(data)
    assert [it[0] for it in packets] == [1, 2]
    assert capture.problems == ["packet 3 is of interface 0, which is not described: it is left out"]


def test_packets_in_other_blocks(wire):
    """Simple ones have no time of their own; obsolete ones count their drops."""
    simple = wire.block(3, struct.pack("<I", 40) + FRAME)
    old = wire.block(2, struct.pack("<HHIIII", 0, 3, 0, 77, 16, 50) + FRAME)
    capture, packets = read(wire.section() + wire.interface(1, 12) + wire.enhanced(5, FRAME) + simple + old)
    assert packets == [(5000, FRAME, 16), (5000, FRAME[:12], 40), (77000, FRAME, 50)]
    assert not capture.problems
    _, packets = read(wire.section() + wire.interface(1) + simple)
    assert packets == [(0, FRAME, 40)]


def test_blocks_without_packets_are_passed_over(wire):
    """Names, secrets, custom and unknown blocks."""
    others = b"".join(wire.block(kind, b"whatever") for kind in (4, 9, 10, 0xBAD, 0x40000BAD, 0x12345))
    capture, packets = read(
        wire.section() + others + wire.interface() + others + wire.enhanced(1, FRAME) + others
    )
    assert (len(packets), capture.problems) == (1, [])


def test_drops_and_comments(wire):
    """The last statistics of an interface count; comments come with their packet's number."""
    body = struct.pack("<III", 0, 0, 0)
    first = wire.block(5, body + wire.option(5, struct.pack("<Q", 1)))
    last = wire.block(
        5,
        body
        + wire.option(4, struct.pack("<Q", 100))
        + wire.option(5, struct.pack("<Q", 3))
        + wire.option(7, struct.pack("<Q", 4)),
    )
    unknown = wire.block(5, struct.pack("<III", 8, 0, 0)) + wire.block(5, b"")
    head = wire.section(options=wire.option(1, "für alle".encode()))
    noted = wire.enhanced(
        1, FRAME, options=wire.option(1, b"one") + wire.option(1, b"two") + wire.option(0, b"")
    )
    capture, _ = read(head + wire.interface() + wire.enhanced(1, FRAME) + noted + first + last + unknown)
    assert capture.comments == [(0, "für alle"), (2, "one"), (2, "two")]
    assert capture.dropped == 7
    assert capture.interfaces[0].received == 100


def test_no_capture():
    """What is none at all says how it begins."""
    for data, words in [
        (b"", "is empty"),
        (b"GIF89a" + b"\0" * 40, "begins with 47 49 46 38"),
        (b"\xd4\xc3\xb2\xa1\2\0", "ends in the header of the file: 6 of 24 bytes"),
        (b"\x0a", "ends in the header of the file: 1 of 24 bytes"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "is packed by zstd: unpack it first"),
        (b"\xfd7zXZ\0" + bytes(40), "is packed by xz: unpack it first"),
        (b"BZh91AY&SY" + bytes(40), "is packed by bzip2: unpack it first"),
        (b"PK\3\4" + bytes(40), "is packed by zip: unpack it first"),
        (b'{"ev":"header","schema":1}\n', "is an event log: evloop-trace replay shows it"),
        (b"snoop\0\0\0" + bytes(40), "is no capture .* editcap -F pcapng"),
    ]:
        with pytest.raises(CaptureError, match=words):
            read(data)


def test_cut_off(wire):
    """What comes before the cut is there, and the cut is told."""
    whole = wire.pcap([(time, FRAME) for time in TIMES])
    for size in range(25, len(whole)):
        capture, packets = read(whole[:size])
        assert len(packets) == (size - 24) // 32
        assert bool(capture.problems) == bool((size - 24) % 32)
    whole = wire.pcapng([(time, FRAME) for time in TIMES])
    for size in range(12, len(whole)):
        capture, packets = read(whole[:size])
        ends = size in {28, 56, 104, 152}
        assert bool(capture.problems) != ends


def test_lengths_that_lie(wire):
    """A length no packet has ends the reading, with the place."""
    data = wire.pcap([(1, FRAME)]) + struct.pack("<IIII", 1, 1, 0x7FFFFFFF, 1) + b"x" * 100
    capture, packets = read(data)
    assert len(packets) == 1
    (problem,) = capture.problems
    assert problem.startswith("packet 2, at byte 56, claims 2,147,483,647 bytes, which no capture keeps")
    for length in (0, 4, 11, 13, 0xFFFFFFF0):
        lie = struct.pack("<II", 6, length) + b"x" * 100
        capture, packets = read(wire.pcapng([(1, FRAME)]) + lie)
        assert len(packets) == 1
        (problem,) = capture.problems
        assert problem.startswith(f"the block at byte 104 claims to be {length:,} bytes")


def test_a_large_block_in_small_pieces(wire):
    """It is put together once, not again with each piece."""
    large = wire.block(0xBAD, bytes(pcapng.MOST - 12))
    capture, packets = read(wire.section() + wire.interface() + large + wire.enhanced(1, FRAME), 1000)
    assert (len(packets), capture.problems) == (1, [])


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_claims_take_no_memory(wire, kind):
    """A length of 4 GiB, or the longest that is believed, is not allocated before it is there."""
    for length in (0xFFFFFFFC, 1 << 18, pcapng.MOST, 0x7FFFFFFC):
        lie = (
            struct.pack("<II", 6, length) if kind == "pcapng" else struct.pack("<IIII", 1, 1, length, length)
        )
        data = getattr(wire, kind)([(1, FRAME)]) + lie + b"x" * 100
        tracemalloc.start()
        try:
            capture, packets = read(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (len(packets), len(capture.problems)) == (1, 1)
        assert peak < 4 << 20


def test_blocks_that_contradict_themselves(wire):
    """Two lengths that differ end the reading; a packet larger than its block is left out."""
    good = wire.enhanced(1, FRAME)
    head = wire.section() + wire.interface()
    capture, packets = read(head + good + good[:-4] + b"\x10\0\0\0" + good)
    assert len(packets) == 1
    assert "has two different lengths" in capture.problems[0]
    large = wire.block(6, struct.pack("<IIIII", 0, 0, 1, 999, 999) + FRAME)
    small, tiny = wire.block(6, b"\0" * 8), wire.block(3, b"")
    capture, packets = read(head + large + small + tiny + good)
    assert len(packets) == 1
    assert [it.split(" ", 2)[2] for it in capture.problems] == [
        "claims 999 bytes, but the block has 16: it is left out",
        "is too short for what it should hold: it is left out",
        "is too short for what it should hold: it is left out",
    ]


def test_odd_sections_and_interfaces(wire, monkeypatch):
    """A section in no order of bytes ends the reading; an interface that cannot be read has no packets."""
    capture, packets = read(wire.block(0x0A0D0D0A, b"????" * 4))
    assert not packets
    assert "no known order of bytes" in capture.problems[0]
    capture, packets = read(wire.section() + wire.block(1, b"\1\0") + wire.enhanced(1, FRAME))
    assert not packets
    assert capture.problems[0].startswith("a description of an interface cannot be read")
    monkeypatch.setattr(pcapng, "MOST_INTERFACES", 1)
    assert len(read(wire.pcapng([]) + wire.pcapng([]))[0].interfaces) == 1


def test_options_that_go_too_far(wire):
    """They end there, and the packet is good."""
    bad = struct.pack("<HH", 1, 400) + b"none"
    capture, packets = read(wire.section() + wire.interface() + wire.enhanced(1, FRAME, options=bad))
    assert (len(packets), capture.comments, capture.problems) == (1, [], [])


def test_unknown_link_type_is_told_once(wire):
    """Its packets are given out, and of none is anything known."""
    capture, packets = read(
        wire.section() + wire.interface(147) + wire.interface(147) + wire.enhanced(1, FRAME)
    )
    assert len(packets) == 1
    assert capture.problems == [
        "packets of link type 147 cannot be read: neither Ethernet, cooked, raw IP nor loopback"
    ]


def test_problems_are_bounded(wire):
    """A file full of nonsense does not fill the memory with sentences."""
    head = wire.section() + wire.interface()
    capture, _ = read(head + wire.enhanced(1, FRAME, 5) * 100)
    assert len(capture.problems) == capture_file.MOST_PROBLEMS


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_anything_else(wire, look, data):
    """Whatever the bytes, reading ends, and with nothing but our own error."""
    frames = wire.random_talks(data.draw(st.integers(0, 50)), 2)[:12]
    order = data.draw(st.sampled_from("<>"))
    make = data.draw(st.sampled_from([wire.pcap, wire.pcapng]))
    link = data.draw(st.sampled_from([0, 1, 9, 12, 50, 101, 108, 113, 228, 276, 300]))
    content = bytearray(make(frames, link, order))
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    try:
        found = look(bytes(content), stories=2, piece=data.draw(st.sampled_from([None, 3, 64])))
    except CaptureError:
        return
    assert len(found.summaries) == len(found.analysis)
