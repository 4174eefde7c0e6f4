"""Why a datagram is lost, cut, or never answered: UDP promises nothing. udp(7), RFC 1122, 4.1.3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evloop.events.schema import Bind, Close, Connect, Recvfrom, Sendto
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.reasons.words import size, text
from evloop_trace.packets.flow import UDP

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Datagrams"]

_KEPT = 1024

K = TypeVar("K")
V = TypeVar("V")


class Datagrams:
    """A fold over datagram sockets' calls, and their packets."""

    def __init__(self) -> None:
        self._connected: dict[str, bool] = {}  # by the socket's labelled name
        self._bound: dict[str, str] = {}  # sockets by their addresses
        self._unclear: dict[str, bool] = {}  # sockets that received what is linked to no packet
        self._sent: dict[tuple[int, int], str] = {}  # sockets by their calls
        self._refused: dict[str, PacketEntry] = {}  # by the socket: the last ICMP error
        self._senders: dict[int, str] = {}  # by the strand's number: who sent last
        self._due: dict[int, str] = {}  # by the packet's number: the bound socket that it came to
        self._sizes: dict[int, int] = {}  # by the packet's number

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
        elif isinstance(event, Sendto):
            _keep(self._sent, (entry.log, event.seq), event.sock)
            if event.n == 0:
                return "an empty datagram is sent all the same: a header of 8 B"
        if isinstance(event, Sendto | Recvfrom) and event.errno == "ECONNREFUSED":
            error = self._refused.get(event.sock)
            return f"of an earlier datagram: ICMP, packet #{error.packet.number}" if error is not None else ""
        return self._came(entry, event) if isinstance(event, Recvfrom) else ""

    def _came(self, entry: CallEntry, event: Recvfrom) -> str:
        if event.n is not None and not entry.packets:
            _keep(self._unclear, event.sock, value=True)
        if event.truncated:
            whole = next((self._sizes[it.number] for it in entry.packets if it.number in self._sizes), 0)
            had = f" of {size(whole)}" if whole else ""
            return f"cut to {size(event.n or 0)}{had}: the rest is gone"
        return "an empty datagram is no end: UDP has none" if event.n == 0 else ""

    def packet(self, entry: PacketEntry) -> str:
        """A datagram, or an ICMP error about a packet."""
        packet, number = entry.packet, entry.strand.number
        if packet.error:
            return self._error(entry) if packet.wire.proto == UDP else ""
        _keep(self._sizes, packet.number, packet.end)
        to = self._bound.get(plain(entry.strand.server if packet.client else entry.strand.client))
        if to is not None:
            _keep(self._due, packet.number, to)
        for cause in entry.causes:
            _keep(self._senders, number, self._sent.get((cause.log, cause.seq), ""))
        return ""

    def _error(self, entry: PacketEntry) -> str:
        if "port" not in entry.packet.error:
            return ""
        why = (
            f"nobody is bound to {text(entry.strand.server if entry.packet.client else entry.strand.client)}"
        )
        sock = self._senders.get(entry.strand.number)
        if not sock:
            return why
        _keep(self._refused, sock, entry)
        if sock in self._connected:
            return f"{why}: the next call on {text(sock)} gets ECONNREFUSED"
        return f"{why}; {text(sock)} is not connected, so it is never told"

    def lost(self, entry: PacketEntry) -> str:
        """Of a datagram that nobody has received, when its time is over."""
        sock = self._due.pop(entry.packet.number, "")
        if not sock or sock in self._unclear or entry.effects:
            return ""
        return "no recvfrom() took it: it was not read, or dropped since the receive buffer was full"


def _keep(them: dict[K, V], key: K, value: V) -> None:
    them.pop(key, None)
    them[key] = value
    if len(them) > _KEPT:
        del them[next(iter(them))]
