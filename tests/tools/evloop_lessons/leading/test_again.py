"""When a saved run is drawn how far; without a terminal and without a clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from evloop_lessons.leading import again
from evloop_lessons.leading.again import LONGEST, Again
from evloop_lessons.plan import THINK
from evloop_lessons.run import Run, Step

MS = 1_000_000


class Show:
    """Screen, paper and clock in one: what is drawn when, as times of the run."""

    def __init__(self, *keys: float) -> None:
        self.keys = list(keys)
        """When somebody presses Enter."""
        self.now = 0.0
        self.caption = ""
        self.drawn: list[tuple[float, str, list[int]]] = []
        self.silences: list[tuple[int, str]] = []

    def monotonic(self) -> float:
        """The clock."""
        return self.now

    def draw(self, _terminal, run, *, now: bool = False) -> None:
        """What is seen."""
        seen = self.now, self.caption, [it.t // MS for it in run().entries]
        self.silences.append(run().silence)
        if now or not self.drawn or seen[1:] != self.drawn[-1][1:]:
            self.drawn.append(seen)

    def key(self, end: float, meanwhile) -> bool:
        """Wait, until the end or a key."""
        if end <= self.now:
            return False
        meanwhile()
        pressed = bool(self.keys) and self.keys[0] <= end
        self.now = self.keys.pop(0) if pressed else end
        return pressed


RUN = Run(
    {},
    [SimpleNamespace(t=it * MS, quiet=f"before {it}") for it in (100, 150, 9000, 9100)],
    [],
    [Step(0, "call"), Step(9050 * MS, "say")],
    [],
)


@pytest.fixture
def play(monkeypatch):
    """Play the run at a show."""

    def play(show: Show, pace: str = "") -> list[tuple[float, str, list[int]]]:
        def stop(draw) -> None:
            draw()
            show.now += 100

        monkeypatch.setattr(again, "time", show)
        Again(RUN, show, None, show).play(pace, str.upper, stop)
        return [(round(it[0], 3), *it[1:]) for it in show.drawn]

    return play


def test_it_grows_as_it_did_and_long_pauses_are_short(play) -> None:
    """At the end all of it is there."""
    late = 0.15 + LONGEST
    assert play(Show()) == [
        (0.0, "CALL", []),
        (0.1, "CALL", [100]),
        (0.15, "CALL", [100, 150]),
        (late, "CALL", [100, 150, 9000]),
        (late + 0.05, "SAY", [100, 150, 9000]),
        (late + 0.1, "SAY", [100, 150, 9000, 9100]),
    ]


def test_a_key_goes_to_the_end(play) -> None:
    """At once."""
    assert play(Show(0.05)) == [(0.0, "CALL", []), (0.05, "SAY", [100, 150, 9000, 9100])]


def test_somebody_who_explains_stops_it_at_every_step(play) -> None:
    """A key goes to the next step; no pause there is made up for."""
    show = Show(100.05)
    assert play(show, "pace") == [
        (0.0, "CALL", []),
        (100.05, "SAY", [100, 150, 9000]),
        (200.1, "SAY", [100, 150, 9000, 9100]),
    ]


def test_slowly_there_is_time_at_every_step(play) -> None:
    """It is added to what there was."""
    assert [it[0] for it in play(Show(), "slow")][1] == round(THINK + 0.1, 3)


def test_while_nothing_happens_it_is_said_why(play) -> None:
    """The silence before what comes next is on the screen while it lasts, and not only behind it."""
    show = Show()
    play(show)
    assert (9000 * MS, "before 9000") in show.silences
    assert (9050 * MS, "before 9100") in show.silences
