"""Why a program hangs: a line for each log, then a paragraph for each finding with its events under it."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment, Segments

from evloop.events.schema import Located
from evloop_trace.escape import escape_text
from evloop_trace.views.cells import Line, cut, width_of
from evloop_trace.views.lines import format_event
from evloop_trace.views.palette import BOLD, DIM, PLAIN, TROUBLE
from evloop_trace.views.waits import place, short_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

    from evloop_trace.model.diagnosis import Evidence, Finding, Verdict

__all__ = ["PLAIN_WIDTH", "event_lines", "render", "text_lines", "verdict_lines"]

PLAIN_WIDTH = 80
"""Cells, where there is no terminal to ask."""

_LEAST = 40
_ALIKE = 10  # findings of a kind that are shown
_BREAKS = re.compile(r" (?!(?:ns|µs|ms|s|min|B)\b)")
_GAPS = re.compile(r" {3,}")


def render(verdict: Verdict, names: Sequence[str], width: int = PLAIN_WIDTH, *, colour: bool = False) -> str:
    """The answer as text, `width` cells wide but never less than 40."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=colour, no_color=not colour, width=max(width, _LEAST))
    lines = verdict_lines(verdict, names, max(width, _LEAST))
    console.print(Segments([segment for line in lines for segment in (*line, Segment.line())]), end="")
    return out.getvalue()


def verdict_lines(verdict: Verdict, names: Sequence[str], width: int) -> list[Line]:
    """The whole answer; `names` are the logs', one for each line of the summary."""
    lines: list[Line] = []
    for name, text in zip(names, verdict.summary, strict=True):
        lines += text_lines(f"{escape_text(name)}: {escape_text(text)}", width, BOLD)
    shown: Counter[str] = Counter()
    for finding in verdict.findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= _ALIKE:
            lines += [[], *_paragraph(finding, width)]
    for kind, number in shown.items():
        if number > _ALIKE:
            lines += [
                [],
                *text_lines(f"… and {number - _ALIKE:,} more {kind}: --json has them all", width, DIM),
            ]
    return lines


def _paragraph(finding: Finding, width: int) -> list[Line]:
    mark, style = ("✗ ", TROUBLE) if finding.stuck else ("· ", DIM)
    text = text_lines(escape_text(finding.sentence), width - 2)
    head: list[Line] = [[Segment("  " if at else mark, style), *line] for at, line in enumerate(text)]
    return head + event_lines(finding.evidence, finding.conn, width)


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
