"""Options → kernel, sinks, loop, server: the one place where the parts of the loop's server meet."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from evloop.control.gates import Gates
from evloop.control.looped import ControlPoint, GatedLoop, GatedServer
from evloop.events.recorder import Recorder
from evloop.events.sinks import FileSink, Sink, open_log
from evloop.header import make_header
from evloop.kernel import Kernel, raise_descriptor_limit, selector_names
from evloop.loop.loop import Loop
from evloop.net.watch import Watchers, WatchPoint
from evloop.recording import Reporter, begin_captures
from evloop.servers.loop import LoopServer, ServerOptions
from evloop.trace import Trace
from evloop.tracing import EventTrace, TracedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.address import Inet, UnixPath
    from evloop.events.schema import Header
    from evloop.recording import LogOptions

__all__ = ["Addresses", "serve"]


class Addresses(NamedTuple):
    """What to serve."""

    tcp: Sequence[Inet] = ()
    udp: Sequence[Inet] = ()
    unix: Sequence[UnixPath] = ()


def serve(
    addresses: Addresses,
    options: ServerOptions,
    keep: LogOptions,
    selector: str | None,
) -> None:
    """Serve until a signal says to stop.

    Raises:
        EvloopError: an address or a file cannot be opened; the message says why.
    """
    selector = selector or selector_names()[0]
    raise_descriptor_limit(selector)
    report, gates = Reporter(), Gates() if keep.control else None
    with ExitStack() as stack:
        stack.callback(report.tell)
        begin: Callable[[str | int | None], None] = lambda _packets: None  # noqa: E731
        make = _maker(selector, report, gates)
        if keep.is_traced:
            header = _header(selector, options, keep)
            loop, begin = _traced_loop(make, header, keep, stack, report)
        else:
            loop = make(Kernel(), Trace())
            stack.callback(loop.close)
        after_server = stack.enter_context(ExitStack())  # what is put on it ends when the server has
        if gates is None:
            server = LoopServer(loop, options, report)
        else:
            server = GatedServer(loop, options, report, gates)
        stack.callback(server.close)
        if gates is not None and keep.control:
            after_server.callback(ControlPoint(loop, keep.control, gates).close)
            for gate in keep.hold:
                gates.set(gate, held=True)
        server.handle_signals()
        opened = _open(server, addresses)
        packets = begin_captures(keep, opened, report, after_server, loop) if keep.is_captured else None
        for kind, bound in opened:
            report.listening(kind, bound)
        begin(packets)
        server.run()


def _open(server: LoopServer, addresses: Addresses) -> list[tuple[str, str]]:
    """Open every address; kind and address of each as it was bound."""
    opened = [("tcp", bound) for address in addresses.tcp for bound in server.listen_tcp(address)]
    opened += [("udp", bound) for address in addresses.udp for bound in server.bind_udp(address)]
    opened += [("unix", bound) for address in addresses.unix for bound in server.listen_unix(address)]
    return opened


def _maker(selector: str, report: Reporter, gates: Gates | None) -> Callable[[Kernel, Trace], Loop]:
    """Makes a loop; one with gates, if somebody is to control it."""

    def make(kernel: Kernel, trace: Trace) -> Loop:
        if gates is None:
            return Loop(kernel, selector, trace, report)
        return GatedLoop(kernel, selector, gates, trace, report)

    return make


def _header(selector: str, options: ServerOptions, keep: LogOptions) -> Header:
    limits = {name: value for name, value in options._asdict().items() if name != "mode"}
    return make_header(keep, limits, model="loop", mode=options.mode, selector=selector)


def _traced_loop(
    make: Callable[[Kernel, Trace], Loop],
    header: Header,
    keep: LogOptions,
    stack: ExitStack,
    report: Reporter,
) -> tuple[Loop, Callable[[str | int | None], None]]:
    """A loop on a traced kernel, and what attaches its sinks, to be called when the server has begun.

    The stack ends them after the server, which is put on it last: nobody new may watch; the log gets
    its last line, and with it the watchers' streams end; the picture, now complete, is waited for; and
    then the selector goes, when nobody is left who is watched.
    """

    def on_broken_sink(sink: Sink, error: Exception) -> None:
        report(f"{type(sink).__name__} failed ({error}): serving goes on without it")

    recorder = Recorder(header, on_broken_sink)
    log = FileSink(open_log(keep.log), keep.log, report) if keep.log else None
    kernel = TracedKernel(Kernel(), recorder, keep.payload_limit)
    loop = make(kernel, EventTrace(kernel))
    stack.callback(loop.close)
    watchers = Watchers(loop, recorder.header, kernel.snapshot)
    viewer = None
    if keep.trace:
        from evloop.viewer import Viewer  # noqa: PLC0415 - needs subprocess, which costs time to import

        viewer = Viewer(watchers, report)
        stack.callback(viewer.wait)
    stack.callback(lambda: recorder.close(kernel.clock()))
    if keep.watch:
        stack.callback(WatchPoint(loop, keep.watch, watchers).close)

    def begin(packets: str | int | None) -> None:
        if log:
            log.begin()
            recorder.sinks.append(log)
        recorder.sinks.append(watchers)
        if viewer:
            viewer.start(packets)
            report.later = sys.stdout.isatty()

    return loop, begin
