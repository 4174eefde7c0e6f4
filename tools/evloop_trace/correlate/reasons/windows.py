"""Why a window is closed, and how it opens again; and who asks whether the peer is still there.

RFC 9293, 3.8.4 to 3.8.6; RFC 1122, 4.2.2.17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Recv
from evloop_trace.correlate.reasons.past import ended
from evloop_trace.correlate.reasons.words import call, size
from evloop_trace.numbers import duration
from evloop_trace.packets.segments import KEEP_ALIVE, PROBE, RST, SYN, WINDOW_FULL, ZERO_WINDOW

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, PacketEntry
    from evloop_trace.correlate.reasons.past import End, Past

__all__ = ["made_room", "window"]


def window(past: Past, entry: PacketEntry) -> str:
    """What a packet says of windows, or asks about them."""
    packet = entry.packet
    mine, other = past.ends[packet.client], past.ends[not packet.client]
    if packet.flags & (SYN | RST):
        return ""
    if packet.found & (PROBE | KEEP_ALIVE):
        return _probe(entry, mine, other)
    if packet.found & ZERO_WINDOW:
        return "" if mine.closed_at is not None else _closed(past, entry, mine)
    if mine.closed_at is not None and packet.window:
        return _opened(entry, mine)
    if packet.found & WINDOW_FULL and mine.filled is None:
        return f"{other.word} has room for no more: the window is full"
    return ""


def made_room(past: Past, entry: CallEntry) -> None:
    """A recv() has returned in which a window was opened: that packet's reason is known now."""
    mine = past.ends[entry.client]
    opened = mine.opened
    if opened is None or not entry.event.t <= opened.t <= ended(entry):
        return
    for at, why in enumerate(opened.reasons):
        if why.startswith("room again"):
            opened.reasons[at] = f"{why.partition(':')[0]}: {mine.word}'s {call(entry)} took what waited"


def _closed(past: Past, entry: PacketEntry, mine: End) -> str:
    """The acknowledged bytes fill the buffer."""
    client = entry.packet.client
    if not past.is_recorded(client=client):
        return f"likely {mine.word}'s program does not call recv(): its buffer is full"
    waits = past.waiting(client=client, ack=entry.packet.ack or 0)
    full = f"{size(waits)} fill its buffer" if waits else "its buffer is full"
    if mine.recv is None:
        has = "read nothing" if any(isinstance(it.event, Recv) for it in mine.calls) else "not called recv()"
        return f"{mine.word} has {has} yet, and {full}"
    return f"the last recv() of {mine.word} was {duration(entry.t - mine.recv.t)} ago, and {full}"


def _opened(entry: PacketEntry, mine: End) -> str:
    """There is room again."""
    assert mine.closed_at is not None
    shut = duration(entry.t - mine.closed_at)
    if mine.recv is not None and mine.recv.t >= mine.closed_at:
        return f"room again, after {shut}: {mine.word}'s {call(mine.recv)} took what waited"
    return f"room again, after {shut}: likely {mine.word} has called recv()"


def _probe(entry: PacketEntry, mine: End, other: End) -> str:
    if other.closed_at is not None:
        earlier = mine.probes
        if not earlier.count:
            waited = duration(entry.t - other.closed_at)
            return f"is there room again? The window is closed for {waited}, and an update could be lost"
        since = entry.t - earlier.last
        before = earlier.last - (earlier.before if earlier.count > 1 else other.closed_at)
        return (
            f"probe {earlier.count + 1}, {duration(since)} after the last, which waited {duration(before)}: "
            "the persist timer backs off"
        )
    if mine.alive.count:
        unanswered = duration(entry.t - mine.alive.last)
        return f"keep-alive probe {mine.alive.count + 1}: no answer for {unanswered}"
    if mine.alive.last > max(mine.heard_data, other.heard_data):
        return ""  # the last was answered, and this one is the same
    quiet = duration(entry.t - max(mine.heard, other.heard))
    return f"keep-alive: nothing was said for {quiet}; is {other.word} still there?"
