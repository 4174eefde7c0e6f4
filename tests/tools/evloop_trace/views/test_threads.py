"""A program's threads on top of the picture."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.meeting import Crossing, Meeting, Told
from evloop_trace.correlate.meeting import Program as MetProgram
from evloop_trace.model.picture import Picture
from evloop_trace.views.cells import Line, width_of
from evloop_trace.views.loop_panel import ProgramPanel
from evloop_trace.views.meeting import MeetingScreen, screen_of
from evloop_trace.views.screen import Screen
from evloop_trace.views.threads import AT_WORK, ThreadsPanel

from evloop.events.schema import Block, Close, Poll, Recv

MS = 1_000_000
SECOND = 1000 * MS


def texts(lines: list[Line]) -> list[str]:
    """What stands on lines, without the spaces at their ends."""
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def picture_of(program: Any) -> Picture:
    """The fold of its events."""
    picture = Picture()
    for event in program.events:
        picture.apply(event)
    return picture


def threads(program: Any, now: int, width: int = 80, height: int = 9) -> list[str]:
    """The lines of the panel."""
    return texts(ThreadsPanel(picture_of(program), now).lines(width, height))


def test_a_thread_that_sleeps(program: Any) -> None:
    """In which call, on what, since when, where; and how much of its life it slept."""
    program.listen()(Block, SECOND, "accept", sock="tcp-1", where="src/server.py:14")
    assert threads(program, 4 * SECOND) == [
        " main     blocked in accept() on tcp-1 for 3.0 s · server.py:14   asleep   75 %"
    ]
    assert threads(program, SECOND)[0].startswith(" main     blocked in accept() on tcp-1 · server.py:14 ")
    assert threads(program, 4 * SECOND, width=50) == [" main     blocked in accept() on tcp-1 for 3.0 s…"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout": 5 * SECOND}, "recv() for 2.0 s, at most 3.0 s more"),
        ({"timeout": SECOND}, "recv() for 2.0 s, no longer"),
        ({"call": "select", "watched": [("tcp-1", "READ")]}, "select() on tcp-1 for 2.0 s"),
        ({"watched": [("tcp-1", "READ"), ("tcp-2", "READ")]}, "recv() on 2 descriptors for 2.0 s"),
        ({"conn": "\x1b"}, "recv() on \\x1b for 2.0 s"),
    ],
)
def test_what_a_thread_sleeps_in(program: Any, fields: dict[str, Any], words: str) -> None:
    """With its patience, if that is bounded, and whom it waits for."""
    program(Block, 0, "recv", where="", thread="T-1", **fields)
    assert threads(program, 2 * SECOND)[0].startswith(f" T-1      blocked in {words}")


def test_a_thread_that_does_not_sleep(program: Any) -> None:
    """It is at work, or nothing is known of it; after the end there was a last call."""
    program(Recv, 0, "tcp-1", 3, 9, 4, where="a.py:3")
    assert threads(program, 50 * MS)[0].startswith(" main     at work after recv() on tcp-1 · a.py:3")
    assert threads(program, SECOND)[0].startswith(" main     no call for 1.0 s, since recv() on tcp-1 · a.py")
    assert threads(program.end(SECOND), SECOND)[0].startswith(" main     last call recv() on tcp-1 · a.py:3")


def test_the_order_of_threads(program: Any) -> None:
    """The main thread, who waits for one peer, who works, who waits for anybody, who is silent."""
    program(Recv, 0, "tcp-9", 3, 9, 4, thread="silent")(Block, 10, "accept", sock="tcp-1", thread="server")
    program(Block, 20, "recv", "tcp-2", thread="late")(Block, 15, "recv", "tcp-3", thread="early")
    program(Recv, SECOND, "tcp-4", 3, 9, 4, thread="busy")(Recv, 50, "tcp-5", 3, 9, 4)
    shown = threads(program, SECOND + 200)
    assert [line.split()[0] for line in shown] == ["main", "early", "late", "busy", "server", "silent"]
    assert threads(program, SECOND + 200, height=3)[-1] == " … and 4 more threads"
    assert threads(program, SECOND, height=0) == []


def test_a_thread_whose_last_call_was_a_close_is_taken_to_be_over(program: Any) -> None:
    """After a moment it is not shown any more; the main thread is."""
    program(Close, 0, 3, "close", "tcp-1", thread="T-1")(Close, 0, 3, "close", "tcp-1")
    assert len(threads(program, AT_WORK)) == 2
    assert len(threads(program, AT_WORK + 200)) == 1
    assert len(threads(program.end(SECOND), AT_WORK + 200)) == 2


def test_no_thread_has_made_a_call(program: Any) -> None:
    """That is said too."""
    assert threads(program, 0) == [" no call yet"]
    assert ThreadsPanel(picture_of(program), 0).rows() == 1
    assert threads(program, 0, height=0) == []


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ("run", " evloop   app.py -v · pid 7 "),
        ("client", " evloop   client · pid 7 "),
        ("sequential", " evloop   server, one client at a time · pid 7 "),
        ("threaded", " evloop   server, a thread a client · pid 7 "),
    ],
)
def test_who_runs(new_program: Any, model: str, title: str) -> None:
    """A program by its name, our own by what they are."""
    assert texts(ProgramPanel(picture_of(new_program(model)), 0).lines(80, 4))[0].startswith(title)


@pytest.mark.parametrize("pid", [4711, 4194304])
@pytest.mark.parametrize("model", ["once", "conversation", "sequential", "threaded"])
def test_who_runs_and_its_pid_fit_on_a_projector(new_program: Any, model: str, pid: int) -> None:
    """80 columns, and a clock that runs for a quarter of an hour: the pid is what one types next."""
    program = new_program(model)
    program.events[0].mode, program.events[0].pid = "upper", pid
    title = texts(ProgramPanel(picture_of(program), 1000 * SECOND, "live").lines(80, 4))[0]
    assert f" · upper · pid {pid} " in title
    assert "…" not in title
    assert title.endswith(" 1000.000 s  live")


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_long_command_makes_way_for_its_pid(program: Any, width: int) -> None:
    """It is the pid that somebody has to type: for kill(1), or for strace."""
    program.events[0].argv = ["/usr/bin/serve.py", *(["--option=哈哈"] * 9)]
    title = texts(ProgramPanel(picture_of(program), 0, "live").lines(width, 4))[0]
    assert title.startswith(" evloop   serve.py"[: width // 3])
    assert "… · pid 7" in title


def test_a_program_without_a_name(program: Any) -> None:
    """Or without a header."""
    program.events[0].argv = []
    assert texts(ProgramPanel(picture_of(program), 0).lines(80, 4))[0].startswith(
        " evloop   program · pid 7 "
    )
    assert texts(ProgramPanel(Picture(), 0).lines(80, 4))[0].startswith(" evloop  ")


def test_a_program_that_polls_has_ticks_and_threads(program: Any) -> None:
    """And after its end the reason; in little room a thread matters more."""
    program(Poll, 0, None, "", [("tcp-1", "IN")], dur=SECOND, tick=1, where="a.py:3")
    program(Block, SECOND, "poll", watched=[("tcp-1", "READ")], where="a.py:3")
    picture = picture_of(program)
    panel = ProgramPanel(picture, 2 * SECOND)
    assert [line.split()[0] for line in texts(panel.lines(80, panel.rows(24)))] == [
        "evloop", "ticks", "woke", "main",
    ]  # fmt: skip
    assert [line.split()[0] for line in texts(panel.lines(80, 2))] == ["evloop", "main"]
    assert (panel.rows(10), panel.rows(5), len(panel.lines(80, 1))) == (2, 1, 1)
    panel = ProgramPanel(picture_of(program.end(3 * SECOND)), 3 * SECOND)
    assert " ended   exit" in texts(panel.lines(80, panel.rows(24)))


def test_a_program_by_itself_has_a_screen_of_its_own(program: Any) -> None:
    """Its log is read as several are, for it might have both ends of a connection."""
    program.listen().accept(2000, "tcp-2")(Recv, 3000, "tcp-2", 5, 9, 4)
    meeting = Meeting.of([MetProgram("", client=False)])
    for event in program.events:
        meeting.apply(Told(event, Crossing()))
    alone = screen_of(meeting, 5000).lines(80, 24)
    assert texts(alone) == texts(screen_of(picture_of(program), 5000).lines(80, 24))
    meeting.apply(Told(program(Recv, 4000, "tcp-2", 5, 9, 4).events[-1], Crossing(names=("tcp-9", "tcp-2"))))
    assert isinstance(screen_of(meeting, 5000), MeetingScreen)
    meeting = Meeting.of([MetProgram("a", client=False), MetProgram("b", client=True)])
    assert isinstance(screen_of(meeting, 5000), MeetingScreen)


@pytest.mark.parametrize("size", [(1, 1), (10, 2), (40, 10), (80, 15), (80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("number", [0, 1, 30])
def test_the_screen_of_a_program_has_exactly_the_size_it_is_given(
    size: tuple[int, int], number: int, program: Any
) -> None:
    """However many threads there are."""
    program.listen()
    for n in range(number):
        program(Block, 2000 + n, "recv", f"tcp-{n}", thread=f"Thread-{n} (serve)")
    lines = Screen(picture_of(program), SECOND, "live").lines(*size)
    assert len(lines) == size[1]
    assert {width_of(line) for line in lines} == {size[0]}
