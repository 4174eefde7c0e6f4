"""Why data travels as it does: a stream has no borders, and the kernel sends and acknowledges when it likes.

RFC 9293, 3.8 (Nagle, delayed ACKs, retransmission); RFC 6298, 5681 and 8985 for when something is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Recv, Send
from evloop_trace.correlate.entries import AGAIN, INFERRED
from evloop_trace.correlate.reasons.past import is_pure_ack
from evloop_trace.correlate.reasons.words import numbers, packets, ref, size
from evloop_trace.numbers import duration
from evloop_trace.packets.segments import (
    ACKED_UNSEEN,
    DUP_ACK,
    FAST,
    FIN,
    LOST,
    OUT_OF_ORDER,
    RETRANSMISSION,
    RST,
    SPURIOUS,
    SYN,
)

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry
    from evloop_trace.correlate.reasons.past import End, Past

__all__ = ["acknowledged", "received", "repeated", "segment", "sent", "went"]

_MS = 1_000_000
_DELAYED = 30 * _MS
"""A delayed ACK of Linux waits at least 40 ms, and nothing else for so long."""

_LATE = 20 * _MS
_AT_ONCE = 2 * _MS
_UNHEARD = 400 * _MS
_SMALL = 1_400  # bytes: less than a segment can carry anywhere but on the slowest links
_TIMEOUT = 200 * _MS  # of Linux, at least


def sent(past: Past, entry: CallEntry) -> str:
    """What a send's result means."""
    event = entry.event
    assert isinstance(event, Send)
    mine = past.ends[entry.client]
    if event.errno in ("EAGAIN", "EWOULDBLOCK") and past.whole and past.handshake is None:
        return "the handshake is not over: until then nothing can be sent"
    if event.errno in ("EAGAIN", "EWOULDBLOCK"):
        waits = mine.sent - mine.data if past.whole else 0
        return "the send buffer is full" + (f": {size(waits)} are not acknowledged" if waits > 0 else "")
    if event.n is not None and event.n < event.size:
        return f"the send buffer had room for {size(event.n)} of {size(event.size)}"
    if event.n == 0 and not mine.has_sent_nothing:
        return "nothing to send: no packet, and the peer does not notice"
    return ""


def went(past: Past, entry: CallEntry, now: int) -> str:
    """What became of a send, when that is known; `now` is how far all was told."""
    event = entry.event
    if not isinstance(event, Send) or not event.n or event.off is None:
        return ""
    mine = past.ends[entry.client]
    if why := _in_vain(past, entry):
        return why
    them = sorted({it.number for it in entry.packets})
    if len(them) > 1 and entry.trust != INFERRED:
        if max(it.end for it in entry.packets) < event.off[1]:
            return ""  # more of it goes out later
        known = [mine.packets[number].packet for number in them if number in mine.packets]
        largest = max((it.end - it.begin for it in known), default=0) if len(known) == len(them) else 0
        most = f" of at most {size(largest)}" if largest else ""
        return f"one send(), {len(them)} segments{most} ({numbers(them)})"
    if past.whole and them and mine.data < event.off[1] and now - entry.t > _UNHEARD:
        return f"it returned after {duration(event.dur)}, and nobody has acknowledged its last byte yet"
    return ""


def _in_vain(past: Past, entry: CallEntry) -> str:
    """Of a send to who has closed: a FIN alone does not tell, as shutdown() makes it too."""
    event = entry.event
    other = past.ends[not entry.client]
    if other.fin is None or other.fin.t >= event.t or other.rst is None or other.rst.t <= event.t:
        return ""
    if past.is_recorded(client=not entry.client) and (other.close is None or other.close.t >= event.t):
        return ""
    likely = "" if other.close is not None else "likely "
    return (
        f"it succeeds, as it only fills a buffer; {likely}{other.word} had closed (packet "
        f"#{other.fin.packet.number}), and resets (packet #{other.rst.packet.number})"
    )


def received(past: Past, entry: CallEntry) -> str:
    """What a recv took, and what it left."""
    event = entry.event
    assert isinstance(event, Recv)
    if not event.n or event.flags:
        return ""
    mine, other = past.ends[entry.client], past.ends[not entry.client]
    them = sorted({it.number for it in entry.packets})
    last = other.packets.get(them[-1]) if them else None
    was_left = mine.was_left
    mine.was_left = was_left and event.n == event.size  # until it has read all that there is
    end = max((it.end for it in entry.packets), default=0)
    if event.n == event.size and past.whole and last and last.packet.end > end:
        mine.was_left = True
        left = f"{size(last.packet.end - end)} of packet #{them[-1]} are left for the next"
        return "" if was_left else f"it asked for {size(event.size)} at most: {left}"  # the first of a row
    return _borders(entry, other, them) if entry.trust != INFERRED else ""


def _borders(entry: CallEntry, other: End, them: list[int]) -> str:
    """Of a recv that took from more than one."""
    sends = {
        (cause.log, cause.seq)
        for it in entry.packets
        if (packet := other.packets.get(it.number)) is not None and packet.trust != INFERRED
        for cause in packet.causes
        if cause.begin < it.end and it.begin < cause.end
    }
    if len(sends) > 1:
        return f"{len(sends)} sends in one recv(): a stream keeps no borders ({packets(them)})"
    if len(them) > 1 and not sends:
        return f"{len(them)} segments in one recv(): a stream keeps no borders ({numbers(them)})"
    return ""


def segment(past: Past, entry: PacketEntry) -> str:
    """Why data was sent when it was."""
    packet = entry.packet
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if packet.begin == packet.end or not entry.causes or entry.trust == INFERRED:
        return ""
    bytes_of = [it for it in entry.causes if it.ev in ("send", "block") and it.begin < it.end]
    sends = sorted({(it.log, it.seq): it for it in bytes_of}.items())
    if not sends:
        return ""
    call = next((it for it in mine.calls if (it.log, it.event.seq) == sends[0][0]), None)
    if call is not None and _waited_for_ack(entry, call, mine, other):
        assert mine.acked_by is not None
        waited = duration(entry.t - call.event.t)
        return (
            f"likely Nagle: {ref(sends[0][1])} was {waited} before, but a small segment waits for the ACK of "
            f"the last, #{mine.acked_by.packet.number}"
        )
    if len(sends) > 1:
        return f"one segment, {len(sends)} sends ({numbers(seq for (_, seq), _ in sends)})"
    return ""


def _waited_for_ack(entry: PacketEntry, call: CallEntry, mine: End, other: End) -> bool:
    """A small segment went out as soon as nothing was under way, and no window held it up (RFC 896)."""
    packet, freed, t = entry.packet, mine.acked_by, call.event.t
    return (
        freed is not None
        and packet.end - packet.begin < _SMALL
        and mine.acked == packet.begin
        and mine.heard_data < t < freed.t
        and entry.t - t > _LATE
        and entry.t - freed.t < _AT_ONCE
        and (other.closed_at is None and (other.opened is None or other.opened.t < t))
        and (mine.filled is None or mine.filled.t < mine.heard_data)
    )


def acknowledged(past: Past, entry: PacketEntry) -> str:
    """Why an ACK comes alone, and late."""
    packet = entry.packet
    if not is_pure_ack(entry) or packet.ack is None:
        return ""
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if packet.found & ACKED_UNSEEN:
        return "it acknowledges what the capture does not have: the capture lost it, not the network"
    if packet.found & DUP_ACK and not mine.dup_acks and other.out > packet.ack:
        return f"it asks for byte {packet.ack:,} again: what came behind that has a gap before it"
    news = _news(other, packet.ack)
    if news is None or mine.closed_at is not None or news.trust == AGAIN:
        return ""
    waited = entry.t - news.t
    if not _DELAYED <= waited < 10 * _DELAYED:
        return ""
    what = "the FIN" if news.packet.flags & FIN else f"packet #{news.packet.number}"
    return f"delayed ACK: {mine.word} sent nothing for {duration(waited)} that could have acknowledged {what}"


def _news(sender: End, ack: int) -> PacketEntry | None:
    """The last packet that this acknowledges for the first time."""
    last = next((it for it in reversed(sender.packets.values()) if _end(it) <= ack), None)
    return last if last is not None and _end(last) > sender.acked else None


def repeated(past: Past, entry: PacketEntry) -> str:  # noqa: PLR0911 - a return a kind
    """Why something was sent again."""
    packet = entry.packet
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if packet.flags & (SYN | RST):
        return ""
    first = f"packet #{entry.original}" if entry.original else f"byte {packet.begin:,}"
    if packet.found & SPURIOUS:
        by = _acked_by(past, entry)
        return f"spurious: {first} had arrived" + (f", as {packets([by])} said" if by else "")
    if packet.found & FAST:
        return f"fast retransmission: {other.dup_acks} duplicate ACKs said that {first} is missing"
    if packet.found & OUT_OF_ORDER:
        return "out of order: what was sent after it was seen before"
    if not packet.found & RETRANSMISSION:
        return "something before it is not in the capture" if packet.found & LOST else ""
    waited = entry.t - mine.heard_data
    if waited < _TIMEOUT and _end(entry) >= mine.out and not other.dup_acks:
        return f"likely a tail-loss probe: no ACK of the last segment, {first}, for {duration(waited)}"
    original = mine.packets.get(entry.original)
    waited = entry.t - original.t if original is not None else waited
    return f"retransmission: {first} was not acknowledged for {duration(waited)}"


def _acked_by(past: Past, entry: PacketEntry) -> int:
    """The number of the packet that had acknowledged this one; 0 if it is not known."""
    mine = past.ends[entry.packet.client]
    by = mine.acked_by
    return by.packet.number if by is not None and mine.acked >= _end(entry) else 0


def _end(entry: PacketEntry) -> int:
    return entry.packet.end + bool(entry.packet.flags & FIN)
