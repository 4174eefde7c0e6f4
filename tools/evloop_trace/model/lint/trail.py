"""What the lints had found at each moment of a log: for a picture, which may go to and fro."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.model.lint.linter import Linter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.events.reader import Item
    from evloop_trace.model.lint.finding import Finding

__all__ = ["Notice", "Trail"]


class Notice(NamedTuple):
    """What a picture says of the lints, in a line."""

    number: int
    """Findings so far."""
    kind: str
    """Of the newest."""
    times: int
    """How often that was seen."""
    sentence: str
    """It quotes the log, so escape it before it is shown."""


class _Found(NamedTuple):
    """A finding, and how it was when it was new."""

    notice: Notice
    finding: Finding


class Trail:
    """Linters, one a log, that are fed once from the beginning on, and when they found what."""

    def __init__(self) -> None:
        self._linters: dict[int, Linter] = {}
        self._found: list[_Found] = []
        self._places: list[int] = []  # how many items had been fed
        self.fed = 0
        """Items so far, of all logs."""

    def feed(self, items: Sequence[Item], log: int = 0) -> None:
        """What comes next, in the log of that number."""
        linter = self._linters.get(log)
        if linter is None:
            linter = self._linters[log] = Linter()
        for finding in linter.feed(items):
            place = next((at for at, item in enumerate(items) if _seq(item) == finding.seen), 0)
            notice = Notice(len(self._found) + 1, finding.kind, finding.times, finding.sentence)
            self._found.append(_Found(notice, finding))
            self._places.append(self.fed + place + 1)
        self.fed += len(items)

    def at(self, number: int | None = None) -> Notice | None:
        """What is to be said after so many items; None is after all: then the newest counts on."""
        if number is not None and number < self.fed:
            known = bisect_right(self._places, number)
            return self._found[known - 1].notice if known else None
        if not self._found:
            return None
        notice, finding = self._found[-1]
        return notice._replace(times=finding.times, sentence=finding.sentence)


def _seq(item: Item) -> int | None:
    return getattr(item, "seq", None)
