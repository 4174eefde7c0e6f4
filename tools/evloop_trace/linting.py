"""`evloop-trace lint`: a log through the lints, and what they found as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.escape import json_text
from evloop_trace.logs import open_logs
from evloop_trace.model.lint import Linter
from evloop_trace.progress import track

if TYPE_CHECKING:
    from evloop_trace.model.lint import Finding
    from evloop_trace.replay import Problems

__all__ = ["as_json", "lint_log"]


def lint_log(path: str, problems: Problems) -> Linter:
    """One log, or `-`, from its beginning to its end; `problems` are told of broken lines.

    Raises:
        LogError: it cannot be read, or is no event log.
    """
    linter = Linter()
    with open_logs([path], alone=True) as logs:
        for log, block in track(logs, "lint"):
            problems.read(log.name, block.items)
            linter.feed(block.items)
    linter.finish()
    return linter


def as_json(path: str, linter: Linter, problems: int = 0) -> str:
    """An object a log, on a line of its own; so many of its lines are no events."""
    report = {
        "log": path,
        "ok": not linter.findings and not problems,
        "events": linter.events,
        "problems": problems,
        "missing": linter.missing,
        "unseen": linter.unseen,
        "unjudged": linter.unjudged,
        "left_out": dict(linter.left_out),
        "findings": [_object(finding) for finding in linter.findings],
    }
    return json_text(report) + "\n"


def _object(finding: Finding) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "name": finding.name,
        "thread": finding.thread,
        "times": finding.times,
        "t": finding.t,
        "last_t": finding.last.t,
        "sentence": finding.sentence,
        "advice": finding.advice,
        "evidence": [event.seq for _, event in finding.evidence],
    }
