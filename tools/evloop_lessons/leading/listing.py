"""Which lessons there are, and whether they can be played here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from evloop_lessons.leading.paper import Paper
from evloop_lessons.leading.performance import why_no_network
from evloop_lessons.lesson import NETWORK, PACKETS, LessonError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop_lessons.leading.words import Words
    from evloop_lessons.lesson import Lesson
    from evloop_lessons.library import LessonFolder
    from evloop_lessons.texts import Texts

__all__ = ["listing"]

_NEEDS = {PACKETS: "needs-packets", NETWORK: "needs-network"}


def listing(lessons: list[LessonFolder], words: Words) -> None:
    """Of each its number, whether it can be played here, title, minutes, what it needs, and the question."""
    paper, forbidden = Paper(), why_no_network()
    rows: list[tuple[Lesson, Texts]] = []
    broken: list[tuple[LessonFolder, str]] = []
    for entry in lessons:
        try:
            entry.check(words.language)
            rows.append((entry.lesson, entry.texts(words.language)))
        except LessonError as error:
            broken.append((entry, str(error)))
    titles = _column(texts.title for _, texts in rows)
    needs = _column(_needs(lesson, words) for lesson, _ in rows)
    for (lesson, texts), title, needed in zip(rows, titles, needs, strict=True):
        here = "✗" if forbidden and lesson.needs_lab else "✓"
        minutes = f"{lesson.minutes:>2} {words('minutes-head')}"
        first = f" {lesson.number:>2}  {here}  {title}  {minutes}  {needed}  "
        paper.say(texts.question[0], first=first)
    for entry, why in broken:
        paper.say(words("not-whole", why=why), first=f" {entry.number or '?':>2}  ✗  ")
    paper.space()
    if forbidden:
        paper.say(words("forbidden", why=words.say(forbidden)))
    paper.say(words("list"))


def _needs(lesson: Lesson, words: Words) -> str:
    return words(_NEEDS[lesson.needs[0]] if lesson.needs else "needs-nothing")


def _column(texts: Iterable[str]) -> list[str]:
    """Each as wide as the widest."""
    column = [*texts]
    widest = max(map(cell_len, column), default=0)
    return [it + " " * (widest - cell_len(it)) for it in column]
