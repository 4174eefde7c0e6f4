"""A lesson from its title to what to try next: scene, question, run, check, why."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from evloop_trace.apps.terminal import Terminal, suspended_well

from evloop_lessons.judging import judge
from evloop_lessons.leading.again import Again
from evloop_lessons.leading.ladder import Screen, whole
from evloop_lessons.leading.report import write_report
from evloop_lessons.leading.telling import predicted, tell
from evloop_lessons.lesson import PACKETS
from evloop_lessons.library import again
from evloop_lessons.plan import read_plan, write_plan
from evloop_lessons.reading import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.performance import Performance
    from evloop_lessons.leading.words import Words
    from evloop_lessons.library import LessonFolder
    from evloop_lessons.run import Run

__all__ = ["Leader", "Manner"]

LOOK = 0.02  # seconds from one question for news to the next


class Manner(NamedTuple):
    """How a lesson is led."""

    pace: str = ""
    """`pace` waits for Enter at every step, `slow` takes its time."""
    save: Path | None = None


class Leader:
    """Leads a student through one lesson, whose question has been asked."""

    def __init__(self, entry: LessonFolder, manner: Manner, paper: Paper, words: Words) -> None:
        self._entry, self._manner, self._paper, self._words = entry, manner, paper, words
        self._texts = entry.texts(words.language)

    def lead(self, performance: Performance, folder: Path, prediction: str) -> bool:
        """From the first step to what to try next; whether all was seen that must be.

        Args:
            performance: Plays it; it has begun to prepare itself.
            folder: Where.
            prediction: What the student has said.

        Raises:
            LessonError: it cannot be played.
        """
        entry, manner, paper, words = self._entry, self._manner, self._paper, self._words
        self._begin()
        self._play(performance, folder)
        if prediction:
            write_plan(folder, msgspec.structs.replace(read_plan(folder), prediction=prediction))
        run = read_run(folder, read_plan(folder))
        passed = self._close(run)
        if manner.save:
            write_report(entry, run, folder, words)
            command = again([entry], entry.lesson.number, folder)
            paper.space()
            paper.say(words("saved", folder=_code(str(folder)), command=_code(command)))
        return passed

    def replay(self, folder: Path) -> bool:
        """Show a saved run again, on a terminal as it grew; whether all was seen that must be.

        Raises:
            LessonError: there is none.
        """
        run = read_run(folder, read_plan(folder, self._entry.lesson))
        self._begin()
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

    def _begin(self) -> None:
        if self._manner.pace == "pace":
            self._paper.pause(self._words("ready"))

    # -- while it runs ---------------------------------------------------------------------------------

    def _screen(self) -> Screen:
        title = f" {self._words('lesson', number=self._entry.lesson.number)} · {self._texts.title} "
        captured = PACKETS in self._entry.lesson.needs
        return Screen(title, self._texts.steps, self._words, packets=captured)

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[Terminal | None]:
        """The other screen, if there is one; keys that are pressed while it is there are not the shell's."""
        if not self._paper.is_terminal:
            yield None
            return
        with Terminal() as terminal, suspended_well(terminal):
            try:
                yield terminal
            finally:
                self._paper.forget_keys()

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
        paper.lines(whole(run, texts.steps, paper.width, words))
        self._turn()
        judged = judge(entry.claims, texts.claims, run)
        paper.space()
        tell(entry, run, judged, paper, words)
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


def _code(text: str) -> str:
    """In backquotes, which show it as code and leave no word of it out; they are not for what has some."""
    return text if "`" in text else f"`{text}`"
