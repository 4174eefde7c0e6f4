"""What is said of one stuck thing, and the events that show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evloop.events.schema import AnyEvent
    from evloop_trace.model.diagnosis.state import Process

    Events: TypeAlias = Sequence[AnyEvent | None]

__all__ = ["Cause", "Elsewhere", "Evidence", "Finding", "evidence", "with_more"]


class Evidence(NamedTuple):
    """An event that a sentence rests on."""

    log: str
    """The label of its log."""
    event: AnyEvent


class Finding(NamedTuple):
    """A thread or a connection that makes no progress."""

    kind: str
    """The rule's name, such as `recv-reply`."""
    sentence: str
    """It quotes the log, so escape it before it is shown."""
    log: str
    """The label of the log in which it is."""
    thread: str | None = None
    """Who is stuck; empty is the main thread."""
    conn: str | None = None
    """The connection, listener or datagram socket."""
    since: int | None = None
    """`t` from which on it made no progress, in nanoseconds, if that is known."""
    evidence: tuple[Evidence, ...] = ()
    """In the order of their times."""
    stuck: bool = True
    """Something is wrong; a server that waits for callers is not stuck."""


class Elsewhere(NamedTuple):
    """What is known from other sockets, or from the logs of other processes."""

    text: str = ""
    found: Sequence[tuple[Process, Events]] = ()


class Cause(NamedTuple):
    """What a rule has found out; who is stuck and since when is added by who asked the rule."""

    kind: str
    text: str
    events: Events
    elsewhere: Elsewhere = Elsewhere()
    since: int | None = None
    stuck: bool = True

    def evidence(self, process: Process) -> tuple[Evidence, ...]:
        """Of the process itself, and of the other."""
        return evidence((process, self.events), *self.elsewhere.found)


def evidence(*found: tuple[Process, Iterable[AnyEvent | None]]) -> tuple[Evidence, ...]:
    """The events that there are, each once, in the order of their times."""
    chosen = {
        (process.label, event.seq): Evidence(process.label, event)
        for process, events in found
        for event in events
        if event is not None
    }
    return tuple(sorted(chosen.values(), key=_time))


def with_more(finding: Finding, elsewhere: Elsewhere) -> Finding:
    """The finding with more evidence."""
    known = {(log, event.seq) for log, event in finding.evidence}
    more = [found for found in evidence(*elsewhere.found) if (found.log, found.event.seq) not in known]
    return finding._replace(evidence=tuple(sorted((*finding.evidence, *more), key=_time)))


def _time(found: Evidence) -> int:
    return found.event.t
