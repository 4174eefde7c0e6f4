"""The loop's own decisions as events: what `evloop.trace.Trace` hears, written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.address import Sockaddr, format_sockaddr
from evloop.events.schema import (
    Control,
    Error,
    Event,
    Interest,
    Limit,
    Prepare,
    Queue,
    Refuse,
    Signal,
    Slow,
    Timer,
)
from evloop.raised import error_line
from evloop.trace import Trace
from evloop.tracing.kernel import INTEREST, TracedKernel, TracedSocket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop.kernel import Socket

__all__ = ["EventTrace"]

SLOW = 100_000_000  # ns of work in one tick, after which everybody has noticed


class EventTrace(Trace):
    """Writes every decision into the log, and hands the batch on at the end of the tick."""

    samples = True

    def __init__(self, kernel: TracedKernel) -> None:
        self._kernel = kernel
        self._recorder = kernel.recorder

    def _begin(self) -> tuple[int, int, int]:
        """What every event begins with: number, time, tick."""
        return self._recorder.next_seq(), self._kernel.clock(), self._recorder.tick

    def own(self, fd: int, name: str) -> None:
        """A poll that reports it says so by this name."""
        self._kernel.names[fd] = name

    def prepare(self, deadline: int | None, why: str) -> None:
        """Written when it differs from the last, so that a quiet loop is quiet in the log."""
        kernel = self._kernel
        until = None if deadline is None else deadline - self._recorder.origin
        if until == kernel.until and why == kernel.why:
            return
        kernel.until, kernel.why = until, why
        self._recorder.append(Prepare(*self._begin(), until, why))
        self._recorder.flush()  # whoever watches a loop asleep should see why it sleeps

    def tick_done(self) -> None:
        """Encode and hand on."""
        recorder, now = self._recorder, self._kernel.now()
        worked = now - self._kernel.woke_at
        if worked > SLOW and recorder.batch:
            t = now - recorder.origin
            whose = _longest_turn(recorder.batch, t)
            recorder.append(Slow(recorder.next_seq(), t, recorder.tick, worked, whose))
            self._kernel.slow += 1
        self._recorder.flush()

    def interest(self, sock: Socket, old: int, new: int, reason: str) -> None:
        """Of connections, listeners and datagram sockets; the loop's own pipes are not the lesson."""
        if isinstance(sock, TracedSocket):
            sock.watching = new
            conn, name = _names(sock)
            self._recorder.append(Interest(*self._begin(), conn, name, INTEREST[old], INTEREST[new], reason))

    def timer(self, why: str, late: int) -> None:
        """A deadline passed."""
        self._recorder.append(Timer(*self._begin(), why, late))

    def signal(self, name: str) -> None:
        """A signal arrived."""
        self._recorder.append(Signal(*self._begin(), name))

    def stopping(self, name: str) -> None:
        """It is why the log ends; the last one, if there are several."""
        self._recorder.reason = name

    def control(self, gate: str, *, held: bool) -> None:
        """Something is held back from now on, or goes on."""
        self._recorder.append(Control(*self._begin(), gate, held))

    def limit(self, what: str, *, active: bool, sock: Socket | None = None) -> None:
        """A limit was reached or left."""
        self._recorder.append(Limit(*self._begin(), what, active, *_names(sock)))

    def queue(self, sock: Socket) -> None:
        """Written when it changed."""
        assert isinstance(sock, TracedSocket)
        queue = self._kernel.state.accept_queue(sock.sock)
        if queue and queue[0] != sock.queued:
            sock.queued = queue[0]
            self._recorder.append(Queue(*self._begin(), sock.name, *queue))

    def tcp_info(self, sock: Socket) -> None:
        """A sample, whether or not something has changed: that nothing has is worth knowing, too."""
        assert isinstance(sock, TracedSocket)
        self._kernel.tcp_info(sock, "sample")

    def refuse(self, sock: Socket, peer: Sockaddr, reason: str) -> None:
        """A datagram is not answered."""
        assert isinstance(sock, TracedSocket)
        self._recorder.append(Refuse(*self._begin(), sock.name, format_sockaddr(peer), reason))

    def error(self, where: str, error: Exception, sock: Socket | None = None) -> None:
        """A handler raised."""
        self._recorder.append(Error(*self._begin(), where, self.told(error), *_names(sock)))

    def crashed(self, error: BaseException) -> None:
        """The loop ended of it: it is why the log ends, and the last event, which is handed on at once."""
        self._recorder.reason = f"crash: {self.told(error)}"
        if isinstance(error, Exception):
            self.error("loop", error)
        self._recorder.flush()

    def told(self, error: BaseException) -> str:
        """What the log says of an exception."""
        return error_line(error, payloads=self._kernel.payload_limit > 0)


def _names(sock: Socket | None) -> tuple[str | None, str | None]:
    """(conn, sock) as events have them: one of the two."""
    if not isinstance(sock, TracedSocket):
        return None, None
    return (sock.name, None) if sock.is_connection else (None, sock.name)


def _longest_turn(batch: Sequence[Event], end: int) -> str | None:
    """Whose event was followed by the longest time until the next: that is where the work was done."""
    longest, whose = 0, None
    for event, until in zip(batch, [*(later.t for later in batch[1:]), end], strict=True):
        owner = getattr(event, "conn", None) or getattr(event, "sock", None)
        if owner and until - event.t > longest:
            longest, whose = until - event.t, owner
    return whose
