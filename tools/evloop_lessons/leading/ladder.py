"""The ladder of a run: while it grows, on the terminal's other screen; and whole, as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evloop_trace.views.cells import exact
from evloop_trace.views.palette import BOLD, DIM, TITLE
from evloop_trace.views.timeline import TimelinePanel, TimelineView
from rich.segment import Segment

from evloop_lessons.leading.prose import paragraph
from evloop_lessons.leading.repeats import shortened
from evloop_lessons.lesson import PACKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from evloop_trace.apps.terminal import Terminal
    from evloop_trace.views.cells import Line

    from evloop_lessons.leading.repeats import LeftOut
    from evloop_lessons.leading.words import Words
    from evloop_lessons.run import Run

__all__ = ["Screen", "whole"]

FRAME = 0.08  # seconds from one frame to the next, at least
SHARE = 4  # and so many times what a frame costs: who plays needs the processor, too


def whole(run: Run, steps: Mapping[str, str], width: int, words: Words) -> Iterator[Line]:
    """All of it; of what a program does again and again, the beginning and the end."""
    entries, left_out = shortened(run.entries, words("round"))
    view = TimelineView(
        width,
        _labels(run),
        packets=PACKETS not in run.lacks or bool(_packets(run)),
        captions=_captions(run, steps, left_out, words),
        say=words.say,
    )
    return view.lines(entries)


def _labels(run: Run) -> list[str]:
    return run.labels if len(run.labels) > 1 else []


def _packets(run: Run) -> list[object]:
    return [*run.packets()]


def _captions(
    run: Run, steps: Mapping[str, str], left_out: Iterable[LeftOut], words: Words
) -> list[tuple[int, str]]:
    said = [(it.t, _plain(steps.get(it.name, it.name))) for it in run.steps]
    said += [(it.t, words("again", number=f"{it.turns:,}")) for it in left_out]
    return sorted(said)


def _plain(text: str) -> str:
    return text.replace("`", "")


class Screen:
    """What there is of a run by now, drawn again and again on the terminal's other screen."""

    def __init__(self, title: str, steps: Mapping[str, str], words: Words, *, packets: bool = True) -> None:
        """`steps` are their sentences, by their names; `packets`: there is a capture."""
        self._title, self._steps, self._words, self._captured = title, steps, words, packets
        self._due = 0.0
        self.caption = ""
        """What is said at the bottom."""

    def frame(self, run: Run, size: tuple[int, int]) -> list[Line]:
        """A screen."""
        width, height = size
        panel = TimelinePanel(
            _labels(run),
            most=len(run.entries) + 1,
            packets=self._captured,
            say=self._words.say,
            begins=True,
        )
        entries, left_out = shortened(run.entries, self._words("round"))
        panel.view.captions = _captions(run, self._steps, left_out, self._words)
        for entry in entries:
            panel.append(entry)
        panel.silence = run.silence
        bottom = paragraph(self.caption, width, "▸ ", style=BOLD) if self.caption else []
        bottom = bottom[: max(1, min(3, height // 4))]
        room = height - 2 - len(bottom)
        lines: list[Line] = [exact([Segment(self._title, TITLE)], width)]
        if run.entries:
            lines += [panel.heading(width), *panel.lines(width, room)]
        lines += [[Segment("", DIM)]] * (height - len(lines) - len(bottom))
        return [exact(it, width) for it in [*lines, *bottom]][:height]

    def draw(self, terminal: Terminal, run: Callable[[], Run], *, now: bool = False) -> None:
        """A frame, if one is due."""
        start = time.monotonic()
        if start < self._due and not now:
            return
        size = terminal.size()
        terminal.draw(self.frame(run(), size), size)
        self._due = start + max(FRAME, SHARE * (time.monotonic() - start))
