"""A program's screen: what it writes is obeyed, and shown as text."""

from __future__ import annotations

import random

import pytest
from evloop_trace.apps import emulator
from evloop_trace.apps.emulator import Emulator
from rich.style import Style

Lines = list[str]


def screen(columns: int = 10, lines: int = 3) -> Emulator:
    """A small one that is never asked anything."""
    return Emulator(columns, lines, pytest.fail)


def shown(terminal: Emulator) -> Lines:
    """Its lines without the spaces at their ends."""
    return ["".join(segment.text for segment in line).rstrip() for line in terminal.lines()]


def everything(terminal: Emulator) -> Lines:
    """All that is remembered."""
    return ["".join(segment.text for segment in line).rstrip() for line in terminal.everything()]


def test_lines_are_written_and_scroll_away() -> None:
    """What has left at the top is remembered."""
    terminal = screen()
    terminal.feed(b"one\r\ntwo\r\n\r\nfour\r\nfive")
    assert shown(terminal) == ["", "four", "five"]
    assert everything(terminal) == ["one", "two", "", "four", "five"]
    assert terminal.cursor() == (4, 2)


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may write for ever."""
    monkeypatch.setattr(emulator, "PAST", 5)
    terminal = screen()
    terminal.feed(b"".join(b"%d\r\n" % number for number in range(100)))
    assert everything(terminal) == [str(number) for number in range(93, 100)]


def test_a_line_can_be_edited() -> None:
    """As readline(3) does it: back, insert, erase to the end."""
    terminal = screen()
    terminal.feed(b"name? bib\b\b\x1b[Kob")
    assert shown(terminal)[0] == "name? bob"
    terminal.feed(b"\rWHO")
    assert shown(terminal)[0] == "WHOe? bob"


def test_text_wraps() -> None:
    """Over as many lines as it takes; a terminal may be told not to."""
    terminal = screen()
    terminal.feed(b"0123456789" * 3 + b"ab")
    assert shown(terminal) == ["0123456789", "0123456789", "ab"]
    terminal.feed(b"\x1b[?7l\r" + b"x" * 12 + b"y")
    assert shown(terminal)[2] == "xxxxxxxxxy"


def test_text_may_be_inserted_or_be_other_characters() -> None:
    """Which plain text is not; the other characters are from before Unicode."""
    terminal = screen()
    terminal.feed(b"bc\x1b[4h\ra\x01\x1b[4l\r\n\x1b%@\x1b(0lqk\x1b(B\x1b)0\x0eq\x0fq")
    assert shown(terminal)[:2] == ["abc", "┌─┐─q"]


def test_characters_have_their_widths() -> None:
    """A wide one takes two cells, an accent none, and what has no width at all costs nothing else."""
    terminal = screen()
    terminal.feed("哈e\u0301\u200b\ufe0fx\r\n".encode())
    assert shown(terminal)[0] == "哈éx"
    terminal.feed("哈".encode()[:2])
    terminal.feed("哈".encode()[2:] + b"\xff")
    assert shown(terminal)[1] == "哈\ufffd"
    assert terminal.cursor() == (3, 1)


def test_a_wide_character_is_never_halved() -> None:
    """In the last column there is no room for it."""
    terminal = screen()
    terminal.feed("012345678哈".encode())
    assert shown(terminal) == ["012345678", "哈", ""]


def test_a_full_line_leaves_the_cursor_in_it() -> None:
    """There is no column behind the last."""
    terminal = screen()
    terminal.feed(b"0123456789")
    assert terminal.cursor() == (9, 0)
    terminal.feed(b"\x1b[?25l")
    assert terminal.cursor() is None


def test_colours_are_kept() -> None:
    """The terminal's own sixteen by name, others by value."""
    terminal = screen(40)
    terminal.feed(b"a\x1b[1;31mb\x1b[0;33mc\x1b[92;105md\x1b[0;38;5;208me\x1b[0;7mf\x1b[0;93mg")
    styles = {segment.text: segment.style for segment in terminal.lines()[0]}
    assert styles["a"] == Style.null()
    assert styles["b"] == Style(color="red", bold=True)
    assert styles["c"] == Style(color="yellow")
    assert styles["d"] == Style(color="bright_green", bgcolor="bright_magenta")
    assert styles["e"] == Style(color="#ff8700")
    assert styles["f"] == Style(reverse=True)
    assert styles["g"] == Style(color="bright_yellow")


def test_another_size_keeps_the_cursors_line() -> None:
    """Lines leave at the top only where the bottom is needed."""
    terminal = screen(10, 4)
    terminal.feed(b"one\r\ntwo")
    terminal.resize(10, 2)
    assert shown(terminal) == ["one", "two"]
    terminal.feed(b"\x1b[1;2r\x1b[2;1H\nthree")
    terminal.resize(4, 1)
    assert shown(terminal) == ["thre"]
    terminal.resize(12, 3)
    terminal.feed(b"\r\nfour")
    assert shown(terminal) == ["thre", "four", ""]
    assert everything(terminal) == ["two", "thre", "four"]


def test_a_region_that_scrolls_is_not_remembered() -> None:
    """It is a part of a picture, such as an editor's."""
    terminal = screen()
    terminal.feed(b"head\x1b[2;3r\x1b[2;1Ha\r\nb\r\nc\r\nd")
    assert everything(terminal) == ["head", "c", "d"]


def test_who_asks_is_answered() -> None:
    """Where the cursor is."""
    answers: list[bytes] = []
    terminal = Emulator(10, 3, answers.append)
    terminal.feed(b"ab\x1b[6n")
    assert answers == [b"\x1b[1;3R"]


@pytest.mark.parametrize(
    "sequence",
    [
        b"\x1b[>4;2m",
        b"\x1b[?1;2;3;4;5A",
        b"\x1b[9K",
        b"\x1b]0;owned\x07",
        b"\x1b]52;c;aGk=\x07",
        b"\x1b[8;99;99t",
    ],
)
def test_a_sequence_that_is_not_understood_is_passed_over(sequence: bytes) -> None:
    """What comes behind it is shown."""
    terminal = screen()
    terminal.feed(b"be" + sequence + b"fore")
    assert shown(terminal)[0] == "before"


def test_nothing_that_a_program_writes_gets_through() -> None:
    """Whatever it is, there come printable cells, as many as the screen has."""
    chance = random.Random(7)
    terminal = Emulator(20, 4, lambda _: None)
    finals = "ABCDEFGHJKLMPSTXZ@`abcdefghlmnqrsu"
    for _ in range(4000):
        kind = chance.random()
        if kind < 0.5:
            numbers = ";".join(chance.choice(["", "0", "2", "7", "38", "48", "99999"]) for _ in range(3))
            piece = f"\x1b[{chance.choice(['', '?', '>'])}{numbers}{chance.choice(finals)}".encode()
        else:
            piece = bytes(chance.randrange(256) for _ in range(6)) + "\u202e\x9b哈".encode()
        terminal.feed(piece)
    terminal.resize(20, 4)
    lines = terminal.lines()
    assert len(lines) == 4
    assert all(segment.text.isprintable() for line in lines for segment in line)
