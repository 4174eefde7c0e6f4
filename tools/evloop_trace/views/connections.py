"""The connections as a table: the ones that were active last, each in a place of its own."""

from __future__ import annotations

from heapq import nlargest
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration, size
from evloop_trace.views.cells import Line, Panel, exact, fit
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN
from evloop_trace.views.rungs import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style

    from evloop_trace.model.picture import Picture
    from evloop_trace.model.sockets import Connection

__all__ = ["ConnectionsPanel"]

LINGER = 3_000_000_000
"""Nanoseconds that a closed connection is still shown."""

_NARROW = 96  # below this the last event has no column
_LAST = 12  # cells of the last event, before what TCP has told may have a column


class _Column(NamedTuple):
    title: str
    align: str
    least: int
    most: int


_COLUMNS = (
    _Column("name", "<", 7, 14),
    _Column("peer", "<", 15, 24),
    _Column("state", "<", 5, 20),
    _Column("in", ">", 8, 10),
    _Column("out", ">", 8, 10),
    _Column("buffered", ">", 8, 10),
    _Column("age", ">", 7, 12),
)
_RTT = _Column("rtt", ">", 7, 8)
_AGAIN = _Column("again", ">", 5, 7)  # segments that were sent again


class ConnectionsPanel(Panel):
    """A heading, and a line for each connection."""

    def __init__(self, picture: Picture, now: int) -> None:
        self.picture = picture
        self.now = now

    def rows(self) -> int:
        """Lines it would like, the heading among them."""
        return 1 + max(1, self._total())

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines; the connections that do not fit are counted."""
        room = height - 1
        total = self._total()
        shown = self._latest(room if total <= room else room - 1)
        # Only of our own loop the log tells what it holds for a peer.
        columns = _OF_PROGRAMS if self.picture.program else _COLUMNS
        for more in self._of_tcp(shown) if width >= _NARROW else [()]:
            cells = [self._cells(connection, columns + more) for connection in shown]
            widths = _widths(columns + more, cells, width)
            if widths[-1] - 2 >= _LAST:
                break
        columns += more
        gap = _gap(width)
        lines = [_heading(columns, widths, gap)]
        lines += [_row(columns, row, widths, gap, _style(it)) for row, it in zip(cells, shown, strict=True)]
        if total > len(shown):
            lines.append([Segment(f" … {count(total - len(shown))} more")])
        elif not shown:
            lines.append([Segment(" no connection" if self.picture.program else " nobody is connected", DIM)])
        return [exact(line, width) for line in lines]

    def title(self) -> str:
        """How many there are, and what went through them."""
        it = self.picture
        parts = [f"{count(it.open)} open"]
        parts += [f"{count(it.accepted)} accepted"] if it.accepted or not it.program else []
        parts += [f"{count(it.connected)} made"] if it.connected else []
        return f"connections  {', '.join(parts)}, {size(it.received)} in, {size(it.sent)} out"

    def _leaving(self) -> list[Connection]:
        """The ones that were closed a moment ago; after the end of a log, all that are remembered."""
        closed = self.picture.closed.values()
        if self.picture.end is not None:
            return list(closed)
        return [it for it in closed if it.closed is not None and self.now - it.closed < LINGER]

    def _total(self) -> int:
        return max(self.picture.open, len(self.picture.connections)) + len(self._leaving())

    def _latest(self, room: int) -> list[Connection]:
        """The most recently active, in the order in which they came: a row stays where it is."""
        seen = attrgetter("seen")
        latest = nlargest(room, self.picture.connections.values(), key=seen)
        latest += nlargest(room - len(latest), self._leaving(), key=seen)
        return sorted(latest, key=attrgetter("opened"))

    def _of_tcp(self, shown: Sequence[Connection]) -> list[tuple[_Column, ...]]:
        """The columns of what TCP has told of them; in a table that has no room for all, fewer."""
        told = [it.tcp for it in shown if it.tcp]
        if not told:
            return [()]
        if any(it.total_retrans for it in told):
            return [(_RTT, _AGAIN), (_AGAIN,), ()]
        return [(_RTT,), ()]

    def _cells(self, it: Connection, columns: tuple[_Column, ...]) -> tuple[str, ...]:
        age = (self.now if it.closed is None else it.closed) - it.opened
        return (
            escape_text(it.name),
            escape_text(it.peer),
            escape_text(it.state),
            size(it.received),
            size(it.sent),
            *([] if self.picture.program else [size(it.buffered)]),
            duration(age),
            *([duration(it.tcp.rtt) if it.tcp and it.tcp.rtt else ""] if _RTT in columns else []),
            *([count(it.tcp.total_retrans) if it.tcp else ""] if _AGAIN in columns else []),
            brief(it.last, outgoing=it.outgoing),
        )


_OF_PROGRAMS = tuple(column for column in _COLUMNS if column.title != "buffered")


def _widths(columns: tuple[_Column, ...], cells: list[tuple[str, ...]], width: int) -> list[int]:
    """As wide as what stands in a column, between bounds that keep the columns from jumping about."""
    widths = [
        min(column.most, max([column.least, *(cell_len(row[index]) for row in cells)]))
        for index, column in enumerate(columns)
    ]
    used = sum(widths) + len(_gap(width)) * len(widths) + 1
    if used > width:  # the peer's address gives way first, then the right end is cut
        widths[1] = max(8, widths[1] - (used - width))
    widths.append(width - used if width >= _NARROW else 0)
    return widths


def _gap(width: int) -> str:
    """What stands between two columns."""
    return "  " if width >= _NARROW else " "


def _row(
    columns: tuple[_Column, ...], row: tuple[str, ...], widths: list[int], gap: str, style: Style
) -> Line:
    texts = [
        fit(text, cells, column.align) for text, cells, column in zip(row, widths, columns, strict=False)
    ]
    line = [Segment(f" {texts[0]}{gap}", style + BOLD), Segment(gap.join(texts[1:]), style)]
    if widths[-1] > 8:
        line.append(Segment("  " + fit(row[-1], widths[-1] - 2), style))
    return line


def _heading(columns: tuple[_Column, ...], widths: list[int], gap: str) -> Line:
    titles = [fit(column.title, cells, column.align) for column, cells in zip(columns, widths, strict=False)]
    return [Segment(" " + gap.join(titles) + ("  last" if widths[-1] > 8 else ""), DIM)]


def _style(it: Connection) -> Style:
    if it.closed is not None:
        return KINDS["trouble"] if it.errno else DIM
    return KINDS["life"] if it.eof or it.shut else PLAIN
