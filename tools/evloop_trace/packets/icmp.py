"""ICMP errors: what they say about a datagram of which they carry the beginning (RFC 792, RFC 4443)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Datagram

__all__ = ["error"]

_V4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 13): "prohibited by a filter",
    (11, 0): "time to live exceeded",
    (11, 1): "reassembly time exceeded",
}
_V4_KINDS = {
    3: "destination unreachable",
    4: "source quench",
    5: "redirect",
    11: "time exceeded",
    12: "bad header",
}

_V6 = {
    (1, 0): "no route",
    (1, 1): "prohibited by a filter",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (3, 0): "hop limit exceeded",
    (3, 1): "reassembly time exceeded",
}
_V6_KINDS = {1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "bad header"}


def error(buffer: bytes, found: Datagram) -> str | None:
    """What an ICMP message says, in words; None if it is no error."""
    if found.end - found.at < 8:
        return None
    kind, code = buffer[found.at], buffer[found.at + 1]
    exact, kinds = (_V4, _V4_KINDS) if found.version == 4 else (_V6, _V6_KINDS)
    return exact.get((kind, code)) or kinds.get(kind)
