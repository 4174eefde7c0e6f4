"""Watchers: whoever connects is sent the events as they happen, and never waited for.

What they can cost is bounded: their number, what is kept for one that does not read, how often it
is looked whether it does, what they may say (nothing), and how long all together are waited for at the end.

A watcher that does not read fast enough misses whole events, counted for it
alone. When it has caught up it gets a `gap`, which says how many, and a
`snapshot`, so that its picture is right again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evloop.events.schema import End, Event, Gap, Header, Slow, Snapshot
from evloop.events.sinks import encode
from evloop.kernel import READ, Kernel, Socket
from evloop.loop.loop import SECOND
from evloop.net.guests import GuestListener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.address import UnixPath
    from evloop.loop.loop import Loop
    from evloop.loop.timers import Timer

__all__ = ["BEHIND", "LET_IN", "WatchPoint", "Watchers"]

SNAPSHOT_EVERY = 250_000_000  # ns, at most so often for a watcher that keeps falling behind
LAST_WORDS = 0.5  # seconds that the watchers may take for the last lines
LOOK_AGAIN = 0.3  # seconds, whether there is room for one that is behind
TRY_AGAIN = 20_000_000  # ns until a watcher whose socket is full is offered something
MOST = 16  # watchers that come by themselves
MOST_KEPT = 1 << 18  # bytes of a tick for a watcher whose socket is full: it takes that in a second
TALK = 4096  # bytes that a watcher may say, to nobody; one who says more is let go

# Of timers: what the log says of the watchers besides their wake-ups.
BEHIND, LET_IN = "a watcher is behind", "let watchers in again"


class Watcher:
    """One who watches; what it sends is thrown away, its end is noticed."""

    regular = True

    def __init__(self, watchers: Watchers, sock: Socket) -> None:
        self._watchers = watchers
        self.sock = sock
        self.fd = sock.fileno()
        self.watching = 0
        self._recv, self._send = watchers.kernel.stream_calls(sock)
        # What is under way: lines that the socket took in part; and before which `t` it is offered nothing.
        self._rest: memoryview | None = None
        self._try_at = 0
        # What it knows: whether it has the header and a state; since the last event that it got how many it
        # has missed, and the last turn of them for which everybody waited; when it got a state instead.
        self._begun = False
        self._missed = 0
        self._slow: Slow | None = None
        self._caught_up_at = 0
        self._said = 0  # bytes
        self.lost = 0  # events, in all

    def wants(self) -> tuple[int, str]:
        """READ, to notice when it leaves."""
        return READ, "a watcher may leave"

    def on_ready(self, _bits: int) -> None:
        """It left, or said something that nobody asked for."""
        try:
            size = len(self._recv(TALK))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._said += size
        if not size or self._said > TALK:
            self._watchers.leave(self)

    def fail(self, error: Exception) -> None:  # noqa: ARG002
        """Whatever went wrong, it is this watcher's trouble alone."""
        self._watchers.leave(self)

    @property
    def is_behind(self) -> bool:
        """Whether there is something that it should still be told."""
        return self._rest is not None or self._missed > 0

    @property
    def _is_up_to_date(self) -> bool:
        """Whether it knows all that was before, so that the next events are all that it needs."""
        return self._begun and not self._missed

    def offer(self, block: bytes, events: Sequence[Event]) -> None:
        """Send events if the socket has room, else count them."""
        last = events[-1]
        if isinstance(last, End):
            self._say_the_end(last)
        elif not self._has_room(last.t):
            self._miss(len(events), last)
        elif self._is_up_to_date or isinstance(events[0], Header):
            self._pass_on(block, last)
        elif self._may_catch_up(last.t):
            self._catch_up(last, len(events))
        else:
            self._miss(len(events), last)

    def _has_room(self, t: int) -> bool:
        """Whether nothing is under way any more; a socket that was full is left alone for a moment."""
        if self._rest is not None and t < self._try_at:
            return False
        if self._finish():
            return True
        self._try_at = t + TRY_AGAIN
        return False

    def _may_catch_up(self, t: int) -> bool:
        """A state is sent at once to who has none, and not too often to who keeps falling behind."""
        return not self._begun or t - self._caught_up_at >= SNAPSHOT_EVERY

    def _pass_on(self, block: bytes, last: Event) -> None:
        """Send events as they are; those of the first tick have the header with them."""
        self._begun = True
        self._put(block)
        if self._rest is not None and len(self._rest) > MOST_KEPT:
            self._cut_short(block, len(block) - len(self._rest), last)

    def _miss(self, count: int, last: Event | None = None) -> None:
        """Events are not sent, the last of a tick among them: of a slow tick that is what says so."""
        self._missed += count
        self.lost += count
        if isinstance(last, Slow):
            self._slow = last

    def _cut_short(self, block: bytes, sent: int, last: Event) -> None:
        """Send no more than the line that was begun: bit by bit, the rest would be of a time long past."""
        end = block.find(b"\n", sent) + 1
        self._rest = memoryview(block[sent:end])
        self._miss(block.count(b"\n", end), last)

    def _catch_up(self, last: Event, count: int) -> None:
        """Send the state as it is after `count` events, instead of all that led to it."""
        first: list[Event] = [] if self._begun else [self._watchers.header]
        if self._begun:
            self._miss(count, last)
        if self._slow is not None:  # it was before the last that is missing
            first.append(replace(self._slow, seq=-1))
            self._slow = None
        if self._begun:
            first.append(Gap(-1, last.t, last.tick, self._missed, "this watcher did not keep up"))
        self._put(encode([*first, self._watchers.snapshot(self.lost)]))
        self._begun, self._missed, self._caught_up_at = True, 0, last.t

    def _say_the_end(self, end: End) -> None:
        """Send the log's last line; for this a watcher is waited for, else it thinks the server crashed."""
        deadline, patience = self._watchers.last_words()
        self._watchers.kernel.set_patience(self.sock, patience)
        done = self._finish_until(deadline)
        if done and not self._is_up_to_date:
            self._catch_up(end, 0)
            done = self._finish_until(deadline)
        if done:
            self._put(encode([replace(end, lost=self.lost)]))
            self._finish_until(deadline)

    def _finish_until(self, deadline: int) -> bool:
        """Try it until then, and once in any case."""
        while not (done := self._finish()) and self._watchers.kernel.now() < deadline:
            pass
        return done

    def _finish(self) -> bool:
        """Send what is left of a line that was begun; whether all of it is gone."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self._put(rest)
        return self._rest is None

    def _put(self, data: bytes | memoryview) -> None:
        try:
            sent = self._send(data)
        except (BlockingIOError, TimeoutError):  # the latter when it had patience
            sent = 0
        except OSError:
            self._watchers.leave(self)
            return
        if sent < len(data):
            self._rest = memoryview(data)[sent:]


class Watchers:
    """The sink of all watchers."""

    def __init__(self, loop: Loop, header: Header, snapshot: Callable[[int], Snapshot]) -> None:
        self.kernel = Kernel()  # plain: watching is not to be watched
        self.header = header
        self.snapshot = snapshot
        self.lost = 0
        self._loop = loop
        self._watchers: list[Watcher] = []
        self._look_again: Timer | None = None
        self._deadline: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more may come."""
        return len(self._watchers) >= MOST

    def last_words(self) -> tuple[int, float]:
        """When nobody is waited for any more, one time for all, in monotonic ns; and seconds until then."""
        now = self.kernel.now()
        if self._deadline is None:
            self._deadline = now + round(LAST_WORDS * SECOND)
        return self._deadline, max(self._deadline - now, 0) / SECOND

    def turn_away(self, sock: Socket) -> None:
        """Tell a connected, non-blocking socket that there are enough, and close it."""
        now = self.kernel.now() - self.header.mono_ns
        end = End(-1, now, 0, f"{MOST} watchers are there already, and no more are let in", 0)
        with suppress(OSError):
            self.kernel.stream_calls(sock)[1](encode([self.header, end]))
        self.kernel.close(sock, "stop")

    @property
    def wants_lines(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def join(self, sock: Socket) -> None:
        """Serve a connected, non-blocking socket from the next events on, or close it."""
        watcher = Watcher(self, sock)
        self._loop.trace.own(watcher.fd, "watchers")
        try:
            self._loop.interests.update(watcher)
        except OSError:  # epoll_ctl(2), ENOSPC or ENOMEM: this one is not let in, and the others stay
            self.kernel.close(sock, "handler-error")
        else:
            self._watchers.append(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Serve it no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)
            self._loop.interests.drop(watcher, "the watcher left")
            self._loop.close_later(lambda: self.kernel.close(watcher.sock, "eof"))

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Offer events to everybody."""
        for watcher in tuple(self._watchers):
            watcher.offer(block, events)
        if self._look_again is None and any(watcher.is_behind for watcher in self._watchers):
            self._look_again = self._loop.after(LOOK_AGAIN, self._wake, BEHIND)

    def _wake(self) -> None:
        """That the loop woke is an event, and with it `write` is called: that is all that is needed."""
        self._look_again = None

    def close(self) -> None:
        """Let everybody go; what their sockets hold they can still read."""
        for watcher in tuple(self._watchers):
            self._loop.interests.drop(watcher, "the loop ends")
            self.kernel.close(watcher.sock, "stop")
        self._watchers.clear()
        self._loop.timers.cancel(self._look_again)


class WatchPoint(GuestListener):
    """The Unix socket on which `evloop-trace watch PATH` connects."""

    name, owner, may_come, again = "watch point", "watchers", "watchers may come", LET_IN

    def __init__(self, loop: Loop, address: UnixPath, watchers: Watchers, mode: int = 0o600) -> None:
        """`mode` as there."""
        self._watchers = watchers
        super().__init__(loop, watchers.kernel, address, mode)

    def let_in(self, sock: Socket) -> None:
        """Who comes watches, unless there are enough."""
        if self._watchers.is_full:
            self._watchers.turn_away(sock)
        else:
            self._watchers.join(sock)
