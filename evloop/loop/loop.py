"""The loop: one thread, one selector, and turns ("ticks") of five phases.

    timeout → poll → dispatch → timers → deferred closes

Everything waits in `poll`, and nowhere else. Whoever is ready gets one bounded
piece of work and returns; a handler that blocked or ran on would make everybody
wait, for there is nobody else to serve them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from evloop.loop.crowd import Crowd
from evloop.loop.interest import Interests
from evloop.loop.timers import Timer, Timers
from evloop.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.schema import CloseReason
    from evloop.kernel import Kernel, Socket
    from evloop.loop.interest import Watched

    Closing: TypeAlias = Callable[[], None]

__all__ = ["SECOND", "Loop"]

SECOND = 1_000_000_000  # ns
LONGEST_SLEEP = 24 * 3600 * SECOND  # epoll_wait(2) takes at most 2**31 ms


class Loop:
    """Watches sockets and calls whoever is ready, until `stop`."""

    interests_class = Interests

    def __init__(
        self,
        kernel: Kernel,
        selector: str,
        trace: Trace | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`report` gets sentences for the person who runs the loop."""
        self._report = report
        self.kernel = kernel
        self.trace = trace or Trace()
        self.timers = Timers()
        self.poller = kernel.poller(selector)
        self.interests = self.interests_class(self.poller, self.trace)
        self.time = kernel.woke()  # when this tick began, for whoever needs no better
        self.crowd = Crowd()
        self._closing: list[Closing] = []
        self._running = False

    def run(self) -> None:
        """Take turns until `stop` is called, then finish the turn."""
        self._running = True
        while self._running:
            self.tick()

    def stop(self) -> None:
        """Let `run` return after this tick."""
        self._running = False

    def tick(self) -> None:
        """One turn."""
        timeout = self._timeout()
        ready = self.poller.poll(timeout)
        self.time = self.kernel.woke()

        watched = self.interests.watched
        # Very many: not all have their turn now, and those who stay go before those who come and go.
        if len(ready) > self.crowd.size:
            ready = self.crowd.in_turn(ready, self.interests.newcomers)
        for fd, bits in ready:
            try:
                item = watched[fd]
            except KeyError:
                # Closed earlier in this tick, by another's handler. Its descriptor is still
                # open (see `close_later`), so this cannot be a newcomer with the same number.
                continue
            try:
                item.on_ready(bits)
            except Exception as error:  # noqa: BLE001 - one bad handler must not end the others
                item.fail(error)

        if self.timers:
            self._run_timers()
        if self._closing:
            self._close_deferred()
        self.trace.tick_done()

    def _timeout(self) -> float | None:
        """How long `poll` may sleep: until the next timer, in seconds; None is for ever."""
        timer = self.timers.next()
        if timer is None:
            self.trace.prepare(None, "until something is ready: no timer is set")
            return None
        self.trace.prepare(timer.when, timer.why)
        left = timer.when - self.kernel.now()
        return min(max(left, 0), LONGEST_SLEEP) / SECOND

    def _run_timers(self) -> None:
        for timer in self.timers.due(self.time):
            self.trace.timer(timer.why, self.time - timer.when)
            self._attempt("timer", timer.callback)

    def let_go(
        self, item: Watched, reason: CloseReason, *, buffered: int = 0, error: int | None = None
    ) -> None:
        """Unregister now, close(2) at the end of the tick; `buffered`, `error`: as of `Kernel.close`."""
        self.interests.drop(item, reason)
        self.close_socket_later(item.sock, reason, buffered=buffered, error=error)

    def close_socket_later(
        self, sock: Socket, reason: CloseReason, *, buffered: int = 0, error: int | None = None
    ) -> None:
        """The second half of `let_go`, for a socket that nobody watches."""
        self.close_later(lambda: self.kernel.close(sock, reason, buffered=buffered, error=error))

    def close_later(self, close: Closing) -> None:
        """Have `close` run at the end of this tick.

        close(2) gives the descriptor's number back, and the very next accept(2) gets it.
        The ready list of this tick may still name the old owner; at the tick's end none is left.
        """
        self._closing.append(close)

    def _close_deferred(self) -> None:
        closing, self._closing = self._closing, []
        for close in closing:
            self._attempt("close", close)

    def _attempt(self, where: str, call: Callable[[], None]) -> None:
        """Nobody's failure may keep the others from their turn."""
        try:
            call()
        except Exception as error:  # noqa: BLE001
            self.failed(where, error)

    def failed(self, where: str, error: Exception, sock: Socket | None = None) -> None:
        """Tell of an exception that ended something, but not the loop."""
        self.trace.error(where, error, sock)
        self._report(f"{where} failed: {type(error).__name__}: {error}")

    def after(self, seconds: float, callback: Closing, why: str) -> Timer:
        """Have `callback` run `seconds` after this tick's beginning, as libuv's timers count.

        So the clock is read once a tick, and all that becomes due in a tick follows from that one time.
        """
        return self.timers.set(self.time + round(seconds * SECOND), callback, why)

    def finish(self) -> None:
        """After the last tick: close what is still to be closed, and hand on what was recorded."""
        self._close_deferred()
        self.trace.tick_done()

    def close(self) -> None:
        """Give the selector back, the last thing of all: whoever is still watched must be dropped first."""
        self.finish()
        self.poller.close()
