"""Going to and fro in a log: the picture after any number of its events.

Going back is going forward from a checkpoint. There are never many of those: when there are, every
other one is dropped, and from then on they are taken half as often.
"""

from __future__ import annotations

from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from msgspec.structs import replace

from evloop.events.reader import Problem
from evloop.events.schema import Poll, Unknown
from evloop_trace.correlate.meeting import Meeting, Told
from evloop_trace.model.filters import due
from evloop_trace.model.lint import Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import AnyEvent
    from evloop_trace.model.lint import Notice
    from evloop_trace.tape import Shown, Tape

    Keep: TypeAlias = Callable[[AnyEvent | Unknown], bool]

__all__ = ["Checkpoint", "Playback"]

EVERY = 4096  # events from one checkpoint to the next, to begin with
MOST = 128  # checkpoints
SLICE = 256  # events after which a long way is interrupted to look at the clock
_NEVER = 1 << 62


class Checkpoint(NamedTuple):
    """A place to begin from."""

    number: int
    t: int
    frozen: bytes


class Playback:
    """A place in a log, and the picture there."""

    def __init__(self, tape: Tape, keep: Keep | None = None, end: int | None = None) -> None:
        self.tape = tape
        self.picture = tape.blank()
        self._trail = Trail()
        self.number = 0  # items applied
        self.problems = 0  # of them, lines that were no events
        self._keep = keep
        self._end = end
        self._every = EVERY
        self._checkpoints = [Checkpoint(0, 0, self.picture.freeze())]

    @property
    def notice(self) -> Notice | None:
        """What the lints had found by now."""
        return self._trail.at(self.number)

    def next(self) -> Shown | None:
        """What comes next, or None at the end."""
        item = self.tape.item(self.number)
        return None if item is None or (self._end is not None and _due(item) > self._end) else item

    def run_to(self, t: int, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Apply what is due at the time `t`; whether it got there, or to the end.

        Args:
            t: The time.
            interrupted: Asked now and then whether to stop for the time being.
        """
        t = t if self._end is None else min(t, self._end)
        while items := self.tape.after(self.number, SLICE):
            if _due(items[-1]) > t:
                self._apply(list(takewhile(lambda item: _due(item) <= t, items)))
                return True
            self._apply(items)
            if interrupted():
                return False
        return True

    def run_tick(self) -> None:
        """Apply the rest of a tick: up to the next poll, but at least one event."""
        while self.step() and not _is_poll(self.next()):
            pass

    def step(self) -> bool:
        """Apply one event, and those before it that are not kept; whether there was one."""
        t = _NEVER if self._end is None else self._end
        while items := self.tape.after(self.number, SLICE):
            for at, item in enumerate(items):
                if _due(item) > t:
                    self._apply(items[:at])
                    return False
                if self._is_kept(item):
                    self._apply(items[: at + 1])
                    return True
            self._apply(items)
        return False

    def previous(self) -> int:
        """The number of the last kept event."""
        return self._last(self._is_kept)

    def tick_before(self) -> int:
        """The number of the poll that began the tick before what is shown."""
        return self._last(_is_poll)

    def rewind(self, number: int) -> None:
        """Go back to a checkpoint before `number`, if that lies behind: from there it is run to."""
        if number < self.number:
            self._restore([it for it in self._checkpoints if it.number <= number][-1])

    def rewind_to(self, t: int) -> None:
        """Go back to a checkpoint before the time `t`, if that lies behind."""
        if t < self.picture.t:
            self._restore(
                [it for it in self._checkpoints if it.t <= t][-1] if t >= 0 else self._checkpoints[0]
            )

    def go(self, number: int) -> None:
        """Be where `number` items are applied."""
        self.rewind(number)
        while items := self.tape.after(self.number, min(SLICE, number - self.number)):
            self._apply(items)

    def only(self, keep: Keep | None) -> None:
        """Keep other events on the ladder from now on; all begins anew."""
        self._keep = keep
        del self._checkpoints[1:]
        self._every = EVERY
        self._restore(self._checkpoints[0])

    def _last(self, wanted: Callable[[Shown | None], bool]) -> int:
        """The number of the last applied item that is `wanted`, or 0."""
        for number in range(self.number - 1, 0, -1):
            if wanted(self.tape.item(number)):
                return number
        return 0

    def _is_kept(self, item: Shown | None) -> bool:
        return not isinstance(item, Problem | None) and (self._keep is None or _keeps(self._keep, item))

    def _apply(self, items: Sequence[Shown]) -> None:
        keep = self._keep
        apply: Callable[[Any], None] = self.picture.apply
        for item in items:
            if isinstance(item, Problem):
                self.problems += 1
                continue
            apply(item)
            if keep is not None and not _keeps(keep, item):
                self._hide(item)
        self._lint(items)
        self.number += len(items)
        if self.number - self._checkpoints[-1].number >= self._every:
            self._checkpoint()

    def _lint(self, items: Sequence[Shown]) -> None:
        """Let the lints see what they have not seen."""
        new = items[self._trail.fed - self.number :]
        for log, told in groupby(new, lambda item: item.crossing.log if isinstance(item, Told) else 0):
            self._trail.feed([it.event if isinstance(it, Told) else it for it in told], log)

    def _hide(self, item: AnyEvent | Unknown | Told) -> None:
        """Take an event off the ladder, if it came to stand there."""
        if isinstance(self.picture, Meeting):
            self.picture.hide(cast("Told", item))
            return
        ladder, event = self.picture.ladder, _event(item)
        if ladder and ladder[-1].seq == event.seq and ladder[-1].t == event.t:
            del ladder[-1]

    def _checkpoint(self) -> None:
        self._checkpoints.append(Checkpoint(self.number, self.picture.t, self.picture.freeze()))
        if len(self._checkpoints) > MOST:
            del self._checkpoints[1::2]
            self._every *= 2

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.number = checkpoint.number
        self.picture = type(self.picture).thaw(checkpoint.frozen)


def _event(item: AnyEvent | Unknown | Told) -> AnyEvent | Unknown:
    return item.event if isinstance(item, Told) else item


def _keeps(keep: Keep, item: AnyEvent | Unknown | Told) -> bool:
    """Of a connection whose two ends are in the logs either end's name will do."""
    event = _event(item)
    if keep(event):
        return True
    names = item.crossing.names if isinstance(item, Told) else ()
    return any(keep(replace(event, conn=name)) for name in names if not isinstance(event, Unknown))


def _is_poll(item: Shown | None) -> bool:
    return not isinstance(item, Problem | None) and isinstance(_event(item), Poll)


def _due(item: Shown) -> int:
    """When an item can be shown; a broken line waits for nothing."""
    return 0 if isinstance(item, Problem) else due(_event(item))
