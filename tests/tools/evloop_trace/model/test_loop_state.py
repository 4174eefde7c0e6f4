"""The loop's own state."""

from __future__ import annotations

import pytest
from evloop_trace.model.loop_state import BEHIND, WINDOW, LoopState

from evloop.events.schema import Poll, Prepare
from evloop.net import watch

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


def test_what_a_snapshot_says_of_the_loop_is_true_of_what_was_not_heard_too() -> None:
    """Its sums are the loop's own: between two of them it is taken as steady."""
    loop = LoopState()
    loop.poll(poll(0, SECOND))
    loop.restart(10 * SECOND, 50, 5 * SECOND)
    loop.tick = 60
    pace = loop.pace(11 * SECOND, 11 * SECOND)
    assert (pace.rate, pace.recent) == (pytest.approx(8.0), pytest.approx(2 / 9))
    assert pace.total == pytest.approx(5 / 11)


@pytest.mark.parametrize(("t", "tick"), [(10 * SECOND, 49), (SECOND, 50)])
def test_a_snapshot_of_another_loop_begins_the_window_anew(t: int, tick: int) -> None:
    """Its ticks, or its time, have gone back."""
    loop = LoopState(tick=50)
    loop.poll(poll(0, 2 * SECOND))
    loop.restart(t, tick, 0)
    loop.tick += 10
    assert loop.pace(t + SECOND, t + SECOND) == (10.0, 0.0, 0.0)


def test_the_first_snapshot_of_who_joins_late_begins_the_window() -> None:
    """Of the ticks before it nothing tells when they were."""
    loop = LoopState()
    loop.restart(10 * SECOND, 1000, 5 * SECOND)
    loop.tick = 1010
    assert loop.pace(11 * SECOND, 11 * SECOND) == (10.0, 0.0, pytest.approx(5 / 11))


def spinning(loop: LoopState, until: int) -> None:
    """A watcher that is behind hears of a turn now and then, and gets a snapshot four times a second."""
    for t in range(SECOND, until + 1, SECOND // 4):
        loop.prepare(Prepare(1, t, 3, t + SECOND // 3, BEHIND))
        loop.tick = t // 20_000
        loop.restart(t, loop.tick, SECOND)
        loop.poll(poll(t, 5_000, timeout=SECOND // 3))
        loop.why = BEHIND


def test_a_loop_that_spins_is_not_asleep_because_its_watcher_is_behind() -> None:
    """50,000 turns a second, of which three are heard of: what was not heard of was no sleep."""
    loop = LoopState()
    spinning(loop, 4 * SECOND)
    for late in (0, SECOND // 5, 2 * SECOND):
        pace = loop.pace(4 * SECOND + late, 4 * SECOND)
        assert pace.rate == pytest.approx(50_000, rel=0.01)
        assert pace.recent < 0.01
    loop.at_work = 4 * SECOND
    pace = loop.pace(5 * SECOND, 4 * SECOND)
    assert pace.rate == pytest.approx(50_000, rel=0.01)
    assert (pace.recent < 0.01, pace.total) == (True, pytest.approx(1 / 5, rel=0.01))


def test_a_sleep_is_over_when_its_time_is_over() -> None:
    """Whoever then says nothing does something else: what it did is known up to there."""
    loop = LoopState()
    loop.poll(poll(0, SECOND))
    loop.prepare(Prepare(1, SECOND, 3, 3 * SECOND, "idle timeout of tcp-1"))
    assert [loop.asleep_until(n * SECOND, SECOND) for n in (2, 3, 9)] == [2 * SECOND, 3 * SECOND, 3 * SECOND]
    assert loop.pace(9 * SECOND, SECOND) == loop.pace(3 * SECOND, SECOND)
    assert loop.asleep_until(9 * SECOND, 4 * SECOND) == 4 * SECOND


def test_who_works_does_not_sleep_whatever_it_was_about_to_do() -> None:
    """The kernel has seen it at work, in a turn that has not ended."""
    loop = LoopState()
    loop.poll(poll(0, 4 * SECOND))
    loop.at_work = 5 * SECOND
    assert loop.asleep_until(6 * SECOND, 4 * SECOND) == 5 * SECOND
    assert loop.pace(6 * SECOND, 4 * SECOND).recent == pytest.approx(0.5)
    assert loop.pace(9 * SECOND, 4 * SECOND).recent == 0.0
    assert loop.pace(10 * SECOND, 4 * SECOND).total == pytest.approx(0.5)


def test_a_watcher_that_is_behind_is_called_as_our_server_calls_it() -> None:
    """The tools know nothing of the server but what its log says."""
    assert BEHIND == watch.BEHIND


def test_the_first_microseconds_are_no_rate_yet() -> None:
    """Two ticks in 10 µs are twenty a second, not two hundred thousand."""
    loop = LoopState(tick=2)
    assert loop.pace(10_000, 10_000).rate == 20.0
