"""Accepting: in bounded batches, and what each of accept(2)'s errors means."""

from __future__ import annotations

import errno
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.kernel import READ
from evloop.net.listener import ACCEPT_BATCH
from evloop.testing import failure

# Errors of one connection on its way, accept(2): "treat them like EAGAIN by retrying".
PASSING = [
    errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN,
    errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT,
]  # fmt: skip
SHORT = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]
BROKEN = [errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EFAULT]


def accepts(server, listener) -> int:
    """How often accept was called."""
    return len(server.calls("accept", listener))


@pytest.mark.parametrize("number", PASSING)
def test_one_connection_fails_on_its_way(scripted, number):
    """The next one in the queue is accepted in the same tick."""
    server = scripted()
    sock = server.kernel.socket()
    listener = server.listener(failure(number), sock)
    server.tick(listener)
    assert server.watching(sock) == server.watching(listener) == READ
    assert accepts(server, listener) == 3
    assert not server.kernel.unused()


@pytest.mark.parametrize("number", BROKEN)
def test_the_listener_is_broken(scripted, number):
    """It alone is closed; its connections and the other listener live."""
    server = scripted()
    old = server.kernel.socket(recv=[b"a"], send=[1])
    listener, other = server.listener(old), server.listener()
    server.tick(listener)
    listener._scripts["accept"].append(failure(number))
    server.tick(listener, old)
    assert server.closed(listener) == ("handler-error", 0, None)
    assert server.watching(listener) == 0
    assert server.watching(other) == READ
    assert server.calls("send", old) == [(b"A",)]
    ((_, where, error, whose),) = server.trace.of("error")
    assert (where, error.errno, whose) == ("listener", number, listener)
    assert server.trace.of("interest")[-1] == ("interest", listener.fileno(), READ, 0, "handler-error")
    assert not server.kernel.unused()


@pytest.mark.parametrize("number", SHORT)
def test_a_shortage(scripted, number):
    """One failure: unwatched once, one limit, one timer; after 100 ms it accepts again and says so."""
    server = scripted()
    listener = server.listener(failure(number))
    server.tick(listener)
    assert accepts(server, listener) == 1
    assert server.watching(listener) == 0
    assert len(server.trace.of("limit")) == 1
    assert len(server.loop.timers) == 1
    before = server.kernel.time
    server.sleep()
    assert server.kernel.time - before == 100_000_000
    assert server.watching(listener) == READ
    assert len(server.loop.timers) == 0
    sock = server.kernel.socket()
    listener._scripts["accept"].append(sock)
    server.tick(listener)
    assert server.watching(sock) == READ
    assert [active for _, _, active in server.trace.of("limit")] == [True, False]


def test_the_words_of_a_shortage(scripted):
    """What is short, of which listener, why it sleeps, and why it is watched again."""
    server = scripted()
    heard = []
    server.trace.limit = lambda what, *, active, sock: heard.append((what, active, sock))
    listener = server.listener(failure(errno.EMFILE))
    server.tick(listener)
    assert server.loop.timers.next().why == "accept again after a shortage of descriptors or memory"
    server.sleep()
    server.tick(listener)
    what = "accept: Too many open files"
    assert heard == [(what, True, listener), (what, False, listener)]
    assert [said[2:] for said in server.trace.of("interest") if said[1] == listener.fileno()] == [
        (0, READ, "there is room for connections"),
        (READ, 0, "accept failed: Too many open files"),
        (0, READ, "there is room for connections"),
    ]


def test_a_shortage_that_lasts(scripted):
    """A hundred refusals are a hundred calls and timers one after the other, and one limit."""
    server = scripted()
    listener = server.listener(*[failure(errno.EMFILE)] * 100)
    for _ in range(100):
        server.tick(listener)
        assert len(server.loop.timers) == 1
        server.sleep()
    assert accepts(server, listener) == 100
    assert len(server.trace.of("timer")) == 100
    assert len(server.trace.of("limit")) == 1
    server.tick(listener)  # EAGAIN: there is a descriptor, and nobody who waits for it
    assert [active for _, _, active in server.trace.of("limit")] == [True, False]
    assert not server.kernel.unused()


def test_a_shortage_in_the_middle_of_a_batch(scripted):
    """Who came before it is served."""
    server = scripted()
    first, second = server.kernel.socket(), server.kernel.socket()
    listener = server.listener(first, failure(errno.EMFILE), second)
    server.tick(listener)
    assert server.watching(first) == READ
    assert server.watching(second) == 0
    server.sleep()
    server.tick(listener)
    assert server.watching(second) == READ


def test_a_shortage_ends_while_the_server_is_full(scripted):
    """The end of the one is not the end of the other: nobody is accepted above the limit."""
    server = scripted(max_connections=1)
    only, extra = server.kernel.socket(recv=[b""]), server.kernel.socket()
    short, listener = server.listener(failure(errno.EMFILE), extra), server.listener(only)
    server.tick(short)
    server.tick(listener)
    server.sleep()
    assert server.watching(short) == server.watching(listener) == 0
    server.tick(only)
    assert server.watching(short) == server.watching(listener) == READ


def test_room_comes_while_the_system_is_short(scripted):
    """A connection that ends does not wake a listener before its 100 ms are over."""
    server = scripted(max_connections=2)
    one, two = server.kernel.socket(recv=[b""]), server.kernel.socket()
    short, listener = server.listener(failure(errno.EMFILE)), server.listener(one, two)
    server.tick(short, listener)
    server.tick(one)
    assert server.watching(listener) == READ
    assert server.watching(short) == 0
    server.sleep()
    assert server.watching(short) == READ


def test_a_listener_that_closes_while_it_is_short(scripted):
    """Nothing of it is left, no timer either."""
    server = scripted()
    listener = server.listener(failure(errno.EMFILE))
    server.tick(listener)
    server.server._listeners[0].close()
    server.server._listeners[0].close()
    server.tick()
    assert server.closed(listener) == ("stop", 0, None)
    assert len(server.loop.timers) == 0


def test_a_closed_listener_is_not_woken(scripted):
    """Pause and resume come too late, and change nothing."""
    server = scripted()
    listener = server.listener()
    server.server._listeners[0].close()
    server.server._listeners[0].pause("full")
    server.server._listeners[0].resume()
    assert server.watching(listener) == 0


def test_batches_are_bounded(scripted):
    """A burst of connects gets so many in a tick, and those who are in get their turn between."""
    server = scripted()
    old = server.connect(recv=[b"a"] * 3, send=[1] * 3)
    crowd = [server.kernel.socket() for _ in range(ACCEPT_BATCH * 2 + 3)]
    listener = server.listener(*crowd)
    for expected in (ACCEPT_BATCH, 2 * ACCEPT_BATCH, len(crowd)):
        server.tick(listener, old)
        assert sum(server.watching(sock) == READ for sock in crowd) == expected
    assert len(server.calls("send", old)) == 3


def test_failures_count_towards_the_batch(scripted):
    """A queue full of broken connections does not hold the loop either."""
    server = scripted()
    listener = server.listener(*[failure(errno.ECONNABORTED)] * 100)
    server.tick(listener)
    assert accepts(server, listener) == ACCEPT_BATCH
    assert server.watching(listener) == READ


@given(st.lists(st.sampled_from([None, *PASSING, *SHORT]), max_size=60))
def test_any_list_of_errnos(scripted, script):
    """Every connection is accepted in the end, whatever fails between, and nothing is left behind."""
    server = scripted()
    answers = [failure(number) if number else server.kernel.socket() for number in script]
    listener = server.listener(*answers)
    for _ in range(2 * len(script) + 2):
        if server.watching(listener):
            server.tick(listener)
        else:
            server.sleep()
    assert not server.kernel.unused()
    assert sum(server.watching(sock) == READ for sock in server.kernel.sockets.values()) == 1 + script.count(
        None
    )
    assert len(server.loop.timers) == 0
    said = [active for _, _, active in server.trace.of("limit")]
    assert said == [True, False] * (len(said) // 2)


def test_the_queue_is_sampled_while_nobody_accepts(scripted):
    """Four times a second, if anybody listens, and no more when it accepts again."""
    server = scripted(max_connections=1)
    server.trace.samples = True
    only = server.kernel.socket(recv=[b""])
    listener = server.listener(only)
    server.tick(listener)
    for _ in range(4):
        assert server.loop.timers.next().why == "look at the accept queue"
        server.sleep()
    assert server.trace.of("queue") == [("queue", listener.fileno())] * 5
    assert server.kernel.time == 2_000_000_000
    server.tick(only)
    assert server.watching(listener) == READ
    assert len(server.loop.timers) == 0


# -- real sockets ----------------------------------------------------------------------------


def test_no_descriptors_are_left(real, selector):
    """A real EMFILE: one limit, few polls, and when somebody leaves the next is let in."""
    server = real(selector, traced=True)
    address = server.tcp()
    clients = [server.client(address) for _ in range(4)]
    highest = max(client.fileno() for client in clients)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))  # room for two
    try:
        server.until(lambda: server.events("limit"))
        assert len(server.streams) == 2
        assert [event.errno for event in server.events("accept")] == [None, None, "EMFILE"]
        polls = server.polls
        server.until(lambda: len(server.events("accept")) > 3)
        assert server.polls - polls < 200  # it slept for 100 ms, of which a turn may sleep 2
        assert server.exchange(clients[0], b"x") == b"X"
        clients[0].close()
        clients[1].close()
        server.until(lambda: len(server.events("close")) == 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.until(lambda: len(server.streams) == 2)
    assert server.exchange(clients[2], b"y") == b"Y"
    assert server.exchange(clients[3], b"z") == b"Z"
    assert [event.active for event in server.events("limit")] == [True, False]


def test_the_connection_limit(real, selector):
    """As many as allowed; the next waits in the kernel's queue until one leaves."""
    server = real(selector, traced=True, max_connections=2)
    address = server.tcp()
    clients = [server.client(address) for _ in range(3)]
    server.until(lambda: len(server.streams) == 2)
    clients[2].sendall(b"patient")
    assert server.exchange(clients[0], b"x") == b"X"
    assert len(server.streams) == 2
    clients[1].close()
    assert server.receive(clients[2], 7) == b"PATIENT"
    assert [event.active for event in server.events("limit")] == [True, False, True]
    assert len(server.streams) == 2


def test_a_client_that_reset_before_it_was_accepted(real, selector):
    """Accept succeeds on Linux, and the reset is told by the first recv; nobody else notices."""
    server = real(selector, traced=True)
    address = server.tcp()
    gone, other = server.client(address), server.client(address)
    gone.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER of no time
    gone.close()
    assert server.exchange(other, b"x") == b"X"
    (close,) = server.events("close")
    assert (close.reason, close.errno) == ("error", "ECONNRESET")


def test_a_connection_that_cannot_be_watched(scripted, monkeypatch):
    """epoll_ctl fails for one connection (ENOSPC): it ends alone, and the next in the queue is served."""
    server = scripted()
    bad, good = server.kernel.socket(), server.kernel.socket()
    listener = server.listener(bad, good)
    register = server.poller.register

    def short(fd, mask):
        if fd == bad.fileno():
            raise failure(errno.ENOSPC)
        register(fd, mask)

    monkeypatch.setattr(server.poller, "register", short)
    server.tick(listener)
    ((_, where, error, whose),) = server.trace.of("error")
    assert (where, error.errno, whose) == ("accepted connection", errno.ENOSPC, bad)
    assert server.closed(bad) == ("handler-error", 0, None)
    assert (bad.closed, good.closed) == (True, False)
    assert server.watching(good) == server.watching(listener) == READ


def test_a_listener_that_cannot_be_watched_again(scripted, monkeypatch):
    """epoll_ctl fails when there is room again: nobody would let anybody in, so it is tried again later."""
    server = scripted(max_connections=1)
    only = server.kernel.socket(recv=[b""])
    other, listener = server.listener(), server.listener(only)
    server.tick(listener)
    register, failed = server.poller.register, []

    def short(fd, mask):
        if fd == other.fileno() and not failed:
            failed.append(fd)
            raise failure(errno.ENOSPC)
        register(fd, mask)

    monkeypatch.setattr(server.poller, "register", short)
    server.tick(only)
    assert failed
    assert server.closed(only) == ("eof", 0, None)
    assert not server.trace.of("error")
    assert (server.watching(other), server.watching(listener)) == (0, READ)
    server.sleep()
    assert (server.watching(other), server.watching(listener)) == (READ, READ)
    assert len(server.loop.timers) == 0
