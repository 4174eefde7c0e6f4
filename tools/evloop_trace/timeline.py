"""Logs, a capture and the kernel's words → entries of one timeline, in order and linked."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from evloop.events.reader import Problem
from evloop.events.schema import Clock, Close, Connect, Send, Sendto, Shutdown
from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.clocks import Clocks
from evloop_trace.correlate.entries import CallEntry
from evloop_trace.correlate.lifelines import lifelines
from evloop_trace.correlate.meeting import crossing
from evloop_trace.correlate.reasons import Reasons
from evloop_trace.correlate.transitions import Lost, Transition
from evloop_trace.correlate.weave import Weaver
from evloop_trace.merge import in_order, one_clock
from evloop_trace.model.filters import due
from evloop_trace.packets.capture_file import Capture
from evloop_trace.packets.sightings import Sighting, Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.transitions import Event, TransitionLog
    from evloop_trace.logs import Logs
    from evloop_trace.packets.capture_file import Packet

__all__ = ["NEVER", "Timeline", "place"]

HOLD = 500_000_000
"""Nanoseconds for which an entry waits for its links: a receiver may read late, a segment be sent late."""

MOST = 16_384
"""Entries that wait at most."""

_SHORT = 1_000_000  # ns: a call that takes less stands where it began, if it makes packets
_MAKERS = (Send, Sendto, Connect, Shutdown, Close)

NEVER = 1 << 64

_Item: TypeAlias = tuple[int, int, Any]  # when; calls before packets of the same moment; what


class _Called(NamedTuple):
    row: Row
    client: bool | None
    last: bool


class Timeline:
    """What was read is known to `weaver`, `clocks` and `capture`, as far as it has been read."""

    def __init__(self, logs: Logs | None) -> None:
        self.logs = logs
        headers = [log.header for log in logs.logs] if logs else []
        self.clocks = Clocks(headers, one_clock=one_clock(headers) if headers else True)
        self.weaver = Weaver()
        self._reasons = Reasons()
        self.capture = Capture()
        self.sightings = Sightings()
        self.span: list[int] = []
        """Where the log's events begin and end."""
        self.seen: list[int] = []
        """And the packets."""
        self._is_over = False  # the capture

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
        held: deque[Entry] = deque()
        packets = iter(packets)
        first = next(packets, None)
        if first is not None:
            packets = chain((first,), packets)
        self.clocks.begin([*([first[0]] if first else []), *_begin(kernel)])
        sources = [_in_order(self._calls(tell)), _in_order(self._packets(packets)), self._kernel(kernel)]
        for t, _, what in heapq.merge(*sources, key=_when):
            entry = self._woven(t, what)
            entry.quiet = self._reasons.tell(entry)
            held.append(entry)
            while held[0].t < t - HOLD or len(held) > MOST:
                yield self._settled(held.popleft())
        for entry in held:
            yield self._settled(entry)

    def _settled(self, entry: Entry) -> Entry:
        if isinstance(entry, CallEntry) and entry.strand is None and self.logs is not None:
            joiner = self.logs.joiner
            if joiner.is_client(entry.event, None) is None:  # by now it is known whether its program serves
                entry.client = entry.log not in joiner.servers
        begin, end = self.seen or (NEVER, NEVER)
        self.weaver.settle(entry, (begin, end if self._is_over else NEVER))
        self._reasons.settle(entry)
        return entry

    def _woven(self, t: int, what: Any) -> Entry:
        if isinstance(what, Sighting):
            return self.weaver.packet(t, what)
        if not isinstance(what, _Called):
            return self.weaver.state(t, what)
        assert self.logs is not None
        row, joiner = what.row, self.logs.joiner
        where = crossing(row, joiner)
        client = row.log not in joiner.servers if what.client is None else what.client
        return self.weaver.call(
            t, row.log, row.item, client=client, joined=where.joined, names=where.names, last=what.last
        )

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
                self.span = [self.span[0] if self.span else t, t]
                yield (
                    t,
                    0,
                    _Called(
                        Row(log, item, joined, end), joiner.is_client(item, end), end is None or not end.held
                    ),
                )

    def _packets(self, packets: Iterable[Packet]) -> Iterator[_Item]:
        for packet in packets:
            seen = self.sightings.see(packet, self.capture.packets)
            if seen is not None:
                t = self.clocks.of_wall(seen.time)
                self.seen = [self.seen[0] if self.seen else t, t]
                yield t, 1, seen
        self._is_over = True

    def _kernel(self, kernel: TransitionLog | None) -> Iterator[_Item]:
        for event in _said(kernel.events) if kernel else ():
            assert kernel is not None
            yield self.clocks.of_mono(event.t, _wall(kernel, event.t), kernel.header.boot_id), 2, event


def _said(events: Sequence[Event]) -> list[Any]:
    """What the kernel said, with the states that follow from it: of TIME-WAIT it does not tell."""
    said: list[Any] = [it for it in events if not isinstance(it, Transition | Lost)]
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


def place(event: Any) -> int:
    """Where a call stands: what makes packets at its beginning, what got something at its end."""
    return event.t if isinstance(event, _MAKERS) and event.dur < _SHORT else due(event)


def _when(item: _Item) -> tuple[int, int]:
    return item[:2]


def _in_order(items: Iterator[_Item], window: int = 2 * _SHORT) -> Iterator[_Item]:
    """Items that come nearly in order; what comes too late comes as soon as it can."""
    heap: list[tuple[int, int, int, Any]] = []
    last = -NEVER
    for number, (t, rank, what) in enumerate(items):
        heapq.heappush(heap, (max(t, last), rank, number, what))
        while heap and heap[0][0] < t - window:
            last, rank, _, what = heapq.heappop(heap)  # noqa: PLW2901
            yield last, rank, what
    while heap:
        last, rank, _, what = heapq.heappop(heap)
        yield last, rank, what
