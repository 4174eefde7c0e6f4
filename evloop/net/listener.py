"""A listening socket: hands on the connections whose handshake the kernel has finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.kernel import READ
from evloop.net.shortage import Shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.address import Address
    from evloop.events.schema import CloseReason
    from evloop.kernel import Socket
    from evloop.loop.loop import Loop
    from evloop.loop.timers import Timer

__all__ = ["Listener"]

ACCEPT_BATCH = 4  # at most, a readiness. Each needs two turns or more (what it asks, its end): half a `CROWD`
SAMPLE_EVERY = 0.25  # seconds
AGAIN = "accept again after a shortage of descriptors or memory"


class Listener:
    """Accepts in bounded batches; pauses when there is no room, and lets the kernel's queue hold the rest.

    A connection is complete before accept(2) returns it: the kernel shook hands
    with the client on its own, and has acknowledged what it sent since.
    """

    regular = False  # newcomers stand behind it
    shortage_class = Shortage

    def __init__(
        self, loop: Loop, address: Address, backlog: int, on_accept: Callable[[Socket], bool]
    ) -> None:
        """`on_accept` takes a connection, and says whether there is room for another."""
        self._loop = loop
        self._on_accept = on_accept
        self._full = ""  # why the server has no room for more
        self._closed = False
        self._sampler: Timer | None = None
        self.sock = loop.kernel.listen(address, backlog)
        self.address = loop.kernel.address_of(self.sock) or str(address)
        self.fd = self.sock.fileno()
        self.watching = 0
        self._shortage = self.shortage_class(loop, "accept", self._watch, AGAIN, self.sock)
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """READ, which here means that a connection can be accepted, unless there is no room for one."""
        why_not = self._full or self._shortage.why
        return (0, why_not) if why_not else (READ, "there is room for connections")

    def on_ready(self, _bits: int) -> None:
        """Accept what waits, up to a batch."""
        kernel, sock, shortage = self._loop.kernel, self.sock, self._shortage
        for _ in range(ACCEPT_BATCH):
            try:
                connection, _ = kernel.accept(sock)
            except BlockingIOError:
                shortage.over()
                return
            except OSError as error:
                if shortage.may_go_on(error):
                    continue
                return
            if shortage.of:
                shortage.over()
            if not self._hand_over(connection):
                return

    def _hand_over(self, connection: Socket) -> bool:
        """Give a connection to the server; whether it has room for another. A failure ends this one alone."""
        loop = self._loop
        try:
            return self._on_accept(connection)
        except Exception as error:  # noqa: BLE001
            loop.failed("accepted connection", error, connection)
            loop.close_socket_later(connection, "handler-error")
            return True

    # -- no room -----------------------------------------------------------------------

    def pause(self, why: str) -> None:
        """Accept nothing until `resume`; clients queue up in the kernel, up to the backlog."""
        self._full = why
        self._shortage.watch_or_wait()

    def resume(self) -> None:
        """Accept again."""
        self._full = ""
        self._shortage.watch_or_wait()

    def _watch(self) -> None:
        if self._closed:
            return
        self._loop.interests.update(self)
        if self.watching:
            self._loop.timers.cancel(self._sampler)
            self._sampler = None
        elif self._loop.trace.samples and not self._sampler:
            self._sample()

    def _sample(self) -> None:
        """While nobody accepts, no event tells how the queue grows; so look at it now and then."""
        self._sampler = None
        if self.watching:  # again: what kept it from that is not always told here, see `evloop.control`
            return
        self._loop.trace.queue(self.sock)
        self._sampler = self._loop.after(SAMPLE_EVERY, self._sample, "look at the accept queue")

    # -- ending ------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """The listener itself is broken: end it, and let the connections live."""
        self._loop.failed("listener", error, self.sock)
        self.close("handler-error")

    def close(self, reason: CloseReason = "stop") -> None:
        """Listen no more. Connections that nobody accepted are reset by the kernel."""
        if self._closed:
            return
        self._closed = True
        self._shortage.cancel()
        self._loop.timers.cancel(self._sampler)
        self._loop.let_go(self, reason)
