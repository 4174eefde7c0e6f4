"""From a frame to what its IP header carries; only so much as a line about it needs.

Pure.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import NamedTuple

__all__ = ["Datagram", "Reason", "decode", "inner"]

_IP4 = Struct(">BxH2xHxB2x4s4s")
_IP6 = Struct(">4xHBx16s16s")
_EXTENSIONS = frozenset({0, 43, 44, 60})
_FRAGMENT = 44
_ETHERNET = 1


class Reason(Enum):
    """Why there is no datagram to be found."""

    NETWORK = "neither IPv4 nor IPv6"
    CUT = "cut off by the snap length"


class Datagram(NamedTuple):
    """What an IP header says of what it carries."""

    version: int
    source: bytes
    target: bytes
    protocol: int
    at: int
    """Where the transport header begins."""
    end: int
    """Where what was captured ends."""
    size: int
    """How long it was on the wire."""
    fragment: bool = False


def decode(link_type: int, data: bytes, wire: int) -> Datagram | Reason:
    """What a frame, of which there were `wire` bytes, carries."""
    if link_type != _ETHERNET:
        return _ip(data, 0, wire, data[0] >> 4) if data else Reason.CUT
    if len(data) < 14:
        return Reason.CUT
    return _ip(data, 14, wire, {b"\x08\x00": 4, b"\x86\xdd": 6}.get(data[12:14], 0))


def inner(data: bytes, found: Datagram) -> Datagram | Reason:
    """The datagram that an ICMP error carries the beginning of; its length is what it claims."""
    return _ip(data[: found.end], found.at + 8, 1 << 18, found.version)


def _ip(data: bytes, at: int, wire: int, version: int) -> Datagram | Reason:
    if version == 4:
        return _ip4(data, at, wire)
    return _ip6(data, at, wire) if version == 6 else Reason.NETWORK


def _ip4(data: bytes, at: int, wire: int) -> Datagram | Reason:
    if len(data) - at < _IP4.size:
        return Reason.CUT
    first, total, fragment, protocol, source, target = _IP4.unpack_from(data, at)
    begin, total = at + ((first & 15) << 2), total or wire - at  # 0: too long for its field
    end = min(len(data), at + total)
    return Datagram(4, source, target, protocol, begin, end, at + total - begin, bool(fragment & 0x3FFF))


def _ip6(data: bytes, at: int, wire: int) -> Datagram | Reason:
    if len(data) - at < _IP6.size:
        return Reason.CUT
    total, protocol, source, target = _IP6.unpack_from(data, at)
    at += _IP6.size
    last = at + total if total else wire
    fragment = False
    while protocol in _EXTENSIONS and not fragment:
        if len(data) - at < 8:
            return Reason.CUT
        fragment = protocol == _FRAGMENT
        protocol, at = data[at], at + (8 if fragment else (data[at + 1] + 1) * 8)
    return Datagram(6, source, target, protocol, at, min(len(data), last), last - at, fragment)
