"""The kernel itself: descriptors, the clock, and the calls of a server."""

from __future__ import annotations

import errno
import heapq
from typing import TYPE_CHECKING, Any, cast

from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath
from evloop.errors import AddressError
from evloop.kernel import Kernel, is_resource_shortage
from evloop.socket_state import TcpState
from evloop.testing.simulated.datagrams import SimulatedDatagrams
from evloop.testing.simulated.errors import Faults, again, failure
from evloop.testing.simulated.pollers import SimulatedPoller, SimulatedSignals
from evloop.testing.simulated.streams import (
    Pollable,
    SimulatedListener,
    SimulatedStream,
    SimulatedTcp,
    SimulatedUnix,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop.events.schema import CloseReason
    from evloop.kernel import Recv, Recvfrom, Recvmsg, Send, Sendto, Socket
    from evloop.signals import SignalPipe

__all__ = ["SimulatedKernel", "SimulatedState"]

SECOND = 1_000_000_000  # ns
CALL_COSTS = 500  # ns, of a call that moves bytes
WAITS = (errno.EAGAIN, errno.EALREADY)  # BlockingIOError, to Python; not at the end of a connection
FIRST_PORT = 8080  # for who asks for port 0


class SimulatedKernel(Kernel):
    """A kernel whose clock, clients, descriptors and faults are the test's.

    `time` is monotonic ns, and passes in polls and a little in calls; `away` and `oversleep` are ns that the
    next poll takes besides: the first in any case, the second when it sleeps to its end.
    """

    def __init__(
        self, rooms: tuple[int, int] = (65536, 65536), datagram_room: int = 212_992, descriptors: int = 1024
    ) -> None:
        """`rooms` are bytes of a connection's buffers, to the server and to the client."""
        super().__init__()
        self.time = self.woken = SECOND
        self.away = self.oversleep = 0
        self.rotation = 0  # how far the ready list is turned
        self.rooms = rooms
        self.datagram_room = datagram_room
        self.descriptors = descriptors  # RLIMIT_NOFILE: every descriptor is below
        self.open: dict[int, Any] = {}
        self.turn = 0  # polls
        self.work = 0  # grows with all that a call achieves: bytes, an error told, an end
        self.touched: list[Pollable] = []  # called since the last poll
        self.faults = Faults()
        self.state = SimulatedState(self)
        self.now = lambda: self.time
        self.woke = lambda: self.woken
        self.listeners: list[SimulatedListener] = []
        self.mailboxes: dict[InetSockaddr, SimulatedDatagrams] = {}
        self.pipes: list[SimulatedSignals] = []
        self.pollers: list[SimulatedPoller] = []
        self.ended: list[tuple[Pollable, CloseReason, int, int | None]] = []
        """What was closed since somebody emptied it: the socket, why, bytes never sent, errno."""
        self.delivered: list[tuple[bytes, SimulatedDatagrams, InetSockaddr]] = []
        """The datagrams that were sent since somebody emptied it, with socket and receiver."""
        self.taken: list[tuple[bytes, SimulatedDatagrams, InetSockaddr]] = []
        """Those that were received, as far as they were not cut."""
        self.refused = 0
        """How many could not be sent."""
        self.local_hosts = {"127.0.0.1", "::1"}
        self._next_fd, self._free = 3, list[int]()

    # -- for the test --------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let so much time pass in the next poll, whoever is ready."""
        self.away += round(seconds * SECOND)

    @property
    def is_anybody_ready(self) -> bool:
        """Whether the loop would not sleep."""
        return any(poller.is_anybody_ready for poller in self.pollers)

    # -- descriptors ---------------------------------------------------------------------

    @property
    def is_short_of_descriptors(self) -> bool:
        """Whether the next one would be too many."""
        return (self._free[0] if self._free else self._next_fd) >= self.descriptors

    def _take_fd(self, of: object) -> int:
        """The lowest that is free, as POSIX demands."""
        if self.is_short_of_descriptors:
            raise failure(errno.EMFILE)
        if self._free:
            fd = heapq.heappop(self._free)
        else:
            fd = self._next_fd
            self._next_fd += 1
        self.open[fd] = of
        return fd

    def _open(self, sock: Pollable) -> None:
        sock.fd = self._take_fd(sock)

    def give_back(self, of: object) -> None:
        """The descriptors of something go back, and are free from now on."""
        for fd in [fd for fd, owner in self.open.items() if owner is of]:
            self._give_fd_back(fd)

    def _give_fd_back(self, fd: int) -> None:
        del self.open[fd]
        heapq.heappush(self._free, fd)
        for poller in self.pollers:
            poller.forget(fd)

    # -- opening -------------------------------------------------------------------------

    def poller(self, name: str) -> SimulatedPoller:  # noqa: ARG002
        """As `Kernel`; two descriptors."""
        poller = SimulatedPoller(self)
        self.pollers.append(poller)
        self._take_fd(poller)
        self._take_fd(poller)
        return poller

    def signals(self, names: Iterable[str]) -> SignalPipe:  # noqa: ARG002
        """As `Kernel`; the test says in `pipes` which arrive."""
        pipe = SimulatedSignals(self)
        self._open(pipe)
        self.pipes.append(pipe)
        return cast("SignalPipe", pipe)

    def resolve(self, address: Inet, *, datagram: bool = False) -> list[Inet]:  # noqa: ARG002
        """Every host is its own address."""
        return [address]

    def listen(self, address: Address, backlog: int, *, mode: int | None = None) -> Socket:  # noqa: ARG002
        """A listener; the test connects to it through `listeners`."""
        kind = SimulatedUnix if isinstance(address, UnixPath) else SimulatedTcp
        local = str(self._with_port(address))
        if any(other.local == local and not other.closed for other in self.listeners):
            raise AddressError(f"{local} is in use")
        sock = SimulatedListener(self, local, kind, backlog, self.rooms)
        self._open(sock)
        self.listeners.append(sock)
        return sock

    def bind(self, address: Inet) -> Socket:
        """A datagram socket; the test finds it in `mailboxes`."""
        bound = self._with_port(address)
        assert isinstance(bound, Inet)
        if bound in self.mailboxes:
            raise AddressError(f"{bound} is in use")
        sock = SimulatedDatagrams(self, str(bound), self.datagram_room)
        self._open(sock)
        self.mailboxes[bound.host, bound.port] = sock
        return sock

    def _with_port(self, address: Address) -> Address:
        if isinstance(address, Inet) and not address.port:
            taken = {listener.local for listener in self.listeners} | {
                box.local for box in self.mailboxes.values()
            }
            free = (address._replace(port=port) for port in range(FIRST_PORT, FIRST_PORT + 1000))
            return next(inet for inet in free if str(inet) not in taken)
        return address

    # -- calls ---------------------------------------------------------------------------

    def _enter(self, sock: Any, call: str, takes: int = 0) -> None:
        """Every call begins here: it takes its time, is counted if it takes something in, and may fail."""
        self.time += CALL_COSTS
        if sock.turn != self.turn:
            sock.turn, sock.calls = self.turn, 0
            self.touched.append(sock)
        sock.calls += takes
        if self.faults:
            number = self.faults.take(call, sock)
            if number and not (number in WAITS and sock.is_over):
                self.work += 1
                raise failure(number)
            lasting = self.faults.lasting.get((call, sock))
            if lasting:
                raise failure(lasting)

    def accept(self, listener: Socket) -> tuple[Socket, Sockaddr]:
        """accept(2): the descriptor is sought before there is a look into the queue."""
        assert isinstance(listener, SimulatedListener)
        if listener.turn != self.turn:
            listener.shortages = 0
        listener.error = 0
        try:
            self._enter(listener, "accept", 1)
            if self.is_short_of_descriptors:
                raise failure(errno.EMFILE)
            if not listener.queue:
                raise again()
        except OSError as error:
            listener.error = error.errno or 0
            listener.shortages += is_resource_shortage(error)
            raise
        sock, peer = listener.accept()
        self._open(sock)
        sock.when = sock.opened = self.woken
        return sock, peer

    def stream_calls(self, sock: Socket) -> tuple[Recv, Send]:
        """recv(2) and send(2)."""
        assert isinstance(sock, SimulatedStream)
        stream, enter = sock, self._enter

        def recv(size: int) -> bytes:
            enter(stream, "recv", 1)
            return stream.recv(size)

        def send(data: bytes | memoryview) -> int:
            enter(stream, "send")
            return stream.send(data)

        return recv, send

    def datagram_calls(self, sock: Socket, size: int) -> tuple[Recvfrom, Sendto]:  # noqa: ARG002
        """recvfrom(2) and sendto(2)."""
        assert isinstance(sock, SimulatedDatagrams)
        mailbox, enter, receive = sock, self._enter, self.recvmsg_call(sock)

        def recvfrom(size: int) -> tuple[bytes, InetSockaddr]:
            data, _, sender = receive(size)
            return data, sender

        def sendto(data: bytes, receiver: InetSockaddr) -> int:
            try:
                enter(mailbox, "sendto")
                return mailbox.sendto(data, receiver)
            except OSError:
                self.refused += 1
                raise

        return recvfrom, sendto

    def recvmsg_call(self, sock: Socket) -> Recvmsg:
        """recvmsg(2)."""
        assert isinstance(sock, SimulatedDatagrams)
        mailbox, enter = sock, self._enter

        def receive(size: int) -> tuple[bytes, bool, InetSockaddr]:
            enter(mailbox, "recvfrom", 1)
            data, cut, sender = mailbox.recvfrom(size)
            self.taken.append((data, mailbox, sender))
            return data, cut, sender

        return receive

    def route(self, data: bytes, sender: SimulatedDatagrams, receiver: InetSockaddr) -> None:
        """A datagram leaves; to another of our own sockets it comes at once, as on loopback."""
        self.delivered.append((data, sender, receiver))
        mailbox = self.mailboxes.get(receiver[:2])
        if mailbox is not None:
            host, _, port = sender.local.rpartition(":")
            mailbox.deliver(data, (host, int(port)))

    # -- looking and ending ----------------------------------------------------------------

    def address_of(self, sock: Socket) -> str:
        """The local address."""
        assert isinstance(sock, Pollable)
        return sock.local

    def is_local(self, host: str) -> bool:
        """As `Kernel`, which cannot say that it is another's when there is no descriptor to try it with."""
        return host in self.local_hosts or self.is_short_of_descriptors

    def shutdown(self, sock: Socket) -> None:
        """shutdown(2)."""
        assert isinstance(sock, SimulatedStream)
        self._enter(sock, "shutdown")
        sock.shutdown()

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """close(2), whose errors say nothing: the descriptor is free in any case."""
        assert isinstance(sock, Pollable)
        self.work += 1
        if sock.fd < 0:
            return
        self._give_fd_back(sock.fd)
        sock.fd, sock.ready, sock.interest = -1, None, 0
        self.faults.forget(sock)
        sock.close()
        if isinstance(sock, SimulatedListener):
            self.listeners.remove(sock)
        elif isinstance(sock, SimulatedDatagrams):
            self.mailboxes = {key: box for key, box in self.mailboxes.items() if box is not sock}
        self.ended.append((sock, reason, buffered, error))

    def inode_of(self, address: UnixPath) -> int:  # noqa: ARG002
        """No path is a file here."""
        return 0

    def remove_path(self, address: UnixPath, inode: int) -> None:
        """No path is a file here."""


class SimulatedState:
    """What the log shows of sockets, as `evloop.socket_state` tells it."""

    def __init__(self, kernel: SimulatedKernel) -> None:
        self._kernel = kernel

    def accept_queue(self, sock: Any) -> tuple[int, int] | None:
        """(connections that wait, the limit) of a TCP listener."""
        return (len(sock.queue), sock.backlog) if sock.protocol == "tcp" else None

    def queue_wait(self, sock: Any) -> int | None:  # noqa: ARG002
        """It is not told."""
        return None

    def peer_process(self, sock: Any) -> int | None:  # noqa: ARG002
        """It is not told."""
        return None

    def tcp_info(self, sock: Any) -> TcpState | None:
        """What can be counted here: bytes, and whether there is a connection."""
        if sock.protocol != "tcp":
            return None
        if sock.dead:
            state = "CLOSED"
        elif sock.sent_fin:
            state = "FIN-WAIT-2"
        else:
            state = "CLOSE-WAIT" if sock.got_fin else "ESTABLISHED"
        zeros = (0,) * 9
        return TcpState(state, *zeros, 0, 0, 0, sock.sent, sock.received + len(sock.inbox), 0, 0, 0)

    def unread_bytes(self, fd: int) -> int | None:
        """FIONREAD."""
        sock = self._kernel.open.get(fd)
        return len(sock.inbox) if isinstance(sock, SimulatedStream) else None

    def unsent_bytes(self, fd: int) -> int | None:
        """TIOCOUTQ: what lies before the client, which has not read it."""
        sock = self._kernel.open.get(fd)
        return len(sock.peer.inbox) if isinstance(sock, SimulatedStream) else None
