"""Captures made by hand: segments, datagrams, frames, and the two kinds of files around them."""

from __future__ import annotations

import hashlib
import random
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000
START = 1_700_000_000_000_000_000
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


def address(text: str) -> bytes:
    """Its bytes."""
    return ip_address(text).packed


def tcp(
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: int,
    window: int = 1000,
    payload: bytes = b"",
    options: bytes = b"",
    header: int | None = None,
) -> bytes:
    """A segment; `header` is what its length field says, in words, if that is to be a lie."""
    options += b"\1" * (-len(options) % 4)
    words = 5 + len(options) // 4 if header is None else header
    bits = words << 12 | flags
    fixed = struct.pack(">HHIIHHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, bits, window, 0, 0)
    return fixed + options + payload


def udp(sport: int, dport: int, payload: bytes) -> bytes:
    """A datagram."""
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def ipv4(
    source: str, target: str, protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0x4000,
    total: int | None = None,
) -> bytes:  # fmt: skip
    """A packet; `total` is what its length field says, if that is to be a lie."""
    header = 20 + len(options)
    length = header + len(payload) if total is None else total
    return (
        struct.pack(
            ">BBHHHBBH4s4s", 0x40 | header // 4, 0, length, 1, fragment, 64, protocol, 0, address(source),
            address(target),
        )
        + options
        + payload
    )  # fmt: skip


def ipv6(
    source: str,
    target: str,
    protocol: int,
    payload: bytes,
    *,
    extensions: bytes = b"",
    length: int | None = None,
) -> bytes:
    """A packet; `length` as above."""
    size = len(extensions) + len(payload) if length is None else length
    return (
        struct.pack(">IHBB16s16s", 6 << 28, size, protocol, 64, address(source), address(target))
        + extensions
        + payload
    )


def ethernet(packet: bytes, kind: int | None = None, tags: bytes = b"") -> bytes:
    """A frame."""
    ethertype = (0x86DD if packet[0] >> 4 == 6 else 0x0800) if kind is None else kind
    return b"\2" * 6 + b"\4" * 6 + tags + struct.pack(">H", ethertype) + packet


def pcap(
    frames: list[tuple[int, bytes]], link: int = 1, order: str = "<", *, nano: bool = True, snap: int = 262144
) -> bytes:
    """A file."""
    magic, unit = (0xA1B23C4D, 1) if nano else (0xA1B2C3D4, 1000)
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link)]
    for time, frame in frames:
        seconds, rest = divmod(time, 10**9)
        kept = frame[:snap]
        out += [struct.pack(order + "IIII", seconds, rest // unit, len(kept), len(frame)), kept]
    return b"".join(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of a pcapng file."""
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """An option of a block."""
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order: str = "<", options: bytes = b"") -> bytes:
    """The header of a section."""
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options, order)


def interface(link: int = 1, snap: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    """The description of an interface."""
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options, order)


def enhanced(time: int, frame: bytes, number: int = 0, order: str = "<", options: bytes = b"") -> bytes:
    """A packet's block."""
    body = struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, body + frame + b"\0" * (-len(frame) % 4) + options, order)


def pcapng(frames: list[tuple[int, bytes]], link: int = 1, order: str = "<") -> bytes:
    """A file with nanoseconds."""
    nano = option(9, b"\x09", order)
    return b"".join(
        [section(order), interface(link, 0, nano, order), *[enhanced(at, it, 0, order) for at, it in frames]]
    )


@dataclass
class Talk:
    """A connection being written: `c` and `s` are what the client and the server send, 1 ms apart."""

    cport: int = 40000
    sport: int = 8080
    seqs: list[int] = field(default_factory=lambda: [1000, 5000])
    client: str = CLIENT
    server: str = SERVER
    time: int = START
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    v6: bool = False
    step: int = MS

    def send(
        self,
        who: int,
        flags: int,
        payload: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int = 1000,
        options: bytes = b"",
        wait: int | None = None,
    ) -> Talk:
        """One segment; without `seq` what is next, and then that advances."""
        self.time += self.step if wait is None else wait
        number = self.seqs[who] if seq is None else seq
        behind = (self.seqs[1 - who] if flags & ACK else 0) if ack is None else ack
        ports = (self.cport, self.sport) if who == 0 else (self.sport, self.cport)
        hosts = (self.client, self.server) if who == 0 else (self.server, self.client)
        segment = tcp(*ports, number, behind, flags, window, payload, options)
        self.frames.append((self.time, ethernet((ipv6 if self.v6 else ipv4)(*hosts, 6, segment))))
        if seq is None:
            self.seqs[who] += len(payload) + bool(flags & SYN) + bool(flags & FIN)
        return self

    def c(self, flags: int, payload: bytes = b"", **options: int) -> Talk:
        """The client sends."""
        return self.send(0, flags, payload, **options)

    def s(self, flags: int, payload: bytes = b"", **options: int) -> Talk:
        """The server sends."""
        return self.send(1, flags, payload, **options)

    def opened(self) -> Talk:
        """The handshake."""
        return self.c(SYN).s(SYN | ACK).c(ACK)

    def closed(self) -> Talk:
        """The client closes first."""
        return self.c(FIN | ACK).s(FIN | ACK).c(ACK)

    def pcap(self) -> bytes:
        """All of it as a file."""
        return pcap(self.frames)


def shifted(frames: list[tuple[int, bytes]], by: int) -> list[tuple[int, bytes]]:
    """The same with other initial sequence numbers; of plain frames with IPv4."""
    return [(time, _shifted(frame, by)) for time, frame in frames]


def _shifted(frame: bytes, by: int) -> bytes:
    seq, ack = (int.from_bytes(frame[at : at + 4], "big") + by & 0xFFFFFFFF for at in (38, 42))
    if not frame[47] & ACK:
        ack = 0
    return frame[:38] + struct.pack(">II", seq, ack) + frame[46:]


KEYS = [bytes([n]) * 8 for n in range(1, 4)]
JOINS = [hashlib.sha1(key).digest()[:4] for key in KEYS] + [hashlib.sha256(key).digest()[:4] for key in KEYS]


def multipath(subtype: int, body: bytes, version: int = 0) -> bytes:
    """An option of Multipath TCP (RFC 8684, section 3)."""
    return bytes([30, len(body) + 3, subtype << 4 | version]) + body


SCALES = [b"", b"\3\3\0", b"\1\3\3\1", b"\3\3\x63", b"\3\2"]


def _multipath(rng: random.Random) -> bytes:
    return rng.choice([
        multipath(1, b"\0" + b"h" * 8 + b"rand"),
        multipath(2, b"\1" + b"ack4"),
        multipath(3, b"\1" + b"\x0a\0\0\1"),
        multipath(4, b"\1"),
        multipath(5, b""),
        multipath(6, b"\0" + b"s" * 8),
        multipath(7, b"\0" + b"k" * 8),
        multipath(8, b"\0"),
    ])  # fmt: skip


def random_talks(seed: int, number: int = 60, *, v6: bool = False) -> list[tuple[int, bytes]]:
    """Connections in which anything may happen: every flag, every number near what is expected, any pause."""
    rng = random.Random(seed)
    waits = [0, 1000, 100_000, MS, 2_900_000, 5 * MS, 19 * MS, 30 * MS, 300 * MS]
    hosts = {"client": "fe80::1", "server": "fe80::2"} if v6 else {}
    talk = Talk()
    for port in range(30000, 30000 + number):
        first = [
            rng.choice([0xFFFFFFF0, 1000, 0, 0x7FFFFFF0, rng.getrandbits(32)]),
            rng.choice([5, 0xFFFFFFFF, rng.getrandbits(32)]),
        ]
        odd = rng.random() < 0.3
        talk = Talk(port, 80, list(first), time=talk.time, frames=talk.frames, v6=v6, **hosts)
        if rng.random() < 0.7:
            for who, flags in [(0, SYN), (1, SYN | ACK)]:
                for _ in range(rng.choice([1, 1, 1, 2])):
                    capable = multipath(0, b"\x81" + struct.pack(">II", seed, port))
                    talk.send(
                        who, flags, seq=first[who], ack=first[0] + 1 if who else 0, wait=rng.choice(waits),
                        options=capable if odd else rng.choice(SCALES),
                    )  # fmt: skip
            talk.send(0, ACK, seq=first[0] + 1, ack=first[1] + 1, wait=rng.choice(waits))
        _chaos(rng, talk, first, waits, odd=odd)
    return talk.frames


def _chaos(rng: random.Random, talk: Talk, first: list[int], waits: list[int], *, odd: bool) -> None:
    following = [first[0] + 1, first[1] + 1]
    acked = list(following)
    for _ in range(rng.randint(1, 40)):
        who = rng.randint(0, 1)
        kind = rng.random()
        window = rng.choice([1000, 1000, 5, 10, 0]) if rng.random() < 0.4 else 1000
        options = _multipath(rng) if odd else b""
        seq, ack, flags, payload, again = following[who], acked[1 - who], ACK, b"", 1
        if kind < 0.4:
            payload = b"x" * rng.choice([1, 2, 5, 10])
            seq += rng.choice([-10, -5, -2, -1, -1, 1, 5]) if rng.random() < 0.3 else 0
            flags |= PSH * rng.randint(0, 1)
            following[who] = max(following[who], seq + len(payload))
            again = 2 if rng.random() < 0.1 else 1
        elif kind < 0.85:
            ack = rng.choice([ack, ack, ack, following[1 - who], following[1 - who]])
            ack += rng.choice([1, 5, -3]) if rng.random() < 0.08 else 0
            acked[1 - who] = ack
            seq += rng.choice([-1, -1, 0, 3, -4]) if rng.random() < 0.2 else 0
            again = rng.choice([1, 1, 1, 2, 4])
        elif kind < 0.9:
            flags, payload = (
                rng.choice([FIN | ACK, FIN | ACK, FIN | PSH | ACK, FIN]),
                b"yy" * (rng.random() < 0.3),
            )
            following[who] += rng.randint(0, 1)
        elif kind < 0.93:
            flags, window = rng.choice([RST, RST | ACK]), window * rng.randint(0, 1)
        elif kind < 0.95:
            seq = rng.choice([first[who], first[who], first[who] + 777])
            flags, payload = SYN if rng.random() < 0.6 else SYN | ACK, b"tfo" * (rng.random() < 0.2)
        else:
            seq += rng.choice([20, -30, 0x80000000, 0x7FFFFFFF])
            flags = rng.choice([ACK, 0, FIN, SYN, RST | ACK, 0x29, SYN | FIN, RST | SYN, 7])
            payload = b"z" * rng.choice([0, 1, 3])
        for _ in range(again):
            talk.send(
                who, flags, payload, seq=seq, ack=ack & 0xFFFFFFFF, window=window, wait=rng.choice(waits),
                options=options,
            )  # fmt: skip
