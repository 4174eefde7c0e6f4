"""Lines of an exact width in cells: what every panel is made of.

A panel gives lists of segments rather than a Rich table: a frame is drawn many times a second beside the
server it watches, and this costs a tenth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment

from evloop_trace.views.palette import DIM, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.style import Style

__all__ = ["Line", "Panel", "bar", "cut", "exact", "fit", "padded", "spread", "width_of", "wrapped"]

_WIDE = "\u2e80-\u9fff\uff00-\uffef"  # a line may end before each, but none begins with one of `_CLOSING`
_CLOSING = "\u3001\u3002\uff0c\uff1a\uff1b\uff01\uff1f\uff09\u300b\u201d"
_OPENING = "\uff08\u300a\u201c"
_BREAK = re.compile(
    rf"((?<!\d) (?![{_CLOSING}])| (?!(?:ns|µs|ms|s|B|KiB|MiB|GiB)\b|[{_WIDE}]))"
    rf"|(?<=[{_WIDE}])(?<![{_OPENING}])(?![{_CLOSING} ])|(?<=[^{_OPENING} ])(?=[{_WIDE}])(?![{_CLOSING}])"
)

Line: TypeAlias = list[Segment]


def width_of(line: Iterable[Segment]) -> int:
    """Cells that a line takes."""
    return sum([cell_len(segment.text) for segment in line])


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; what had to be cut ends in an ellipsis."""
    if len(text) * 2 <= width or cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    return set_cell_size(text, width - 1).rstrip() + "…"


def wrapped(text: str, width: int) -> list[str]:
    """`text` in rows of at most `width` cells, broken at spaces, and beside Chinese characters.

    A number keeps its unit, and a character the marks that belong to it; a longer word is broken anywhere.
    """
    width = max(2, width)  # a character may take two
    rows: list[str] = []
    row = ""
    pieces = _BREAK.split(text)
    for space, word in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        longer = f"{row}{space or ''}{word}" if row else word
        if row and cell_len(longer) > width:
            rows.append(row)
            longer = word
        if cell_len(longer) > width:
            *whole, longer = chop_cells(longer, width)
            rows += whole
        row = longer
    return [*rows, row]


def fit(text: str, width: int, align: str = "<") -> str:
    """`text` in exactly `width` cells, to the left, the right (`>`) or the middle (`^`)."""
    text = cut(text, width)
    space = width - cell_len(text)
    if align == ">":
        return " " * space + text
    left = space // 2 if align == "^" else 0
    return " " * left + text + " " * (space - left)


def padded(text: str, width: int, align: Callable[[str, int, str], str], fill: str = " ") -> str:
    """`text` in at least `width` cells; `align` is one of str's, which count characters: str.ljust."""
    return align(text, width - cell_len(text) + len(text), fill)


def exact(line: Line, width: int) -> Line:
    """A line of exactly `width` cells: cut at the right, or filled with spaces."""
    return Segment.adjust_line_length(line, width, PLAIN)


def spread(left: Line, right: Line, width: int) -> Line:
    """Two ends of a line; where there is no room for both the right one goes."""
    space = width - width_of(left) - width_of(right)
    if space < 1:
        return exact(left, width)
    return [*left, Segment(" " * space), *right]


def bar(share: float, width: int, style: Style = PLAIN) -> Line:
    """A bar of `width` cells, filled to `share`; anything above nothing shows, and only all fills it."""
    full = round(min(1.0, max(0.0, share)) * width)
    if 0 < share < 1:
        full = min(max(full, 1), width - 1)
    return [Segment("█" * full, style), Segment("·" * (width - full), DIM)]


class Panel:
    """A part of the picture: lines for a size, and so a Rich renderable."""

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines of exactly `width` cells."""
        raise NotImplementedError

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._segments(options.max_width, options.height or console.height)

    def _segments(self, width: int, height: int) -> Iterator[Segment]:
        for line in self.lines(width, height):
            yield from line
            yield Segment.line()
