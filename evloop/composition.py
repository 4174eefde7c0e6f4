"""Options → kernel, sinks, loop, server: the one place where the parts of the loop's server meet."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from evloop.control.gates import Gates
from evloop.control.looped import ControlPoint
from evloop.events.recorder import Recorder
from evloop.header import make_header
from evloop.keeping import ASKED_BY, keep_events
from evloop.kernel import raise_descriptor_limit, selector_names
from evloop.net.watch import Watchers, WatchPoint
from evloop.parts import Parts
from evloop.recording import Reporter, begin_captures
from evloop.trace import Trace
from evloop.tracing import EventTrace, TracedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evloop.address import Inet, UnixPath
    from evloop.bugs.bug import Bug
    from evloop.events.ring import Lint
    from evloop.events.schema import Header
    from evloop.events.sinks import Sink
    from evloop.kernel import Kernel
    from evloop.loop.loop import Loop
    from evloop.recording import LogOptions
    from evloop.servers.loop import LoopServer, ServerOptions

__all__ = ["Addresses", "serve"]


class _Recorded(NamedTuple):
    """What a recorded loop is told of besides its sockets."""

    begin: Callable[[str | int | None], None]
    """The server has begun; packets for the picture come from there."""
    heard: Mapping[str, Callable[[str], None]] = {}
    """Signals that do not end it."""
    crashed: Callable[[BaseException], None] = lambda _error: None
    """It ended of an exception."""


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
    bug: Bug | None = None,
    *,
    lint: Lint | None = None,
) -> None:
    """Serve until a signal says to stop; with a `bug`, its parts take the place of those that are right.

    `lint` is what a flight recorder has look at the events.

    Raises:
        EvloopError: an address or a file cannot be opened; the message says why.
    """
    selector = selector or selector_names()[0]
    raise_descriptor_limit(selector)
    parts = bug.parts if bug else Parts()
    report, gates = Reporter(), Gates() if keep.control else None
    with ExitStack() as stack:
        stack.callback(report.tell)
        recorded = _Recorded(lambda _packets: None)

        def make(kernel: Kernel, trace: Trace) -> Loop:
            return parts.make_loop(kernel, selector, trace, report, gates)

        if keep.is_traced:
            header = _header(selector, options, keep, bug)
            loop, recorded = _traced_loop(make, parts.kernel(), header, keep, stack, report=report, lint=lint)
        else:
            loop = make(parts.kernel(), Trace())
            stack.callback(loop.close)
        after_server = stack.enter_context(ExitStack())  # what is put on it ends when the server has
        server = parts.make_server(loop, options, report, gates)
        stack.callback(server.close)
        if gates is not None and keep.control:
            after_server.callback(ControlPoint(loop, keep.control, gates).close)
            for gate in keep.hold:
                gates.set(gate, held=True)
        if bug:
            report(f"serving with the bug {bug.name}, as process {os.getpid()}: {bug.wrong}")
        server.handle_signals(heard=recorded.heard)
        opened = _open(server, addresses)
        packets = begin_captures(keep, opened, report, after_server, loop) if keep.is_captured else None
        for kind, bound in opened:
            report.listening(kind, bound)
        recorded.begin(packets)
        try:
            server.run()
        except BaseException as error:
            recorded.crashed(error)
            raise


def _open(server: LoopServer, addresses: Addresses) -> list[tuple[str, str]]:
    """Open every address; kind and address of each as it was bound."""
    opened = [("tcp", bound) for address in addresses.tcp for bound in server.listen_tcp(address)]
    opened += [("udp", bound) for address in addresses.udp for bound in server.bind_udp(address)]
    opened += [("unix", bound) for address in addresses.unix for bound in server.listen_unix(address)]
    return opened


def _header(selector: str, options: ServerOptions, keep: LogOptions, bug: Bug | None) -> Header:
    limits = {name: value for name, value in options._asdict().items() if name != "mode"}
    return make_header(
        keep, limits, model="loop", mode=options.mode, selector=selector, bug=bug.name if bug else ""
    )


def _traced_loop(
    make: Callable[[Kernel, Trace], Loop],
    calls: Kernel,
    header: Header,
    keep: LogOptions,
    stack: ExitStack,
    *,
    report: Reporter,
    lint: Lint | None,
) -> tuple[Loop, _Recorded]:
    """A loop whose `calls` are traced, and what attaches its sinks, to be called when the server has begun.

    The stack ends them after the server, which is put on it last: nobody new may watch; the log gets
    its last line, and with it the watchers' streams end; the picture, now complete, is waited for; and
    then the selector goes, when nobody is left who is watched.
    """

    def on_broken_sink(sink: Sink, error: Exception) -> None:
        report(f"{type(sink).__name__} failed ({error}): serving goes on without it")

    recorder = Recorder(header, on_broken_sink)
    kernel = TracedKernel(calls, recorder, keep.payload_limit)
    kept = keep_events(keep, report, header, kernel.standing, lint)
    trace = EventTrace(kernel)
    loop = make(kernel, trace)
    stack.callback(loop.close)
    watchers = Watchers(loop, recorder.header, kernel.snapshot)
    viewer = None
    if keep.trace:
        from evloop.viewer import Viewer  # noqa: PLC0415 - needs subprocess, which costs time to import

        viewer = Viewer(watchers, report)
        stack.callback(viewer.wait)
    stack.callback(lambda: recorder.close(kernel.clock()))
    if keep.watch:
        stack.callback(WatchPoint(loop, keep.watch, watchers, keep.watch_mode).close)

    def begin(packets: str | int | None) -> None:
        if kept:
            kept.begin()
            recorder.sinks.append(kept.sink)
        recorder.sinks.append(watchers)
        if viewer:
            viewer.start(packets)
            report.later = sys.stdout.isatty()

    def crashed(error: BaseException) -> None:
        trace.crashed(error)
        if kept and kept.ring:
            kept.ring.write_now(recorder.reason)

    heard = {ASKED_BY: kept.ring.ask} if kept and kept.ring else {}
    return loop, _Recorded(begin, heard, crashed)
