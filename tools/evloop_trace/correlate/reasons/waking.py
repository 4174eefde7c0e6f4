"""Why a poll() came back: what arrived last for the socket that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.correlate.reasons.words import size, text
from evloop_trace.numbers import duration
from evloop_trace.packets.segments import FIN, RST, SYN

if TYPE_CHECKING:
    from evloop.events.schema import Poll
    from evloop_trace.correlate.entries import CallEntry, PacketEntry

__all__ = ["Waking"]

_KEPT = 1024


class Waking:
    """A fold. It is told once a log: the other polls are alike."""

    def __init__(self) -> None:
        self._arrived: dict[str, PacketEntry] = {}  # by the labelled name of the end that it came to
        self._told: set[int] = set()

    def packet(self, entry: PacketEntry) -> None:
        """What makes a socket readable has come."""
        packet = entry.packet
        name = entry.strand.names[packet.client]
        if name and (packet.begin < packet.end or packet.flags & (FIN | RST)) and not packet.flags & SYN:
            self._arrived.pop(name, None)
            self._arrived[name] = entry
            if len(self._arrived) > _KEPT:
                del self._arrived[next(iter(self._arrived))]

    def poll(self, entry: CallEntry, event: Poll) -> str:
        """Which packet it was."""
        ready = [(self._arrived.get(sock), sock) for sock, _ in event.ready]
        came, sock = min(ready, key=lambda it: it[0].t if it[0] is not None else -1, default=(None, ""))
        if any("IN" not in bits for _, bits in event.ready):
            return ""
        if came is None or came.t < event.t or entry.log in self._told:
            return ""  # something else was ready first, perhaps
        self._told.add(entry.log)
        packet = came.packet
        what = (
            "a RST" if packet.flags & RST
            else "a FIN" if packet.flags & FIN
            else size(packet.end - packet.begin)
        )  # fmt: skip
        slept = f" after {duration(came.t - event.t)}" if came.t > event.t else ""
        return f"packet #{packet.number} woke it{slept}: {what} for {text(sock)}"
