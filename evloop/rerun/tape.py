"""A log as a tape: the event that comes next, and the clock as it stood then."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, cast

from evloop.events.reader import Problem
from evloop.events.schema import Call, Cut, End, Event, Gap, Header, Inherit, Poll, Snapshot, Unknown

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from evloop.events.reader import Block, Item

__all__ = ["Difference", "LogStops", "Tape", "UnusableLog"]

CONTEXT = 5  # events before a difference
MOST_AHEAD = 1_000_000  # events of one turn: more than any has; without a bound a broken log fills the memory


class Difference(BaseException):
    """The rerun does something else than the log: no handler's error, so no handler catches it."""

    def __init__(self, logged: Event | None, rerun: Event | str, before: Iterable[Event] = ()) -> None:
        """What differs.

        Args:
            logged: The log's event; None if the log is over, and there is an end in it.
            rerun: The rerun's; or, if it has none to show, a sentence: what was done instead.
            before: The last events that are the same.
        """
        super().__init__()
        self.logged = logged
        self.rerun = rerun
        self.before = list(before)


class LogStops(BaseException):
    """The log has no more events, and no end: whoever wrote it was killed."""


class UnusableLog(BaseException):
    """A sentence why the log cannot be rerun from here on; no handler's error either."""


class Tape:
    """The events in their order. Whatever asks for the time gets that of the event that comes next.

    Calls have two times: the clock stands at `t` until the call is answered, and then at `t + dur` until its
    event is recorded.
    """

    def __init__(self, header: Header, blocks: Iterable[Block]) -> None:
        """`blocks` are all lines, the header's own among them.

        Raises:
            UnusableLog: now or later, when what cannot be rerun is reached.
        """
        self.header = header
        self.origin = header.mono_ns
        self.next: Event | None = header
        """The event that is to come; None behind the last."""
        self.time = 0
        """Monotonic ns."""
        self.passed = 0  # events, the header among them
        self.before: deque[Event] = deque(maxlen=CONTEXT)
        self.torn = ""  # how the log's last line ends, if in the middle
        self._blocks = iter(blocks)
        self._line = 1  # of the first of the items
        self._items: list[Item] = []
        self._at = 0
        if not self._load():
            raise UnusableLog("it has no lines")
        self.advance()

    # -- on ----------------------------------------------------------------------------

    def advance(self) -> None:
        """The event that came next has been recorded again."""
        self.before.append(cast("Event", self.next))
        self.passed += 1
        self._at += 1
        if self._at >= len(self._items) and not self._load():
            self.next = None
            return
        item = self._items[self._at]
        if type(item) in _REFUSED:
            self._refuse(item)
        else:
            self.next = event = cast("Event", item)
            self.time = self.origin + event.t
            if event.seq > self.passed:
                self._refuse_gap(event.seq)

    def _load(self) -> bool:
        """Read on, when all items are behind us; whether there are more."""
        self._line += len(self._items)
        self._items, self._at = [], 0
        for block in self._blocks:
            self._items = block.items
            if self._items:
                return True
        return False

    def _refuse(self, item: Item) -> None:
        """What is no event of a server that was recorded from its beginning on."""
        if isinstance(item, Problem) and item.kind == "torn":
            self.next, self.torn = None, item.message
            return
        raise UnusableLog(f"line {self._line + self._at} {_why_not(item)}")

    def _refuse_gap(self, seq: int) -> NoReturn:
        """Lines or a file of the log are gone: what the server did then follows from nothing that is here."""
        first, last = self.passed, seq - 1
        which = f"event {first} is" if first == last else f"events {first} to {last} are"
        where = f"missing before line {self._line + self._at}"
        raise UnusableLog(f"{which} {where}: the rerun needs every one, from all the files of the log")

    # -- what comes ----------------------------------------------------------------------

    def of_turn(self, kinds: Container[type[Event]]) -> list[Event]:
        """The next poll, and those of some kinds that come before the one behind it."""
        found: list[Event] = []
        at, polled = self._at, False
        while True:
            for item in islice(self._items, at, None):
                kind = type(item)
                if kind is Poll:
                    if polled:
                        return found
                    polled = True
                elif kind not in kinds:
                    continue
                found.append(cast("Event", item))
            at = len(self._items) - self._at
            if at > MOST_AHEAD or not self._read_ahead():
                return found

    def _read_ahead(self) -> bool:
        """Have another block's items behind those that are still to come; whether there is one."""
        block = next(self._blocks, None)
        if block is None:
            return False
        self._line += self._at
        self._items, self._at = self._items[self._at :] + block.items, 0
        return True

    # -- the clock -------------------------------------------------------------------------

    @property
    def ended(self) -> int:
        """When the last event was over, monotonic ns."""
        last = self.before[-1]
        return self.origin + last.t + (last.dur if isinstance(last, Call) else 0)

    def linger(self) -> None:
        """The clock stands where the last event left it."""
        self.time = self.ended

    def go_on(self) -> None:
        """The clock stands at the next event's time again."""
        if self.next is not None:
            self.time = self.origin + self.next.t

    # -- what cannot be ------------------------------------------------------------------

    def differs(self, rerun: Event | str) -> NoReturn:
        """The rerun has done something else than what comes next.

        Raises:
            Difference: always, but at the end of a log
            LogStops: that has no end.
        """
        if self.next is None and not isinstance(self.before[-1], End):
            raise LogStops
        raise Difference(self.next, rerun, self.before)

    def broken(self, what: str) -> UnusableLog:
        """What comes next cannot have been written so."""
        number = self.passed if self.next is None else self.next.seq
        return UnusableLog(f"event {number} {what}")


_REFUSED = {Problem, Unknown, Header, Gap, Snapshot, Inherit, Cut}
_RECORD = "record it again, from the server's beginning on"


def _why_not(item: Item) -> str:
    match item:
        case Problem():
            return f"{item.message}: the rerun needs every event"
        case Unknown():
            return "is an event of another version of evloop: rerun it with the one that wrote it"
        case Header():
            return "is a second header: rerun one log at a time"
        case Gap():
            return f"says that events are missing ({item.reason}): the rerun needs every one; {_RECORD}"
        case Cut():
            return _where_it_ends(item.reason)
        case _:
            return f"says that the log has another file, and began in one that is not here: {_RECORD}"


def _where_it_ends(why: str) -> str:
    if why.startswith("flight recorder"):
        return f"says that the file ends in the middle of the log ({why}): {_RECORD}, without --ring"
    return "says that the log goes on in another file: name the newest, and the older ones are read with it"
