"""A `Kernel` on top of another: it has that one make every call, and each leaves an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath, format_sockaddr
from evloop.events.schema import (
    Accept,
    Bind,
    Close,
    CloseReason,
    ConnectionState,
    Inherit,
    Listen,
    ListenerState,
    Shutdown,
    Snapshot,
    TcpInfo,
)
from evloop.kernel import MAX_DATAGRAM, READ, WRITE, Kernel, Poller, Socket
from evloop.socket_state import errno_name
from evloop.tracing.calls import traced_poll, traced_recv, traced_recvfrom, traced_send, traced_sendto

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from evloop.events.recorder import Recorder
    from evloop.kernel import Recv, Recvfrom, Send, Sendto
    from evloop.signals import SignalPipe

__all__ = ["INTEREST", "TracedKernel", "TracedSocket"]

MOST_CONNECTIONS = 500  # in a snapshot: more than any screen shows
INTEREST = {0: "", READ: "READ", WRITE: "WRITE", READ | WRITE: "READ|WRITE"}


class TracedSocket:
    """A socket with a name that is never reused, as its descriptor is, and with its totals."""

    __slots__ = (
        "accepted", "address", "backlog", "datagrams_sent", "fd", "is_connection", "listener", "local",
        "name", "opened", "proto", "queued", "received", "sent", "sock", "watching",
    )  # fmt: skip

    def __init__(self, sock: Socket, name: str, proto: str, address: str) -> None:
        self.sock = sock
        self.name = name
        self.proto = proto
        self.address = address  # a connection's peer, or what the socket is bound to
        self.fd = sock.fileno()
        self.is_connection = False
        self.local = self.listener = ""
        self.backlog = self.opened = self.accepted = 0
        self.received = self.sent = self.datagrams_sent = 0
        self.queued: int | None = None
        self.watching = 0

    def fileno(self) -> int:
        """The descriptor's number."""
        return self.fd


class _Names(dict[int, str]):
    """Descriptor → name; those without are the loop's own: the signal pipe and the watchers."""

    def __missing__(self, fd: int) -> str:
        return "evloop"


class TracedKernel(Kernel):
    """The calls of a loop's server, recorded."""

    def __init__(self, kernel: Kernel, recorder: Recorder, payload_limit: int) -> None:
        """`kernel` makes the calls; `payload_limit`: bytes kept of each payload."""
        super().__init__()
        self.kernel = kernel
        self.now = kernel.now
        self.state = kernel.state
        self.recorder = recorder
        self.payload_limit = payload_limit
        self.why = ""  # the next sleep's reason; `EventTrace.prepare` sets it, and
        self.until: int | None = None  # its deadline, as a `t`
        self.woke_at = recorder.origin  # no clock is read for it: whatever depends on it, the log tells
        self.woke = lambda: self.woke_at
        self.blocked = 0  # ns asleep in poll so far
        self.slow = 0  # ticks so far that kept everybody waiting; `EventTrace.tick_done` counts them
        self.names = _Names()
        self.open: dict[str, TracedSocket] = {}
        self.accepted = 0  # connections
        self.received = self.sent = 0  # bytes of sockets that are closed
        self._numbers: dict[str, int] = {}

    def clock(self) -> int:
        """The present as a `t`."""
        return self.now() - self.recorder.origin

    def _adopt(self, sock: Socket, kind: str, proto: str, address: str) -> TracedSocket:
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        traced = TracedSocket(sock, f"{kind}-{number}", proto, address)
        self.names[traced.fd] = traced.name
        self.open[traced.name] = traced
        return traced

    # -- opening -----------------------------------------------------------------------

    def poller(self, name: str) -> Poller:
        """A selector whose polls are recorded."""
        poller = self.kernel.poller(name)
        poller.poll = traced_poll(self, poller.poll)
        return poller

    def listen(self, address: Address, backlog: int, *, mode: int | None = None) -> Socket:
        """One event for the calls that make a listener."""
        recorder, t = self.recorder, self.clock()
        sock = self.kernel.listen(address, backlog, mode=mode)
        dur = self.clock() - t
        proto = "unix" if isinstance(address, UnixPath) else "tcp"
        traced = self._adopt(sock, "listen", proto, self.kernel.address_of(sock))
        traced.backlog = backlog
        recorder.append(
            Listen(
                recorder.next_seq(),
                t,
                recorder.tick,
                dur,
                traced.name,
                traced.fd,
                proto,
                traced.address,
                backlog,
            )
        )
        return traced

    def bind(self, address: Inet) -> Socket:
        """One event for the calls that make a datagram socket."""
        recorder, t = self.recorder, self.clock()
        sock = self.kernel.bind(address)
        dur = self.clock() - t
        traced = self._adopt(sock, "udp", "udp", self.kernel.address_of(sock))
        recorder.append(
            Bind(recorder.next_seq(), t, recorder.tick, dur, traced.name, traced.fd, "udp", traced.address)
        )
        return traced

    def accept(self, listener: Socket) -> tuple[Socket, Sockaddr]:
        """Recorded with the connection's name; accept(2)."""
        assert isinstance(listener, TracedSocket)
        recorder, t = self.recorder, self.clock()
        try:
            sock, peer = self.kernel.accept(listener.sock)
        except OSError as error:
            dur = self.clock() - t
            name = errno_name(error.errno)
            recorder.append(Accept(recorder.next_seq(), t, recorder.tick, dur, listener.name, errno=name))
            raise
        dur = self.clock() - t
        traced = self._adopt(sock, listener.proto, listener.proto, format_sockaddr(peer))
        traced.is_connection, traced.opened, traced.listener = True, t, listener.name
        traced.local = self.kernel.address_of(sock)
        waited, pid = self.state.queue_wait(sock), self.state.peer_process(sock)
        listener.accepted += 1
        self.accepted += 1
        queue = self.state.accept_queue(listener.sock)
        listener.queued = queue[0] if queue else None
        recorder.append(
            Accept(
                recorder.next_seq(), t, recorder.tick, dur,
                listener.name, traced.name, traced.fd, traced.address, traced.local, listener.queued,
                waited=waited, pid=pid,
            )
        )  # fmt: skip
        return traced, peer

    # -- bound once, called for every message ------------------------------------------

    def stream_calls(self, sock: Socket) -> tuple[Recv, Send]:
        """recv(2) and send(2), recorded."""
        assert isinstance(sock, TracedSocket)
        recv, send = self.kernel.stream_calls(sock.sock)
        return traced_recv(self, sock, recv), traced_send(self, sock, send)

    def datagram_calls(self, sock: Socket, size: int) -> tuple[Recvfrom, Sendto]:
        """recvfrom(2) and sendto(2), recorded; recvmsg(2) where `size` could cut a datagram, for it tells."""
        assert isinstance(sock, TracedSocket)
        recvfrom, sendto = self.kernel.datagram_calls(sock.sock, size)

        def receive_whole(size: int) -> tuple[bytes, bool, InetSockaddr]:
            data, peer = recvfrom(size)
            return data, False, peer

        receive = receive_whole if size >= MAX_DATAGRAM else self.kernel.recvmsg_call(sock.sock)
        return traced_recvfrom(self, sock, receive), traced_sendto(self, sock, sendto)

    # -- as they are: no socket is asked, or it has no name yet ------------------------

    def signals(self, names: Iterable[str]) -> SignalPipe:
        """Its signals."""
        return self.kernel.signals(names)

    def resolve(self, address: Inet, *, datagram: bool = False) -> list[Inet]:
        """Its answer."""
        return self.kernel.resolve(address, datagram=datagram)

    def is_local(self, host: str) -> bool:
        """Its answer."""
        return self.kernel.is_local(host)

    def inode_of(self, address: UnixPath) -> int:
        """Its answer."""
        return self.kernel.inode_of(address)

    def remove_path(self, address: UnixPath, inode: int) -> None:
        """Its deed."""
        self.kernel.remove_path(address, inode)

    # -- looking and ending ------------------------------------------------------------

    def tcp_info(self, sock: TracedSocket, why: Literal["close", "send", "sample"]) -> None:
        """What TCP says of a connection now; of a Unix socket it says nothing."""
        info = self.state.tcp_info(sock.sock) if sock.proto == "tcp" else None
        if info is not None:
            recorder = self.recorder
            recorder.append(TcpInfo(recorder.next_seq(), self.clock(), recorder.tick, sock.name, why, *info))

    def address_of(self, sock: Socket) -> str:
        """The local address."""
        assert isinstance(sock, TracedSocket)
        return self.kernel.address_of(sock.sock)

    def shutdown(self, sock: Socket) -> None:
        """Recorded, also when the peer was faster; shutdown(2)."""
        assert isinstance(sock, TracedSocket)
        recorder, t, name = self.recorder, self.clock(), None
        try:
            self.kernel.shutdown(sock.sock)
        except OSError as error:
            name = errno_name(error.errno)
            raise
        finally:
            dur = self.clock() - t
            recorder.append(
                Shutdown(recorder.next_seq(), t, recorder.tick, dur, sock.name, sock.fd, "SHUT_WR", name)
            )

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """Recorded after a look at what is lost with it; close(2)."""
        assert isinstance(sock, TracedSocket)
        recorder, stream = self.recorder, sock.is_connection
        if stream:
            self.tcp_info(sock, "close")
        unread = self.state.unread_bytes(sock.fd) if stream else None
        unsent = self.state.unsent_bytes(sock.fd) if stream and sock.proto == "tcp" else None
        t = self.clock()
        self.kernel.close(sock.sock, reason, buffered, error)
        dur = self.clock() - t
        del self.names[sock.fd], self.open[sock.name]
        self.received += sock.received
        self.sent += sock.sent
        recorder.append(
            Close(
                recorder.next_seq(), t, recorder.tick, dur, sock.fd, reason,
                sock.name if stream else None, None if stream else sock.name,
                unread, unsent, buffered, sock.received, sock.sent,
                errno_name(error) if error else None,
            )
        )  # fmt: skip

    # -- the state, for those who come late ----------------------------------------------

    def standing(self) -> list[Inherit]:
        """What is open now, in full: for a log that begins here."""
        t, tick = self.clock(), self.recorder.tick
        return [_inherited(sock, t, tick) for sock in self.open.values()]

    def snapshot(self, lost: int) -> Snapshot:
        """What is open now; `lost` is how many events the watcher who gets it has missed."""
        connections = [sock for sock in self.open.values() if sock.is_connection]
        return Snapshot(
            -1,  # it is no event of the log, and has no number there
            self.clock(),
            self.recorder.tick,
            [_listener_state(sock) for sock in self.open.values() if not sock.is_connection],
            [_connection_state(sock) for sock in connections[-MOST_CONNECTIONS:]],
            len(connections),
            self.blocked,
            self.accepted,
            self.received + sum(sock.received for sock in self.open.values()),
            self.sent + sum(sock.sent for sock in self.open.values()),
            lost,
            self.until,
            self.why,
            self.slow,
        )


def _inherited(sock: TracedSocket, t: int, tick: int) -> Inherit:
    interest = INTEREST[sock.watching]
    if sock.is_connection:
        return Inherit(
            -1, t, tick, sock.name, sock.fd, sock.proto, sock.local, sock.address,
            received=sock.received, sent=sock.sent, sock=sock.listener, opened=sock.opened, interest=interest,
            buffered=_buffered(sock),
        )  # fmt: skip
    return Inherit(
        -1, t, tick, sock.name, sock.fd, sock.proto, sock.address,
        listens=sock.proto != "udp", sent=sock.datagrams_sent, interest=interest, backlog=sock.backlog,
        accepted=sock.accepted,
    )  # fmt: skip


def _buffered(sock: TracedSocket) -> int:
    # Both protocols answer a byte with a byte, so what is not sent yet waits here.
    return sock.received - sock.sent if sock.watching & WRITE else 0


def _listener_state(sock: TracedSocket) -> ListenerState:
    return ListenerState(
        sock.name,
        sock.fd,
        sock.proto,
        sock.address,
        sock.backlog,
        sock.accepted,
        sock.datagrams_sent,
        sock.queued,
    )


def _connection_state(sock: TracedSocket) -> ConnectionState:
    return ConnectionState(
        sock.name, sock.fd, sock.address, sock.local, sock.opened,
        sock.received, sock.sent, _buffered(sock), INTEREST[sock.watching], sock.listener,
    )  # fmt: skip
