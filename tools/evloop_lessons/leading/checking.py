"""Lessons that are only judged: played, one after another, without anybody to be asked; or handed in."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from evloop_trace.escape import json_text

from evloop_lessons.leading.paper import Paper
from evloop_lessons.leading.performance import Performance, why_no_network
from evloop_lessons.lesson import LessonError
from evloop_lessons.library import find
from evloop_lessons.plan import TEMPORARY, read_plan

if TYPE_CHECKING:
    from evloop_lessons.judging import Verdict
    from evloop_lessons.leading.words import Words
    from evloop_lessons.lesson import Value
    from evloop_lessons.library import LessonFolder

__all__ = ["Outcome", "check_all", "check_saved"]


class Outcome(msgspec.Struct):
    """What became of a lesson."""

    lesson: int | None
    """None if nobody knows: it is not whole."""
    passed: bool
    skipped: str | None
    """Why it was left out."""
    seconds: float
    checks: list[Verdict]

    def line(self) -> str:
        """As JSON. Why a claim could not be judged, or what it does not find, is its evidence."""
        checks = [
            {"claim": it.claim, "passed": it.passed, "evidence": [*it.evidence, *_said(it)]}
            for it in self.checks
        ]
        found = {
            "lesson": self.lesson, "passed": self.passed, "skipped": self.skipped,
            "seconds": round(self.seconds, 3), "checks": checks,
        }  # fmt: skip
        return json_text(found)


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


def check_saved(lessons: list[LessonFolder], saved: Path, words: Words, *, as_json: bool) -> bool:
    """Judge a run that was saved, and say what became of it; whether it passed.

    Raises:
        LessonError: it is no run of one of these lessons.
    """
    from evloop_lessons.leading import telling  # noqa: PLC0415 - see `check`

    entry = find(lessons, str(read_plan(saved).lesson), words.language)
    run, judged = telling.verdicts(entry, saved, words.language)
    passed = bool(judged) and all(it.passed for it in judged)
    paper = Paper()
    if as_json:
        print(Outcome(entry.lesson.number, passed, None, 0, judged).line())
        return passed
    texts = entry.texts(words.language)
    paper.heading(f"{words('lesson', number=entry.lesson.number)} · {texts.title}")
    telling.tell(entry, run, judged, paper, words)
    paper.say(telling.predicted(entry, texts, run, words))
    return passed


def check_all(lessons: list[LessonFolder], given: dict[str, str], words: Words, *, as_json: bool) -> bool:
    """Play lessons and judge them, a line each; whether all passed that could be played here.

    Args:
        lessons: Which.
        given: Values of their parameters.
        words: In whose language.
        as_json: A JSON object a lesson, instead of words.

    Raises:
        LessonError: a parameter cannot have its value.
    """
    paper, forbidden = Paper(), why_no_network()
    outcomes: list[Outcome] = []
    for entry in lessons:
        title = entry.folder.name
        try:
            entry.check(words.language)
            title = entry.texts(words.language).title
        except LessonError as error:
            outcome = not_whole(entry, error, words)
        else:
            if not as_json and paper.is_terminal:
                _bar(len(outcomes), len(lessons), title)
            if forbidden and entry.lesson.needs_lab:
                outcome = Outcome(entry.number, False, forbidden, 0, [])
            else:
                outcome = check(entry, entry.lesson.values(given), words)
        outcomes.append(outcome)
        if as_json:
            print(outcome.line(), flush=True)
        else:
            _result(title, outcome, paper, words)
    if not as_json and len(lessons) > 1:
        seconds = f"{sum(it.seconds for it in outcomes):.1f}"
        passed = sum(it.passed for it in outcomes)
        skipped = sum(it.skipped is not None for it in outcomes)
        key = "of-all-skipped" if skipped else "of-all"
        paper.say(words(key, passed=passed, number=len(outcomes), seconds=seconds, skipped=skipped))
    good = all(it.passed or it.skipped for it in outcomes)
    return good and any(it.passed for it in outcomes)


def _bar(done: int, number: int, title: str) -> None:
    """How far it is; the next line is written over it."""
    full = round(20 * done / number)
    sys.stdout.write(f"\r\x1b[K{'█' * full}{'░' * (20 - full)} {done}/{number}  {title}")
    sys.stdout.flush()


def _result(title: str, outcome: Outcome, paper: Paper, words: Words) -> None:
    if paper.is_terminal:
        sys.stdout.write("\r\x1b[K")
    mark, word = (
        ("○", "skipped") if outcome.skipped else ("✓", "passed") if outcome.passed else ("✗", "failed")
    )
    number = "?" if outcome.lesson is None else outcome.lesson
    paper.say(f"{title}  {words(word)}  {outcome.seconds:.1f} s", first=f"{mark} {number:>2}  ")
    if outcome.skipped:
        paper.say(words.say(outcome.skipped), first="      ")
    for verdict in outcome.checks:
        if not verdict.passed:
            why = verdict.lacks or verdict.missing
            paper.say(
                words("because", what=verdict.claim, why=words.say(why)) if why else verdict.claim,
                first="      ",
            )
