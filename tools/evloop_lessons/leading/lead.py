"""A lesson from its title to what to try next: scene, question, run, check, why."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from evloop_trace.apps.terminal import Terminal
from evloop_trace.views.palette import DIM, PLAIN, TROUBLE

from evloop_lessons.judging import happened, judge, numbers
from evloop_lessons.leading.again import Again
from evloop_lessons.leading.ladder import Screen, whole
from evloop_lessons.plan import PLAN, read_plan
from evloop_lessons.reading import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from evloop_lessons.judging import Evidence, Verdict
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.performance import Performance
    from evloop_lessons.leading.words import Words
    from evloop_lessons.library import LessonFolder
    from evloop_lessons.run import Run
    from evloop_lessons.texts import Texts

__all__ = ["Leader", "Manner", "check_lines", "predicted", "report", "verdicts"]

LOOK = 0.02  # seconds from one question for news to the next
MOST_CITED = 6  # pieces of evidence that are told of a log


class Manner(NamedTuple):
    """How a lesson is led."""

    ask: bool = True
    pace: str = ""
    """`pace` waits for Enter at every step, `slow` takes its time."""
    save: Path | None = None


class Leader:
    """Leads a student through one lesson."""

    def __init__(self, entry: LessonFolder, manner: Manner, paper: Paper, words: Words) -> None:
        self._entry, self._manner, self._paper, self._words = entry, manner, paper, words
        self._texts = entry.texts(words.language)

    def lead(self, performance: Performance, folder: Path) -> bool:
        """From the title to what to try next; whether all was seen that must be.

        Args:
            performance: Plays it; it has begun to prepare itself.
            folder: Where.

        Raises:
            LessonError: it cannot be played.
        """
        entry, manner, paper, words = self._entry, self._manner, self._paper, self._words
        self._open()
        prediction = self._question() if manner.ask else ""
        if manner.pace == "pace":
            paper.pause(words("ready"))
        self._play(performance, folder)
        if prediction:
            plan = msgspec.structs.replace(read_plan(folder), prediction=prediction)
            (folder / PLAN).write_bytes(msgspec.json.encode(plan))
        passed = self._close(read_run(folder, read_plan(folder)))
        if manner.save:
            (folder / "report.md").write_text(report(entry, folder, words), encoding="utf-8")
            again = f"`evloop lesson {entry.lesson.number} --replay {folder}`"
            paper.space()
            paper.say(words("saved", folder=f"`{folder}`", command=again))
        return passed

    def replay(self, folder: Path) -> bool:
        """Show a saved run again, on a terminal as it grew; whether all was seen that must be.

        Raises:
            LessonError: there is none.
        """
        run = read_run(folder, read_plan(folder))
        self._open()
        if self._manner.pace == "pace":
            self._paper.pause(self._words("ready"))
        with self._terminal() as terminal:
            if terminal:
                self._again(run, terminal)
        return self._close(run)

    def _again(self, run: Run, terminal: Terminal) -> None:
        screen = self._screen()
        hint = "" if self._manner.pace == "pace" else f" [{self._words('to-the-end')}]"
        Again(run, screen, terminal, self._paper).play(
            self._manner.pace,
            lambda name: self._texts.steps[name] + hint,
            lambda draw: self._stop(screen, draw),
        )

    # -- before ----------------------------------------------------------------------------------------

    def _open(self) -> None:
        lesson, words = self._entry.lesson, self._words
        title = f"{words('lesson', number=lesson.number)} · {self._texts.title}"
        self._paper.heading(title, words("minutes", minutes=lesson.minutes))
        self._paper.space()
        self._paper.say(*self._texts.scene)
        self._paper.space()
        self._paper.heading(words("question"))
        self._paper.say(*self._texts.question)
        for key, text in self._texts.choices.items():
            self._paper.say(text, first=f"  {key}  ")

    def _question(self) -> str:
        """What the student says will happen."""
        paper, words, choices = self._paper, self._words, self._texts.choices
        keys = ", ".join(choices)
        while paper.asks:
            given = paper.ask(words("answer-choice", keys=keys) if keys else words("answer-number"))
            if not given or given in choices or (not keys and given.lstrip("-").isdigit()):
                return given
            wrong = "not-a-choice" if keys else "not-a-number"
            paper.say(words(wrong, given=given, keys=keys))
        return ""

    # -- while it runs ---------------------------------------------------------------------------------

    def _screen(self) -> Screen:
        title = f" {self._words('lesson', number=self._entry.lesson.number)} · {self._texts.title} "
        return Screen(title, self._texts.steps)

    def _terminal(self) -> AbstractContextManager[Terminal | None]:
        return Terminal() if self._paper.is_terminal else contextlib.nullcontext()

    def _play(self, performance: Performance, folder: Path) -> None:
        screen = self._screen()
        screen.caption = self._words("setting-up")
        with self._terminal() as terminal:

            def draw(*, now: bool = False) -> None:
                if terminal:
                    screen.draw(terminal, lambda: read_run(folder, performance.plan, whole=False), now=now)

            draw(now=True)
            performance.until("ready")
            performance.go()
            while not performance.over:
                for word in performance.words(LOOK):
                    if word.word == "step":
                        screen.caption = self._texts.steps[word.about]
                        if performance.pace == "pace":
                            self._stop(screen, draw)
                            performance.go()
                draw()

    def _stop(self, screen: Screen, draw: Callable[[], None]) -> None:
        """Let everybody look, until somebody presses Enter."""
        paper, go_on = self._paper, self._words("go-on")
        paper.forget_keys()
        if not paper.is_terminal:
            paper.say(screen.caption)
            paper.pause(go_on)
            return
        said, screen.caption = screen.caption, f"{screen.caption} [{go_on}]"
        paper.key(math.inf, draw)
        screen.caption = said

    # -- afterwards ------------------------------------------------------------------------------------

    def _close(self, run: Run) -> bool:
        """The ladder, the check, and what there is to say; whether all was seen that must be."""
        entry, texts, paper, words = self._entry, self._texts, self._paper, self._words
        paper.space()
        paper.lines(whole(run, texts.steps, paper.width))
        self._turn()
        judged = judge(entry.claims, texts.claims, run)
        paper.space()
        check_lines(run, judged, paper, words)
        paper.say(predicted(entry, texts, run, words))
        for key, paragraphs in (("why", texts.why), ("next", texts.next)):
            self._turn()
            paper.space()
            paper.heading(words(key))
            for at, it in enumerate(paragraphs):
                if at and not it.startswith("- "):
                    paper.space()
                paper.say(it)
        paper.space()
        paper.heading(words("source"))
        for path, text in texts.source.items():
            paper.say(f"`{path}` {text}", first="  ", then="    ")
        return all(it.passed for it in judged)

    def _turn(self) -> None:
        if self._manner.pace == "pace":
            self._paper.pause(self._words("go-on"))


def check_lines(run: Run, judged: list[Verdict], paper: Paper, words: Words) -> None:
    """What was judged, and what is to be said of the files."""
    paper.heading(words("check"))
    for remark in run.remarks:
        paper.say(remark, first="  ! ")
    for verdict in judged:
        _verdict(verdict, paper, words)
    paper.space()


def predicted(entry: LessonFolder, texts: Texts, run: Run, words: Words) -> str:
    """The student's answer beside what happened."""
    was, said = happened(entry.outcome, run, entry.lesson.needs), run.prediction
    if not was:
        return words("unknown")
    shown = {key: f"{key} ({text.rstrip('.。')})" for key, text in texts.choices.items()}
    if not said:
        return words("was", was=shown.get(was, was))
    return words("right" if said == was else "predicted", said=shown.get(said, said), was=shown.get(was, was))


_MARKS = {True: "✓", False: "✗", None: "○"}


def _verdict(verdict: Verdict, paper: Paper, words: Words) -> None:
    paper.say(
        verdict.claim,
        first=f"  {_MARKS[verdict.passed]} ",
        style=TROUBLE if verdict.passed is False else PLAIN,
    )
    for line in founded(verdict, words):
        paper.say(line, first="      ", style=DIM)


def founded(verdict: Verdict, words: Words) -> list[str]:
    """What a verdict is founded on, a line for each file."""
    if verdict.lacks:
        return [words("void", why=verdict.lacks)]
    if verdict.missing:
        return [words("not-there", what=verdict.missing)]
    lines: list[str] = []
    alike: dict[str, list[str]] = {}  # the logs of programs that did the same
    for where in dict.fromkeys(it.where for it in verdict.evidence):
        cited = [it for it in verdict.evidence if it.where == where]
        if where == "packets":
            which = numbers([it.number for it in cited])
            lines.append(f"{words('packet' if len(cited) == 1 else 'packets', numbers=which)}: {_row(cited)}")
        elif where == "sockets":
            lines += [f"{words('kernel', time=f'{it.t:.1f} ms')}: {it.what}" for it in cited[:MOST_CITED]]
        elif where:
            some = ", ".join(f"#{it.number} {it.what}" for it in cited[:MOST_CITED])
            some += " …" * (len(cited) > MOST_CITED)
            alike.setdefault(some, []).append(where)
        else:
            lines += [it.what for it in cited]
    return [f"{', '.join(whose)}: {some}" for some, whose in alike.items()] + lines


def _row(cited: list[Evidence]) -> str:
    """Packets in a row, in the notation of letters."""
    some = " ".join(it.what.replace(" ", "") for it in cited[: 4 * MOST_CITED])
    return some + (" …" if len(cited) > 4 * MOST_CITED else "")


def verdicts(entry: LessonFolder, folder: Path, language: str) -> tuple[Run, list[Verdict]]:
    """What is to be said of a saved run.

    Raises:
        LessonError: there is none.
    """
    run = read_run(folder, read_plan(folder))
    return run, judge(entry.claims, entry.texts(language).claims, run)


def report(entry: LessonFolder, folder: Path, words: Words) -> str:
    """The run as Markdown, for who reads it later."""
    texts = entry.texts(words.language)
    run, judged = verdicts(entry, folder, words.language)
    ladder = "\n".join("".join(part.text for part in line).rstrip() for line in whole(run, texts.steps, 120))
    lines = [f"# {words('lesson', number=entry.lesson.number)} · {texts.title}", *texts.scene]
    lines += [
        f"## {words('question')}",
        *texts.question,
        *(f"- `{key}`: {it}" for key, it in texts.choices.items()),
    ]
    lines += [predicted(entry, texts, run, words), f"```\n{ladder}\n```", f"## {words('check')}"]
    for verdict in judged:
        founding = "".join(f"\n  - {it}" for it in founded(verdict, words))
        lines.append(f"- {_MARKS[verdict.passed]} {verdict.claim}{founding}")
    lines += [f"## {words('why')}", *texts.why]
    return "\n\n".join(lines) + "\n"
