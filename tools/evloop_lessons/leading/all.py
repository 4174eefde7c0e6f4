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
    from evloop_lessons.lesson import Value
    from evloop_lessons.library import LessonFolder

__all__ = ["Outcome", "check"]


class Outcome(msgspec.Struct):
    """What became of a lesson."""

    lesson: int
    passed: bool
    skipped: str | None
    """Why it was left out."""
    seconds: float
    checks: list[Verdict]
    error: str = ""
    """Why it could not be played to its end."""

    def line(self) -> bytes:
        """As JSON."""
        checks = [
            {
                "claim": it.claim,
                "passed": it.passed,
                "evidence": msgspec.to_builtins(it.evidence),
                **({"void": it.lacks} if it.lacks else {}),
                **({"missing": it.missing} if it.missing else {}),
            }
            for it in self.checks
        ]
        found = {
            "lesson": self.lesson, "passed": self.passed, "skipped": self.skipped,
            "seconds": round(self.seconds, 3), "checks": checks,
        }  # fmt: skip
        if self.error:
            found["error"] = self.error
        return msgspec.json.encode(found)


def check(entry: LessonFolder, values: dict[str, Value], language: str) -> Outcome:
    """Play a lesson, and judge it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as name:
        folder = Path(name)
        try:
            with Performance(entry, values, folder) as performance:
                from evloop_lessons.leading.telling import verdicts  # noqa: PLC0415 - while it prepares itself

                performance.until("ready")
                performance.go()
                performance.until("done")
            judged = verdicts(entry, folder, language)[1]
        except LessonError as error:
            return Outcome(entry.lesson.number, False, None, time.monotonic() - start, [], str(error))
    passed = all(it.passed for it in judged)
    return Outcome(entry.lesson.number, passed, None, time.monotonic() - start, judged)
