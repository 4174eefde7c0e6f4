"""Deadlines: their order, cancelling, compaction, and what runs in which tick."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evloop.loop.timers import COMPACT_ABOVE, Timers


def nothing() -> None:
    """A callback."""


@given(st.lists(st.integers(0, 50)))
def test_soonest_first_and_equal_ones_as_they_were_set(deadlines):
    """Whatever the order of setting, they come by deadline, and equal ones by age."""
    timers = Timers()
    for number, when in enumerate(deadlines):
        timers.set(when, nothing, str(number))
    fired = [(timer.when, int(timer.why)) for timer in timers.due(50)]
    assert fired == sorted((when, number) for number, when in enumerate(deadlines))
    assert len(timers) == 0


def test_due_gives_only_what_is_due():
    """A deadline in the future stays, and one at this very moment is due."""
    timers = Timers()
    for when in (1, 5, 6):
        timers.set(when, nothing, "")
    assert [timer.when for timer in timers.due(5)] == [1, 5]
    assert timers.next().when == 6
    assert len(timers) == 1


def test_what_a_callback_sets_is_for_a_later_tick():
    """A callback that always sets another timer for at once does not keep the loop busy for ever."""
    timers = Timers()
    runs = []

    def again() -> None:
        runs.append(len(timers))
        timers.set(0, again, "again")

    timers.set(0, again, "first")
    for tick in range(1, 4):
        for timer in timers.due(10):
            timer.callback()
        assert len(runs) == tick
    assert len(timers) == 1


def test_a_callback_cancels_another_that_is_due():
    """It is due in the same moment and does not run."""
    timers = Timers()
    fired = []
    second = timers.set(2, lambda: fired.append("second"), "")
    timers.set(1, lambda: timers.cancel(second), "")
    for timer in timers.due(5):
        timer.callback()
    assert fired == []
    assert len(timers) == 0


def test_cancelling_what_has_fired_or_was_cancelled_or_never_was():
    """None of these changes anything, however often."""
    timers = Timers()
    fired, cancelled = timers.set(1, nothing, ""), timers.set(2, nothing, "")
    timers.set(3, nothing, "")
    assert list(timers.due(1)) == [fired]
    for timer in (None, fired, cancelled, cancelled):
        timers.cancel(timer)
    assert len(timers) == 1
    assert timers.next().when == 3


def test_no_timer_is_falsy():
    """The loop asks `if timers` in every tick; cancelled ones are none."""
    timers = Timers()
    assert not timers
    timer = timers.set(1, nothing, "")
    assert timers
    timers.cancel(timer)
    assert not timers
    assert timers.next() is None


def test_the_heap_is_rebuilt_when_most_of_it_is_cancelled():
    """A thousand set and cancelled leave a small heap, in which the living are in order."""
    timers = Timers()
    living = [timers.set(when, nothing, "") for when in range(1000, 1010)]
    largest = 0
    for _ in range(1000):
        timers.cancel(timers.set(2000, nothing, ""))
        largest = max(largest, len(timers._heap))
    assert largest <= COMPACT_ABOVE + 1
    assert list(timers.due(5000)) == living


def test_when_the_heap_is_rebuilt():
    """It is longer than a small one, and more than half of it is cancelled: not before, for it costs."""
    assert COMPACT_ABOVE == 100
    for size, kept in ((100, 100), (101, 50), (102, 50)):
        timers = Timers()
        made = [timers.set(1, nothing, "") for _ in range(size)]
        for timer in made[: size // 2]:
            timers.cancel(timer)
        assert len(timers._heap) == size
        timers.cancel(made[-1])
        assert len(timers._heap) == kept
        assert len(timers) == size - size // 2 - 1


def test_a_rebuild_in_the_middle_of_due():
    """Callbacks that cancel so many that the heap is rebuilt lose nobody who is due."""
    timers = Timers()
    later = [timers.set(100, nothing, "") for _ in range(2 * COMPACT_ABOVE)]

    def cancel_all() -> None:
        for timer in later:
            timers.cancel(timer)

    timers.set(1, cancel_all, "first")
    timers.set(2, nothing, "second")
    fired = []
    for timer in timers.due(50):
        timer.callback()
        fired.append(timer.why)
    assert fired == ["first", "second"]
    assert len(timers) == 0


class TimersMachine(RuleBasedStateMachine):
    """Against a plain list that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.model = []  # (when, number, timer)
        self.every = []
        self.now = 0

    @rule(ahead=st.integers(0, 30), many=st.sampled_from([1, 1, 60]))
    def set(self, ahead, many):
        """Set some."""
        for _ in range(many):
            timer = self.timers.set(self.now + ahead, nothing, "")
            self.model.append((timer.when, len(self.every), timer))
            self.every.append(timer)

    @rule(data=st.data(), many=st.sampled_from([1, 80]))
    def cancel(self, data, many):
        """Cancel some, whatever became of them."""
        if self.every:
            first = data.draw(st.integers(0, len(self.every) - 1))
            for timer in self.every[first : first + many]:
                self.timers.cancel(timer)
                self.model = [entry for entry in self.model if entry[2] is not timer]

    @rule(ahead=st.integers(0, 20))
    def pass_time(self, ahead):
        """Let time pass, and take what is due."""
        self.now += ahead
        due = sorted(entry[:2] for entry in self.model if entry[0] <= self.now)
        fired = list(self.timers.due(self.now))
        assert [timer.when for timer in fired] == [when for when, _ in due]
        assert all(self.every[number] is timer for (_, number), timer in zip(due, fired, strict=True))
        self.model = [entry for entry in self.model if entry[0] > self.now]

    @invariant()
    def agrees(self):
        """As many are left, and the next is the same."""
        assert len(self.timers) == len(self.model)
        nearest = min((entry[:2] for entry in self.model), default=None)
        timer = self.timers.next()
        assert timer is (self.every[nearest[1]] if nearest else None)


TestTimersMachine = TimersMachine.TestCase
TestTimersMachine.settings = settings(max_examples=40, stateful_step_count=30)
