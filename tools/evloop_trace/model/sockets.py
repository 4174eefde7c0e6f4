"""The sockets as values: what a listener, a datagram socket and a connection have been through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evloop.events.schema import AnyEvent, TcpInfo  # noqa: TC001  (msgspec reads the annotations)

if TYPE_CHECKING:
    from evloop.events.schema import Block, Recv

__all__ = ["DATAGRAMS", "NOT_NOW", "WOULD_BLOCK", "Connection", "Endpoint", "idle_listeners", "is_apart"]

DATAGRAMS = frozenset({"udp", "unix-dgram"})
"""Protocols whose sockets are no connections, even if they are connected."""

WOULD_BLOCK = frozenset({"EAGAIN", "EWOULDBLOCK"})
"""Errnos of a call that would have had to wait, and was not to."""

NOT_NOW = WOULD_BLOCK | {"EINTR", "timeout", "interrupted", "TypeError", "ValueError", "OverflowError"}
"""Errnos that say nothing of the socket: it is as it was before the call."""

_APART = ("MSG_PEEK", "MSG_OOB", "MSG_ERRQUEUE")


def is_apart(event: Recv) -> bool:
    """Whether the stream stands after the call where it stood before: the bytes stay, or are none of it."""
    return any(flag in event.flags for flag in _APART)


def idle_listeners(event: Block) -> list[str]:
    """Of the sockets that would wake a thread the ones that may listen; if they do, nobody waits there."""
    if event.awaits == "poll":
        return [name for name, mask in event.watched if "READ" in mask]
    return [event.sock] if event.awaits == "accept" and event.sock is not None else []


class Endpoint(msgspec.Struct):
    """A listener, a datagram socket, or a socket that is not yet anything."""

    name: str
    proto: str  # tcp, unix, udp, unix-dgram or other
    address: str
    backlog: int = 0
    queued: int | None = None  # finished handshakes that wait for accept(), if known
    accepted: int = 0  # connections, or datagrams received
    sent: int = 0  # datagrams
    acceptor: str | None = None  # the thread that last looked at its queue, and so knows how long it is
    sampled: bool = False  # there is other word of the queue, whenever it changes
    closed: bool = False
    made: bool = False  # no more than that: it may come to listen, or become a connection
    peer: str = ""  # of a connected datagram socket, or the other end's name of a socketpair
    errno: str = ""  # why it could not be bound, or listen

    @property
    def listens(self) -> bool:
        """It hands over connections; a datagram socket has none. Its backlog may well be 0."""
        return not self.made and self.proto not in DATAGRAMS

    @property
    def outgoing(self) -> bool:
        """It speaks first: a datagram socket that nobody bound has no address that anyone could know."""
        return self.proto in DATAGRAMS and not self.address


class Connection(msgspec.Struct):
    """A connection, from its accept or connect to a moment after its close."""

    name: str
    peer: str  # empty if the client has no name or we never heard it
    opened: int  # t
    sock: str = ""  # the listener it came through
    received: int = 0
    sent: int = 0
    buffered: int = 0  # bytes that the server holds for the peer; of a program nobody knows
    interest: str = "READ"
    eof: bool = False  # the peer will send no more
    shut: bool = False  # we will send no more
    deaf: bool = False  # we will read no more: recv() = 0 then says nothing of the peer
    closed: int | None = None  # t
    reason: str = ""  # why it was closed
    errno: str = ""  # the last that was an error rather than "not now"
    seen: int = 0  # t of the last event
    last: AnyEvent | None = None
    outgoing: bool = False  # we are the client
    connected: bool = True  # the handshake has been finished
    tcp: TcpInfo | None = None  # what TCP said of it last

    @property
    def state(self) -> str:
        """In words."""
        if self.closed is not None:
            why = self.errno or (self.reason if self.reason != "close" else "")
            return f"closed: {why}" if why else "closed"
        if not self.connected:
            return f"failed: {self.errno}" if self.errno else "connecting"
        if self.eof:
            return "closing" if self.shut else "half-closed (peer)"
        return "half-closed (us)" if self.shut else "open"
