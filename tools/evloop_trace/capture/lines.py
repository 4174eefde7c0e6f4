"""A packet in a line: when, from where to where, and what it says.

Pure.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.packets.decode import ICMP, TCP, UDP, Reason, decode, inner
from evloop_trace.packets.icmp import error
from evloop_trace.packets.links import link_of
from evloop_trace.packets.spelling import flag_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.capture.ring import Packet
    from evloop_trace.packets.decode import Datagram

__all__ = ["Lines"]

PAYLOAD = 48
"""Bytes of a payload on a line."""

_ADDRESSES = 35
_NAME = 8
_MOST_STREAMS = 65_536  # whose beginnings are remembered, one a direction
_SYN, _ACK = 0x02, 0x10
_NO_WINDOW = 0x07  # what opens or ends a connection says nothing about the window
_TCP = Struct(">4xIIBBH")
_CUT = "cut off by the snap length"

_Stream: TypeAlias = tuple[bytes, bytes]
"""Both ends, each an address with its port."""


class Lines:
    """Knows where each stream began, so that bytes have offsets in it as they have in a log."""

    def __init__(self, link_type: int, name_of: Callable[[int], str] | None = None) -> None:
        """Begin.

        Args:
            link_type: The number of the packets' link layer in a capture file.
            name_of: Names the interface with a number, if lines are to begin with it: for Linux cooked 2.
        """
        self._link = link_of(link_type)
        self._name_of = name_of and lru_cache(256)(name_of)
        self._first: int | None = None
        self._streams: dict[_Stream, int] = {}  # the number of its first byte

    def line(self, packet: Packet) -> str:
        """The line, with its newline; times are since the first packet."""
        when, data, size = packet
        if self._first is None:
            self._first = when
        found = decode(self._link, data, 0, len(data), size)
        said = f"{size} B  {found.value}" if isinstance(found, Reason) else self._say(data, found)
        if self._name_of:
            name = escape_text(self._name_of(int.from_bytes(data[4:8], "big")))
            said = f"{name:<{_NAME}}  {said}"
        micros = (when - self._first) // 1000
        return f"{micros // 1_000_000:>7}.{micros % 1_000_000:06}  {said}\n"

    def _say(self, data: bytes, found: Datagram) -> str:
        if found.fragment:
            hosts = f"{_host(found.source)} → {_host(found.target)}"
            return f"{hosts:<{_ADDRESSES}}  {found.size} B  piece of a datagram"
        if found.protocol == TCP:
            return self._tcp(data, found)
        if found.protocol == UDP:
            payload = _payload(data, found.at + 8, found.end, found.size - 8)
            return f"{_ends(data, found):<{_ADDRESSES}}  UDP      {_bytes(max(0, found.size - 8))}{payload}"
        return _error(data, found)

    def _tcp(self, data: bytes, found: Datagram) -> str:
        ends = f"{_ends(data, found):<{_ADDRESSES}}  "
        at = found.at
        if found.end - at < _TCP.size:
            return f"{ends}TCP      {_CUT}"
        seq, ack, offset, flags, window = _TCP.unpack_from(data, at)
        header = offset >> 4 << 2
        size = found.size - header
        forth = found.source + data[at : at + 2], found.target + data[at + 2 : at + 4]
        begin = self._begin(forth, seq, flags)
        said = f"{ends}{_names(flags):<7}  "
        if size > 0:
            said += f"{_bytes(size)}{f'[{begin},{begin + size})':<14}"
        if flags & _ACK:
            said += f"ack {self._place(forth[::-1], ack):<6}"
        if not window and not flags & _NO_WINDOW:
            said += "window 0  "
        return (said + _payload(data, at + header, found.end, size)).rstrip()

    def _begin(self, stream: _Stream, seq: int, flags: int) -> int:
        """Where in its stream a segment begins: SYN is nowhere, and the first byte at 0."""
        if not flags & _SYN:
            return self._place(stream, seq)
        self._streams.pop(stream, None)
        self._place(stream, seq + 1)
        return 0

    def _place(self, stream: _Stream, seq: int) -> int:
        """How far into a stream a sequence number is; it may be a little before what was seen first."""
        streams = self._streams
        begin = streams.setdefault(stream, seq)
        if len(streams) > _MOST_STREAMS:
            del streams[next(iter(streams))]
        return (seq - begin + 0x80000000 & 0xFFFFFFFF) - 0x80000000


@lru_cache(256)
def _names(flags: int) -> str:
    return " ".join(flag_words(flags)) or "no flags"


def _error(data: bytes, found: Datagram) -> str:
    said = f"{f'{_host(found.source)} → {_host(found.target)}':<{_ADDRESSES}}  ICMP     "
    what = error(data, found)
    if what is None:
        return said + _CUT
    about = inner(data, found)
    if isinstance(about, Reason):
        return said + what
    name = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP"}.get(about.protocol, f"protocol {about.protocol}")
    return f"{said}{what}: {name} {_ends(data, about)}"


def _ends(data: bytes, found: Datagram) -> str:
    at = found.at
    if found.end - at < 4:
        return f"{_host(found.source)} → {_host(found.target)}"
    source, target = data[at] << 8 | data[at + 1], data[at + 2] << 8 | data[at + 3]
    return f"{_end(found.source, source)} → {_end(found.target, target)}"


@lru_cache(4096)
def _end(address: bytes, port: int) -> str:
    host = _host(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(4096)
def _host(address: bytes) -> str:
    return str(ipaddress.ip_address(address))


def _bytes(size: int) -> str:
    return f"{f'{size:,} B':<9}"


def _payload(data: bytes, begin: int, end: int, size: int) -> str:
    return f'"{escape_payload(data[begin:end], PAYLOAD, size)}"' if begin < end else ""
