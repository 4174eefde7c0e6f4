"""Options → kernel, recording, program: where the parts of the programs that block meet."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from evloop import binding, signals
from evloop import kernel as calls
from evloop.address import Address, Inet
from evloop.clients import conversation as client
from evloop.control import blocked
from evloop.control.blocked import ControlThread, GatedKernel
from evloop.control.gates import BLOCKING, Gates
from evloop.errors import EvloopError
from evloop.header import make_header
from evloop.kernel import Kernel, raise_descriptor_limit
from evloop.printable import encodable
from evloop.protocols import PROTOCOLS
from evloop.recording import Recording, Reporter, begin_captures
from evloop.servers import blocking, conversation, once, sequential, threaded
from evloop.servers.blocking import Line
from evloop.signals import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.clients.conversation import ClientOptions
    from evloop.kernel import Socket
    from evloop.recording import LogOptions

__all__ = ["BlockingOptions", "serve", "talk"]


class BlockingOptions(NamedTuple):
    """What a blocking server does, as the article's do; sizes are bytes."""

    model: str
    mode: str = "upper"
    backlog: int = 5
    recv_size: int = 1024


class Model(NamedTuple):
    """A blocking server."""

    serve: Callable[[Line], None]
    serve_datagrams: Callable[[Line], None]
    over: str = "stopped"
    """Why it ended, if no signal said so."""


MODELS = {
    "once": Model(once.serve, once.serve_datagrams, "the one exchange is over"),
    "conversation": Model(conversation.serve, conversation.serve_datagrams, "the one client has hung up"),
    "sequential": Model(sequential.serve, sequential.serve_datagrams),
    "threaded": Model(threaded.serve, sequential.serve_datagrams),
}

# They make calls on a program's behalf: a log shows the line of the server, or of the client, that wanted it.
BESIDE = (calls.__file__, binding.__file__, signals.__file__, blocking.__file__, blocked.__file__)


def serve(kind: str, address: Address, options: BlockingOptions, keep: LogOptions) -> None:
    """Serve one address, until all is done that the model does, or a signal says to stop.

    Raises:
        EvloopError: the address or a file cannot be opened; the message says why.
    """
    model, report, gates = MODELS[options.model], Reporter(), Gates(BLOCKING)
    kernel = GatedKernel(gates) if keep.control else Kernel(blocking=True)
    raise_descriptor_limit("")
    with ExitStack() as stack:
        stack.callback(report.tell)
        interrupts = kernel.interrupts(("SIGINT", "SIGTERM"))
        stack.callback(interrupts.close)
        if isinstance(address, Inet):
            address = _one(kernel.resolve(address, datagram=kind == "udp"))
        if keep.control:
            gates.over = lambda: interrupts.stopping
            stack.callback(ControlThread(keep.control, gates, report).close)
        recording = None
        if keep.is_traced:
            limits = {"backlog": options.backlog, "recv_size": options.recv_size}
            header = make_header(keep, limits, model=options.model, mode=options.mode)
            recording = Recording(keep, header, report, BESIDE)
            stack.callback(recording.close)
            interrupts.is_busy = recording.is_busy
            gates.changed = recording.control
        for gate in keep.hold:
            gates.set(gate, held=True)

        def opened(sock: Socket) -> None:
            bound = kernel.address_of(sock) or str(address)
            packets = begin_captures(keep, [(kind, bound)], report, stack) if keep.is_captured else None
            report.listening(kind, bound)
            if recording:
                recording.begin(packets)

        line = Line(
            kernel, address, options.backlog, options.recv_size, PROTOCOLS[options.mode], opened, report,
            interrupts.armed,
            interrupts.elsewhere,
        )  # fmt: skip
        reason = model.over
        try:
            (model.serve_datagrams if kind == "udp" else model.serve)(line)
        except Stopped as stopped:
            reason = str(stopped)
        if recording:
            recording.reason = reason


def _one(addresses: list[Inet]) -> Inet:
    """The one of a host's addresses to serve: one of IPv4, if there is any, which is what clients try."""
    return min(addresses, key=lambda address: ":" in address.host)


def talk(target: str, messages: tuple[str, ...], options: ClientOptions, keep: LogOptions) -> int:
    """Run the client and keep its log, also of a connect that fails; the exit code.

    Raises:
        EvloopError: the server cannot be reached, or does not answer, or the log cannot be written.
    """
    client.parse_target(target)  # what is wrong with it costs nobody a log
    report = Reporter()
    limits = {
        "delay": options.delay,
        "hold": options.hold,
        "timeout": options.timeout,
        "count": options.repeat,
    }
    with ExitStack() as stack:
        header = make_header(keep, limits, model="client")
        if not keep.payload_limit:  # what it says is on its command line, too
            said = {encodable(message) for message in messages}
            header.argv = ["…" if word in said else word for word in header.argv]
        recording = Recording(keep, header, report, BESIDE)
        stack.callback(recording.close)
        interrupts = Kernel().interrupts(["SIGINT"])
        stack.callback(interrupts.close)
        interrupts.is_busy = recording.is_busy
        recording.begin()
        recording.reason = "finished"
        try:
            with interrupts.armed():
                return client.run(target, messages, options)
        except EvloopError as error:
            recording.reason = str(error)
            raise
        except Stopped as stopped:
            recording.reason = str(stopped)
            raise KeyboardInterrupt from None
