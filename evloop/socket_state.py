"""What the operating system knows of a socket: its queues, and why a call on it failed. Linux tells most.

Read only: nothing here changes a socket.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios

__all__ = ["accept_queue", "errno_name", "peer_process", "queue_wait", "unread_bytes", "unsent_bytes"]

_TCP_INFO_LAST_SENT = struct.Struct("=44xI")
_TCP_INFO_LISTEN = struct.Struct("=24xII")  # tcpi_unacked and tcpi_sacked, linux/tcp.h


def accept_queue(sock: object) -> tuple[int, int] | None:
    """(connections waiting for accept, the limit) of a TCP listener, or None if the system does not tell.

    On a listening socket Linux's TCP_INFO gives the queue in `tcpi_unacked` and the
    backlog in `tcpi_sacked`, as `ss -ltn` shows them.
    """
    assert isinstance(sock, socket.socket)
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        queued, limit = _TCP_INFO_LISTEN.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32))
    except (OSError, struct.error):
        return None
    return queued, limit


def unread_bytes(fd: int) -> int | None:
    """Bytes received that nobody has read: FIONREAD, tcp(7); None if it is closed."""
    return _ioctl_int(fd, termios.FIONREAD)


def unsent_bytes(fd: int) -> int | None:
    """Bytes that the TCP peer has not acknowledged, sent or not: SIOCOUTQ, tcp(7), which is TIOCOUTQ.

    Of a Unix socket the same call counts memory and not bytes.
    """
    return _ioctl_int(fd, termios.TIOCOUTQ)


def _ioctl_int(fd: int, request: int) -> int | None:
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, request, b"\0\0\0\0"))[0])
    except (OSError, ValueError):  # ValueError: it is closed
        return None


def queue_wait(sock: object) -> int | None:
    """Nanoseconds that a just accepted TCP connection had waited in the queue, or None if that is not told.

    The kernel notes when a connection last sent data, and begins with the end of the
    handshake: tcpi_last_data_sent, in milliseconds, linux/tcp.h. So it has to be asked
    before anything is sent.
    """
    assert isinstance(sock, socket.socket)
    if sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        (waited,) = _TCP_INFO_LAST_SENT.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 48))
    except (OSError, struct.error):
        return None
    return int(waited) * 1_000_000


def peer_process(sock: object) -> int | None:
    """The process at the other end of a Unix connection, when it connected: SO_PEERCRED, unix(7)."""
    assert isinstance(sock, socket.socket)
    if sock.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return None
    try:
        pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return int(pid) or None


def errno_name(number: int | None) -> str:
    """An errno as man pages write it, such as ECONNRESET."""
    return errno.errorcode.get(number or 0, f"E{number}")
