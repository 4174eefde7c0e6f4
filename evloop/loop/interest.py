"""What the selector watches for. Nothing else registers, modifies or unregisters.

Each watched thing says in `wants()` what it needs, computed from its state;
`update` makes the selector agree. So interest cannot drift from need: no write
interest left on with nothing to send (a loop that spins), none missing with
bytes in the buffer (a connection that hangs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from evloop.kernel import Poller, Socket
    from evloop.trace import Trace

__all__ = ["Interests", "Watched"]


class Watched(Protocol):
    """What the loop can watch: a listener, a stream, a datagram socket, the signal pipe."""

    @property
    def sock(self) -> Socket:
        """The handle that its kernel gave."""

    fd: int
    watching: int  # the mask that the selector knows; 0 is not registered
    regular: bool  # it goes first in a crowd: it is no newcomer, nor lets any in

    def wants(self) -> tuple[int, str]:
        """The mask that the present state needs, and why."""

    def on_ready(self, bits: int) -> object:
        """The kernel said `bits` of this socket (poll(2)): do a bounded amount of work."""

    def fail(self, error: Exception) -> None:
        """`on_ready` raised: end this one, so that the others live on."""


class Interests:
    """The selector's registrations, and who stands behind each descriptor."""

    def __init__(self, poller: Poller, trace: Trace) -> None:
        self.watched: dict[int, Watched] = {}
        self.newcomers: set[int] = set()  # those of them who are no regulars
        self._poller = poller
        self._trace = trace

    def update(self, item: Watched) -> None:
        """Watch `item` for what it wants now."""
        mask, reason = item.wants()
        self.watch(item, mask, reason)

    def drop(self, item: Watched, reason: str) -> None:
        """Watch `item` no more; a readiness that was already reported in this tick will not reach it."""
        self.watch(item, 0, reason)

    def promote(self, item: Watched) -> None:
        """`item` is a regular from now on."""
        item.regular = True
        self.newcomers.discard(item.fd)

    def watch(self, item: Watched, mask: int, reason: str) -> None:
        """Make the selector know this mask of `item`, if it does not yet."""
        old = item.watching
        if mask == old:
            return
        if not old:
            self._poller.register(item.fd, mask)
            self.watched[item.fd] = item
            if not item.regular:
                self.newcomers.add(item.fd)
        elif mask:
            self._poller.modify(item.fd, mask)
        else:
            # Unregistered rather than watched for nothing: the kernel reports ERR and HUP
            # whatever the mask, and a Unix socket whose peer has left does so for ever.
            self._poller.unregister(item.fd)
            del self.watched[item.fd]
            self.newcomers.discard(item.fd)
        item.watching = mask
        self._trace.interest(item.sock, old, mask, reason)
