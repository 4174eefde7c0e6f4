"""A client's life as a bar on an axis of time: a cell for a stretch of it, with the glyph of what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.segment import Segment
from rich.style import Style

from evloop_trace.views.palette import DIM, KINDS, PLAIN

if TYPE_CHECKING:
    from evloop_trace.model.clients import Client
    from evloop_trace.views.cells import Line

__all__ = ["ANSWERED", "GLYPHS", "IDLE", "OPEN", "QUEUED", "UNKNOWN", "WAITS", "Axis", "life", "segments"]

QUEUED, WAITS, ANSWERED, IDLE, OPEN, UNKNOWN = "░▒█─→·"

GLYPHS = {
    QUEUED: ("in the accept queue", KINDS["trouble"]),
    WAITS: ("waits for an answer", Style(color="magenta", bold=True)),
    ANSWERED: ("is answered", KINDS["out"]),
    IDLE: ("the server waits for it", DIM),
    OPEN: ("still open", KINDS["life"]),
    UNKNOWN: ("not kept", DIM),
}
"""What each says, and its colour: they are told apart without it."""

_LABEL = 10  # cells that a mark's label has at least


class Axis(NamedTuple):
    """Nanoseconds from 0 to `end`, in `cells` cells."""

    end: int
    cells: int

    def cell(self, time: int) -> int:
        """In which cell a time lies; what lies outside is in the first or the last."""
        return min(max(time * self.cells // max(self.end, 1), 0), self.cells - 1)

    def shows(self, time: int) -> bool:
        """Whether it is long enough: half a cell."""
        return 2 * time * self.cells >= self.end

    def ruler(self) -> str:
        """Marks at round times, as many as have room."""
        units = (("s", 10**9), ("ms", 10**6), ("µs", 10**3), ("ns", 1))
        unit, scale = next(unit for unit in units if self.end * 10 >= unit[1] or unit[1] == 1)
        step = self._step()
        text = ""
        for at in range(0, self.end + 1, step):
            mark = f"|{at / scale:g}" if at else f"|0 {unit}"
            cell = self.cell(at)
            if cell + len(mark) <= self.cells:
                text = text.ljust(cell) + mark
        return text.ljust(self.cells)

    def _step(self) -> int:
        """1, 2 or 5 of some power of ten, as small as there is room for its labels."""
        marks = max(1, self.cells // _LABEL)
        power = 1
        while True:
            for factor in (1, 2, 5):
                if factor * power * marks >= self.end:
                    return factor * power
            power *= 10


def life(client: Client, origin: int, log_end: int, axis: Axis) -> str:
    """A glyph for each cell, from the client's arrival to its close; blanks before and after."""

    def cell(time: int) -> int:
        return axis.cell(time - origin)

    came, accepted = cell(client.came), cell(client.accepted)
    last = cell(log_end if client.closed is None else client.closed)
    cells = [" "] * axis.cells
    cells[came : last + 1] = [IDLE] * (last + 1 - came)
    if axis.shows(client.accepted - client.came):
        cells[came:accepted] = [QUEUED] * (accepted - came)
    spans = client.spans
    if not spans and client.answers:  # they were too many clients to keep all of all
        cells[accepted : last + 1] = [UNKNOWN] * (last + 1 - accepted)
    for at in range(0, len(spans), 3):
        start, end, wait = spans[at : at + 3]
        first, stop = cell(start), cell(end)
        if axis.shows(end - start):
            cells[first:stop] = [WAITS if wait * 2 >= end - start else ANSWERED] * (stop - first)
        cells[stop] = ANSWERED
    if client.closed is None:
        cells[last] = OPEN
    return "".join(cells)


def segments(text: str) -> Line:
    """The glyphs in their colours."""
    line: Line = []
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or text[at] != text[start]:
            _, style = GLYPHS.get(text[start], ("", PLAIN))
            line.append(Segment(text[start:at], style))
            start = at
    return line
