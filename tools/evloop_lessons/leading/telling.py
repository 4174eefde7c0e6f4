"""What is said of what was judged, in the reader's language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.views.palette import DIM, PLAIN, TROUBLE

from evloop_lessons.judging import happened, judge, numbers
from evloop_lessons.plan import read_plan
from evloop_lessons.reading import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from evloop_lessons.judging import Evidence, Verdict
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.words import Words
    from evloop_lessons.lesson import Lesson
    from evloop_lessons.library import LessonFolder
    from evloop_lessons.run import Run
    from evloop_lessons.texts import Texts

__all__ = ["MARKS", "excuse", "founded", "predicted", "tell", "verdicts"]

MOST_CITED = 6  # pieces of evidence that are told of a log
MARKS = {True: "✓", False: "✗", None: "○"}
"""Before a claim: it holds, it does not, it could not be judged."""


def tell(entry: LessonFolder, run: Run, judged: list[Verdict], paper: Paper, words: Words) -> None:
    """What was judged, and what is to be said of the files."""
    paper.heading(words("check"))
    for remark in run.remarks:
        paper.say(words.say(remark), first="  ! ")
    for verdict in judged:
        _verdict(verdict, paper, words)
    paper.space()
    if why := excuse(entry.lesson, run, judged, words):
        paper.say(why)
        paper.space()


def excuse(lesson: Lesson, run: Run, judged: list[Verdict], words: Words) -> str:
    """What was changed, if something does not hold; empty if nothing was."""
    changed = [
        f"{it.name}={run[it.name]}" for it in lesson.parameters if run.parameters.get(it.name) != it.default
    ]
    failed = any(it.passed is False for it in judged)
    return words("changed", what=words.row(changed)) if changed and failed else ""


def predicted(entry: LessonFolder, texts: Texts, run: Run, words: Words) -> str:
    """The student's answer beside what happened."""
    was, said = happened(entry.outcome, run, entry.lesson.needs), run.prediction
    if not was:
        return words("unknown")
    shown = {key: words("choice", which=key, text=text.rstrip(".。")) for key, text in texts.choices.items()}
    if not said:
        return words("was", was=shown.get(was, was))
    return words("right" if said == was else "predicted", said=shown.get(said, said), was=shown.get(was, was))


def _verdict(verdict: Verdict, paper: Paper, words: Words) -> None:
    paper.say(
        verdict.claim,
        first=f"  {MARKS[verdict.passed]} ",
        style=TROUBLE if verdict.passed is False else PLAIN,
    )
    for line in founded(verdict, words):
        paper.say(line, first="      ", style=DIM)


def founded(verdict: Verdict, words: Words) -> list[str]:
    """What a verdict is founded on, a line for each file."""
    if verdict.lacks:
        return [words("void", why=words.say(verdict.lacks))]
    if verdict.missing:
        return [words("not-there", what=words.say(verdict.missing))]
    lines: list[str] = []
    alike: dict[str, list[str]] = {}  # the logs of programs that did the same
    for where in dict.fromkeys(it.where for it in verdict.evidence):
        cited = [it for it in verdict.evidence if it.where == where]
        if where == "packets":
            which = words.row(numbers([it.number for it in cited]))
            what = words("packet" if len(cited) == 1 else "packets", numbers=which)
            lines.append(words("of", what=what, said=_row(cited)))
        elif where == "sockets":
            for it in cited[:MOST_CITED]:
                when = words("kernel", time=f"{it.t:.1f} ms")
                states = words.row([words.say(state) for state in it.what.split(", ")], apart=True)
                lines.append(words("of", what=when, said=states))
        elif where:
            some = words.row([f"#{it.number} {words.say(it.what)}" for it in cited[:MOST_CITED]], apart=True)
            some += " …" * (len(cited) > MOST_CITED)
            alike.setdefault(some, []).append(where)
        else:
            lines += [it.what for it in cited]
    return [words("of", what=words.row(whose), said=some) for some, whose in alike.items()] + lines


def _row(cited: list[Evidence]) -> str:
    """Packets in a row, in the notation of letters."""
    some = " ".join(it.what.replace(" ", "") for it in cited[: 4 * MOST_CITED])
    return some + (" …" if len(cited) > 4 * MOST_CITED else "")


def verdicts(entry: LessonFolder, folder: Path, language: str) -> tuple[Run, list[Verdict]]:
    """What is to be said of a saved run.

    Raises:
        LessonError: there is none.
    """
    run = read_run(folder, read_plan(folder, entry.lesson))
    return run, judge(entry.claims, entry.texts(language).claims, run)
