"""Guests: who connects to look at a server, or to hold it back, and is no client of it.

They are none of what is to be seen. Their calls are those of a plain kernel and leave no event; the log says
only that they woke the loop.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from evloop.kernel import READ
from evloop.net.shortage import Shortage

if TYPE_CHECKING:
    from evloop.address import UnixPath
    from evloop.kernel import Kernel, Socket
    from evloop.loop.loop import Loop

__all__ = ["GuestListener"]

BACKLOG = 16


class GuestListener:
    """The Unix socket on which one kind of guest connects."""

    regular = True

    # Of its kind: what failed, whose its descriptor is, why it is watched, and again after a shortage.
    name: str
    owner: str
    may_come: str
    again: str

    def __init__(self, loop: Loop, kernel: Kernel, address: UnixPath, mode: int = 0o600) -> None:
        """Who may connect, `mode` says, in the bits of chmod(2).

        Raises:
            AddressError: the path cannot be listened on.
        """
        self._loop, self._address = loop, address
        self.kernel = kernel
        self.sock = kernel.listen(address, BACKLOG, mode=mode)
        self._inode = kernel.inode_of(address)
        self._closed = False
        self.fd = self.sock.fileno()
        self.watching = 0
        loop.trace.own(self.fd, self.owner)
        watch = partial(loop.interests.update, self)
        self._shortage = Shortage(loop, "accept", watch, self.again)  # no `limit`: it is none of the server's
        watch()

    def let_in(self, sock: Socket) -> None:
        """Take a guest in, or turn them away: a connected, non-blocking socket."""
        raise NotImplementedError

    def wants(self) -> tuple[int, str]:
        """READ: somebody may come."""
        why_not = self._shortage.why
        return (0, why_not) if why_not else (READ, self.may_come)

    def on_ready(self, _bits: int) -> None:
        """Let one in; the selector reports the next."""
        try:
            sock, _ = self.kernel.accept(self.sock)
        except OSError as error:
            self._shortage.may_go_on(error)
            return
        self._shortage.over()
        self.let_in(sock)

    def fail(self, error: Exception) -> None:
        """It cannot go on; the server can. Who knocks is told so at once, and not left waiting."""
        self._loop.failed(self.name, error)
        self.close()

    def close(self) -> None:
        """Let nobody in any more; the path goes first, since that of a closed socket is anybody's."""
        if self._closed:
            return
        self._closed = True
        self._shortage.cancel()
        self._loop.interests.drop(self, "the loop ends")
        self.kernel.remove_path(self._address, self._inode)
        self.kernel.close(self.sock, "stop")
