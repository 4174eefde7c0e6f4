"""A log as lines: which, in which order, and when."""

from __future__ import annotations

import io
from typing import Any, NamedTuple

import pytest
from evloop_trace.merge import Run
from evloop_trace.model.filters import Filter
from evloop_trace.playback import Playback
from evloop_trace.replay import Problems, Tempo, replay
from evloop_trace.tape import Tape

from evloop.events.reader import Block, Problem

EVERYTHING = Filter()


class Named(NamedTuple):
    """As much of a log as is needed."""

    name: str


class Clock:
    """Time that passes only in sleeps."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        """The present."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(round(seconds, 6))
        self.time += seconds


def lines_of(
    items: list[Any], keep: Filter = EVERYTHING, tempo: Tempo | None = None
) -> tuple[list[str], list[str]]:
    """The texts written, and what was told."""
    written: list[str] = []
    told: list[str] = []
    runs: Any = [Run(Named("a.jsonl"), Block(1 + at, items[at : at + 4])) for at in range(0, len(items), 4)]
    replay(runs, written.append, keep, Problems(told.append), tempo)
    return written, told


def test_a_line_an_event(book: Any) -> None:
    """Every event is a line."""
    written, told = lines_of(book.conversation().events)
    assert "".join(written).count("\n") == 12
    assert told == []


def test_only_what_is_wanted(book: Any) -> None:
    """The filter decides, and after the end of the span nothing is read."""
    events = book.conversation().events
    written, _ = lines_of(events, Filter(frozenset({"tcp-1"}), frozenset({"recv"})))
    assert [("recv(" in line) for line in "".join(written).splitlines()] == [True, True]
    written, told = lines_of(
        [*events[:8], Problem(9, "broken", "is"), *events[8:]], Filter(start=2100, end=3100)
    )
    assert "".join(written).count("\n") == 2
    assert told == []


def test_broken_lines_are_told(book: Any) -> None:
    """A broken line is named with its number, escaped; after twenty they are only counted."""
    _, told = lines_of([book.events[0], Problem(2, "broken", "is not an event: \x1b[31m")])
    assert told == ["a.jsonl: line 2 is not an event: \\x1b[31m"]
    _, told = lines_of([Problem(at, "broken", "is bad") for at in range(30)])
    assert (len(told), told[-1]) == (21, "… and 10 more lines are no events")


@pytest.mark.parametrize(("speed", "slept"), [(1.0, [1.0, 2.0]), (4.0, [0.25, 0.5])])
def test_the_pace_of_the_log(book: Any, speed: float, slept: list[float]) -> None:
    """Events are written when they are due; what is nearly due is not waited for."""
    events = book.conversation().events[:5]
    for event, t in zip(events, (10**9, 10**9 + 1000, 2 * 10**9, 2 * 10**9 + 10**6, 4 * 10**9), strict=True):
        event.t = t
    clock = Clock()
    written, _ = lines_of(events, tempo=Tempo(speed, clock.now, clock.sleep))
    assert [text.count("\n") for text in written] == [2, 2, 1]
    assert clock.slept == slept


def test_a_call_is_written_when_it_has_returned(book: Any) -> None:
    """A poll of three seconds is not told before it is over."""
    book.poll("tcp-1")
    book.events[1].dur = 3 * 10**9
    clock = Clock()
    written, _ = lines_of(book.events, tempo=Tempo(1.0, clock.now, clock.sleep))
    assert (len(written), clock.slept) == (2, [3.000001])


@pytest.mark.parametrize("end", [0, 999, 1_000, 1_099, 1_100, 5_100, 5_200, 40_000])
def test_the_lines_end_where_the_player_ends(book: Any, end: int) -> None:
    """The same time selects the same events, however they are shown."""
    playback = Playback(Tape(io.BytesIO(book.conversation().encode())), end=end)
    playback.run_to(1 << 62)
    written, _ = lines_of(book.events, Filter(end=end))
    assert "".join(written).count("\n") == playback.number
