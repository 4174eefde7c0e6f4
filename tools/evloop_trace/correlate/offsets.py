"""Byte ranges of one stream, from two points of view: what went in meets what came out, byte for byte.

The ranges are [start, end), counted from the first byte of the stream. Who cut them does not matter: two
calls to send() meet one recv(), or one meets seven. A packet is such a range as well: its first byte is its
sequence number less the initial one and one more, for the SYN (RFC 9293, 3.4).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Generic, NamedTuple, TypeVar

__all__ = ["LIMIT", "Part", "Stream"]

LIMIT = 65_536
"""Ranges of a side that may wait; when there are more, the older half is forgotten."""

InT = TypeVar("InT")
OutT = TypeVar("OutT")
T = TypeVar("T")
U = TypeVar("U")


class Part(NamedTuple, Generic[T]):
    """Some bytes, and where they are from."""

    start: int
    end: int
    of: T


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
        last = first
        while last < len(self.went) and self.went[last].start < end:
            last += 1
        return [Part(max(start, it.start), min(end, it.end), it.of) for it in self.went[first:last]]

    def cut(self, end: int) -> None:
        """What was said to go in from `end` on did not."""
        self.went = [Part(it.start, min(it.end, end), it.of) for it in self.went if it.start < end]


def _meet(mine: list[Part[T]], theirs: list[Part[U]], start: int, end: int, of: T) -> list[Part[U]]:
    """Take what meets [start, end) from their side; the rest of it waits on mine."""
    if not theirs:
        _wait(mine, start, end, of)
        return []
    first = last = bisect_right(theirs, start, key=_end)
    met: list[Part[U]] = []
    left: list[Part[U]] = []
    at = start
    while last < len(theirs) and theirs[last].start < end:
        it = theirs[last]
        low, high = max(it.start, start), min(it.end, end)
        met.append(Part(low, high, it.of))
        if it.start < low:
            left.append(Part(it.start, low, it.of))
        if it.end > high:
            left.append(Part(high, it.end, it.of))
        _wait(mine, at, low, of)
        at = high
        last += 1
    theirs[first:last] = left
    _wait(mine, at, end, of)
    return met


def _wait(mine: list[Part[T]], start: int, end: int, of: T) -> None:
    """Let [start, end) wait; where bytes wait already, as at a retransmission, the first range counts."""
    if not mine or mine[-1].end <= start:
        if start < end:
            mine.append(Part(start, end, of))
            if len(mine) > LIMIT:
                del mine[: LIMIT // 2]
        return
    at = bisect_right(mine, start, key=_end)
    while start < end:
        until = min(end, mine[at].start) if at < len(mine) else end
        if start < until:
            mine.insert(at, Part(start, until, of))
            at += 1
        if at == len(mine):
            return
        start = max(start, mine[at].end)
        at += 1


def _end(part: Part[Any]) -> int:
    return part.end
