"""Datagrams between calls and packets: by addresses, length and bytes; of several alike, by their order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from evloop_trace.correlate.datagrams import Datagram, port, same
from evloop_trace.correlate.direction import SLACK, link_cause, link_effect
from evloop_trace.correlate.entries import INFERRED
from evloop_trace.correlate.pairs import plain

if TYPE_CHECKING:
    from evloop.events.schema import Recv, Recvfrom, Send, Sendto
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["DatagramLinks"]

_AT_PORT = 256  # that wait at a port
_PORTS = 1024  # at which some wait
_ERRORS = 1024
_GONE = 1024

T = TypeVar("T")


class _Waiting(Generic[T]):
    """Datagrams and whose they are, by the port that they go to."""

    def __init__(self) -> None:
        self._ports: dict[str, deque[tuple[Datagram, T]]] = {}

    def put(self, datagram: Datagram, of: T) -> None:
        at = port(datagram.to)
        if at not in self._ports and len(self._ports) >= _PORTS:
            del self._ports[next(iter(self._ports))]
        self._ports.setdefault(at, deque(maxlen=_AT_PORT)).append((datagram, of))

    def at(self, address: str) -> list[tuple[Datagram, T]]:
        return list(self._ports.get(port(address), ()))

    def drop(self, it: tuple[Datagram, T]) -> None:
        at = port(it[0].to)
        self._ports[at].remove(it)
        if not self._ports[at]:
            del self._ports[at]


class DatagramLinks:
    """What was sent and not seen yet, and what was seen and not sent or received yet."""

    def __init__(self) -> None:
        self._addresses: dict[str, str] = {}  # of sockets, by their labelled names
        self._gone: dict[str, str] = {}  # of those that were closed last
        self._sent: _Waiting[CallEntry] = _Waiting()
        self._causeless: _Waiting[PacketEntry] = _Waiting()
        self._unread: _Waiting[PacketEntry] = _Waiting()
        self._errors: dict[str, PacketEntry] = {}  # of ICMP, by the address of who sent what it is about
        self._ports: set[str] = set()  # that packets came from or went to

    def begin_anew(self) -> None:
        """What was sent or seen meets nothing any more; the sockets' addresses are still known."""
        self._sent, self._causeless, self._unread = _Waiting(), _Waiting(), _Waiting()
        self._errors.clear()

    def at(self, sock: str, address: str | None) -> None:
        """A socket has this address, if it has one."""
        if address:
            self._addresses[sock] = plain(address)

    def closed(self, sock: str) -> None:
        """It is there no more."""
        if address := self._addresses.pop(sock, ""):
            self._gone[sock] = address
            if len(self._gone) > _GONE:
                del self._gone[next(iter(self._gone))]

    def knows(self, event: Send | Recv | Sendto | Recvfrom) -> bool:
        """Whether the capture has datagrams of this port, so that this one ought to be there, too."""
        peer, sock = getattr(event, "peer", None), getattr(event, "sock", "")
        return port(peer or self._addresses.get(sock) or self._gone.get(sock, "")) in self._ports

    def sent(self, entry: CallEntry, event: Sendto) -> None:
        """A datagram was handed to the kernel."""
        if event.n is None:
            self._refused(entry, event.sock, event.errno)
            return
        datagram = Datagram(self._addresses.get(event.sock, ""), plain(event.peer), event.n, event.data)
        for it in self._causeless.at(datagram.to):  # the call took its time, and stands where it returned
            seen, packet = it
            if same(datagram, seen) and packet.t >= event.t - SLACK:
                self._causeless.drop(it)
                self._meet(packet, entry, event)
                return
        self._sent.put(datagram, entry)

    def packet(self, entry: PacketEntry) -> None:
        """It was seen."""
        it = entry.packet
        source, to = _way(entry)
        self._ports.update((port(source), port(to)))
        datagram = Datagram(source, to, it.end, it.data)
        for one in self._sent.at(to):
            sent, call = one
            if same(sent, datagram) and call.t <= entry.t + SLACK:
                self._sent.drop(one)
                self._meet(entry, call, call.event)  # type: ignore[arg-type]  # only those wait
                break
        else:
            self._causeless.put(datagram, entry)
        self._unread.put(datagram, entry)

    def error(self, entry: PacketEntry) -> None:
        """An ICMP message about a datagram was seen: a socket that is connected will be told."""
        self._errors[_way(entry)[0]] = entry
        if len(self._errors) > _ERRORS:
            del self._errors[next(iter(self._errors))]

    def came(self, entry: CallEntry, event: Recvfrom) -> None:
        """It was received."""
        if event.n is None:
            self._refused(entry, event.sock, event.errno)
            return
        here = self._addresses.get(event.sock)
        if here is None:
            return
        source = plain(event.peer or "")
        unread = self._unread.at(here)
        for cut in (event.truncated, True):  # recv() of too few bytes does not tell that it cut
            datagram = Datagram(source, here, event.n, event.data, cut)
            it = next((it for it in unread if same(it[0], datagram)), None)
            if it is not None:
                self._read(it, entry, event)
                return

    def _read(self, it: tuple[Datagram, PacketEntry], entry: CallEntry, event: Recvfrom) -> None:
        packet = it[1]
        if "MSG_PEEK" not in event.flags:
            self._unread.drop(it)
        _enter(packet, entry, event.sock, client=not packet.packet.client)
        link_effect(packet, entry, 0, event.n or 0, INFERRED)

    def _meet(self, packet: PacketEntry, call: CallEntry, event: Sendto) -> None:
        self._addresses.setdefault(event.sock, _way(packet)[0])
        _enter(packet, call, event.sock, client=packet.packet.client)
        link_cause(packet, call, 0, packet.packet.end, INFERRED)

    def _refused(self, entry: CallEntry, sock: str, errno: str | None) -> None:
        """A call failed because of what ICMP said of an earlier datagram."""
        packet = self._errors.pop(self._addresses.get(sock, ""), None) if errno == "ECONNREFUSED" else None
        if packet is not None:
            _enter(packet, entry, sock, client=packet.packet.client)
            link_effect(packet, entry, 0, 0, INFERRED)


def _way(entry: PacketEntry) -> tuple[str, str]:
    """Who sent it, and to whom; of an ICMP message: what it is about."""
    client, server = plain(entry.packet.wire.client), plain(entry.packet.wire.server)
    return (client, server) if entry.packet.client else (server, client)


def _enter(packet: PacketEntry, call: CallEntry, sock: str, *, client: bool) -> None:
    """The call is of the packet's strand."""
    strand = call.strand = packet.strand
    call.client = client
    names = strand.names
    strand.names = (names[0] if not client else sock, names[1] if client else sock)
    strand.trust = INFERRED
