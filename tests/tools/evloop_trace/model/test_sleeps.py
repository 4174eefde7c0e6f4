"""How long a program slept, and where."""

from __future__ import annotations

from typing import Any

from evloop_trace.model.report import SleepReport, ThreadReport
from evloop_trace.model.sleeps import Sleeps

from evloop.events.schema import Accept, Block, Located, Recv, Unseen


def sleeps_of(program: Any) -> Sleeps:
    """After all its calls."""
    sleeps = Sleeps()
    for event in program.events:
        if isinstance(event, Located):
            sleeps.add(event)
    return sleeps


def test_sleeps_are_counted_by_what_was_waited_for(program: Any) -> None:
    """With the longest of them, and where that was."""
    program(Block, 10, "accept", sock="tcp-1")(Accept, 10, "tcp-1", "tcp-2", dur=500)
    for t, dur in ((600, 30), (700, 2000), (3000, 20)):
        program(Block, t, "recv", "tcp-2")(Recv, t, "tcp-2", 3, 9, 1, dur=dur)
    program(Recv, 9000, "tcp-2", 3, 9, 1, dur=9000)
    assert sleeps_of(program).calls() == {
        "recv": SleepReport(3, 2050, 2000, "src/app.py:6"),
        "accept": SleepReport(1, 500, 500, "src/app.py:2"),
    }


def test_what_is_no_call_may_follow_a_sleep(program: Any) -> None:
    """A log that was cut, or made up: what its thread did next took no time."""
    program(Block, 10, "recv", "tcp-2")(Unseen, 10, "ssl", "it reads by itself")
    assert sleeps_of(program).calls() == {"recv": SleepReport(1, 0, 0, "")}


def test_threads_that_slept_longest_come_first(program: Any) -> None:
    """One that still sleeps has slept to the end."""
    program(Block, 10, "accept", sock="tcp-1")(Accept, 10, "tcp-1", "tcp-2", dur=500)
    program(Block, 600, "recv", "tcp-2", thread="T-1")
    sleeps = sleeps_of(program)
    assert sleeps.count == 2
    assert sleeps.threads(10_600) == [
        ThreadReport("T-1", 600, 10_000, 10_000, 0, "recv"),
        ThreadReport("main", 0, 510, 500, 1, None),
    ]


def test_only_ten_threads_are_told_of(program: Any) -> None:
    """All are counted."""
    for n in range(30):
        program(Recv, 100 * n, "tcp-1", 3, 9, 1, thread=f"T-{n}")
    sleeps = sleeps_of(program)
    assert (sleeps.count, len(sleeps.threads(5000))) == (30, 10)


def test_calls_that_a_log_makes_up_are_bounded(program: Any) -> None:
    """They do not fill the memory."""
    for n in range(200):
        program(Block, 100 * n, f"call{n}", "tcp-1")(Recv, 100 * n, "tcp-1", 3, 9, 1)
    assert len(sleeps_of(program).calls()) == 100
