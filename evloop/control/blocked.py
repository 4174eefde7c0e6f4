"""A server that blocks, with gates: its kernel, and the thread that is told while the server sleeps."""

from __future__ import annotations

import _socket
import contextlib
import threading
from typing import TYPE_CHECKING

from evloop.control.gates import ACCEPT, CLOSE, LONGEST, READ, Gates
from evloop.kernel import Kernel, is_broken_socket, is_resource_shortage
from evloop.net.shortage import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.address import InetSockaddr, Sockaddr, UnixPath
    from evloop.events.schema import CloseReason
    from evloop.kernel import Recv, Recvfrom, Send, Sendto, Socket

__all__ = ["ControlThread", "GatedKernel"]


class GatedKernel(Kernel):
    """A kernel that makes some calls only when their gate is open.

    A call in which the server sleeps already is not called back: who wants nobody to be accepted says so
    before the server begins.
    """

    def __init__(self, gates: Gates) -> None:
        super().__init__(blocking=True)
        self._gates = gates

    def accept(self, listener: Socket) -> tuple[Socket, Sockaddr]:
        """accept(2), when it may."""
        self._gates.wait(ACCEPT)
        return super().accept(listener)

    def stream_calls(self, sock: Socket) -> tuple[Recv, Send]:
        """recv(2), when it may; and send(2)."""
        recv, send = super().stream_calls(sock)

        def gated(size: int) -> bytes:
            self._gates.wait(READ)
            return recv(size)

        return gated, send

    def datagram_calls(self, sock: Socket, size: int) -> tuple[Recvfrom, Sendto]:
        """recvfrom(2), when it may; and sendto(2)."""
        recvfrom, sendto = super().datagram_calls(sock, size)

        def gated(size: int) -> tuple[bytes, InetSockaddr]:
            self._gates.wait(READ)
            return recvfrom(size)

        return gated, sendto

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """close(2), when it may."""
        self._gates.wait(CLOSE)
        super().close(sock, reason, buffered, error)


class ControlThread:
    """Listens on a path, and obeys one after another.

    Its calls are those of `_socket`, below `socket`: an instrument in this process records the server, and
    not what controls it.
    """

    def __init__(self, address: UnixPath, gates: Gates, report: Callable[[str], None]) -> None:
        """Only this user may connect. To be made before an instrument is installed.

        Raises:
            AddressError: the path cannot be listened on.
        """
        self._address, self._gates, self._report = address, gates, report
        self._kernel = Kernel(blocking=True)
        listener = self._kernel.listen(address, 4, mode=0o600)
        self._inode = self._kernel.inode_of(address)
        self._phone = _socket.socket(fileno=_socket.dup(listener.fileno()))
        self._kernel.close(listener, "stop")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                fd, _ = self._phone._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - what accept() calls
            except OSError as error:
                self._go_on(error)
                continue
            caller = _socket.socket(fileno=fd)
            with contextlib.suppress(OSError):
                self._listen_to(caller)
            caller.close()

    def _go_on(self, error: OSError) -> None:
        """accept(2) failed: for this caller, for want of something, or for ever."""
        if is_resource_shortage(error):
            self._closing.wait(RETRY_AFTER)
        elif is_broken_socket(error) and not self._closing.is_set():
            self._report(f"control failed: {type(error).__name__}: {error}")
            self._gates.open()  # the server goes on, and nobody could release what is held back
            self._stop_listening()
            self._phone.close()

    def _listen_to(self, caller: _socket.socket) -> None:
        line = b""
        while len(line) <= LONGEST and (data := caller.recv(LONGEST)):
            *lines, line = (line + data).split(b"\n")
            for it in lines:
                caller.sendall(self._gates.obey(it))

    def _stop_listening(self) -> None:
        """The path goes first, since that of a closed socket is anybody's."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._kernel.remove_path(self._address, self._inode)
        with contextlib.suppress(OSError):  # it is broken
            self._phone.shutdown(_socket.SHUT_RDWR)  # its thread's accept(2) ends

    def close(self) -> None:
        """Nobody controls any more."""
        self._stop_listening()
        self._thread.join(1.0)
        self._phone.close()
