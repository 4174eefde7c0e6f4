"""Options → clock, kernel, sinks, loop, server: the one place where the parts of a server meet."""

from __future__ import annotations

import platform
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evloop import __version__
from evloop.address import Inet, UnixPath, is_loopback, parse_inet
from evloop.events.recorder import Recorder, read_clocks
from evloop.events.schema import SCHEMA, Header
from evloop.events.sinks import FileSink, Sink, open_log
from evloop.kernel import Kernel, raise_descriptor_limit, selector_names
from evloop.loop.loop import Loop
from evloop.net.watch import Watchers, WatchPoint
from evloop.printable import printable
from evloop.servers.loop import LoopServer, ServerOptions
from evloop.tracing import EventTrace, TracedKernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Addresses", "LogOptions", "serve"]

# What changes the picture from one machine to another.
SYSCTLS = (
    "net/core/somaxconn", "net/ipv4/tcp_abort_on_overflow", "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_tw_reuse", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_fin_timeout",
)  # fmt: skip


class Addresses(NamedTuple):
    """What to serve."""

    tcp: Sequence[Inet] = ()
    udp: Sequence[Inet] = ()
    unix: Sequence[UnixPath] = ()


class LogOptions(NamedTuple):
    """Where events go, and how much of a payload goes with them."""

    log: str | None
    payload: str
    payload_max: int
    watch: UnixPath | None
    trace: bool

    @property
    def is_traced(self) -> bool:
        """Whether anybody listens."""
        return bool(self.log or self.watch or self.trace)

    @property
    def payload_limit(self) -> int:
        """Bytes kept of each payload."""
        return {"none": 0, "prefix": self.payload_max, "full": sys.maxsize}[self.payload]


class Reporter:
    """Tells the person who runs the server, on standard error; later, while a picture is on their screen."""

    def __init__(self) -> None:
        self.later = False
        self._sentences: list[str] = []

    def __call__(self, sentence: str) -> None:
        """Say it, or keep it until `tell`."""
        self._sentences.append(sentence)
        if not self.later:
            self.tell()

    def tell(self) -> None:
        """Say what was kept."""
        for sentence in self._sentences:
            print(f"evloop: {printable(sentence)}", file=sys.stderr, flush=True)
        self._sentences.clear()


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
    report = Reporter()
    with ExitStack() as stack:
        stack.callback(report.tell)
        begin: Callable[[], None] = lambda: None  # noqa: E731
        if keep.is_traced:
            loop, begin = _traced_loop(selector, options, keep, stack, report)
        else:
            loop = Loop(Kernel(), selector, report=report)
            stack.callback(loop.close)
        server = LoopServer(loop, options, report)
        stack.callback(server.close)
        server.handle_signals()
        _open(server, addresses, report)
        begin()
        server.run()


def _open(server: LoopServer, addresses: Addresses, report: Reporter) -> None:
    """Open every address, then say so: a line an address, so that a script can wait for it."""
    opened = [("tcp", bound) for address in addresses.tcp for bound in server.listen_tcp(address)]
    opened += [("udp", bound) for address in addresses.udp for bound in server.bind_udp(address)]
    opened += [("unix", bound) for address in addresses.unix for bound in server.listen_unix(address)]
    for kind, bound in opened:
        print(f"listening {kind} {printable(bound)}", file=sys.stderr, flush=True)
        if kind != "unix" and not is_loopback(parse_inet(bound).host):
            report(f"{bound} can be reached from other machines, by anyone: there is no access control")


def _traced_loop(
    selector: str, options: ServerOptions, keep: LogOptions, stack: ExitStack, report: Reporter
) -> tuple[Loop, Callable[[], None]]:
    """A loop on a traced kernel, and what attaches its sinks, to be called when the server has begun.

    The stack ends them after the server, which is put on it last: nobody new may watch; the log gets
    its last line, and with it the watchers' streams end; the picture, now complete, is waited for; and
    then the selector goes, when nobody is left who is watched.
    """

    def on_broken_sink(sink: Sink, error: Exception) -> None:
        report(f"{type(sink).__name__} failed ({error}): serving goes on without it")

    recorder = Recorder(_header(selector, options, keep), on_broken_sink)
    log = FileSink(open_log(keep.log), keep.log, report) if keep.log else None
    kernel = TracedKernel(recorder, keep.payload_limit)
    loop = Loop(kernel, selector, EventTrace(kernel), report)
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

    def begin() -> None:
        if log:
            log.begin()
            recorder.sinks.append(log)
        recorder.sinks.append(watchers)
        if viewer:
            viewer.start()
            report.later = sys.stdout.isatty()

    return loop, begin


def _header(selector: str, options: ServerOptions, keep: LogOptions) -> Header:
    mono_ns, wall_ns, bracket_ns = read_clocks()
    limits = {name: value for name, value in options._asdict().items() if name != "mode"}
    return Header(
        0, 0, 0, SCHEMA, mono_ns, wall_ns, bracket_ns,
        pid=Kernel.pid(), argv=sys.argv, selector=selector, mode=options.mode,
        versions={"evloop": __version__, "python": platform.python_version(), "kernel": platform.release()},
        payload=keep.payload, payload_max=keep.payload_max, options=limits,
        sysctls={name.replace("/", "."): text for name in SYSCTLS if (text := _read(f"/proc/sys/{name}"))},
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
    )  # fmt: skip


def _read(path: str) -> str:
    """A small file of the system, or nothing where there is no such file."""
    try:
        return " ".join(Path(path).read_text().split())
    except OSError:
        return ""
