"""Paragraphs as lines of a terminal: English breaks at spaces, Chinese nearly everywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evloop_trace.views.palette import PLAIN
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from evloop_trace.views.cells import Line

__all__ = ["CODE", "paragraph"]

CODE = Style(color="cyan")
WIDEST = 100  # cells: longer lines are hard to read

# Text in backquotes; a number with its unit; a Chinese character; a word: each with the marks before it that
# may end no line, and those behind it that may begin none; spaces.
_CLOSING = "\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\uff09\u300b\u201d\u2019,.;:!?)"
_OPENING = "\uff08\u300a\u201c\u2018"
_WIDE = "\u2e80-\u9fff\uff00-\uffef"
_PIECE = re.compile(
    rf"[{_OPENING}]*(?:`[^`]*`|\d[\d,.]* (?:ns|µs|ms|s|B)\b|[{_WIDE}]|[^\s`{_WIDE}]+)[{_CLOSING}]*|\s+|`"
)


def paragraph(
    text: str, width: int, first: str = "", then: str | None = None, style: Style = PLAIN
) -> list[Line]:
    """Lines of at most so many cells.

    Args:
        text: What is in backquotes is shown as code, without them.
        width: Cells, of which no more than `WIDEST` are used.
        first: What stands before the first line.
        then: Before the others; as much space, if it is not given.
        style: Of what is no code.
    """
    width = min(width, WIDEST)
    if text.startswith("- "):
        first, text = f"{first}• ", text[2:]
    then = " " * cell_len(first) if then is None else then
    lines: list[Line] = [[Segment(first, style)]]
    used = cell_len(first)
    space = ""
    for piece in _PIECE.findall(text):
        if piece.isspace():
            space = " "
            continue
        parts = _parts(piece, style)
        need = sum(cell_len(it.text) for it in parts)
        if used + len(space) + need > width and used > cell_len(then):
            lines.append([Segment(then, style)])
            used, space = cell_len(then), ""
        if space:
            lines[-1].append(Segment(space, style))
        lines[-1] += parts
        used += len(space) + need
        space = ""
    return lines


def _parts(piece: str, style: Style) -> Line:
    """A piece without its backquotes."""
    before, quote, text = piece.partition("`")
    code, end, behind = text.partition("`")
    if not (quote and end):
        return [Segment(piece, style)]
    said = [Segment(before, style), Segment(code, CODE), Segment(behind, style)]
    return [it for it in said if it.text]
