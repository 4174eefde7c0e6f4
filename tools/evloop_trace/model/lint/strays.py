"""What reaches the wrong one: a readiness its predecessor's, a wake-up whoever reads it as news."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.words import moment, when
from evloop_trace.model.lint.finding import Finding

if TYPE_CHECKING:
    from evloop.events.schema import Accept, Close, Poll, Recv, Signal
    from evloop_trace.model.diagnosis.state import Stream
    from evloop_trace.model.lint.finding import Findings

__all__ = ["Strays"]

_NO_NEWS = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})
"""Signals that are ignored unless somebody asks for them (signal(7)): no server is told by them to stop."""


class Strays:
    """Descriptors that changed hands within a turn, and signals that nobody meant."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.poll: Poll | None = None
        """That began this turn."""
        self.gone: dict[int, Close] = {}
        """By descriptor, what was closed in this turn though its poll had named it."""
        self._heirs: dict[str, tuple[Close, Accept]] = {}  # connections that got such a descriptor in it

    def polled(self) -> None:
        """Another turn has begun, whose list names nobody who is gone."""
        self.gone.clear()
        self._heirs.clear()

    def closed(self, event: Close) -> None:
        """The number is free, though this turn's list names its owner."""
        poll, name = self.poll, event.conn or event.sock
        if poll is not None and poll.thread == event.thread and any(it == name for it, _ in poll.ready):
            self.gone[event.fd] = event

    def accepted(self, event: Accept) -> None:
        """The number has a new owner."""
        close = self.gone.get(-1 if event.fd is None else event.fd)
        if close is not None and event.conn is not None:
            self._heirs[event.conn] = close, event

    def nothing(self, stream: Stream, event: Recv) -> None:
        """recv() has found nothing, which who was told of something does not expect."""
        heir = self._heirs.get(stream.name)
        if heir is None or stream.recv is not None or event.errno not in {"EAGAIN", "EWOULDBLOCK"}:
            return
        close, accept = heir
        if not self._findings.again("stale-event", stream.name, event):
            old = close.conn or close.sock
            text = (
                f"{stream.name} was accepted {when(accept)} with descriptor {accept.fd}, which {old} had "
                f"until it was closed at {moment(close.t)}, in the same turn; and it was read at once, with "
                f"{event.errno}: what was reported of {old} was taken for its own."
            )
            self._findings.add(Finding("stale-event", stream.name, [close, accept], event, text))

    def signal(self, event: Signal) -> None:
        """A signal was taken for news."""
        if event.signal in _NO_NEWS and not self._findings.again("wakeup-data", event.signal, event):
            text = (
                f"{event.signal} was reported at {moment(event.t)}, for which nobody has asked: every signal "
                "that has a handler, whoever's it is, writes a byte into the wake-up pipe."
            )
            self._findings.add(Finding("wakeup-data", event.signal, [event], event, text))
