"""Short of descriptors or memory: what a socket that is read from does about it.

The call fails, but what it was to take is still there, and so is the readiness that told of it. That is
level-triggered: it would come back at once and for ever. So the socket is not watched for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.kernel import is_broken_socket, is_resource_shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.kernel import Socket
    from evloop.loop.loop import Loop
    from evloop.loop.timers import Timer

__all__ = ["RETRY_AFTER", "Shortage"]

RETRY_AFTER = 0.1  # seconds: somebody may have closed something by then


class Shortage:
    """Of one socket: what there is too little of, and the timer that has it watched again.

    The socket's `wants()` asks `why`, and wants nothing as long as there is a reason.
    """

    def __init__(
        self, loop: Loop, call: str, watch: Callable[[], None], again: str, sock: Socket | None = None
    ) -> None:
        """`call` is what fails; `watch` has the selector updated; `again` is what the timer is for.

        The log says of `sock` when the shortage begins and ends; without one it says nothing.
        """
        self.of = ""  # what there is too little of, until a call has succeeded
        self._loop = loop
        self._call = call
        self._watch = watch
        self._again = again
        self._sock = sock
        self._retry: Timer | None = None

    @property
    def why(self) -> str:
        """Why the socket is not to be watched now; empty if it may be."""
        return f"{self._call} failed: {self.of}" if self._retry else ""

    def may_go_on(self, error: OSError) -> bool:
        """The call failed: whether it may be made again at once, for the next connection or datagram.

        accept(2) and recvfrom(2) fail of what there is too little of, of the socket, or of a single one
        that they were to take: a connection that failed on its way, an ICMP error that answers an earlier
        datagram. That says nothing of the next.

        Raises:
            OSError: this one, if the socket is broken.
        """
        if is_resource_shortage(error):
            self.met(error)
            return False
        if is_broken_socket(error):
            raise error
        return True

    def met(self, error: OSError) -> None:
        """The call failed for want of something: stop watching for a while."""
        if not self.of:
            self.of = error.strerror or str(error)
            self._tell(active=True)
        self._retry = self._loop.after(RETRY_AFTER, self._try_again, self._again)
        self._watch()

    def _try_again(self) -> None:
        self._retry = None
        self.watch_or_wait()

    def watch_or_wait(self) -> None:
        """Watch the socket for what it wants now; if that fails, too, then later."""
        try:
            self._watch()
        except OSError as error:
            # epoll_ctl(2): ENOMEM, or ENOSPC, when this user watches as much as he may. Nobody comes back to
            # a socket that is not watched but its own timer: without one a listener would listen for ever,
            # and accept nothing.
            self.met(error)

    def over(self) -> None:
        """The call had all that it needs: it succeeded, or there was nothing to take (EAGAIN)."""
        if self.of:
            self._tell(active=False)
            self.of = ""

    def _tell(self, *, active: bool) -> None:
        if self._sock is not None:
            self._loop.trace.limit(f"{self._call}: {self.of}", active=active, sock=self._sock)

    def cancel(self) -> None:
        """The socket ends, and is not to be watched again."""
        self._loop.timers.cancel(self._retry)
