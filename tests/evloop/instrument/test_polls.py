"""select, poll and epoll give what they gave; what is watched, and what is ready, are events."""

from __future__ import annotations

import _socket
import os
import select
import selectors
import signal
import socket
import threading

import pytest

from evloop.events.schema import Block, Interest, Poll


@pytest.fixture
def ends(recorded):
    """A pair of Unix sockets."""
    here, there = socket.socketpair()
    recorded.new()
    with here, there:
        yield here, there


def polls(recorded):
    """The new polls."""
    return [event for event in recorded.new() if isinstance(event, Poll)]


def test_select(recorded, ends):
    """It gives the objects that it was given, of any kind."""
    here, there = ends
    there.send(b"x")
    recorded.new()
    assert select.select([here, there.fileno()], {there}, (here,)) == ([here], [there], [])
    (poll,) = recorded.new()
    assert (poll.why, poll.tick, poll.timeout) == ("select.select", 1, None)
    assert sorted(poll.ready) == [("unix-1", "IN"), ("unix-2", "OUT")]
    assert poll.where


def test_a_select_that_sleeps(recorded, ends):
    """First what it watches, then what came of it."""
    here, there = ends
    assert select.select([here], [], [there], 0.01) == ([], [], [])
    block, poll = recorded.new()
    assert (block.awaits, block.timeout) == ("poll", 10_000_000)
    assert block.watched == [("unix-1", "READ"), ("unix-2", "READ")]
    assert (poll.ready, poll.timeout, poll.dur >= 10_000_000) == ([], 10_000_000, True)


def test_a_select_that_does_not_wait(recorded, ends):
    """With a time-out of 0 no thread sleeps."""
    here, _ = ends
    select.select([here], [], [], 0)
    (poll,) = recorded.new()
    assert (poll.ready, poll.timeout) == ([], 0)


def test_epoll(recorded, ends):
    """What is watched changes, and what is ready is said in the kernel's bits."""
    here, there = ends
    with select.epoll() as epoll:
        epoll.register(here, select.EPOLLIN)
        epoll.modify(here, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
        there.close()
        recorded_before = recorded.new()
        ((fd, bits),) = epoll.poll()
        epoll.unregister(here)
    poll, last = recorded.new()
    first, second, _ = recorded_before
    assert (first.sock, first.old, first.new, first.reason) == ("unix-1", "", "READ", "select.epoll.register")
    assert (second.old, second.new, second.reason) == (
        "READ", "READ|WRITE", "select.epoll.modify, edge-triggered",
    )  # fmt: skip
    assert (fd, bool(bits & select.EPOLLHUP)) == (here.fileno(), True)
    assert poll.ready == [("unix-1", "IN|OUT|HUP")]
    assert (last.old, last.new) == ("READ|WRITE", "")
    assert epoll.closed


def test_an_epoll_that_sleeps(recorded, ends):
    """It says what it watches; what was closed it watches no more."""
    here, there = ends
    extra, other = socket.socketpair()
    epoll = select.epoll()
    for sock in (here, extra):
        epoll.register(sock, select.EPOLLIN)
    extra.close()
    other.close()
    thread = threading.Thread(target=epoll.poll, name="poller")
    thread.start()
    while not any(isinstance(event, Block) for event in recorded.sink.events):
        pass
    there.send(b"x")
    thread.join()
    epoll.close()
    events = recorded.new()
    block = next(event for event in events if isinstance(event, Block))
    assert (block.watched, block.timeout) == ([("unix-1", "READ")], None)
    assert next(event for event in events if isinstance(event, Poll)).thread == block.thread != ""


def test_many_are_not_listed(recorded, ends):
    """A long list is not repeated each time: the interest events have said it."""
    epoll = select.epoll()
    socks = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(65)]
    for sock in socks:
        epoll.register(sock, select.EPOLLIN)
    epoll.poll(0.001)
    assert [event.watched for event in recorded.new() if isinstance(event, Block)] == [[]]
    for sock in socks:
        sock.close()
    epoll.close()


def test_poll(recorded, ends):
    """Milliseconds; to register again is to modify."""
    here, _ = ends
    poll = select.poll()
    poll.register(here, select.POLLIN)
    poll.register(here.fileno(), select.POLLIN | select.POLLPRI)
    assert poll.poll(1) == []
    poll.modify(here, select.POLLOUT)
    assert poll.poll(-1) == [(here.fileno(), select.POLLOUT)]
    poll.unregister(here)
    events = recorded.new()
    assert [(event.old, event.new) for event in events if isinstance(event, Interest)] == [
        ("", "READ"), ("READ", "READ"), ("READ", "WRITE"), ("WRITE", ""),
    ]  # fmt: skip
    assert [(event.timeout, event.ready) for event in events if isinstance(event, Poll)] == [
        (1_000_000, []), (None, [("unix-1", "OUT")]),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["SelectSelector", "PollSelector", "EpollSelector"])
def test_selectors(recorded, ends, kind):
    """Those of the standard library use what they always did."""
    here, there = ends
    with getattr(selectors, kind)() as selector:
        selector.register(here, selectors.EVENT_READ, "data")
        assert selector.select(0.001) == []
        there.send(b"x")
        ((key, mask),) = selector.select()
    assert (key.data, mask) == ("data", selectors.EVENT_READ)
    events = recorded.new()
    assert [event.ready for event in events if isinstance(event, Poll)] == [[], [("unix-1", "IN")]]
    assert [event.watched for event in events if isinstance(event, Block)] == [[("unix-1", "READ")]]


def test_what_is_no_socket(recorded, tmp_path):
    """It has only its number; a socket that nobody has met is met now."""
    reader, writer = os.pipe()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    os.write(writer, b"x")
    poll.poll()
    interest, event = recorded.new()
    assert (interest.conn, interest.sock, event.ready) == (None, f"fd {reader}", [(f"fd {reader}", "IN")])
    os.close(reader)
    os.close(writer)
    with socket.socket(fileno=_socket.socket(type=socket.SOCK_DGRAM).detach()) as sock:
        select.select([], [sock], [])
        assert [event.ready for event in polls(recorded)] == [[("udp-1", "OUT")]]


def test_errors_are_pythons(recorded):
    """And no events."""
    for call in (
        lambda: select.select(1, [], []),
        lambda: select.select([], [], [], "x"),
        lambda: select.select([], [], [], -1),
        lambda: select.epoll().modify(0, 1),
        lambda: select.poll().unregister(0),
        lambda: select.epoll().poll(timeout="x"),
    ):
        with pytest.raises((TypeError, ValueError, OSError, KeyError)):
            call()
    assert recorded.new() == []


def _asleep(kind, here):
    """A call that sleeps until the socket can be read."""
    if kind == "select":
        return lambda: select.select([here], [], [])
    poll = getattr(select, kind)()
    poll.register(here, select.POLLIN)
    return poll.poll


@pytest.mark.parametrize("kind", ["select", "poll", "epoll"])
def test_a_handler_that_raises(recorded, ends, kind):
    """The wait is over: else the thread would seem to sleep from then on."""

    class EnoughError(Exception):
        pass

    def handler(_number, _frame):
        raise EnoughError

    def interrupt():
        recorded.until(Block)
        os.kill(os.getpid(), signal.SIGALRM)

    call = _asleep(kind, ends[0])
    recorded.new()
    before = signal.signal(signal.SIGALRM, handler)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        with pytest.raises(EnoughError):
            call()
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)
    block, poll = recorded.new()
    assert (block.awaits, block.watched) == ("poll", [("unix-1", "READ")])
    assert (poll.ready, poll.errno) == ([], "interrupted")


def test_classes(recorded):
    """They look like those of select."""
    epoll = select.epoll()
    assert isinstance(epoll, select.epoll)
    assert f"{select.epoll}" == "<class 'select.epoll'>"
    again = select.epoll.fromfd(epoll.fileno())
    assert again.fileno() == epoll.fileno()
    epoll.close()


@pytest.mark.parametrize("timeout", ["x", float("inf"), float("nan")])
def test_what_is_no_time_out_python_tells(recorded, timeout):
    """In its own words, and no call is recorded."""

    def complaints():
        return [_complaint(poll, timeout) for poll in (select.poll().poll, select.epoll().poll, _select)]

    ours = complaints()
    assert not [event for event in recorded.new() if isinstance(event, (Block, Poll))]
    recorded.instrument.remove()
    assert ours == complaints()


def _select(timeout):
    return select.select([], [], [], timeout)


def _complaint(poll, timeout):
    with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
        poll(timeout)
    return repr(raised.value)
