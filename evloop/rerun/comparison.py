"""What the rerun's events are held beside: the log's, one by one, in the moment they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.recorder import Recorder
from evloop.events.schema import Clock, End, Event, Poll, Slow
from evloop.tracing import EventTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.rerun.tape import Tape
    from evloop.tracing import TracedKernel

__all__ = ["Comparison", "RerunTrace"]


class Comparison(Recorder):
    """A recorder that takes an event only if the log has the same one next."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape.header, lambda _sink, _error: None)
        self._tape = tape
        self.append = self._append
        self.recorded: Callable[[Event], None] | None = None
        """Told of every event that is the same."""
        self.sinks.append(_LastLine(self))

    def _append(self, event: Event) -> None:
        self.batch.append(event)  # whoever looks back at this turn finds it there, as in any recorder
        self.compare(event)

    def compare(self, event: Event) -> None:
        """Take the tape on by an event.

        Raises:
            Difference: the log has another.
        """
        tape = self._tape
        logged = tape.next
        if event != logged and not self._agree_on_sleep(event, logged):
            tape.differs(event)
        tape.advance()
        if self.recorded is not None:
            self.recorded(event)

    def _agree_on_sleep(self, event: Event, logged: Event | None) -> bool:
        """Whether two polls differ in nothing but a time-out that the loop may have computed then.

        It is the deadline less a reading of the clock which is not in the log, and was made between the last
        event and the poll. The rerun takes the poll's own time for it, so the log's is longer by what passed
        in between, at most.
        """
        if not (isinstance(event, Poll) and isinstance(logged, Poll)):
            return False
        rerun, then = event.timeout, logged.timeout
        passed = self.origin + logged.t - self._tape.ended
        if rerun is None or then is None or not rerun <= then <= rerun + passed:
            return False
        event.timeout = then
        return event == logged

    def clocks(self) -> tuple[int, int, int]:
        """As they were read then."""
        clock = self._tape.next
        if not isinstance(clock, Clock):
            self._tape.differs("the two clocks are read: ten seconds have passed")
        return clock.mono_ns, clock.wall_ns, clock.bracket_ns

    @property
    def lost(self) -> int:
        """Events that could not be written then: that is the file's, and says nothing of the server."""
        end = self._tape.next
        return end.lost if isinstance(end, End) else 0


class _LastLine:
    """The sink of the rerun: what it is given has been compared, but for the end, which is made for it."""

    wants_lines = False

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    @property
    def lost(self) -> int:
        """As it was then."""
        return self._comparison.lost

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Compare the end."""
        del block
        if isinstance(events[-1], End):
            self._comparison.compare(events[-1])

    def close(self) -> None:
        """Nothing is open."""


class RerunTrace(EventTrace):
    """What the loop says of its decisions; and that it judges how long a turn took as it did then.

    If a turn was not slow, nothing says when that was found. So it is as long as its events are; if it was,
    the time is its event's.
    """

    def __init__(self, kernel: TracedKernel, tape: Tape, foresee: Callable[[], None]) -> None:
        """`foresee` is called when a turn is over."""
        super().__init__(kernel)
        self._tape = tape
        self._foresee = foresee

    def tick_done(self) -> None:
        """As `EventTrace`."""
        tape = self._tape
        if not isinstance(tape.next, Slow):
            tape.linger()
        super().tick_done()
        tape.go_on()
        self._foresee()
