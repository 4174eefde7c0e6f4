"""The loop: its phases, its sleep, and what happens when something goes wrong within a tick."""

from __future__ import annotations

import errno

import pytest

from evloop.kernel import IN, READ, Kernel
from evloop.loop.crowd import CROWD
from evloop.loop.loop import LONGEST_SLEEP, SECOND, Loop
from evloop.testing import ScriptedKernel, ScriptEndError, failure


class Item:
    """Watched for READ; does what the test says."""

    regular = False

    def __init__(self, loop, work=lambda: None, sock=None):
        self.loop = loop
        self.sock = sock or loop.kernel.socket()
        self.fd = self.sock.fileno()
        self.watching = 0
        self.mask = READ
        self.work = work
        self.bits = []
        self.errors = []
        loop.interests.update(self)

    def wants(self):
        """As `Watched`."""
        return self.mask, ""

    def on_ready(self, bits):
        """As `Watched`."""
        self.bits.append(bits)
        self.work()

    def fail(self, error):
        """As `Watched`."""
        self.errors.append(error)

    def close(self):
        """Unregister now, close at the tick's end."""
        self.loop.interests.drop(self, "")
        self.loop.close_later(lambda: self.loop.kernel.close(self.sock, "stop"))


@pytest.fixture
def kernel():
    """A kernel without a system."""
    return ScriptedKernel()


@pytest.fixture
def loop(kernel, parts):
    """A loop on it."""
    return parts.loop(kernel, "epoll")


def ready(kernel, *items):
    """The next poll reports these."""
    kernel.ready.append([(item.fd, IN) for item in items])


def test_the_phases_come_in_order(kernel, loop):
    """Dispatch, timers, deferred closes, and the trace last of all."""
    done = []
    loop.trace.tick_done = lambda: done.append("trace")
    item = Item(loop, lambda: (done.append("dispatch"), loop.close_later(lambda: done.append("close"))))
    loop.after(0, lambda: done.append("timer"), "")
    ready(kernel, item)
    loop.tick()
    assert done == ["dispatch", "timer", "close", "trace"]


def test_a_handler_that_raises(kernel, loop):
    """It is told so; those before and after it get their turn."""

    def divide():
        raise ZeroDivisionError

    items = [Item(loop), Item(loop, divide), Item(loop)]
    ready(kernel, *items)
    loop.tick()
    assert [item.bits for item in items] == [[IN]] * 3
    assert [len(item.errors) for item in items] == [0, 1, 0]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_ends_it(kernel, loop, end):
    """Only an Exception is a handler's failure."""

    def quit_now():
        raise end

    item = Item(loop, quit_now)
    ready(kernel, item)
    with pytest.raises(end):
        loop.tick()
    assert item.errors == []


def test_readiness_of_what_was_closed_in_this_tick(kernel, loop):
    """The first closes all the others, of whom the kernel had said something: they hear nothing."""
    others = [Item(loop) for _ in range(1000)]
    first = Item(loop, lambda: [other.close() for other in others])
    ready(kernel, first, *others)
    loop.tick()
    assert all(other.bits == [] and other.sock.closed for other in others)


def test_readiness_of_what_was_paused_in_this_tick(kernel, loop):
    """Who wants nothing any more hears nothing any more."""
    other = Item(loop)

    def pause():
        other.mask = 0
        loop.interests.update(other)

    ready(kernel, Item(loop, pause), other)
    loop.tick()
    assert other.bits == []


def test_a_descriptor_is_not_reused_within_a_tick(kernel, loop):
    """It is given back only when the ready list that names it is worked off."""
    old = Item(loop)
    seen = []
    closer = Item(loop, lambda: (old.close(), seen.append(old.sock.closed)))
    last = Item(loop, lambda: seen.append(old.sock.closed))
    ready(kernel, closer, old, last)
    loop.tick()
    assert seen == [False, False]
    assert old.sock.closed


def test_what_a_deferred_close_defers(kernel, loop):
    """Is done in the next tick, and not lost."""
    done = []
    loop.close_later(lambda: loop.close_later(lambda: done.append("second")))
    kernel.ready += [[], []]
    loop.tick()
    assert done == []
    loop.tick()
    assert done == ["second"]


def test_sleep_until_the_next_timer(kernel, loop):
    """The time-out is what is left until then; for ever without a timer; never negative."""
    (poller,) = kernel.pollers
    with pytest.raises(ScriptEndError):
        loop.tick()
    loop.after(2.5, lambda: None, "")
    late = loop.after(1, lambda: None, "")
    kernel.advance(0.25)
    loop.tick()
    loop.timers.cancel(late)
    kernel.advance(10)
    loop.tick()
    assert poller.timeouts == [None, 0.75, 0]


def test_a_sleep_is_no_longer_than_the_kernel_can(kernel, loop):
    """A timer in a year is a sleep of a day, again and again: epoll_wait(2) takes an int of milliseconds."""
    assert LONGEST_SLEEP / SECOND * 1000 < 2**31
    fired = []
    loop.after(3 * LONGEST_SLEEP / SECOND, lambda: fired.append(1), "")
    for _ in range(3):
        assert not fired
        loop.tick()
    assert fired
    assert kernel.pollers[0].timeouts == [LONGEST_SLEEP / SECOND] * 3


def test_in_a_crowd_who_stays_goes_first(kernel, loop):
    """And of the others only so many have their turn: the selector will report the rest again."""
    order = []
    crowd = [Item(loop) for _ in range(CROWD + 5)]
    for item in crowd:
        item.work = lambda item=item: order.append(item)
    loop.interests.promote(crowd[-1])
    ready(kernel, *crowd)
    loop.tick()
    assert order == [crowd[-1], *crowd[:CROWD]]
    ready(kernel, *crowd)
    loop.tick()
    assert order[CROWD + 1 :] == [crowd[-1], *crowd[CROWD:-1], *crowd[: CROWD - 4]]


def test_a_few_have_their_turns_as_they_are_reported(kernel, loop):
    """It is no crowd."""
    order = []
    few = [Item(loop) for _ in range(CROWD)]
    for item in few:
        item.work = lambda item=item: order.append(item)
    loop.interests.promote(few[-1])
    ready(kernel, *few)
    loop.tick()
    assert order == few


def test_timers_run_when_sockets_are_always_ready(kernel, loop):
    """No flood of readiness keeps a deadline waiting."""
    fired = []
    loop.after(1, lambda: fired.append(loop.time), "")
    item = Item(loop, lambda: kernel.advance(0.4))
    for _ in range(5):
        ready(kernel, item)
        loop.tick()
    assert fired == [SECOND + round(1.2 * SECOND)]


def test_a_timer_counts_from_the_tick_in_which_it_is_set(kernel, loop):
    """However late in that tick: one time a tick is all that decides what is due."""
    item = Item(loop, lambda: (kernel.advance(5), loop.after(1, lambda: None, "")))
    ready(kernel, item)
    loop.tick()
    assert loop.timers.next().when == 2 * SECOND


def test_a_timer_that_sets_itself_again_runs_once_a_tick(kernel, loop):
    """However short its time."""
    fired = []

    def again():
        fired.append(1)
        loop.after(0, again, "again")

    again()
    kernel.ready += [[], []]
    loop.tick()
    loop.tick()
    assert len(fired) == 3


def test_the_trace_hears_how_late_a_timer_is(kernel, loop):
    """Nanoseconds after its deadline, and why it was set."""
    heard = []
    loop.trace.timer = lambda why, late: heard.append((why, late))
    loop.after(1, lambda: None, "the reason")
    item = Item(loop, lambda: kernel.advance(3))
    for _ in range(2):
        ready(kernel, item)
        loop.tick()
    assert heard == [("the reason", 2 * SECOND)]


def test_the_trace_hears_why_the_loop_sleeps(kernel, loop):
    """The next timer's reason, or that there is none."""
    heard = []
    loop.trace.prepare = lambda deadline, why: heard.append((deadline, why))
    kernel.ready += [[], []]
    loop.tick()
    loop.after(1, lambda: None, "the reason")
    loop.tick()
    assert heard == [(None, "until something is ready: no timer is set"), (2 * SECOND, "the reason")]


def test_run_finishes_the_turn(kernel, loop):
    """Stop is heard at the end of the tick, after the closes."""
    item = Item(loop)
    item.work = lambda: (loop.stop(), item.close())
    ready(kernel, item)
    loop.run()
    assert item.sock.closed


def test_close_closes_what_was_to_be_closed(kernel, loop):
    """And the selector, last."""
    item = Item(loop)
    item.close()
    loop.close()
    assert item.sock.closed
    assert kernel.pollers[0].closed


@pytest.mark.parametrize("number", [errno.EIO, errno.EINTR, errno.ECONNRESET])
def test_a_close_that_fails_is_a_close(number, selector):
    """The descriptor is gone whatever close(2) says; the others are closed all the same."""

    class Broken(Kernel):
        """A kernel whose close fails, after the fact."""

        failed = 0

    kernel = Broken()
    loop = Loop(kernel, selector)
    ours, theirs = kernel.socket_pair()

    class Wrapped(type(ours)):
        """A socket whose close fails."""

        def close(self):
            super().close()
            kernel.failed += 1
            raise failure(number)

    wrapped = Wrapped(fileno=ours.detach())
    for sock in (wrapped, theirs):
        loop.close_later(lambda sock=sock: kernel.close(sock, "stop"))
    loop.close()
    assert kernel.failed == 1
    assert wrapped.fileno() == theirs.fileno() == -1


def test_a_callback_that_raises(kernel):
    """A timer or a close that raises is told of, and the others have their turn."""
    said, done = [], []
    loop = Loop(kernel, "epoll", report=said.append)

    def bad():
        raise ZeroDivisionError("by zero")

    for call in (bad, lambda: done.append("timer")):
        loop.after(0, call, "now")
    for call in (bad, lambda: done.append("close")):
        loop.close_later(call)
    loop.tick()
    assert done == ["timer", "close"]
    assert said == ["timer failed: ZeroDivisionError: by zero", "close failed: ZeroDivisionError: by zero"]
