"""The program's sockets by descriptor: their names, and how far their streams have come."""

from __future__ import annotations

import _socket
import select
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from evloop.address import format_sockaddr
from evloop.events.schema import Close, Inherit
from evloop.socket_state import tcp_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.recorder import DirectRecorder
    from evloop.socket_state import TcpState

__all__ = [
    "Known", "Sockets", "address_of", "local_address", "peer_address", "protocol", "tcp_state_of",
]  # fmt: skip

_real = _socket.socket
_PROTOCOLS = {
    (_socket.AF_INET, _socket.SOCK_STREAM): "tcp",
    (_socket.AF_INET6, _socket.SOCK_STREAM): "tcp",
    (_socket.AF_INET, _socket.SOCK_DGRAM): "udp",
    (_socket.AF_INET6, _socket.SOCK_DGRAM): "udp",
    (_socket.AF_UNIX, _socket.SOCK_STREAM): "unix",
    (_socket.AF_UNIX, _socket.SOCK_DGRAM): "unix-dgram",
}


class Known:
    """One socket, from its making to its close."""

    __slots__ = (
        "connecting", "fd", "is_connection", "is_stream", "listens", "low_water", "name", "peer", "proto",
        "readable", "received", "sent", "shared", "writable",
    )  # fmt: skip

    def __init__(self, name: str, fd: int, proto: str) -> None:
        self.name = name
        self.fd = fd
        self.proto = proto
        self.is_stream = proto in {"tcp", "unix", "other"}
        self.is_connection = False  # its events name it as `conn`, and no more as `sock`
        self.listens = False
        self.connecting = False
        self.low_water = False  # SO_RCVLOWAT is set, which MSG_DONTWAIT does not heed and poll(2) does
        self.shared = False  # another descriptor, or process, has it as well: a close ends nothing yet
        self.peer = ""
        self.received = self.sent = 0  # bytes
        self.readable = _asker(fd, select.POLLIN)
        self.writable = _asker(fd, select.POLLOUT)

    @property
    def conn(self) -> str | None:
        """The name, if it is a connection."""
        return self.name if self.is_connection else None

    @property
    def sock(self) -> str | None:
        """The name, if it is none."""
        return None if self.is_connection else self.name


_real_poll = select.poll


def _asker(fd: int, mask: int) -> Callable[[int], list[tuple[int, int]]]:
    """poll(2) for this one descriptor: asked with 0 it says whether a call would block."""
    poll = _real_poll()
    poll.register(fd, mask)

    def ask(timeout: int) -> list[tuple[int, int]]:
        try:
            return poll.poll(timeout)
        except RuntimeError:  # another thread is asking the same at this moment
            return _asker(fd, mask)(timeout)

    return ask


class Sockets(dict[int, Known]):
    """Descriptor → socket."""

    def __init__(self, recorder: DirectRecorder) -> None:
        super().__init__()
        self._recorder = recorder
        self._numbers: dict[str, count[int]] = {}

    def add(self, fd: int, proto: str) -> Known:
        """A new socket, with a name that was never used."""
        if fd in self:  # the number is free again: somebody has closed it past us
            self._lost(self[fd])
        number = next(self._numbers.setdefault(proto, count(1)))
        known = self[fd] = Known(f"{proto}-{number}", fd, proto)
        return known

    def adopt(self, sock: Any, of: Known | None = None) -> Known | None:
        """A socket that this process did not make: handed over, or a copy `of` one. None if it is closed."""
        fd = _real.fileno(sock)
        if fd < 0:
            return None
        known = self.add(fd, protocol(sock.family, sock.type))
        known.peer = peer_address(sock)
        known.listens = bool(_option(sock, _socket.SO_ACCEPTCONN))
        known.is_connection = known.is_stream and bool(known.peer)
        if of is not None:
            known.received, known.sent = of.received, of.sent
            known.shared = of.shared = True
        self.inherit(known, local_address(sock))
        return known

    def _lost(self, known: Known) -> None:
        recorder = self._recorder
        recorder.record(
            Close(
                0, recorder.clock(), recorder.tick, 0, known.fd, "close", known.conn, known.sock,
                received=known.received, sent=known.sent,
            )
        )  # fmt: skip

    def share(self) -> None:
        """Another process has them all from now on, too."""
        for known in tuple(self.values()):
            known.shared = True

    def inherit(self, known: Known, address: str) -> None:
        """Record that a socket is there without having been made here."""
        self._recorder.record(
            Inherit(
                0, self._recorder.clock(), self._recorder.tick, known.name, known.fd, known.proto, address,
                known.peer, known.listens, known.received, known.sent,
            )
        )  # fmt: skip


def protocol(family: int, kind: int) -> str:
    """What the log calls this kind of socket."""
    return _PROTOCOLS.get((family, kind), "other")


def address_of(fd: int) -> str:
    """Our address of the socket that a descriptor is, or nothing."""
    return _ask(fd, local_address) or ""


def tcp_state_of(fd: int) -> TcpState | None:
    """What the kernel says of the TCP connection that a descriptor is, or nothing."""
    return _ask(fd, tcp_info)


_Answer = TypeVar("_Answer")


def _ask(fd: int, question: Callable[[Any], _Answer]) -> _Answer | None:
    """What is known of the socket that a descriptor is; nothing if it is none."""
    try:
        sock = _real(fileno=fd)
    except OSError:
        return None
    try:
        return question(sock)
    finally:
        sock.detach()


def local_address(sock: Any) -> str:
    """Ours, or nothing."""
    try:
        return format_sockaddr(_real.getsockname(sock))
    except (OSError, TypeError, IndexError):  # a family with other addresses
        return ""


def peer_address(sock: Any) -> str:
    """The other side's, or nothing."""
    try:
        return format_sockaddr(_real.getpeername(sock))
    except (OSError, TypeError, IndexError):
        return ""


def _option(sock: Any, option: int) -> int:
    try:
        return _real.getsockopt(sock, _socket.SOL_SOCKET, option)
    except OSError:
        return 0
