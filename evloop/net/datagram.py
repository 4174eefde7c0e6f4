"""A UDP socket: one descriptor, every client; a datagram in, a datagram out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.kernel import READ, is_broken_listener, is_resource_shortage
from evloop.net.listener import RETRY_AFTER
from evloop.protocols import why_unanswered

if TYPE_CHECKING:
    from evloop.address import Inet
    from evloop.events.schema import CloseReason
    from evloop.loop.loop import Loop
    from evloop.loop.timers import Timer
    from evloop.protocols import Respond

__all__ = ["Datagrams"]

DATAGRAM_BATCH = 64  # at most, a readiness: without a bound a flood would keep the timers from running


class Datagrams:
    """Answers each datagram at once; one that the kernel will not take is dropped, as any router may.

    No connection, no accept, no end of stream: a datagram of length 0 is data.
    """

    regular = True

    why_unanswered = staticmethod(why_unanswered)

    def __init__(
        self, loop: Loop, address: Inet, respond: Respond, recv_size: int, own_ports: set[int]
    ) -> None:
        """`own_ports` are the server's own UDP ports, to which whoever opens this one adds it."""
        self._loop = loop
        self._respond = respond
        self._size = recv_size
        self._closed = False
        self._short = ""  # of what the system is short
        self._retry: Timer | None = None
        self.sock = loop.kernel.bind(address)
        self._recvfrom, self._sendto = loop.kernel.datagram_calls(self.sock, recv_size)
        self.address = loop.kernel.address_of(self.sock)
        self._own_ports = own_ports
        self.fd = self.sock.fileno()
        self.watching = 0
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """READ; never WRITE, for a full send buffer drops datagrams rather than waits."""
        if self._retry:
            return 0, f"recvfrom failed: {self._short}"
        return READ, "datagrams may come at any time"

    def on_ready(self, _bits: int) -> None:
        """Answer what has arrived, up to a batch."""
        recvfrom, sendto, respond, size = self._recvfrom, self._sendto, self._respond, self._size
        own_ports, is_local, why_unanswered = self._own_ports, self._loop.kernel.is_local, self.why_unanswered
        for _ in range(DATAGRAM_BATCH):
            try:
                data, peer = recvfrom(size)
            except BlockingIOError:
                self._found_memory()
                return
            except OSError as error:
                if self._may_go_on(error):
                    continue
                return
            reason = why_unanswered(peer, own_ports, is_local)
            if reason:
                self._loop.trace.refuse(self.sock, peer, reason)
                continue
            try:
                sendto(respond(data), peer)
            except OSError:
                continue  # EAGAIN, ENOBUFS: dropped, and the log says so
            except Exception as error:  # noqa: BLE001 - one bad datagram must not end the others
                self._loop.failed("datagram socket", error, self.sock)

    def _may_go_on(self, error: OSError) -> bool:
        """recvfrom(2) failed: whether the next datagram may be asked for at once."""
        if is_resource_shortage(error):
            self._wait_for_memory(error)
            return False
        if is_broken_listener(error):  # or receiver: it can never succeed again
            raise error
        return True  # an ICMP error that answers an earlier datagram: it says nothing of the next

    # -- no memory -----------------------------------------------------------------------

    def _wait_for_memory(self, error: OSError) -> None:
        """The datagram is still there, and so is its readiness: stop watching for a while, or spin."""
        if not self._short:
            self._short = error.strerror or str(error)
            self._loop.trace.limit(f"recvfrom: {self._short}", active=True, sock=self.sock)
        why = "receive again after a shortage of memory"
        self._retry = self._loop.after(RETRY_AFTER, self._try_again, why)
        self._loop.interests.update(self)

    def _try_again(self) -> None:
        self._retry = None
        try:
            self._loop.interests.update(self)
        except OSError as error:  # epoll_ctl(2) is short of it, too
            self._wait_for_memory(error)

    def _found_memory(self) -> None:
        if self._short:
            self._loop.trace.limit(f"recvfrom: {self._short}", active=False, sock=self.sock)
            self._short = ""

    # -- ending ------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """It cannot go on; the others can."""
        self._loop.failed("datagram socket", error, self.sock)
        self.close("handler-error")

    def close(self, reason: CloseReason = "stop") -> None:
        """Receive no more."""
        if self._closed:
            return
        self._closed = True
        self._loop.timers.cancel(self._retry)
        self._loop.let_go(self, reason)
