"""Which connection a call or a packet is of: by the names of its ends, by addresses, by the capture's number.

Addresses come again: the same two are of another connection as soon as the one before is over.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evloop.events.schema import Accept, Block, Connect, Inherit
from evloop_trace.correlate.datagrams import port
from evloop_trace.correlate.direction import SLACK
from evloop_trace.correlate.entries import EXACT, INFERRED, Strand
from evloop_trace.correlate.pairs import plain
from evloop_trace.correlate.tie import Tie
from evloop_trace.packets.flow import TCP

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, ConnectionState, Unknown
    from evloop_trace.correlate.entries import CallEntry
    from evloop_trace.packets.sightings import Sighting, Wire

__all__ = ["Ties"]

_ASKING = 256  # connections to one address for which no connect is known yet; connects without a connection
_PENDING = 256  # calls of one connection of which the addresses are not known yet
_NAMES = 16_384  # such connections
_REST = 1_000_000_000  # ns for which a connection that is over is remembered

_GOES_ON = ("EINPROGRESS", "EAGAIN", "EWOULDBLOCK")
UNIX = "unix"
_ANYWHERE = ("0.0.0.0", "[::]", "")  # noqa: S104 - what a socket says that has failed


class Ties:
    """All of them. What is over is let go; its strand stays."""

    def __init__(self) -> None:
        self.strands: list[Strand] = []
        """All connections, in the order in which they began."""
        self._count = 0
        self._ends: dict[str, tuple[Tie, bool]] = {}  # by their labelled names; whether it is the client's
        self._wires: dict[int, Tie] = {}  # by the capture's number
        self._over: dict[int, Strand] = {}  # the same, of those that are let go, and of UDP
        self._places: dict[tuple[str, str], Tie] = {}  # the latest between two addresses
        self._pending: dict[str, deque[CallEntry]] = {}  # of connections whose addresses are not known yet
        self._asking: dict[str, deque[Tie]] = {}  # by the server's address: without a connect
        self._asleep: dict[str, deque[CallEntry]] = {}  # and connects that have not returned
        self._listening: set[str] = set()  # ports that somebody serves whose calls are in a log
        self._flipped: set[int] = set()  # connections whose server the capture takes for the client
        self._resting: deque[tuple[int, Tie]] = deque()

    # -- calls -----------------------------------------------------------------------------------------

    def of_call(self, name: str, entry: CallEntry, names: tuple[str, ...]) -> tuple[Tie, bool] | None:
        """The connection that this end's call is of, and whether the end is its client, if that can be known.

        Args:
            name: Of the end.
            entry: Its call.
            names: Of both ends, the client's first, if the logs have both.
        """
        found = self._ends.get(name)
        event = entry.event
        if found is not None and isinstance(event, Connect):
            found = self._confirmed(name, found, event)
        if found is None:
            found = self._by_name(name, names) or self._by_address(event, client=entry.client)
            if found is None and names and not isinstance(event, Connect | Accept):
                found = self.new(UNIX, "", "", event.t), name == names[0]  # of a socketpair
            if found is not None:
                self._enter(found[0], name, client=found[1])
        if found is None:
            self._wait(name, entry)
        return found

    def closed(self, name: str, tie: Tie | None) -> None:
        """The end is there no more."""
        self._ends.pop(name, None)
        self._waited(name)
        if tie is not None:
            tie.held.discard(name)

    def listens(self, address: str) -> None:
        """Somebody does there whose calls are in a log."""
        self._listening.add(port(address))

    def called(self, name: str) -> tuple[Tie, bool] | None:
        """The connection that has an end of this name, and whether that is its client's."""
        return self._ends.get(name)

    def opened(self, state: ConnectionState) -> tuple[Tie, bool]:
        """A connection was open, whoever opened it; and whether its end is the client's."""
        found = self._ends.get(state.conn)
        if found is None:
            client = not state.sock  # else it came through a listener
            here, there = plain(state.local), plain(state.peer)
            place = (here, there) if client else (there, here)
            tie = self.between(*place) if port(place[0]) else None
            if tie is None or tie.strand.names[not client] or tie.is_over:
                tie = self.new(_proto(state.conn), *place, state.opened)
            self._enter(tie, state.conn, client=client)
            found = tie, client
        return found

    def _wait(self, name: str, entry: CallEntry) -> None:
        if name not in self._pending and len(self._pending) >= _NAMES:
            self._waited(next(iter(self._pending)))
        self._pending.setdefault(name, deque(maxlen=_PENDING)).append(entry)
        event = entry.event
        if isinstance(event, Block) and event.awaits == "connect" and event.peer:
            self._asleep.setdefault(plain(event.peer), deque(maxlen=_ASKING)).append(entry)

    def _waited(self, name: str) -> deque[CallEntry]:
        """What was told of this end before it was known which connection it is of."""
        entries = self._pending.pop(name, None) or deque()
        for entry in entries:
            if isinstance(entry.event, Block):
                self._woke(entry, entry.event)
        return entries

    def _woke(self, entry: CallEntry, event: Block) -> None:
        asleep = self._asleep.get(plain(event.peer or ""))
        if asleep is not None and entry in asleep:
            asleep.remove(entry)
            if not asleep:
                del self._asleep[plain(event.peer or "")]

    def _by_name(self, name: str, names: tuple[str, ...]) -> tuple[Tie, bool] | None:
        """By the name of the other end."""
        return next(((it[0], name == names[0]) for end in names if (it := self._ends.get(end))), None)

    def _by_address(self, event: AnyEvent | Unknown, *, client: bool) -> tuple[Tie, bool] | None:
        if isinstance(event, Connect):
            return self._of_connect(event)
        if isinstance(event, Accept):
            here, there = plain(event.local or ""), plain(event.peer or "")
            self._listening.add(port(here))
            return self._meet(_proto(event.conn), there, here, event.t + event.dur, by_client=False), False
        if isinstance(event, Inherit) and event.peer:
            here, there = plain(event.address), plain(event.peer)
            for mine in (True, False):
                tie = self._places.get((here, there) if mine else (there, here))
                if tie is not None:
                    return tie, mine
            place = (here, there) if client else (there, here)
            return self.new(TCP, *place, event.t), client
        return None

    def _of_connect(self, event: Connect) -> tuple[Tie, bool] | None:
        here, there = plain(event.local or ""), plain(event.peer or "")
        if not event.peer or (not event.local and event.errno):
            # What failed may have no address any more: of the SYNs that were sent meanwhile it is the first.
            if event.errno in _GOES_ON:
                return None
            return self._asked(there, event) or self.new(_proto(event.conn), here, there, event.t), True
        return self._meet(_proto(event.conn), here, there, event.t, by_client=True), True

    def _meet(self, proto: str, client: str, server: str, t: int, *, by_client: bool) -> Tie:
        """The connection between two addresses that began at `t`, or had by then."""
        tie = self.between(client, server) if port(client) else None
        # A connect comes before its SYN; an accept has one before it.
        if tie and not tie.strand.names[not by_client] and (not by_client or tie.t >= t - SLACK):
            return tie
        return self.new(proto, client, server, t)

    def _asked(self, server: str, event: Connect) -> Tie | None:
        """The first connection that was asked of this server in the time of a connect, and has none yet."""
        for tie in self._asking.get(server, ()):
            if not tie.strand.names[0] and event.t - SLACK <= tie.t <= event.t + event.dur:
                tie.strand.trust = INFERRED
                return tie
        return None

    def _confirmed(self, name: str, found: tuple[Tie, bool], event: Connect) -> tuple[Tie, bool] | None:
        """Whether it was this connect that slept when the SYN was seen; it says its address now."""
        tie, _ = found
        if tie.connect is None or not isinstance(tie.connect.event, Block) or not event.local:
            return found
        here = plain(event.local)
        if here == tie.strand.client or (_is_anywhere(here) and port(here) == port(tie.strand.client)):
            tie.strand.trust = EXACT
            return found
        del self._ends[name]
        tie.disclaim()
        self._ask(tie)
        return None

    def _enter(self, tie: Tie, name: str, *, client: bool) -> None:
        self._ends[name] = tie, client
        tie.enter(name, client=client)
        for entry in self._waited(name):
            entry.strand, entry.client = tie.strand, client
            if isinstance(entry.event, Connect):
                tie.connected(entry)
        asking = self._asking.get(tie.strand.server)
        if client and asking is not None and tie in asking:
            asking.remove(tie)
            if not asking:
                del self._asking[tie.strand.server]

    # -- packets ---------------------------------------------------------------------------------------

    def of_packet(self, t: int, packet: Sighting) -> Tie | Strand:
        """Its connection; of one that is over, and of UDP, only the strand."""
        number = packet.wire.number
        found = self._wires.get(number) or self._over.get(number) or self._begun(t, packet.wire)
        if number in self._flipped:
            packet.client = not packet.client
            packet.before, packet.states = packet.before[::-1], packet.states[::-1]
        return found

    def _begun(self, t: int, wire: Wire) -> Tie | Strand:
        """Of a connection's first packet."""
        client, server = plain(wire.client), plain(wire.server)
        if wire.proto != TCP:
            strand = self._over[wire.number] = self._strand(wire.proto, client, server)
            strand.wire = wire
            return strand
        tie = self.between(client, server)
        if tie is None and not wire.whole and (server, client) in self._places:
            self._flipped.add(wire.number)  # who began it only the log can know
            wire.client, wire.server = wire.server, wire.client
            client, server = server, client
            tie = self._places[client, server]
        if tie is None or tie.strand.wire is not None or (wire.whole and tie.is_over):
            tie = self.new(TCP, client, server, t)
        if tie.strand.client != client and wire.whole:
            self._move(tie, client)
        tie.seen(wire)
        self._wires[wire.number] = tie
        if not tie.strand.names[0]:
            self._expect(tie, server, t)
        return tie

    def _move(self, tie: Tie, client: str) -> None:
        """A connect failed, and so forgot its host: here it is."""
        del self._places[tie.strand.client, tie.strand.server]
        tie.strand.client = client
        self._places[client, tie.strand.server] = tie

    def _expect(self, tie: Tie, server: str, t: int) -> None:
        """Its connect is still to come; or it is asleep, if one is that can be meant and no other."""
        asleep = self._asleep.get(server)
        if asleep is not None and len(asleep) == 1 and asleep[0].t <= t + SLACK:
            entry = asleep[0]
            name = getattr(entry.event, "conn", None) or ""
            self._enter(tie, name, client=True)
            tie.asks(entry)
        else:
            self._ask(tie)

    def _ask(self, tie: Tie) -> None:
        self._asking.setdefault(tie.strand.server, deque(maxlen=_ASKING)).append(tie)

    # -- both ------------------------------------------------------------------------------------------

    def between(self, client: str, server: str) -> Tie | None:
        """The latest connection between two addresses."""
        tie = self._places.get((client, server))
        if tie is not None:
            return tie
        if _is_anywhere(client):
            asking = [it for it in self._asking.get(server, ()) if port(it.strand.client) == port(client)]
            return asking[-1] if asking else None
        for host in _ANYWHERE:
            tie = self._places.get((f"{host}:{port(client)}", server))
            if tie is not None and tie.strand.wire is None:
                return tie
        return None

    def new(self, proto: str, client: str, server: str, t: int) -> Tie:
        """Another connection."""
        tie = Tie(self._strand(proto, client, server), t)
        if client:
            self._places[client, server] = tie
        return tie

    def _strand(self, proto: str, client: str, server: str) -> Strand:
        strand = Strand(self._count, proto, client, server)
        self._count += 1
        self.strands.append(strand)
        return strand

    def begin_anew(self) -> None:
        """Another capture follows: what is over is forgotten, and what is open goes on as another strand."""
        ends, self._ends = self._ends, {}
        for it in (self._wires, self._over, self._places, self._asking, self._flipped, self._resting):
            it.clear()
        self.strands.clear()
        ties: dict[int, Tie] = {}
        for name, (tie, client) in ends.items():
            old = tie.strand
            if old.number not in ties:
                ties[old.number] = again = tie.again(self._strand(old.proto, old.client, old.server))
                if old.client:
                    self._places[old.client, old.server] = again
            self._enter(ties[old.number], name, client=client)

    def check(self, t: int, tie: Tie) -> None:
        """Something of the connection has ended: perhaps it is over."""
        strand = tie.strand
        if tie.is_quiet and (strand.names[1] or port(strand.server) not in self._listening):
            self._resting.append((t, tie))

    def rest(self, t: int) -> None:
        """It is `t`: let go what has been over for long enough."""
        while self._resting and self._resting[0][0] < t - _REST:
            self._let_go(self._resting.popleft()[1])

    def _let_go(self, tie: Tie) -> None:
        strand = tie.strand
        tie.clear()
        if self._places.get((strand.client, strand.server)) is tie:
            del self._places[strand.client, strand.server]
        if strand.wire is not None and strand.wire.number in self._wires:
            del self._wires[strand.wire.number]
            self._over[strand.wire.number] = strand
        asking = self._asking.get(strand.server)
        if asking is not None and tie in asking:
            asking.remove(tie)


def _proto(name: str | None) -> str:
    return UNIX if (name or "").rpartition(":")[2].startswith("unix") else TCP


def _is_anywhere(address: str) -> bool:
    return address.rpartition(":")[0] in _ANYWHERE
