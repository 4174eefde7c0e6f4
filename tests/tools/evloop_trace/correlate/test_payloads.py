"""Bytes that contradict offsets, and where they are instead."""

from __future__ import annotations

import pytest
from evloop_trace.correlate.payloads import differ, moved, shift


@pytest.mark.parametrize(
    ("one", "other", "most", "result"),
    [
        (b"abc", b"abd", 3, True),
        (b"abc", b"abd", 2, False),
        (b"abc", b"ab", 9, False),
        (b"", b"abc", 9, False),
        (b"b", b"abc", 9, True),
    ],
)
def test_differ(one: bytes, other: bytes, most: int, result: bool) -> None:
    """As far as both are known, and both ought to be the same."""
    assert differ(one, other, most) is result


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"hello", 0),  # as the log says
        (b"", 0),  # nobody knows
        (b"hi", 5),
        (b"lo", 3),
        (b"hihello again, and so on", 5),  # it goes on behind what is known of the packet
        (b"ihello", None),
        (b"xyz", None),
    ],
)
def test_moved(data: bytes, result: int | None) -> None:
    """Found among what waits, in its middle too, but not before it is due."""
    stream = b"hellohi"
    waiting = [(10, 15, stream), (15, 17, stream), (17, 20, b"")]
    assert moved(waiting, 10, data, lambda it, at: it[at - 10 :]) == result
    assert moved(waiting, 20, data, lambda it, at: it[at - 10 :]) == 0
    assert moved(waiting, 3, data, lambda it, at: it[at - 10 :]) == 0


def test_shift() -> None:
    """From a place on, which may be in the middle of something; what was before stays."""
    waiting = [(0, 2, "a"), (2, 6, "b"), (8, 9, "c")]
    shift(waiting, 4, 10)
    assert waiting == [(0, 2, "a"), (2, 4, "b"), (14, 16, "b"), (18, 19, "c")]
    shift(waiting, 14, 1)
    assert waiting == [(0, 2, "a"), (2, 4, "b"), (15, 17, "b"), (19, 20, "c")]
