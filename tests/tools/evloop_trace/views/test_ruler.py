"""The byte ruler drawn: one send is not one recv, and no boundary is anywhere but where it is."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from evloop_trace.correlate.ruler import APART
from evloop_trace.views.cells import width_of
from evloop_trace.views.ruler import lines

from evloop.events.schema import Block, Close, Send, Shutdown

FIN, RST, ACK = 1, 4, 16
HA = "哈".encode()
WIDTHS = (80, 100, 120, 160)


def drawn(it, width=80, **more):
    """The lines as text; all have the same width."""
    rows = lines(it.ruler, width, **more)
    assert {width_of(row) for row in rows} == {max(60, width)}
    return ["".join(part.text for part in row).rstrip() for row in rows]


def row(text, name):
    """The row that begins with this name, behind it."""
    return next(line for line in text if line.startswith(f"{name:<8}"))[8:]


def sticky(crossing, **more):
    """Three sends, three segments, one recv, and an end."""
    it = crossing(**more)
    for begin, data in ((0, b"hel"), (3, b"lo "), (6, b"world")):
        it.send(begin, begin + len(data), data=data)
        if it.strand.wire is not None:
            it.segment(begin, begin + len(data), data=data)
    it.recv(0, 11, data=b"hello world")
    return it


def test_one_send_is_not_one_recv(crossing):
    """Three boxes above, three in the middle, one below, byte under byte."""
    it = sticky(crossing)
    it.call(Close, client=True, reason="close", unsent=0)
    it.segment(11, 11, flags=ACK | FIN)
    it.recv(11, 11)
    assert drawn(it) == [
        "0  tcp 10.0.0.1:40000 → 10.0.0.2:80   client:tcp-1 → server:tcp-1",
        "",
        "client → server   11 B in 3 sends, 3 segments, 1 recv",
        "send    ├── #1 3 B ───┤├── #2 3 B ───┤├─────── #3 5 B ────────┤ ▪ close #5",
        "wire    ├── p1 3 B ───┤├── p2 3 B ───┤├─────── p3 5 B ────────┤ ▪ FIN p4",
        "recv    ├────────────────────── #4 11 B ──────────────────────┤ ▪ #6 = 0",
        "        0              3              6                      11",
        "bytes   68   65   6c   6c   6f   20   77   6f   72   6c   64",
        "text    h    e    l    l    o    ␣    w    o    r    l    d",
        "        to scale: 5 cells a byte",
        "in time send #1, p1, send #2, p2, send #3, p3, recv #4",
        "",
        "server → client   no byte",
    ]


def test_a_character_that_is_cut(crossing):
    """The stroke stands at the boundary of the recvs, and a sentence says which bytes are where."""
    data = b"hello la " + 3 * HA
    it = crossing()
    it.send(0, 18, data=data)
    it.recv(0, 10, data=data[:10])
    it.recv(10, 18, data=data[10:])
    text = drawn(it)
    assert row(text, "bytes") == "68  65  6c  6c  6f  20  6c  61  20  e5 ╎93  88  e5  93  88  e5  93  88"
    assert row(text, "text") == "h   e   l   l   o   ␣   l   a   ␣   哈 ╎·   ·   哈  ·   ·   哈  ·   ·"
    assert row(text, "recv").index("┤├") == row(text, "bytes").index("╎")
    assert "╎" not in " ".join(drawn(sticky(crossing)))
    words = " ".join(text)
    assert "18 B are 12 characters of UTF-8" in words
    assert "recv #3 begins in the middle of a character: of 哈 (e5 93 88) 1 byte came" in words


def test_a_character_whose_beginning_is_in_no_log(crossing):
    """That it is cut is known all the same; of many cuts the first three are told."""
    it = crossing()
    it.recv(0, 1024, data=b"x" * 64)
    it.recv(1024, 1509, data=HA[1:] + HA)
    assert "its first 2 bytes belong to one" in " ".join(drawn(it))
    it = crossing()
    data = HA * 4
    for at in range(12):
        it.recv(at, at + 1, data=data[at : at + 1])
    assert "and 5 more recvs begin in the middle of a character" in " ".join(drawn(it))


def test_text_that_a_terminal_would_obey(crossing):
    """It is escaped, byte by byte and in longer pieces; bytes that are no text have no characters."""
    data = b"\x1b[2J\\\n\xff\xe5"
    it = crossing()
    it.send(0, 8, data=data)
    text = drawn(it)
    assert row(text, "text").split() == [".", "[", "2", "J", "\\", "\\n", "?", "?"]
    assert "UTF-8" not in " ".join(text)
    it = crossing()
    data = (b"\x1b]0;evil\x07" + "\u202e".encode()) * 5
    it.send(0, len(data), data=data)
    text = drawn(it, 160)
    assert r'"\x1b]0;evil\x07\u202e' in row(text, "text")
    assert all(line.isprintable() for line in text)


def test_a_hostile_name_is_escaped(crossing):
    """Names and addresses come from a log."""
    it = crossing(("\x1b[31mevil", "server:tcp-1"))
    assert r"\x1b[31mevil → server:tcp-1" in drawn(it)[0]


def test_what_was_carried_again(crossing):
    """Below the wire, in as many lines as they overlap; the fourth line is told in numbers."""
    it = crossing()
    it.send(0, 60)
    it.segment(0, 30)
    it.segment(30, 60)
    for _ in range(4):
        it.segment(0, 30, of=1)
    it.segment(30, 60)
    it.segment(59, 60, found=16)
    it.recv(0, 60, flags="MSG_PEEK")
    it.recv(0, 60)
    text = drawn(it)
    at = next(n for n, line in enumerate(text) if line.startswith("again"))
    assert "p3 repeats p1" in text[at]
    assert "p7 repeats" in text[at]
    assert "p4 repeats p1" in text[at + 1]
    assert "p5 repeats p1" in text[at + 2]
    assert "recv" in text[at + 3]
    assert "#2 60 B" in row(text, "peek")
    assert "· p6 [0,30) repeats p1, p8 [59,60) keep-alive" in text
    assert "2 segments, 6 sent again, 1 recv" in text[2]


def test_gaps_are_named(crossing):
    """What is in no log, not in the capture, or was never read: in the row, and in words."""
    it = crossing()
    it.send(1000, 3000)
    it.segment(0, 1000)
    it.segment(2000, 3000)
    it.recv(500, 2000)
    it.call(Close, client=False, reason="close", unread=1000)
    it.segment(0, 0, flags=RST, client=False)
    it.call(Close, client=True, reason="close", unsent=7)
    it.segment(3000, 3000, flags=RST)
    text = drawn(it, 120)
    assert "not in the log" in row(text, "send")
    assert "not in the capture" in row(text, "wire")
    assert row(text, "wire").endswith("▪ RST p4")
    assert "never read" in row(text, "recv")
    words = " ".join(" ".join(text).split())
    for sentence in (
        "[0,1000): 1,000 B, sent by no call that is in the client's log",
        "[1000,2000): 1,000 B, not in the capture (or they never left)",
        "[0,500): 500 B, read by no call that is in the server's log",
        "[2000,3000): 1,000 B, never read by the server",
        "the receiver's close found 1,000 B unread: so the kernel sent a reset",
        "when the sender closed it, 7 B were not yet acknowledged",
        "p4 is the sender's reset",
        "server → client no byte; close #3, RST p3",
    ):
        assert sentence in words


def test_many_gaps(crossing):
    """The first three are told."""
    it = crossing()
    for at in range(0, 100, 10):
        it.segment(at, at + 5)
    it.recv(0, 95)
    assert "[5,10), [15,20), [25,30) and 6 more ranges: 45 B, not in the capture" in " ".join(drawn(it))


def test_more_gaps_than_are_kept(crossing):
    """The first ones are drawn as if they were not, and that is said."""
    it = crossing()
    for at in range(0, 10 * (APART + 3), 10):
        it.segment(at, at + 6)
    assert "the segments leave more than 1,023 gaps: the first, 12 B, are not told" in " ".join(drawn(it))


@pytest.mark.parametrize(
    ("names", "said", "head"),
    [
        (("client:tcp-1", ""), ("├", "the server's calls are in no log"), "the client is client:tcp-1"),
        (("", "server:tcp-1"), ("the client's calls are in no log", "├"), "the server is server:tcp-1"),
    ],
)
def test_one_log(crossing, names, said, head):
    """Whose calls are in no log is said in their row."""
    it = crossing(names)
    it.segment(0, 10)
    if names[0]:
        it.send(0, 10)
    else:
        it.recv(0, 10)
    text = drawn(it)
    assert row(text, "send").startswith(said[0])
    assert row(text, "recv").startswith(said[1])
    assert text[0].endswith(head)


def test_no_capture(crossing):
    """None was read, or the connection is not in it; a Unix socket has no packets."""
    it = sticky(crossing, captured=False)
    assert row(drawn(it), "wire") == "no capture was read"
    it.ruler.captured = True
    assert row(drawn(it), "wire") == "not in the capture"
    it.strand.proto = "unix"
    assert row(drawn(it), "wire") == "a Unix socket has no packets"
    it.strand.client, it.strand.names = "", ("", "")
    assert drawn(it)[0] == "0  unix unnamed → 10.0.0.2:80"


def test_datagrams(crossing):
    """They have no stream."""
    assert "UDP has no stream" in drawn(crossing(proto="udp"))[1]


def test_a_capture_from_the_middle(crossing):
    """Its offsets are not the calls': that is said, and no gap is made of it."""
    it = crossing(whole=False)
    it.send(0, 11)
    it.segment(0, 8)
    it.call(Shutdown, client=True, how="SHUT_WR")
    it.segment(8, 8, flags=FIN | ACK)
    text = drawn(it)
    assert row(text, "wire?").startswith("├")
    words = " ".join(" ".join(text).split())
    assert "not from the first byte of the stream; by the FIN all of it stands 3 B too far left" in words
    assert "not in the capture" not in words
    it = crossing(whole=False)
    it.segment(0, 8)
    assert any(line.endswith("the first byte of the stream") for line in drawn(it, 160))


def test_sends_that_had_no_room(crossing):
    """How much of what was offered was taken, how often nothing; and one that still sleeps."""
    it = crossing()
    for at in range(5):
        it.send(at * 100, at * 100 + 100, of=1000)
    it.call(Send, client=True, size=9, errno="EAGAIN")
    it.segment(0, 0, found=1)
    it.call(Block, client=True, awaits="send", size=500)
    text = drawn(it, 120)
    assert "├#1 100 B ┤├#2 100 B ┤" in row(text, "send")
    assert "╌ #7 sleeps in it ╌" in row(text, "send")
    words = " ".join(" ".join(text).split())
    for sentence in (
        "500 B in 5 sends, 0 segments, 0 recvs, 500 B more offered",
        "send #3 was offered 1,000 B and took 100 B: the kernel's buffer had room for no more",
        "and 2 more sends took less than they were offered",
        "1 send found no room at all (EAGAIN)",
        "1 probe of a closed window",
        "send #7 has not returned: how much of its 500 B was taken is not known",
    ):
        assert sentence in words


def test_a_stream_of_many_pieces(crossing):
    """Each cell says how many begin in it, and the ranges follow in numbers."""
    it = crossing()
    it.send(0, 400_000)
    for at in range(0, 400_000, 16_000):
        it.segment(at, at + 16_000)
    for at in range(0, 300_000, 2_500):
        it.recv(at, at + 2_500)
    for at in range(0, 400_000, 16_000):
        it.segment(at, at + 16_000, of=1 + at // 16_000)
        it.recv(at, at + 1, flags="MSG_PEEK")
    text = drawn(it)
    assert re.fullmatch("├─+ #1 400,000 B ─+┤", row(text, "send"))
    assert "4" in row(text, "recv") or "2" in row(text, "recv")
    assert row(text, "recv").endswith("·")
    assert any("to scale: a cell is 6,000 B" in line for line in text)
    assert any("#1 [0,400000)" in line and "p1 [0,16000)" in line and "#2 [0,2500)" in line for line in text)
    assert any("… 112 more" in line for line in text)
    assert any("p26 [0,16000) repeats p1" in line for line in text)
    assert any("lines more" in line for line in text)
    assert any("[300000,400000): 100,000 B, never read" in line for line in text)


def test_an_axis_that_is_not_to_scale(crossing):
    """Many short sends and one that is huge: all can be seen, and it is said how."""
    it = crossing()
    for at in range(0, 600, 3):
        it.send(at, at + 3)
    it.send(600, 1_000_600)
    it.recv(0, 1_000_600)
    text = drawn(it)
    assert any("not to scale: half of the width goes by bytes" in line for line in text)
    assert "#201 1,000,000 B" in row(text, "send")
    it = crossing()
    it.send(0, 1)
    it.send(1, 100_001)
    text = drawn(it)
    assert row(text, "send").startswith("├─ #1 1 B ─┤├─")
    assert any("not to scale: what is short is drawn longer" in line for line in text)


def test_thousands_of_pieces(crossing):
    """Of those that are not kept one by one it is said so; their cells count them all the same."""
    it = crossing()
    for at in range(10_000):
        it.send(at * 10, at * 10 + 10)
    text = drawn(it)
    assert "▓▓▓▓" in row(text, "send")
    assert any("of 10,000 sends the first 256 and the last 256 are known" in line for line in text)
    assert any("… 9,992 more" in line for line in text)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(12))
def test_no_boundary_is_lost(crossing, width, seed):
    """Whatever the stream: each row of boxes has as many as there are pieces, each row of cells their sum."""
    rng = random.Random(seed)
    it = crossing()
    total = rng.choice((1, 7, 40, 1000, 100_000, 10**7))
    counts = {}
    for name, put in (("send", it.send), ("wire", it.segment), ("recv", it.recv)):
        cuts = {0, total, *[rng.randrange(total) for _ in range(rng.choice((0, 2, 8, 60)))]}
        if rng.random() < 0.5:
            cuts |= set(range(min(total, 30)))
        edges = sorted(cuts)
        counts[name] = len(edges) - 1
        for begin, end in pairwise(edges):
            put(begin, end)
    text = drawn(it, width)
    for name, count in counts.items():
        marks = row(text, name)
        if not any("begin" in line for line in text):
            assert marks.count("├") == marks.count("┤") == count
        elif "▓" not in marks:
            cells = re.sub(r" [#p]\d+( [\d,]+ B)? ", "", marks)
            assert sum(1 if it == "┼" else int(it) for it in re.findall("[┼2-9]", cells)) == count - 1


def test_labels_that_have_no_room(crossing):
    """A box without its number is told in numbers; of two labels in the same cells the first stands."""
    it = crossing()
    it.number = 1_000_000
    for at in range(8):
        it.segment(at * 1000, at * 1000 + 1000)
    text = drawn(it)
    assert row(text, "wire") == "├───────┤" * 8
    assert "p1000001 [0,1000), p1000002 [1000,2000)" in " ".join(text)
    it = crossing()
    for at in range(100):
        it.segment(at * 1000, at * 1000 + 1000)
    it.segment(0, 90_000, of=1)
    it.segment(0, 91_000, of=1)
    text = drawn(it, 120)
    assert "p101 repeats p1" in row(text, "again")
    assert "p102" not in row(text, "again")
