"""What the operating system knows of a socket: its queues, and, in man pages' words, what a call on it gave.

Linux tells most.

Read only: nothing here changes a socket.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import sys
import termios
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BitNames", "TcpState", "accept_queue", "errno_name", "peer_process", "queue_wait", "tcp_info",
    "unread_bytes", "unsent_bytes",
]  # fmt: skip

# struct tcp_info of linux/tcp.h as far as it is read, which is what Linux 6.2 and later give. New members
# come at the end: an older kernel gives fewer bytes.
_TCP_INFO = struct.Struct("=B2xB 12xI 4xI 4xII 4xI 4xI 12xII 4xI 16xI 16xQQ 8xI 28xQ 44xII")
_TCP_INFO_LEAST = 104  # up to tcpi_total_retrans, which Linux 2.6 had
_SND_WND_END, _RCV_WND_END = 232, 236
# enum tcp_state of linux/tcp_states.h, in the words of RFC 9293.
_TCP_STATES = (
    "", "ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED",
    "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECEIVED",
)  # fmt: skip
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


class TcpState(NamedTuple):
    """What the kernel says of a connection: the fields of `evloop.events.schema.TcpInfo`, as it has them."""

    state: str
    rtt: int
    rttvar: int
    snd_mss: int
    snd_cwnd: int
    snd_wnd: int | None
    rcv_wnd: int | None
    unacked: int
    lost: int
    retrans: int
    total_retrans: int
    probes: int
    notsent_bytes: int
    bytes_acked: int
    bytes_received: int
    last_data_sent: int
    last_data_recv: int
    rwnd_limited: int


def tcp_info(sock: object) -> TcpState | None:
    """What the kernel says of a TCP connection, or None if it does not: TCP_INFO, tcp(7), linux/tcp.h.

    Times are made nanoseconds: the kernel has the round trip and `rwnd_limited` in microseconds, and the
    others in milliseconds.
    """
    assert isinstance(sock, socket.SocketType)  # which socket.socket is made of
    if sys.platform != "linux":  # elsewhere the structure is another
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # it is closed, or no TCP
        return None
    return _tcp_state(info)


def _tcp_state(info: bytes) -> TcpState | None:
    size = len(info)
    if size < _TCP_INFO_LEAST:
        return None
    (
        state, probes, mss, unacked, lost, retrans, last_sent, last_recv, rtt, rttvar, cwnd, total_retrans,
        acked, received, notsent, rwnd_limited, snd_wnd, rcv_wnd,
    ) = _TCP_INFO.unpack(info.ljust(_TCP_INFO.size, b"\0"))  # fmt: skip
    if not rtt:  # there was no handshake yet: the kernel counts from when it booted
        last_sent = last_recv = 0
    return TcpState(
        _TCP_STATES[state] if state < len(_TCP_STATES) else f"state {state}",
        rtt * 1000, rttvar * 1000, mss, cwnd,
        snd_wnd if size >= _SND_WND_END else None, rcv_wnd if size >= _RCV_WND_END else None,
        unacked, lost, retrans, total_retrans, probes, notsent, acked, received,
        last_sent * 1_000_000, last_recv * 1_000_000, rwnd_limited * 1000,
    )  # fmt: skip


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


class BitNames(dict[int, str]):
    """A mask → "IN|HUP", put together once for each combination that occurs."""

    def __init__(self, names: Mapping[str, int]) -> None:
        """`names` has each bit's, in the order in which they are written."""
        super().__init__()
        self._names = names

    def __missing__(self, mask: int) -> str:
        named = self[mask] = "|".join(name for name, bit in self._names.items() if bit and mask & bit == bit)
        return named


def errno_name(number: int | None) -> str:
    """An errno as man pages write it, such as ECONNRESET."""
    return errno.errorcode.get(number or 0, f"E{number}")
