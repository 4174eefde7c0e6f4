"""The whole picture, laid out for a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from evloop_trace.views.cells import Line, Panel, exact
from evloop_trace.views.connections import ConnectionsPanel
from evloop_trace.views.endpoints import EndpointsPanel
from evloop_trace.views.ladder import LadderPanel
from evloop_trace.views.loop_panel import LoopPanel, ProgramPanel
from evloop_trace.views.notice import LADDER_ROOM, NoticePanel
from evloop_trace.views.palette import DIM

if TYPE_CHECKING:
    from evloop_trace.model.lint import Notice
    from evloop_trace.model.picture import Picture
    from evloop_trace.views.timeline import TimelinePanel

__all__ = ["Screen"]

_TALL = 32  # rows, below which a ladder with packets needs those of the listeners
_LADDER_LEAST = 6  # rows, before anything else may have more than its first
_NOTICED = 8  # rows, below which nothing is said of the lints


class Screen(Panel):
    """Loop or threads, lints, listeners, connections and ladder, from the top down."""

    def __init__(
        self,
        picture: Picture,
        now: int,
        status: str = "",
        timeline: TimelinePanel | None = None,
        notice: Notice | None = None,
    ) -> None:
        """With a timeline, that stands in place of the ladder of calls alone; `notice` is of the lints."""
        self.loop = (ProgramPanel if picture.program else LoopPanel)(picture, now, status)
        self.notice = NoticePanel(notice) if notice is not None else None
        self.endpoints = EndpointsPanel(picture)
        self.connections = ConnectionsPanel(picture, now)
        self._has_packets = timeline is not None
        self.ladder: LadderPanel | TimelinePanel = timeline or LadderPanel(picture, now)

    def lines(self, width: int, height: int) -> list[Line]:
        """Exactly `height` lines of exactly `width` cells."""
        width, height = max(1, width), max(1, height)
        loop, notice, endpoints, connections = self._heights(width, height)
        lines = self.loop.lines(width, loop)
        if self.notice is not None:
            lines += self.notice.lines(width, notice)
        if endpoints:
            lines += [_rule("sockets", width), *self.endpoints.lines(width, endpoints)]
        if connections:
            title = self.connections.title()
            lines += [_rule(title, width), *self.connections.lines(width, connections)]
        lines += [self.ladder.heading(width), *self.ladder.lines(width, height - len(lines) - 1)]
        blank = exact([], width)
        return (lines + [blank] * (height - len(lines)))[:height]

    def _heights(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Rows for the loop, the lints, the listeners and the connections; the ladder has the rest."""
        loop = self.loop.rows(height)
        notice = int(self.notice is not None and height >= _NOTICED)
        room = max(0, height - loop - notice - _LADDER_LEAST)
        endpoints = min(self.endpoints.rows(), max(0, room // 3 - 1), 8)
        if self._has_packets and height < _TALL:
            endpoints = 0  # the ladder is twice as long
        room -= endpoints + 1 if endpoints else 0
        connections = min(self.connections.rows(), max(room // 2, (height - 10) // 3, 0))
        connections = connections if connections >= 2 else 0
        if self.notice is not None and notice and connections == self.connections.rows():
            ladder = height - loop - notice - endpoints - connections - 2 - bool(endpoints)
            needed = LADDER_ROOM * 3 // 2 if self._has_packets else LADDER_ROOM  # of these a call has several
            notice = min(self.notice.rows(width), notice + max(0, ladder - needed))
        return loop, notice, endpoints, connections


def _rule(title: str, width: int) -> Line:
    return exact([Segment("── ", DIM), Segment(title), Segment(" " + "─" * width, DIM)], width)
