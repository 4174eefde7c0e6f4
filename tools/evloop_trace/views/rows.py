"""Entries of a timeline → rows: a call and the packet that it makes at once stand on one.

What is cause and effect stays in order: a packet moves up to its call past other connections' rows only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from evloop.events.schema import (
    Accept,
    Block,
    Close,
    Connect,
    Interest,
    Poll,
    Recvfrom,
    Sendto,
    Setsockopt,
    Shutdown,
    Unknown,
)  # fmt: skip
from evloop_trace.correlate.entries import UNMATCHED, CallEntry, KernelEntry, PacketEntry, Strand
from evloop_trace.correlate.place import MAKERS
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.model.filters import due
from evloop_trace.numbers import count, plural
from evloop_trace.packets.segments import SYN
from evloop_trace.views.calls import SLEPT, Detail, Words, bare, begun, call, result
from evloop_trace.views.columns import is_left
from evloop_trace.views.rungs import woken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evloop.events.schema import AnyEvent
    from evloop_trace.correlate.entries import Entry

__all__ = ["Row", "Rows", "told"]

_AT_ONCE = 1_000_000  # ns within which a packet still stands beside its call
_OPEN = 16  # rows that may still get something beside
_KNOWN = 4096  # calls of which it is known that they were told
_ROUNDS = 10  # wake-ups of a loop for the same: from there on they are only counted
_SIDES = (True, False)  # the client's is the left one


class Returned(NamedTuple):
    """A connect is told of twice: where it began, and here, where it returned."""

    t: int
    entry: CallEntry
    event: Connect

    @property
    def strand(self) -> Strand | None:
        """Its connection."""
        return self.entry.strand


_Told: TypeAlias = "Entry | Returned"


class Row(msgspec.Struct):
    """A line of the timeline, or more if there are reasons."""

    t: int
    until: int
    """When the last of it was."""
    strand: Strand | None
    says: dict[bool, Words] = {}
    """By side: True is the client's."""
    calls: dict[bool, CallEntry] = {}
    states: dict[bool, str] = {}
    """Those that an end has just entered."""
    packet: PacketEntry | None = None
    began: tuple[int, int] = (-1, -1)
    """The call, by its log and its number, that will be told of when it returns."""
    tick: int = 0
    reasons: list[tuple[bool, str]] = []
    quiet: str = ""
    """What the time before it was spent with."""


class _Round:
    """A loop that wakes for the same again and again, and does nothing about it."""

    def __init__(self, ready: list[tuple[str, str]]) -> None:
        self.ready = ready
        self.entries = 0
        self.first = self.last = 0

    def again(self, entry: CallEntry) -> None:
        """Once more."""
        self.first = self.first if self.entries else entry.t
        self.last = entry.t
        self.entries += 1

    def row(self) -> Row:
        """All of that."""
        said = Words("trouble", f"woke {count(self.entries)} times", (Detail("and did nothing", 0),))
        why = f"each time it was told the same: {woken(self.ready)}"
        row = Row(self.first, self.last, None, {False: said}, {}, {}, reasons=[(False, why)])
        self.entries = 0
        return row


def told(entries: Iterable[Entry]) -> Iterator[_Told]:
    """What is worth a row: no sleep that was but a moment; of a connect its return as well."""
    held: deque[_Told | None] = deque()
    sleeps: dict[tuple[int, str], Block] = {}
    until: dict[tuple[int, str], int] = {}  # when a call returns that stands where it began
    for entry in entries:
        while held and (held[0] is None or held[0].t <= entry.t - SLEPT):
            if (first := held.popleft()) is not None:
                yield first
        if isinstance(entry, CallEntry) and not isinstance(entry.event, Unknown):
            _wake(entry, sleeps, held)
            if isinstance(entry.event, Block):
                thread = entry.log, entry.event.thread
                if entry.event.awaits == "poll" or entry.t <= until.get(thread, -1):
                    continue
                sleeps[thread] = entry.event
            elif isinstance(entry.event, MAKERS):
                until[entry.log, entry.event.thread] = due(entry.event)
        held.append(entry)
        if isinstance(entry, CallEntry) and isinstance(entry.event, Connect) and _is_short(entry):
            held.append(
                Returned(entry.t + entry.event.dur, entry, entry.event)
            )  # `Rows` puts it in its place
    yield from (it for it in held if it is not None)


def _wake(entry: CallEntry, sleeps: dict[tuple[int, str], Block], held: deque[_Told | None]) -> None:
    """What a thread does next ends its sleep; if that is still held, it was short."""
    block = sleeps.pop((entry.log, getattr(entry.event, "thread", "")), None)
    if block is None:
        return
    for at, it in enumerate(held):
        if isinstance(it, CallEntry) and it.event is block:
            held[at] = None


def _is_short(entry: CallEntry) -> bool:
    event = entry.event
    assert isinstance(event, Connect)
    return event.dur < SLEPT and entry.packets != [] and event.conn is not None


class Rows:
    """A fold: `feed` what was told, and rows come out that are complete."""

    def __init__(
        self, labels: Sequence[str] = (), servers: frozenset[int] = frozenset(), *, kernel: bool = False
    ) -> None:
        self._labels = labels
        self._servers = servers
        self._kernel = kernel  # the kernel tells of states: what packets tell is not needed
        self._open: deque[Row] = deque()
        self._waiting: list[Returned] = []
        self._told: dict[tuple[int, int], None] = {}
        self._shut: set[str] = set()
        self._deaf: set[str] = set()
        self._failed: set[str] = set()  # connects that did: close() says nothing to anybody
        self._vain = 0  # polls in a row that woke for nothing
        self._rounds: dict[int, _Round] = {}  # by the log

    def feed(self, entry: _Told) -> Iterator[Row]:
        """The rows that are complete now."""
        while self._waiting and self._waiting[0].t <= entry.t:
            yield from self._feed(self._waiting.pop(0))
        if isinstance(entry, Returned):
            self._waiting.append(entry)
            self._waiting.sort(key=lambda it: it.t)
        else:
            yield from self._feed(entry)

    def rest(self) -> Iterator[Row]:
        """The last rows."""
        for entry in self._waiting:
            yield from self._feed(entry)
        self._waiting.clear()
        self._come_round()
        yield from self._open
        self._open.clear()

    def _feed(self, entry: _Told) -> Iterator[Row]:
        while self._open and (len(self._open) >= _OPEN or self._open[0].t < entry.t - _AT_ONCE):
            yield self._open.popleft()
        if isinstance(entry, Returned):
            self._returned(entry)
        elif isinstance(entry, CallEntry):
            self._call(entry)
        elif isinstance(entry, PacketEntry):
            self._packet(entry)
        else:
            self._state(entry)

    # -- calls -----------------------------------------------------------------------------------------

    def _call(self, entry: CallEntry) -> None:
        label = self._labels[entry.log] if entry.log < len(self._labels) else ""
        event = bare(entry.event, label)
        said = None if self._goes_round(entry, event) else self._words(entry, event)
        if said is None:
            return
        side, seq = is_left(entry, self._servers), (entry.log, entry.event.seq)
        self._know(seq)
        row = self._beside(entry, seq) if isinstance(event, MAKERS) else None
        if row is None:
            row = self._new(entry)
        elif row.began == seq:
            row.began = (-1, -1)
        if entry.strand is None and (name := _loose(event)):
            said = said._replace(details=(Detail(name, 0), *said.details))
        row.says[side] = said
        row.calls[side] = entry
        row.tick = 0 if side or isinstance(event, Unknown) else event.tick
        row.reasons += [(side, reason) for reason in entry.reasons]

    def _goes_round(self, entry: CallEntry, event: object) -> bool:
        """A poll that tells what the one before it told, with nothing done in between; one of many."""
        log = entry.log
        if not isinstance(event, Poll) or not event.ready:
            if log in self._rounds:
                self._come_round()
                del self._rounds[log]
            return False
        going = self._rounds.get(log)
        if going is None or going.ready != event.ready:
            self._come_round()
            self._rounds[log] = _Round(event.ready)
            return False
        going.again(entry)
        return going.entries > _ROUNDS

    def _come_round(self) -> None:
        """What comes next is something else: a row for all that was the same."""
        for going in self._rounds.values():
            if going.entries > _ROUNDS:
                self._open.append(going.row())
            going.entries = 0

    def _words(self, entry: CallEntry, event: AnyEvent | Unknown) -> Words | None:
        if isinstance(event, Unknown):
            return None
        if isinstance(event, Poll) and event.tick and (event.dur < SLEPT or not event.ready):
            self._vain += not event.ready
            return None  # what it woke for says which tick it is, if it woke for anything
        if isinstance(event, Accept) and event.errno in ("EAGAIN", "EWOULDBLOCK"):
            return None  # the loop asks until there is nobody
        name = getattr(entry.event, "conn", None) or ""
        finished = name in self._shut or (isinstance(event, Close) and name in self._failed)
        said = call(entry, event, finished=finished, deaf=name in self._deaf)
        self._learn(event, name)
        if isinstance(event, Connect) and said is not None and _is_short(entry):
            return said._replace(call="connect()", kind="life", details=())
        return said

    def _learn(self, event: object, name: str) -> None:
        """What later calls on the same connection cannot do any more."""
        if isinstance(event, Shutdown) and not event.errno:
            if event.how != "SHUT_RD":
                self._shut.add(name)
            if event.how != "SHUT_WR":
                self._deaf.add(name)
        elif isinstance(event, Close | Connect):
            for names in (self._shut, self._deaf, self._failed):
                names.discard(name)
            if isinstance(event, Connect) and event.errno not in (None, "EINPROGRESS"):
                self._failed.add(name)

    def _beside(self, entry: CallEntry, seq: tuple[int, int]) -> Row | None:
        """The row of the packet that the call has made, if it seems to have been there first."""
        for row in reversed(self._open):
            if row.began == seq and row.packet is not None and len(entry.packets) == 1:
                return row
            if entry.client not in row.says and _carries(row.packet, seq):
                return row
            if row.strand is entry.strand:
                return None
        return None

    def _returned(self, entry: Returned) -> None:
        """A connect's return stands beside the packet that it answers, or was answered by."""
        said = result(entry.event)
        for row in reversed(self._open):
            if row.strand is not entry.strand or (row.packet is None and not row.says):
                continue
            packet = row.packet
            if packet is not None and True not in row.says and not packet.packet.flags & SYN:
                row.says[True] = said
                row.until = max(row.until, entry.t)
                return
            break
        row = self._new(entry)
        row.says[True] = said._replace(call=f"connect() {said.call}")

    def _know(self, seq: tuple[int, int]) -> None:
        self._told[seq] = None
        if len(self._told) > _KNOWN:
            del self._told[next(iter(self._told))]

    # -- packets and states ----------------------------------------------------------------------------

    def _packet(self, entry: PacketEntry) -> None:
        packet = entry.packet
        row = self._of_call(entry) or self._of_sleep(entry) or self._of_state(entry)
        if row is None:
            row = self._new(entry)
        row.packet, row.until = entry, entry.t
        side = packet.client
        first = entry.causes[0] if entry.causes else None
        if side not in row.says:
            if entry.trust == UNMATCHED:
                row.says[side] = Words("trouble", "? unmatched", (Detail("no call sent it", 0),))
            elif first is not None and (first.log, first.seq) not in self._told:
                row.says[side] = begun(first.ev, client=side)
                row.began = first.log, first.seq
                self._know(row.began)
            elif packet.data and not entry.causes and not entry.strand.names[not side]:
                quoted = escape_payload(packet.data, total=packet.end - packet.begin)
                row.says[side] = Words("in" if side else "out", f'"{quoted}"')
        if not self._kernel:
            for at, end in enumerate(_SIDES):
                if packet.states[at] and packet.states[at] != packet.before[at]:
                    row.states[end] = packet.states[at]
        for reason in entry.reasons:  # about a state it stands beside that
            about = next((end for end, state in row.states.items() if state in reason), side)
            row.reasons.append((about, reason))

    def _of_call(self, entry: PacketEntry) -> Row | None:
        """The row of the call that made it."""
        seqs = {(ref.log, ref.seq) for ref in entry.causes}
        for row in reversed(self._open):
            it = row.calls.get(entry.packet.client)
            if it is not None and (it.log, it.event.seq) in seqs:
                return row if row.packet is None and isinstance(it.event, MAKERS) else None
            if row.strand is entry.strand:
                return None
        return None

    def _of_sleep(self, entry: PacketEntry) -> Row | None:
        """The row of the connect that sleeps until the SYN has its answer."""
        if not entry.causes or entry.causes[0].ev != "connect":
            return None
        for row in reversed(self._open):
            it = row.calls.get(entry.packet.client)
            sleeps = it is not None and isinstance(it.event, Block) and it.event.awaits == "connect"
            if sleeps and row.packet is None and row.strand is entry.strand:
                self._know((entry.causes[0].log, entry.causes[0].seq))
                row.says[entry.packet.client] = begun("connect", client=True)
                return row
        return None

    def _of_state(self, entry: PacketEntry) -> Row | None:
        """The row of a state that the kernel told of a moment before it."""
        row = self._open[-1] if self._open else None
        alone = row is not None and row.strand is entry.strand and row.packet is None and not row.says
        return row if alone else None

    def _state(self, entry: KernelEntry) -> None:
        side = entry.client
        if entry.what != "state":
            row = self._new(entry)
            detail = (Detail(escape_text(entry.detail), 0, 6),) if entry.detail else ()
            row.says[side] = Words("quiet", f"kernel: {entry.what.replace('_', ' ')}", detail)
        else:
            row = self._changing(entry) or self._new(entry)
            row.states[side] = entry.new
            row.until = entry.t
        row.reasons += [(side, reason) for reason in entry.reasons]

    def _changing(self, entry: KernelEntry) -> Row | None:
        """The row of the packet that changes the state, or of the call."""
        for row in reversed(self._open):
            if row.strand is not entry.strand:
                continue
            by = row.calls.get(entry.client)
            makes = row.packet is not None or (by is not None and isinstance(by.event, MAKERS))
            return row if makes and entry.client not in row.states and entry.strand is not None else None
        return None

    def _new(self, entry: _Told) -> Row:
        self._come_round()
        row = Row(entry.t, entry.t, entry.strand, {}, {}, {}, reasons=[])
        row.quiet = getattr(entry, "quiet", "")
        if self._vain and not row.quiet:
            row.quiet = f"{plural(self._vain, 'poll')} timed out"
        self._vain = 0
        self._open.append(row)
        return row


def _carries(entry: PacketEntry | None, seq: tuple[int, int]) -> bool:
    """The call sent the packet, or a part of it."""
    return entry is not None and any((ref.log, ref.seq) == seq for ref in entry.causes)


def _loose(event: object) -> str:
    """The name of the socket that a call is about, where it belongs to no connection and does not say."""
    if not isinstance(event, Close | Interest | Setsockopt | Block | Recvfrom | Sendto | Connect):
        return ""
    return escape_text(getattr(event, "conn", None) or getattr(event, "sock", None) or "")
