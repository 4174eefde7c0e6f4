"""A program that goes round and round: a ladder is read, so the same again and again is shown three times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from evloop_trace.correlate.entries import CallEntry, PacketEntry

from evloop.events.schema import Poll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.entries import Entry

__all__ = ["LEAST", "LONGEST", "LeftOut", "shortened"]

LEAST = 8
"""Turns that are too many to be shown."""
LONGEST = 4
"""Calls of a turn."""
_FIRST = 2  # turns that are shown before the others are left out; and behind them the last

_OWN = {"seq", "t", "tick", "dur"}  # what is never the same again
_UDP = "udp"


class LeftOut(NamedTuple):
    """Turns were left out here."""

    t: int
    """When the one began that is shown next."""
    turns: int


def shortened(entries: Sequence[Entry], meanwhile: str = "") -> tuple[list[Entry], list[LeftOut]]:
    """Entries without what only repeats those before; and where that was.

    Left out are only calls that no packet has to do with; and bursts of datagrams, with their packets.

    Args:
        entries: In the order of time.
        meanwhile: What is to be said of the time in which it was: not that it was quiet.
    """
    keys = [_key(it) for it in entries]
    shown: list[Entry] = []
    left_out: list[LeftOut] = []
    at = 0
    while at < len(entries):
        size, turns = _turns(entries, keys, at)
        if turns < LEAST:
            shown.append(entries[at])
            at += 1
        elif all(_is_poll(it) for it in entries[at : at + size]):
            behind = at + (turns - LEAST) * size + 1  # up to here the same would be found
            shown += entries[at:behind]
            at = behind
        else:
            shown += entries[at : at + _FIRST * size]
            last = at + (turns - 1) * size
            left_out.append(LeftOut(entries[last].t, turns - _FIRST - 1))
            shown.append(msgspec.structs.replace(entries[last], quiet=meanwhile))
            at = last + 1
    return shown, left_out


def _turns(entries: Sequence[Entry], keys: Sequence[Any], at: int) -> tuple[int, int]:
    """How many entries are a turn that begins there, and how many turns there are. One begins with a call."""
    longest = LONGEST if isinstance(entries[at], CallEntry) else 0
    for size in range(1, longest + 1):
        end = at + size
        while end < len(keys) and keys[end] is not None and keys[end] == keys[end - size]:
            end += 1
        if (turns := (end - at) // size) >= LEAST:
            return size, turns
    return 1, 1


def _key(entry: Entry) -> Any:
    """What is the same for two entries that look the same; None if it must be shown."""
    datagram = getattr(entry, "strand", None) is not None and entry.strand.proto == _UDP  # type: ignore[union-attr]
    if isinstance(entry, PacketEntry) and datagram and not entry.packet.error:
        packet = entry.packet
        return entry.strand.number, packet.client, packet.end - packet.begin, packet.found, entry.reasons
    if not isinstance(entry, CallEntry) or (entry.packets and not datagram):
        return None
    event = entry.event
    own = {*_OWN, "data"} if datagram else _OWN  # the cards of a burst may be numbered
    said = [getattr(event, it) for it in event.__struct_fields__ if it not in own]
    return entry.log, type(event), said, entry.reasons


def _is_poll(entry: Entry) -> bool:
    """A ladder shows no poll that did not sleep."""
    return isinstance(entry, CallEntry) and isinstance(entry.event, Poll)
