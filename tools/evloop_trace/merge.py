"""Several logs as one: in the order in which their events are due, on the clock of the earliest.

A call stands where it returned: a client may sleep in a poll for an hour in which its server is busy.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from evloop.events.reader import Block, Problem
from evloop.events.schema import Poll, Prepare, Unknown
from evloop_trace.model.filters import due

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Header

__all__ = ["Labelled", "Run", "merge", "origins"]


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
    boots = {header.boot_id for header in headers}
    one_boot = len(boots) == 1 and "" not in boots
    starts = [header.mono_ns if one_boot else header.wall_ns for header in headers]
    return [start - min(starts) for start in starts]


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
                _move(item, self._start)
                _label(item, self._prefix)
        self._line, self.items, self._at = block.line, block.items, 0
        if self.items:
            self.time = self._time(self.items[0])


def _move(event: AnyEvent | Unknown, start: int) -> None:
    event.t += start
    if isinstance(event, Prepare) and event.until is not None:
        event.until += start


def _label(event: Any, prefix: str) -> None:
    """Put the label before the names of sockets."""
    if isinstance(event, Unknown):
        fields = event.fields
        fields.update(
            {key: prefix + fields[key] for key in ("conn", "sock") if isinstance(fields.get(key), str)}
        )
        return
    if getattr(event, "conn", None) is not None:
        event.conn = prefix + event.conn
    if getattr(event, "sock", None) is not None:
        event.sock = prefix + event.sock
    if isinstance(event, Poll):
        event.ready = [(prefix + sock, bits) for sock, bits in event.ready]
