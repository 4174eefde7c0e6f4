"""`evloop-trace why`: the logs through the diagnosis, and its answer as text or JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.reader import Problem
from evloop_trace.escape import json_text
from evloop_trace.living import is_known_here, is_running
from evloop_trace.logs import open_logs
from evloop_trace.merge import origins
from evloop_trace.model.diagnosis import Diagnosis, Present
from evloop_trace.proc_net import sockets_of
from evloop_trace.proc_task import task_of
from evloop_trace.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.events.reader import Item
    from evloop_trace.logs import Log
    from evloop_trace.model.diagnosis import Finding, Verdict
    from evloop_trace.replay import Problems

__all__ = ["Answer", "as_json", "diagnose"]


class Answer(NamedTuple):
    """What the logs tell, and what they are called."""

    names: list[str]
    """One for each line of the verdict's summary."""
    verdict: Verdict


def diagnose(paths: Sequence[str], at: int | None, problems: Problems, *, kernel: bool = True) -> Answer:
    """Read the logs and ask why their programs make no progress.

    Args:
        paths: The logs.
        at: The moment, in nanoseconds, or None for the end; of a program that still runs, that is now.
        problems: Are told of broken lines.
        kernel: Ask it whether the programs still run and how their sockets are now, if `at` is None.

    Raises:
        LogError: one cannot be read, or is no event log.
    """
    with open_logs(paths) as logs:
        several = len(logs.logs) > 1
        place = {log.name: number for number, log in enumerate(logs.logs)}
        diagnosis = Diagnosis([(log.label if several else "", log.header) for log in logs.logs], at)
        living = {log.name for log in logs.logs if is_known_here(log.header) and is_running(log.header)}
        if kernel and at is None:
            _look(diagnosis, logs.logs, living)
        for log, block in track(logs, "why"):
            problems.read(log.name, _whole(block.items) if log.name in living else block.items)
            diagnosis.feed(place[log.name], block.items)
        return Answer([log.name for log in logs.logs], diagnosis.verdict())


def _look(diagnosis: Diagnosis, logs: Sequence[Log], living: set[str]) -> None:
    """How the programs are now, before their logs are read as far as they go now.

    Nothing is said of those of another machine, or of another boot.
    """
    for number, (log, start) in enumerate(zip(logs, origins([log.header for log in logs]), strict=True)):
        if not is_known_here(log.header):
            continue
        now = time.monotonic_ns() - log.header.mono_ns + start
        here = log.name in living
        diagnosis.look(number, _present(now, log.header.pid) if here else None)


def _present(now: int, pid: int) -> Present:
    return Present(now, sockets_of(pid), task_of(pid))


def _whole(items: list[Item]) -> list[Item]:
    """Without a line that is still being written."""
    return [item for item in items if not (isinstance(item, Problem) and item.kind == "torn")]


def as_json(answer: Answer) -> str:
    """The findings as a JSON array; evidence from another log than the finding's stands under its label."""
    return json_text([_object(it) for it in answer.verdict.findings]) + "\n"


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
