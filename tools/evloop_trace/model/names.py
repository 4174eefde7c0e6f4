"""Which names of sockets were used and closed, without remembering every one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evloop.events.schema import Close, Located

__all__ = ["Closed", "Names"]

_CLOSED = 10_000
_SKIPPED = 1_000


class Closed(NamedTuple):
    """The close of a socket."""

    line: int
    over: int
    """The time of its return."""
    thread: str

    def raced(self, event: Located | None) -> bool:
        """Whether another thread's call had begun before this was over."""
        return event is not None and event.thread != self.thread and event.t <= self.over


class Names:
    """Names are `tcp-1`, `tcp-2`, …: of each kind the highest number, and those it skipped, tell a new one.

    A thread may come to write of its socket after another that has the next number. Names of another form are
    remembered whole, the first ten thousand of them.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._skipped: dict[str, set[int]] = {}  # numbers below the highest that were not used
        self._closed: dict[str, Closed] = {}

    def add(self, name: str) -> bool:
        """Whether the name is new; it counts as used from now on."""
        kind, _, digits = name.rpartition("-")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
        kind = kind if number else name
        highest = self._highest.get(kind, 0 if number else -1)
        if number > highest:
            if number > highest + 1:
                self._skip(kind, highest + 1, number)
            if kind in self._highest or len(self._highest) < _CLOSED:
                self._highest[kind] = number
            return True
        skipped = self._skipped.get(kind)
        if skipped is None or number not in skipped:
            return False
        skipped.remove(number)
        return True

    def _skip(self, kind: str, first: int, number: int) -> None:
        """Of a log that skips many, because events are missing, the last are remembered."""
        skipped = self._skipped.setdefault(kind, set())
        skipped.update(range(max(first, number - _SKIPPED), number))
        if len(skipped) > 2 * _SKIPPED:
            self._skipped[kind] = {it for it in skipped if it >= number - _SKIPPED}

    def close(self, name: str, line: int, event: Close) -> None:
        """The name's socket was closed in `line`."""
        self._closed[name] = Closed(line, event.t + event.dur, event.thread)
        if len(self._closed) > _CLOSED:
            del self._closed[next(iter(self._closed))]

    def closed(self, name: str) -> Closed | None:
        """The close of the name's socket; None if there was none, or long ago."""
        return self._closed.get(name)
