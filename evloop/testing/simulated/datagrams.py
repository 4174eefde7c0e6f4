"""A UDP socket: a bounded queue of datagrams, and what routers said of those that were sent."""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING

from evloop.kernel import ERR, IN, OUT
from evloop.testing.simulated.errors import again, failure
from evloop.testing.simulated.streams import Pollable

if TYPE_CHECKING:
    from evloop.address import InetSockaddr
    from evloop.testing.simulated.kernel import SimulatedKernel

__all__ = ["SimulatedDatagrams"]

MOST_BYTES = 65_507  # of a datagram over IPv4, udp(7)


class SimulatedDatagrams(Pollable):
    """A bound UDP socket. `capacity` is bytes of its queue: what does not fit is dropped, and counted."""

    __slots__ = ("calls", "capacity", "closed", "dropped", "error", "queue", "queued", "reports", "turn")

    def __init__(self, kernel: SimulatedKernel, local: str, capacity: int) -> None:
        super().__init__(kernel, local)
        self.capacity = capacity
        self.queue: deque[tuple[bytes, InetSockaddr]] = deque()
        self.queued = 0  # bytes
        self.dropped = 0  # datagrams
        self.error = 0
        self.reports: int | None = None  # in the error queue, which a socket has with IP_RECVERR, ip(7)
        self.closed = False
        self.turn, self.calls = -1, 0

    def bits(self) -> int:
        """As datagram_poll; there is always room to send, as what does not leave at once is dropped."""
        bits = OUT | (IN if self.queue else 0)
        return bits | ERR if self.error or self.reports else bits

    def deliver(self, data: bytes, sender: InetSockaddr) -> bool:
        """A datagram arrives; whether there was room. One of no bytes takes room, too."""
        if self.closed or self.queued + len(data) > self.capacity or len(self.queue) > self.capacity // 64:
            self.dropped += 1
            return False
        self.queue.append((data, sender))
        self.queued += len(data)
        self.refresh()
        return True

    def refuse(self, number: int = errno.ECONNREFUSED) -> None:
        """An ICMP error says that an earlier datagram did not arrive: the next call tells, udp(7)."""
        self.error = number
        if self.reports is not None:
            self.reports += 1
        self.refresh()

    def recvfrom(self, size: int) -> tuple[bytes, bool, InetSockaddr]:
        """recvmsg(2): (data, whether it was cut, sender). What does not fit into `size` is gone."""
        if self.error:
            raise self._take_error()
        if not self.queue:
            raise again()
        data, sender = self.queue.popleft()
        self.queued -= len(data)
        self.kernel.work += 1
        self.refresh()
        return data[:size], len(data) > size, sender

    def sendto(self, data: bytes, receiver: InetSockaddr) -> int:
        """sendto(2)."""
        if self.error:
            raise self._take_error()
        if len(data) > MOST_BYTES:
            raise failure(errno.EMSGSIZE)
        if not receiver[1]:
            raise failure(errno.EINVAL)
        self.kernel.route(data, self, receiver)
        return len(data)

    def _take_error(self) -> OSError:
        number, self.error = self.error, 0
        self.kernel.work += 1
        self.refresh()
        return failure(number)

    def close(self) -> None:
        """What nobody read is gone."""
        self.closed = True
        self.queue.clear()
