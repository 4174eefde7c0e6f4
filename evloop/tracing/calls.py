"""The calls that run for every message, wrapped so that each leaves an event.

They are closures, bound once for a socket like the calls they wrap: what they
need lies in their cells and not behind attributes, which saves a tenth of a
microsecond a call. Each reads the clock before and after, and builds one struct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from evloop.address import InetSockaddr, format_sockaddr
from evloop.events.schema import Poll, Recv, Recvfrom, Send, Sendto
from evloop.kernel import ERR, HUP, IN, OUT
from evloop.socket_state import BitNames, errno_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.kernel import Recv as RecvCall
    from evloop.kernel import Recvfrom as RecvfromCall
    from evloop.kernel import Send as SendCall
    from evloop.kernel import Sendto as SendtoCall
    from evloop.tracing.kernel import TracedKernel, TracedSocket

__all__ = ["traced_poll", "traced_recv", "traced_recvfrom", "traced_send", "traced_sendto"]


_READY = BitNames({"IN": IN, "OUT": OUT, "ERR": ERR, "HUP": HUP})


def traced_recv(kernel: TracedKernel, sock: TracedSocket, recv: RecvCall) -> RecvCall:
    """recv(2) of a connection."""
    recorder, now, limit = kernel.recorder, kernel.now, kernel.payload_limit
    append, next_seq, origin = recorder.append, recorder.next_seq, recorder.origin
    name, fd = sock.name, sock.fd

    def traced(size: int) -> bytes:
        t = now()
        try:
            data = recv(size)
        except OSError as error:
            dur = now() - t
            append(
                Recv(
                    next_seq(), t - origin, recorder.tick, dur, name, fd, size, errno=errno_name(error.errno)
                )
            )
            raise
        dur = now() - t
        n = len(data)
        start = sock.received
        sock.received = end = start + n
        append(
            Recv(
                next_seq(),
                t - origin,
                recorder.tick,
                dur,
                name,
                fd,
                size,
                n,
                (start, end),
                data if n <= limit else data[:limit],
            )
        )
        return data

    return traced


def traced_send(kernel: TracedKernel, sock: TracedSocket, send: SendCall) -> SendCall:
    """send(2) of a connection."""
    recorder, now, limit = kernel.recorder, kernel.now, kernel.payload_limit
    append, next_seq, origin = recorder.append, recorder.next_seq, recorder.origin
    name, fd = sock.name, sock.fd

    def traced(data: bytes | memoryview) -> int:
        size = len(data)
        t = now()
        try:
            n = send(data)
        except OSError as error:
            dur = now() - t
            append(
                Send(
                    next_seq(), t - origin, recorder.tick, dur, name, fd, size, errno=errno_name(error.errno)
                )
            )
            if isinstance(error, BlockingIOError):
                kernel.tcp_info(sock, "send")
            raise
        dur = now() - t
        start = sock.sent
        sock.sent = end = start + n
        # A view is encoded like the bytes it shows, at the end of this tick.
        kept = cast("bytes", data if n == size <= limit else data[: min(n, limit)])
        append(Send(next_seq(), t - origin, recorder.tick, dur, name, fd, size, n, (start, end), kept))
        if n < size:  # no more room: for which one asks why
            kernel.tcp_info(sock, "send")
        return n

    return traced


def traced_recvfrom(
    kernel: TracedKernel, sock: TracedSocket, receive: Callable[[int], tuple[bytes, bool, InetSockaddr]]
) -> RecvfromCall:
    """recvfrom(2), or recvmsg(2), of a datagram socket; `receive` says whether the datagram was cut."""
    recorder, now, limit = kernel.recorder, kernel.now, kernel.payload_limit
    append, next_seq, origin = recorder.append, recorder.next_seq, recorder.origin
    name, fd = sock.name, sock.fd

    def traced(size: int) -> tuple[bytes, InetSockaddr]:
        t = now()
        try:
            data, cut, peer = receive(size)
        except OSError as error:
            dur = now() - t
            append(
                Recvfrom(next_seq(), t - origin, recorder.tick, dur, name, fd, errno=errno_name(error.errno))
            )
            raise
        dur = now() - t
        n = len(data)
        sock.accepted += 1
        sock.received += n
        shown = format_sockaddr(peer)
        append(
            Recvfrom(
                next_seq(),
                t - origin,
                recorder.tick,
                dur,
                name,
                fd,
                n,
                shown,
                cut,
                data if n <= limit else data[:limit],
            )
        )
        return data, peer

    return traced


def traced_sendto(kernel: TracedKernel, sock: TracedSocket, sendto: SendtoCall) -> SendtoCall:
    """sendto(2) of a datagram socket."""
    recorder, now, limit = kernel.recorder, kernel.now, kernel.payload_limit
    append, next_seq, origin = recorder.append, recorder.next_seq, recorder.origin
    name, fd = sock.name, sock.fd

    def traced(data: bytes, peer: InetSockaddr) -> int:
        shown = format_sockaddr(peer)
        t = now()
        try:
            n = sendto(data, peer)
        except OSError as error:
            dur = now() - t
            append(
                Sendto(
                    next_seq(), t - origin, recorder.tick, dur, name, fd, shown, errno=errno_name(error.errno)
                )
            )
            raise
        dur = now() - t
        sock.datagrams_sent += 1
        sock.sent += n
        append(
            Sendto(
                next_seq(),
                t - origin,
                recorder.tick,
                dur,
                name,
                fd,
                shown,
                n,
                data if n <= limit else data[:limit],
            )
        )
        return n

    return traced


def traced_poll(
    kernel: TracedKernel, poll: Callable[[float | None], Sequence[tuple[int, int]]]
) -> Callable[[float | None], Sequence[tuple[int, int]]]:
    """The selector's wait; its return begins the next tick."""
    recorder, now, names = kernel.recorder, kernel.now, kernel.names
    append, next_seq, origin, words = recorder.append, recorder.next_seq, recorder.origin, _READY

    def traced(timeout: float | None) -> Sequence[tuple[int, int]]:
        t = now()
        ready = poll(timeout)
        woke = now()
        dur = woke - t
        recorder.tick += 1
        kernel.woke_at = woke
        kernel.blocked += dur
        asked = None if timeout is None else round(timeout * 1e9)
        named = [(names[fd], words[bits]) for fd, bits in ready]
        append(Poll(next_seq(), t - origin, recorder.tick, dur, asked, kernel.why, named))
        return ready

    return traced
