"""Datagrams between calls and packets: by addresses, length and bytes; of several alike, by their order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evloop_trace.correlate.datagrams import Datagram, port, same
from evloop_trace.correlate.entries import INFERRED
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.way import link_cause, link_effect

if TYPE_CHECKING:
    from evloop.events.schema import Recvfrom, Sendto
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Postcards"]

_WAITING = 256  # at a port
_SLACK = 1_000_000  # ns by which a packet may seem to be earlier than its sendto


class Postcards:
    """What was sent and not seen yet, and what was seen and not received yet; by the port that it goes to."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}  # of sockets, by their labelled names
        self._sent: dict[str, deque[tuple[Datagram, CallEntry]]] = {}
        self._seen: dict[str, deque[tuple[Datagram, PacketEntry]]] = {}

    def at(self, sock: str, address: str | None) -> None:
        """A socket has this address, if it has one."""
        if address:
            self._addresses[sock] = plain(address)

    def closed(self, sock: str) -> None:
        """It is there no more."""
        self._addresses.pop(sock, None)

    def sent(self, entry: CallEntry, event: Sendto) -> None:
        """A datagram was handed to the kernel."""
        if event.n is not None:
            datagram = Datagram(self._addresses.get(event.sock, ""), plain(event.peer), event.n, event.data)
            _wait(self._sent, datagram.to).append((datagram, entry))

    def packet(self, entry: PacketEntry) -> None:
        """It was seen."""
        it = entry.packet
        client, server = plain(it.wire.client), plain(it.wire.server)
        source, to = (client, server) if it.client else (server, client)
        datagram = Datagram(source, to, it.end, it.data)
        waiting = _wait(self._sent, to)
        for one in waiting:
            sent, call = one
            if same(sent, datagram) and call.t <= entry.t + _SLACK:
                waiting.remove(one)
                self._addresses.setdefault(call.event.sock, source)
                call.strand = entry.strand
                link_cause(entry, call, 0, it.end, INFERRED)
                break
        _wait(self._seen, to).append((datagram, entry))

    def came(self, entry: CallEntry, event: Recvfrom) -> None:
        """It was received."""
        here = self._addresses.get(event.sock)
        if event.n is None or here is None:
            return
        datagram = Datagram(plain(event.peer or ""), here, event.n, event.data, event.truncated)
        waiting = _wait(self._seen, here)
        for one in waiting:
            seen, packet = one
            if same(seen, datagram):
                if event.flags != "MSG_PEEK":
                    waiting.remove(one)
                entry.strand = packet.strand
                link_effect(packet, entry, 0, event.n, INFERRED)
                return


def _wait(waiting: dict[str, deque], address: str) -> deque:  # type: ignore[type-arg]
    return waiting.setdefault(port(address), deque(maxlen=_WAITING))
