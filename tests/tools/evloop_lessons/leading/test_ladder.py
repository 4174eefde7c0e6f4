"""What a screen shows of a run that grows."""

from __future__ import annotations

from typing import Any

from evloop_lessons.leading.ladder import Screen
from evloop_lessons.leading.words import Words
from evloop_lessons.run import Run, Step
from evloop_trace.correlate.entries import CallEntry

from evloop.events.schema import Listen

LISTEN = Listen(1, 0, 0, dur=1, sock="listen-1", fd=3, proto="tcp", address="127.0.0.1:8080", backlog=5)


def heading(**how: Any) -> str:
    """The rule above a run of which only the server's log has begun."""
    run = Run({}, [CallEntry(0, 0, LISTEN, client=False)], ["server"], [], [])
    line = Screen("Lesson 1", {}, Words("en"), **how).frame(run, (80, 24))[1]
    return " ".join("".join(it.text for it in line).replace("─", " ").split())


def test_who_is_in_no_log_yet_will_be() -> None:
    """While a run grows nobody is said to have no log."""
    assert heading() == "ms client wire server"


def test_the_wire_of_what_is_not_captured() -> None:
    """It is said from the first picture on."""
    assert heading(packets=False) == "ms client no capture server"


def rows(after: int) -> list[str]:
    """A run that sleeps, so many ms after its last call."""
    run = Run({}, [CallEntry(0, 0, LISTEN, client=False)], ["server"], [Step(1000, "rest")], [])
    run.silence = after * 1_000_000, "the server sleeps in poll()"
    screen = Screen("Lesson 1", {"rest": "Nobody calls."}, Words("en"))
    lines = screen.frame(run, (80, 24))
    return ["".join(it.text for it in line).strip() for line in lines if line[0].text.strip()]


def test_a_silence_is_told_of_while_it_lasts() -> None:
    """Whoever stops to look at it sees who sleeps where; of a moment nothing is said."""
    assert rows(2500)[-2:] == ["▸ Nobody calls.", "┄┄┄ 2.5 s · the server sleeps in poll() ┄┄┄"]
    assert "sleeps" not in rows(200)[-1]
