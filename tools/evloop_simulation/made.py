"""A server on a simulated kernel: how it is made, and of which parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop.address import Inet, UnixPath
from evloop.control.gates import WRITE, Gates
from evloop.events.recorder import Recorder
from evloop.events.schema import SCHEMA, Header
from evloop.events.sinks import MemorySink
from evloop.loop.crowd import Crowd
from evloop.loop.loop import Loop
from evloop.parts import Parts
from evloop.protocols import PROTOCOLS
from evloop.servers.loop import LoopServer
from evloop.testing import SimulatedKernel
from evloop.trace import Trace
from evloop.tracing import EventTrace, TracedKernel
from evloop_simulation.clients import WrongError, respond

if TYPE_CHECKING:
    from evloop.events.sinks import Sink
    from evloop.kernel import Kernel
    from evloop.net.stream import Stream
    from evloop.testing import SimulatedDatagrams, SimulatedListener
    from evloop_simulation.setup import Setup

__all__ = ["PORT", "Classes", "Made"]

PORT = 8080
PAYLOAD = 64


class Classes(NamedTuple):
    """Of which parts the server is made."""

    kernel: type[SimulatedKernel] = SimulatedKernel
    loop: type[Loop] = Loop
    server: type[LoopServer] = LoopServer

    @property
    def parts(self) -> Parts:
        """Those that do not know on which kernel they are."""
        return Parts(loop=self.loop, server=self.server)


class Made:
    """A server on a simulated kernel, and nobody has done anything yet."""

    def __init__(self, setup: Setup, classes: Classes) -> None:
        self.setup = setup
        self.kernel = kernel = classes.kernel((setup.room_in, setup.room_out), setup.datagram_room)
        self.said: list[str] = []
        self.sink = MemorySink()
        self.recorder: Recorder | None = None
        self.gates = Gates() if setup.gated else None
        self.loop = self._make_loop(classes)
        self.loop.crowd = Crowd(max(setup.crowd, 1))
        options = setup.options._replace(mode="simulated")
        self.slow = 0  # ns that the next handler takes
        PROTOCOLS["simulated"] = self._respond
        try:
            self.server = classes.parts.make_server(self.loop, options, self.said.append, self.gates)
            self.server.handle_signals()
            self.server.listen_tcp(Inet("127.0.0.1", PORT))
            self.server.listen_unix(UnixPath("@simulated"))
            self.server.bind_udp(Inet("127.0.0.1", PORT))
        finally:
            del PROTOCOLS["simulated"]
        self.listeners: tuple[SimulatedListener, ...] = tuple(kernel.listeners)
        self.mailbox: SimulatedDatagrams = kernel.mailboxes["127.0.0.1", PORT]
        self.own_ports = {PORT}
        self.poller = kernel.pollers[0]
        self.loop._running = True  # it is turned by hand
        if setup.sample and self.loop.trace.samples:
            self.server._sample_later(setup.sample)

    def _respond(self, data: bytes) -> bytes:
        self.kernel.time += self.slow
        self.slow = 0
        return respond(data)

    def _make_loop(self, classes: Classes) -> Loop:
        kernel: Kernel = self.kernel
        trace = Trace()
        if self.setup.traced:
            self.recorder = Recorder(_header(self.kernel.time), self._on_broken_sink)
            self.recorder.sinks.append(self.sink)
            self.recorder._next_clock = 1 << 62  # it would ask the real one
            traced = TracedKernel(kernel, self.recorder, PAYLOAD)
            kernel, trace = traced, EventTrace(traced)
        return classes.parts.make_loop(kernel, "epoll", trace, self.said.append, self.gates)

    @staticmethod
    def _on_broken_sink(_sink: Sink, error: Exception) -> None:
        raise WrongError(f"an event could not be kept: {error!r}")

    @property
    def is_running(self) -> bool:
        """Whether the loop would take another turn."""
        return self.loop._running

    @property
    def is_loud(self) -> bool:
        """Whether the loop must spin: everybody is watched for WRITE, needed or not."""
        return self.gates is not None and WRITE in self.gates.held

    @property
    def streams(self) -> dict[Stream, None]:
        """The connections that the server has."""
        return self.server._streams


def _header(origin: int) -> Header:
    return Header(
        0, 0, 0, SCHEMA, origin, 0, 0, pid=1, argv=[], versions={}, selector="epoll", mode="simulated",
        payload="prefix", payload_max=PAYLOAD, model="loop",
    )  # fmt: skip
