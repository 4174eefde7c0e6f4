"""The blocks of a pcapng file: what is said at its beginning, packets, and what was counted.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html; little endian, nanoseconds.

Pure: a block is bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evloop_trace.capture.ring import Counts, Packet

__all__ = ["count", "interface", "packets", "section", "statistics"]

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_COMMENT = 1
_ENDS = struct.pack("<HH", 0, 0)  # opt_endofopt

_PACKET_HEAD = struct.Struct("<7I")  # type, length, interface, time (high, low), bytes kept, bytes there were
_PACKET_ROUND = 32  # bytes of a packet's block besides the packet
_LENGTH = struct.Struct("<4xI")  # of a block

Option = tuple[int, str | bytes]


def section(hardware: str, system: str, program: str) -> bytes:
    """The block that a file begins with; how long the rest is is not known yet (-1)."""
    head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    return _block(_SECTION, head, [(2, hardware), (3, system), (4, program)])


def interface(name: str, link_type: int, snap: int, words: str, system: str) -> bytes:
    """The interface that the packets are of.

    Args:
        name: As the system calls it.
        link_type: The kind of header before IP's: 1 is Ethernet.
        snap: Bytes that are kept of a packet at most.
        words: The filter, for people.
        system: The operating system.
    """
    nanoseconds = bytes([9])  # the unit of its times is 10^-9 s
    options: list[Option] = [(2, name), (9, nanoseconds), (11, b"\0" + words.encode()), (12, system)]
    return _block(_INTERFACE, struct.pack("<HHI", link_type, 0, snap), options)


def packets(batch: Iterable[Packet], number: int = 0) -> bytes:
    """A block for each packet, of the interface with this number in the file."""
    parts: list[bytes] = []
    add, head, tails = parts.append, _PACKET_HEAD.pack, _TAILS
    for when, data, size in batch:
        kept = len(data)
        length = _PACKET_ROUND + (kept + 3 & ~3)
        add(head(_PACKET, length, number, when >> 32, when & 0xFFFFFFFF, kept, size))
        add(data)
        add(tails.get(kept) or _tail(kept))
    return b"".join(parts)


_TAILS: dict[int, bytes] = {}  # by bytes kept; on loopback they are few, and 64 Ki at most


def _tail(kept: int) -> bytes:
    """What fills a packet of so many bytes up to 32 bits, and the block's length again."""
    padding = -kept % 4
    tail = _TAILS[kept] = bytes(padding) + struct.pack("<I", _PACKET_ROUND + kept + padding)
    return tail


def statistics(now: int, began: int, counts: Counts, delivered: int, comment: str = "") -> bytes:
    """What was counted until `now`, in nanoseconds of the wall clock as `began`.

    The kernel's drops are told as the interface's: there dumpcap puts them, and Wireshark looks for them.
    """
    number = struct.Struct("<Q").pack
    options: list[Option] = [(_COMMENT, comment)] if comment else []
    options += [
        (2, _time(began)),
        (3, _time(now)),
        (4, number(counts.seen)),
        (5, number(counts.dropped)),
        (8, number(delivered)),
    ]
    return _block(_STATISTICS, struct.pack("<I", 0) + _time(now), options)


def count(blocks: bytes, written: int) -> tuple[int, int]:
    """How long those blocks are that are among the first so many bytes, and how many are not."""
    at = whole = missing = 0
    while at < len(blocks):
        at += _LENGTH.unpack_from(blocks, at)[0]
        if at <= written:
            whole = at
        else:
            missing += 1
    return whole, missing


def _time(ns: int) -> bytes:
    return struct.pack("<II", ns >> 32, ns & 0xFFFFFFFF)


def _block(kind: int, body: bytes, options: Sequence[Option]) -> bytes:
    for code, value in options:
        data = value.encode() if isinstance(value, str) else value
        body += struct.pack("<HH", code, len(data)) + data + bytes(-len(data) % 4)
    body += _ENDS
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size
