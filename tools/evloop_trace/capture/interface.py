"""The interface to capture on: what it is, and whether it is up."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import NamedTuple

from evloop.errors import EvloopError

__all__ = ["ANY", "Interface", "find", "is_up", "name_of"]

ANY = "any"
"""All interfaces at once."""

# linux/sockios.h and linux/if.h; an ifreq is a name and what is asked or told about it: netdevice(7).
_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFREQ = struct.Struct("=16sH22x")
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8

# What stands before a packet's IP header: linux/if_arp.h, and the number that a file has for it.
_ETHERNET = 14, 1
_RAW = 0, 101
_COOKED = 0, 276  # Linux cooked 2, which we put there: which interface, which way, which protocol
_KINDS = {1: _ETHERNET, 772: _ETHERNET, 65534: _RAW}  # Ethernet, loopback, none (a tunnel)


class Interface(NamedTuple):
    """An interface that packets can be captured on."""

    name: str
    is_loopback: bool
    link: int = 14
    """Bytes before the IP header."""
    link_type: int = 1
    """The number of that header's kind in a capture file: 1 is Ethernet, 101 none, 276 Linux cooked 2."""

    @property
    def is_any(self) -> bool:
        """Whether it is all of them."""
        return self.link_type == _COOKED[1]

    @property
    def added(self) -> int:
        """Bytes of the header that we put before a packet, besides what was captured of it."""
        return 20 if self.is_any else 0


def find(name: str) -> Interface:
    """The interface of this name.

    Raises:
        EvloopError: there is none, it is down, or nothing is known about its packets.
    """
    if name == ANY:
        return Interface(ANY, False, *_COOKED)
    try:
        flags = _ask(name, _SIOCGIFFLAGS)
        kind = _ask(name, _SIOCGIFHWADDR)
    except (OSError, ValueError):
        names = ", ".join(there for _, there in socket.if_nameindex())
        raise EvloopError(f"there is no interface {name!r}: there are {names}, and {ANY}") from None
    if not flags & _IFF_UP:
        raise EvloopError(
            f"{name} is down, nothing can be captured on it: ip link set {name} up, or use evloop lab"
        )
    if kind not in _KINDS:
        raise EvloopError(f"{name} is of a kind that capture does not know ({kind}, see linux/if_arp.h)")
    return Interface(name, bool(flags & _IFF_LOOPBACK), *_KINDS[kind])


def is_up(name: str) -> bool | None:
    """Whether packets can go over it now; None if it is no longer there."""
    if name == ANY:
        return True
    try:
        return bool(_ask(name, _SIOCGIFFLAGS) & _IFF_UP)
    except OSError:
        return None


def name_of(index: int) -> str:
    """The name of the interface with this number, or the number if it has gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"#{index}"


def _ask(name: str, request: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, request, _IFREQ.pack(name.encode(), 0))
    return int(_IFREQ.unpack(answer)[1])
