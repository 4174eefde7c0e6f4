"""Bytes that the kernel did not take: whether anybody comes back with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.words import call, when
from evloop_trace.model.lint.finding import Finding
from evloop_trace.numbers import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evloop.events.schema import AnyEvent, Close, Send
    from evloop_trace.model.diagnosis.state import Process, Stream
    from evloop_trace.model.lint.finding import Findings

__all__ = ["Sending"]

_GONE = frozenset({"error", "aborted", "drain-timeout", "idle-timeout", "lifetime", "handler-error"})
"""Reasons of a close after which nothing more can, or shall, be sent."""


class Sending:
    """Sends that were not taken whole, until the rest is gone."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self.unsent: dict[str, Stream] = {}
        """Streams whose last send left something over."""
        self._forgotten: set[str] = set()  # of them, those for which nobody watches
        self._promised: dict[str, tuple[int, Send]] = {}  # where a stream was to stand, and by which send

    def sent(self, stream: Stream, rest: Send | None, event: Send) -> None:
        """A send that took less than all, or that comes after such a one, which is `rest`."""
        name = stream.name
        if rest is not None and name in self._forgotten:
            self._forgotten.discard(name)
            left = rest.size - (rest.n or 0)
            if rest.n and event.size != left:
                what = f"the next one offers {size(event.size)} {when(event)}, which is not the rest"
                self._partial(stream, rest, event, what)
        if stream.rest is not event:
            self.unsent.pop(name, None)
            return
        self.unsent[name] = stream
        if event.n and event.off is not None:
            self._promised[name] = event.off[1] + event.size - event.n, event

    def polled(self, thread: str, masks: Mapping[str, str] | None, event: AnyEvent) -> None:
        """A thread is about to sleep, or has slept, in a poll; `masks` is what for, if that is told."""
        for name, stream in tuple(self.unsent.items()):
            rest = stream.rest
            if rest is None or rest.thread != thread or stream.paired or name in self._forgotten:
                continue
            mask = masks.get(name, "") if masks else None if stream.interest is None else stream.watched
            if mask is None or "WRITE" in mask:
                continue
            self._forgotten.add(name)
            if not self._findings.again("lost-interest", name, event):
                taken = "nothing" if rest.n is None else size(rest.n)
                text = (
                    f"{call(rest)} on {name} took {taken} of {size(rest.size)} {when(rest)}: the kernel's "
                    "buffer is full, and nobody watches for WRITE, so nobody learns when there is room."
                )
                self._findings.add(Finding("lost-interest", name, [rest], event, text))

    def closed(self, stream: Stream, event: Close) -> None:
        """A connection ends: was all sent that was once offered?"""
        promised = self._promised.get(stream.name)
        self.forget(stream.name)
        if promised is None or event.reason in _GONE or event.errno is not None or stream.broken is not None:
            return
        end, rest = promised
        missing = end - max(stream.sent, event.sent)
        if missing > event.buffered:
            what = f"when it is closed {when(event)}, {size(missing)} of what was offered were never sent"
            self._partial(stream, rest, event, what)

    def miss(self) -> None:
        """Events are missing: what was left over may have been sent in them."""
        self.unsent.clear()
        self._forgotten.clear()

    def forget(self, name: str) -> None:
        """It is closed."""
        self.unsent.pop(name, None)
        self._promised.pop(name, None)
        self._forgotten.discard(name)

    def _partial(self, stream: Stream, rest: Send, event: AnyEvent, what: str) -> None:
        if not self._findings.again("partial-send", stream.name, event):
            text = (
                f"{call(rest)} on {stream.name} took {size(rest.n or 0)} of {size(rest.size)} {when(rest)};"
            )
            self._findings.add(
                Finding("partial-send", stream.name, [rest], event, f"{text} {what}: the rest is lost.")
            )
