"""The sockets as values: what a listener, a datagram socket and a connection have been through."""

from __future__ import annotations

import msgspec

from evloop.events.schema import AnyEvent  # noqa: TC001  (msgspec reads the annotation)

__all__ = ["Connection", "Endpoint"]


class Endpoint(msgspec.Struct):
    """A listener or a datagram socket."""

    name: str
    fd: int
    proto: str  # tcp, unix or udp
    address: str
    backlog: int = 0
    queued: int | None = None  # finished handshakes that wait for accept(), if known
    accepted: int = 0  # connections, or datagrams received
    sent: int = 0  # datagrams
    closed: bool = False

    @property
    def listens(self) -> bool:
        """It hands over connections; a datagram socket has none. Its backlog may well be 0."""
        return self.proto != "udp"


class Connection(msgspec.Struct):
    """A connection, from its accept to a moment after its close."""

    name: str
    fd: int
    peer: str  # empty if the client has no name or we never heard it
    opened: int  # t
    sock: str = ""  # the listener it came through
    received: int = 0
    sent: int = 0
    buffered: int = 0  # bytes that the server holds for the peer
    interest: str = "READ"
    eof: bool = False  # the peer will send no more
    shut: bool = False  # we will send no more
    closed: int | None = None  # t
    reason: str = ""  # why it was closed
    errno: str = ""  # the last that was an error rather than "not now"
    seen: int = 0  # t of the last event
    last: AnyEvent | None = None

    @property
    def state(self) -> str:
        """In words."""
        if self.closed is not None:
            return f"closed: {self.errno or self.reason}"
        if self.eof:
            return "closing" if self.shut else "half-closed (peer)"
        return "half-closed (us)" if self.shut else "open"
