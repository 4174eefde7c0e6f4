"""Byte ranges of one stream, from two points of view: what went in meets what came out, byte for byte.

The ranges are [start, end), counted from the first byte of the stream. Who cut them does not matter: two
calls to send() meet one recv(), or one meets seven. A packet is such a range as well: its first byte is its
sequence number less the initial one and one more, for the SYN (RFC 9293, 3.4).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["LIMIT", "Part", "Stream"]

LIMIT = 65_536
"""Ranges of a side that may wait; when there are more, the older half is forgotten."""

InT = TypeVar("InT")
OutT = TypeVar("OutT")
T = TypeVar("T")
U = TypeVar("U")


Part: TypeAlias = tuple[int, int, T]
"""Some bytes, from start to end, and what put or took them."""


class Stream(Generic[InT, OutT]):
    """One direction: ranges that went in and ranges that came out, each at most once.

    Either side may be told of first. Only what has not met yet is held, so what is complete costs nothing.
    """

    __slots__ = ("came", "went")

    def __init__(self) -> None:
        # Of each: in order, and no two share a byte; and no byte waits on both sides.
        self.went: list[Part[InT]] = []
        self.came: list[Part[OutT]] = []

    def put(self, start: int, end: int, of: InT) -> list[Part[OutT]]:
        """Bytes went in: the parts of them that have come out already."""
        return _meet(self.went, self.came, start, end, of)

    def take(self, start: int, end: int, of: OutT) -> list[Part[InT]]:
        """Bytes came out: the parts that are known to have gone in."""
        went = self.went
        if went:
            first = went[0]
            if first[0] == start and first[1] == end:  # mostly what one call sends another receives
                del went[0]
                return [first]
        return _meet(self.came, went, start, end, of)

    def peek(self, start: int, end: int) -> list[Part[InT]]:
        """The parts that wait to come out; they go on waiting."""
        first = bisect_right(self.went, start, key=_end)
        return [(max(start, low), min(end, high), of) for low, high, of in self.went[first:] if low < end]

    def cut(self, end: int) -> None:
        """What was said to go in from `end` on did not."""
        self.went = [(low, min(high, end), of) for low, high, of in self.went if low < end]


def _meet(mine: list[Part[T]], theirs: list[Part[U]], start: int, end: int, of: T) -> list[Part[U]]:
    """Take what meets [start, end) from their side; the rest of it waits on mine."""
    if not theirs:
        _wait(mine, start, end, of)
        return []
    first = last = bisect_right(theirs, start, key=_end)
    met: list[Part[U]] = []
    left: list[Part[U]] = []
    at = start
    while last < len(theirs) and theirs[last][0] < end:
        their_start, their_end, their = theirs[last]
        low, high = max(their_start, start), min(their_end, end)
        met.append((low, high, their))
        if their_start < low:
            left.append((their_start, low, their))
        if their_end > high:
            left.append((high, their_end, their))
        _wait(mine, at, low, of)
        at = high
        last += 1
    theirs[first:last] = left
    _wait(mine, at, end, of)
    return met


def _wait(mine: list[Part[T]], start: int, end: int, of: T) -> None:
    """Let [start, end) wait; where bytes wait already, as at a retransmission, the first range counts."""
    if not mine or mine[-1][1] <= start:
        if start < end:
            mine.append((start, end, of))
            if len(mine) > LIMIT:
                del mine[: LIMIT // 2]
        return
    at = bisect_right(mine, start, key=_end)
    while start < end:
        until = min(end, mine[at][0]) if at < len(mine) else end
        if start < until:
            mine.insert(at, (start, until, of))
            at += 1
        if at == len(mine):
            return
        start = max(start, mine[at][1])
        at += 1


def _end(part: Part[Any]) -> int:
    return part[1]
