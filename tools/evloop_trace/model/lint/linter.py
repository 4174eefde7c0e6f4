"""The fold of `why` with somebody at its side who looks while events pass, and tells what is wrong at once.

`why` asks at the end what is stuck; a lint finds what went wrong on the way, also if all ended well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from evloop.events.schema import (
    SCHEMA,
    Accept,
    Block,
    Close,
    Control,
    Gap,
    Header,
    Poll,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Signal,
    Slow,
    Timer,
)
from evloop_trace.model.checks import begins_late
from evloop_trace.model.diagnosis.fold import OFTEN, Ends
from evloop_trace.model.diagnosis.state import Listener, Process, Stream
from evloop_trace.model.diagnosis.words import SLOW
from evloop_trace.model.filters import due
from evloop_trace.model.lint.accepting import Accepting
from evloop_trace.model.lint.datagrams import Answering
from evloop_trace.model.lint.ending import Ending
from evloop_trace.model.lint.finding import Findings
from evloop_trace.model.lint.missed import Missed
from evloop_trace.model.lint.sending import Sending
from evloop_trace.model.lint.spinning import Spinning
from evloop_trace.model.lint.strays import Strays
from evloop_trace.model.lint.turns import READS, Turns

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from evloop.events.reader import Item
    from evloop.events.schema import Error, Event, Located
    from evloop_trace.model.diagnosis.state import Open, Thread
    from evloop_trace.model.lint.finding import Finding

__all__ = ["Linter"]

_CALLS = 4  # events that a turn has for everybody who was ready, before it is worth counting whose they are


class Linter:
    """Feed it a log, or events as they happen; each finding is given once, and counts on.

    It asks nobody and never raises, so a server may have one of its own.
    """

    def __init__(self, label: str = "") -> None:
        """`label` is what the log's names begin with, where several are read."""
        self._findings = Findings(label)
        self._process = Process(label, _UNKNOWN)
        self._fold = _Watching(self._process, self._findings)

    def feed(self, items: Sequence[Item] | Sequence[Event]) -> list[Finding]:
        """Consecutive events, or what was read in their place: what was found in them that is new."""
        self._fold.feed(cast("list[Item]", items))
        return self._findings.news()

    def finish(self) -> list[Finding]:
        """There are no more: what only that tells."""
        self._fold.finish()
        return self._findings.news()

    @property
    def events(self) -> int:
        """How many it was fed; a line that is none is not counted."""
        return self._fold.count

    @property
    def findings(self) -> list[Finding]:
        """All that are kept, in the order in which they were found."""
        return self._findings.found

    @property
    def left_out(self) -> Counter[str]:
        """How many more there are, by kind."""
        return self._findings.left_out

    @property
    def missing(self) -> int:
        """Events that are not in the log."""
        return self._process.missing

    @property
    def unseen(self) -> list[str]:
        """Whose calls are not in the log, as it says itself: modules and sockets, the first few."""
        return list(dict.fromkeys(it.what for it in (*self._process.modules, *self._process.encrypted)))

    @property
    def unjudged(self) -> str:
        """What could not be judged, in a sentence, or nothing."""
        header = self._process.header
        said = begins_late(header)
        late = f"the log {said}; what went wrong in them is not known" if said else ""
        return "; ".join(filter(None, (late, _BARE if header.payload == "none" else "")))


class _Watching(Missed):
    """The fold, and what each event tells besides."""

    def __init__(self, process: Process, findings: Findings) -> None:
        super().__init__(process, Ends(), None, lambda *_: None)
        self.spinning = Spinning(process, findings)
        self.sending = Sending(process, findings)
        self.accepting = Accepting(process, findings)
        self.ending = Ending(process, findings)
        self.turns = Turns(process, findings)
        self.datagrams = Answering(process, findings)
        self.strays = Strays(findings)
        self.count = 0  # events
        self._events: list[Any] = []
        self._last_poll: Poll | None = None
        self._held: set[str] = set()  # gates: what somebody holds back on purpose
        self._loops = process.loops
        self._slept = False
        self._broken_at = 0  # the number of an event before which others are missing
        self._handlers.update(
            {
                Header: self._header,
                Slow: self.turns.slow,
                Timer: self.turns.late,
                Signal: self._signal,
                Control: self._control,
            }
        )

    def finish(self) -> None:
        """The log is over."""
        self.ending.finish(self._events[-1] if self._events else None)

    def _fold(self, events: list[Any]) -> None:
        self._events = events
        self.count += len(events)
        super()._fold(events)
        poll = self._last_poll
        if poll is not None and (poll.ready or not self._loops) and events[-1] is not poll:
            self.turns.goes_on(poll, events)

    def _count_missing(self, events: list[Any]) -> int:
        """What was missed may have been what was waited for: who was being watched is watched no more."""
        self.sending.miss()
        self.ending.ended.clear()
        self.accepting.miss()
        known = self.process.missing
        expected = super()._count_missing(events)
        if self.process.missing > known:
            self._broken_at = events[-1].seq
        return expected

    def _gap(self, event: Gap) -> None:
        self._broken_at = max(event.seq, self._broken_at)
        super()._gap(event)

    def vanished(self, name: str) -> None:
        self.sending.forget(name)
        self.accepting.closed(name)

    def _place(self, poll: Poll | None) -> int:
        """Where what came after a poll begins, among the events that are read now."""
        return 0 if poll is None else max(0, poll.seq - self._events[0].seq + 1)

    def _header(self, event: Header) -> None:
        self.process.header = event
        self._loops = self.process.loops

    def _control(self, event: Control) -> None:
        (self._held.add if event.held else self._held.discard)(event.gate)

    def _signal(self, event: Signal) -> None:
        self.spinning.signal(event)
        self.strays.signal(event)

    # -- the loop --------------------------------------------------------------------------------------

    def _woken(self, event: Located) -> Thread:
        if self._loops or type(event) is not Poll:
            return super()._woken(event)
        known = self.process.threads.get(event.thread)
        self._slept = known is not None and known.wait is not None
        return super()._woken(event)

    def _sleeps(self, event: Block) -> None:
        super()._sleeps(event)
        if event.awaits == "poll" and self.sending.unsent and event.watched:
            self.sending.polled(event.thread, dict(event.watched), event)

    def _poll(self, event: Poll) -> None:
        before, self._last_poll = self._last_poll, event
        thread = self._thread(event.thread)
        if self.sending.unsent and not self._held:
            self.sending.polled(event.thread, None, event)
        if self.ending.ended:
            self.ending.polled(event, held=bool(self._held))
        if self.accepting.stopped:
            self.accepting.polled(event)
        self.strays.poll = event
        if self.strays.gone:
            self.strays.polled()
        polled = thread.polled
        if (
            polled is not None
            and not (self._loops or self._slept)
            and event.t - due(polled) >= SLOW
            and polled.seq >= self._broken_at
        ):
            self.turns.polled_late(polled, event, self._events[self._place(polled) : self._place(event) - 1])
        if before is not None and event.seq - before.seq > 2 * READS + _CALLS * len(before.ready):
            self.turns.busy(before, event, self._events[self._place(before) : self._place(event) - 1])
        if self.turns.parts or self.turns.latest is not None:
            self.turns.polled()
        super()._poll(event)
        if thread.asking.count >= OFTEN:
            self.spinning.asking(thread)

    def _in_vain(self, sock: Open) -> None:
        self.spinning.polled(sock)

    def _unnamed(self, name: str, bits: str, event: Poll) -> None:
        self.spinning.other(name, bits, event)

    # -- streams ---------------------------------------------------------------------------------------

    def _received_otherwise(self, stream: Stream, event: Recv) -> None:
        super()._received_otherwise(stream, event)
        if stream.ends.last is event:
            self.ending.end(stream, event)
            self._often(stream, stream.ends.count)
        elif stream.vain.last is event:
            self.strays.nothing(stream, event)
            self._often(stream, stream.vain.count)

    def _often(self, sock: Open, count: int) -> None:
        if count >= OFTEN:
            self.spinning.of(sock)

    def _sent_less(self, stream: Stream, event: Send) -> None:
        rest = stream.rest
        super()._sent_less(stream, event)
        self.sending.sent(stream, rest, event)

    def _close(self, event: Close) -> None:
        name = event.conn or event.sock or ""
        sock = self.process.sockets.get(name)
        if isinstance(sock, Stream):
            self.sending.closed(sock, event)
            self.ending.closed(sock, event)
        elif isinstance(sock, Listener):
            self.accepting.closed(name)
        self.strays.closed(event)
        super()._close(event)

    def _error(self, event: Error) -> None:
        super()._error(event)
        self.ending.failed(event)

    # -- listeners and datagrams -----------------------------------------------------------------------

    def _accept(self, event: Accept) -> None:
        super()._accept(event)
        self.accepting.accepted(event)
        if event.conn is not None:
            self.ending.accepts += 1
            self.strays.accepted(event)

    def _queue(self, event: Queue) -> None:
        super()._queue(event)
        self.accepting.counted(event.sock, event.queued, event)

    def _recvfrom(self, event: Recvfrom) -> None:
        super()._recvfrom(event)
        self.datagrams.received(event)
        sock = self._datagrams(event.sock)
        self._often(sock, sock.vain.count)

    def _sendto(self, event: Sendto) -> None:
        super()._sendto(event)
        self.datagrams.sent(event)


_BARE = "the log has no payloads: whether a read cut a character in two is known only if the error says so"

_UNKNOWN = Header(
    0, 0, 0, SCHEMA, mono_ns=0, wall_ns=0, bracket_ns=0, pid=0, argv=[], versions={}, selector="", mode="",
    payload="", payload_max=0,
)  # fmt: skip
"""Until the log's own comes."""
