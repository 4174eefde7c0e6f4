"""What the selector watches for: only what has changed reaches it."""

from __future__ import annotations

import pytest

from evloop.kernel import READ, WRITE, selector_names
from evloop.testing import ScriptedKernel, ScriptedPoller
from evloop.trace import Trace


class Item:
    """Something that wants what the test says."""

    def __init__(self, fd=7, *, regular=False):
        self.fd = fd
        self.sock = self
        self.watching = 0
        self.regular = regular
        self.mask = READ

    def wants(self):
        """As `Watched`."""
        return self.mask, "the test says so"

    def fileno(self):
        """As `Socket`."""
        return self.fd


class Heard(Trace):
    """Counts changes."""

    def __init__(self):
        self.changes = []

    def interest(self, sock, old, new, reason):
        """As `Trace`."""
        self.changes.append((sock.fileno(), old, new, reason))


@pytest.fixture
def interests_class(parts):
    """Those of the loop."""
    return parts.loop.interests_class


@pytest.fixture
def poller():
    """A selector that complains of what epoll would complain of."""
    return ScriptedPoller(ScriptedKernel())


def test_who_is_watched_and_no_regular(poller, interests_class):
    """Until it comes back, or is not watched any more: the number may be another's then."""
    interests = interests_class(poller, Heard())
    first, second = Item(7), Item(8)
    for item in (first, second, Item(9, regular=True)):
        interests.update(item)
    assert interests.newcomers == {7, 8}
    interests.promote(first)
    assert first.regular
    assert interests.newcomers == {8}
    for item in (first, second):
        interests.drop(item, "the test ends it")
    assert not interests.newcomers
    first.watching = 0
    interests.update(first)
    assert not interests.newcomers


def test_every_change_reaches_the_selector_once(poller, interests_class):
    """Register, modify, unregister: and nothing where nothing changed."""
    heard, item = Heard(), Item()
    interests = interests_class(poller, heard)
    for mask in (READ, READ, READ | WRITE, READ | WRITE, WRITE, 0, 0, READ):
        item.mask = mask
        interests.update(item)
        assert poller.registered == ({7: mask} if mask else {})
        assert interests.watched == ({7: item} if mask else {})
        assert item.watching == mask
    assert [(old, new) for _, old, new, _ in heard.changes] == [
        (0, READ), (READ, READ | WRITE), (READ | WRITE, WRITE), (WRITE, 0), (0, READ),
    ]  # fmt: skip


def test_dropped_whatever_it_wants(poller, interests_class):
    """Drop needs no state, and may come twice."""
    heard, item = Heard(), Item()
    interests = interests_class(poller, heard)
    interests.update(item)
    interests.drop(item, "the end")
    interests.drop(item, "the end")
    assert poller.registered == {}
    assert interests.watched == {}
    assert heard.changes[1:] == [(7, READ, 0, "the end")]


def test_a_selector_that_refuses_leaves_the_state_as_it_was(poller, interests_class):
    """What could not be registered is not watched."""
    interests = interests_class(poller, Heard())
    poller.register(7, READ)
    item = Item()
    with pytest.raises(KeyError):
        interests.update(item)
    assert item.watching == 0
    assert interests.watched == {}


def test_every_selector_has_a_name():
    """Those of this system, the best first."""
    assert selector_names()[0] in {"epoll", "kqueue"}
    assert "select" in selector_names()
