"""Why a connection opens as it does: the handshake, and the accept that comes behind it.

The kernel finishes handshakes by itself and puts them into the listener's queue: listen(2), accept(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Accept, Close, Connect, Listen, Queue
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.reasons.past import ended
from evloop_trace.correlate.reasons.words import often, packets, size, text
from evloop_trace.numbers import duration
from evloop_trace.packets import machine
from evloop_trace.packets.segments import ACK, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry
    from evloop_trace.correlate.reasons.past import Past

__all__ = ["Listeners", "accepted", "connected", "opening"]

_LONG = 100_000_000  # ns: no round trip
_LISTENERS = 1024


class Listener(NamedTuple):
    """As far as its log tells, and packets."""

    address: str
    backlog: int
    queued: int
    counted: bool
    """The kernel has just said how many are in the queue; else it is from packets."""
    closed: CallEntry | None
    made: CallEntry
    """Its listen()."""


class Listeners:
    """A fold over the calls that are about listeners."""

    calls = frozenset({Listen, Queue, Accept, Close})
    """The events that it wants to be told of."""

    def __init__(self) -> None:
        self._known: dict[str, Listener] = {}  # by their labelled names

    def tell(self, entry: CallEntry) -> None:
        """A call."""
        event = entry.event
        if isinstance(event, Listen):
            if not event.errno and len(self._known) < _LISTENERS:
                self._known[event.sock] = Listener(
                    plain(event.address), event.backlog, 0, counted=False, closed=None, made=entry
                )
        elif isinstance(event, Queue):
            self._change(event.sock, backlog=event.backlog, queued=event.queued, counted=True)
        elif isinstance(event, Accept):
            if event.queued is not None:
                self._change(event.sock, queued=event.queued, counted=True)
            elif not event.errno:
                self._join(event.sock, -1)
        elif isinstance(event, Close) and event.sock is not None:
            self._change(event.sock, closed=entry)

    def finished(self, address: str) -> None:
        """A handshake with this address is over: it waits to be accepted."""
        sock = self._sock(address)
        if sock:
            self._join(sock, 1)

    def _join(self, sock: str, number: int) -> None:
        """What has changed since the kernel said how many there are is from packets."""
        if sock in self._known:
            self._change(sock, queued=max(0, self._known[sock].queued + number), counted=False)

    def _change(self, sock: str, **fields: object) -> None:
        if sock in self._known:
            self._known[sock] = self._known[sock]._replace(**fields)  # type: ignore[arg-type]

    def at(self, address: str) -> Listener | None:
        """The last that listened there."""
        sock = self._sock(address)
        return self._known[sock] if sock else None

    def _sock(self, address: str) -> str:
        port = address.rpartition(":")[2]
        here = (plain(address), f"0.0.0.0:{port}", f"[::]:{port}")
        return next((sock for sock in reversed(self._known) if self._known[sock].address in here), "")


def accepted(past: Past, entry: CallEntry) -> str:
    """Who did the handshake, and when."""
    event = entry.event
    assert isinstance(event, Accept)
    if past.handshake is None:
        if event.waited and event.waited >= _LONG:
            return f"the finished handshake waited for {duration(event.waited)} in the queue"
        return ""
    before = max(0, ended(entry) - past.handshake.t)
    why = f"the kernel had finished the handshake {duration(before)} before"
    acked = past.ends[True].data
    if past.whole and acked:
        why += f", and acknowledged {size(acked)} since"
    return why


def connected(past: Past, entry: CallEntry) -> str:
    """How a connect went."""
    event = entry.event
    assert isinstance(event, Connect)
    client, server = past.ends[True], past.ends[False]
    if event.errno == "EINPROGRESS":
        return "the socket does not block: the kernel does the handshake meanwhile"
    if event.errno == "ECONNREFUSED" and server.rst is not None:
        return f"the RST of {packets([server.rst.packet.number])}"
    tries = client.syns.count
    if event.errno == "ETIMEDOUT" and tries:
        return f"nobody answered: SYN was sent {often(tries)} in {duration(ended(entry) - client.syns.since)}"
    if not event.errno and tries > 1 and server.syns.count:
        return f"SYN was sent {often(tries)} before it was answered"
    return ""


def opening(past: Past, entry: PacketEntry, listeners: Listeners) -> str:
    """Of a packet of the handshake."""
    packet = entry.packet
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if packet.flags & RST:
        if packet.before[packet.client is False] == machine.LISTEN or (
            other.syns.count and not mine.syns.count and not other.acked
        ):
            return _refused(past, entry, listeners)
        return ""
    if not packet.flags & SYN or not mine.syns.count:
        return ""
    first, waited = mine.syns.number, duration(entry.t - mine.syns.since)
    if packet.flags & ACK:
        return f"no ACK of packet #{first} for {waited}: sent again"
    listener = listeners.at(past.strand.server)
    if listener is not None and listener.closed is None and listener.queued > listener.backlog:
        likely = "" if listener.counted else "likely "
        return (
            f"no answer for {waited}: {likely}the listener's queue is full, {listener.queued} in it "
            f"(backlog {listener.backlog})"
        )
    return f"no answer to packet #{first} for {waited}: sent again, try {mine.syns.count + 1}"


def _refused(past: Past, entry: PacketEntry, listeners: Listeners) -> str:
    server = text(past.strand.server)
    listener = listeners.at(past.strand.server)
    if listener is not None and listener.closed is not None:
        before = duration(entry.t - listener.closed.t)
        return f"refused: the listener of {server} was closed {before} before"
    if listener is not None:
        return ""  # it listens, so that this RST has another cause
    return f"refused: likely nobody listens on {server}"
