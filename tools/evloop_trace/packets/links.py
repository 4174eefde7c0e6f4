"""Link layers: where in a frame the IP header begins.

Numbers are those of https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IPV4", "IPV6", "PPP", "Link", "link_of", "tagged"]

IPV4, IPV6 = 0x0800, 0x86DD
PPP = 9
"""The number of a link layer."""

_TAGS = frozenset({0x8100, 0x88A8, 0x9100, 0x9200})  # 802.1Q, 802.1ad, and what was used before it
_MPLS = frozenset({0x8847, 0x8848})
_PPPOE = 0x8864
_SNAP = b"\xaa\xaa\x03\x00\x00\x00"
_FAMILIES = {
    2: IPV4,
    10: IPV6,
    24: IPV6,
    28: IPV6,
    30: IPV6,
}  # AF_INET; AF_INET6 of Linux, the BSDs and macOS
_PPP = {0x0021: IPV4, 0x0057: IPV6, 0x0281: 0x8847, 0x0283: 0x8848}
_CISCO = frozenset({b"\x0f\x00", b"\x8f\x00"})  # addresses of Cisco's HDLC, which is not PPP

# An IPv4 header without options and what of TCP's we want: version and length, total length, fragment,
# protocol, addresses and ports as one key, sequence and acknowledgment number, offset with flags, window.
_FAST = "BxH2xHxB2x12sIIHH"
_FAST_SIZE = 36
# The same of an IPv6 header without extensions: version, length, next header, addresses and ports, and so on.
_FAST_6 = "B3xHBx36sIIHH"
_FAST_6_SIZE = 56


class Link(NamedTuple):
    """A link layer."""

    number: int
    base: int  # bytes before the IP header, in the plainest frame
    fast: Struct
    """Reads a plain frame with an IPv4 header of 20 bytes and a TCP header at once: first what says IPv4."""
    expected: int | bytes
    """What the first of these is in such a frame."""
    need: int  # bytes of a frame that `fast` reads
    fast_6: Struct
    """The same for IPv6, without extension headers."""
    expected_6: int | bytes
    need_6: int
    locate: Callable[[bytes, int, int], tuple[int, int]]
    """Buffer, begin and end of a frame: where its network header begins, and its EtherType, or 0."""
    known: bool = True


def tagged(buffer: bytes, at: int, end: int, kind: int) -> tuple[int, int]:
    """Behind VLAN tags, MPLS labels and a PPPoE header."""
    while kind in _TAGS and end - at >= 4:
        at, kind = at + 4, buffer[at + 2] << 8 | buffer[at + 3]
    if kind in _MPLS:
        return _labelled(buffer, at, end)
    if kind == _PPPOE and end - at >= 8:
        return at + 8, _PPP.get(buffer[at + 6] << 8 | buffer[at + 7], 0)
    if kind <= 1500 and buffer[at : at + 6] == _SNAP and end - at >= 8:  # a length, then 802.2
        return at + 8, buffer[at + 6] << 8 | buffer[at + 7]
    return at, kind


def _labelled(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Behind MPLS labels; the last has a bit set, and what it is of is guessed from the first four bits."""
    while end - at >= 5:
        bottom, at = buffer[at + 2] & 1, at + 4
        if bottom:
            return _by_version(buffer, at, end)
    return at, 0


def _by_version(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    return at, {4: IPV4, 6: IPV6}.get(buffer[at] >> 4, 0) if at < end else 0


def _ethernet(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    if end - at < 14:
        return at, 0
    return tagged(buffer, at + 14, end, buffer[at + 12] << 8 | buffer[at + 13])


def _cooked(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Linux cooked, version 1: the EtherType is the last of 16 bytes."""
    if end - at < 16:
        return at, 0
    return tagged(buffer, at + 16, end, buffer[at + 14] << 8 | buffer[at + 15])


def _cooked_2(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Version 2: it is the first of 20."""
    if end - at < 20:
        return at, 0
    return tagged(buffer, at + 20, end, buffer[at] << 8 | buffer[at + 1])


def _loopback(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Four bytes with the address family, in the order of the machine that captured, or of the network."""
    if end - at < 4:
        return at, 0
    family = int.from_bytes(buffer[at : at + 4], "big")
    if family > 0xFFFF:
        family = int.from_bytes(buffer[at : at + 4], "little")
    return at + 4, _FAMILIES.get(family, 0)


def _ppp(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    if buffer[at : at + 2] in _CISCO:
        return _cisco(buffer, at, end)
    if buffer[at : at + 2] == b"\xff\x03":  # address and control, which may be left out
        at += 2
    if end - at < 2:
        return at, 0
    return tagged(buffer, at + 2, end, _PPP.get(buffer[at] << 8 | buffer[at + 1], 0))


def _cisco(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Address, control, EtherType."""
    return tagged(buffer, at + 4, end, buffer[at + 2] << 8 | buffer[at + 3]) if end - at >= 4 else (at, 0)


def _none(_buffer: bytes, at: int, _end: int) -> tuple[int, int]:
    return at, 0


def _link(
    number: int,
    base: int,
    before: str,
    expected: tuple[int, int] | tuple[bytes, bytes],
    locate: Callable[[bytes, int, int], tuple[int, int]],
) -> Link:
    fast, fast_6 = Struct(">" + before + _FAST), Struct(">" + before + _FAST_6)
    four, six = expected
    return Link(number, base, fast, four, base + _FAST_SIZE, fast_6, six, base + _FAST_6_SIZE, locate)


_TYPES, _NOTHING = (IPV4, IPV6), (b"", b"")
_LINKS = {
    link.number: link
    for link in (
        _link(0, 4, "I", (0x02000000, 0x1E000000), _loopback),
        _link(1, 14, "12xH", _TYPES, _ethernet),
        _link(PPP, 2, "H", (0x0021, 0x0057), _ppp),
        _link(12, 0, "0s", _NOTHING, _by_version),
        _link(14, 0, "0s", _NOTHING, _by_version),
        _link(50, 4, "I", (0xFF030021, 0xFF030057), _ppp),
        _link(101, 0, "0s", _NOTHING, _by_version),
        _link(104, 4, "2xH", _TYPES, _cisco),
        _link(108, 4, "I", (2, 30), _loopback),
        _link(113, 16, "14xH", _TYPES, _cooked),
        _link(228, 0, "0s", _NOTHING, _by_version),
        _link(229, 0, "0s", _NOTHING, _by_version),
        _link(276, 20, "H18x", _TYPES, _cooked_2),
    )
}


def link_of(number: int) -> Link:
    """The link layer of this number; one that is not `known` finds nothing in any frame."""
    return _LINKS.get(number) or _link(number, 0, "0s", (0, 0), _none)._replace(known=False)
