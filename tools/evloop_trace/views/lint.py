"""What the lints found: a line for the log, then a paragraph for each finding with its events under it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.numbers import plural
from evloop_trace.views import page
from evloop_trace.views.page import PLAIN_WIDTH, event_lines, fitting, text_lines
from evloop_trace.views.palette import BOLD, DIM, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.model.lint import Finding, Linter
    from evloop_trace.views.cells import Line

__all__ = ["lint_lines", "render"]

_NAMED = 3  # whose calls are not in the log
_ALIKE = 5  # findings of a kind that are shown


def render(name: str, linter: Linter, width: int = PLAIN_WIDTH, *, colour: bool = False) -> str:
    """The answer as text, `width` cells wide but never less than 40 nor more than 100."""
    width = fitting(width)
    return page.render(lint_lines(name, linter, width), width, colour=colour)


def lint_lines(name: str, linter: Linter, width: int) -> list[Line]:
    """The whole answer about the log of that name."""
    counts = Counter(finding.kind for finding in linter.findings) + linter.left_out
    lines = text_lines(f"{escape_text(name)}: {_summary(linter, counts)}", width, BOLD)
    if linter.unjudged:
        lines += text_lines(f"Note: {linter.unjudged}.", width, DIM)
    shown: Counter[str] = Counter()
    for finding in linter.findings:
        shown[finding.kind] += 1
        if shown[finding.kind] <= _ALIKE:
            lines += [[], *_paragraph(finding, width)]
    for kind, number in counts.items():
        if number > _ALIKE:
            kept = "--json has them" if kind not in linter.left_out else "--json has the first of them"
            lines += [[], *text_lines(f"… and {number - _ALIKE:,} more {kind}: {kept}", width, DIM)]
    return lines


def _summary(linter: Linter, counts: Counter[str]) -> str:
    missing = f", {linter.missing:,} more are missing" if linter.missing else ""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    unseen = _unseen(linter.unseen)
    nothing = "no lint finds anything" + " in what the log has" * bool(unseen)
    verdict = f"{plural(counts.total(), 'finding')} ({kinds})" if counts else nothing
    return f"{plural(linter.events, 'event')}{missing}: {verdict}{unseen}"


def _unseen(names: Sequence[str]) -> str:
    """Of whom the lints know nothing."""
    if not names:
        return ""
    shown = [escape_text(name) for name in names[:_NAMED]]
    more = ["others"] if len(names) > _NAMED else []
    *first, last = [*shown, *more]
    return f"; calls of {', '.join(first)}{' and ' * bool(first)}{last} were not seen"


def _paragraph(finding: Finding, width: int) -> list[Line]:
    text = text_lines(f"{finding.kind}: {escape_text(finding.sentence)}", width - 2)
    head: list[Line] = [[Segment("  " if at else "✗ ", TROUBLE), *line] for at, line in enumerate(text)]
    what = text_lines(finding.advice, width - 4)
    todo: list[Line] = [[Segment("    " if at else "  → ", BOLD), *line] for at, line in enumerate(what)]
    return head + todo + event_lines(finding.evidence, finding.name, width)
