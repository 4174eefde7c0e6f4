"""Logs, a capture and the kernel's words → entries of one timeline, in order and linked."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from evloop.events.reader import Problem
from evloop.events.schema import Clock
from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.clocks import Clocks
from evloop_trace.correlate.loom import HOLD, NEVER, Called, Loom, Span
from evloop_trace.correlate.place import SHORT, place
from evloop_trace.living import is_known_here, is_running
from evloop_trace.merge import in_order, one_clock
from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.sightings import Sightings
from evloop_trace.states.lifelines import lifelines
from evloop_trace.states.schema import Lost, Transition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.loom import Thing
    from evloop_trace.correlate.weave import Said, Weaver
    from evloop_trace.logs import Logs
    from evloop_trace.packets.capture_file import Packet
    from evloop_trace.states.reader import TransitionLog
    from evloop_trace.states.schema import Event

    _Item: TypeAlias = tuple[int, Thing]  # when: of a packet, by the time of day

__all__ = ["Timeline"]

_WINDOW = 50 * SHORT  # ns by which what is read may be out of order; what comes later stands where it can


class Timeline:
    """What was read is known to `weaver`, `clocks` and `capture`, as far as it has been read."""

    def __init__(self, logs: Logs | None) -> None:
        self.logs = logs
        headers = [log.header for log in logs.logs] if logs else []
        self.clocks = Clocks(headers, one_clock=one_clock(headers) if headers else True)
        self._loom = Loom(logs.joiner if logs else None)
        self.weaver: Weaver = self._loom.weaver
        self.capture = Capture()
        self.sightings = Sightings()
        self.calls = Span()
        """When the log's events were."""
        self.packets: Span = self._loom.packets
        """And the packets."""

    def entries(
        self,
        packets: Iterable[Packet] = (),
        kernel: TransitionLog | None = None,
        tell: Callable[[str, Problem], None] = lambda *_: None,
    ) -> Iterator[Entry]:
        """All entries, in the order of the clock.

        Args:
            packets: Those of the capture.
            kernel: What the kernel said.
            tell: Takes a log's name and a broken line of it.
        """
        loom = self._loom
        packets = iter(packets)
        first = next(packets, None)
        if first is not None:
            packets = chain((first,), packets)
        self.clocks.begin([*([first[0]] if first else []), *_begin(kernel)])
        for t, what in self._in_turn(self._calls(tell), self._packets(packets), self._kernel(kernel)):
            loom.put(t, what)
            while loom.first < t - _WINDOW:
                loom.take()
            yield from loom.settled(t - HOLD)
        while loom:
            loom.take()
        yield from loom.settled(NEVER)

    def silence(self, t: int) -> str:
        """Why nothing happens at `t`, behind all entries; empty if nobody knows."""
        for number, log in enumerate(self.logs.logs if self.logs else ()):
            if is_known_here(log.header) and not is_running(log.header):
                self._loom.vanish(number)  # what it said last it does no more
        return self._loom.silence(t)

    def _in_turn(
        self, calls: Iterator[_Item], packets: Iterator[_Item], kernel: Iterator[_Item]
    ) -> Iterator[_Item]:
        """Whatever is next; where a packet stands is known by the clocks as they are by then."""
        sources = calls, packets, kernel
        heads = [next(it, None) for it in sources]
        while True:
            times = [
                (self.clocks.of_packet(head[0]) if source is packets else head[0], at)
                for at, (source, head) in enumerate(zip(sources, heads, strict=True))
                if head is not None
            ]
            if not times:
                return
            t, at = min(times)
            head, heads[at] = heads[at], next(sources[at], None)
            assert head is not None
            yield t, head[1]

    def _calls(self, tell: Callable[[str, Problem], None]) -> Iterator[_Item]:
        if self.logs is None:
            return
        joiner = self.logs.joiner
        for numbers, items in in_order(self.logs.logs, joiner.lost):
            for log, item in zip(numbers, items, strict=True):
                if isinstance(item, Problem):
                    tell(self.logs.logs[log].name, item)
                    continue
                if isinstance(item, Clock):
                    self.clocks.heed(item)
                joined = joiner.feed(log, item)
                end = joiner.end
                t = place(item)
                self.calls.reach(t)
                row, last = Row(log, item, joined, end), end is None or not end.held
                yield t, Called(row, joiner.is_client(item, end), last)

    def _packets(self, packets: Iterable[Packet]) -> Iterator[_Item]:
        for packet in packets:
            seen = self.sightings.see(packet, self.capture.packets)
            if seen is not None:
                yield seen.time, seen
        self._loom.is_captured = True

    def _kernel(self, kernel: TransitionLog | None) -> Iterator[_Item]:
        for event in _said(kernel.events) if kernel else ():
            assert kernel is not None
            yield self.clocks.of_mono(event.t, _wall(kernel, event.t), kernel.header.boot_id), event


def _said(events: Sequence[Event]) -> list[Said]:
    """What the kernel said, with the states that follow from it: of TIME-WAIT it does not tell."""
    said: list[Said] = [it for it in events if not isinstance(it, Transition | Lost)]
    for line in lifelines(events):
        old = line.begin
        for t, state in line.states:
            if old is not None:
                said.append(Transition(t, line.local, line.peer, line.sock, old, state))
            old = state
    said.sort(key=lambda it: it.t)
    return said


def _begin(kernel: TransitionLog | None) -> list[int]:
    """When the first of it was, ns since 1970; none if there is nothing."""
    return [_wall(kernel, kernel.events[0].t)] if kernel and kernel.events else []


def _wall(kernel: TransitionLog | None, t: int) -> int:
    assert kernel is not None
    return kernel.header.wall_ns + t - kernel.header.mono_ns
