"""The first bytes of calls and packets: whether they are what the offsets say.

Offsets of a log are counts of what its calls said. If a call was not seen, as one of a library in C, the
later ones are too small by its bytes, and only the bytes themselves can show it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.correlate.offsets import Part

__all__ = ["differ", "moved", "shift"]

_ENOUGH = 32  # bytes by which a place is known

T = TypeVar("T")


def differ(one: bytes, other: bytes, most: int) -> bool:
    """Whether they cannot be the first of the same `most` bytes; what is not known agrees with all."""
    size = min(len(one), len(other), most)
    return one[:size] != other[:size]


def moved(waiting: list[Part[T]], start: int, data: bytes, bytes_of: Callable[[T, int], bytes]) -> int | None:
    """By how much a call's bytes are behind `start`, where its log counts them; None if they do not wait.

    Args:
        waiting: What it may be of.
        start: Where its bytes ought to begin.
        data: The first of them.
        bytes_of: What is known of something that waits, from an offset on.
    """
    first = bisect_right(waiting, start, key=_end)
    if first == len(waiting) or waiting[first][0] > start:
        return 0
    _, end, it = waiting[first]
    if not differ(data, bytes_of(it, start), end - start):
        return 0
    for low, high, it in waiting[first:]:
        begin = max(low, start)
        place = _find(data, bytes_of(it, begin)[: high - begin])
        if place >= 0:
            return begin + place - start
    return None


def shift(waiting: list[Part[T]], start: int, by: int) -> None:
    """What waits from `start` on is so much later in its stream."""
    first = bisect_right(waiting, start, key=_end)
    before = waiting[:first]
    for low, high, it in waiting[first:]:
        if low < start:
            before.append((low, start, it))
        before.append((max(low, start) + by, high + by, it))
    waiting[:] = before


def _find(data: bytes, within: bytes) -> int:
    """Where the bytes that begin with `data` begin in others, of which the first are `within`; else -1."""
    head = data[:_ENOUGH]
    if len(head) <= len(within):
        return within.find(head) if head else -1
    return 0 if within and head.startswith(within) else -1


def _end(part: Part[Any]) -> int:
    return part[1]
