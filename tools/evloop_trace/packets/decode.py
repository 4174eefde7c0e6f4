"""IP headers: from a frame to a TCP segment, a UDP datagram, or an ICMP error.

Lengths are those of the IP header, never of the frame: a frame may be padded, or cut by the snap length.
"""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.packets.links import IPV4, IPV6
from evloop_trace.packets.tunnels import gre

if TYPE_CHECKING:
    from evloop_trace.packets.links import Link

__all__ = ["Datagram", "Reason", "Segment", "decode", "inner", "network", "ports", "tcp_header"]

TCP, UDP, ICMP = 6, 17, 1
_TUNNELS = frozenset({_IPIP := 4, _IPV6IP := 41, _GRE := 47})
_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_EXTENSIONS = frozenset({_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION, 135, 139, 140})
_DEPTH = 8  # of headers inside headers

_V4 = Struct(">BxH2xHxB2x4s4s").unpack_from
_V6 = Struct(">IHBx16s16s").unpack_from
_TCP = Struct(">4xIIHH").unpack_from


class Reason(Enum):
    """Why a packet belongs to no connection here."""

    LINK = "of a link type that cannot be read"
    NETWORK = "neither IPv4 nor IPv6"
    TRANSPORT = "neither TCP nor UDP"
    FRAGMENT = "fragments of IP datagrams"
    CUT = "cut off by the snap length before their ports"
    DAMAGED = "with a header that contradicts itself"


class Datagram(NamedTuple):
    """What an IP header says of what it carries."""

    version: int
    source: bytes
    target: bytes
    protocol: int
    at: int  # where in the buffer the transport header begins
    end: int  # where what was captured of it ends
    size: int  # how long it was on the wire
    fragment: bool = False


class Segment(NamedTuple):
    """A TCP segment: what of its headers analysis needs."""

    time: int  # ns
    key: bytes  # both addresses and both ports, as they are on the wire
    seq: int
    ack: int
    size: int  # of the payload, on the wire; below 0 if the header is longer than the datagram
    flags: int
    window: int  # as it is in the header
    header: int = 20  # how long it says it is
    options: bytes = b""  # as far as the capture has them

    @property
    def whole(self) -> bool:
        """Whether the header is as long as a header must be."""
        return self.header >= 20


def decode(link: Link, buffer: bytes, at: int, kept: int, wire: int) -> Datagram | Reason:
    """The datagram in a frame of which `kept` bytes of `wire` are in `buffer`, from `at`."""
    if not link.known:
        return Reason.LINK
    end = at + kept
    begin, kind = link.locate(buffer, at, end)
    return network(buffer, begin, end, kind, wire - (begin - at))


def network(buffer: bytes, begin: int, end: int, kind: int, size: int) -> Datagram | Reason:
    """The innermost datagram of a packet of this EtherType, which was `size` bytes long on the wire."""
    for _ in range(_DEPTH):
        if kind == IPV4:
            found = _ipv4(buffer, begin, end, size)
        elif kind == IPV6:
            found = _ipv6(buffer, begin, end, size)
        else:
            return Reason.NETWORK
        if not isinstance(found, Datagram) or found.protocol not in _TUNNELS or found.fragment:
            return found
        begin, size, kind = found.at, found.size, IPV4 if found.protocol == _IPIP else IPV6
        if found.protocol == _GRE:
            begin, kind = gre(buffer, found.at, end := found.end)
            size -= begin - found.at
            if kind not in {IPV4, IPV6}:
                return found
    return Reason.DAMAGED


def _ipv4(buffer: bytes, at: int, end: int, size: int) -> Datagram | Reason:
    if end - at < 20:
        return Reason.CUT
    first, total, fragment, protocol, source, target = _V4(buffer, at)
    header = (first & 15) * 4
    # A frame that the hardware is to cut into segments may say 0, since its length does not fit.
    total = min(total, size) if total else size
    if first >> 4 != 4 or header < 20 or total < header:
        return Reason.DAMAGED
    begin = at + header
    return Datagram(
        4, source, target, protocol, begin, min(end, at + total), total - header, bool(fragment & 0x3FFF)
    )


def _ipv6(buffer: bytes, at: int, end: int, size: int) -> Datagram | Reason:
    if end - at < 40:
        return Reason.CUT
    first, length, protocol, source, target = _V6(buffer, at)
    if first >> 28 != 6:
        return Reason.DAMAGED
    size = min(length, size - 40) if length else size - 40
    end = min(end, at + 40 + size)
    at += 40
    fragment = False
    while protocol in _EXTENSIONS:
        if end - at < 8:
            return Reason.CUT
        if protocol == _FRAGMENT:
            fragment |= (buffer[at + 2] << 8 | buffer[at + 3]) & 0xFFF9 != 0
            length = 8
        elif protocol == _AUTHENTICATION:
            length = (buffer[at + 1] + 2) * 4
        else:
            length = (buffer[at + 1] + 1) * 8
        protocol, at, size = buffer[at], at + length, size - length
        if fragment:
            break
    if size < 0:
        return Reason.DAMAGED
    return Datagram(6, source, target, protocol, at, end, size, fragment)


def tcp_header(time: int, buffer: bytes, found: Datagram) -> Segment | None:
    """The segment in a datagram; None if the capture does not have its header as far as the window."""
    if found.end - found.at < 16:
        return None
    seq, ack, bits, window = _TCP(buffer, found.at)
    header = bits >> 10 & 0x3C
    key = found.source + found.target + buffer[found.at : found.at + 4]
    options = buffer[found.at + 20 : min(found.at + header, found.end)] if header > 20 else b""
    return Segment(time, key, seq, ack, found.size - header, bits & 0xFFF, window, header, options)


def ports(key: bytes) -> tuple[int, int]:
    """The ports of a key, the sender's first."""
    return key[-4] << 8 | key[-3], key[-2] << 8 | key[-1]


def inner(buffer: bytes, found: Datagram) -> Datagram | Reason:
    """The datagram that an ICMP error carries the beginning of; its length is only what it claims."""
    at = found.at + 8
    if found.version == 6:
        return _ipv6(buffer, at, found.end, 1 << 16)
    return _ipv4(buffer, at, found.end, 1 << 16)
