"""Why a connection ends as it does: FIN or RST, who was first, and what the calls are told.

RFC 9293, 3.6 and 3.10; RFC 2525, 2.17; socket(7) for SO_LINGER.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Close, Recv, Send, Shutdown
from evloop_trace.correlate.reasons.past import ended
from evloop_trace.correlate.reasons.words import call, ref, size, text
from evloop_trace.numbers import duration
from evloop_trace.packets import machine
from evloop_trace.packets.segments import FIN, RST

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, CallRef, PacketEntry
    from evloop_trace.correlate.reasons.gaps import Threads
    from evloop_trace.correlate.reasons.opening import Listeners
    from evloop_trace.correlate.reasons.past import End, Past

__all__ = ["closed", "farewell", "parting", "refused", "reset", "told", "vanished"]

_AT_ONCE = 20_000_000  # ns

_BY_ITSELF = {
    "exit": "the program ended, and the kernel closed what it had open",
    "collected": "nobody called close(): Python closed the socket when its last reference was gone",
    "idle-timeout": "the server closed what was idle for too long",
    "lifetime": "the server closed what was open for too long",
}


def told(past: Past, entry: CallEntry) -> str:
    """What the end of a stream, or an error, is from."""
    event = entry.event
    assert isinstance(event, Recv | Send)
    mine, other = past.ends[entry.client], past.ends[not entry.client]
    reset = f"packet #{other.rst.packet.number}" if other.rst is not None else ""
    if event.errno == "ECONNRESET" and reset:
        return f"the RST of {reset}"
    if event.errno == "EPIPE":
        if mine.shutdown is not None:
            return f"{call(mine.shutdown)} had ended what we send"
        return f"the RST of {reset} had ended the connection" if reset else ""
    if event.n == 0 and event.size and isinstance(event, Recv):
        return _end_of_stream(entry, mine, other)
    return ""


def _end_of_stream(entry: CallEntry, mine: End, other: End) -> str:
    if mine.is_deaf:
        return ""  # of its own shutdown(): what comes all the same can be read
    if mine.ends == 1:
        return "the end of the stream stays: from here on recv() is 0 each time, at once"
    if mine.ends:
        return ""
    if other.fin is not None:
        return f"the FIN of packet #{other.fin.packet.number}: {other.word} sends no more"
    last = entry.joined.origins[-1] if entry.joined is not None and entry.joined.origins else None
    if last is not None and last.ev in ("close", "shutdown"):
        return f"{other.word}'s {last.ev}() #{last.seq}: it sends no more"
    return ""


def farewell(past: Past, entry: PacketEntry) -> str:
    """Of a FIN."""
    packet = entry.packet
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if not packet.flags & FIN or mine.fin is not None:
        return ""
    cause = next((it for it in entry.causes if it.ev in ("close", "shutdown")), None)
    if cause is not None and cause.ev == "shutdown":
        return f"{mine.word}'s {ref(cause)}: it sends no more{_reads(mine, cause)}"
    why = ""
    if mine.close is not None and isinstance(mine.close.event, Close):
        why = _BY_ITSELF.get(mine.close.event.reason, "")
    if other.fin is not None and packet.ack == other.out + 1 and other.acked <= other.out:
        after = duration(entry.t - other.fin.t)
        return f"it also acknowledges {other.word}'s FIN of {after} ago: three segments, not four"
    if why or cause is None or mine.close is None or entry.t - ended(mine.close) < _AT_ONCE:
        return why
    why = f"{mine.word}'s {ref(cause)} was {duration(entry.t - mine.close.t)} ago"
    if packet.begin == packet.end and mine.heard_data < mine.close.t:
        return f"{why}: likely a copy of it was open until now, such as another process's"
    return f"{why}: what was sent before had to go first"


def parting(past: Past, entry: PacketEntry) -> str:
    """Of the packet with which somebody comes to TIME-WAIT."""
    packet = entry.packet
    for client, state, before in zip((True, False), packet.states, packet.before, strict=True):
        if state == machine.TIME_WAIT != before:
            word = past.ends[client].word
            if before == machine.CLOSING:
                return f"both closed at once: {word} waits in TIME-WAIT too"
            return f"{word} closed first, and so waits in TIME-WAIT: 60 s on Linux"
    return ""


def closed(past: Past, entry: CallEntry) -> str:
    """Of a close, when it is known what came of it."""
    event = entry.event
    if not isinstance(event, Close) or event.conn is None:
        return ""
    mine, other = past.ends[entry.client], past.ends[not entry.client]
    if event.unread:
        if past.strand.wire is not None or mine.holders:
            return ""  # its RST has a reason of its own; if there was one before, this makes none
        return f"{size(event.unread)} were unread: it would send a RST, not a FIN"
    if not past.whole or any(it is not None for it in (mine.fin, mine.rst, other.rst)):
        return ""
    name, log = next(iter(mine.holders.items()), ("", -1))
    if name:
        by = f"it is still open here, as {text(name)}" if log == entry.log else "another process still has it"
        return f"no FIN: {by}"
    return "no FIN yet: what is not acknowledged goes first" if mine.sent > mine.data else ""


def reset(past: Past, entry: PacketEntry, listeners: Listeners) -> str:
    """Of the first RST, by what its sender called: also when that is told later."""
    packet = entry.packet
    mine = past.ends[packet.client]
    if not packet.flags & RST or mine.rst not in (None, entry):
        return ""
    close = mine.close.event if mine.close is not None else None
    if isinstance(close, Close) and mine.close is not None and _is_of(mine.close, entry, mine.fin):
        if close.unread:
            return f"{size(close.unread)} were unread at {mine.word}'s {call(mine.close)}: RFC 2525, 2.17"
        if mine.linger is not None:
            return f"SO_LINGER of 0 s: {mine.word}'s {call(mine.close)} resets, and leaves no TIME-WAIT"
        if close.reason == "aborted":
            return f"{mine.word} aborted it, with SO_LINGER of 0 s: no TIME-WAIT"
    if not packet.client and past.accept is None and mine.syns.count:
        listener = listeners.at(past.strand.server)
        if listener is not None and listener.closed is not None and _is_of(listener.closed, entry, None):
            return f"{call(listener.closed)} closed the listener, and nobody had accepted this connection"
    return ""


def _is_of(close: CallEntry, reset: PacketEntry, fin: PacketEntry | None) -> bool:
    """A close made this RST: one that sent a FIN did not, and what comes later is from something else."""
    began = close.event.t
    return abs(reset.t - began) < ended(close) - began + _AT_ONCE and (fin is None or fin.t < began)


def refused(past: Past, entry: PacketEntry) -> str:
    """Of a RST that answers data."""
    packet, last = entry.packet, past.last
    mine = past.ends[packet.client]
    if not packet.flags & RST or mine.rst is not None:
        return ""
    if last is not None and last.packet.client != packet.client and last.packet.begin < last.packet.end:
        closer = mine.close if past.is_recorded(client=packet.client) else mine.fin
        if closer is not None and closer.t <= last.t:
            likely = "" if mine.close is not None else "likely "
            before = duration(entry.t - closer.t)
            return f"data came (packet #{last.packet.number}); {likely}{mine.word} had closed {before} before"
    return ""


def vanished(past: Past, entry: PacketEntry, threads: Threads) -> str:
    """Of a FIN or RST that no close() made, though its sender has a log, which ends there.

    A FIN may carry the last of what a send() had left.
    """
    packet = entry.packet
    client = packet.client
    mine = past.ends[client]
    made = any(it.ev not in {"send", "block"} for it in entry.causes)
    if not packet.flags & (FIN | RST) or made or mine.close or not mine.calls:
        return ""
    if mine.shutdown is not None or mine.alive.count:
        return ""  # the kernel resets by itself who sends to a shutdown(SHUT_RDWR), or answers no probe
    if threads.seen(mine.calls[-1].log) > entry.t:
        return ""
    waits = past.waiting(client=client)
    unread = f" with {size(waits)} unread" if waits and packet.flags & RST else ""
    return f"no close() is in {mine.word}'s log: likely its process was killed{unread}"


def _reads(mine: End, cause: CallRef) -> str:
    """Whether it may read on after a shutdown."""
    event = mine.shutdown.event if mine.shutdown is not None else None
    if not isinstance(event, Shutdown) or event.seq != cause.seq:
        return ""
    return ", but can still read" if event.how == "SHUT_WR" else ", and wants to read no more"
