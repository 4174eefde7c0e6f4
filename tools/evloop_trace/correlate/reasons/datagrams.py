"""Why a datagram is lost, cut, or never answered: UDP promises nothing. udp(7), RFC 1122, 4.1.3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evloop.events.schema import Bind, Close, Connect, Recvfrom, Sendto
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.reasons.words import packets, size, text
from evloop_trace.packets.flow import UDP

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Datagrams"]

_KEPT = 1024

K = TypeVar("K")
V = TypeVar("V")


class Datagrams:
    """A fold over datagram sockets' calls, and their packets."""

    calls = frozenset({Connect, Bind, Close, Sendto, Recvfrom})
    """The events that it wants to be told of."""

    def __init__(self) -> None:
        self._connected: dict[str, bool] = {}  # by the socket's labelled name
        self._bound: dict[str, str] = {}  # sockets by their addresses
        self._unclear: dict[str, bool] = {}  # sockets that received what is linked to no packet
        self._due: dict[int, str] = {}  # by the packet's number: the bound socket that it came to
        self._sizes: dict[int, int] = {}  # by the packet's number
        self._lossy: dict[str, bool] = {}  # bound sockets of which it was said why they lose something

    def call(self, entry: CallEntry) -> str:
        """A call of a datagram socket."""
        event = entry.event
        if isinstance(event, Connect) and event.sock and not event.errno:
            _keep(self._connected, event.sock, value=True)
        elif isinstance(event, Bind) and not event.errno:
            _keep(self._bound, plain(event.address), event.sock)
        elif isinstance(event, Close) and event.sock:
            for address in [address for address, sock in self._bound.items() if sock == event.sock]:
                del self._bound[address]
        elif isinstance(event, Sendto) and event.n == 0:
            return "an empty datagram is sent all the same: a header of 8 B"
        elif isinstance(event, Sendto | Recvfrom) and event.errno == "ECONNREFUSED" and entry.packets:
            return f"of an earlier datagram: ICMP, {packets(it.number for it in entry.packets)}"
        elif isinstance(event, Recvfrom) and event.n is not None:
            return self._came(entry, event, event.n)
        return ""

    def _came(self, entry: CallEntry, event: Recvfrom, n: int) -> str:
        if not entry.packets:
            _keep(self._unclear, event.sock, value=True)
        whole = max((self._sizes.get(it.number, 0) for it in entry.packets), default=0)
        if event.truncated or whole > n:
            had = f" of {size(whole)}" if whole else ""
            return f"cut to {size(n)}{had}: recv() asked for no more, and the rest is gone"
        return "an empty datagram is no end: UDP has none" if n == 0 else ""

    def packet(self, entry: PacketEntry) -> None:
        """A datagram."""
        packet = entry.packet
        if packet.error:
            return
        _keep(self._sizes, packet.number, packet.end)
        to = self._bound.get(plain(entry.strand.server if packet.client else entry.strand.client))
        if to is not None:
            _keep(self._due, packet.number, to)

    def settled(self, entry: PacketEntry) -> str:
        """Of an ICMP error, or of a datagram that nobody received, when its time is over."""
        packet = entry.packet
        if packet.error:
            return self._error(entry) if packet.wire.proto == UDP and "port" in packet.error else ""
        sock = self._due.pop(packet.number, "")
        if not sock or sock in self._unclear or entry.effects:
            return ""
        if sock in self._lossy:
            return "not taken either"  # a burst loses many
        _keep(self._lossy, sock, value=True)
        return "no recvfrom() took it: it was not read, or dropped since the receive buffer was full"

    def _error(self, entry: PacketEntry) -> str:
        strand, client = entry.strand, entry.packet.client
        why = f"nobody is bound to {text(strand.server if client else strand.client)}"
        sock = strand.names[not client]
        if not sock:
            return why
        if sock in self._connected:
            return f"{why}: the next call on {text(sock)} gets ECONNREFUSED"
        return f"{why}; {text(sock)} is not connected, so it is never told"


def _keep(them: dict[K, V], key: K, value: V) -> None:
    them.pop(key, None)
    them[key] = value
    if len(them) > _KEPT:
        del them[next(iter(them))]
