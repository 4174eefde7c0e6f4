"""The newest finding of the lints, in the picture: a line, and where there is room what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.model.lint.advice import ADVICE
from evloop_trace.numbers import count, plural
from evloop_trace.views.cells import Line, Panel, cut, exact, spread, width_of, wrapped
from evloop_trace.views.palette import BOLD, DIM, PLAIN, TROUBLE

if TYPE_CHECKING:
    from rich.style import Style

    from evloop_trace.model.lint import Notice

__all__ = ["LADDER_ROOM", "NoticePanel"]

LADDER_ROOM = 8
"""Rows of a ladder, before a finding has more than its first line."""

_LABEL = 9  # cells
_ARROW = "→ "
_WHOLE = 60  # cells, below which it has but one line


class NoticePanel(Panel):
    """In words, too, not only in red: what, how often it was seen, how many findings there are."""

    def __init__(self, notice: Notice) -> None:
        self.notice = notice
        times = f" ×{count(notice.times)}" if notice.times > 1 else ""  # noqa: RUF001 - times
        self._what = f"{notice.kind}{times}"
        self._sentence = f": {escape_text(notice.sentence)}"
        self._advice = ADVICE.get(notice.kind, "")
        self._number = [Segment(f"  {plural(notice.number, 'finding')} ", TROUBLE)]

    def rows(self, width: int) -> int:
        """Lines in which nothing is cut."""
        if width < _WHOLE:
            return 1
        return len(self._flow(width, None)) + len(self._todo(width, None))

    def lines(self, width: int, height: int) -> list[Line]:
        """The first says what; of the others what to do matters more than the rest of it."""
        room = height - 1 if width >= _WHOLE else 0
        todo = self._todo(width, room) if room > 0 else []
        first, *rest = self._flow(width, max(1, height - len(todo)) if room > 0 else 1)
        head = [Segment(" lint".ljust(_LABEL), DIM), Segment(self._what, TROUBLE), Segment(first)]
        lines = [spread(head, self._number, width), *map(_below, rest), *(_below(it, BOLD) for it in todo)]
        return [exact(line, width) for line in lines[: max(0, height)]]

    def _flow(self, width: int, rows: int | None) -> list[str]:
        """The sentence behind its kind, in so many rows at most."""
        room = width - _LABEL - len(self._what) - width_of(self._number) - 1
        if rows == 1:
            return [cut(self._sentence, room)]
        first = wrapped(self._sentence, room)[0]
        rest = self._sentence[len(first) :].lstrip()
        return [first, *(_rows(rest, width - _LABEL - 1, rows and rows - 1) if rest else [])]

    def _todo(self, width: int, rows: int | None) -> list[str]:
        """What to do, in so many rows at most."""
        if not self._advice:
            return []
        lines = _rows(self._advice, width - _LABEL - 1 - len(_ARROW), rows)
        return [("  " if at else _ARROW) + it for at, it in enumerate(lines)]


def _rows(text: str, width: int, most: int | None) -> list[str]:
    """A text in at most so many rows; if it has more, that is seen."""
    rows = wrapped(text, width)
    if most is None or len(rows) <= most:
        return rows
    return [*rows[: most - 1], cut(" ".join(rows[most - 1 :]), width)]


def _below(text: str, style: Style = PLAIN) -> Line:
    return [Segment(" " * _LABEL), Segment(text, style)]
