"""A run that is over, shown as it grew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from evloop_lessons.plan import THINK

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.apps.terminal import Terminal

    from evloop_lessons.leading.ladder import Screen
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.run import Run

__all__ = ["LONGEST", "Again"]

LONGEST = 1.0  # seconds of a pause in which nothing happens: the rest of it is left out


class Again:
    """Draws a run at the pace at which it was recorded; Enter or the space bar goes to the next stop."""

    def __init__(self, run: Run, screen: Screen, terminal: Terminal, paper: Paper) -> None:
        self._run, self._screen, self._terminal, self._paper = run, screen, terminal, paper
        self._now = self._until = 0  # on the run's clock: what is shown, and what comes next

    def play(
        self, pace: str, sentence: Callable[[str], str], stop: Callable[[Callable[[], None]], None]
    ) -> None:
        """From the beginning to the end, where nothing waits.

        Args:
            pace: `pace`: a stop at every step; `slow`: some time.
            sentence: Of a step.
            stop: Waits until somebody wants to go on, and draws meanwhile as it is told to.
        """
        names = {it.t: it.name for it in self._run.steps}
        times = sorted({*names, *(it.t for it in self._run.entries)})
        due, skipped = time.monotonic(), False
        for before, t in zip(times[:1] + times, times, strict=False):
            due += min((t - before) / 1e9, LONGEST)
            self._until = t
            skipped = skipped or self._paper.key(due, self._draw)
            if t in names:
                self._screen.caption = sentence(names[t])
                if pace == "pace":
                    stop(self._draw)
                    due, skipped = time.monotonic(), False
                due += THINK * (pace == "slow")
            self._now = t
        self._screen.draw(self._terminal, self._cut, now=True)

    def _draw(self) -> None:
        self._screen.draw(self._terminal, self._cut)

    def _cut(self) -> Run:
        """What there was by now."""
        entries = [it for it in self._run.entries if it.t <= self._now]
        steps = [it for it in self._run.steps if it.t <= self._now]
        why = next((it.quiet for it in self._run.entries[len(entries) :]), "")
        return msgspec.structs.replace(self._run, entries=entries, steps=steps, silence=(self._until, why))
