"""A saved run as Markdown and a picture, for who reads it later."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evloop_trace.apps.svg import svg

from evloop_lessons.judging import judge
from evloop_lessons.leading.ladder import whole
from evloop_lessons.leading.telling import MARKS, founded, predicted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from evloop_lessons.judging import Verdict
    from evloop_lessons.leading.words import Words
    from evloop_lessons.library import LessonFolder
    from evloop_lessons.run import Run

__all__ = ["PICTURE", "REPORT", "picture", "report", "write_report"]

REPORT, PICTURE = "report.md", "ladder.svg"
WIDTH = 110  # columns
_MARKUP = re.compile(r"[\\`*_<>\[\]|]")  # what Markdown would take for its own


def write_report(entry: LessonFolder, run: Run, folder: Path, words: Words) -> None:
    """Write both into the run's folder."""
    (folder / REPORT).write_text(report(entry, run, words, PICTURE), encoding="utf-8")
    (folder / PICTURE).write_text(picture(entry, run, words), encoding="utf-8")


def picture(entry: LessonFolder, run: Run, words: Words) -> str:
    """The whole ladder as SVG."""
    texts = entry.texts(words.language)
    return svg([*whole(run, texts.steps, WIDTH, words)], WIDTH, _title(entry, words))


def report(entry: LessonFolder, run: Run, words: Words, ladder: str) -> str:
    """The lesson, and what became of its claims; `ladder` is where the picture is."""
    texts = entry.texts(words.language)
    judged = judge(entry.claims, texts.claims, run)
    parts = [
        f"# {_title(entry, words)}",
        *texts.scene,
        f"## {words('question')}",
        *texts.question,
        _list(f"`{key}`: {it}" for key, it in texts.choices.items()),
        predicted(entry, texts, run, words),
        f"![{texts.title}]({ladder})",
        f"## {words('check')}",
        _list(_judged(it, words) for it in judged),
        *(f"> {words.say(it)}" for it in run.remarks),
        f"## {words('why')}",
        *texts.why,
        f"## {words('next')}",
        *texts.next,
        f"## {words('source')}",
        _list(f"`{path}`: {it}" for path, it in texts.source.items()),
    ]  # fmt: skip
    return "\n\n".join(it for it in parts if it) + "\n"


def _judged(verdict: Verdict, words: Words) -> str:
    founding = [_MARKUP.sub(r"\\\g<0>", it) for it in founded(verdict, words)]
    return "\n  - ".join([f"{MARKS[verdict.passed]} {verdict.claim}", *founding])


def _title(entry: LessonFolder, words: Words) -> str:
    return f"{words('lesson', number=entry.lesson.number)} · {entry.texts(words.language).title}"


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {it}" for it in items)
