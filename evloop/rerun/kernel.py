"""The kernel that answers from a log: each call gets the result that is recorded of it.

Of what a loop's server asks nothing touches a socket or a clock. A call that the log does not have next is
not answered: the rerun ends with a `Difference`.
"""

from __future__ import annotations

import errno
import os
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath, parse_inet
from evloop.errors import AddressError
from evloop.events.schema import (
    Accept,
    Bind,
    Close,
    Interest,
    Listen,
    Poll,
    Prepare,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Shutdown,
)
from evloop.kernel import Kernel
from evloop.rerun.recorded import OWN, RecordedPoller, RecordedSignals, RecordedSocket, RecordedState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop.events.schema import CloseReason
    from evloop.kernel import Recv as RecvCall
    from evloop.kernel import Recvfrom as RecvfromCall
    from evloop.kernel import Recvmsg as RecvmsgCall
    from evloop.kernel import Send as SendCall
    from evloop.kernel import Sendto as SendtoCall
    from evloop.kernel import Socket
    from evloop.rerun.tape import Tape, UnusableLog

__all__ = ["RecordedKernel"]

_WHOLE = "rerun needs a log that was written with --payload full"


class RecordedKernel(Kernel):
    """The system calls of a server, answered from a log."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape
        self._fds = dict(OWN)  # by name
        self._open: set[int] = set()
        self.now = self.woke = lambda: tape.time
        self.state = RecordedState(tape)
        self.pid = lambda: tape.header.pid
        self._retried = False

    # -- opening ---------------------------------------------------------------------

    def poller(self, name: str) -> RecordedPoller:  # type: ignore[override]  # noqa: ARG002
        """One for all: which was used, the log says, and what it reported."""
        return RecordedPoller(self._tape, self._fds)

    def signals(self, names: Iterable[str]) -> RecordedSignals:  # type: ignore[override]  # noqa: ARG002
        """Those that came."""
        return RecordedSignals(self._tape)

    def resolve(self, address: Inet, *, datagram: bool = False) -> list[Inet]:  # noqa: ARG002
        """The address itself: the log has numeric ones.

        Or several, if a port that was free in the first family was taken in the next: then the log has the
        sockets that were given up, and the next try.
        """
        opened = 0
        for event in self._tape.of_turn({Listen, Bind, Interest, Prepare}):
            match event:
                case Listen() | Bind():
                    opened += 1
                case Interest(new="", reason="stop"):
                    self._retried = True
                    return [address._replace(port=0)] * (opened + 1)
                case Prepare() | Poll():
                    break
        return [address]

    def listen(self, address: Address, backlog: int, *, mode: int | None = None) -> RecordedSocket:
        """The listener that was made then."""
        del mode
        event = self._tape.next
        if type(event) is not Listen:
            self._fail_again()
            self._tape.differs(f"listen({backlog}) on {address}")
        return self._opened(event.sock, event.fd, event.address, event)

    def bind(self, address: Inet) -> RecordedSocket:
        """The datagram socket that was made then."""
        event = self._tape.next
        if type(event) is not Bind:
            self._fail_again()
            self._tape.differs(f"bind() to {address}")
        return self._opened(event.sock, event.fd, event.address, event)

    def _fail_again(self) -> None:
        """A port was taken, which leaves no event but those of giving up the others."""
        if self._retried and isinstance(self._tape.next, Interest):
            raise AddressError("taken, as it was then")

    def _opened(
        self, name: str, fd: int | None, address: str | None, event: Listen | Bind | Accept
    ) -> RecordedSocket:
        if fd is None or fd < 0 or address is None or event.errno:
            raise self._tape.broken("opens a socket and does not say which")
        if fd in self._open:
            raise self._tape.broken(f"opens descriptor {fd}, which is open")
        self._tape.time += event.dur
        self._fds[name] = fd
        self._open.add(fd)
        return RecordedSocket(name, fd, address)

    def accept(self, listener: Socket) -> tuple[RecordedSocket, Sockaddr]:
        """The connection that came then, or what failed."""
        event, name = self._tape.next, _name(listener)
        if type(event) is not Accept or event.sock != name:
            self._tape.differs(f"accept() on {name}")
        if event.errno:
            self._tape.time += event.dur
            raise self._failure(event.errno)
        # The peer goes from here to the log and nowhere else, and stays text.
        return self._opened(event.conn or "", event.fd, event.local, event), event.peer

    # -- for every message -------------------------------------------------------------

    def stream_calls(self, sock: Socket) -> tuple[RecvCall, SendCall]:
        """recv(2) and send(2) of a connection."""
        tape, name = self._tape, _name(sock)

        def recv(size: int) -> bytes:
            event = tape.next
            if type(event) is not Recv or event.conn != name:
                tape.differs(f"recv({size}) on {name}")
            tape.time += event.dur
            if event.errno:
                raise self._failure(event.errno)
            return self._payload(event)

        def send(data: bytes | memoryview) -> int:
            event = tape.next
            if type(event) is not Send or event.conn != name:
                tape.differs(f"send({len(data)}) on {name}")
            return self._taken(event, len(data))

        return recv, send

    def datagram_calls(self, sock: Socket, size: int) -> tuple[RecvfromCall, SendtoCall]:
        """recvfrom(2) and sendto(2) of a datagram socket."""
        tape, name, receive = self._tape, _name(sock), self.recvmsg_call(sock)

        def recvfrom(size: int) -> tuple[bytes, InetSockaddr]:
            data, _, peer = receive(size)
            return data, peer

        def sendto(data: bytes, peer: InetSockaddr) -> int:
            event = tape.next
            if type(event) is not Sendto or event.sock != name:
                tape.differs(f"sendto() of {len(data)} bytes to {peer[0]} port {peer[1]} on {name}")
            return self._taken(event, len(data))

        del size
        return recvfrom, sendto

    def recvmsg_call(self, sock: Socket) -> RecvmsgCall:
        """recvmsg(2): the same, and whether the datagram was cut."""
        tape, name = self._tape, _name(sock)

        def receive(size: int) -> tuple[bytes, bool, InetSockaddr]:
            event = tape.next
            if type(event) is not Recvfrom or event.sock != name:
                tape.differs(f"recvfrom({size}) on {name}")
            tape.time += event.dur
            if event.errno:
                raise self._failure(event.errno)
            return self._payload(event), event.truncated, self._sender(event)

        return receive

    def _payload(self, event: Recv | Recvfrom) -> bytes:
        """What was received, if the log has all of it."""
        data, n = event.data, event.n
        if len(data) != n:
            if n is None:
                raise self._tape.broken("has neither a result nor an errno")
            raise self._tape.broken(f"has {len(data):,} of its {n:,} bytes: {_WHOLE}")
        return data

    def _taken(self, event: Send | Sendto, size: int) -> int:
        """How many bytes the kernel took."""
        self._tape.time += event.dur
        if event.errno:
            raise self._failure(event.errno)
        if event.n is None:
            raise self._tape.broken("has neither a result nor an errno")
        if event.n > size:
            self._tape.differs(f"{size:,} bytes are handed over, fewer than the kernel then took")
        return event.n

    def _sender(self, event: Recvfrom) -> InetSockaddr:
        try:
            return _sockaddr(event.peer or "")
        except AddressError:
            raise self._tape.broken("was sent by nobody who has an address and a port") from None

    def _failure(self, name: str) -> OSError | UnusableLog:
        """What the call raised then."""
        number = getattr(errno, name, None) if name in errno.errorcode.values() else None
        if number is None:
            return self._tape.broken(f"failed with {name[:40]!r}, which is no errno of this system")
        return OSError(number, os.strerror(number))

    # -- looking and ending ------------------------------------------------------------

    def address_of(self, sock: Socket) -> str:
        """What it was bound to."""
        return cast("RecordedSocket", sock).address

    def is_local(self, host: str) -> bool:  # noqa: ARG002
        """It is asked of a datagram's sender, and if he was one of us then, the datagram was refused."""
        return isinstance(self._tape.next, Refuse)

    def shutdown(self, sock: Socket) -> None:
        """As it went then."""
        event, name = self._tape.next, _name(sock)
        if type(event) is not Shutdown or event.conn != name:
            self._tape.differs(f"shutdown() of {name}")
        self._tape.time += event.dur
        if event.errno:
            raise self._failure(event.errno)

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """The name and the descriptor are nobody's any more."""
        del buffered, error
        event, name = self._tape.next, _name(sock)
        if type(event) is not Close or name not in {event.conn, event.sock}:
            self._tape.differs(f"close() of {name}, because of {reason}")
        self._tape.time += event.dur
        self._open.discard(self._fds.pop(name))

    def remove_path(self, address: UnixPath, inode: int) -> None:
        """Nothing lies there for us."""

    def inode_of(self, address: UnixPath) -> int:  # noqa: ARG002
        """No path is a file here."""
        return 0


@lru_cache(maxsize=4096)
def _sockaddr(text: str) -> InetSockaddr:
    """As recvfrom(2) gives it; who sends a datagram mostly sends more."""
    inet = parse_inet(text)
    return inet.host, inet.port


def _name(sock: Socket) -> str:
    return cast("RecordedSocket", sock).name
