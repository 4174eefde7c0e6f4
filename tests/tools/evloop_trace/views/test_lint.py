"""What the lints found, on a page and in a line of the picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from evloop_trace.correlate.meeting import Meeting, Program
from evloop_trace.linting import as_json
from evloop_trace.model.lint import Linter, Notice
from evloop_trace.model.picture import Picture
from evloop_trace.views.cells import width_of
from evloop_trace.views.lint import lint_lines, render
from evloop_trace.views.meeting import screen_of
from evloop_trace.views.notice import LADDER_ROOM, NoticePanel
from evloop_trace.views.palette import TROUBLE
from evloop_trace.views.screen import Screen
from evloop_trace.views.timeline import TimelinePanel

from evloop.events.schema import Close, Header, Unseen

if TYPE_CHECKING:
    from evloop_trace.views.cells import Line

    from tests.tools.evloop_trace.conftest import Book

NOTICE = Notice(
    2, "spin-write", 5774, "poll() has returned at once, as tcp-1 is ready (OUT), 5,774 times since…"
)


def texts(lines: list[Line]) -> list[str]:
    """What stands on lines."""
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def resets(book: Book, number: int) -> Linter:
    """So many connections that end badly; the first has a name that is no name."""
    book.listen()
    for at in range(number):
        name = f"tcp-{at}" if at else "tcp-\x1b[31m"
        book.accept(name)
        book.add(Close, 100, 7, "close", name, unread=3)
    linter = Linter()
    linter.feed(book.events)
    linter.finish()
    return linter


def test_nothing_was_found(book: Book) -> None:
    """A line."""
    assert render("a.jsonl", resets(book, 0)) == "a.jsonl: 2 events: no lint finds anything\n"


def test_what_the_log_does_not_have(book: Book) -> None:
    """Where a library called the system itself, nothing found is no verdict on it."""
    for what in ("uvloop", "tcp-\x1b[31m", "uvloop"):
        book.add(Unseen, what, "it calls the system itself")
    text = " ".join(render("a.jsonl", resets(book, 0)).split())
    assert text == (
        "a.jsonl: 5 events: no lint finds anything in what the log has; "
        r"calls of uvloop and tcp-\x1b[31m were not seen"
    )
    text = " ".join(render("a.jsonl", resets(book, 1)).split())
    assert r"1 finding (1 ended-badly); calls of uvloop and tcp-\x1b[31m were not seen" in text
    for number in range(3):
        book.add(Unseen, f"module-{number}", "it calls the system itself")
    linter = resets(book, 0)
    assert "calls of uvloop, tcp-" in render("a.jsonl", linter)
    assert "and others were not seen" in " ".join(render("a.jsonl", linter).split())
    assert json.loads(as_json("a.jsonl", linter))["unseen"][0] == "uvloop"


def test_what_was_found(book: Book) -> None:
    """What, what to do, and the event; whatever stands in the log."""
    text = render("a.jsonl", resets(book, 1))
    assert text.startswith("a.jsonl: 4 events: 1 finding (1 ended-badly)\n\n✗ ended-badly: tcp-")
    assert "\n  → Read to the end before close()" in text
    assert "    #3  0.000003  " in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("number", "more"), [(7, "2 more ended-badly: --json has them"), (120, "115 more")])
def test_many_are_counted(book: Book, number: int, more: str) -> None:
    """The first five are shown, and a hundred are kept."""
    text = " ".join(render("a.jsonl", resets(book, number)).split())
    assert text.count("✗") == 5
    assert more in text
    assert ("--json has the first of them" in text) == (number > 100)


def test_what_could_not_be_judged_and_what_is_missing(book: Book) -> None:
    """It is said on top."""
    book.events[0].payload = "none"
    book.listen()
    book.listen()
    linter = Linter()
    linter.feed([book.events[0], book.events[2]])
    lines = texts(lint_lines("a.jsonl", linter, 80))
    assert lines[0] == "a.jsonl: 2 events, 1 more are missing: no lint finds anything"
    assert lines[1].startswith("Note: the log has no payloads")


def test_colours(book: Book) -> None:
    """Where there is a terminal."""
    assert "\x1b[1;31m✗" in render("a.jsonl", resets(book, 1), 60, colour=True)


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_line_of_the_picture(width: int) -> None:
    """Its kind and how often, in red and in words; as wide as the picture."""
    (line,) = NoticePanel(NOTICE).lines(width, 1)
    (text,) = texts([line])
    assert text.startswith(" lint    spin-write")
    assert width_of(line) <= width
    assert "2 findings" in text
    assert any(segment.style == TROUBLE for segment in line)
    assert ("5,774 times since" in text) == (width >= 120)


@pytest.mark.parametrize("model", ["loop", "run"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (80, 12), (60, 9), (40, 3), (20, 1)])
def test_the_picture_is_as_large_as_before(book: Book, model: str, size: tuple[int, int]) -> None:
    """One line of it tells; without a finding it is as it was."""
    picture = Picture()
    for event in book.conversation().events:
        if isinstance(event, Header):
            event.model = model
        picture.apply(event)
    width, height = size
    before = screen_of(picture, 10).lines(width, height)
    lines = screen_of(picture, 10, notice=NOTICE).lines(width, height)
    assert len(before) == len(lines) == height
    assert all(width_of(line) == width for line in lines)
    told = [text for text in texts(lines) if text.startswith(" lint ")]
    assert len(told) == (height >= 8)
    assert not any(text.startswith(" lint ") for text in texts(before))


ADVICE = "Watch for WRITE only while bytes wait to be sent, and take the interest back when the last is gone."


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_what_to_do_stands_below_if_there_is_room(width: int) -> None:
    """All that is to be said, and nothing else; each line fits."""
    panel = NoticePanel(NOTICE)
    lines = panel.lines(width, panel.rows(width))
    assert {width_of(line) for line in lines} == {width}
    words = " ".join(" ".join(texts(lines)).replace("  2 findings", "").split())
    assert words == f"lint spin-write ×5,774: {NOTICE.sentence} → {ADVICE}"
    assert texts(panel.lines(width, 9)) == texts(lines)


def test_what_to_do_matters_more_than_the_rest_of_what_it_is() -> None:
    """The sentence is cut first, and then that."""
    panel = NoticePanel(NOTICE)
    assert panel.rows(80) == 4
    assert texts(panel.lines(80, 3)) == [
        " lint    spin-write ×5,774: poll() has returned at once, as tcp-1…   2 findings",
        "         → Watch for WRITE only while bytes wait to be sent, and take the",
        "           interest back when the last is gone.",
    ]
    assert texts(panel.lines(80, 2)) == [
        " lint    spin-write ×5,774: poll() has returned at once, as tcp-1…   2 findings",
        "         → Watch for WRITE only while bytes wait to be sent, and take the inte…",
    ]
    assert texts(panel.lines(80, 1)) == texts(panel.lines(80, 2))[:1]
    assert panel.lines(80, 0) == []


def test_a_kind_that_nobody_has_advice_for() -> None:
    """Its sentence has the room."""
    panel = NoticePanel(NOTICE._replace(kind="new"))
    assert len(panel.lines(80, 9)) == panel.rows(80) == 2


def test_a_narrow_picture_has_but_a_line() -> None:
    """There every line is needed."""
    assert len(NoticePanel(NOTICE).lines(50, 9)) == NoticePanel(NOTICE).rows(50) == 1


@pytest.mark.parametrize(("number", "rows"), [(1, 4), (2, 4), (3, 4), (4, 3), (5, 1), (40, 1)])
def test_no_connection_is_pushed_out(book: Book, number: int, rows: int) -> None:
    """A window of 24 lines: as many connections as without its further lines, and the ladder keeps some."""
    picture = Picture()
    book.listen()
    book.poll("listen-1")
    for at in range(number):
        book.accept(f"tcp-{at}")
    for event in book.events:
        picture.apply(event)
    lines = texts(screen_of(picture, 10, notice=NOTICE).lines(80, 24))
    first = next(at for at, text in enumerate(lines) if text.startswith(" lint "))
    sockets = next(at for at, text in enumerate(lines) if text.startswith("── sockets"))
    ladder = next(at for at, text in enumerate(lines) if " client ──" in text)
    assert sockets - first == rows
    shown = [text for text in lines[sockets:ladder] if text.startswith(" tcp-")]
    assert len(shown) == (number if number < 5 else 3)
    assert len(lines) - ladder - 1 >= LADDER_ROOM or rows == 1


def test_several_programs(book: Book) -> None:
    """Behind the lines of the programs."""
    meeting = Meeting.of([Program("client", client=True), Program("server", client=False)])
    lines = texts(screen_of(meeting, 10, "replay", NOTICE).lines(80, 24))
    assert lines[3].startswith(" lint    spin-write")
    assert len(lines) == 24
    del book


@pytest.mark.parametrize(("height", "rows"), [(20, 1), (22, 2), (24, 4), (40, 4)])
def test_a_ladder_with_packets_needs_more_rows(book: Book, height: int, rows: int) -> None:
    """A call has its packets under it: there a finding has its further lines later."""
    picture = Picture()
    for event in book.conversation().events:
        picture.apply(event)
    lines = texts(Screen(picture, 10, "", TimelinePanel(), NOTICE).lines(80, height))
    first = next(at for at, text in enumerate(lines) if text.startswith(" lint "))
    below = next(at for at, text in enumerate(lines) if text.startswith("── ") and at > first)
    assert below - first == rows
