"""One moment of a log, or of several, as an SVG file."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from evloop.events.reader import Problem
from evloop_trace.apps.svg import svg
from evloop_trace.correlate.meeting import Meeting, Told, crossing
from evloop_trace.logs import open_logs
from evloop_trace.model.filters import due
from evloop_trace.model.lint import Trail
from evloop_trace.model.picture import Picture
from evloop_trace.tape import programs
from evloop_trace.views.meeting import screen_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.logs import Logs
    from evloop_trace.replay import Problems

__all__ = ["still"]


def still(
    paths: Sequence[str], at: int | None, size: tuple[int, int], problems: Problems | None = None
) -> str:
    """The picture of logs at the time `at`, or at their end, in `size` columns and lines.

    Raises:
        LogError: one cannot be read.
    """
    trail = Trail()
    picture = picture_at(paths, at, problems, trail)
    width, height = size
    now = picture.t if at is None or getattr(picture, "end", None) else max(at, picture.t)
    return svg(screen_of(picture, now, notice=trail.at()).lines(width, height), width, "evloop")


def picture_at(
    paths: Sequence[str], at: int | None, problems: Problems | None = None, trail: Trail | None = None
) -> Picture | Meeting:
    """The fold of logs' events up to a time, which `trail` sees, too; broken lines go to `problems`."""
    trail = trail or Trail()
    with open_logs(paths) as logs:
        if logs.meet:
            return _meeting_at(logs, at, problems, trail)
        picture = Picture()
        for log, block in logs.runs():
            past = list(
                takewhile(
                    lambda item: isinstance(item, Problem) or at is None or due(item) <= at, block.items
                )
            )
            for item in past:
                if not isinstance(item, Problem):
                    picture.apply(item)
                elif problems:
                    problems.add(log.name, item)
            trail.feed(past)
            if len(past) < len(block.items):
                break
    return picture


def _meeting_at(logs: Logs, at: int | None, problems: Problems | None, trail: Trail) -> Meeting:
    """The logs are read to their end, which tells who is a client and who a server."""
    meeting = Meeting.of(programs(logs))
    for row in (row for rows in logs.rows() for row in rows):
        if isinstance(row.item, Problem):
            if problems:
                problems.add(logs.logs[row.log].name, row.item)
        elif at is None or due(row.item) <= at:
            meeting.apply(Told(row.item, crossing(row, logs.joiner)))
            trail.feed([row.item], row.log)
    meeting.programs = programs(logs)
    return meeting
