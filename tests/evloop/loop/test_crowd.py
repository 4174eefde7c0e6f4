"""In a crowd those who stay go first, and nobody who comes waits for ever."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from evloop.kernel import IN
from evloop.loop.crowd import CROWD, Crowd

REGULAR, NEWCOMER = SimpleNamespace(regular=True), SimpleNamespace(regular=False)


def fds(pairs):
    """Whose turn it is."""
    return [fd for fd, _ in pairs]


def test_regulars_first_and_some_of_the_others():
    """Each in the order in which the selector has them."""
    watched = {fd: REGULAR if fd % 10 == 0 else NEWCOMER for fd in range(100)}
    turns = fds(Crowd().in_turn([(fd, IN) for fd in range(100)], watched))
    newcomers = [fd for fd in range(100) if fd % 10]
    assert turns == [*range(0, 100, 10), *newcomers[:CROWD]]


def test_what_was_reported_goes_along():
    """The bits are those of the descriptor."""
    assert Crowd().in_turn([(3, 0x11), (4, 0x4)], {3: NEWCOMER, 4: REGULAR}) == [(4, 0x4), (3, 0x11)]


def test_whoever_is_not_watched_any_more_is_nobodys_regular():
    """The loop passes over it."""
    assert fds(Crowd().in_turn([(3, IN), (4, IN)], {4: REGULAR})) == [4, 3]


def test_who_was_left_out_goes_first():
    """Although a selector that goes by number reports lower ones before."""
    crowd, watched = Crowd(), dict.fromkeys(range(200), NEWCOMER)
    first = fds(crowd.in_turn([(fd, IN) for fd in range(100, 100 + CROWD + 3)], watched))
    assert first == [*range(100, 100 + CROWD)]
    left_out = [*range(100 + CROWD, 100 + CROWD + 3)]
    second = fds(crowd.in_turn([(fd, IN) for fd in [*range(50), *left_out]], watched))
    assert second == [*left_out, *range(CROWD - 3)]


@given(st.lists(st.sets(st.integers(0, 60)), max_size=30))
def test_nobody_waits_for_ever(arrivals):
    """Whoever is ready has a turn before all that come later have had theirs."""
    crowd, watched = Crowd(), dict.fromkeys(range(61), NEWCOMER)
    ready, waits = set(), {}
    for coming in [*arrivals, *[set()] * 10]:
        ready |= coming
        turns = fds(crowd.in_turn([(fd, IN) for fd in sorted(ready)], watched))
        assert len(turns) == min(len(ready), CROWD)
        ready -= set(turns)
        waits = {fd: waits.get(fd, 0) + 1 for fd in ready}
        assert all(waited * CROWD <= 61 for waited in waits.values())
    assert not ready
