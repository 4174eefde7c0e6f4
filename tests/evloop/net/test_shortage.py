"""Out of descriptors or memory: not watched for a while, and whatever happens, watched again."""

from __future__ import annotations

import errno

import pytest

from evloop.net.shortage import RETRY_AFTER, Shortage
from evloop.testing import failure


class Socket:
    """What is watched, as it says; and a `watch` that fails as often as it is told to."""

    def __init__(self, server, *, told):
        self.sock = server.kernel.socket()
        self.watched = True
        self.full = 0
        self.shortage = Shortage(server.loop, "call", self.watch, "again", self.sock if told else None)

    def watch(self):
        """As `Interests.update`: only to watch can fail."""
        if self.shortage.why:
            self.watched = False
        elif self.full:
            self.full -= 1
            raise failure(errno.ENOSPC)
        else:
            self.watched = True


@pytest.fixture
def make(scripted):
    """A server, and a socket of its own."""

    def made(*, told=True):
        server = scripted()
        return server, Socket(server, told=told)

    return made


def test_it_is_watched_again_after_a_tenth_of_a_second(make):
    """Meanwhile there is a reason not to; what is short is known until the call succeeds."""
    server, it = make()
    assert (it.shortage.why, it.shortage.of) == ("", "")
    it.shortage.met(failure(errno.EMFILE))
    assert it.shortage.why == "call failed: Too many open files"
    assert not it.watched
    assert (len(server.loop.timers), server.loop.timers.next().why) == (1, "again")
    begun = server.kernel.time
    server.sleep()
    assert server.kernel.time - begun == RETRY_AFTER * 1e9
    assert it.watched
    assert (it.shortage.why, it.shortage.of) == ("", "Too many open files")
    it.shortage.over()
    assert it.shortage.of == ""
    assert len(server.loop.timers) == 0


def test_what_an_error_says_of_the_next(make):
    """A shortage is of the system, what is broken is so for ever, and all else is of a single one."""
    server, it = make()
    for number in (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ECONNREFUSED):
        assert it.shortage.may_go_on(failure(number))
        assert (it.watched, it.shortage.of) == (True, "")
    broken = failure(errno.EINVAL)
    with pytest.raises(OSError, match="Invalid argument") as raised:
        it.shortage.may_go_on(broken)
    assert raised.value is broken
    assert not it.shortage.may_go_on(failure(errno.ENOMEM))
    assert (it.watched, it.shortage.why) == (False, "call failed: Cannot allocate memory")
    assert len(server.loop.timers) == 1


def test_the_log_is_told_once_that_it_begins_and_ends(make):
    """However often the call fails, and with whatever else."""
    server, it = make()
    for number in (errno.EMFILE, errno.EMFILE, errno.ENOMEM):
        it.shortage.met(failure(number))
        server.sleep()
    it.shortage.over()
    it.shortage.over()
    what = "call: Too many open files"
    assert server.trace.of("limit") == [("limit", what, True), ("limit", what, False)]


def test_of_guests_the_log_says_nothing(make):
    """They are no part of the server."""
    server, it = make(told=False)
    it.shortage.met(failure(errno.EMFILE))
    server.sleep()
    it.shortage.over()
    assert it.watched
    assert not server.trace.of("limit")


def test_the_selector_is_full_too(make):
    """Each failure sets the timer again, so that it is never forgotten; nor is it the end."""
    server, it = make()
    it.full = 3
    it.shortage.watch_or_wait()
    for _ in range(3):
        assert it.shortage.why == "call failed: No space left on device"
        assert (it.watched, len(server.loop.timers)) == (False, 1)
        server.sleep()
    assert (it.watched, it.shortage.why, len(server.loop.timers)) == (True, "", 0)
    assert not server.trace.of("error")


def test_an_error_that_says_nothing_of_itself(make):
    """It is shown as it is."""
    _, it = make()
    it.shortage.met(OSError("odd"))
    assert it.shortage.of == "odd"


def test_it_cannot_even_be_unwatched(scripted):
    """That is no shortage: whoever asked for it hears of it, once."""
    tries = []

    def watch():
        tries.append(1)
        raise failure(errno.EBADF)

    shortage = Shortage(scripted().loop, "call", watch, "again")
    with pytest.raises(OSError, match="Bad file descriptor"):
        shortage.watch_or_wait()
    assert len(tries) == 2


def test_who_ends_is_not_watched_again(make):
    """Its timer goes with it; without one there is nothing to cancel."""
    server, it = make()
    it.shortage.cancel()
    it.shortage.met(failure(errno.EMFILE))
    it.shortage.cancel()
    assert len(server.loop.timers) == 0
    assert not it.watched
