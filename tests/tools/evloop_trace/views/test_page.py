"""Lines and drawings as text: what every answer in words goes through."""

from __future__ import annotations

import pytest
from evloop_trace.views.page import as_text, fitting, render, text_lines
from evloop_trace.views.palette import BOLD
from rich.segment import Segment
from rich.text import Text


def test_lines() -> None:
    """One under the other, without the blanks behind them; empty ones are lines, too."""
    lines = [[Segment("one  "), Segment("and  ")], [], [Segment("two")]]
    assert render(lines) == "one  and\n\ntwo\n"
    assert render([]) == ""


def test_colour() -> None:
    """Only where it is wanted."""
    assert render([[Segment("bold", BOLD)]], colour=True) == "\x1b[1mbold\x1b[0m\n"
    assert render([[Segment("bold", BOLD)]]) == "bold\n"


def test_a_line_that_is_too_long() -> None:
    """It is cut where a width is given: a name without spaces has no place where it could be broken."""
    (line,) = text_lines("x" * 90, 80)
    assert render([line], 80) == "x" * 80 + "\n"
    assert render([line]) == "x" * 90 + "\n"


def test_drawings() -> None:
    """Whatever Rich has fills its width; what looks like markup, or like a number, is text."""
    assert as_text(Text("[bold] 127.0.0.1"), 60, colour=True) == "[bold] 127.0.0.1\n"
    assert as_text(Text("a b " * 20), 20) == 4 * ("a b " * 5).rstrip().join(["", "\n"])


@pytest.mark.parametrize(("terminal", "cells"), [(0, 40), (40, 40), (80, 80), (100, 100), (250, 100)])
def test_how_wide_an_answer_is(terminal: int, cells: int) -> None:
    """Nobody reads a line of 250 cells with ease."""
    assert fitting(terminal) == cells
