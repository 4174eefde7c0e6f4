"""Turns of a loop in which somebody takes too much, so that the others wait."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.events.schema import Recv, Recvfrom
from evloop_trace.model.diagnosis.words import SLOW, call, moment, place
from evloop_trace.model.filters import due
from evloop_trace.model.lint.finding import Finding
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.events.schema import Poll, Slow, Timer
    from evloop_trace.model.diagnosis.state import Process
    from evloop_trace.model.lint.finding import Findings

__all__ = ["READS", "Turns"]

READS = 32
"""Reads of one connection in a turn while others wait, from which on it is too many.

asyncio and our own loop read once a readiness, libuv 32 times at most; an edge-triggered loop must read to
EAGAIN, and bounds it too.
"""
DATAGRAM_READS = 1024
"""Datagrams of one socket in a turn: libuv takes 20 times 32, our own loop 64."""
LATE = 10_000_000
"""Nanoseconds a timer may be late without anybody noticing."""
_NAMED = 3
_PENDING = 4096  # events of a turn that are kept before they are counted


class _Taken(NamedTuple):
    """What one socket had of a turn."""

    name: str
    reads: int
    call: str


class Turns:
    """From one poll to the next."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self.parts: list[Sequence[Any]] = []  # of the turn, what came before the block that is read now
        self._pending = 0
        self._counts: Counter[tuple[type, str]] = Counter()
        self.latest: Timer | None = None

    # -- starvation ------------------------------------------------------------------------------------

    def polled(self) -> None:
        """A turn is over."""
        self.parts.clear()
        self._counts.clear()
        self._pending = 0
        self.latest = None

    def goes_on(self, before: Poll, part: Sequence[Any]) -> None:
        """The events that are read, `part`, end before the turn does that `before` began."""
        self.parts.append(part)
        self._pending += len(part)
        if self._pending > _PENDING:
            self._count(before)
            self.parts.append(())  # there is something to be cleared

    def late(self, event: Timer) -> None:
        """A timer ran after its time."""
        if event.late >= LATE and (self.latest is None or event.late > self.latest.late):
            self.latest = event

    def _count(self, before: Poll) -> None:
        """Reads by whom the poll has woken, of what it has named: another thread keeps nobody waiting."""
        thread, named, first = before.thread, {name for name, _ in before.ready}, before.seq
        for part in self.parts:
            for event in part:
                kind = type(event)
                if (
                    (kind is Recv or kind is Recvfrom)
                    and event.seq > first
                    and event.n is not None
                    and event.thread == thread
                ):
                    name = event.conn if kind is Recv else event.sock
                    if name in named:
                        self._counts[kind, name] += 1
        self.parts.clear()
        self._pending = 0

    def busy(self, before: Poll, event: Poll, part: Sequence[Any]) -> None:
        """Much happened between two polls; of the events that are read now, `part` did."""
        self.parts.append(part)
        self._count(before)
        counts, self._counts = self._counts, Counter()
        if not counts or event.thread != before.thread:
            return
        (kind, name), reads = counts.most_common(1)[0]
        if reads < (READS if kind is Recv else DATAGRAM_READS):
            return
        others = [it for it, _ in (*before.ready, *event.ready) if it not in {name, "watchers"}]
        waiting = list(dict.fromkeys(others))
        if (waiting or self.latest is not None) and not self._findings.again("starvation", name, event):
            self._starved(
                _Taken(name, reads, "recv()" if kind is Recv else "recvfrom()"), before, event, waiting
            )

    def _starved(self, taken: _Taken, before: Poll, event: Poll, waiting: list[str]) -> None:
        begun = due(before)
        text = (
            f"{taken.name} had the loop for itself from {moment(begun)} on, for {duration(event.t - begun)}: "
            f"{taken.reads:,} times {taken.call} in one turn."
        )
        more = f" and {len(waiting) - _NAMED:,} more" if len(waiting) > _NAMED else ""
        whom = (
            f"{', '.join(waiting[:_NAMED])}{more} {'was' if len(waiting) == 1 else 'were'} ready meanwhile."
        )
        late = self.latest
        timer = "" if late is None else f"A timer ({late.why}) was {duration(late.late)} late."
        why = " ".join(filter(None, (whom if waiting else "", timer)))
        self._findings.add(Finding("starvation", taken.name, [before], event, text, why))

    # -- slow handlers ---------------------------------------------------------------------------------

    def slow(self, event: Slow) -> None:
        """Our own loop has measured it."""
        if not self._findings.again("slow-handler", event.conn, event):
            whose = f"; {event.conn} had the longest turn" if event.conn else ""
            worked = f"The loop worked for {duration(event.dur)} before it asked again"
            text = f"{worked}, at {moment(event.t)}{whose}."
            self._findings.add(Finding("slow-handler", event.conn, [event], event, text))

    def polled_late(self, polled: Poll, event: Poll, part: Sequence[Any]) -> None:
        """Of any other: a thread polls again, did not have to sleep, and had polled long before.

        So somebody was ready, and waited for what took long: between two calls of the turn, or behind the
        last. `part` are the events since, as far as they are not in `parts`.
        """
        last, before, after, silent = polled, polled, event, 0
        for it in chain(*self.parts, part, (event,)):
            if it.seq <= polled.seq or getattr(it, "thread", None) != event.thread:
                continue
            if it.t - due(last) > silent:
                before, after, silent = last, it, it.t - due(last)
            last = it
        whose = before if after is event else after
        name = getattr(whose, "conn", None) or getattr(whose, "sock", None)
        others = [it for it, _ in event.ready if it != name]
        if silent < SLOW or not others or self._findings.again("slow-handler", name, event):
            return
        did = f"{call(whose)}{f' on {name}' if name else ''}{place(whose)}"
        long = duration(silent)
        text = (
            f"After {did} the loop asked again only {long} later, at {moment(event.t)}; "
            if after is event
            else f"Before {did} the loop did something else for {long}, until {moment(after.t)}; "
        ) + f"{', '.join(others[:_NAMED])} had to wait."
        self._findings.add(Finding("slow-handler", name, [whose], event, text))
