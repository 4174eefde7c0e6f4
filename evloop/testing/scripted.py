"""A kernel that answers from a script, and its clock.

    kernel = ScriptedKernel()
    sock = kernel.socket(recv=[b"abc"], send=[2, failure(errno.EAGAIN), 1])
    kernel.ready = [[(sock.fileno(), IN)], [(sock.fileno(), OUT)]]

An exception in a script is raised, anything else is returned, each once and in
order. `unused()` tells what was never asked for, so that a test of a fault can
see that the fault happened.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath
    from evloop.events.schema import CloseReason
    from evloop.kernel import Recv, Recvfrom, Send, Sendto, Socket

__all__ = [
    "Call",
    "ScriptEndError",
    "ScriptedKernel",
    "ScriptedPoller",
    "ScriptedSignals",
    "ScriptedSocket",
    "failure",
]

SECOND = 1_000_000_000


class ScriptEndError(Exception):
    """The loop went to sleep and the script has nobody who would wake it."""


class Call(NamedTuple):
    """One call that was made: its name, its socket's descriptor, its arguments."""

    name: str
    fd: int
    args: tuple[Any, ...] = ()


def failure(number: int) -> OSError:
    """What a call raises that fails with this errno."""
    return OSError(number, os.strerror(number))


class ScriptedSocket:
    """A socket whose every call is answered by the next entry of its script for that call."""

    def __init__(
        self, kernel: ScriptedKernel, fd: int, address: str, scripts: dict[str, Iterable[Any]]
    ) -> None:
        self._kernel = kernel
        self._fd = fd
        self._scripts = {call: deque(answers) for call, answers in scripts.items()}
        self.address = address
        self.closed = False

    def fileno(self) -> int:
        """The descriptor's number."""
        return self._fd

    def call(self, name: str, *args: Any) -> Any:
        """Note the call and answer it; with EAGAIN where the script has ended, as a quiet socket does."""
        self._kernel.calls.append(Call(name, self._fd, args))
        script = self._scripts.get(name)
        answer = script.popleft() if script else failure(errno.EAGAIN)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def unused(self) -> dict[str, list[Any]]:
        """The answers that nobody asked for."""
        return {call: list(script) for call, script in self._scripts.items() if script}


class ScriptedPoller:
    """A selector that reports what the kernel's `ready` list says next, or lets the time pass."""

    def __init__(self, kernel: ScriptedKernel) -> None:
        self._kernel = kernel
        self.registered: dict[int, int] = {}
        self.timeouts: list[float | None] = []
        self.closed = False

    def register(self, fd: int, mask: int) -> None:
        """As `Poller`; what is registered twice is an error, as it is for epoll."""
        if fd in self.registered:
            raise KeyError(f"descriptor {fd!r} is registered already")
        self.registered[fd] = mask

    def modify(self, fd: int, mask: int) -> None:
        """As `Poller`."""
        if fd not in self.registered:
            raise KeyError(f"descriptor {fd!r} is not registered")
        self.registered[fd] = mask

    def unregister(self, fd: int) -> None:
        """As `Poller`."""
        del self.registered[fd]

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        """The next entry of `ready`; without one the clock is turned on to the end of the time-out."""
        self.timeouts.append(timeout)
        if self._kernel.ready:
            return self._kernel.ready.pop(0)
        if timeout is None:
            raise ScriptEndError(
                "the loop would sleep for ever: nothing more is scripted and no timer is set"
            )
        self._kernel.advance(timeout)
        return []

    def close(self) -> None:
        """As `Poller`."""
        self.closed = True


class ScriptedSignals:
    """A signal pipe that a test writes into: `arrive`, and its descriptor in `ready`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._arrived: list[str] = []
        self.alive = True
        self.closed = False

    def fileno(self) -> int:
        """The descriptor's number."""
        return self._fd

    def arrive(self, name: str) -> None:
        """A signal comes."""
        self._arrived.append(name)

    def drain(self) -> tuple[list[str], bool]:
        """As `SignalPipe`."""
        arrived, self._arrived = self._arrived, []
        return arrived, self.alive

    def close(self) -> None:
        """As `SignalPipe`."""
        self.closed = True


class ScriptedKernel(Kernel):
    """A kernel without a system under it; `calls` has every call that was made."""

    def __init__(self) -> None:
        super().__init__()
        self.time = SECOND  # monotonic ns
        self.ready: list[list[tuple[int, int]]] = []
        self.calls: list[Call] = []
        self.sockets: dict[int, ScriptedSocket] = {}
        self.pipes: list[ScriptedSignals] = []
        self.pollers: list[ScriptedPoller] = []
        self.listeners: list[ScriptedSocket] = []  # that `listen` and `bind` hand out next
        self.local_hosts = {"127.0.0.1", "::1"}
        self.now = self.woke = lambda: self.time
        self._next_fd = 3

    # -- for the test --------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Turn the clock on."""
        self.time += round(seconds * SECOND)

    def socket(self, address: str = "127.0.0.1:8080", **scripts: Iterable[Any]) -> ScriptedSocket:
        """A socket with a script for each call: recv, send, accept, recvfrom, sendto, shutdown."""
        sock = ScriptedSocket(self, self._new_fd(), address, scripts)
        self.sockets[sock.fileno()] = sock
        return sock

    def unused(self) -> dict[int, dict[str, list[Any]]]:
        """By descriptor, the answers that nobody asked for."""
        return {fd: left for fd, sock in self.sockets.items() if (left := sock.unused())}

    def _new_fd(self) -> int:
        self._next_fd += 1
        return self._next_fd

    # -- for the loop --------------------------------------------------------------------

    def poller(self, name: str) -> ScriptedPoller:  # type: ignore[override]  # noqa: ARG002
        """As `Kernel`."""
        self.pollers.append(ScriptedPoller(self))
        return self.pollers[-1]

    def signals(self, names: Iterable[str]) -> ScriptedSignals:  # type: ignore[override]  # noqa: ARG002
        """As `Kernel`."""
        self.pipes.append(ScriptedSignals(self._new_fd()))
        return self.pipes[-1]

    def resolve(self, address: Inet, *, datagram: bool = False) -> list[Inet]:  # noqa: ARG002
        """Every host is its own address."""
        return [address]

    def listen(self, address: Address, backlog: int, *, mode: int | None = None) -> Socket:
        """The next of `listeners`, or a quiet one."""
        sock = self.listeners.pop(0) if self.listeners else self.socket(str(address))
        self.calls.append(Call("listen", sock.fileno(), (address, backlog, mode)))
        return sock

    def bind(self, address: Inet) -> Socket:
        """The next of `listeners`, or a quiet one."""
        sock = self.listeners.pop(0) if self.listeners else self.socket(str(address))
        self.calls.append(Call("bind", sock.fileno(), (address,)))
        return sock

    def accept(self, listener: Socket) -> tuple[Socket, Sockaddr]:
        """An entry of the `accept` script is a socket of this kernel."""
        sock = _scripted(listener).call("accept")
        return sock, sock.address

    def stream_calls(self, sock: Socket) -> tuple[Recv, Send]:
        """Scripts: `recv` gives bytes, `send` a number of bytes."""
        scripted = _scripted(sock)
        return (lambda size: scripted.call("recv", size)), (lambda data: scripted.call("send", bytes(data)))

    def datagram_calls(self, sock: Socket, size: int) -> tuple[Recvfrom, Sendto]:  # noqa: ARG002
        """Scripts: `recvfrom` gives (bytes, peer), `sendto` a number of bytes."""
        scripted = _scripted(sock)

        def sendto(data: bytes, peer: InetSockaddr) -> int:
            return int(scripted.call("sendto", data, peer))

        return (lambda size: scripted.call("recvfrom", size)), sendto

    def address_of(self, sock: Socket) -> str:
        """As the test said."""
        return _scripted(sock).address

    def is_local(self, host: str) -> bool:
        """Whether the test put it into `local_hosts`."""
        return host in self.local_hosts

    def shutdown(self, sock: Socket) -> None:
        """Succeeds, unless its script says otherwise."""
        self._succeed("shutdown", sock)

    def close(self, sock: Socket, reason: CloseReason, buffered: int = 0, error: int | None = None) -> None:
        """Succeeds, as `Kernel.close` always does; the call's arguments are (reason, buffered, error)."""
        _scripted(sock).closed = True
        self.calls.append(Call("close", sock.fileno(), (reason, buffered, error)))

    def _succeed(self, name: str, sock: Socket) -> None:
        scripted = _scripted(sock)
        if name in scripted.unused():
            scripted.call(name)
        else:
            self.calls.append(Call(name, sock.fileno()))

    def inode_of(self, address: UnixPath) -> int:  # noqa: ARG002
        """No path is a file here."""
        return 0

    def remove_path(self, address: UnixPath, inode: int) -> None:
        """Noted, no more."""
        self.calls.append(Call("unlink", -1, (address, inode)))


def _scripted(sock: Socket) -> ScriptedSocket:
    assert isinstance(sock, ScriptedSocket)
    return sock
