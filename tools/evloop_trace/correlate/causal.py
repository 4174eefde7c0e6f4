"""The order of cause and effect: what got something stands behind the calls that it was from.

On one machine a recv() often returns before the send() that it was from, since the sender's processor
first wakes the receiver. The send() is put before it, and meanwhile all that follows waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from evloop.events.reader import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evloop.events.reader import Item
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.correlate.joiner import Joiner

__all__ = ["Row", "causal"]

PATIENCE = 1024
"""Lines that may wait for what another log will tell."""

FAR = 65_536
"""And where the clocks of the logs may be seconds apart."""


class Row(msgspec.Struct, gc=False):
    """A line of a log, and what other logs tell of it."""

    log: int
    item: Any
    """An event, or a problem."""
    joined: Any = None
    """`Joined`, or None."""
    end: Any = None
    """Which `End` of a connection it is about, or None."""


def causal(batches: Iterable[tuple[Sequence[int], Sequence[Item]]], joiner: Joiner) -> Iterator[list[Row]]:
    """All lines, each once; of each log and thread they keep their order.

    Args:
        batches: The logs' numbers and their lines, in the order in which those are due.
        joiner: Is fed all of them.
    """
    patience = PATIENCE if joiner.one_clock else FAR
    held: deque[Row] = deque()
    feed = joiner.feed
    for logs, items in batches:
        out: list[Row] = []
        for log, item in zip(logs, items, strict=True):
            if type(item) is Problem:
                (held or out).append(Row(log, item))
                continue
            joined = feed(log, item)  # type: ignore[arg-type]
            row = Row(log, item, joined, joiner.end)
            if not held and (joined is None or not joined.missing):
                out.append(row)
                continue
            if joiner.early and held:
                _put_before(held, row, joiner.early)
            else:
                held.append(row)
            _release(held, out, joiner, patience)
        yield out
    rest: list[Row] = []
    _release(held, rest, joiner, 0)
    yield rest


def _release(held: deque[Row], out: list[Row], joiner: Joiner, patience: int) -> None:
    """Let go what lacks nothing, and what has waited for too long."""
    while held:
        joined = held[0].joined
        if joined is not None and joined.missing:
            if len(held) <= patience:
                return
            joiner.give_up(joined)
        out.append(held.popleft())


def _put_before(held: deque[Row], row: Row, early: list[Joined]) -> None:
    """Put a row before the first that got something of it; and what its own thread did before, before it."""
    at = next((at for at, it in enumerate(held) if any(it.joined is joined for joined in early)), len(held))
    thread = getattr(row.item, "thread", "")
    behind = [held.pop() for _ in range(len(held) - at)][::-1]
    mine = [it for it in behind if it.log == row.log and getattr(it.item, "thread", "") == thread]
    held.extend(mine)
    held.append(row)
    held.extend(it for it in behind if not any(it is other for other in mine))
