"""All lessons, one after another, without anybody to be asked: the test of the lessons themselves."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evloop_lessons.leading.performance import Performance
from evloop_lessons.lesson import LessonError
from evloop_lessons.plan import TEMPORARY

if TYPE_CHECKING:
    from evloop_lessons.judging import Verdict
    from evloop_lessons.leading.words import Words
    from evloop_lessons.lesson import Value
    from evloop_lessons.library import LessonFolder

__all__ = ["Outcome", "check", "not_whole"]


class Outcome(msgspec.Struct):
    """What became of a lesson."""

    lesson: int | None
    """None if nobody knows: it is not whole."""
    passed: bool
    skipped: str | None
    """Why it was left out."""
    seconds: float
    checks: list[Verdict]

    def line(self) -> bytes:
        """As JSON. Why a claim could not be judged, or what it does not find, is its evidence."""
        checks = [
            {"claim": it.claim, "passed": it.passed, "evidence": [*it.evidence, *_said(it)]}
            for it in self.checks
        ]
        found = {
            "lesson": self.lesson, "passed": self.passed, "skipped": self.skipped,
            "seconds": round(self.seconds, 3), "checks": checks,
        }  # fmt: skip
        return msgspec.json.encode(found)


def _said(verdict: Verdict) -> list[dict[str, object]]:
    return [{"where": "", "number": 0, "t": 0, "what": it} for it in (verdict.lacks, verdict.missing) if it]


def check(entry: LessonFolder, values: dict[str, Value], words: Words) -> Outcome:
    """Play a lesson, and judge it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name:
        folder = Path(name)
        try:
            with Performance(entry, values, folder) as performance:
                # While it prepares itself:
                from evloop_lessons.leading.telling import verdicts  # noqa: PLC0415

                performance.until("ready")
                performance.go()
                performance.until("done")
            judged = verdicts(entry, folder, words.language)[1]
        except LessonError as error:
            judged = [_not_played(error, words)]
    passed = all(it.passed for it in judged)
    return Outcome(entry.number, passed, None, time.monotonic() - start, judged)


def not_whole(entry: LessonFolder, error: LessonError, words: Words) -> Outcome:
    """Of a lesson that cannot be played."""
    return Outcome(entry.number, False, None, 0, [_not_played(error, words)])


def _not_played(error: LessonError, words: Words) -> Verdict:
    from evloop_lessons.judging import Verdict  # noqa: PLC0415 - see `check`

    return Verdict("", words("played"), False, missing=str(error))
