"""An axis of stream offsets: which cell of a line a byte stands in, and whether that is to scale."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.numbers import count, plural

if TYPE_CHECKING:
    from evloop_trace.correlate.ruler import Direction

__all__ = ["Axis", "axis_of", "ticks"]

_BOX = 6
"""Cells that a box needs for its two ends and a number: an axis has boxes if there is room for all."""

_WIDEST = 6  # cells of a byte
_LEAST = 24  # cells of the shortest stream
_LABEL = 12  # cells that a box is given where it is too short for the scale
_MANY = 20  # pieces that can be crowded
_STRIDES = (10, 20, 40)
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


class Axis(NamedTuple):
    """Where offsets stand."""

    edges: list[int]
    """Cell n holds the bytes [edges[n], edges[n + 1])."""
    columns: dict[int, int]
    """The cell that each boundary stands at, exactly; empty if there are too many, and cells share some."""
    each: int
    """Cells of a byte; 0 if they are not all of the same whole width."""
    words: str

    @property
    def width(self) -> int:
        """Cells that it takes."""
        return max(self.columns.values(), default=len(self.edges) + 1)


def axis_of(way: Direction, width: int) -> Axis:
    """The axis of a direction that has bytes, in at most so many cells."""
    end = way.end
    offsets = _boundaries(way)
    if offsets and (len(offsets) - 1) * _BOX <= max(width, _BOX):
        return _boxed(offsets, width)
    step = max(row.marks.step for row in way.rows.values())
    unit = -(-_round(end / (width - 2)) // step) * step
    edges = [*range(0, end, unit), end]
    if not _crowded(way, edges, step):
        return Axis(edges, {}, 0, f"to scale: a cell is {count(unit)} B")
    edges = _mixed(way, width - 2, step)
    return Axis(edges, {}, 0, "not to scale: half of the width goes by bytes, half by boundaries")


def _boundaries(way: Direction) -> list[int]:
    """All offsets at which something begins or ends; none if they are not all kept."""
    rows = way.rows.values()
    if any(row.left_out for row in rows):
        return []
    pieces = [piece for row in rows for piece in row.pieces]
    if way.asleep is not None:
        pieces.append(way.asleep)
    return sorted({0, way.end, *[it.begin for it in pieces], *[it.end for it in pieces]})


def _boxed(offsets: list[int], width: int) -> Axis:
    """Every boundary has a cell of its own, and a box has room for its number."""
    end = offsets[-1]
    each = min(width // end, max(_WIDEST, _LEAST // end))
    if each >= 2:
        words = f"to scale: {plural(each, 'cell')} a byte"
        return Axis([], {it: it * each for it in offsets}, each, words)
    columns = [it * width // end for it in offsets]
    if all(right - left >= _BOX for left, right in pairwise(columns)):
        words = f"to scale: a cell is {end / width:,.0f} B" if end >= 10 * width else "to scale"
        return Axis([], dict(zip(offsets, columns, strict=True)), 0, words)
    parts = len(offsets) - 1
    least = min(_LABEL, width // parts)
    rest = width - least * parts
    columns = [least * at + it * rest // end for at, it in enumerate(offsets)]
    words = "not to scale: what is short is drawn longer"
    return Axis([], dict(zip(offsets, columns, strict=True)), 0, words)


def _round(least: float) -> int:
    """The next round number."""
    power = 1
    while power * 10 < least:
        power *= 10
    return next(int(it * power) for it in _ROUND if int(it * power) >= least)


def _crowded(way: Direction, edges: list[int], step: int) -> bool:
    """Whether most pieces begin in a tenth of the cells: to scale one would see nothing of them."""
    for row in way.rows.values():
        cells = _cells(edges, step)
        most = sorted((row.marks.between(*cell) for cell in cells), reverse=True)
        if row.count >= _MANY and sum(most[: max(1, len(cells) // 10)]) * 2 > row.count:
            return True
    return False


def _cells(edges: list[int], step: int) -> list[tuple[int, int]]:
    return [(low, -(-high // step) * step) for low, high in pairwise(edges)]


def _mixed(way: Direction, cells: int, step: int) -> list[int]:
    """Cells by bytes and by boundaries, half and half: many short pieces and a long one can both be seen."""
    end = way.end
    rows = way.rows.values()
    places = sorted({0, *[it for row in rows for it in row.marks.places()]})
    marks = [*places, end]
    ranks = [(it / end + at / len(places)) / 2 for at, it in enumerate(marks)]
    edges = [0]
    for cell in range(1, cells):
        at = bisect_right(ranks, cell / cells) - 1
        share = (cell / cells - ranks[at]) / (ranks[at + 1] - ranks[at])
        edge = int(marks[at] + share * (marks[at + 1] - marks[at])) // step * step
        if edges[-1] < edge < end:
            edges.append(edge)
    return [*edges, end]


def ticks(axis: Axis) -> str:
    """Offsets in a line, each at the cell where it stands; as many as there is room for, and the last."""
    if axis.columns:
        places = sorted((column, offset) for offset, column in axis.columns.items())
    else:
        # The first cell stands behind a bracket.
        stride = next(it for it in _STRIDES if it > len(count(axis.edges[-1])) + 2)
        places = [(at + 1 if at else 0, axis.edges[at]) for at in range(0, len(axis.edges) - 1, stride)]
    last = count(max(axis.columns, default=0) or axis.edges[-1])
    room = axis.width - len(last)
    text = ""
    for column, offset in places:
        label = count(offset)
        if column + len(label) + 2 <= room and (not text or column >= len(text) + 2):
            text = text.ljust(column) + label
    return text.ljust(room) + last
