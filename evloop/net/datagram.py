"""A UDP socket: one descriptor, every client; a datagram in, a datagram out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from evloop.kernel import READ
from evloop.net.shortage import Shortage
from evloop.protocols import why_unanswered

if TYPE_CHECKING:
    from evloop.address import Inet
    from evloop.events.schema import CloseReason
    from evloop.loop.loop import Loop
    from evloop.protocols import Respond

__all__ = ["Datagrams"]

DATAGRAM_BATCH = 64  # at most, a readiness: without a bound a flood would keep the timers from running
AGAIN = "receive again after a shortage of memory"


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
        self.sock = loop.kernel.bind(address)
        self._recvfrom, self._sendto = loop.kernel.datagram_calls(self.sock, recv_size)
        self.address = loop.kernel.address_of(self.sock)
        self._own_ports = own_ports
        self.fd = self.sock.fileno()
        self.watching = 0
        watch = partial(loop.interests.update, self)
        self._shortage = Shortage(loop, "recvfrom", watch, AGAIN, self.sock)
        watch()

    def wants(self) -> tuple[int, str]:
        """READ; never WRITE, for a full send buffer drops datagrams rather than waits."""
        why_not = self._shortage.why
        return (0, why_not) if why_not else (READ, "datagrams may come at any time")

    def on_ready(self, _bits: int) -> None:
        """Answer what has arrived, up to a batch."""
        recvfrom, sendto, respond, size = self._recvfrom, self._sendto, self._respond, self._size
        own_ports, is_local, why_unanswered = self._own_ports, self._loop.kernel.is_local, self.why_unanswered
        shortage = self._shortage
        for _ in range(DATAGRAM_BATCH):
            try:
                data, peer = recvfrom(size)
            except BlockingIOError:
                shortage.over()
                return
            except OSError as error:
                if shortage.may_go_on(error):
                    continue
                return
            if shortage.of:
                shortage.over()
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
        self._shortage.cancel()
        self._loop.let_go(self, reason)
