"""The command `evloop serve`: its options, and what of them goes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from evloop.address import Inet, UnixPath
from evloop.cli_options import (
    A_YEAR,
    BUG,
    BYTES,
    INET,
    MODE,
    SECONDS,
    SECONDS_OR_NONE,
    UNIX,
    Seconds,
    log_options,
    payload_options,
)
from evloop.files import written_twice

if TYPE_CHECKING:
    from evloop.bugs.bug import Bug
    from evloop.events.ring import Lint
    from evloop.recording import LogOptions

__all__ = ["serve"]

# What a program that sleeps in one call cannot do: look at a clock, or at anybody else.
LOOP_ONLY = (
    "watch", "ring", "log_max_bytes", "max_connections", "idle_timeout", "lifetime", "high_water",
    "drain_timeout", "selector", "sample", "bug",
)  # fmt: skip


@click.command()
@click.option(
    "--model",
    type=click.Choice(["once", "conversation", "sequential", "threaded", "loop"]),
    default="loop",
    show_default=True,
    help="How it serves: see above.",
)
@click.option("--tcp", type=INET, multiple=True, help="Listen for TCP connections; port 0 is any free one.")
@click.option("--udp", type=INET, multiple=True, help="Answer UDP datagrams.")
@click.option("--unix", type=UNIX, multiple=True, help="Listen on a Unix socket; @NAME is an abstract one.")
@click.option(
    "--mode", type=click.Choice(["upper", "echo"]), default="upper", show_default=True, help="What to answer."
)
@click.option("--trace", is_flag=True, help="Draw what happens, live.")
@click.option("--log", metavar="FILE", help="Write the event log; - is standard output.")
@payload_options
@click.option("--capture", metavar="FILE", help="Capture the packets of its ports into a pcapng file.")
@click.option("--packets", is_flag=True, help="With --trace: draw the packets as well.")
@click.option("--kernel", metavar="FILE", help="Write what the kernel says of TCP's states: for root.")
@click.option(
    "--sample",
    type=Seconds(min=0.001, max=A_YEAR),
    metavar="S",
    help="Ask the kernel every S seconds what TCP says of each connection: TCP_INFO, into the log.",
)
@click.option(
    "--ring",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Keep the last N events in memory; write them to the log on SIGUSR1, a lint, a slow tick, a crash.",
)
@click.option(
    "--ring-on",
    type=click.Choice(["lint", "slow"]),
    multiple=True,
    help="With --ring: besides SIGUSR1 and a crash, write on this only; repeatable.  [default: both]",
)
@click.option(
    "--log-max-bytes",
    type=click.IntRange(4096, 1 << 50),
    metavar="BYTES",
    help="Begin the log anew when it has so many; the older file is FILE.old-000001, and so on.",
)
@click.option(
    "--log-keep",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="Keep N older files of a log that is rotated, or of a --ring.  [default: 5]",
)
@click.option("--watch", type=UNIX, help="Offer the events on a Unix socket, for evloop-trace watch.")
@click.option(
    "--watch-mode",
    type=MODE,
    metavar="MODE",
    help="With --watch: who may connect, as chmod has it.  [default: 600]",
)
@click.option("--control", type=UNIX, help="Be told on a Unix socket what to hold back, and to go on.")
@click.option(
    "--hold",
    type=click.Choice(["accept", "read", "close", "write"]),
    multiple=True,
    help="With --control: hold it back from the beginning.",
)
@click.option(
    "--backlog",
    type=click.IntRange(min=0, max=2**31 - 1),
    metavar="N",
    help="Connections that may wait to be accepted.  [default: 128; 5 for the models that block]",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1, max=2**31 - 1),
    metavar="N",
    help="Accept no more than N at a time.",
)
@click.option(
    "--idle-timeout",
    type=SECONDS,
    metavar="S",
    help="Close a connection that has neither sent nor taken anything for S seconds.",
)
@click.option(
    "--lifetime", type=SECONDS, metavar="S", help="Close a connection S seconds after it was accepted."
)
@click.option(
    "--high-water",
    type=BYTES,
    metavar="BYTES",
    default=256 * 1024,
    show_default=True,
    help="Read no more from a client for whom so much waits to be sent.",
)
@click.option(
    "--recv-size",
    type=BYTES,
    metavar="BYTES",
    help="Ask recv for so much.  [default: 65536, more when filled; 1024 for the models that block]",
)
@click.option(
    "--drain-timeout",
    type=SECONDS_OR_NONE,
    metavar="S",
    default=5.0,
    show_default=True,
    help="Wait so long for connections to end when stopping.",
)
@click.option(
    "--selector",
    type=click.Choice(["epoll", "kqueue", "poll", "select"]),
    help="How to wait.  [default: the best there is]",
)
@click.option("--bug", type=BUG, help="Serve with a bug that a real project had; list tells of all.")
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    model: str,
    tcp: tuple[Inet, ...],
    udp: tuple[Inet, ...],
    unix: tuple[UnixPath, ...],
    trace: bool,
    log: str | None,
    payload: str,
    payload_max: int | None,
    capture: str | None,
    packets: bool,
    kernel: str | None,
    ring: int | None,
    ring_on: tuple[str, ...],
    log_max_bytes: int | None,
    log_keep: int | None,
    watch: UnixPath | None,
    watch_mode: int | None,
    control: UnixPath | None,
    hold: tuple[str, ...],
    bug: Bug | None,
    **options: Any,
) -> None:
    """Serve TCP, UDP and Unix clients, until SIGINT or SIGTERM.

    \b
    The models:
      once          one client, one exchange, and it ends
      conversation  one client until it hangs up, and it ends
      sequential    one client after another; the others wait
      threaded      a thread for each client
      loop          one thread for all clients

    All but the loop sleep in one call at a time, and serve one address. UDP has no connections:
    there, conversation and sequential are the same and answer everybody, and threaded cannot be.

    Without an address it serves TCP, and with the loop UDP too, on 127.0.0.1:8080.
    """  # noqa: D301 - click wants the control character itself, before what it must not wrap
    keep = log_options(log, payload, payload_max, watch, trace)
    if log == "-" and trace:
        raise click.UsageError("--log - and --trace would both write to standard output: give --log a file")
    if capture is not None or kernel is not None:
        _check_capture(capture, kernel, tcp, udp, unix)
        _check_payload(payload, capture)
        keep = keep._replace(capture=capture, kernel=kernel)
    if hold and control is None:
        raise click.UsageError(
            "--hold would hold it back for ever: say where it is released with --control PATH"
        )
    if "write" in hold and model != "loop":
        raise click.UsageError(_why_only_loop("hold", model))
    keep = keep._replace(control=control, hold=hold)
    _check_sockets(watch, control)
    _check_names(keep, unix)
    _check_files(keep, ring, ring_on, log_max_bytes, log_keep)
    keep = keep._replace(
        ring=ring,
        ring_on=ring_on or ("lint", "slow"),
        log_max_bytes=log_max_bytes,
        log_keep=5 if log_keep is None else log_keep,
        watch_mode=_watch_mode(watch, watch_mode),
    )
    chosen = {name: value for name, value in options.items() if value is not None}
    if "sample" in chosen and not keep.is_traced:
        raise click.UsageError("--sample has nowhere to write: add --log FILE, --trace or --watch PATH")
    if packets:
        _check_packets(trace, tcp, udp, unix)
        keep = keep._replace(packets=True)
    if model == "loop":
        _serve_with_loop(tcp, udp, unix, chosen, keep, bug)
    else:
        for name in LOOP_ONLY:
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(_why_only_loop(name, model))
        _serve_one(model, _one_address(model, tcp, udp, unix), chosen, keep)


def _serve_one(
    model: str, address: tuple[str, Inet | UnixPath], options: dict[str, Any], keep: LogOptions
) -> None:
    from evloop import programs

    wanted = {name: options[name] for name in ("mode", "backlog", "recv_size") if name in options}
    programs.serve(*address, programs.BlockingOptions(model, **wanted), keep)


def _check_payload(payload: str, capture: str | None) -> None:
    """Whether payloads are left out everywhere."""
    if capture is not None and payload == "none":
        raise click.UsageError(
            "--payload none and --capture contradict each other: packets have payloads; leave one out"
        )


def _check_files(
    keep: LogOptions,
    ring: int | None,
    ring_on: tuple[str, ...],
    log_max_bytes: int | None,
    log_keep: int | None,
) -> None:
    """Whether there is a file for what is kept of the log, and whether it is wanted so."""
    if ring is None and ring_on:
        raise click.UsageError("--ring-on says when a flight recorder is written: add --ring N")
    if ring is None and log_max_bytes is None:
        if log_keep is not None:
            raise click.UsageError("--log-keep counts older files: add --log-max-bytes BYTES, or --ring N")
        return
    option = "--log-max-bytes" if ring is None else "--ring"
    if keep.log in {None, "-"}:
        raise click.UsageError(f"{option} needs a file: add --log FILE")
    if ring is not None and log_max_bytes is not None:
        raise click.UsageError(
            "--ring and --log-max-bytes contradict each other: a ring keeps the last events, a log all"
        )


def _watch_mode(watch: UnixPath | None, mode: int | None) -> int:
    """The mode of the watchers' socket."""
    if mode is None:
        return 0o600
    if watch is None:
        raise click.UsageError("--watch-mode is that of the watchers' socket: add --watch PATH")
    return mode


def _check_sockets(watch: UnixPath | None, control: UnixPath | None) -> None:
    """Whether there is something that keeps others out."""
    for option, address in (("--watch", watch), ("--control", control)):
        if address is not None and address.path.startswith("@"):
            raise click.UsageError(
                f"{option} {address}: an abstract name has no mode, so anybody could connect; give it a path"
            )


def _check_names(keep: LogOptions, unix: tuple[UnixPath, ...]) -> None:
    """Whether each file has one who writes it."""
    sockets = [("--watch", keep.watch), ("--control", keep.control), *(("--unix", it) for it in unix)]
    files = [("--log", keep.log), ("--capture", keep.capture), ("--kernel", keep.kernel)]
    paths = [(option, it.path) for option, it in sockets if it and not it.path.startswith("@")]
    if said := written_twice([*files, *paths]):
        raise click.UsageError(said)


def _check_packets(
    trace: bool, tcp: tuple[Inet, ...], udp: tuple[Inet, ...], unix: tuple[UnixPath, ...]
) -> None:
    """Whether there is a picture for packets, and packets for a picture."""
    if not trace:
        raise click.UsageError("--packets draws beside --trace: add that, or keep them with --capture FILE")
    if unix and not (tcp or udp):
        raise click.UsageError("--packets has nothing to see: a Unix socket sends no packets")


def _check_capture(
    capture: str | None,
    kernel: str | None,
    tcp: tuple[Inet, ...],
    udp: tuple[Inet, ...],
    unix: tuple[UnixPath, ...],
) -> None:
    """Files that cannot be written, or would have nothing in them."""
    for option, path in (("--capture", capture), ("--kernel", kernel)):
        if path in {"", "-"}:
            raise click.UsageError(f"{option} {path!r} is no file: name one")
    if capture is not None and unix and not (tcp or udp):
        raise click.UsageError("--capture has nothing to see: a Unix socket sends no packets")
    if kernel is not None and (udp or unix) and not tcp:
        raise click.UsageError("--kernel has nothing to see: of these addresses none is TCP's")


def _serve_with_loop(
    tcp: tuple[Inet, ...],
    udp: tuple[Inet, ...],
    unix: tuple[UnixPath, ...],
    options: dict[str, Any],
    keep: LogOptions,
    bug: Bug | None,
) -> None:
    from evloop import composition
    from evloop.kernel import selector_names
    from evloop.servers.loop import ServerOptions

    selector = options.pop("selector", None)
    if selector and selector not in selector_names():
        names = ", ".join(selector_names())
        raise click.UsageError(f"--selector {selector} is not to be had on this system: it has {names}")
    if not (tcp or udp or unix):
        tcp = udp = (Inet("127.0.0.1", 8080),)
    if bug and bug.selectors and (selector or selector_names()[0]) not in bug.selectors:
        names = " or ".join(bug.selectors)
        raise click.UsageError(f"--bug {bug.name} does not come to light here: it needs --selector {names}")
    composition.serve(
        composition.Addresses(tcp, udp, unix), ServerOptions(**options), keep, selector, bug, lint=_lint(keep)
    )


def _lint(keep: LogOptions) -> Lint | None:
    """What a flight recorder has look at the events: the one thing of the tools that a server may run."""
    if keep.ring is None or "lint" not in keep.ring_on:
        return None
    from evloop_trace.model.lint import Linter

    linter = Linter()
    return lambda events: [(finding.kind, finding.sentence) for finding in linter.feed(events)]


def _why_only_loop(name: str, model: str) -> str:
    option = f"--{name.replace('_', '-')}"
    if name == "watch":
        return f"{option} needs the loop: keep a --log, and follow it with evloop-trace watch LOG"
    if name == "bug":
        return f"{option} needs the loop: the bugs are in its parts, and --model {model} has none of them"
    return (
        f"{option} needs the loop: a program of --model {model} sleeps in one call, and sees to nothing else"
    )


def _one_address(
    model: str, tcp: tuple[Inet, ...], udp: tuple[Inet, ...], unix: tuple[UnixPath, ...]
) -> tuple[str, Inet | UnixPath]:
    """The kind and the address that a blocking model is to serve."""
    given = [
        (kind, address)
        for kind, addresses in (("tcp", tcp), ("udp", udp), ("unix", unix))
        for address in addresses
    ]
    if len(given) > 1:
        raise click.UsageError(
            f"--model {model} serves one address, not {len(given)}: one thread can wait in one call only, "
            "which is why there is --model loop"
        )
    if udp and model == "threaded":
        raise click.UsageError(
            "--model threaded cannot serve --udp: there are no connections to give threads to; "
            "--model sequential answers everybody with one thread"
        )
    return given[0] if given else ("tcp", Inet("127.0.0.1", 8080))
