"""Why a program hangs: a line for each log, then a paragraph for each finding with its events under it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.views import page
from evloop_trace.views.page import PLAIN_WIDTH, event_lines, fitting, text_lines
from evloop_trace.views.palette import BOLD, DIM, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.model.diagnosis import Finding, Verdict
    from evloop_trace.views.cells import Line

__all__ = ["render", "verdict_lines"]

_ALIKE = 10  # findings of a kind that are shown


def render(verdict: Verdict, names: Sequence[str], width: int = PLAIN_WIDTH, *, colour: bool = False) -> str:
    """The answer as text, `width` cells wide but never less than 40 nor more than 100."""
    width = fitting(width)
    return page.render(verdict_lines(verdict, names, width), width, colour=colour)


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
