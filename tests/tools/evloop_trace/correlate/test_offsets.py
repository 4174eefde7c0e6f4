"""Ranges meet byte for byte, whoever cut them and whoever comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.correlate import offsets
from evloop_trace.correlate.offsets import Stream
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    import pytest
    from evloop_trace.correlate.offsets import Part


def test_two_sends_are_one_recv() -> None:
    """6 and 5 bytes come as 11."""
    stream: Stream[str, str] = Stream()
    assert stream.put(0, 6, "a") == stream.put(6, 11, "b") == []
    assert stream.take(0, 11, "x") == [(0, 6, "a"), (6, 11, "b")]
    assert (stream.went, stream.came) == ([], [])


def test_one_send_is_many_recvs() -> None:
    """400,000 bytes come in seven pieces; what is left waits."""
    stream: Stream[str, int] = Stream()
    stream.put(0, 400_000, "a")
    ends = [*range(65_536, 400_000, 65_536), 400_000]
    for start, end in zip([0, *ends], ends, strict=False):
        assert stream.take(start, end, end) == [(start, end, "a")]
    assert (len(ends), stream.went) == (7, [])


def test_what_came_first_waits() -> None:
    """A recv() may return, and be told of, before the send() that it was given bytes of."""
    stream: Stream[str, str] = Stream()
    assert stream.take(0, 4, "x") == []
    assert stream.put(0, 10, "a") == [(0, 4, "x")]
    assert stream.peek(2, 6) == [(4, 6, "a")]
    assert stream.peek(10, 12) == []
    assert stream.take(4, 10, "y") == [(4, 10, "a")]


def test_bytes_that_wait_twice_are_the_first_one_s() -> None:
    """A retransmission adds only what is new in it."""
    stream: Stream[str, str] = Stream()
    stream.put(0, 4, "a")
    stream.put(8, 10, "b")
    stream.put(2, 12, "again")
    stream.put(9, 10, "nothing new")
    assert stream.went == [(0, 4, "a"), (4, 8, "again"), (8, 10, "b"), (10, 12, "again")]


def test_a_send_that_was_cut_short() -> None:
    """Bytes that were offered and not taken do not wait any more."""
    stream: Stream[str, str] = Stream()
    stream.put(0, 5, "a")
    stream.put(5, 10, "b")
    stream.cut(7)
    assert stream.went == [(0, 5, "a"), (5, 7, "b")]
    stream.cut(5)
    assert stream.went == [(0, 5, "a")]


def test_what_nobody_takes_is_forgotten_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: of too many ranges the older half goes."""
    monkeypatch.setattr(offsets, "LIMIT", 4)
    stream: Stream[int, int] = Stream()
    for at in range(5):
        stream.put(at, at + 1, at)
    assert stream.went == [(2, 3, 2), (3, 4, 3), (4, 5, 4)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12)), max_size=30))
def test_it_is_what_a_table_of_bytes_says(calls: list[tuple[bool, int, int]]) -> None:
    """Against the plain way: a cell a byte, on each side, in any order, with overlaps and holes."""
    stream: Stream[int, int] = Stream()
    went: dict[int, int] = {}
    came: dict[int, int] = {}
    for number, (goes_in, start, size) in enumerate(calls):
        mine, theirs = (went, came) if goes_in else (came, went)
        expected = {}
        for at in range(start, start + size):
            if at in theirs:
                expected[at] = theirs.pop(at)
            else:
                mine.setdefault(at, number)
        met = (stream.put if goes_in else stream.take)(start, start + size, number)
        assert _cells(met) == expected
        assert (_cells(stream.went), _cells(stream.came)) == (went, came)
        for side in (stream.went, stream.came):
            assert side == sorted(side, key=lambda part: part[0])


@given(st.lists(st.integers(1, 9), max_size=30), st.lists(st.integers(1, 9), max_size=30))
def test_a_whole_stream_leaves_nothing(sends: list[int], recvs: list[int]) -> None:
    """However a stream is cut on its two ends, each recv() gets exactly its bytes, in order."""
    total = min(sum(sends), sum(recvs))
    stream: Stream[int, int] = Stream()
    for start, end in _spans(sends, total):
        stream.put(start, end, start)
    for start, end in _spans(recvs, total):
        met = stream.take(start, end, start)
        assert [it[0] for it in met] == [start, *[it[1] for it in met[:-1]]]
        assert met[-1][1] == end
    assert (stream.went, stream.came) == ([], [])


def _cells(parts: list[Part[int]]) -> dict[int, int]:
    return {at: of for start, end, of in parts for at in range(start, end)}


def _spans(sizes: list[int], total: int) -> list[tuple[int, int]]:
    spans, at = [], 0
    for size in sizes:
        if at < total:
            spans.append((at, min(at + size, total)))
            at = spans[-1][1]
    return spans
