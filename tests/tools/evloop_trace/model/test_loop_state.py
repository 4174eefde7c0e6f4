"""The loop's own state."""

from __future__ import annotations

import pytest
from evloop_trace.model.loop_state import WINDOW, LoopState

from evloop.events.schema import Poll, Prepare

SECOND = 1_000_000_000


def poll(t: int, dur: int, tick: int = 1, timeout: int | None = None) -> Poll:
    """A poll that slept for `dur`."""
    return Poll(tick, t, tick, dur, timeout, "idle", [("tcp-1", "IN")])


def test_a_poll_says_what_woke_the_loop_and_until_when_it_would_have_slept() -> None:
    """The timeout counts from when the poll began; null is for ever."""
    loop = LoopState()
    loop.poll(poll(10, 5, timeout=100))
    assert (loop.polled, loop.ready, loop.slept, loop.blocked) == (True, [("tcp-1", "IN")], 5, 5)
    assert (loop.why, loop.until) == ("idle", 110)
    loop.poll(poll(20, 5))
    assert (loop.until, loop.blocked) == (None, 10)


def test_a_poll_forgets_what_woke_the_loop_before() -> None:
    """A signal or timer belongs to one tick."""
    loop = LoopState(signal="SIGINT", timer="idle")
    loop.poll(poll(10, 5))
    assert loop.signal == loop.timer == ""


def test_prepare_says_why_it_sleeps_from_now_on() -> None:
    """It replaces what the last poll said."""
    loop = LoopState()
    loop.prepare(Prepare(1, 2, 3, 400, "idle timeout of tcp-1"))
    assert (loop.why, loop.until) == ("idle timeout of tcp-1", 400)


def test_slow_ticks_are_counted() -> None:
    """Each made everybody wait."""
    loop = LoopState()
    for _ in range(3):
        loop.slow_tick()
    assert loop.slow == 3


def test_nothing_has_no_pace() -> None:
    """At the very beginning there is nothing to divide by."""
    assert LoopState().pace(0, 0) == (0.0, 0.0, 0.0)


def test_a_steady_loop_has_its_rate_and_share_in_the_window_and_in_all() -> None:
    """100 ticks a second, half of each asleep."""
    loop = LoopState()
    for tick in range(1, 501):
        loop.tick = tick
        loop.poll(poll((tick - 1) * 10_000_000, 5_000_000, tick))
    pace = loop.pace(500 * 10_000_000, 500 * 10_000_000)
    assert pace.rate == pytest.approx(100, rel=0.02)
    assert pace.recent == pytest.approx(0.5, rel=0.02)
    assert pace.total == pytest.approx(0.5)


def test_the_samples_reach_back_one_window_and_no_further() -> None:
    """Memory is bounded, however long the loop runs."""
    loop = LoopState()
    for tick in range(1, 2001):
        loop.poll(poll(tick * 10_000_000, 5_000_000, tick))
    assert len(loop.samples) < 60
    assert loop.samples[1].t > 2000 * 10_000_000 - WINDOW - 200_000_000


def test_a_long_sleep_after_work_counts_only_as_far_as_the_window_sees_it() -> None:
    """A second of work, then four of sleep: of the last two nothing was worked."""
    loop = LoopState()
    loop.poll(poll(SECOND, 4 * SECOND))
    assert loop.pace(5 * SECOND, 5 * SECOND).recent == pytest.approx(1.0)
    assert loop.pace(5 * SECOND, 5 * SECOND).total == pytest.approx(0.8)


def test_a_sleep_that_goes_on_counts_although_its_poll_has_not_returned() -> None:
    """The live clock goes on between events."""
    loop = LoopState()
    loop.poll(poll(0, SECOND))
    assert loop.pace(3 * SECOND, 2 * SECOND).total == pytest.approx(2 / 3)
    assert loop.pace(3 * SECOND, 2 * SECOND).recent == pytest.approx(0.5)


def test_after_a_snapshot_the_window_begins_anew() -> None:
    """What happened before is known in sum only."""
    loop = LoopState()
    loop.poll(poll(0, SECOND))
    loop.restart(10 * SECOND, 50, 5 * SECOND)
    loop.tick = 60
    pace = loop.pace(11 * SECOND, 11 * SECOND)
    assert (pace.rate, pace.recent) == (10.0, 0.0)
    assert pace.total == pytest.approx(5 / 11)


def test_the_first_microseconds_are_no_rate_yet() -> None:
    """Two ticks in 10 µs are twenty a second, not two hundred thousand."""
    loop = LoopState(tick=2)
    assert loop.pace(10_000, 10_000).rate == 20.0
