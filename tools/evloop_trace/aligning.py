"""`evloop-trace timeline`: logs, a capture and the kernel's words in; a ladder, a ruler or JSON out."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from evloop.errors import EvloopError
from evloop_trace.correlate.choice import choose, is_of
from evloop_trace.correlate.encode import entry_line, strand_line
from evloop_trace.correlate.entries import EXACT, INFERRED, UNMATCHED, CallEntry, PacketEntry
from evloop_trace.correlate.ruler import Ruler
from evloop_trace.escape import escape_json, escape_text
from evloop_trace.logs import open_logs
from evloop_trace.numbers import duration, plural
from evloop_trace.packeting import opened, problems
from evloop_trace.replay import Problems, clocks
from evloop_trace.states.reader import MAX_LINE, read_transitions
from evloop_trace.timeline import Timeline
from evloop_trace.views.page import render
from evloop_trace.views.ruler import lines as lines_of_ruler
from evloop_trace.views.timeline import TimelineView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.correlate.entries import Entry, Strand
    from evloop_trace.states.reader import TransitionLog

T = TypeVar("T")

__all__ = ["Style", "Wanted", "as_json", "draw", "measure"]

_DONE, _FAILED = 0, 1
_BATCH = 64  # lines


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

    def __init__(
        self, wanted: Wanted, tell: Callable[[str], None], files: ExitStack, only: Strand | None = None
    ) -> None:
        self._wanted, self._tell, self._only = wanted, tell, only
        self._problems = Problems(tell)
        if twice := _told_twice(wanted):
            name = "standard input" if twice == "-" else twice
            raise EvloopError(f"{name} is named twice: each file has its own place, and is read once")
        self._logs = files.enter_context(open_logs(wanted.logs)) if wanted.logs else None
        self._kernel = _read_kernel(wanted.kernel)
        self.timeline = Timeline(self._logs)
        self._packets = (
            files.enter_context(opened(wanted.capture, self.timeline.capture)) if wanted.capture else ()
        )
        self._links = dict.fromkeys((EXACT, INFERRED, UNMATCHED), 0)
        self._unsent = 0  # packets of who is in a log that no call of his sent
        self._is_read = False  # to the end
        for line in clocks(self._logs) if self._logs else ():
            tell(line)

    @property
    def labels(self) -> list[str]:
        """The logs' names."""
        return [log.label for log in self._logs.logs] if self._logs else []

    @property
    def prefixes(self) -> list[str]:
        """What names begin with; nothing if there is only one log."""
        return self.labels if len(self.labels) > 1 else [""]

    def entries(self) -> Iterator[Entry]:
        """Those that were asked for."""
        wanted = self._wanted
        for entry in self.timeline.entries(self._packets, self._kernel, self._problems.add):
            if wanted.end is not None and entry.t > wanted.end:
                return
            if (wanted.start and entry.t < wanted.start) or (self._only and not is_of(self._only, entry)):
                continue
            if isinstance(entry, CallEntry) and entry.trust in self._links:
                self._links[entry.trust] += 1
            elif isinstance(entry, PacketEntry) and entry.trust == UNMATCHED:
                self._unsent += 1
            yield entry
        self._is_read = True

    def finish(self) -> int:
        """Say what is to be said; the exit code."""
        self._problems.finish()
        timeline, wanted = self.timeline, self._wanted
        if self._logs is not None:
            for line in clocks(self._logs, read=True):
                self._tell(line)
        if self._is_read:  # who read only a part cannot say that something is missing
            for line in _strangers(timeline, wanted):
                self._tell(line)
        for line in [*_other_boot(timeline, wanted, self._kernel), *_steps(timeline)]:
            self._tell(line)
        if wanted.capture:
            for line in problems(timeline.capture, timeline.sightings.analysis):
                self._tell(f"{wanted.capture}: {line}")
        for line in _lacks(self._kernel):
            self._tell(f"{wanted.kernel}: {line}")
        if wanted.capture and wanted.logs:
            self._tell(self._joined())
        torn = self._kernel is not None and self._kernel.problems
        return _FAILED if self._problems.count or timeline.capture.problems or torn else _DONE

    def _joined(self) -> str:
        exact, inferred, unmatched = self._links.values()
        lost, none = self.timeline.capture.dropped, f"{unmatched:,}"
        if self._unsent:
            none = f"{plural(unmatched, 'call')} and {plural(self._unsent, 'packet')}"
        why = ""
        if lost and (unmatched or self._unsent):
            why = f", as the capture lost {lost:,} packets: not the program's fault"
        found = f"{exact:,} exactly, {inferred:,} by inference"
        return f"calls joined with packets: {found}; {none} not matched{why}"


def as_json(wanted: Wanted, write: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """An object for each entry, and then for each connection; the exit code.

    Raises:
        EvloopError: a file cannot be opened, or is not what it should be; or there is no such connection.
    """
    only = _chosen(wanted)
    with ExitStack() as files:
        reading = _Reading(wanted, tell, files, only)
        entries = (entry_line(entry, reading.labels) for entry in reading.entries())
        for lines in _batches(entries):
            write(escape_json(b"".join(lines)))
        for strand in reading.timeline.weaver.strands:
            if only is None or strand.number == only.number:
                write(escape_json(strand_line(strand)))
        return reading.finish()


def draw(wanted: Wanted, style: Style, write: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """The ladder; the exit code.

    Raises:
        EvloopError: as `as_json`.
    """
    only = _chosen(wanted)
    with ExitStack() as files:
        reading = _Reading(wanted, tell, files, only)
        view = TimelineView(
            style.width,
            reading.prefixes,
            packets=wanted.capture is not None,
            kernel=wanted.kernel is not None,
        )
        for lines in _batches(view.lines(reading.entries())):
            write(render(lines, colour=style.colour))
        return reading.finish()


def measure(wanted: Wanted, style: Style, write: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """The ruler of one connection; the exit code.

    Raises:
        EvloopError: as `as_json`.
    """
    only = _chosen(wanted)
    assert only is not None
    with ExitStack() as files:
        reading = _Reading(wanted, tell, files, only)
        ruler = Ruler(only, captured=wanted.capture is not None)
        for entry in reading.entries():
            ruler.add(entry)
        write(render(lines_of_ruler(ruler, style.width), colour=style.colour))
        return reading.finish()


def _chosen(wanted: Wanted) -> Strand | None:
    """The connection that was asked for: which one that is, is known when all is read."""
    if wanted.conn is None:
        return None
    if "-" in {*wanted.logs, wanted.capture, wanted.kernel}:
        raise EvloopError("to choose a connection all is read twice: name files instead of -")
    with ExitStack() as files:
        reading = _Reading(wanted._replace(start=0, end=None), lambda _: None, files)
        for _ in reading.entries():
            pass
        return choose(reading.timeline.weaver.strands, wanted.conn)


def _batches(lines: Iterator[T]) -> Iterator[list[T]]:
    while batch := list(islice(lines, _BATCH)):
        yield batch


def _read_kernel(path: str | None) -> TransitionLog | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return read_transitions(iter(partial(file.readline, MAX_LINE), b""), path)
    except (OSError, ValueError) as error:
        raise EvloopError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _lacks(kernel: TransitionLog | None) -> Iterator[str]:
    """What is not there of the kernel's words."""
    if kernel is not None:
        yield from kernel.problems
        if kernel.end is not None and kernel.end.lost:
            yield f"lacks {plural(kernel.end.lost, 'event')}, for which the kernel had no room"


def _strangers(timeline: Timeline, wanted: Wanted) -> Iterator[str]:
    """What says that a log and a capture do not belong together."""
    calls, packets = timeline.calls, timeline.packets
    if not (wanted.logs and wanted.capture):
        return
    if packets.is_empty:
        yield f"{wanted.capture} has no packet of TCP or UDP: the wire stays empty"
    elif not calls.is_empty and (packets.end < calls.begin or calls.end < packets.begin):
        if packets.end < calls.begin:
            how = f"its last packet came {duration(calls.begin - packets.end)} before the log began"
        else:
            how = f"its first packet came {duration(packets.begin - calls.end)} after the log ended"
        yield f"{wanted.capture} and the log do not belong together: {how}"
    else:
        yield from _unmet(timeline, wanted)


def _unmet(timeline: Timeline, wanted: Wanted) -> Iterator[str]:
    strands = [it for it in timeline.weaver.strands if it.proto == "tcp"]
    told = [it for it in strands if any(it.names)]
    unseen = [it for it in told if it.wire is None]
    if not unseen:
        return
    if len(unseen) < len(told):
        yield (
            f"{len(unseen):,} of the log's {len(told):,} connections are not in {wanted.capture}: "
            "they were over before it began, or were begun behind its end, or used another port"
        )
        return
    server = escape_text(unseen[0].server)
    there = next((escape_text(it.server) for it in strands if it.wire is not None), "nowhere")
    yield (
        f"none of the log's connections is in {wanted.capture}: the log's go to {server}, "
        f"the capture's to {there}; was it taken on another interface, or of another port?"
    )


def _other_boot(timeline: Timeline, wanted: Wanted, kernel: TransitionLog | None) -> Iterator[str]:
    """The kernel's monotonic clock is not the log's."""
    if kernel is not None and timeline.clocks.is_strange(kernel.header.boot_id):
        yield (
            f"{wanted.kernel} and the log do not belong together: the machine was booted in between; "
            "what the kernel said stands where the time of day puts it"
        )


def _told_twice(wanted: Wanted) -> str:
    """What is named twice, if something is; once read, standard input is at its end."""
    files = [*wanted.logs, *(it for it in (wanted.capture, wanted.kernel) if it)]
    seen: set[str] = set()
    for name in files:
        path = name if name == "-" else os.path.realpath(name)
        if path in seen:
            return name
        seen.add(path)
    return ""


def _steps(timeline: Timeline) -> Iterator[str]:
    for t, moved in timeline.clocks.steps:
        way = "forward" if moved > 0 else "back"
        yield (
            f"somebody set the clock {duration(abs(moved))} {way} in the 10 s before {duration(t)}: "
            "packets of these seconds may stand in a wrong place"
        )
