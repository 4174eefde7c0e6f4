"""Why: beside what a student would ask about, a sentence that answers.

A sentence says what the entries show, with their numbers; what is inferred says `likely`. It has no full
stop. The rules are in modules by subject; they look at what happened before (`past`) and at the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop.events.schema import Accept, Close, Connect, Poll, Recv, Send
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.correlate.reasons import data, ending, opening
from evloop_trace.correlate.reasons.datagrams import Datagrams
from evloop_trace.correlate.reasons.gaps import Threads, quiet
from evloop_trace.correlate.reasons.opening import Listeners
from evloop_trace.correlate.reasons.past import Past
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
        self._t = 0
        self._names: dict[str, Strand] = {}  # by their ends' labelled names

    def tell(self, entry: Entry) -> str:
        """The next entry, in order; why it was quiet on its connection before it, if it was."""
        if isinstance(entry, CallEntry):
            self._threads.tell(entry)  # it may be the return from what was waited in
        why = self.quiet(entry.strand or self._woken(entry), entry.t, entry)
        past = self._past(entry.strand)
        self._t = entry.t
        if isinstance(entry, CallEntry):
            self._call(entry, past)
        elif isinstance(entry, PacketEntry):
            self._packet(entry, past)
        if past is not None:
            past.t = entry.t
        return why

    def quiet(self, strand: Strand | None, t: int, coming: Entry | None = None) -> str:
        """Why nothing happens on a connection at `t`; empty if it is not quiet, or nobody knows.

        Args:
            strand: The connection.
            t: A time behind the last entry that was told.
            coming: The entry that ends the silence, if it is known.
        """
        past = self._pasts.get(strand.number) if strand is not None else None
        if past is None or t - past.t < QUIET or past.strand.proto != TCP:
            return ""
        return quiet(past, self._threads, self._listeners, t, coming)

    def settle(self, entry: Entry) -> None:
        """Nothing more will be linked to an entry."""
        past = self._past(entry.strand)
        if past is None:
            return
        if isinstance(entry, CallEntry):
            _add(entry, data.went(past, entry, self._t), ending.closed(past, entry))
        elif isinstance(entry, PacketEntry):
            _add(entry, self._datagrams.settled(entry))
            if not entry.reasons:
                _add(entry, ending.reset(past, entry, self._listeners))
            if not entry.reasons:
                _add(entry, ending.vanished(past, entry, self._threads))

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
        kind = type(event)
        if kind in Listeners.calls:
            self._listeners.tell(entry)
        if kind in Datagrams.calls:
            _add(entry, self._datagrams.call(entry))
        if isinstance(event, Poll):
            _add(entry, self._waking.poll(entry, event))
        if past is None:
            return
        end = past.ends[entry.client]
        if isinstance(event, Accept):
            _add(entry, opening.accepted(past, entry))
            past.accept = entry
        elif isinstance(event, Connect):
            _add(entry, opening.connected(past, entry))
        elif isinstance(event, Send):
            _add(entry, ending.told(past, entry), data.sent(past, entry))
        elif isinstance(event, Recv):
            _add(entry, ending.told(past, entry), data.received(past, entry))
            made_room(past, entry)
        end.call(entry)
        self._name(event, past.strand)

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
                ending.reset(past, entry, self._listeners),
                ending.refused(past, entry),
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


def _add(entry: Entry, *why: str) -> None:
    for sentence in why:
        if sentence and sentence not in entry.reasons and len(entry.reasons) < _MOST:
            entry.reasons.append(sentence)
