"""`evloop-trace why`: the logs through the diagnosis, and its answer as text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evloop_trace.logs import open_logs
from evloop_trace.model.diagnosis import Diagnosis
from evloop_trace.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.model.diagnosis import Finding, Verdict
    from evloop_trace.replay import Problems

__all__ = ["Answer", "as_json", "diagnose"]


class Answer(NamedTuple):
    """What the logs tell, and what they are called."""

    names: list[str]
    """One for each line of the verdict's summary."""
    verdict: Verdict


def diagnose(paths: Sequence[str], at: int | None, problems: Problems) -> Answer:
    """Read the logs and ask why their programs make no progress, at the end or at `at` nanoseconds.

    Raises:
        LogError: one cannot be read, or is no event log.
    """
    with open_logs(paths) as logs:
        several = len(logs.logs) > 1
        place = {log.name: number for number, log in enumerate(logs.logs)}
        diagnosis = Diagnosis([(log.label if several else "", log.header) for log in logs.logs], at)
        for log, block in track(logs, "why"):
            problems.read(log.name, block.items)
            diagnosis.feed(place[log.name], block.items)
        return Answer([log.name for log in logs.logs], diagnosis.verdict())


def as_json(answer: Answer) -> str:
    """The findings as a JSON array; evidence from another log than the finding's stands under its label."""
    return msgspec.json.encode([_object(finding) for finding in answer.verdict.findings]).decode() + "\n"


def _object(finding: Finding) -> dict[str, object]:
    elsewhere: dict[str, list[int]] = {}
    for log, event in finding.evidence:
        if log != finding.log:
            elsewhere.setdefault(log, []).append(event.seq)
    return {
        "kind": finding.kind,
        "stuck": finding.stuck,
        "log": finding.log,
        "thread": finding.thread,
        "conn": finding.conn,
        "since": finding.since,
        "sentence": finding.sentence,
        "evidence": [event.seq for log, event in finding.evidence if log == finding.log],
        "elsewhere": elsewhere,
    }
