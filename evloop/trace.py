"""What the loop says about its own decisions, besides the calls it makes.

`Trace` is the listener that nobody asked for: every method does nothing, so
that untraced code has no branch to take. `evloop.tracing.EventTrace` writes
each of them into the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop.address import Sockaddr
    from evloop.kernel import Socket

__all__ = ["Trace"]


class Trace:
    """Hears everything and says nothing."""

    samples = False  # whether it is worth waking up to look at a queue

    def own(self, fd: int, name: str) -> None:
        """A descriptor is the loop's own, and no client's: the signal pipe, a watcher."""

    def prepare(self, deadline: int | None, why: str) -> None:
        """The loop is about to sleep until `deadline` (monotonic ns; None is for ever)."""

    def tick_done(self) -> None:
        """A turn of the loop is over: the time to hand on what was recorded."""

    def interest(self, sock: Socket, old: int, new: int, reason: str) -> None:
        """The selector watches `sock` with another mask than before."""

    def timer(self, why: str, late: int) -> None:
        """A timer's callback is about to run, `late` ns after its deadline."""

    def signal(self, name: str) -> None:
        """A signal arrived."""

    def stopping(self, name: str) -> None:
        """That signal ends the server, or breaks its end off."""

    def control(self, gate: str, *, held: bool) -> None:
        """Somebody has held a gate, or released it: `evloop.control`."""

    def limit(self, what: str, *, active: bool, sock: Socket | None = None) -> None:
        """A limit was reached (`active`), or left again."""

    def queue(self, sock: Socket) -> None:
        """Look at a listener's accept queue: nobody has accepted from it for a while."""

    def tcp_info(self, sock: Socket) -> None:
        """Look at a connection: what its TCP says."""

    def refuse(self, sock: Socket, peer: Sockaddr, reason: str) -> None:
        """A datagram from `peer` will not be answered."""

    def error(self, where: str, error: Exception, sock: Socket | None = None) -> None:
        """A handler raised."""
