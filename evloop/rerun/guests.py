"""Who was in the loop besides the server: watchers, captures, and who held its gates.

What they did is no event, and is not done again. But they woke the loop, and set it timers, and released
what was held back: what of that the log shows is taken from there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from evloop.control.looped import LET_CONTROLLERS_IN
from evloop.events.schema import Control, Poll, Prepare, Timer
from evloop.kernel import READ
from evloop.net.watch import BEHIND, LET_IN
from evloop.rerun.recorded import OWN, RecordedSocket

if TYPE_CHECKING:
    from evloop.control.gates import Gates
    from evloop.loop.loop import Loop
    from evloop.rerun.tape import Tape

__all__ = ["Guests"]

_TIMERS = (BEHIND, LET_IN, LET_CONTROLLERS_IN)
_SILENT = OWN.keys() - {"signals"}  # the server's own


class Guests:
    """Their part in a turn, taken from the log."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._loop: Loop | None = None
        self._set: set[tuple[str, int]] = set()  # reason and time of the timers that have not fired yet
        self.wakeups: Counter[str] = Counter()
        """How often whom had something to be seen to, and how often a timer of theirs fired."""

    def join(self, loop: Loop) -> None:
        """From now on they are in the loop."""
        self._loop = loop
        for name, fd in OWN.items():
            loop.trace.own(fd, name)

    def foresee(self) -> None:
        """Set the timers that they must have set by now: the loop sleeps until one of them, or one fires.

        When a watcher is behind the log does not say; that it was, the timer tells which looks after it.
        """
        woke: int | None = None
        for event in self._tape.of_turn({Prepare, Timer}):
            match event:
                case Poll():
                    woke = self._tape.origin + event.t + event.dur
                    self.wakeups.update([name for name, _ in event.ready if name in _SILENT])
                case Prepare() if woke is not None:
                    return  # for the next sleep
                case Prepare() if event.why in _TIMERS and event.until is not None:
                    self._remind(event.why, self._tape.origin + event.until)
                case Timer() if event.why in _TIMERS and woke is not None:
                    self._remind(event.why, woke - event.late)

    def _remind(self, why: str, when: int) -> None:
        if self._loop is None or (why, when) in self._set:
            return
        self._set.add((why, when))

        def fired() -> None:
            self._set.discard((why, when))
            self.wakeups["timers"] += 1

        self._loop.timers.set(when, fired, why)


class Controller:
    """Stands for whoever held the gates, or released them, through `--control`."""

    regular = True

    def __init__(self, loop: Loop, tape: Tape, gates: Gates) -> None:
        self.fd = OWN["control"]
        self.sock = RecordedSocket("control", self.fd, "")
        self.watching = 0
        self._tape = tape
        self._gates = gates
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """READ, as the real one."""
        return READ, "control"

    def on_ready(self, _bits: int = 0) -> None:
        """Do what he did then."""
        while isinstance(event := self._tape.next, Control):
            self._gates.set(event.gate, held=event.held)
            if self._tape.next is event:  # it was so already: no gate moved, and that is no event
                return

    def fail(self, error: Exception) -> None:
        """It cannot be rerun."""
        raise error
