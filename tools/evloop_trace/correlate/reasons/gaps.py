"""Why nothing happens: who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from evloop.events.schema import Block, Header, Poll
from evloop_trace.correlate.entries import PacketEntry
from evloop_trace.correlate.reasons.words import size, text
from evloop_trace.packets.segments import AGAIN

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import CallEntry, Entry
    from evloop_trace.correlate.reasons.opening import Listeners
    from evloop_trace.correlate.reasons.past import End, Past

__all__ = ["Threads", "quiet"]

_THREADS = 1024

_Thread: TypeAlias = tuple[int, str]  # the log, and its name


class Threads:
    """A fold: what every thread of every log did last, and in which call it slept last."""

    def __init__(self) -> None:
        self._last: dict[_Thread, CallEntry] = {}
        self._slept: dict[_Thread, tuple[CallEntry, int]] = {}  # until when
        self._loops: set[int] = set()
        self._seen: dict[int, int] = {}

    def tell(self, entry: CallEntry) -> None:
        """A call."""
        event = entry.event
        if isinstance(event, Header):
            if event.model == "loop":
                self._loops.add(entry.log)
            return
        self._seen[entry.log] = entry.t
        thread = _thread(entry)
        before = self._last.pop(thread, None)
        if before is not None and isinstance(before.event, Block):
            self._slept[thread] = before, entry.t
        elif isinstance(event, Poll):
            self._slept[thread] = entry, entry.t
        self._last[thread] = entry
        if len(self._last) > _THREADS:
            oldest = next(iter(self._last))
            del self._last[oldest]
            self._slept.pop(oldest, None)

    def seen(self, log: int) -> int:
        """When the last event of a log was told."""
        return self._seen.get(log, -1)

    def of(self, end: End) -> CallEntry | None:
        """What the thread that last dealt with this end did last."""
        return self._last.get(_thread(end.calls[-1])) if end.calls else None

    def asleep(self, call: CallEntry | None, name: str, since: int, until: int) -> str:
        """The call in which a thread slept for the most of this time; empty if it was in none.

        Args:
            call: One that this thread made.
            name: The socket of which nobody needs to be told.
            since: In ns.
            until: In ns.
        """
        last = self._last.get(_thread(call)) if call is not None else None
        if last is None or call is None:
            return ""
        sleep, over = (
            (last, until) if isinstance(last.event, Block) else self._slept.get(_thread(call), (last, 0))
        )
        if 2 * (min(over, until) - max(sleep.event.t, since)) < until - since:
            return ""
        if not isinstance(sleep.event, Block):
            return "poll()"
        about = sleep.event.conn or sleep.event.sock
        elsewhere = f" on {text(about)}" if about and about != name else ""
        return f"{text(sleep.event.awaits)}(){elsewhere}"

    def is_loop(self, end: End) -> bool:
        """It is one of many in a loop, whose poll() is told of when it returns."""
        return bool(end.calls) and end.calls[-1].log in self._loops


def _thread(entry: CallEntry) -> _Thread:
    return entry.log, getattr(entry.event, "thread", "")


def quiet(past: Past, threads: Threads, listeners: Listeners, now: int, coming: Entry | None = None) -> str:
    """Why nothing was said on a connection since `past.t`.

    Args:
        past: The connection so far.
        threads: Who calls what.
        listeners: Who listens where.
        now: In ns.
        coming: What ends the silence, if that is known.
    """
    if past.is_over:
        return ""
    why = _kernel(past, coming) or _ends(past) or _accepts(past, threads, listeners, now)
    return why or _programs(past, threads, now)


def _kernel(past: Past, coming: Entry | None) -> str:
    """A timer of TCP's runs."""
    client, server = past.ends[True], past.ends[False]
    if client.syns.count and past.handshake is None and not server.syns.count and server.rst is None:
        return "nobody has answered the SYN: the client's kernel waits, and then asks again"
    packet = coming.packet if isinstance(coming, PacketEntry) else None
    for sender, other, is_client in ((client, server, True), (server, client, False)):
        if other.closed_at is not None and sender.sent > sender.out:
            return (
                f"{other.word}'s window is closed: {size(sender.sent - sender.out)} of {sender.word} wait "
                "in the kernel, which probes it now and then"
            )
        if other.closed_at is not None and (sender.probes.count or sender.sent == 0):
            return f"{other.word}'s window is closed: {sender.word}'s kernel probes it now and then"
        waits = past.unacked(client=is_client)
        if waits and packet is not None:
            if packet.found & AGAIN and packet.client == is_client:
                return f"{size(waits)} of {sender.word} are not acknowledged: its retransmission timer runs"
            if packet.client != is_client and (packet.ack or 0) > sender.acked and packet.begin == packet.end:
                return f"{other.word}'s kernel delays the ACK of {size(waits)}: an answer could carry it"
    return ""


def _ends(past: Past) -> str:
    """One end has closed, or both."""
    client, server = past.ends[True], past.ends[False]
    for resetting, other in ((client, server), (server, client)):
        if resetting.rst is not None:
            return f"it is reset: {other.word} learns of it in its next call"
    if client.fin is not None and server.fin is not None:
        return "both ends have closed: the first to do so is in TIME-WAIT"
    for closer, other in ((client, server), (server, client)):
        if closer.fin is not None:
            return f"{closer.word} sends no more, and {other.word} has not closed yet: CLOSE-WAIT"
        if closer.close is not None and past.whole:
            return f"{closer.word} has closed, but no FIN went out: likely another process holds it"
    return ""


def _accepts(past: Past, threads: Threads, listeners: Listeners, now: int) -> str:
    listener = listeners.at(past.strand.server)
    if past.accept is not None or past.handshake is None or listener is None or listener.closed is not None:
        return ""
    waits = past.ends[True].data
    more = f", and {size(waits)} wait with it" if waits else ""
    asleep = threads.asleep(listener.made, "", past.t, now)
    where = f": the server sleeps in {asleep}" if asleep and not asleep.startswith("accept") else ""
    return f"the handshake is over, but nobody has called accept(){more}{where}"


def _programs(past: Past, threads: Threads, now: int) -> str:
    """What the programs do meanwhile."""
    names = past.strand.names
    asleep = {
        client: threads.asleep(end.calls[-1] if end.calls else None, names[not client], past.t, now)
        for client, end in past.ends.items()
    }
    for client, end in past.ends.items():
        waits = past.waiting(client=client)
        if waits and not threads.is_loop(end):
            if asleep[client] == "recv()":
                return f"{size(waits)} have come for {end.word}, whose recv() has not returned yet"
            does = _does(end, asleep[client], threads)
            return f"{size(waits)} wait for {end.word}" + (f", which {does}" if does else "")
    doing = {client: _does(end, asleep[client], threads) for client, end in past.ends.items()}
    if doing[True] and threads.of(past.ends[True]) is threads.of(past.ends[False]):
        return f"the thread that has both ends {min(doing.values(), key=len)}"
    if asleep[True] == asleep[False] == "recv()":
        return "both ends sleep in recv(): each waits for the other"
    return "; ".join([f"{past.ends[who].word} {doing[who]}" for who in (False, True) if doing[who]])


def _does(end: End, asleep: str, threads: Threads) -> str:
    if asleep:
        return f"sleeps in {asleep}"
    if threads.of(end) is None:
        return ""
    return "likely sleeps in poll()" if threads.is_loop(end) else "is in no call"
