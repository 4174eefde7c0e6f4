"""Of which classes the loop's server is made, and how it is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.control.looped import GatedLoop, GatedServer, with_gates
from evloop.kernel import Kernel
from evloop.loop.loop import Loop
from evloop.servers.loop import LoopServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.control.gates import Gates
    from evloop.servers.loop import ServerOptions
    from evloop.trace import Trace

__all__ = ["Parts"]


class Parts(NamedTuple):
    """The classes of a server; those that are right, unless a bug says otherwise."""

    kernel: type[Kernel] = Kernel
    loop: type[Loop] = Loop
    server: type[LoopServer] = LoopServer

    def make_loop(
        self, kernel: Kernel, selector: str, trace: Trace, report: Callable[[str], None], gates: Gates | None
    ) -> Loop:
        """A loop; one with gates, if somebody is to control it."""
        if gates is None:
            return self.loop(kernel, selector, trace, report)
        return with_gates(GatedLoop, self.loop)(kernel, selector, trace, report, gates)

    def make_server(
        self, loop: Loop, options: ServerOptions, report: Callable[[str], None], gates: Gates | None
    ) -> LoopServer:
        """A server on a loop that was made with the same gates, or also without."""
        if gates is None:
            return self.server(loop, options, report)
        return with_gates(GatedServer, self.server)(loop, options, report, gates)
