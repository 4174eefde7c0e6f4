"""Listeners: batches that stop too early, failures that are tried again too soon, queues that fill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.spins import rounds
from evloop_trace.model.diagnosis.state import Listener, Vain
from evloop_trace.model.diagnosis.words import moment, when
from evloop_trace.model.filters import due
from evloop_trace.model.lint.finding import Finding
from evloop_trace.model.sockets import NOT_NOW
from evloop_trace.numbers import plural

if TYPE_CHECKING:
    from evloop.events.schema import Accept, Poll, Queue
    from evloop_trace.model.diagnosis.state import Process
    from evloop_trace.model.lint.finding import Findings

__all__ = ["Accepting"]

_SHORTAGE = frozenset({"EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"})
_RETRIES = 3
"""Failures in a row without a pause, from which on it is no accident.

Who pauses at all fails once a pause; who checks whether a reserve descriptor helped fails twice.
"""
_PAUSE = 5_000_000
"""Nanoseconds between two tries that are a pause: gevent's first is 10 ms, the others' are longer."""
_FULL = 9, 10
"""The share of the limit at which a queue is as good as full: a burst's next callers fill it."""
_BATCH = 4  # accepts in a turn after which who stops may just have had enough


class _Batch:
    """What was accepted from a listener in a turn."""

    __slots__ = ("calls", "fast", "short", "tick", "told", "took")

    def __init__(self) -> None:
        self.tick = -1
        self.calls = self.took = 0
        self.fast = Vain()  # shortages without a pause between them
        self.short = 0  # shortages since the first that is told of, or of those
        self.told = 0  # of these, so many are


class Accepting:
    """What becomes of callers."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self._batches: dict[str, _Batch] = {}
        self.stopped: dict[str, Accept] = {}
        """Listeners whose batch has ended, so far, with a connection that failed."""

    def accepted(self, event: Accept) -> None:
        """accept(2) has returned, with whatever."""
        batch = self._batches.get(event.sock)
        if batch is None:
            batch = self._batches[event.sock] = _Batch()
        if batch.tick != event.tick:
            batch.tick, batch.calls, batch.took = event.tick, 0, 0
        batch.calls += 1
        if event.errno is None:
            batch.took += 1
            batch.fast.count = 0
            self.stopped.pop(event.sock, None)
            if event.queued is not None:
                self.counted(event.sock, event.queued, event)
        elif event.errno in NOT_NOW:
            self.stopped.pop(event.sock, None)
        elif event.errno in _SHORTAGE:
            self._short(event, batch)
        elif batch.calls >= _BATCH:
            self.stopped.pop(event.sock, None)
        elif batch.took or self._process.loops:
            self.stopped[event.sock] = event

    def _short(self, event: Accept, batch: _Batch) -> None:
        fast = batch.fast
        if fast.last is not None and event.t - due(fast.last) > _PAUSE:
            fast.count = 0
        fast.add(event)
        batch.short = batch.short + 1 if batch.told else fast.count
        first = fast.first
        if fast.count < _RETRIES or first is None:
            return
        more, batch.told = batch.short - batch.told, batch.short
        if self._findings.again("spin-accept", event.sock, event, more):
            return
        listener = self._process.sockets.get(event.sock)
        if isinstance(listener, Listener):
            found = next(iter(rounds(listener)))
            self._findings.add(
                Finding(
                    "spin-accept", event.sock, [first], event, found.text, found.why, fast.count, round=True
                )
            )

    def polled(self, event: Poll) -> None:
        """A turn begins: who is still ready was not served to the end."""
        ready = {name for name, _ in event.ready}
        for name, failed in self.stopped.items():
            if name in ready and not self._findings.again("accept-stopped", name, event):
                text = (
                    f"accept() on {name} failed with {failed.errno} {when(failed)}, and the batch ended with "
                    f"it: {name} is ready again at once, and who stood behind the aborted connection is "
                    "served a turn later."
                )
                self._findings.add(Finding("accept-stopped", name, [failed], event, text))
        self.stopped.clear()

    def counted(self, name: str, queued: int, event: Accept | Queue) -> None:
        """So many handshakes wait."""
        listener = self._process.sockets.get(name)
        if not queued or not isinstance(listener, Listener) or listener.backlog is None:
            return
        limit = self._limit(listener.backlog)
        if queued * _FULL[1] < limit * _FULL[0] or self._findings.again("queue-near-limit", name, event):
            return
        full = ": it is full, and the SYNs of others are dropped" if queued > limit else ""
        text = (
            f"{plural(queued, 'finished handshake')} waited in {name}'s queue at {moment(due(event))}, which "
            f"holds {limit + 1} (backlog {listener.backlog}){full}."
        )
        self._findings.add(Finding("queue-near-limit", name, [event], event, text))

    def _limit(self, backlog: int) -> int:
        """Linux cuts the backlog to somaxconn, and lets one more wait than is asked for."""
        most = self._process.header.sysctls.get("net.core.somaxconn", "")
        return min(max(backlog, 0), int(most)) if most.isdecimal() else max(backlog, 0)

    def miss(self) -> None:
        """Events are missing: a batch may have gone on in them."""
        self.stopped.clear()

    def closed(self, name: str) -> None:
        """It is gone."""
        self._batches.pop(name, None)
        self.stopped.pop(name, None)
