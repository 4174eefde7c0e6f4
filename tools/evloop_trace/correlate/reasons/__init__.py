"""Why: beside what a student would ask about, a sentence that answers.

A sentence says what the entries show, with their numbers; what is inferred says `likely`. It has no full
stop. The rules are in modules by subject; they look at what happened before (`past`) and at the entry.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from evloop.events.schema import Accept, Close, Connect, Located, Poll, Recv, Send, Setsockopt
from evloop_trace.correlate.entries import INFERRED, CallEntry, PacketEntry
from evloop_trace.correlate.place import SHORT
from evloop_trace.correlate.reasons import data, ending, opening
from evloop_trace.correlate.reasons.datagrams import Datagrams
from evloop_trace.correlate.reasons.gaps import Program, Silence, Threads, key_of, programs, quiet, unread
from evloop_trace.correlate.reasons.opening import Listeners
from evloop_trace.correlate.reasons.past import NO_TIME, Past
from evloop_trace.correlate.reasons.waking import Waking
from evloop_trace.correlate.reasons.windows import made_room, window
from evloop_trace.packets import machine
from evloop_trace.packets.flow import TCP
from evloop_trace.packets.segments import FIN, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["QUIET", "Reasons"]

QUIET = 5_000_000
"""Nanoseconds: a silence that lasts for longer has a reason."""

_CONTROL = SYN | FIN | RST

_STRANDS = 1024
_SILENCES = 256  # that wait for who slept in them
_SOCKETS = 1024

_MOST = 2
"""Reasons of an entry."""


class Reasons:
    """A fold: `tell` of every entry as it comes, and `settle` it when its links are known.

    Both add to the entry's own reasons; `tell` also to those of earlier ones.
    """

    def __init__(self) -> None:
        self._pasts: dict[int, Past] = {}  # by the strand's number, the latest last
        self._forgotten = -1  # the highest number of those that are
        self._listeners = Listeners()
        self._datagrams = Datagrams()
        self._threads = Threads()
        self._waking = Waking()
        self._polled: dict[int, list[tuple[str, str]]] = {}  # by the log: what its last poll was told
        self._t = self._shown = 0
        self._above: Strand | None = None  # whose the last was that is shown
        self.captured: int | None = None
        """When the last packet was captured, if none follows: what was sent later nobody has seen."""
        self._silences: deque[Silence] = deque(maxlen=_SILENCES)
        self._lingers: dict[str, CallEntry] = {}  # by the names of sockets that are not connected yet
        self._names: dict[str, Strand] = {}  # by their ends' labelled names

    def tell(self, entry: Entry) -> str:
        """The next entry, in order; why it was quiet on its connection before it, if it was."""
        if isinstance(entry, CallEntry):
            self._threads.tell(entry)  # it may be the return from what was waited in
            for silence in self._silences if isinstance(entry.event, Located) else ():
                silence.tell(key_of(entry), self._threads)
        why = ""
        if not self._is_again(entry):
            strand = entry.strand or self._woken(entry)
            why = self.quiet(strand, entry.t, entry) or self._quiet_everywhere(entry.t, entry)
        past = self._past(entry.strand)
        if past is not None:
            self._doubt(entry, past)
        self._t = entry.t
        if not isinstance(entry, CallEntry) or _is_shown(entry):
            self._shown, self._above = entry.t, entry.strand
        if isinstance(entry, CallEntry):
            self._call(entry, past)
        elif isinstance(entry, PacketEntry):
            self._packet(entry, past)
        if past is not None:
            past.t = entry.t
        return why

    def _is_again(self, entry: Entry) -> bool:
        """A poll that hardly sleeps and tells what the last did: a loop that spins makes many thousands."""
        if not isinstance(entry, CallEntry):
            return False
        event = entry.event
        ready = event.ready if isinstance(event, Poll) and event.dur < SHORT else []
        before, self._polled[entry.log] = self._polled.get(entry.log), ready
        return bool(ready) and ready == before

    def quiet(self, strand: Strand | None, t: int, coming: Entry | None = None) -> str:
        """Why nothing happens on a connection at `t`; empty if it is not quiet, or nobody knows.

        It names the connection where the row above is of another: it would be read as that one's.

        Args:
            strand: The connection.
            t: A time behind the last entry that was told.
            coming: The entry that ends the silence, if it is known.
        """
        past = self._pasts.get(strand.number) if strand is not None else None
        is_above = self._above is not None and strand is not None and self._above.number == strand.number
        return self._of(past, t, coming, is_named=not is_above) if past is not None else ""

    def _of(self, past: Past, t: int, coming: Entry | None, *, is_named: bool) -> str:
        """Why it is quiet on a connection, of which the reader is told which it is if there were others."""
        if t - past.t < QUIET or past.strand.proto != TCP or past.is_over:
            return ""
        about = f"{_name(past.strand)}: " if is_named and len(self._pasts) > 1 else ""
        seen = self.captured is None or past.strand.wire is None or t <= self.captured
        if why := quiet(past, self._threads, self._listeners, t, coming) if seen else "":
            return about + why
        return self._said(programs(past, self._threads, t, about), coming)

    def now(self, t: int) -> str:
        """Why nothing happens at `t`, behind all that was told; empty if nobody knows."""
        captured, self.captured = self.captured, None  # it is known that no packet came
        try:
            return self._quiet_everywhere(t)
        finally:
            self.captured = captured

    def _quiet_everywhere(self, t: int, coming: Entry | None = None) -> str:
        """Why nothing at all happens; if it is ended by what is of no connection, or of a new one."""
        if not self._shown or t - self._shown < QUIET:
            return ""
        alive = [it for it in self._pasts.values() if it.strand.proto == TCP and not it.is_quiet]
        if len(alive) == 1 and (coming is None or coming.strand is None):
            # What follows is of another connection, so that it must be said which one this is about.
            why = self._of(alive[0], t, coming, is_named=True)
            if why:
                return why
        them = []
        for key in self._threads.keys(self._shown):
            last = self._threads.last(key)
            assert last is not None
            them.append(Program("the client" if last.client else "the server", key, ""))
        waits = unread(self._pasts.values(), self._listeners)
        silence = Silence(self._shown, t, them, is_whole=True, unread=waits)
        return self._said(silence, coming)

    def _said(self, silence: Silence, coming: Entry | None) -> str:
        """What it says now; it may know more before what ended it is settled."""
        if coming is not None:
            silence.entry = coming
            if isinstance(coming, CallEntry) and isinstance(coming.event, Located):
                silence.open.discard(key_of(coming))
            self._silences.append(silence)
        return silence.text(self._threads)

    def settle(self, entry: Entry) -> None:
        """Nothing more will be linked to an entry."""
        while self._silences and (self._silences[0].entry is entry or not self._silences[0].open):
            self._silences.popleft()
        past = self._past(entry.strand)
        if past is None:
            return
        self._doubt(entry, past)
        if isinstance(entry, CallEntry):
            if self.captured is None or past.strand.wire is None or entry.t <= self.captured:
                _add(entry, data.went(past, entry, self._t), ending.closed(past, entry))
        elif isinstance(entry, PacketEntry):
            _add(entry, self._datagrams.settled(entry))
            if not entry.reasons:
                _add(entry, ending.reset(past, entry, self._listeners))
            if not entry.reasons:
                why = ending.vanished(past, entry, self._threads)
                _add(entry, why)
                if why:
                    self.vanish(past.ends[entry.packet.client].calls[-1].log)

    def vanish(self, log: int) -> None:
        """Its program is gone, unless it says something more: it sleeps in nothing any more."""
        self._threads.vanish(log)
        for silence in self._silences:
            for key in [it for it in silence.open if it is not None and it[0] == log]:
                silence.tell(key, self._threads)

    def _doubt(self, entry: Entry, past: Past) -> None:
        """Bytes that were joined by inference: who has which is not known any more."""
        if isinstance(entry, CallEntry) and isinstance(entry.event, Send | Recv) and entry.trust == INFERRED:
            past.is_unsure = True

    def _woken(self, entry: Entry) -> Strand | None:
        """Which connection a poll() has to do with."""
        if not isinstance(entry, CallEntry) or not isinstance(entry.event, Poll):
            return None
        return next((self._names[sock] for sock, _ in entry.event.ready if sock in self._names), None)

    def _past(self, strand: Strand | None) -> Past | None:
        """What is known of it; of too many connections, none of the one that was quiet for the longest.

        Strands are numbered as they begin: what comes below the highest forgotten one was forgotten too.
        """
        if strand is None:
            return None
        past = self._pasts.pop(strand.number, None)
        if past is None:
            if strand.number <= self._forgotten:
                return None
            past = Past(strand)
        self._pasts[strand.number] = past
        if len(self._pasts) > _STRANDS:
            oldest = next(iter(self._pasts))
            del self._pasts[oldest]
            self._forgotten = max(self._forgotten, oldest)
        return past

    # -- calls -----------------------------------------------------------------------------------------

    def _call(self, entry: CallEntry, past: Past | None) -> None:
        event = entry.event
        self._of_any(entry, event)
        if past is None:
            if isinstance(event, Setsockopt):
                self._will_linger(entry, event)
            return
        end = past.ends[entry.client]
        if isinstance(event, Accept):
            _add(entry, opening.accepted(past, entry))
            past.accept = entry
        elif isinstance(event, Connect):
            _add(entry, opening.connected(past, entry))
            end.linger = end.linger or self._lingers.pop(event.conn or "", None)
        elif isinstance(event, Send):
            _add(entry, ending.told(past, entry), data.sent(past, entry))
        elif isinstance(event, Recv):
            _add(entry, ending.told(past, entry), data.received(past, entry))
            made_room(past, entry)
        end.call(entry)
        self._name(event, past.strand)

    def _of_any(self, entry: CallEntry, event: Any) -> None:
        """What matters whatever its connection, if it has one."""
        kind = type(event)
        if kind in Listeners.calls:
            self._listeners.tell(entry)
        if kind in Datagrams.calls:
            _add(entry, self._datagrams.call(entry))
        if kind is Poll:
            _add(entry, self._waking.poll(entry, event))
        elif kind is Connect and event.errno == "ECONNREFUSED" and event.conn:
            self._refused(entry, event)

    def _refused(self, entry: CallEntry, event: Connect) -> None:
        """Who listened there does so no more; if it has not closed its listener, the kernel did."""
        listener = self._listeners.at(event.peer) if event.peer else None
        if listener is not None and listener.closed is None and listener.made.log != entry.log:
            self.vanish(listener.made.log)

    def _will_linger(self, entry: CallEntry, event: Setsockopt) -> None:
        """SO_LINGER is set before the socket is connected."""
        if event.option == "SO_LINGER" and not event.errno and event.sock:
            self._lingers.pop(event.sock, None)
            if event.value in NO_TIME and len(self._lingers) < _SOCKETS:
                self._lingers[event.sock] = entry

    def _name(self, event: Any, strand: Strand) -> None:
        """A name belongs to a connection, from its first call to its last."""
        if isinstance(event, Accept | Connect) and event.conn:
            self._names[event.conn] = strand
        elif isinstance(event, Close):
            self._names.pop(event.conn or "", None)

    # -- packets ---------------------------------------------------------------------------------------

    def _packet(self, entry: PacketEntry, past: Past | None) -> None:
        packet = entry.packet
        if packet.wire.proto != TCP or packet.error:
            self._datagrams.packet(entry)
            return
        if past is None:
            return
        closed = past.ends[packet.client].closed_at is not None
        if packet.found or packet.flags & _CONTROL or packet.states != packet.before or closed:
            _add(
                entry,
                opening.opening(past, entry, self._listeners),
                ending.reset(past, entry, self._listeners) or ending.refused(past, entry),
                data.repeated(past, entry),
                window(past, entry),
                ending.farewell(past, entry),
                ending.parting(past, entry),
            )
        _add(entry, data.segment(past, entry), data.acknowledged(past, entry))
        past.ends[packet.client].packet(entry, past.ends[not packet.client])
        past.last = entry
        if past.handshake is None and packet.states[1] == machine.ESTABLISHED != packet.before[1]:
            past.handshake = entry
            if past.accept is None:
                self._listeners.finished(past.strand.server)
        self._waking.packet(entry)


def _is_shown(entry: CallEntry) -> bool:
    """It is a call, and none in vain."""
    event = entry.event
    return isinstance(event, Located) and not (isinstance(event, Poll) and not event.ready)


def _name(strand: Strand) -> str:
    """As its rows begin: what its client calls it, or its server, or its client's port."""
    return next(filter(None, strand.names), ":" + strand.client.rpartition(":")[2])


def _add(entry: Entry, *why: str) -> None:
    for sentence in why:
        if sentence and sentence not in entry.reasons and len(entry.reasons) < _MOST:
            entry.reasons.append(sentence)
