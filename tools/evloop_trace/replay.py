"""A log as lines of text on a stream, at the log's own pace or as fast as it can be read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from evloop.events.reader import Problem
from evloop_trace.escape import escape_text
from evloop_trace.model.filters import Filter, due
from evloop_trace.numbers import duration
from evloop_trace.views.joined import format_rows
from evloop_trace.views.lines import format_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.correlate.causal import Row
    from evloop_trace.logs import Log, Logs
    from evloop_trace.merge import Run

    T = TypeVar("T")

__all__ = ["Problems", "Sought", "Tempo", "clocks", "no_events", "replay", "replay_rows"]

_SHOWN = 20  # broken lines that are told one by one
_PATIENCE = 5_000_000  # nanoseconds: less is not waited for


class Problems:
    """Broken lines: told as they come, up to a number, and counted."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self._tell = tell

    def add(self, log: str, problem: Problem) -> None:
        """Tell of one more."""
        self.count += 1
        if self.count <= _SHOWN:
            self._tell(f"{log}: line {problem.line} {escape_text(problem.message)}")

    def read(self, log: str, items: Iterable[Item]) -> None:
        """Tell of those among the items."""
        for item in items:
            if isinstance(item, Problem):
                self.add(log, item)

    def finish(self) -> None:
        """Tell how many there were that were not told of."""
        if self.count > _SHOWN:
            self._tell(f"… and {no_events(self.count - _SHOWN, 'more ')}")


def no_events(number: int, more: str = "") -> str:
    """So many lines are no events."""
    return f"{number:,} {more}line is no event" if number == 1 else f"{number:,} {more}lines are no events"


class Sought:
    """The names that were asked for, until an event has them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.ended = False
        """The logs were read to their end."""
        self._filters = {name: Filter(frozenset({name})) for name in names}

    def see(self, items: Sequence[Item]) -> None:
        """Consecutive lines; none at the end."""
        self.ended = self.ended or not items
        for name, wanted in list(self._filters.items()):
            if any(not isinstance(item, Problem) and wanted.keep(item) for item in items):
                del self._filters[name]

    def watch(self, runs: Iterable[Run[Log]]) -> Iterator[Run[Log]]:
        """The runs, seen as they pass."""
        for run in runs:
            self.see(run.block.items)
            yield run
        self.see(())

    def watch_rows(self, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """The same of rows."""
        for rows in batches:
            if rows:
                self.see([row.item for row in rows])
            yield rows
        self.see(())

    def missing(self) -> list[str]:
        """The names that no event has, as far as that is known."""
        return sorted(self._filters) if self.ended else []


class Tempo:
    """When an event is written: when it is due in the log, `speed` times as fast."""

    def __init__(
        self,
        speed: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed = speed
        self._now = now
        self._sleep = sleep
        self._origin: float | None = None  # when t = 0 was

    def wait(self, t: int) -> float:
        """How many seconds it is until `t`; the first that is asked for is due at once."""
        seconds = t / 1e9 / self._speed
        if self._origin is None:
            self._origin = self._now() - seconds
        return self._origin + seconds - self._now()

    def batches(self, events: list[T], when: Callable[[T], int] = due) -> Iterator[list[T]]:  # type: ignore[assignment]
        """The events in groups; each is yielded when it is due."""
        start = 0
        for at, event in enumerate(events):
            wait = self.wait(when(event))
            if wait > _PATIENCE / 1e9:
                yield events[start:at]
                self._sleep(wait)
                start = at
        yield events[start:]


def replay(
    runs: Iterable[Run[Log]],
    write: Callable[[str], None],
    keep: Filter,
    problems: Problems,
    tempo: Tempo | None = None,
) -> None:
    """Write a line for each event that `keep` keeps; `write` is given many lines at once and flushes them."""
    for log, block in runs:
        events = _events(log, block.items, problems)
        if keep.end is not None and events and due(events[0]) > keep.end:
            break
        if not keep.everything:
            events = [event for event in events if keep.within(event) and keep.keep(event)]
        for batch in tempo.batches(events) if tempo else (events,):
            if batch:
                write("\n".join(format_events(batch)) + "\n")
    problems.finish()


def replay_rows(
    batches: Iterable[list[Row]],
    write: Callable[[str], None],
    keep: Filter,
    problems: Problems,
    tempo: Tempo | None = None,
    *,
    names: Sequence[str],
    labels: Sequence[str] = (),
) -> None:
    """As `replay`, of logs of these names, which are read together and tell of each other.

    Several have `labels`, too.
    """
    for rows in batches:
        events = [row for row in rows if not isinstance(row.item, Problem)]
        if len(events) != len(rows):
            for row in rows:
                problems.read(names[row.log], (row.item,))
        if keep.end is not None and events and min(map(_due, events)) > keep.end:
            break
        if not keep.everything:
            events = [row for row in events if keep.within(_event(row)) and _keeps(keep, row)]
        for batch in tempo.batches(events, _due) if tempo else (events,):
            if batch:
                write("\n".join(format_rows(batch, labels)) + "\n")
    problems.finish()


def clocks(logs: Logs, *, read: bool = False) -> list[str]:
    """What is to be said of the logs' clocks, before they are `read` or after."""
    joiner = logs.joiner
    if not read:
        wall = "the logs are not of one boot: they are joined by the time of day, which may be wrong"
        return [] if joiner.one_clock else [wall]
    return [
        f"the clocks of {one} and {other} disagree by at least {duration(ns)}: "
        f"something was received that long before it was sent"
        for (one, other), ns in joiner.disagree.items()
    ]


def _keeps(keep: Filter, row: Row) -> bool:
    """Of a connection that was asked for by the name of one of its ends, both ends are kept."""
    other = row.end.other if row.end is not None else None
    return keep.keep(_event(row)) or (
        other is not None and other.name in keep.names and keep._replace(names=frozenset()).keep(_event(row))
    )


def _event(row: Row) -> Any:
    return row.item


def _due(row: Row) -> int:
    return due(_event(row))


def _events(
    log: Log, items: list[AnyEvent | Unknown | Problem], problems: Problems
) -> list[AnyEvent | Unknown]:
    """The items that are events; the others are told of."""
    events = [item for item in items if not isinstance(item, Problem)]
    if len(events) != len(items):
        problems.read(log.name, items)
    return events
