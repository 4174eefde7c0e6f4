"""Several logs as one: in the order in which their events are due, on the clock of the earliest.

A call stands where it returned: a client may sleep in a poll for an hour in which its server is busy.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from evloop.events.reader import Block, Problem
from evloop.events.schema import Block as Asleep
from evloop.events.schema import Recv, Send, Unknown
from evloop_trace.model.filters import due
from evloop_trace.relabel import label, shift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Header

__all__ = ["Labelled", "Run", "in_order", "merge", "one_clock", "origins"]

_SHORT = 1_000_000
"""Nanoseconds: a send that takes less stands where it began, since its bytes may arrive before it returns."""

_NEVER = 1 << 64  # later than any time that the schema allows, whatever its log's origin


class Labelled(Protocol):
    """What is merged."""

    @property
    def label(self) -> str:
        """What its names begin with."""

    @property
    def header(self) -> Header:
        """Its first line: where its clock counts from."""

    @property
    def blocks(self) -> Iterator[Block]:
        """Its lines."""


LogT = TypeVar("LogT", bound=Labelled)


class Run(NamedTuple, Generic[LogT]):
    """Consecutive lines of one log."""

    log: LogT
    block: Block


def origins(headers: Sequence[Header]) -> list[int]:
    """Where each log's `t` = 0 lies after the earliest's, in nanoseconds.

    Logs of one boot share the monotonic clock, which nobody sets; others have only wall time in common.
    """
    shared = one_clock(headers)
    starts = [header.mono_ns if shared else header.wall_ns for header in headers]
    return [start - min(starts) for start in starts]


def one_clock(headers: Sequence[Header]) -> bool:
    """Whether the logs share the monotonic clock: they are of one boot, or there is only one."""
    boots = {header.boot_id for header in headers}
    return len(headers) == 1 or (len(boots) == 1 and "" not in boots)


def merge(logs: Sequence[LogT]) -> Iterator[Run[LogT]]:
    """All lines of all logs; of each log, only a block is held.

    A line that is no event has no time: it follows the line before it. So does an event that is due earlier
    than the event before it.
    """
    cursors = [
        _Cursor(log, start) for log, start in zip(logs, origins([log.header for log in logs]), strict=True)
    ]
    heap = [(cursor.time, index) for index, cursor in enumerate(cursors) if cursor.items]
    heapq.heapify(heap)
    while heap:
        _, index = heapq.heappop(heap)
        cursor = cursors[index]
        yield Run(logs[index], cursor.take(heap[0][0] if heap else None))
        if cursor.items:
            heapq.heappush(heap, (cursor.time, index))


class _Cursor:
    """A place in a log: the items of its block that are still to come, relabelled."""

    def __init__(self, log: Labelled, start: int) -> None:
        self.time = 0  # of items[at], in the merged clock
        self.items: list[Item] = []
        self._at = 0
        self._line = 1
        self._prefix = f"{log.label}:"
        self._start = start
        self._blocks = log.blocks
        self._fill()

    def take(self, until: int | None) -> Block:
        """The items up to `until`, at least one, at most the rest of the block."""
        first, items = self._at, self.items
        line = self._line + first
        for at in range(first, len(items)):
            time = self._time(items[at])
            if until is not None and time > until and at > first:
                self.time, self._at = time, at
                return Block(line, items[first:at])
            self.time = time
        self._fill()
        return Block(line, items[first:])

    def _time(self, item: Item) -> int:
        return self.time if isinstance(item, Problem) else max(self.time, due(item))

    def _fill(self) -> None:
        """The next block that has lines, or no items at the end."""
        block = next((block for block in self._blocks if block.items), Block(0, []))
        for item in block.items:
            if not isinstance(item, Problem):
                shift(item, self._start)
                label(item, self._prefix)
        self._line, self.items, self._at = block.line, block.items, 0
        if self.items:
            self.time = self._time(self.items[0])


def in_order(
    logs: Sequence[Labelled], lost: Callable[[int, int], object]
) -> Iterator[tuple[list[int], list[Item]]]:
    """All lines of all logs in batches: the numbers of their logs, and they themselves.

    They come as they are due; only a short send stands where it began. Of a single log the names stay.

    Args:
        logs: Each is read to its end, and of each a block or two are held.
        lost: Told the numbers of the log and the event before which events are missing, ahead of that event.
    """
    prefixes = [f"{log.label}:" if len(logs) > 1 else "" for log in logs]
    starts = origins([log.header for log in logs])
    reels = [_Reel(*it, lost) for it in zip(range(len(logs)), logs, starts, prefixes, strict=True)]
    while sum([reel.fill() for reel in reels]):
        horizon = min([reel.marks[-1] for reel in reels if not reel.ended], default=_NEVER)
        numbers: list[int] = []
        keys: list[int] = []
        items: list[Item] = []
        for reel in reels:
            reel.take(horizon, numbers, keys, items)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        yield [numbers[at] for at in order], [items[at] for at in order]


class _Reel:
    """A log's lines that were read and not taken yet, relabelled, and when each is to be taken."""

    def __init__(
        self, number: int, log: Labelled, start: int, prefix: str, lost: Callable[[int, int], object]
    ) -> None:
        self._lost = lost
        self._seq = 0  # of the next event
        self.ended = False
        self.marks: list[int] = []  # never go back: what is due up to a time is a beginning of the lines
        self._keys: list[int] = []
        self._items: list[Item] = []
        self._number = number
        self._blocks = log.blocks
        self._start = start
        self._names = _Names(prefix)
        self._last = 0
        self._slept: dict[str, int] = {}  # when a thread last fell asleep in a call

    def fill(self) -> bool:
        """Read on, if all is taken; whether there are lines."""
        while not self._items and not self.ended:
            block = next(self._blocks, None)
            if block is None:
                self.ended = True
            else:
                self._read(block.items)
        return bool(self._items)

    def take(self, horizon: int, numbers: list[int], keys: list[int], items: list[Item]) -> None:
        """Add to the lists what is due up to the horizon."""
        count = bisect_right(self.marks, horizon)
        numbers.extend(repeat(self._number, count))
        keys.extend(self._keys[:count])
        items.extend(self._items[:count])
        del self.marks[:count], self._keys[:count], self._items[:count]

    def _read(self, items: list[Item]) -> None:
        start, names, last, seq = self._start, self._names, self._last, self._seq
        self._items, keys, marks = items, self._keys, self.marks
        for item in items:
            kind = type(item)
            if kind is not Problem:
                if item.seq != seq:  # type: ignore[union-attr]
                    seq = item.seq  # type: ignore[union-attr]
                    self._lost(self._number, seq)
                seq += 1
            if kind is Send or kind is Recv:  # nearly all are
                item.t = began = item.t + start  # type: ignore[union-attr]
                item.conn = names[item.conn]  # type: ignore[union-attr,index]
                if (due_at := began + item.dur) > last:  # type: ignore[union-attr]
                    last = due_at
                keys.append(began if kind is Send and self._is_short(item) else last)
                marks.append(last)
                continue
            if not isinstance(item, Problem):
                shift(item, start)
                names.put(item)
                last = max(last, due(item))
                if isinstance(item, Asleep):
                    self._slept[item.thread] = item.t
            keys.append(last)
            marks.append(last)
        self._last, self._seq = last, seq

    def _is_short(self, send: Any) -> bool:
        """Not one that slept: that stands behind the event which says so."""
        return bool(send.dur < _SHORT and (not self._slept or self._slept.get(send.thread, -1) < send.t))


class _Names(dict[str, str]):
    """Names → names with the label before them."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __missing__(self, name: str) -> str:
        if len(self) > 10_000:
            self.clear()
        labelled = self[name] = self._prefix + name
        return labelled

    def put(self, event: AnyEvent | Unknown) -> None:
        """Put the label before an event's names."""
        if self._prefix:
            label(event, self._prefix)
