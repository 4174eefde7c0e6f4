"""`evloop-trace check`: findings as lines that name the log's line, and how many there were."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from evloop_trace.escape import escape_text, json_text
from evloop_trace.logs import open_logs
from evloop_trace.model.checks import Checker, Finding
from evloop_trace.numbers import plural
from evloop_trace.progress import track

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.rotated import Chain

__all__ = ["CheckReport", "check_log"]

_SHOWN = 50


class CheckReport(msgspec.Struct):
    """What `check --json` prints of a log."""

    log: str
    ok: bool
    """Nothing was found but notes."""
    lines: int
    events: int
    missing: int
    """Events that are not in the log."""
    counts: dict[str, int]
    """Of findings, by kind; notes among them."""
    findings: list[Finding]
    """The first 50, or all with `--all`."""


class _Findings:
    """Counts all findings; hands on those that are shown."""

    def __init__(self, show: Callable[[Finding], None], limit: float) -> None:
        self.counts: Counter[str] = Counter()
        self.failures = 0
        self.left_out = 0
        self._show = show
        self._limit = limit

    def add(self, finding: Finding) -> None:
        self.failures += not finding.note
        self.counts[finding.kind] += 1
        if self.counts.total() <= self._limit:
            self._show(finding)
        else:
            self.left_out += 1


def check_log(path: str, write: Callable[[str], None], everything: bool, as_json: bool) -> int:
    """Check one log and write what was found: how much of it is more than a note.

    Raises:
        LogError: it cannot be read, or is no event log.
    """
    kept: list[Finding] = []

    chain: Chain | None = None

    def show(finding: Finding) -> None:
        name, line = chain.place(finding.line) if chain else (path, finding.line)
        write(_line(name, finding._replace(line=line)))

    findings = _Findings(kept.append if as_json else show, float("inf") if everything else _SHOWN)
    checker = Checker(findings.add)
    with open_logs([path], alone=True) as logs:
        chain = logs.logs[0].chain
        for _, block in track(logs, "check"):
            checker.feed(block.line, block.items)
    checker.finish()
    if as_json:
        ok = not findings.failures
        counts = dict(findings.counts)
        report = CheckReport(path, ok, checker.lines, checker.events, checker.missing, counts, kept)
        write(json_text(_named(report)) + "\n")
    else:
        write(_summary(path, checker, findings))
    return findings.failures


def _named(report: CheckReport) -> dict[str, object]:
    """With each finding as an object: a named tuple would become an array."""
    built: dict[str, object] = msgspec.structs.asdict(report)
    built["findings"] = [finding._asdict() for finding in report.findings]
    return built


def _line(path: str, finding: Finding) -> str:
    note = "note: " if finding.note else ""
    return f"{escape_text(path)}:{finding.line}: {note}{finding.kind}: {escape_text(finding.text)}\n"


def _summary(path: str, checker: Checker, findings: _Findings) -> str:
    left_out = f"… and {findings.left_out:,} more: --all shows them\n" if findings.left_out else ""
    total = findings.counts.total()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in findings.counts.most_common())
    verdict = f"{plural(total, 'finding')} ({kinds})" if total else "nothing is wrong with it"
    lost = f", {checker.missing:,} more are missing" if checker.missing else ""
    return f"{left_out}{escape_text(path)}: {plural(checker.events, 'event')}{lost}: {verdict}\n"
