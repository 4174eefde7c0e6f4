"""The loop with gates on real sockets, and the socket on which it is told what to hold."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

import pytest

from evloop.address import Inet, UnixPath, parse_inet
from evloop.control.gates import Gates
from evloop.control.looped import ControlPoint, GatedLoop, with_gates
from evloop.kernel import READ, WRITE, Kernel
from evloop.loop.interest import Interests
from evloop.loop.loop import Loop
from evloop.net.listener import Listener
from evloop.net.watch import Watchers, WatchPoint
from evloop.testing import failure
from evloop.trace import Trace


@pytest.fixture
def gates():
    """Of the loop."""
    return Gates()


@pytest.fixture
def loop(selector, gates):
    """One with gates."""
    made = GatedLoop(Kernel(), selector, Trace(), print, gates)
    yield made
    made.close()


@pytest.fixture
def path(short_dir):
    """Where it is controlled."""
    return f"{short_dir}/control"


@pytest.fixture
def point(loop, gates, path):
    """Who is listened to there."""
    made = ControlPoint(loop, UnixPath(path), gates)
    yield made
    made.close()


@pytest.fixture
def connect(path, keep):
    """Connect to it."""

    def connected():
        sock = keep(socket.socket(socket.AF_UNIX))
        sock.connect(path)
        sock.settimeout(5)
        return sock

    return connected


def refuse(monkeypatch, owner, name, *numbers):
    """The next calls of this name fail with these numbers; how many are left."""
    call, left = getattr(owner, name), list(numbers)

    def refused(*args):
        if left:
            raise failure(left.pop(0))
        return call(*args)

    monkeypatch.setattr(owner, name, refused)
    return left


class Item:
    """Somebody who is watched for READ, by one end of a socket pair."""

    regular = False

    def __init__(self, kernel):
        self.sock, self.other = kernel.socket_pair()
        self.fd = self.sock.fileno()
        self.watching = 0

    def wants(self):
        """READ."""
        return READ, "as ever"


def test_interests_with_gates_can_all_that_others_can(loop, keep):
    """Also those that differ from ours: a bug's have gates, too."""
    item = Item(loop.kernel)
    keep(item.sock)
    keep(item.other)
    interests = loop.interests
    interests.update(item)
    assert (interests.watched, interests.newcomers) == ({item.fd: item}, {item.fd})
    interests.promote(item)
    assert (item.regular, interests.newcomers) == (True, set())
    interests.watch(item, WRITE, "whoever says so")
    assert item.watching == WRITE
    interests.drop(item, "it is over")
    assert (item.watching, interests.watched) == (0, {})


def test_what_they_do_otherwise_they_do_with_gates(selector, gates):
    """A class that differs from ours is one with gates that differs likewise."""

    class Otherwise(Interests):
        """Watches for the other thing."""

        def watch(self, item, mask, reason):
            super().watch(item, mask and mask ^ READ ^ WRITE, reason)

    class OtherLoop(Loop):
        """Made of it."""

        interests_class = Otherwise

    loop = with_gates(GatedLoop, OtherLoop)(Kernel(), selector, Trace(), print, gates)
    item = Item(loop.kernel)
    loop.interests.update(item)
    assert item.watching == WRITE
    loop.interests.drop(item, "it is over")
    loop.close()
    item.sock.close()
    item.other.close()


# -- what is to be closed stays open ---------------------------------------------------------


@pytest.fixture
def gone(loop, keep):
    """Let somebody go, and whose peer that was: it is at its end when the other is closed."""

    def gone():
        item = Item(loop.kernel)
        loop.interests.update(item)
        loop.let_go(item, "eof")
        keep(item.sock)
        return keep(item.other)

    return gone


def is_closed(peer):
    """Whether its peer was."""
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False


def tick(loop):
    """A turn that does not sleep."""
    loop.after(0, lambda: None, "now")
    loop.tick()


def test_who_is_let_go_stays_open_until_close_is_released(loop, gates, gone):
    """All of them, in the tick in which it is released, and in the order in which they were let go."""
    let_go, closed = [], []
    drop, close = loop.interests.drop, loop.kernel.close
    loop.interests.drop = lambda item, why: (let_go.append(item.fd), drop(item, why))
    loop.kernel.close = lambda sock, *args, **more: (closed.append(sock.fileno()), close(sock, *args, **more))
    gates.set("close", held=True)
    first = gone()
    tick(loop)
    second = gone()
    tick(loop)
    assert not is_closed(first)
    assert not is_closed(second)
    assert loop.interests.watched == {}
    third = gone()
    gates.set("close", held=False)
    assert not closed
    tick(loop)
    assert all(is_closed(it) for it in (first, second, third))
    assert closed == let_go
    fourth = gone()
    tick(loop)
    assert is_closed(fourth)
    assert closed == let_go


def test_who_was_let_go_in_the_tick_in_which_close_is_held(loop, gates, gone):
    """Who holds it is told so at once, and from then on nobody is closed."""
    peer = gone()
    gates.set("close", held=True)
    tick(loop)
    assert not is_closed(peer)


def test_what_is_held_open_is_closed_at_the_end(loop, gates, gone):
    """No gate outlasts the loop."""
    gates.set("close", held=True)
    peer = gone()
    tick(loop)
    loop.finish()
    assert is_closed(peer)
    assert not gates.held


def test_who_was_accepted_and_cannot_be_served_stays_open_too(gates, keep):
    """To its client it is a connection like any other."""
    kernel = Kernel()
    loop = GatedLoop(kernel, "poll", Trace(), lambda _: None, gates)
    listener = Listener(loop, Inet("127.0.0.1", 0), 1, lambda sock: 1 // 0)
    address = parse_inet(listener.address)
    gates.set("close", held=True)
    client = keep(socket.create_connection(tuple(address), 5))
    loop.tick()
    assert not is_closed(client)
    gates.set("close", held=False)
    tick(loop)
    assert is_closed(client)
    listener.close()
    loop.close()


def test_whoever_watches_or_controls_is_closed_all_the_same(loop, gates, point, connect, header, short_dir):
    """They are none of what is to be seen, and each would keep a descriptor."""
    kernel = Kernel()
    watchers = Watchers(loop, header(), lambda _lost: None)
    place = WatchPoint(loop, UnixPath(f"{short_dir}/watch"), watchers)
    gates.set("close", held=True)
    watcher, controller = kernel.connect(UnixPath(f"{short_dir}/watch"), 5), connect()
    tick(loop)
    watcher.shutdown(socket.SHUT_WR)
    controller.shutdown(socket.SHUT_WR)
    tick(loop)
    assert is_closed(watcher)
    assert is_closed(controller)
    assert point.watching == place.watching == READ
    watcher.close()
    place.close()


# -- the point on which it is told -----------------------------------------------------------


def test_no_descriptor_for_who_controls(loop, point, connect, monkeypatch):
    """They wait in the queue and do not wake the loop meanwhile; then they are heard."""
    left = refuse(monkeypatch, point.kernel, "accept", errno.EMFILE, errno.ENFILE)
    sock = connect()
    sock.send(b"hold read\n")
    for turn in (1, 0):
        loop.tick()
        assert len(left) == turn
        assert point.watching == 0
        assert [len(loop.timers), loop.timers.next().why] == [1, "let controllers in again"]
        loop.tick()  # the timer
        assert point.watching == READ
    loop.tick()
    loop.tick()
    assert sock.recv(9) == b"ok\n"
    assert len(loop.timers) == 0


def test_the_selector_is_full_when_it_is_to_be_watched_again(loop, point, connect, monkeypatch):
    """It is tried again later, else nobody would ever be heard."""
    refuse(monkeypatch, point.kernel, "accept", errno.EMFILE)
    connect()
    loop.tick()
    left = refuse(monkeypatch, loop.poller, "register", errno.ENOSPC)
    loop.tick()
    assert not left
    assert (point.watching, len(loop.timers)) == (0, 1)
    loop.tick()
    assert (point.watching, len(loop.timers)) == (READ, 0)


def test_the_selector_is_full_for_who_controls(loop, point, connect, monkeypatch):
    """This one is hung up on; the next may come."""
    left = refuse(monkeypatch, loop.poller, "register", errno.ENOSPC)
    first, second = connect(), connect()
    loop.tick()
    assert not left
    assert first.recv(1) == b""
    assert point.watching == READ
    second.send(b"gates\n")
    loop.tick()
    loop.tick()
    assert second.recv(9) == b"ok\n"


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EAGAIN])
def test_who_was_gone_before_they_were_let_in(loop, point, connect, monkeypatch, number):
    """Nothing happens."""
    left = refuse(monkeypatch, point.kernel, "accept", number)
    connect()
    loop.tick()
    assert not left
    assert (point.watching, len(loop.timers)) == (READ, 0)


def test_a_point_that_breaks(loop, gates, point, connect, path, monkeypatch):
    """It is heard of, nobody can call any more, and nothing is held back that nobody could release."""
    heard = []
    loop.trace.error = lambda where, error, _sock: heard.append((where, error.errno))
    first = connect()
    first.send(b"hold read\n")
    loop.tick()
    loop.tick()
    assert first.recv(9) == b"ok\n"
    refuse(monkeypatch, point.kernel, "accept", errno.EINVAL)
    late = connect()
    loop.tick()
    assert heard == [("control", errno.EINVAL)]
    assert not os.path.exists(path)
    for sock in (first, late):
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
    assert not gates.held
    assert loop.interests.watched == {}
    point.close()
    assert heard == [("control", errno.EINVAL)]


def test_its_end(loop, point, connect, path, monkeypatch):
    """Who is there is hung up on, the path is gone, and so is the timer."""
    sock = connect()
    loop.tick()
    refuse(monkeypatch, point.kernel, "accept", errno.EMFILE)
    connect()
    loop.tick()
    assert len(loop.timers) == 1
    point.close()
    loop.finish()
    assert sock.recv(1) == b""
    assert not os.path.exists(path)
    assert len(loop.timers) == 0
    assert loop.interests.watched == {}
