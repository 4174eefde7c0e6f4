"""Which datagram is which: UDP numbers nothing, so it is told by its addresses, its length and its bytes.

Of several that are the same in all that, the first that was sent is taken for the first that came. That is
an inference: a network may drop datagrams, and may turn two of them round.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.correlate.pairs import plain

if TYPE_CHECKING:
    from evloop_trace.correlate.ends import Joined, Origin

__all__ = ["Datagram", "Datagrams", "port", "same"]

WAITING = 1024
"""Datagrams that may wait at a port, and ports at which some may wait."""

_ANYWHERE = ("0.0.0.0", "[::]", "")  # noqa: S104 - what a socket that is bound to no host says


class Datagram(NamedTuple):
    """A datagram as one end tells of it."""

    source: str  # empty if that end does not know: recv() of a socket that is not connected tells no sender
    to: str
    n: int
    data: bytes  # its beginning, if the log has it
    cut: bool = False  # its receiver got only the first n bytes


class _Flying(NamedTuple):
    datagram: Datagram
    sock: str
    origin: Origin


class _Landed(NamedTuple):
    datagram: Datagram
    joined: Joined


class Datagrams:
    """What was sent and has not come yet, and what came before its sendto() returned."""

    def __init__(self) -> None:
        self._flying: dict[str, deque[_Flying]] = {}  # by the port they are sent to
        self._landed: dict[str, deque[_Landed]] = {}
        self._addresses: dict[str, str] = {}  # of sockets, by their labelled names

    def at(self, sock: str, address: str) -> None:
        """A socket has this address."""
        self._addresses[sock] = plain(address)

    def closed(self, sock: str) -> None:
        """A socket is there no more."""
        self._addresses.pop(sock, None)

    def sent(self, sock: str, to: str, n: int, data: bytes, origin: Origin) -> Joined | None:
        """A datagram was sent: what it came as, if it did so already."""
        datagram = Datagram(self._addresses.get(sock, ""), plain(to), n, data)
        landed: deque[_Landed] = self._landed.get(port(datagram.to), deque())
        for it in landed:
            if same(datagram, it.datagram) and origin.t <= it.joined.due:
                landed.remove(it)
                self._meet(sock, it.datagram, it.joined, origin)
                return it.joined
        _wait(self._flying, port(datagram.to), _Flying(datagram, sock, origin))
        return None

    def came(self, sock: str, source: str, n: int, data: bytes, joined: Joined, *, cut: bool) -> bool:
        """A datagram was received: whether it is joined with what was sent, or may be later."""
        here = self._addresses.get(sock)
        if here is None:
            return False
        datagram = Datagram(plain(source), here, n, data, cut)
        flying: deque[_Flying] = self._flying.get(port(here), deque())
        for it in flying:
            if same(it.datagram, datagram):
                if not joined.peeked:
                    flying.remove(it)
                self._meet(it.sock, datagram, joined, it.origin)
                return True
        if not joined.peeked:
            _wait(self._landed, port(here), _Landed(datagram, joined))
        return not joined.peeked

    def _meet(self, sock: str, datagram: Datagram, joined: Joined, origin: Origin) -> None:
        """Who received it may know where it came from, even where its sender does not know that of itself."""
        if datagram.source:
            self._addresses.setdefault(sock, datagram.source)
        joined.exact = False
        joined.came(origin, joined.missing)


def _wait(waiting: dict[str, deque], at: str, it: _Flying | _Landed) -> None:  # type: ignore[type-arg]
    if at not in waiting and len(waiting) >= WAITING:
        del waiting[next(iter(waiting))]
    waiting.setdefault(at, deque(maxlen=WAITING)).append(it)


def same(sent: Datagram, came: Datagram) -> bool:
    """Whether what was sent can be what came."""
    size = min(len(sent.data), len(came.data))
    return (
        (came.n <= sent.n if came.cut else came.n == sent.n)
        and sent.data[:size] == came.data[:size]
        and _fits(sent.to, came.to)
        and (not sent.source or not came.source or _fits(sent.source, came.source))
    )


def _fits(one: str, other: str) -> bool:
    """The same address, as far as each is told: a socket may be bound to no host in particular."""
    if one == other:
        return True
    (host, number), (host2, number2) = _split(one), _split(other)
    return number == number2 and (host in _ANYWHERE or host2 in _ANYWHERE)


def _split(address: str) -> tuple[str, str]:
    host, _, number = address.rpartition(":")
    return host, number


def port(address: str) -> str:
    """The port of HOST:PORT."""
    return address.rpartition(":")[2]
