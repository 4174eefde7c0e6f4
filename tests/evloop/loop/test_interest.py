"""What the selector watches for: only what has changed reaches it."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from evloop.kernel import OUT, READ, WRITE, Poller, selector_names
from evloop.testing import ScriptedKernel, ScriptedPoller, failure
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


class Refusing:
    """An epoll that does not change what it watches for: ENOMEM, or what seccomp(2) makes of it."""

    def __init__(self, epoll):
        self._epoll = epoll
        self.refused = []

    def __getattr__(self, name):
        return getattr(self._epoll, name)

    def modify(self, fd, bits):
        """As epoll's, if that failed."""
        self.refused.append((fd, bits))
        raise failure(errno.ENOMEM)


EPOLLS = [name for name in selector_names() if name == "epoll"]


@pytest.mark.parametrize("name", EPOLLS)
def test_a_modify_that_fails(name, keep):
    """Who is watched for what nobody asked is not watched at all; and may be given up, or begin again."""
    poller = Poller(name)
    ours, theirs = map(keep, socket.socketpair())
    poller._selector._selector = refusing = Refusing(poller._selector._selector)
    try:
        poller.register(ours.fileno(), READ)
        with pytest.raises(OSError, match="Cannot allocate"):
            poller.modify(ours.fileno(), READ | WRITE)
        assert len(refusing.refused) == 1
        theirs.send(b"x")
        assert list(poller.poll(0)) == []
        poller.unregister(ours.fileno())
        poller.register(ours.fileno(), WRITE)
        assert list(poller.poll(0)) == [(ours.fileno(), OUT)]
    finally:
        poller.close()


@pytest.mark.parametrize("name", EPOLLS)
def test_a_modify_that_fails_ends_one_connection(name, real):
    """Of the client who does not read; the others are answered as before."""
    server = real(name, traced=True, mode="echo", high_water=1 << 20)
    address = server.tcp()
    other, client = server.client(address), server.client(address, buffers=8192)
    assert server.exchange(other, b"before") == b"before"
    selector = server.loop.poller._selector
    selector._selector = refusing = Refusing(selector._selector)
    server.until(lambda: len(server.streams) == 2)

    def is_refused():
        with contextlib.suppress(BlockingIOError):
            client.send(b"x" * 10_000)
        return refusing.refused

    server.until(is_refused)
    server.until(lambda: len(server.streams) == 1)
    assert len(refusing.refused) == 1
    assert [error.where for error in server.events("error")] == ["connection"]
    assert server.exchange(other, b"after") == b"after"


def test_every_selector_has_a_name():
    """Those of this system, the best first."""
    assert selector_names()[0] in {"epoll", "kqueue"}
    assert "select" in selector_names()
