"""The loop itself as a value: its ticks, its sleep, and what woke it."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from evloop.events.schema import Poll, Prepare, Snapshot

__all__ = ["BEHIND", "WINDOW", "LoopState", "Pace", "Sample"]

BEHIND = "a watcher is behind"
"""Why our server sleeps no longer than a moment: of what it does meanwhile a watcher may hear nothing."""

WINDOW = 2_000_000_000
"""Nanoseconds that "recently" looks back."""

_SAMPLE_EVERY = 100_000_000


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """How far the loop had come at a moment."""

    t: int
    tick: int
    blocked: int


class Pace(NamedTuple):
    """What the loop did with its time."""

    rate: float  # ticks a second
    recent: float  # share of the window that it slept, 0 to 1
    total: float  # share of all the time that it slept, 0 to 1


class LoopState(msgspec.Struct):
    """What the loop's own events say about it."""

    tick: int = 0
    blocked: int = 0  # nanoseconds asleep, in polls that have returned
    ready: list[tuple[str, str]] = []
    polled: bool = False  # it has woken at least once
    slept: int = 0  # nanoseconds, the last time
    signal: str = ""  # that woke it
    timer: str = ""  # that woke it
    why: str = ""  # it sleeps as long as it does
    until: int | None = None  # it will wake by itself; None is never
    at_work: int | None = None  # the kernel says that it runs since then, and it has said nothing
    spins: int = 0  # brief polls so far that nothing came between
    slow: int = 0  # ticks that made everybody wait
    samples: list[Sample] = []
    since: int = 0  # what was before is not in the log

    def poll(self, event: Poll) -> None:
        """It slept and has woken."""
        t, dur = event.t, event.dur
        if t + dur - self._sampled() >= _SAMPLE_EVERY:
            self._sample(t)
            self._sample(t + dur, dur)
        self.blocked += dur
        self.slept = dur
        self.ready = event.ready
        self.polled = True
        self.signal = self.timer = ""
        self.why = event.why
        self.until = None if event.timeout is None else t + event.timeout

    def prepare(self, event: Prepare | Snapshot) -> None:
        """It is about to sleep for another reason, or what a snapshot says it sleeps for."""
        self.why = event.why
        self.until = event.until

    def slow_tick(self) -> None:
        """It worked for so long that everybody waited."""
        self.slow += 1

    def restart(self, t: int, tick: int, blocked: int) -> None:
        """Take over what a snapshot says: its sums are the loop's own, whatever we have heard of."""
        if self.samples and (t < self._sampled() or tick < self.samples[-1].tick):
            self.samples = []  # it is another's
        self.tick, self.blocked = tick, blocked
        self._sample(t)

    def begin(self, t: int, tick: int) -> None:
        """The log begins in the middle: nothing is known of the time before."""
        self.since = t
        self.restart(t, tick, 0)

    def asleep_until(self, now: int, since: int) -> int:
        """Until when it has slept if it has said nothing since then: a poll is written when it returns.

        Not beyond the time at which it wakes by itself or runs, and if a watcher is behind nobody can tell.
        """
        if self.why == BEHIND:
            return since
        ends = (now, self.until, self.at_work)
        return max(since, min(end for end in ends if end is not None))

    def pace(self, now: int, since: int) -> Pace:
        """Rates at `now`, or as of when we last knew; nothing was said `since` then."""
        asleep_until = self.asleep_until(now, since)
        if self.at_work is None:
            now = asleep_until
        # What works while a watcher is behind takes turns that the watcher does not hear of.
        known = since if self.why == BEHIND else now
        blocked = self.blocked + asleep_until - since
        later = [Sample(since, self.tick, self.blocked), Sample(asleep_until, self.tick, blocked)]
        later.append(Sample(now, self.tick, blocked))
        total = min(1.0, blocked / (now - self.since)) if now > self.since else 0.0
        base = self._at(known - WINDOW, later)
        # A few ticks in their first microseconds are no millions a second.
        elapsed = max(known - base.t, _SAMPLE_EVERY)
        rate = (self.tick - base.tick) * 1e9 / elapsed if known > base.t else 0.0
        base = self._at(now - WINDOW, later)
        recent = min(1.0, (blocked - base.blocked) / (now - base.t)) if now > base.t else 0.0
        return Pace(rate, recent, total)

    def _at(self, t: int, later: list[Sample]) -> Sample:
        """How far the loop had come at `t`; between two samples, of which the last is later, it is steady."""
        samples = [*(self.samples or [Sample(0, 0, 0)]), *later]
        at = bisect_right(samples, t, key=lambda sample: sample.t)
        if at == 0:
            return samples[0]
        before, after = samples[at - 1], samples[at]
        share = (t - before.t) / (after.t - before.t)
        blocked = before.blocked + round((after.blocked - before.blocked) * share)
        return Sample(t, before.tick + round((after.tick - before.tick) * share), blocked)

    def _sampled(self) -> int:
        return self.samples[-1].t if self.samples else 0

    def _sample(self, t: int, slept: int = 0) -> None:
        samples = self.samples
        samples.append(Sample(t, self.tick, self.blocked + slept))
        # One sample before the window's beginning is kept, to interpolate from.
        while len(samples) > 2 and samples[1].t <= t - WINDOW:
            del samples[0]
