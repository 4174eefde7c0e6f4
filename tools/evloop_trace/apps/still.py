"""One moment of a log, or of several, as an SVG file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from evloop.events.reader import Problem
from evloop_trace.correlate.meeting import Meeting, Told, crossing
from evloop_trace.logs import open_logs
from evloop_trace.model.filters import due
from evloop_trace.model.picture import Picture
from evloop_trace.tape import programs
from evloop_trace.views.meeting import screen_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import ConsoleOptions, RenderResult

    from evloop_trace.logs import Logs
    from evloop_trace.replay import Problems
    from evloop_trace.views.cells import Line

__all__ = ["still"]


def still(
    paths: Sequence[str], at: int | None, size: tuple[int, int], problems: Problems | None = None
) -> str:
    """The picture of logs at the time `at`, or at their end, in `size` columns and lines.

    Raises:
        LogError: one cannot be read.
    """
    picture = picture_at(paths, at, problems)
    width, height = size
    now = picture.t if at is None or getattr(picture, "end", None) else max(at, picture.t)
    console = Console(
        file=io.StringIO(), record=True, width=width, height=height, force_terminal=True,
        color_system="truecolor", legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(_Still(screen_of(picture, now).lines(width, height)), end="")
    return console.export_svg(title="evloop")


def picture_at(paths: Sequence[str], at: int | None, problems: Problems | None = None) -> Picture | Meeting:
    """The fold of logs' events up to a time; the broken lines among them go to `problems`."""
    with open_logs(paths) as logs:
        if logs.meet:
            return _meeting_at(logs, at, problems)
        picture = Picture()
        for log, block in logs.runs():
            for item in block.items:
                if isinstance(item, Problem):
                    if problems:
                        problems.add(log.name, item)
                    continue
                if at is not None and due(item) > at:
                    return picture
                picture.apply(item)
    return picture


def _meeting_at(logs: Logs, at: int | None, problems: Problems | None) -> Meeting:
    """The logs are read to their end, which tells who is a client and who a server."""
    meeting = Meeting.of(programs(logs))
    for row in (row for rows in logs.rows() for row in rows):
        if isinstance(row.item, Problem):
            if problems:
                problems.add(logs.logs[row.log].name, row.item)
        elif at is None or due(row.item) <= at:
            meeting.apply(Told(row.item, crossing(row, logs.joiner)))
    meeting.programs = programs(logs)
    return meeting


class _Still:
    """Lines whose spaces at the ends of segments stand alone: some SVG readers strip them."""

    def __init__(self, lines: list[Line]) -> None:
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
