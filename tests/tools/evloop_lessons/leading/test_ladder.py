"""What a screen shows of a run that grows."""

from __future__ import annotations

from typing import Any

from evloop_lessons.leading.ladder import Screen
from evloop_lessons.leading.words import Words
from evloop_lessons.run import Run
from evloop_trace.correlate.entries import CallEntry

from evloop.events.schema import Listen


def heading(**how: Any) -> str:
    """The rule above a run of which only the server's log has begun."""
    event = Listen(1, 0, 0, dur=1, sock="listen-1", fd=3, proto="tcp", address="127.0.0.1:8080", backlog=5)
    run = Run({}, [CallEntry(0, 0, event, client=False)], ["server"], [], [])
    line = Screen("Lesson 1", {}, Words("en"), **how).frame(run, (80, 24))[1]
    return " ".join("".join(it.text for it in line).replace("─", " ").split())


def test_who_is_in_no_log_yet_will_be() -> None:
    """While a run grows nobody is said to have no log."""
    assert heading() == "ms client wire server"


def test_the_wire_of_what_is_not_captured() -> None:
    """It is said from the first picture on."""
    assert heading(packets=False) == "ms client no capture server"
