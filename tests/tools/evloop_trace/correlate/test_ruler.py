"""Byte ranges of a connection, row by row: what is counted, what is kept, and what is missing."""

from __future__ import annotations

import io
import random

import pytest
from evloop_trace.correlate.entries import KernelEntry, Strand
from evloop_trace.correlate.ruler import APART, KEPT, STEPS, Cut, Marks, Ruler, Spans
from evloop_trace.correlate.weave import Weaver
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.sightings import Sightings

from evloop.events.schema import Block, Close, Interest, Recv, Send, Shutdown

FIN, RST, ACK = 1, 4, 16
KEEP_ALIVE, PROBE = 16, 1


def ranges(row):
    """A row's pieces as [begin, end)."""
    return [(it.begin, it.end) for it in row.pieces]


def test_three_sends_are_one_recv(crossing):
    """Each row has the ranges as its calls or segments cut them, in the order of time."""
    it = crossing()
    for begin, end in ((0, 3), (3, 6), (6, 11)):
        it.send(begin, end)
        it.segment(begin, end)
    it.recv(0, 11)
    way = it.way
    assert ranges(way.send) == ranges(way.wire) == [(0, 3), (3, 6), (6, 11)]
    assert ranges(way.recv) == [(0, 11)]
    assert (way.bytes, way.end, way.moved, way.send.bytes) == (11, 11, 7, 11)
    names = [(name, number) for _, name, number in way.order]
    assert names == [
        ("send", 1),
        ("wire", 1),
        ("send", 2),
        ("wire", 2),
        ("send", 3),
        ("wire", 3),
        ("recv", 4),
    ]
    assert it.ruler.directions[False].end == 0


def test_what_was_carried_before_is_again(crossing):
    """A segment that carries old and new bytes is in both rows: the new ones are of the wire's."""
    it = crossing()
    it.segment(0, 10)
    it.segment(20, 30)
    it.segment(0, 10, of=1)
    it.segment(5, 35)
    it.segment(34, 35, found=KEEP_ALIVE)
    assert ranges(it.way.wire) == [(0, 10), (20, 30), (10, 20), (30, 35)]
    assert [(p.begin, p.end, p.of, p.alive) for p in it.way.again.pieces] == [
        (0, 10, 1, False), (5, 35, 0, False), (34, 35, 0, True),
    ]  # fmt: skip


def test_how_it_ends(crossing):
    """The sender's call, the first FIN and the first recv of 0 bytes, and what was left at the close."""
    it = crossing()
    it.send(0, 5)
    it.segment(0, 5, flags=ACK | FIN)
    it.segment(5, 5, flags=ACK | FIN)
    it.call(Shutdown, client=True, how="SHUT_RD")
    it.call(Shutdown, client=True, how="SHUT_WR", errno="ENOTCONN")
    assert it.way.ended is None
    it.call(Shutdown, client=True, how="SHUT_WR")
    it.recv(5, 5)
    it.recv(5, 5)
    it.call(Close, client=True, reason="close", unsent=2)
    it.call(Close, client=False, reason="close", unread=5)
    it.segment(0, 0, flags=RST, client=False)
    it.segment(0, 0, flags=RST, client=False)
    way, back = it.way, it.ruler.directions[False]
    assert way.fin is not None
    assert way.eof is not None
    assert (way.ended, way.fin.begin, way.fin.number, way.eof.number) == (("shutdown", 4), 5, 1, 5)
    assert (way.unsent, way.unread, back.reset, back.ended) == (2, 5, 3, ("close", 8))


def test_sends_that_find_no_room(crossing):
    """A refused send is counted; one that sleeps is offered from where the last ended, until it returns."""
    it = crossing()
    it.send(0, 10, of=30)
    it.call(Send, client=True, size=20, errno="EAGAIN")
    it.call(Send, client=True, size=20, errno="EPIPE")
    it.call(Block, client=True, awaits="recv")
    assert it.way.asleep is None
    it.call(Block, client=True, awaits="send", size=20)
    assert it.way.asleep is not None
    assert (it.way.asleep.begin, it.way.bytes, it.way.end, it.way.full) == (10, 10, 30, 1)
    it.send(10, 10)
    assert it.way.asleep is None
    assert (it.way.end, it.way.send.count) == (10, 1)


def test_what_is_not_the_streams_own(crossing):
    """Peeks are apart; urgent bytes, failed recvs, ICMP errors and events of other kinds are let by."""
    it = crossing()
    it.recv(0, 4, flags="MSG_PEEK")
    it.recv(0, 4, flags="MSG_OOB")
    it.call(Interest, client=True, sock=None, old="", new="READ", reason="")
    it.segment(0, 9, error="port unreachable")
    it.segment(0, 0, found=PROBE)
    it.ruler.add(KernelEntry(0, "state", client=True, strand=it.strand))
    it.ruler.add(KernelEntry(0, "state", client=True))
    it.ruler.add(KernelEntry(0, "state", client=True, strand=Strand(7, "tcp", "", "")))
    assert ranges(it.way.peek) == [(0, 4)]
    assert (it.way.moved, it.way.probes, it.way.end) == (1, 1, 4)


def test_recv_of_nothing_asked_is_no_end(crossing):
    """recv(0) returns 0 wherever the stream stands."""
    it = crossing()
    it.call(Recv, client=False, size=0, n=0, off=(0, 0))
    it.call(Recv, client=False, size=10, errno="EAGAIN")
    assert it.way.eof is None


def test_a_name_that_is_neither_ends(crossing):
    """A child that inherited the connection calls it otherwise: its place in the picture says whose it is."""
    it = crossing(("client:tcp-1", ""))
    it.recv(0, 4)
    assert ranges(it.way.recv) == [(0, 4)]
    assert it.ruler.recorded(client=True)
    assert not it.ruler.recorded(client=False)


def test_a_long_stream_is_bounded(crossing):
    """The first and the last are kept, all are counted, and where they begin is known in steps."""
    it = crossing()
    many = 2 * STEPS + 10
    for at in range(many):
        it.recv(at * 10, at * 10 + 10)
    row = it.way.recv
    assert (row.count, len(row.pieces), row.left_out) == (many, 2 * KEPT, many - 2 * KEPT)
    assert (row.pieces[0].begin, row.pieces[-1].end) == (0, many * 10)
    step = row.marks.step
    assert step > 1
    assert len(row.marks.places()) <= STEPS
    assert row.marks.between(0, -(-many * 10 // step) * step) == many
    assert len(it.way.order) < many


def test_marks_count_the_same_in_longer_steps():
    """Between multiples of the longest step no step changes a number."""
    rng = random.Random(5)
    marks = Marks()
    offsets = [rng.randrange(100_000) for _ in range(3000)]
    for offset in offsets:
        marks.add(offset)
    for step in (1, 4, 64):
        marks.coarsen(step)
        for low in range(0, 100_000, 12_800):
            assert marks.between(low, low + 6400) == sum(low <= it < low + 6400 for it in offsets)
        assert marks.places() == sorted({it // step * step for it in offsets})


@pytest.mark.parametrize("seed", range(20))
def test_spans_are_sets_of_bytes(seed):
    """What is covered, what is missing, and how much of a range: as with a set."""
    rng = random.Random(seed)
    spans, covered = Spans(), set()
    assert spans.end == 0
    for _ in range(40):
        begin = rng.randrange(100)
        end = begin + rng.randrange(1, 12)
        spans.add(begin, end)
        covered |= set(range(begin, end))
        low = rng.randrange(100)
        part = set(range(low, low + 20))
        missing = spans.missing(low, low + 20)
        assert {it for gap in missing for it in range(*gap)} == part - covered
        assert spans.share(low, low + 20) == len(part & covered)
    assert spans.end == max(covered) + 1
    assert all(left[1] < right[0] for left, right in zip(spans.ranges, spans.ranges[1:], strict=False))


def test_spans_with_too_many_gaps():
    """The first gap is closed, and how many bytes that hides is said."""
    spans = Spans()
    for at in range(APART + 3):
        spans.add(at * 10, at * 10 + 6)
    assert len(spans.ranges) == APART
    assert spans.hidden == 3 * 4


# -- characters ----------------------------------------------------------------------------------------


def cuts(it, *parts, name="recv", send=b""):
    """The cuts of a stream that is read in these parts."""
    at = 0
    if send:
        it.send(0, len(send), data=send)
    for part in parts:
        it.recv(at, at + len(part), data=part)
        at += len(part)
    return list(it.way.cuts(name))


HA = "哈".encode()


def test_a_character_in_two_recvs(crossing):
    """It is named, with its bytes on both sides; ASCII and whole characters are none."""
    assert cuts(crossing(), b"ha" + HA[:1], HA[1:] + b"!" + HA, b"ok") == [Cut(3, "哈", 1, 2, 2)]
    assert cuts(crossing(), b"ha", HA, b"ha") == []
    assert cuts(crossing(), "é".encode()[:1], "é".encode()[1:]) == [Cut(1, "é", 1, 1, 2)]
    assert cuts(crossing(), b"\xf0\x9f", b"\x98\x80.") == [Cut(2, "😀", 2, 2, 2)]


def test_a_character_in_three_recvs(crossing):
    """Each boundary within it is a cut."""
    found = cuts(crossing(), HA[:1], HA[1:2], HA[2:])
    assert [(it.at, it.before, it.behind) for it in found] == [(1, 1, 2), (2, 2, 1)]


def test_a_character_of_which_the_log_has_only_the_end(crossing):
    """How much of it came before is not known; a lone byte is no evidence."""
    it = crossing()
    it.recv(0, 1024, data=b"x" * 64)
    it.recv(1024, 1509, data=HA[1:] + HA + HA[:2])
    it.recv(2000, 2001, data=HA[2:])
    assert list(it.way.cuts("recv")) == [Cut(1024, "", 0, 2, 2)]


def test_a_payload_that_is_kept_whole_shows_its_end(crossing):
    """Its last bytes are known, however long it is."""
    it = crossing()
    data = HA * 503
    it.recv(0, 1024, data=data[:1024])
    it.recv(1024, 1509, data=data[1024:])
    assert list(it.way.cuts("recv")) == [Cut(1024, "哈", 1, 2, 2)]


def test_a_character_of_which_a_part_is_not_known(crossing):
    """It begins, and goes on, but what it is nobody can say."""
    it = crossing()
    it.recv(0, 1, data=b"\xe5")
    it.recv(1, 5, data=b"\x93")
    assert list(it.way.cuts("recv")) == [Cut(1, "", 1, 2, 2)]


def test_bytes_that_are_no_text(crossing):
    """Continuation bytes behind what begins no character, or behind a whole one, are no cut."""
    assert cuts(crossing(), b"a", b"\x80bc") == []
    assert cuts(crossing(), "é".encode(), b"\x80bc") == []
    assert cuts(crossing(), b"\xe5", b"\x93\xff\xff") == []
    assert cuts(crossing(), b"\xe5\x93\x88\x88", b"\x88\x88\x88\x88") == []


def test_a_capture_from_the_middle_names_no_bytes(crossing):
    """Its offsets are not the stream's."""
    it = crossing(whole=False)
    it.segment(0, 4, data=b"abcd")
    it.segment(0, 4, data=b"abcd")
    assert not it.way.aligned
    assert it.way.known() == {}
    assert crossing().way.aligned


# -- a capture -----------------------------------------------------------------------------------------


def test_segments_of_a_crafted_capture(tmp_path):
    """Through the whole way of a capture's packets: a loss, a retransmission, and one that overlaps."""
    from scapy.layers.inet import IP, TCP  # noqa: PLC0415
    from scapy.utils import wrpcap  # noqa: PLC0415

    def packet(seq: int, flags: str, load: bytes = b"", *, back: bool = False) -> IP:
        ends, ports = ("10.0.0.1", "10.0.0.2"), (40000, 80)
        source, target = (ends[1], ends[0]) if back else ends
        sport, dport = (ports[1], ports[0]) if back else ports
        return IP(src=source, dst=target) / TCP(sport=sport, dport=dport, seq=seq, ack=1, flags=flags) / load

    sent = [
        packet(100, "S"), packet(0, "SA", back=True), packet(101, "A"),
        packet(101, "PA", b"hello "), packet(111, "PA", b"again"), packet(107, "PA", b"once"),
        packet(101, "PA", b"hello once again"), packet(117, "FA"),
    ]  # fmt: skip
    for at, it in enumerate(sent):
        it.time = 1_700_000_000 + at
    wrpcap(str(tmp_path / "crafted.pcap"), sent)
    data = (tmp_path / "crafted.pcap").read_bytes()
    weaver, sightings = Weaver(), Sightings()
    entries = [
        weaver.packet(seen.time, seen)
        for it in read_packets(io.BytesIO(data).read, Capture())
        if (seen := sightings.see(it))
    ]
    ruler = Ruler(weaver.strands[0])
    for entry in entries:
        ruler.add(entry)
    way = ruler.directions[True]
    new = [(4, 0, 6), (5, 10, 15), (6, 6, 10), (7, 15, 16)]
    assert [(it.number, it.begin, it.end) for it in way.wire.pieces] == new
    assert [(it.number, it.begin, it.end) for it in way.again.pieces] == [(7, 0, 16)]
    assert way.fin is not None
    assert (way.fin.number, way.fin.begin) == (8, 16)
    assert bytes(way.known()[at] for at in range(16)) == b"hello once again"
