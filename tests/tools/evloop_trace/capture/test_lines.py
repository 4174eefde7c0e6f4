"""A packet in a line."""

from __future__ import annotations

from typing import Any

from evloop_trace.capture import lines as lines_module
from evloop_trace.capture.lines import Lines

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
SYN, ACK, PSH, FIN, RST = 2, 16, 8, 1, 4
C, S = 40000, 80


def say(*frames: bytes, cut: int | None = None, link_type: int = 1) -> list[str]:
    """The lines of some packets, 1 ms after another, without what stands before what is said."""
    lines = Lines(link_type)
    made = [lines.line((10**18 + 10**6 * at, it[:cut], len(it))) for at, it in enumerate(frames)]
    assert all(line.endswith("\n") for line in made)
    assert [line[:14] for line in made] == [f"{at / 1000:>14.6f}" for at in range(len(frames))]
    return [" ".join(line[14:].split()) for line in made]


def test_a_conversation(frames: Any) -> None:
    """Offsets are those of the streams, across the end of what a sequence number can be."""
    isn, peer = 2**32 - 3, 5000

    def client(payload: bytes = b"", **fields: int) -> bytes:
        return frames.ethernet(frames.ip4(TCP, frames.tcp(C, S, payload, **fields)))

    def server(payload: bytes = b"", **fields: int) -> bytes:
        frame = bytearray(frames.ethernet(frames.ip4(TCP, frames.tcp(S, C, payload, **fields))))
        frame[26:30], frame[30:34] = frame[30:34], frame[26:30]
        return bytes(frame)

    assert say(
        client(seq=isn, flags=SYN),
        server(seq=peer, ack=isn + 1, flags=SYN | ACK),
        client(b"hello la", seq=isn + 1, ack=peer + 1, flags=PSH | ACK),
        server(seq=peer + 1, ack=isn + 9 - 2**32, window=0),
        client(b"\x1b[31m\n", seq=isn + 9 - 2**32, ack=peer + 1),
        client(seq=isn + 14 - 2**32, ack=peer + 1, flags=FIN | ACK),
        server(seq=peer + 1, flags=RST, window=0),
        client(flags=0),
    ) == [
        "10.0.0.1:40000 → 10.0.0.2:80 SYN",
        "10.0.0.2:80 → 10.0.0.1:40000 SYN ACK ack 0",
        '10.0.0.1:40000 → 10.0.0.2:80 PSH ACK 8 B [0,8) ack 0 "hello la"',
        "10.0.0.2:80 → 10.0.0.1:40000 ACK ack 8 window 0",
        r'10.0.0.1:40000 → 10.0.0.2:80 ACK 6 B [8,14) ack 0 "\x1b[31m\n"',
        "10.0.0.1:40000 → 10.0.0.2:80 FIN ACK ack 0",
        "10.0.0.2:80 → 10.0.0.1:40000 RST",
        "10.0.0.1:40000 → 10.0.0.2:80 no flags",
    ]


def test_a_stream_whose_beginning_was_not_seen(frames: Any) -> None:
    """It begins with what was seen first; what is older is before it."""
    one = frames.ethernet(frames.ip4(TCP, frames.tcp(C, S, b"abc", seq=1000, ack=7)))
    before = frames.ethernet(frames.ip4(TCP, frames.tcp(C, S, b"abc", seq=997, ack=9)))
    assert [it.split(" ", 4)[4] for it in say(one, before)] == [
        '3 B [0,3) ack 0 "abc"',
        '3 B [-3,0) ack 2 "abc"',
    ]


def test_memory_is_bounded(frames: Any, monkeypatch: Any) -> None:
    """The oldest stream is forgotten."""
    monkeypatch.setattr(lines_module, "_MOST_STREAMS", 2)
    lines = Lines(1)
    for port, flags in ((1, SYN), (2, SYN), (3, SYN), (4, 0), (5, 0)):
        lines.line((0, frames.ethernet(frames.ip4(TCP, frames.tcp(port, S, seq=9, flags=flags))), 54))
    assert len(lines._streams) == 2


def test_datagrams(frames: Any) -> None:
    """Payload, and how long it was, over either IP; an empty one is a datagram, too."""
    assert say(
        frames.ethernet(frames.ip4(UDP, frames.udp(C, S, b"postcard"))),
        frames.ethernet(frames.ip6(UDP, frames.udp(C, S)), 0x86DD),
        frames.ethernet(frames.ip4(UDP, bytes(16), offset=185)),
    ) == [
        '10.0.0.1:40000 → 10.0.0.2:80 UDP 8 B "postcard"',
        "[fd00::1]:40000 → [fd00::2]:80 UDP 0 B",
        "10.0.0.1 → 10.0.0.2 16 B piece of a datagram",
    ]
    assert say(frames.ip4(UDP, frames.udp(C, S, b"x")), link_type=101) == [
        '10.0.0.1:40000 → 10.0.0.2:80 UDP 1 B "x"'
    ]


def test_names_of_interfaces(frames: Any) -> None:
    """Where there are several."""
    lines = Lines(276, lambda index: {1: "lo", 7: "v\x1b0"}[index])
    for index, name in ((1, "lo"), (7, r"v\x1b0")):
        head = b"\x08\0\0\0" + index.to_bytes(4, "big") + bytes(12)
        line = lines.line((0, head + frames.ip4(UDP, frames.udp(C, S, b"x")), 49))
        assert line.split()[1:3] == [name, "10.0.0.1:40000"]


def test_errors(frames: Any) -> None:
    """What it says, and of which datagram."""
    about = frames.ip4(UDP, frames.udp(C, S))
    about6 = frames.ip6(TCP, frames.tcp(C, S))
    assert say(
        frames.ethernet(frames.ip4(ICMP, frames.icmp(3, 3, about))),
        frames.ethernet(frames.ip6(ICMP6, frames.icmp(1, 4, about6)), 0x86DD),
        frames.ethernet(frames.ip4(ICMP, frames.icmp(12, 9, about[:22]))),
        frames.ethernet(frames.ip4(ICMP, frames.icmp(3, 1, about[:12]))),
        frames.ethernet(frames.ip4(ICMP, frames.icmp(3, 1, frames.ip4(132, bytes(8))))),
    ) == [
        "10.0.0.1 → 10.0.0.2 ICMP port unreachable: UDP 10.0.0.1:40000 → 10.0.0.2:80",
        "fd00::1 → fd00::2 ICMP port unreachable: TCP [fd00::1]:40000 → [fd00::2]:80",
        "10.0.0.1 → 10.0.0.2 ICMP bad header: UDP 10.0.0.1 → 10.0.0.2",
        "10.0.0.1 → 10.0.0.2 ICMP host unreachable",
        "10.0.0.1 → 10.0.0.2 ICMP host unreachable: protocol 132 10.0.0.1:0 → 10.0.0.2:0",
    ]


def test_what_the_snap_length_cut(frames: Any) -> None:
    """Lengths are those on the wire; what is not there is not shown, and nothing is wrong."""
    segment = frames.ethernet(frames.ip4(TCP, frames.tcp(C, S, b"hello la", seq=5)))
    assert say(segment, cut=58) == ['10.0.0.1:40000 → 10.0.0.2:80 ACK 8 B [0,8) ack 0 "hell…"']
    assert say(segment, cut=54) == ["10.0.0.1:40000 → 10.0.0.2:80 ACK 8 B [0,8) ack 0"]
    assert say(segment, cut=40) == ["10.0.0.1:40000 → 10.0.0.2:80 TCP cut off by the snap length"]
    assert say(frames.ethernet(frames.ip4(ICMP, frames.icmp(3, 3, b""))), cut=35) == [
        "10.0.0.1 → 10.0.0.2 ICMP cut off by the snap length"
    ]
    for size in range(len(segment)):
        assert say(segment, cut=size)


def test_what_is_no_ip(frames: Any) -> None:
    """How long it was, and what it is not."""
    assert say(frames.ethernet(bytes(28), 0x0806)) == ["42 B neither IPv4 nor IPv6"]
