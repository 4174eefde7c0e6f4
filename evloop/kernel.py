"""What our servers and the client ask of the operating system: sockets, selectors, signals.

The loop, and all that it runs, asks a `Kernel` for what it needs; so do the servers that
block, for whom it leaves the sockets blocking. That makes
three things possible without a branch in the hot path: `TracedKernel` records
every call (`evloop.tracing`), `ScriptedKernel` answers from a script in tests
(`evloop.testing`), and a reader finds here whatever a server does to a socket. How a signal
gets to a program is in `evloop.signals`; what is only looked at, for the log, in `evloop.socket_state`.

`recv`, `send` and their kin run for every message, so a socket gets them once,
bound: untraced they are the socket's own methods, and the seam costs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from evloop import binding, socket_state
from evloop.address import (
    Address,
    Inet,
    InetSockaddr,
    Sockaddr,
    UnixPath,
    format_sockaddr,
    host_of,
)
from evloop.errors import AddressError
from evloop.files import Folder
from evloop.signals import Interrupts, SignalPipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evloop.events.schema import CloseReason

__all__ = [
    "ERR",
    "HUP",
    "IN",
    "OUT",
    "READ",
    "WRITE",
    "Kernel",
    "Poller",
    "Socket",
    "State",
    "is_broken_socket",
    "is_missing_address",
    "is_resource_shortage",
    "raise_descriptor_limit",
    "selector_names",
    "send_all",
]

# What we ask the selector to watch for…
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
# …and what the kernel answers, in the bits of poll(2), which are epoll's too. ERR and HUP
# come whether asked for or not: that is why a socket of no interest must be unregistered.
IN, OUT, ERR, HUP = 0x1, 0x4, 0x8, 0x10

# A UDP payload has at most 65,507 bytes on IPv4 and 65,527 on IPv6: a buffer of this size cuts none.
MAX_DATAGRAM = 65535
FD_SETSIZE = 1024  # descriptors that select(2) can name: those below

Recv: TypeAlias = "Callable[[int], bytes]"
Send: TypeAlias = "Callable[[bytes | memoryview], int]"
Recvfrom: TypeAlias = "Callable[[int], tuple[bytes, InetSockaddr]]"
Sendto: TypeAlias = "Callable[[bytes, InetSockaddr], int]"
Recvmsg: TypeAlias = "Callable[[int], tuple[bytes, bool, InetSockaddr]]"


class Socket(Protocol):
    """A handle that only the kernel which made it looks into."""

    def fileno(self) -> int:
        """The descriptor's number; it is reused as soon as it is closed."""


class State(Protocol):
    """What `evloop.socket_state` tells of the sockets of a kernel."""

    def accept_queue(self, sock: Any) -> tuple[int, int] | None:
        """As there."""

    def queue_wait(self, sock: Any) -> int | None:
        """As there."""

    def peer_process(self, sock: Any) -> int | None:
        """As there."""

    def tcp_info(self, sock: Any) -> socket_state.TcpState | None:
        """As there."""

    def unread_bytes(self, fd: int) -> int | None:
        """As there."""

    def unsent_bytes(self, fd: int) -> int | None:
        """As there."""


class Poller:
    """A selector, and `poll`, which asks it what is ready.

    Registration goes through `selectors`; it is rare. Polling is not: where the
    selector is epoll, `poll` is epoll_wait(2) on the same kernel object and gives
    (fd, bits) as they come, without a `SelectorKey` built for each.
    """

    def __init__(self, name: str) -> None:
        self._selector = _SELECTORS[name]()
        self._epoll = None
        self.poll: Callable[[float | None], Sequence[tuple[int, int]]] = self._select
        if name == "epoll":
            import select  # noqa: PLC0415 - has no epoll outside Linux

            # A duplicate of the descriptor is the same epoll instance, and ours to close.
            self._epoll = select.epoll.fromfd(os.dup(self._selector.fileno()))  # type: ignore[attr-defined]
            self.poll = self._epoll.poll

    def _select(self, timeout: float | None) -> list[tuple[int, int]]:
        """Poll or select, translated: `selectors` has folded ERR and HUP into what was asked for."""
        # READ is the same bit as IN; WRITE is 2, and OUT is 4.
        return [(key.fd, mask & READ | (mask & WRITE) << 1) for key, mask in self._selector.select(timeout)]

    def register(self, fd: int, mask: int) -> None:
        """Watch `fd` for `mask`, level-triggered: it is reported in every poll while it is ready.

        Edge-triggered, it would be reported once, and whoever did not read everything then
        would never hear of the rest.
        """
        self._selector.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """Watch `fd` for another mask; if that fails, it is not watched at all."""
        try:
            self._selector.modify(fd, mask)
        except OSError:
            # `selectors` has forgotten it then. epoll has not, and would go on to report the old mask.
            if self._epoll is not None:
                self._epoll.unregister(fd)
            raise

    def unregister(self, fd: int) -> None:
        """Watch `fd` no more: also if a failed `modify` has seen to that."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)

    def close(self) -> None:
        """Give the selector's own descriptor back."""
        if self._epoll is not None:
            self._epoll.close()
        self._selector.close()


_SELECTORS: dict[str, type[selectors.BaseSelector]] = {
    name.removesuffix("Selector").lower(): getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
}


def selector_names() -> list[str]:
    """The selectors of this system, the best first."""
    return list(_SELECTORS)


class Kernel:
    """The system calls of the server; every method says what it may raise besides OSError."""

    now = woke = staticmethod(time.monotonic_ns)
    """Monotonic ns: the present; and when the last poll returned, which is asked right after it did."""
    state: State = socket_state
    """What is only looked at, for the log."""
    pid = staticmethod(os.getpid)

    def __init__(self, *, blocking: bool = False) -> None:
        """The calls of a loop never sleep; those of a `blocking` program do, until there is an answer."""
        self._blocking = blocking

    # -- opening ---------------------------------------------------------------------

    def poller(self, name: str) -> Poller:
        """A new selector; `name` is one of `selector_names()`.

        Raises:
            KeyError: it is none of them.
        """
        return Poller(name)

    def signals(self, names: Iterable[str]) -> SignalPipe:
        """From now on these signals make the returned pipe readable, until it is closed.

        Raises:
            KeyError: there is no such signal.
        """
        return SignalPipe(signal.Signals[name] for name in names)

    def interrupts(self, names: Iterable[str]) -> Interrupts:
        """From now on these signals raise `Stopped`, where that is armed, until it is closed.

        Raises:
            KeyError: there is no such signal.
        """
        return Interrupts(signal.Signals[name] for name in names)

    def resolve(self, address: Inet, *, datagram: bool = False) -> list[Inet]:
        """The numeric addresses of a host: several for a name such as localhost.

        One that is link-local keeps its interface, as it was typed, or as a number.

        Raises:
            AddressError: the name is not known.
        """
        kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
        try:
            found = socket.getaddrinfo(address.host, address.port, type=kind, flags=socket.AI_PASSIVE)
        except (socket.gaierror, UnicodeError) as error:
            why = f"the host {address.host!r} of {address} cannot be found: {error}"
            if "%" in address.host:
                why = f"{address} needs a link-local address, and an interface that `ip link` lists"
            raise AddressError(why) from None
        scope = address.host.partition("%")[2]
        hosts = (binding.scoped(host_of(cast("InetSockaddr", info[4])), scope) for info in found)
        return [Inet(host, address.port) for host in dict.fromkeys(hosts)]

    def listen(self, address: Address, backlog: int, *, mode: int | None = None) -> Socket:
        """A listening stream socket on a numeric address or a path; `mode` is that of the path, chmod(2).

        Raises:
            AddressError: it is taken, not permitted, or not of this machine; or, with a mode, a symbolic link
                in a folder where others may write is on the way to the path.
        """
        with binding.explained(address, socket.SOCK_STREAM):
            sock = socket.socket(binding.family(address), socket.SOCK_STREAM)
            try:
                sock.setblocking(self._blocking)
                if isinstance(address, UnixPath):
                    if mode is not None:  # who wants others kept out wants to know where it lies
                        Folder(os.path.dirname(address.path)).close()
                    binding.listen_on_path(sock, address, backlog, mode)
                else:
                    # Lets us bind while connections of an earlier run are in TIME_WAIT, which
                    # would refuse us for a minute; it does not steal a living listener's port.
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    # Inherited by what is accepted: a reply must not wait for the ACK of the one before.
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    binding.bind(sock, address)
                    sock.listen(backlog)
            except BaseException:
                sock.close()
                raise
            return sock

    def bind(self, address: Inet) -> Socket:
        """A datagram socket, bound to a numeric address. No SO_REUSEADDR: on UDP it would share the port.

        Bound to 0.0.0.0 or [::], what it sends has the source address that the routes choose. Where a machine
        has several, that need not be the one that was asked, and a connected client does not hear it: ip(7)
        has IP_PKTINFO for that, which we do not use.

        Raises:
            AddressError: as `listen`.
        """
        with binding.explained(address, socket.SOCK_DGRAM):
            sock = socket.socket(binding.family(address), socket.SOCK_DGRAM)
            try:
                sock.setblocking(self._blocking)
                with contextlib.suppress(OSError):  # room for a burst; the system caps it at rmem_max
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                binding.bind(sock, address)
            except BaseException:
                sock.close()
                raise
            return sock

    def connect(self, address: Address, timeout: float | None, *, datagram: bool = False) -> Socket:
        """A blocking socket, connected to a numeric address or a path; calls time out after `timeout` s.

        Raises:
            TimeoutError: nobody has answered on TCP; on a Unix socket that is BlockingIOError.
        """
        sock = socket.socket(binding.family(address), socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
        try:
            if isinstance(address, Inet):
                sock.settimeout(timeout)
            elif timeout is not None:
                # Python's time-outs make the socket non-blocking, and then connect(2) does not wait at all if
                # the queue is full: EAGAIN, unix(7). With this it does, socket(7); 0 would mean for ever.
                seconds, rest = divmod(max(round(timeout * 1_000_000), 1), 1_000_000)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, rest))
            to = binding.sockaddr(address)
            sock.connect(to)  # type: ignore[arg-type]
            # Who is stopped meanwhile, as with Ctrl-Z, comes out of such a wait with EINTR, signal(7). Then
            # Python looks whether the socket is writable, and calls it connected: a Unix socket always is.
            while isinstance(address, UnixPath) and not _has_peer(sock):
                sock.connect(to)  # type: ignore[arg-type]
            sock.settimeout(timeout)
        except BaseException:
            sock.close()
            raise
        return sock

    def socket_pair(self) -> tuple[Socket, Socket]:
        """Two connected Unix sockets; the first is non-blocking, the second is for another process."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        return ours, theirs

    def accept(self, listener: Socket) -> tuple[Socket, Sockaddr]:
        """The next connection whose handshake the kernel has finished, blocking as we are, and its peer."""
        assert isinstance(listener, socket.socket)
        sock, peer = listener.accept()
        sock.setblocking(self._blocking)
        return sock, peer

    # -- bound once, called for every message ------------------------------------------

    def stream_calls(self, sock: Socket) -> tuple[Recv, Send]:
        """recv(2) and send(2) of a connection."""
        assert isinstance(sock, socket.socket)
        return sock.recv, sock.send

    def datagram_calls(self, sock: Socket, size: int) -> tuple[Recvfrom, Sendto]:  # noqa: ARG002
        """recvfrom(2) and sendto(2), for reads of `size` bytes."""
        assert isinstance(sock, socket.socket)
        return sock.recvfrom, cast("Sendto", sock.sendto)

    def recvmsg_call(self, sock: Socket) -> Recvmsg:
        """recvmsg(2) as (data, whether it was cut, peer): only its flags tell of a cut (MSG_TRUNC)."""
        assert isinstance(sock, socket.socket)
        recvmsg, truncated = sock.recvmsg, socket.MSG_TRUNC

        def receive(size: int) -> tuple[bytes, bool, InetSockaddr]:
            data, _, flags, peer = recvmsg(size)
            return data, bool(flags & truncated), peer

        return receive

    # -- looking and ending ------------------------------------------------------------

    def address_of(self, sock: Socket) -> str:
        """The local address, with the port that the system chose for port 0."""
        assert isinstance(sock, socket.socket)
        return format_sockaddr(sock.getsockname())

    def is_local(self, host: str) -> bool:
        """Whether a numeric address is one of this machine's: only such a one can be bound."""
        try:
            with socket.socket(binding.family(Inet(host, 0)), socket.SOCK_DGRAM) as probe:
                probe.bind(binding.sockaddr(Inet(host, 0)))  # type: ignore[arg-type]
        except OSError as error:
            # Whatever else fails, such as want of a descriptor, does not say that it is another's.
            return error.errno != errno.EADDRNOTAVAIL
        return True

    def shutdown(self, sock: Socket) -> None:
        """No more will be sent: the peer reads the end of the stream after the last byte."""
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_WR)

    def hear_no_more(self, sock: Socket) -> None:
        """Let recv(2) give what has arrived, and then the end: also to a thread that sleeps in it."""
        assert isinstance(sock, socket.socket)
        with contextlib.suppress(OSError):  # the other side is gone, or another thread has closed it
            sock.shutdown(socket.SHUT_RD)

    def break_off(self, sock: Socket) -> None:
        """Let every call on it end now, also one in which a thread sleeps."""
        assert isinstance(sock, socket.socket)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """Give the descriptor back; the reason and what is lost with it are for the log."""
        del reason, buffered, error
        assert isinstance(sock, socket.socket)
        # EINTR, EIO, or an old reset (FreeBSD, macOS): the descriptor is gone all the same, close(2).
        with contextlib.suppress(OSError):
            sock.close()

    def set_patience(self, sock: Socket, seconds: float) -> None:
        """From now on its calls wait, but no longer than this: TimeoutError."""
        assert isinstance(sock, socket.socket)
        sock.settimeout(seconds)

    def reset_on_close(self, sock: Socket) -> None:
        """Make close(2) send a reset instead of a FIN: SO_LINGER of 0 seconds, socket(7)."""
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def remove_path(self, address: UnixPath, inode: int) -> None:
        """Unlink the path of a Unix listener that is about to be closed, if the path is still its own."""
        with contextlib.suppress(OSError):
            if not address.path.startswith("@") and os.stat(address.path).st_ino == inode:
                os.unlink(address.path)

    def inode_of(self, address: UnixPath) -> int:
        """Which file a path is; 0 for an abstract name, which is no file."""
        return 0 if address.path.startswith("@") else os.stat(address.path).st_ino


def _has_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:  # ENOTCONN
        return False
    return True


def send_all(send: Send, data: bytes) -> None:
    """Send until the kernel has taken all of it; it may take less than it is offered: send(2)."""
    sent = send(data)
    while sent < len(data):
        sent += send(memoryview(data)[sent:])


def raise_descriptor_limit(selector: str) -> int:
    """Let this process open as many descriptors as it may; how many that is.

    With select(2) it is those that fit into its set: one more would make every later
    call fail, while accept(2), told of the limit, fails for that one connection.
    """
    import resource  # noqa: PLC0415 - only here

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FD_SETSIZE if selector == "select" and not 0 <= hard < FD_SETSIZE else hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def is_missing_address(error: AddressError) -> bool:
    """Whether this machine has no such address, or no such family at all; another may have."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def is_resource_shortage(error: OSError) -> bool:
    """Whether accept(2) or recvfrom(2) failed for want of descriptors or memory, as it will for a while."""
    return error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def is_broken_socket(error: OSError) -> bool:
    """Whether accept(2) or recvfrom(2) can never succeed again.

    Their other errors are about one connection, accept(2), or one datagram that was sent before, udp(7).
    EOPNOTSUPP, too: it is in accept(2)'s list of what the network may answer, and its other sense, a socket
    of the wrong type, cannot be one that listens.
    """
    return error.errno in {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EFAULT}
