"""The two ends of a stream connection, and the listener through which it came about.

Both ends are the same: what one sends lies in the other's `inbox`, which stands for all the buffers
between the two. The server has one end through its kernel; the other is the test's, who calls the same
`send`, `recv`, `shutdown` and `close` on it.
"""

from __future__ import annotations

import errno
from collections import deque
from typing import TYPE_CHECKING

from evloop.kernel import ERR, HUP, IN, OUT
from evloop.testing.simulated.errors import again, failure

if TYPE_CHECKING:
    from evloop.address import Sockaddr
    from evloop.testing.simulated.kernel import SimulatedKernel

__all__ = ["Pollable", "SimulatedListener", "SimulatedStream", "SimulatedTcp", "SimulatedUnix"]


class Pollable:
    """What epoll can watch: it says its state in `bits`, and tells the poller when that has changed."""

    __slots__ = ("fd", "interest", "kernel", "local", "ready")

    def __init__(self, kernel: SimulatedKernel, local: str) -> None:
        self.kernel = kernel
        self.local = local
        self.fd = -1
        self.interest = 0  # the bits that a poller asks for
        self.ready: dict[int, int] | None = None  # of that poller: descriptor → bits

    def fileno(self) -> int:
        """The descriptor's number; -1 once it is closed, as a Python socket has it."""
        return self.fd

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more for which one could wait."""
        return False

    def bits(self) -> int:
        """IN, OUT, ERR and HUP as they are now: poll(2)."""
        raise NotImplementedError

    def refresh(self) -> None:
        """The state may have changed: level-triggered, epoll reports it as long as it lasts."""
        ready = self.ready
        if ready is not None:
            bits = self.bits() & self.interest
            if bits:
                ready[self.fd] = bits
            elif self.fd in ready:
                del ready[self.fd]

    def close(self) -> None:
        """close(2)."""
        raise NotImplementedError


class SimulatedStream(Pollable):
    """One end of a connection. `capacity` is how many bytes fit between the other end's send and our recv."""

    __slots__ = (
        "calls", "capacity", "closed", "dead", "error", "got_fin", "inbox", "most", "opened", "peer",
        "received", "sent", "sent_fin", "told", "turn", "when",
    )  # fmt: skip
    peer: SimulatedStream
    protocol = ""

    def __init__(self, kernel: SimulatedKernel, local: str, capacity: int) -> None:
        super().__init__(kernel, local)
        self.inbox = bytearray()
        self.capacity = capacity
        self.received = self.sent = 0  # bytes, by this end's own calls
        self.got_fin = self.sent_fin = False
        self.dead = False  # there is no connection any more: reset, or ended by both
        self.error = 0  # SO_ERROR: told once, by the next call that asks
        self.told = False  # that the stream has ended
        self.closed = False
        self.most = 0  # bytes that the next send takes at most; 0 is no limit
        self.turn, self.calls = -1, 0  # in which turn of the loop it was last called; reads in that
        self.opened = 0  # when the turn began in which it was accepted
        self.when = 0  # when the turn began in which bytes last moved through this end

    @classmethod
    def pair(
        cls, kernel: SimulatedKernel, local: str, rooms: tuple[int, int]
    ) -> tuple[SimulatedStream, SimulatedStream]:
        """The server's end and the client's; `rooms` are bytes, to the server and to the client."""
        ours, theirs = cls(kernel, local, rooms[0]), cls(kernel, local, rooms[1])
        ours.peer, theirs.peer = theirs, ours
        return ours, theirs

    @property
    def is_over(self) -> bool:
        """Whether there is nobody at the other end."""
        return self.dead or self.peer.closed

    # -- calls ---------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """recv(2): what has come is read before one hears of an end."""
        inbox = self.inbox
        if not inbox:
            return self._nothing_to_read()
        if size < len(inbox):
            data = bytes(inbox[:size])
            del inbox[:size]
        else:
            data = bytes(inbox)
            inbox.clear()
            self.refresh()
        self.received += len(data)
        self.kernel.work += 1
        self.when = self.kernel.woken
        self.peer.refresh()  # it may have room again
        return data

    def send(self, data: bytes | memoryview) -> int:
        """send(2): as much as there is room for."""
        self._can_send()
        size, peer = len(data), self.peer
        if peer.closed:
            return self._send_to_nobody(size)
        room = peer.capacity - len(peer.inbox)
        n = min(size, room)
        if self.most:
            n, self.most = min(n, self.most), 0
        if n <= 0 and size:
            raise again()
        peer.inbox += data if n == size else data[:n]
        self.sent += n
        self.kernel.work += 1
        self.when = self.kernel.woken
        peer.refresh()
        self.refresh()
        return n

    def shutdown(self) -> None:
        """shutdown(2) of the writing side."""
        self.sent_fin = True
        self.peer.got_fin = True
        self._both_ended()
        self.peer.refresh()
        self.refresh()

    def abort(self) -> None:
        """close(2) with SO_LINGER of 0 seconds: a reset, where the protocol has one."""
        self.close()

    def _end(self) -> bytes:
        """recv(2) at the end of the stream."""
        if not self.told:
            self.told = True
            self.kernel.work += 1
        return b""

    def _take_error(self) -> OSError:
        number, self.error = self.error, 0
        self.kernel.work += 1
        self.refresh()
        return failure(number)

    # -- as each protocol has it -----------------------------------------------------------

    def _nothing_to_read(self) -> bytes:
        raise NotImplementedError

    def _can_send(self) -> None:
        raise NotImplementedError

    def _send_to_nobody(self, size: int) -> int:
        raise NotImplementedError

    def _both_ended(self) -> None:
        """Both directions may have ended now."""

    def _was_reset(self) -> None:
        """RFC 9293, 3.10.7.4. What had come before can still be read."""
        if not self.dead:
            self.error = errno.EPIPE if self.got_fin else errno.ECONNRESET
            self.dead = True
            self.refresh()


class SimulatedTcp(SimulatedStream):
    """One end of a TCP connection, as tcp(7) and Linux's net/ipv4/tcp.c have it."""

    __slots__ = ()
    protocol = "tcp"

    def bits(self) -> int:
        """As tcp_poll: what has ended is readable, writable and hung up, and stays so."""
        bits = IN if self.inbox or self.got_fin or self.dead else 0
        if self.sent_fin or self.dead or self._has_room():
            bits |= OUT
        if self.dead or (self.got_fin and self.sent_fin):
            bits |= HUP
        return bits | ERR if self.error else bits

    def _has_room(self) -> bool:
        """Not the first free byte makes it writable: a third of the buffer has to be free."""
        peer = self.peer
        return peer.closed or 3 * (peer.capacity - len(peer.inbox)) >= peer.capacity

    def _nothing_to_read(self) -> bytes:
        """An end that was seen hides a reset after it; a reset is told once, and is an end from then on."""
        if self.got_fin:
            return self._end()
        if self.error:
            raise self._take_error()
        if self.dead:
            return self._end()
        raise again()

    def _can_send(self) -> None:
        if self.error:
            raise self._take_error()
        if self.sent_fin or self.dead:
            raise failure(errno.EPIPE)

    def _send_to_nobody(self, size: int) -> int:
        """The first bytes go out, and are answered with a reset; on loopback before send(2) returns."""
        self.sent += size
        self.kernel.work += 1
        self._was_reset()
        return size

    def shutdown(self) -> None:
        """shutdown(2): of a connection that is no more it says ENOTCONN."""
        if self.dead:
            raise failure(errno.ENOTCONN)
        super().shutdown()

    def _both_ended(self) -> None:
        if self.got_fin and self.sent_fin:
            self.dead = self.peer.dead = True

    def close(self) -> None:
        """A FIN; or a reset, if there is something that nobody has read: RFC 2525, 2.17."""
        if self.closed:
            return
        self.closed = True
        if self.inbox and not self.dead:
            self.peer._was_reset()  # noqa: SLF001 - an end of the same connection
        elif not self.sent_fin and not self.dead:
            super().shutdown()
        self.inbox.clear()
        self.peer.refresh()

    def abort(self) -> None:
        """A reset."""
        if not self.closed:
            self.closed = True
            self.inbox.clear()
            self.peer._was_reset()  # noqa: SLF001


class SimulatedUnix(SimulatedStream):
    """One end of a Unix stream connection, as unix(7) and Linux's net/unix/af_unix.c have it."""

    __slots__ = ()
    protocol = "unix"

    def bits(self) -> int:
        """As unix_poll: hung up when both directions are shut, and reported whatever one asks for."""
        bits = IN if self.inbox or self.got_fin else 0
        peer = self.peer
        if peer.closed or 4 * len(peer.inbox) <= peer.capacity:
            bits |= OUT
        if self.got_fin and self.sent_fin:
            bits |= HUP
        return bits | ERR if self.error else bits

    def _nothing_to_read(self) -> bytes:
        if self.error:
            raise self._take_error()
        if self.got_fin:
            return self._end()
        raise again()

    def _can_send(self) -> None:
        if self.sent_fin or self.peer.closed:
            raise failure(errno.EPIPE)

    def close(self) -> None:
        """The other end is shut in both directions; and told of a reset, if something was not read."""
        if self.closed:
            return
        self.closed = True
        peer = self.peer
        peer.got_fin = peer.sent_fin = True
        if self.inbox:
            self.inbox.clear()
            peer.error = errno.ECONNRESET
        peer.refresh()


class SimulatedListener(Pollable):
    """A listening socket: `connect` shakes hands, and the connection waits until it is accepted."""

    __slots__ = ("_kind", "backlog", "calls", "closed", "error", "queue", "rooms", "shortages", "turn")

    def __init__(
        self,
        kernel: SimulatedKernel,
        local: str,
        kind: type[SimulatedStream],
        backlog: int,
        rooms: tuple[int, int],
    ) -> None:
        """`rooms` are the buffers of its connections, as for `SimulatedStream.pair`."""
        super().__init__(kernel, local)
        self._kind = kind
        self.backlog = backlog
        self.rooms = rooms
        self.queue: deque[tuple[SimulatedStream, Sockaddr]] = deque()
        self.closed = False
        self.error = 0  # what the last accept failed with
        self.shortages = 0  # of descriptors or memory, in this turn of the loop
        self.turn, self.calls = -1, 0

    @property
    def protocol(self) -> str:
        """The protocol of its connections, tcp or unix."""
        return self._kind.protocol

    def bits(self) -> int:
        """Readable: somebody waits."""
        return IN if self.queue else 0

    def connect(self, peer: Sockaddr = "") -> SimulatedStream | None:
        """A client's end; None if the queue is full, which holds one more than the backlog, as on Linux."""
        if self.closed or len(self.queue) > self.backlog:
            return None
        ours, theirs = self._kind.pair(self.kernel, self.local, self.rooms)
        self.queue.append((ours, peer))
        self.refresh()
        return theirs

    def accept(self) -> tuple[SimulatedStream, Sockaddr]:
        """accept(2), once it has a descriptor."""
        accepted = self.queue.popleft()
        self.kernel.work += 1
        self.refresh()
        return accepted

    def close(self) -> None:
        """Whoever was not accepted is reset."""
        self.closed = True
        for ours, _ in self.queue:
            if isinstance(ours, SimulatedTcp):
                ours.abort()
            else:
                ours.close()
                ours.peer.error = errno.ECONNRESET
                ours.peer.refresh()
        self.queue.clear()
