"""The whole picture of several logs: a line for each program, and one ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from rich.segment import Segment

from evloop_trace.correlate.meeting import Meeting
from evloop_trace.escape import escape_text
from evloop_trace.numbers import clock, count, duration, size
from evloop_trace.views.cells import Line, Panel, exact, fit, spread
from evloop_trace.views.lanes import LanesPanel
from evloop_trace.views.notice import LADDER_ROOM, NoticePanel
from evloop_trace.views.palette import BOLD, DIM, TITLE, TROUBLE
from evloop_trace.views.screen import Screen
from evloop_trace.views.waits import about

if TYPE_CHECKING:
    from evloop_trace.correlate.meeting import Program
    from evloop_trace.model.lint import Notice
    from evloop_trace.model.picture import Picture

__all__ = ["MeetingScreen", "screen_of"]

_PROGRAMS = 4  # lines at most, if there is little room


class MeetingScreen(Panel):
    """Programs and ladder, from the top down."""

    def __init__(self, meeting: Meeting, now: int, status: str = "", notice: Notice | None = None) -> None:
        """`notice` is what the lints have found in one of the programs, if they have."""
        self.meeting = meeting
        self.notice = NoticePanel(notice) if notice is not None else None
        self.now = now
        self.status = status
        self.ladder = LanesPanel(meeting)

    def lines(self, width: int, height: int) -> list[Line]:
        """Exactly `height` lines of exactly `width` cells."""
        width, height = max(1, width), max(1, height)
        lines = [self._title(width), *self._programs(width, max(_PROGRAMS, height // 4))]
        if self.notice is not None:
            room = height - len(lines) - 1 - LADDER_ROOM
            lines += self.notice.lines(width, max(1, min(self.notice.rows(width), room)))
        lines = [exact(line, width) for line in lines]
        ladder = self.ladder.lines(width, height - len(lines) - 1)
        lines += [self.ladder.heading(width), *ladder]
        blank = exact([], width)
        return (lines + [blank] * (height - len(lines)))[:height]

    def _title(self, width: int) -> Line:
        left = [Segment(" evloop ", TITLE), Segment(f" {self.status}", BOLD)]
        right = [Segment(f"{clock(self.now)} s ", DIM)]
        return spread(left, right, width)

    def _programs(self, width: int, most: int) -> list[Line]:
        both = list(zip(self.meeting.programs, self.meeting.pictures, strict=True))
        both.sort(key=lambda it: not it[0].client)  # as in the ladder: who stands left comes first
        shown = both if len(both) <= most else both[: most - 1]
        names = max(6, *[len(escape_text(_label(program))) for program, _ in shown])
        lines = [self._program(*it, min(names, width // 4)) for it in shown]
        if len(shown) < len(both):
            lines.append([Segment(f" and {count(len(both) - len(shown))} more programs", DIM)])
        return lines

    def _program(self, program: Program, picture: Picture, names: int) -> Line:
        header = picture.header
        pid = f"pid {header.pid}" if header is not None else "has not begun"
        moved = f"sent {size(picture.sent)}, received {size(picture.received)}"
        line = [
            Segment(f" {fit(escape_text(_label(program)), names)}", BOLD),
            Segment(f"  {pid:<10}", DIM),
            Segment(f"  {f'{count(picture.open)} open':<8}"),
        ]
        if does := self._does(picture):
            line.append(Segment(f"  {does}"))
        line.append(Segment(f"  {moved}", DIM))
        if picture.lost:
            line.insert(1, Segment(f"  {count(picture.lost)} events lost", TROUBLE))
        return line

    def _does(self, picture: Picture) -> str:
        """What it is at."""
        if picture.end is not None:
            return f"ended: {escape_text(picture.end.reason)}"
        asleep = [(it.asleep(self.now), it.block) for it in picture.threads.values() if it.block]
        if not asleep:
            return ""
        longest, block = max(asleep, key=lambda it: it[0])
        others = f" and {count(len(asleep) - 1)} more" if len(asleep) > 1 else ""
        return f"in {about(block)} for {duration(longest)}{others}"


def screen_of(picture: Picture | Meeting, now: int, status: str = "", notice: Notice | None = None) -> Panel:
    """The screen for one log, or for several; `notice` is what the lints have found, if they have."""
    if isinstance(picture, Meeting):
        picture = _alone(picture) or picture
    if isinstance(picture, Meeting):
        return MeetingScreen(picture, now, status, notice)
    return Screen(picture, now, status, notice=notice)


def _alone(meeting: Meeting) -> Picture | None:
    """The picture of a program that is by itself, and has not both ends of a connection."""
    if len(meeting.pictures) > 1 or any(seen.crossing.names for seen in meeting.ladder):
        return None
    return replace(meeting.pictures[0], ladder=[seen.event for seen in meeting.ladder])


def _label(program: Program) -> str:
    return program.label or "program"
