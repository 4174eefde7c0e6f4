"""Packets inside packets: GRE (RFC 2784, 2890, 2637), and over UDP VXLAN, Geneve, GTP and Teredo.

Each function is given where a tunnel's header begins and where what was captured of it ends, and says where
the packet in it begins, and its EtherType; 0 if there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.packets.links import IPV4, IPV6, PPP, link_of, tagged

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OVER_UDP", "gre"]

_ETHERNET, _PPTP = 0x6558, 0x880B
_BY_VERSION = {4: IPV4, 6: IPV6}
_GTP_DATA = 255  # the type of a message with a user's packet


def gre(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Generic Routing Encapsulation; checksum, key and numbers may be there or not."""
    if end - at < 4:
        return at, 0
    flags, version, kind = buffer[at], buffer[at + 1] & 7, buffer[at + 2] << 8 | buffer[at + 3]
    inside = at + 4 + 4 * sum([bool(flags & bit) for bit in (0x80, 0x20, 0x10)])  # checksum, key, number
    if version == 1 and kind == _PPTP:
        return _ppp(buffer, inside + 4 * bool(buffer[at + 1] & 0x80), end)  # the number it acknowledges
    return _payload(buffer, inside, end, kind) if version == 0 else (at, 0)


def _payload(buffer: bytes, at: int, end: int, kind: int) -> tuple[int, int]:
    return _frame(buffer, at, end) if kind == _ETHERNET else tagged(buffer, at, end, kind)


def _ppp(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    return link_of(PPP).locate(buffer, at, end)


def _frame(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    return link_of(1).locate(buffer, at, end)


def _packet(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    return at, _BY_VERSION.get(buffer[at] >> 4, 0) if at < end else 0


def _vxlan(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """RFC 7348: eight bytes, the first says that it is."""
    return _frame(buffer, at + 8, end) if end - at >= 8 and buffer[at] & 0x08 else (at, 0)


def _geneve(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """RFC 8926: eight bytes and options."""
    if end - at < 8 or buffer[at] >> 6:
        return at, 0
    kind = buffer[at + 2] << 8 | buffer[at + 3]
    return _payload(buffer, at + 8 + 4 * (buffer[at] & 0x3F), end, kind)


def _gtp(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """3GPP TS 29.281: eight bytes, or twelve and extensions."""
    if end - at < 12 or buffer[at] >> 5 != 1 or buffer[at + 1] != _GTP_DATA:
        return at, 0
    inside = at + 8
    if buffer[at] & 7:
        inside += 4
        while inside < end and buffer[inside - 1] and buffer[inside]:  # each has its length in words
            inside += 4 * buffer[inside]
            if inside > end:
                return at, 0
    return _packet(buffer, inside, end)


def _teredo(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """RFC 4380, section 5.1.1: IPv6, behind an authentication and an origin or not."""
    if end - at >= 13 and buffer[at : at + 2] == b"\0\1":
        at += 13 + buffer[at + 2] + buffer[at + 3]
    if end - at >= 8 and buffer[at : at + 2] == b"\0\0":
        at += 8
    return at, IPV6 if at < end and buffer[at] >> 4 == 6 else 0


OVER_UDP: dict[bytes, Callable[[bytes, int, int], tuple[int, int]]] = {
    port.to_bytes(2, "big"): carried
    for port, carried in ((4789, _vxlan), (6081, _geneve), (2152, _gtp), (3544, _teredo))
}
"""By the port of either end."""
