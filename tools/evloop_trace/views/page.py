"""Answers in words: text in lines, the events that show it under them; and whatever is drawn, as text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment, Segments

from evloop.events.schema import Located
from evloop_trace.escape import escape_text
from evloop_trace.views.cells import Line, cut, width_of
from evloop_trace.views.lines import format_event
from evloop_trace.views.palette import DIM, PLAIN
from evloop_trace.views.waits import place, short_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType
    from rich.style import Style

    from evloop_trace.model.diagnosis import Evidence

__all__ = ["LEAST", "PLAIN_WIDTH", "as_text", "event_lines", "fitting", "render", "text_lines"]

PLAIN_WIDTH = 80
"""Cells, where there is no terminal to ask."""
LEAST = 40
"""Cells, below which an answer's lines are longer than the terminal's."""

_MOST = 100  # cells of a line that is read with ease
_UNCUT = 500
_BREAKS = re.compile(r" (?!(?:ns|µs|ms|s|min|B)\b)")
_GAPS = re.compile(r" {3,}")


def as_text(drawn: RenderableType, width: int, *, colour: bool = False) -> str:
    """What Rich draws in so many cells, without the blanks at the lines' ends."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=colour, no_color=not colour, width=width, highlight=False)
    console.print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def render(lines: Iterable[Line], width: int = _UNCUT, *, colour: bool = False) -> str:
    """Lines as text; one that is longer than `width` cells is cut."""
    segments = [segment for line in lines for segment in (*line, Segment.line())]
    return as_text(Segments(segments), width, colour=colour)


def fitting(width: int) -> int:
    """The cells that an answer in words takes of a terminal's: 40 to 100."""
    return min(max(width, LEAST), _MOST)


def text_lines(text: str, width: int, style: Style = PLAIN) -> list[Line]:
    """The text in lines of at most `width` cells, broken at spaces but not behind a number."""
    lines: list[Line] = []
    line = ""
    for word in _BREAKS.split(text):
        longer = f"{line} {word}" if line else word
        if line and width_of([Segment(longer)]) > width:
            lines.append([Segment(line, style)])
            longer = word
        line = longer
    return [*lines, [Segment(line, style)]]


def event_lines(evidence: Sequence[Evidence], conn: str | None, width: int) -> list[Line]:
    """A line for each event: its number, its time, where, and what happened; `conn` is named above them."""
    rows = [_row(found, conn) for found in evidence]
    numbers, places = (max([len(row[at]) for row in rows], default=0) for at in (0, 2))
    return [
        [
            Segment(
                cut(
                    f"    {number:>{numbers}}  {time}  {where:<{places}}{'  ' if places else ''}{what}", width
                ),
                DIM,
            )
        ]
        for number, time, where, what in rows
    ]


def _row(found: Evidence, conn: str | None) -> tuple[str, str, str, str]:
    event = found.event
    where = place(event) if isinstance(event, Located) else ""
    line = format_event(event).removesuffix(f"  {where}")
    # Behind the time and the tick, both of which have columns of their own.
    what = line.partition(" tick ")[2].lstrip("0123456789").strip()
    name, _, rest = what.partition(" ")
    if name == escape_text(conn or ""):
        what = rest.strip()
    elif found.log and name.startswith(label := f"{escape_text(found.log)}:"):
        what = f"{name.removeprefix(label)}  {rest.strip()}"
    at = short_place(event) if isinstance(event, Located) else ""
    number = f"{found.log}#{event.seq}" if found.log else f"#{event.seq}"
    return escape_text(number), f"{event.t / 10**9:.6f}", at, _GAPS.sub("  ", what)
