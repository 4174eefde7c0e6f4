"""UDP: errors that nobody takes, and answers that are answered."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from evloop.bugs.bug import Bug
from evloop.kernel import Kernel
from evloop.net.datagram import Datagrams
from evloop.parts import Parts
from evloop.servers.loop import LoopServer

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from evloop.address import Inet, InetSockaddr
    from evloop.kernel import Socket

__all__ = ["BUGS"]

IP_RECVERR, IPV6_RECVERR = 11, 25  # linux/in.h, linux/in6.h: Python has no names for them


class _HearsOfErrors(Kernel):
    def bind(self, address: Inet) -> Socket:
        """As in `Kernel`, and whoever could not be reached is reported: IP_RECVERR, ip(7).

        The report lies in the error queue until recvmsg(2) takes it out with MSG_ERRQUEUE. Nobody does:
        recvfrom(2) tells of it once, and ERR stays.
        """
        sock = super().bind(address)
        assert isinstance(sock, socket.socket)
        with contextlib.suppress(OSError):  # where there is no such option, there is no such bug
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        return sock


class _AnswersAnybody(Datagrams):
    @staticmethod
    def why_unanswered(
        _sender: InetSockaddr, _own_ports: Container[int], _is_local: Callable[[str], bool]
    ) -> str | None:
        """Whoever is said to have sent it, gets an answer."""
        return None


class _AnswersAnybodyServer(LoopServer):
    datagrams_class = _AnswersAnybody


BUGS = (
    Bug(
        name="errqueue-undrained",
        wrong="The server has asked to be told whose port is closed (IP_RECVERR), and never empties the "
        "queue into which the kernel puts that. As long as anything lies there, poll returns ERR "
        "at once.",
        project="libuv: a UDP socket bound with UV_UDP_LINUX_RECVERR kept the loop busy after one "
        "datagram to a closed port",
        thread="https://github.com/libuv/libuv/issues/4447",
        cure="At ERR call recvmsg with MSG_ERRQUEUE until EAGAIN; or do not ask to be told.",
        lint="spin-errors",
        parts=Parts(kernel=_HearsOfErrors),
        provoke=(
            "# asks, and is gone when the answer comes",
            "kill -STOP $SERVER; echo hello > /dev/udp/127.0.0.1/8080; kill -CONT $SERVER",
            "sleep 0.3",
        ),
        seen="recvfrom says ECONNREFUSED once. From then on every poll returns ERR, and recvfrom finds "
        "nothing: EAGAIN.",
    ),
    Bug(
        name="udp-self-reply",
        wrong="Every datagram is answered, whoever is said to have sent it. One with the server's own "
        "address as its forged sender is answered to the server itself, which answers that, for "
        "ever. Likewise ports below 1024, where services live that answer everything.",
        project="aioquic: a server answered Version Negotiation with Version Negotiation, so that two of "
        "them, or one and a forged sender, could go on for ever",
        thread="https://github.com/aiortc/aioquic/issues/635",
        cure="Do not answer your own address, nor ports below 1024; and never answer an answer.",
        lint="reflection",
        parts=Parts(server=_AnswersAnybodyServer),
        provoke=(
            "# one forged datagram: for root, or in `evloop lab`, where you are root",
            "nping --udp -c1 -S 127.0.0.1 -g 8080 -p 8080 --data-string hello 127.0.0.1",
        ),
        needs=("nping",),
        seen="The sender of every datagram is the address that it was sent to. Nobody else is there, "
        "and the server is busy.",
    ),
)
