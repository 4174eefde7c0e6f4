"""What a connection comes to, in words."""

from __future__ import annotations

import struct

import pytest
from evloop_trace.packets.words import notes

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000


GAP = "a gap: something that the client sent is not in the capture"
ENDS = "when the capture ends"
VERDICTS = {
    "opened, 3 B from the client, 0 B from the server, closed by both ends, the client first": (
        lambda t: t.opened().c(ACK, b"abc").s(ACK).closed()
    ),
    "no answer to the SYN": lambda t: t.c(SYN),
    "no answer: the client sent its SYN 3 times": lambda t: t.c(SYN).c(SYN, seq=1000).c(SYN, seq=1000),
    "refused: the server answered the SYN with RST": lambda t: t.c(SYN).s(RST | ACK),
    "given up: the client sent SYN, then RST, and no answer is in the capture": lambda t: t.c(SYN).c(RST),
    "half-open: the server answered the SYN, and no ACK of that is in the capture": (
        lambda t: t.c(SYN).s(SYN | ACK)
    ),
    "half-open: the server acknowledged the SYN, but sent none itself": lambda t: t.c(SYN).s(ACK),
    "opened in an unusual way, 0 B from the client, 1 B from the server": lambda t: t.c(SYN).s(ACK, b"x"),
    f"established, no data, still open {ENDS}": lambda t: t.opened(),
    f"opened, no data, closed only by the client {ENDS}": lambda t: t.opened().c(FIN | ACK),
    f"never answered, no data, closed only by the client {ENDS}": lambda t: t.c(SYN).c(FIN),
    "opened, no data, reset by the server": lambda t: t.opened().s(RST),
    "opened, no data, reset by the server after the client had sent FIN": (
        lambda t: t.opened().c(FIN | ACK).s(RST)
    ),
    "begun before the capture, no data, reset by the client": lambda t: t.s(SYN | ACK).c(RST),
    "begun before the capture, no data, not closed in it": lambda t: t.c(ACK).s(ACK),
    f"begun before the capture, no data, closed only by the server {ENDS}": (
        lambda t: t.s(SYN | ACK).s(FIN | ACK)
    ),
    f"established, 4 B from the client, 0 B from the server, still open {ENDS}; "
    "the server's window was full; 1 segment sent again": (
        lambda t: t.opened().c(ACK, b"xx").s(ACK, ack=1001, window=0).c(ACK, b"xx", seq=1001)
    ),
}


@pytest.mark.parametrize(("verdict", "make"), VERDICTS.items())
def test_verdicts(wire, look, verdict, make):
    """One sentence each."""
    only = look(make(wire.Talk()).pcap()).only
    assert only.verdict == verdict


def told(look, talk):
    """The notes of the only connection."""
    return notes(next(look(talk.pcap()).analysis.connections()))


def test_nothing_notable(wire, look):
    """An ordinary connection has no notes."""
    assert told(look, wire.Talk().opened().c(ACK, b"a").s(ACK).closed()) == []


def test_opening(wire, look):
    """Retries, both at once, and ports that are used again."""
    talk = wire.Talk().c(SYN).c(SYN, seq=1000).s(SYN | ACK).s(SYN | ACK, seq=5000).c(ACK)
    assert told(look, talk)[:2] == [
        "SYN retries: the client sent SYN twice",
        "SYN ACK retries: the server sent SYN twice",
    ]
    talk = wire.Talk().c(SYN).s(SYN).c(SYN | ACK, seq=1000).s(SYN | ACK, seq=5000)
    assert "simultaneous open: both ends sent SYN before either had the other's" in told(look, talk)
    first = wire.Talk().opened().closed()
    again = wire.Talk(seqs=[9, 9], time=first.time, frames=first.frames).opened()
    _, second = look(again.pcap()).analysis.connections()
    assert notes(second) == ["port reuse: a new connection between the ports of an earlier one"]


def test_sent_again(wire, look):
    """Why it was: a timeout, duplicate ACKs, no reason, or only to see what is missing."""
    talk = wire.Talk().opened().c(ACK, b"abc").c(ACK, b"abc", seq=1001, wait=300 * MS)
    assert told(look, talk) == ["retransmission: the client sent 1 segment again"]
    talk = wire.Talk().opened().c(ACK, b"abc").s(ACK).c(ACK, b"abc", seq=1001)
    assert told(look, talk) == [
        "spurious retransmission: the client sent 1 segment again that the server had acknowledged"
    ]
    talk = wire.Talk().opened().c(ACK, b"abc").c(ACK, b"def").c(ACK, b"def", seq=1004, wait=12 * MS)
    assert told(look, talk) == [
        "tail-loss probe: the client sent 1 last segment again before any timeout, to learn if it had arrived"
    ]
    talk = (
        wire.Talk()
        .opened()
        .s(ACK, b"x")
        .s(ACK, b"y")
        .c(ACK, ack=5001)
        .c(ACK, ack=5001)
        .s(ACK, b"x", seq=5001)
    )
    assert told(look, talk) == [
        "duplicate ACK: the client repeated an ACK twice",
        "fast retransmission: the server sent 1 segment again because of duplicate ACKs",
    ]


def test_losses(wire, look):
    """What the network lost is sent again; what the capture lost is acknowledged."""
    talk = wire.Talk().opened().c(ACK, b"bbb", seq=1004).c(ACK, b"aaa", seq=1001)
    assert told(look, talk) == [
        "out of order: 1 segment from the client came late",
        GAP + ", and was sent again: it was lost in the network",
    ]
    talk = wire.Talk().opened().c(ACK, b"bbb", seq=1004)
    assert told(look, talk) == [GAP]
    talk = wire.Talk().opened().c(ACK, ack=6000)
    assert told(look, talk) == [
        "capture loss: the client acknowledged what the server sent and the capture does not have"
    ]


def test_windows_and_keep_alives(wire, look):
    """Closed, asked, opened; and asked for no other reason than to ask."""
    talk = (
        wire.Talk()
        .opened()
        .c(ACK, b"full")
        .s(ACK, window=0)
        .c(ACK, seq=1004)
        .s(ACK, window=0)
        .s(ACK, window=9)
    )
    assert told(look, talk) == [
        "zero window probe: the client asked once whether the server has room again",
        "zero window: the server had no room for more twice",
        "window update: the server announced another window",
    ]
    talk = wire.Talk().opened().s(ACK, seq=5000).c(ACK)
    assert told(look, talk) == ["keep-alive: the server asked once whether the client is still there"]


def test_closing(wire, look):
    """Half-closes, with data and without, both at once, and resets."""
    talk = wire.Talk().opened().c(FIN | ACK).s(ACK).s(ACK, b"more").c(ACK).s(FIN | ACK)
    assert told(look, talk) == ["half-close: the server sent 4 B more after the client's FIN"]
    assert told(look, wire.Talk().opened().s(FIN | ACK)) == ["half-close: the client has not closed"]
    talk = wire.Talk().opened().c(FIN | ACK).s(FIN | ACK, ack=1001)
    assert told(look, talk) == ["simultaneous close: both ends sent FIN before either had the other's"]
    assert told(look, wire.Talk().opened().c(RST)) == ["reset: the client sent 1 RST"]


def test_udp_and_icmp(wire, look):
    """No answer, an answer, or an error in its place."""
    ask = wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5000, 9000, b"ask"))
    answer = wire.ipv4("10.0.0.2", "10.0.0.1", 17, wire.udp(9000, 5000, b"re"))
    error = wire.ipv4("10.0.0.2", "10.0.0.1", 1, struct.pack(">BBHI", 3, 3, 0, 0) + ask)
    for packets, verdict in [
        ([ask, ask], "2 datagrams, no answer"),
        ([ask, answer], "1 datagram from the client, 1 from the server"),
        ([ask, error, error], "1 datagram, answered by ICMP port unreachable"),
    ]:
        found = look(wire.pcap([(1, wire.ethernet(packet)) for packet in packets]))
        assert found.only.verdict == verdict
        assert found.only.completeness == 0
    assert notes(next(found.analysis.connections())) == [
        "ICMP port unreachable twice, from 10.0.0.2, about what the client sent"
    ]


@pytest.mark.parametrize(
    ("kind", "code", "what"),
    [(3, 4, "fragmentation needed"), (3, 77, "destination unreachable"), (11, 0, "time to live exceeded")],
)
def test_icmp_words(wire, look, kind, code, what):
    """The exact word, or that of the kind."""
    ask = wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5000, 9000, b"ask"))
    error = wire.ipv4("10.0.0.2", "10.0.0.1", 1, struct.pack(">BBHI", kind, code, 0, 0) + ask)
    found = look(wire.pcap([(1, wire.ethernet(ask)), (2, wire.ethernet(error))]))
    assert found.only.verdict.endswith(f"answered by ICMP {what}")
