"""Why a datagram is lost, cut, or never answered: UDP promises nothing. udp(7), RFC 1122, 4.1.3.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Close, Connect, Recvfrom, Sendto
from evloop_trace.correlate.reasons.words import packets, size, text
from evloop_trace.packets.flow import UDP

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Datagrams", "lost"]

_KEPT = 1024


class Datagrams:
    """A fold: which sockets are connected, and what ICMP said last of each pair of addresses."""

    def __init__(self) -> None:
        self._connected: set[str] = set()
        self._senders: dict[int, str] = {}  # by the strand's number: the socket that sent last
        self._errors: dict[int, PacketEntry] = {}
        self._sizes: dict[int, int] = {}  # by the packet's number

    def call(self, entry: CallEntry) -> str:
        """A call of a datagram socket."""
        event = entry.event
        if isinstance(event, Connect) and event.sock and not event.errno:
            self._connected.add(event.sock)
        elif isinstance(event, Close):
            self._connected.discard(event.sock or "")
        elif isinstance(event, Sendto):
            if event.errno == "ECONNREFUSED":
                return self._refused(entry)
            if event.n == 0:
                return "an empty datagram is sent all the same: a header of 8 B"
        elif isinstance(event, Recvfrom):
            return self._came(entry, event)
        return ""

    def _came(self, entry: CallEntry, event: Recvfrom) -> str:
        if event.errno == "ECONNREFUSED":
            return self._refused(entry)
        if event.truncated:
            whole = next((self._sizes[it.number] for it in entry.packets if it.number in self._sizes), 0)
            rest = f": it had {size(whole)}" if whole else ""
            return f"it was cut to {size(event.n or 0)}{rest}, and the rest is gone"
        return "an empty datagram, and no end: UDP has none" if event.n == 0 else ""

    def _refused(self, entry: CallEntry) -> str:
        """The error is of a datagram before, which an ICMP message answered."""
        sock = getattr(entry.event, "sock", "")
        number = next(
            (it.packet.number for at, it in reversed(self._errors.items()) if self._senders.get(at) == sock),
            0,
        )
        return f"of an earlier datagram, which ICMP {packets([number])} answered" if number else ""

    def packet(self, entry: PacketEntry) -> str:
        """A datagram, or an ICMP error about one."""
        packet = entry.packet
        if packet.error:
            return self._error(entry) if packet.wire.proto == UDP else text(f"ICMP: {packet.error}")
        _keep(self._sizes, packet.number, packet.end)
        return ""

    def sent(self, entry: CallEntry) -> None:
        """A sendto() is known to be of this strand."""
        if entry.strand is not None and isinstance(entry.event, Sendto):
            _keep(self._senders, entry.strand.number, entry.event.sock)

    def _error(self, entry: PacketEntry) -> str:
        number = entry.strand.number
        _keep(self._errors, number, entry)
        to = text(entry.strand.server if entry.packet.client else entry.strand.client)
        why = f"nobody is bound to {to}" if "port" in entry.packet.error else text(entry.packet.error)
        sock = self._senders.get(number)
        if sock is None:
            return why
        if sock in self._connected:
            return f"{why}: the next call on {text(sock)} gets the error"
        return f"{why}; {text(sock)} is not connected, and is never told"


def lost(entry: PacketEntry, *, heard: bool) -> str:
    """Of a datagram that nobody has received, when its time is over."""
    if entry.packet.wire.proto != UDP or entry.packet.error or entry.effects or not heard:
        return ""
    return "no recvfrom() took it: not read yet, or dropped because the receive buffer was full"


def _keep(them: dict, key: int, value: object) -> None:  # type: ignore[type-arg]
    them.pop(key, None)
    them[key] = value
    if len(them) > _KEPT:
        del them[next(iter(them))]
