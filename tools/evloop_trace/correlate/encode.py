"""Entries as JSON: an object a line, for programs that check what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.packets.flow import TCP
from evloop_trace.packets.spelling import flag_words, found_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.entries import CallRef, Entry, KernelEntry, Strand

__all__ = ["entry_line", "strand_line"]

_SIDES = ("server", "client")
_encode = msgspec.json.Encoder().encode


def entry_line(entry: Entry, labels: Sequence[str]) -> bytes:
    """An entry as a line; `labels` are the logs' names."""
    line: dict[str, Any] = {"t": entry.t}
    if isinstance(entry, CallEntry):
        line |= _call(entry, labels)
    elif isinstance(entry, PacketEntry):
        line |= _packet(entry, labels)
    else:
        line |= _state(entry)
    line["conn"] = entry.strand.number if entry.strand is not None else None
    if entry.reasons:
        line["reasons"] = entry.reasons
    return _encode(line) + b"\n"


def strand_line(strand: Strand) -> bytes:
    """A connection as a line: they follow the entries."""
    line = {
        "lane": "connection",
        "conn": strand.number,
        "proto": strand.proto,
        "client": strand.client,
        "server": strand.server,
        "names": strand.names,
        "packets_from": _begin(strand),
        "link": strand.trust,
    }
    return _encode(line) + b"\n"


def _begin(strand: Strand) -> str | None:
    if strand.wire is None or strand.wire.proto != TCP:
        return None
    return "the beginning" if strand.wire.whole else "the middle"


def _call(entry: CallEntry, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "lane": _SIDES[entry.client],
        "log": labels[entry.log],
        "event": entry.event,
        "packets": [it._asdict() for it in entry.packets],
        "link": entry.trust,
    }


def _packet(entry: PacketEntry, labels: Sequence[str]) -> dict[str, Any]:
    packet = entry.packet
    line: dict[str, Any] = {
        "lane": "wire",
        "packet": packet.number,
        "from": _SIDES[packet.client],
        "proto": "icmp" if packet.error else packet.wire.proto,
        "bytes": [packet.begin, packet.end],
        "notes": found_words(packet.found),
        "causes": [_ref(it, labels) for it in entry.causes],
        "effects": [_ref(it, labels) for it in entry.effects],
        "link": entry.trust,
    }
    if packet.error:
        line["error"] = packet.error
    elif packet.wire.proto == TCP:
        line["flags"] = flag_words(packet.flags)
        line["ack"] = packet.ack
        line["window"] = packet.window
        line["states"] = packet.states
    if entry.original:
        line["original"] = entry.original
    return line


def _state(entry: KernelEntry) -> dict[str, Any]:
    line = {"lane": "kernel", "what": entry.what, "end": _SIDES[entry.client]}
    if entry.new:
        line |= {"old": entry.old, "new": entry.new}
    if entry.detail:
        line["detail"] = entry.detail
    return line


def _ref(it: CallRef, labels: Sequence[str]) -> dict[str, Any]:
    return it._asdict() | {"log": labels[it.log]}
