"""Lines of a picture as an SVG file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

    from evloop_trace.views.cells import Line

__all__ = ["svg"]


def svg(lines: Sequence[Line], width: int, title: str) -> str:
    """The lines on a terminal of `width` columns, and as many lines as there are."""
    console = Console(
        file=io.StringIO(), record=True, width=width, height=len(lines), force_terminal=True,
        color_system="truecolor", legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(_Still(lines), end="")
    return console.export_svg(title=title)


class _Still:
    """Lines whose spaces at the ends of segments stand alone: some SVG readers strip them."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            for segment in line:
                yield from _apart(segment)
            yield Segment.line()


def _apart(segment: Segment) -> Iterator[Segment]:
    text, style, _ = segment
    bare = text.strip(" ")
    if not bare or bare == text or (style and style.reverse):
        yield segment
        return
    start = text.index(bare)
    for part in (text[:start], bare, text[start + len(bare) :]):
        if part:
            yield Segment(part, style)
