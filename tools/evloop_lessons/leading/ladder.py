"""The ladder of a run: while it grows, on the terminal's other screen; and whole, as lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evloop_trace.views.cells import exact
from evloop_trace.views.palette import BOLD, DIM, TITLE
from evloop_trace.views.timeline import TimelinePanel, TimelineView
from rich.segment import Segment

from evloop_lessons.leading.prose import paragraph
from evloop_lessons.lesson import PACKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evloop_trace.apps.terminal import Terminal
    from evloop_trace.views.cells import Line

    from evloop_lessons.run import Run

__all__ = ["Screen", "whole"]

FRAME = 0.08  # seconds from one frame to the next, at least
SHARE = 4  # and so many times what a frame costs: who plays needs the processor, too


def whole(run: Run, steps: Mapping[str, str], width: int) -> Iterator[Line]:
    """All of it."""
    view = TimelineView(
        width,
        _labels(run),
        packets=PACKETS not in run.lacks or bool(_packets(run)),
        captions=_captions(run, steps),
    )
    return view.lines(run.entries)


def _labels(run: Run) -> list[str]:
    return run.labels if len(run.labels) > 1 else []


def _packets(run: Run) -> list[object]:
    return [*run.packets()]


def _captions(run: Run, steps: Mapping[str, str]) -> list[tuple[int, str]]:
    return [(it.t, _plain(steps.get(it.name, it.name))) for it in run.steps]


def _plain(text: str) -> str:
    return text.replace("`", "")


class Screen:
    """What there is of a run by now, drawn again and again on the terminal's other screen."""

    def __init__(self, title: str, steps: Mapping[str, str]) -> None:
        """`steps` are their sentences, by their names."""
        self._title, self._steps = title, steps
        self._due = 0.0
        self.caption = ""
        """What is said at the bottom."""

    def frame(self, run: Run, size: tuple[int, int]) -> list[Line]:
        """A screen."""
        width, height = size
        panel = TimelinePanel(_labels(run), most=len(run.entries) + 1)
        panel.view.captions = _captions(run, self._steps)
        for entry in run.entries:
            panel.append(entry)
        bottom = paragraph(self.caption, width, "▸ ", style=BOLD)[:3] if self.caption else []
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
