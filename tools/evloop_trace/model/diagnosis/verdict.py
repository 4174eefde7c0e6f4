"""All rules, asked at the moment that matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.model.diagnosis.finding import Finding, evidence
from evloop_trace.model.diagnosis.fold import Ends, Fold
from evloop_trace.model.diagnosis.listeners import unaccepted
from evloop_trace.model.diagnosis.present import is_stopped
from evloop_trace.model.diagnosis.scene import Scene
from evloop_trace.model.diagnosis.spins import asking, spinning
from evloop_trace.model.diagnosis.state import Listener, Process, Stream
from evloop_trace.model.diagnosis.streams import standing
from evloop_trace.model.diagnosis.threads import own_code, sleeping, stopped
from evloop_trace.model.diagnosis.waits import waiting
from evloop_trace.model.diagnosis.words import moment, reset
from evloop_trace.model.filters import due
from evloop_trace.numbers import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Header
    from evloop_trace.model.diagnosis.present import Present

__all__ = ["Diagnosis", "Verdict"]

_NAMED = 5  # sockets that were left open
_LOOKS = 100  # how often a wait that was ended from outside is looked at; a program may live on signals


class Verdict(NamedTuple):
    """What is to be said of the logs."""

    stuck: bool
    """Something hangs."""
    summary: list[str]
    """A line for each log."""
    findings: list[Finding]
    """What hangs first, what waits as it should next, what has ended badly last."""


class Diagnosis:
    """Fold the logs with `feed`, then ask for the `verdict`."""

    def __init__(self, logs: Sequence[tuple[str, Header]], at: int | None = None) -> None:
        """Logs as label and header; `at`: the moment, in nanoseconds, or None for the end."""
        ends = Ends()
        self._at = at
        self._processes = [Process(label, header) for label, header in logs]
        self._folds = [Fold(process, ends, at, self._look) for process in self._processes]
        self._last_words: dict[str, tuple[AnyEvent, list[Finding]]] = {}
        self._looks = 0

    def feed(self, log: int, items: list[Item]) -> None:
        """Consecutive lines of a log, given by its place among the logs."""
        self._folds[log].feed(items)

    def look(self, log: int, present: Present | None) -> None:
        """The program of a log still runs, and this is how it is now; None: it is known to run no more."""
        self._processes[log].present, self._processes[log].gone = present, present is None

    def verdict(self) -> Verdict:
        """What is stuck at the moment, and what is only to be noted."""
        findings: list[Finding] = []
        summary: list[str] = []
        scene = Scene(self._processes, self._at)
        for process in self._processes:
            found = self._of(scene, process)
            findings += found
            summary.append(_summary(process, found, self._at, self._interrupt(process)))
        findings.sort(key=lambda finding: (not finding.stuck, finding.kind.startswith("ended")))
        return Verdict(any(finding.stuck for finding in findings), summary, findings)

    def _of(self, scene: Scene, process: Process) -> list[Finding]:
        if process.end is None:
            found = list(_look_at(scene, process))
        elif self._interrupt(process) is not None:
            found = [*self._last_words[process.label][1]]
        else:
            found = []
        return [*found, *_resets(process)]

    def _interrupt(self, process: Process) -> AnyEvent | None:
        """What ended the waits of a process that did not end by itself."""
        if process.end is None or process.label not in self._last_words:
            return None
        event, _ = self._last_words[process.label]
        return event if process.end.reason == "KeyboardInterrupt" or _is_last(process, event) else None

    def _look(self, process: Process, event: AnyEvent) -> None:
        """The waits of a process are about to be ended from outside: this is how it hung."""
        known = self._last_words.get(process.label)
        if known is not None and _is_last(process, known[0]):
            return  # it was interrupted on its way out
        self._looks += 1
        if self._looks <= _LOOKS:
            process.now = max(process.now, due(event))
            self._last_words[process.label] = event, list(_look_at(Scene(self._processes, None), process))


def _is_last(process: Process, event: AnyEvent) -> bool:
    """Whether the thread that was interrupted has not waited again."""
    thread = process.threads.get(getattr(event, "thread", ""))
    return thread is not None and thread.interrupted is event


def _look_at(scene: Scene, process: Process) -> Iterator[Finding]:
    """All findings in a process that runs."""
    halted = is_stopped(process)
    if halted:
        yield stopped(process)
    spins = {
        name: found
        for name, sock in process.sockets.items()
        if not halted and (found := spinning(scene, sock)) is not None
    }
    yield from spins.values()
    busy = {found.thread for found in spins.values()}
    for thread in process.threads.values():
        if halted or thread.name in busy:
            continue
        for rule in (asking, waiting, sleeping, own_code):
            if (found := rule(scene, process, thread)) is not None:
                yield found
                break
    for name, sock in process.sockets.items():
        if isinstance(sock, Stream):
            found = standing(scene, sock) if sock.connected and name not in spins else None
        else:
            found = unaccepted(scene, process, sock) if isinstance(sock, Listener) else None
        if found is not None:
            yield found


def _resets(process: Process) -> Iterator[Finding]:
    """close(2) with bytes that nobody has read answers with a reset: the peer may lose what it was sent."""
    for close in process.resets:
        found = evidence((process, [close]))
        yield Finding(
            "ended-badly", reset(close), process.label, close.thread, close.conn, close.t, found, stuck=False
        )


def _summary(process: Process, findings: list[Finding], at: int | None, interrupt: AnyEvent | None) -> str:
    """One line about a log."""
    number = sum(finding.stuck for finding in findings)
    things = plural(number, "thing") if number else "nothing"
    hangs = f"{things} {'hang' if number > 1 else 'hangs'}"
    missing = f" ({plural(process.missing, 'event')} missing)" if process.missing else ""
    if interrupt is not None:
        return f"{things} hung when it was interrupted at {moment(due(interrupt))}{missing}"
    if process.end is not None:
        ended = f"the program ended at {moment(process.end.t)}{_why(process)}"
        return f"nothing hangs: {ended}{_left(process)}{missing}"
    if at is not None and at < process.now:
        return f"{hangs} at {moment(at)}{missing}"
    if process.cut is not None:
        return f"{hangs} at {moment(process.now)}, where the file ends: {process.cut.reason}{missing}"
    if process.present is not None:
        there = "stopped by a signal" if is_stopped(process) else "still running"
        return f"{hangs}; {there} (pid {process.header.pid}) at {moment(process.present.t)}{missing}"
    how = "killed or crashed" if process.gone else "killed, crashed, or still running"
    return f"{hangs}; the log has no end ({how}){missing}"


def _why(process: Process) -> str:
    """By what it ended, if by an exception."""
    error = process.error
    if error is None or process.end is None or not error.message.startswith(process.end.reason):
        return ""
    return f" by {error.message} ({error.where})"


def _left(process: Process) -> str:
    """What was open when it ended."""
    names = [close.conn or close.sock or "" for close in process.left]
    names += list(process.sockets)[: _NAMED - len(names)]
    number = process.left_count + len(process.sockets)
    if not number:
        return ", and left nothing open"
    more = f" and {number - len(names):,} more" if number > len(names) else ""
    return f", and left open: {', '.join(names)}{more}"
