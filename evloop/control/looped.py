"""The loop with gates, and the Unix socket on which it is told what to hold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from evloop.control import gates as names
from evloop.control.gates import LONGEST, Gates
from evloop.kernel import READ, WRITE, Kernel
from evloop.loop.interest import Interests
from evloop.loop.loop import Loop
from evloop.net.guests import GuestListener
from evloop.net.listener import Listener
from evloop.net.stream import Stream
from evloop.servers.loop import LoopServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.address import UnixPath
    from evloop.events.schema import CloseReason
    from evloop.kernel import Poller, Socket
    from evloop.loop.interest import Watched
    from evloop.loop.loop import Closing
    from evloop.servers.loop import ServerOptions
    from evloop.trace import Trace

__all__ = ["LET_CONTROLLERS_IN", "ControlPoint", "GatedLoop", "GatedServer", "with_gates"]

LET_CONTROLLERS_IN = "let controllers in again"  # of a timer: what the log says besides who woke the loop


class GatedInterests(Interests):
    """What is watched, less what is held back."""

    def __init__(self, poller: Poller, trace: Trace, gates: Gates) -> None:
        super().__init__(poller, trace)
        self._gates = gates
        # By descriptor: what is watched for nothing as long as it is held.
        self._asleep: dict[int, Watched] = {}

    def update(self, item: Watched) -> None:
        """Watch `item` for what it wants now and may have."""
        self._asleep.pop(item.fd, None)
        wanted, reason = item.wants()
        mask = self._allowed(item, wanted)
        if wanted and not mask:
            self._asleep[item.fd] = item
        self.watch(item, mask, reason if mask == wanted else "as the gates are")

    def drop(self, item: Watched, reason: str) -> None:
        """Watch `item` no more."""
        self._asleep.pop(item.fd, None)
        super().drop(item, reason)

    def changed(self) -> None:
        """A gate was held, or released."""
        for item in [*self.watched.values(), *self._asleep.values()]:
            try:
                self.update(item)
            except OSError as error:  # epoll_ctl(2), ENOSPC: it ends alone, and no gate keeps the others
                item.fail(error)

    def _allowed(self, item: Watched, mask: int) -> int:
        held = self._gates.held
        if isinstance(item, Listener):
            return 0 if names.ACCEPT in held else mask
        if isinstance(item, Stream):
            if names.READ in held:
                mask &= ~READ
            if names.WRITE in held:
                mask |= WRITE
        return mask


class GatedLoop(Loop):
    """A loop that can be held back."""

    def __init__(
        self,
        kernel: Kernel,
        selector: str,
        trace: Trace,
        report: Callable[[str], None],
        gates: Gates,
    ) -> None:
        super().__init__(kernel, selector, trace, report)
        self._gates = gates
        self._to_close: list[Closing] = []
        gated = with_gates(GatedInterests, self.interests_class)
        interests = self.interests = gated(self.poller, self.trace, gates)

        def changed(gate: str, held: bool) -> None:
            self.trace.control(gate, held=held)
            interests.changed()
            self.close_later(self._close_what_may)

        gates.changed = changed

    def close_socket_later(
        self, sock: Socket, reason: CloseReason, *, buffered: int = 0, error: int | None = None
    ) -> None:
        """close(2) can wait: a socket that is held open is watched no more, and the peer sees no FIN.

        So can only what the server closes. Watchers and controllers are none of what is to be seen.
        """
        self._to_close.append(partial(self.kernel.close, sock, reason, buffered, error))
        self.close_later(self._close_what_may)

    def _close_what_may(self) -> None:
        if names.CLOSE in self._gates.held:
            return
        to_close, self._to_close = self._to_close, []
        for close in to_close:
            self._attempt("close", close)

    def finish(self) -> None:
        """The end is not held back."""
        self._gates.open()
        super().finish()


class GatedServer(LoopServer):
    """A server that can be held back, but not from ending."""

    def __init__(
        self, loop: Loop, options: ServerOptions, report: Callable[[str], None], gates: Gates
    ) -> None:
        super().__init__(loop, options, report)
        self._gates = gates
        gates.over = lambda: self._stopping

    def stop(self, reason: str) -> None:
        """End well: who is to be answered and closed must be read and closed."""
        self._gates.open()
        super().stop(reason)


_Gated = TypeVar("_Gated", GatedInterests, GatedLoop, GatedServer)


def with_gates(gated: type[_Gated], part: type) -> type[_Gated]:
    """A class with gates, made of one that has none and differs from ours: interests, a loop or a server."""
    return gated if issubclass(gated, part) else type(gated.__name__, (gated, part), {})


class ControlPoint(GuestListener):
    """Listens on a path; who connects is a `_Controller`."""

    name, owner, may_come, again = "control", "control", "somebody may want to control", LET_CONTROLLERS_IN

    def __init__(self, loop: Loop, address: UnixPath, gates: Gates) -> None:
        """Only this user may connect."""
        self._gates = gates
        self._controllers: set[_Controller] = set()
        super().__init__(loop, Kernel(), address)

    def let_in(self, sock: Socket) -> None:
        """Who comes may say lines."""
        try:
            self._controllers.add(_Controller(self._loop, sock, self._gates, self._leave))
        except OSError:  # epoll_ctl(2), ENOSPC or ENOMEM: this one is not let in
            self.kernel.close(sock, "handler-error")

    def _leave(self, controller: _Controller) -> None:
        self._controllers.discard(controller)
        self._loop.interests.drop(controller, "it left")
        self._loop.close_later(lambda: self.kernel.close(controller.sock, "eof"))

    def fail(self, error: Exception) -> None:
        """And nothing is held back that nobody could release."""
        super().fail(error)
        self._gates.open()

    def close(self) -> None:
        """Nobody controls any more."""
        for controller in tuple(self._controllers):
            self._leave(controller)
        super().close()


class _Controller:
    """One who says lines."""

    regular = True

    def __init__(self, loop: Loop, sock: Socket, gates: Gates, leave: Callable[[_Controller], None]) -> None:
        self.sock, self._gates, self._leave = sock, gates, leave
        self._recv, self._send = Kernel().stream_calls(sock)
        self._line = b""
        self.fd = sock.fileno()
        self.watching = 0
        loop.trace.own(self.fd, "control")
        loop.interests.update(self)

    def wants(self) -> tuple[int, str]:
        """READ, for lines."""
        return READ, "control"

    def on_ready(self, _bits: int) -> None:
        """Obey whole lines; what is no line, or does not take its answer, is no controller."""
        try:
            data = self._recv(LONGEST)
            *lines, self._line = (self._line + data).split(b"\n")
            for line in lines:
                self._send(self._gates.obey(line))
        except BlockingIOError:
            data = self._line = b""
        except OSError:
            data = b""
        if not data or len(self._line) > LONGEST:
            self._leave(self)

    def fail(self, error: Exception) -> None:  # noqa: ARG002
        """Whatever went wrong, it is this one's trouble."""
        self._leave(self)
