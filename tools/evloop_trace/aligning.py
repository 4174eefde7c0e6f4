"""`evloop-trace timeline`: logs, a capture and the kernel's words in; a ladder, a ruler or JSON out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from evloop.errors import EvloopError
from evloop_trace.correlate.choice import Choice, called
from evloop_trace.correlate.encode import entry_line, strand_line
from evloop_trace.correlate.entries import EXACT, INFERRED, UNMATCHED, CallEntry
from evloop_trace.correlate.transitions import read_transitions
from evloop_trace.escape import escape_text
from evloop_trace.logs import open_logs
from evloop_trace.numbers import duration
from evloop_trace.packeting import opened, problems
from evloop_trace.replay import Problems, clocks
from evloop_trace.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.correlate.entries import Entry
    from evloop_trace.correlate.transitions import TransitionLog

__all__ = ["Style", "Wanted", "as_json"]

_DONE, _FAILED = 0, 1
_NAMED = 5  # connections, in a sentence that says which there are


class Wanted(NamedTuple):
    """What is to be shown."""

    logs: tuple[str, ...]
    capture: str | None
    kernel: str | None
    conn: str | None
    start: int
    end: int | None


class Style(NamedTuple):
    """And how."""

    width: int
    colour: bool


class _Reading:
    """The entries of a timeline, and what is to be said when all are read."""

    def __init__(self, wanted: Wanted, tell: Callable[[str], None], files: ExitStack) -> None:
        self._wanted, self._tell = wanted, tell
        self._problems = Problems(tell)
        self._logs = files.enter_context(open_logs(wanted.logs)) if wanted.logs else None
        self._kernel = _read_kernel(wanted.kernel)
        self.timeline = Timeline(self._logs)
        self._packets = (
            files.enter_context(opened(wanted.capture, self.timeline.capture)) if wanted.capture else ()
        )
        self.choice = Choice(wanted.conn) if wanted.conn else None
        self._links = dict.fromkeys((EXACT, INFERRED, UNMATCHED), 0)
        for line in clocks(self._logs) if self._logs else ():
            tell(line)

    @property
    def labels(self) -> list[str]:
        """The logs' names."""
        return [log.label for log in self._logs.logs] if self._logs else []

    def entries(self) -> Iterator[Entry]:
        """Those that were asked for."""
        wanted = self._wanted
        for entry in self.timeline.entries(self._packets, self._kernel, self._problems.add):
            if wanted.end is not None and entry.t > wanted.end:
                return
            if entry.t < wanted.start or (self.choice and not self.choice.keep(entry)):
                continue
            if isinstance(entry, CallEntry) and entry.trust in self._links:
                self._links[entry.trust] += 1
            yield entry

    def finish(self) -> int:
        """Say what is to be said; the exit code."""
        self._problems.finish()
        timeline, wanted = self.timeline, self._wanted
        if self._logs is not None:
            for line in clocks(self._logs, read=True):
                self._tell(line)
        for line in [*_strangers(timeline, wanted), *_steps(timeline)]:
            self._tell(line)
        if wanted.capture:
            for line in problems(timeline.capture, timeline.sightings.analysis):
                self._tell(f"{wanted.capture}: {line}")
        for line in self._kernel.problems if self._kernel else ():
            self._tell(f"{wanted.kernel}: {line}")
        if wanted.capture and wanted.logs:
            exact, inferred, unmatched = self._links.values()
            self._tell(
                f"calls joined with packets: {exact:,} exactly, {inferred:,} by inference; "
                f"{unmatched:,} not matched"
            )
        if self.choice and self.choice.strand is None:
            self._tell(_no_such(timeline, wanted.conn or ""))
            return _FAILED
        return _FAILED if self._problems.count or timeline.capture.problems else _DONE


def as_json(wanted: Wanted, write: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """An object for each entry, and then for each connection; the exit code.

    Raises:
        EvloopError: a file cannot be opened, or is not what it should be.
    """
    with ExitStack() as files:
        reading = _Reading(wanted, tell, files)
        for entry in reading.entries():
            write(entry_line(entry, reading.labels).decode())
        for strand in reading.timeline.weaver.strands:
            if reading.choice is None or strand is reading.choice.strand:
                write(strand_line(strand).decode())
        return reading.finish()


def _read_kernel(path: str | None) -> TransitionLog | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return read_transitions(file, path)
    except (OSError, ValueError) as error:
        raise EvloopError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _strangers(timeline: Timeline, wanted: Wanted) -> Iterator[str]:
    """What says that a log and a capture do not belong together."""
    calls, packets = timeline.span, timeline.seen
    if not (wanted.logs and wanted.capture):
        return
    if not packets:
        yield f"{wanted.capture} has no packet of TCP or UDP: the wire stays empty"
    elif calls and (packets[1] < calls[0] or calls[1] < packets[0]):
        if packets[1] < calls[0]:
            how = f"its last packet came {duration(calls[0] - packets[1])} before the log began"
        else:
            how = f"its first packet came {duration(packets[0] - calls[1])} after the log ended"
        yield f"{wanted.capture} and the log do not belong together: {how}"
    else:
        yield from _unmet(timeline, wanted)


def _unmet(timeline: Timeline, wanted: Wanted) -> Iterator[str]:
    strands = timeline.weaver.strands
    called_only = [it for it in strands if it.wire is None and it.proto == "tcp"]
    seen_only = [it for it in strands if it.wire is not None and not any(it.names)]
    if called_only and len(called_only) + len(seen_only) == len(strands):
        server = escape_text(called_only[0].server)
        there = escape_text(seen_only[0].server) if seen_only else "nowhere"
        yield (
            f"none of the log's connections is in {wanted.capture}: the log's go to {server}, the capture's to "
            f"{there}; was it taken on another interface, or of another port?"
        )


def _steps(timeline: Timeline) -> Iterator[str]:
    for t, moved in timeline.clocks.steps:
        way = "forward" if moved > 0 else "back"
        yield (
            f"somebody set the clock {duration(abs(moved))} {way} in the 10 s before {duration(t)}: "
            "packets of these seconds may stand in a wrong place"
        )


def _no_such(timeline: Timeline, name: str) -> str:
    names = [escape_text(called(it)) for it in timeline.weaver.strands]
    if not names:
        return f"there is no connection {escape_text(name)}: there is none at all"
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"there is no connection {escape_text(name)}: there are {', '.join(names[:_NAMED])}{more}"
