"""In a crowd those who stay go first, and nobody who comes waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evloop.kernel import IN
from evloop.loop.crowd import CROWD, Crowd


def fds(pairs):
    """Whose turn it is."""
    return [fd for fd, _ in pairs]


def test_regulars_first_and_some_of_the_others():
    """Each in the order in which the selector has them."""
    newcomers = [fd for fd in range(100) if fd % 10]
    turns = fds(Crowd().in_turn([(fd, IN) for fd in range(100)], set(newcomers)))
    assert turns == [*range(0, 100, 10), *newcomers[:CROWD]]


def test_what_was_reported_goes_along():
    """The bits are those of the descriptor."""
    assert Crowd().in_turn([(3, 0x11), (4, 0x4)], {3}) == [(4, 0x4), (3, 0x11)]


def test_among_regulars_everything_stays_as_it_is():
    """However many they are: nothing is copied."""
    ready = [(fd, IN) for fd in range(100)]
    assert Crowd().in_turn(ready, {100}) is ready


def test_who_was_left_out_goes_first():
    """Although a selector that goes by number reports lower ones before."""
    crowd, newcomers = Crowd(), set(range(200))
    first = fds(crowd.in_turn([(fd, IN) for fd in range(100, 100 + CROWD + 3)], newcomers))
    assert first == [*range(100, 100 + CROWD)]
    left_out = [*range(100 + CROWD, 100 + CROWD + 3)]
    second = fds(crowd.in_turn([(fd, IN) for fd in [*range(50), *left_out]], newcomers))
    assert second == [*left_out, *range(CROWD - 3)]


@given(st.lists(st.sets(st.integers(0, 60)), max_size=30))
def test_nobody_waits_for_ever(arrivals):
    """Whoever is ready has a turn before all that come later have had theirs."""
    crowd, newcomers = Crowd(), set(range(61))
    ready, waits = set(), {}
    for coming in [*arrivals, *[set()] * 10]:
        ready |= coming
        turns = fds(crowd.in_turn([(fd, IN) for fd in sorted(ready)], newcomers))
        assert len(turns) == min(len(ready), CROWD)
        ready -= set(turns)
        waits = {fd: waits.get(fd, 0) + 1 for fd in ready}
        assert all(waited * CROWD <= 61 for waited in waits.values())
    assert not ready
