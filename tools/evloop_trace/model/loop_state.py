"""The loop itself as a value: its ticks, its sleep, and what woke it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from evloop.events.schema import Poll, Prepare, Snapshot

__all__ = ["WINDOW", "LoopState", "Pace", "Sample"]

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
        """Take over what a snapshot says; what was between is not known, so the window begins anew."""
        self.tick, self.blocked = tick, blocked
        self.samples = [Sample(t, tick, blocked)]

    def begin(self, t: int, tick: int) -> None:
        """The log begins in the middle: nothing is known of the time before."""
        self.since = t
        self.restart(t, tick, 0)

    def pace(self, now: int, idle_since: int) -> Pace:
        """Rates at `now`; the loop counts as asleep since `idle_since`: a poll is written when it returns."""
        blocked = self.blocked + max(0, now - idle_since)
        base = self._at(now - WINDOW, Sample(now, self.tick, blocked))
        elapsed = now - base.t
        total = min(1.0, blocked / (now - self.since)) if now > self.since else 0.0
        if elapsed <= 0:
            return Pace(0.0, 0.0, total)
        recent = min(1.0, (blocked - base.blocked) / elapsed)
        # A few ticks in their first microseconds are no millions a second.
        return Pace((self.tick - base.tick) * 1e9 / max(elapsed, _SAMPLE_EVERY), recent, total)

    def _at(self, t: int, end: Sample) -> Sample:
        """How far the loop had come at `t`: between two samples it is taken as steady."""
        before, after = (self.samples[0] if self.samples else Sample(0, 0, 0)), end
        for sample in self.samples[1:]:
            if sample.t > t:
                after = sample
                break
            before = sample
        if before.t >= t:
            return before
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
