"""The command `evloop`: what its options mean; `evloop.composition` puts the parts together.

Imports are inside the functions: `evloop --help` needs none of them.
"""

from __future__ import annotations

import contextlib
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from evloop import __version__
from evloop.address import Inet, UnixPath, parse_inet, parse_unix
from evloop.errors import AddressError, EvloopError, LogError
from evloop.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.recording import LogOptions

__all__ = ["main"]


class _Parsed(click.ParamType[Any]):
    """An option whose text is turned into an address; what is wrong with it is one sentence."""

    def __init__(self, name: str, parse: Callable[[str], Inet | UnixPath]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Inet | UnixPath:
        try:
            return self._parse(value)
        except AddressError as error:
            self.fail(str(error), param, ctx)


INET = _Parsed("HOST:PORT", parse_inet)
UNIX = _Parsed("PATH", parse_unix)


class _Seconds(click.FloatRange):
    """A time that a timer can be set to: at most a year, and a number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


A_YEAR = 366 * 24 * 3600
SECONDS = _Seconds(min=0, max=A_YEAR, min_open=True)
SECONDS_OR_NONE = _Seconds(min=0, max=A_YEAR)
BYTES = click.IntRange(min=1, max=1 << 30)
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
# What a program that sleeps in one call cannot do: look at a clock, or at anybody else.
LOOP_ONLY = (
    "watch", "max_connections", "idle_timeout", "lifetime", "high_water", "drain_timeout", "selector",
    "sample",
)  # fmt: skip


def _payload_options(command: Callable[..., None]) -> Callable[..., None]:
    """How much of what is said goes into a log."""
    kinds = click.Choice(["none", "prefix", "full"])
    policy = click.option(
        "--payload",
        type=kinds,
        default="prefix",
        show_default=True,
        help="How much of what is sent and received goes into the log.",
    )
    most = click.option(
        "--payload-max", type=click.IntRange(min=0), help="Bytes kept of each payload.  [default: 64]"
    )
    return policy(most(command))


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="evloop")
def cli() -> None:
    """See what a socket program does: a selectors event loop whose every call is an event."""


@cli.command()
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
@_payload_options
@click.option("--capture", metavar="FILE", help="Capture the packets of its ports into a pcapng file.")
@click.option("--packets", is_flag=True, help="With --trace: draw the packets as well.")
@click.option("--kernel", metavar="FILE", help="Write what the kernel says of TCP's states: for root.")
@click.option(
    "--sample",
    type=_Seconds(min=0.001, max=A_YEAR),
    metavar="S",
    help="Ask the kernel every S seconds what TCP says of each connection: TCP_INFO, into the log.",
)
@click.option("--watch", type=UNIX, help="Offer the events on a Unix socket, for evloop-trace watch.")
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
    help="Connections that may wait to be accepted.  [default: 128; 5 for the models that block]",
)
@click.option(
    "--max-connections", type=click.IntRange(min=1), metavar="N", help="Accept no more than N at a time."
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
    watch: UnixPath | None,
    control: UnixPath | None,
    hold: tuple[str, ...],
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
    keep = _log_options(log, payload, payload_max, watch, trace)
    if log == "-" and trace:
        raise click.UsageError("--log - and --trace would both write to standard output: give --log a file")
    if capture is not None or kernel is not None:
        _check_capture(capture, kernel, tcp, udp, unix)
        keep = keep._replace(capture=capture, kernel=kernel)
    if hold and control is None:
        raise click.UsageError(
            "--hold would hold it back for ever: say where it is released with --control PATH"
        )
    if "write" in hold and model != "loop":
        raise click.UsageError(_why_only_loop("hold", model))
    keep = keep._replace(control=control, hold=hold)
    chosen = {name: value for name, value in options.items() if value is not None}
    if "sample" in chosen and not keep.is_traced:
        raise click.UsageError("--sample has nowhere to write: add --log FILE, --trace or --watch PATH")
    if packets:
        _check_packets(trace, tcp, udp, unix)
        keep = keep._replace(packets=True)
    if model == "loop":
        _serve_with_loop(tcp, udp, unix, chosen, keep)
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
    if capture is not None and capture == kernel:
        raise click.UsageError("--capture and --kernel would write the same file: name two")


def _serve_with_loop(
    tcp: tuple[Inet, ...],
    udp: tuple[Inet, ...],
    unix: tuple[UnixPath, ...],
    options: dict[str, Any],
    keep: LogOptions,
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
    composition.serve(composition.Addresses(tcp, udp, unix), ServerOptions(**options), keep, selector)


def _log_options(
    log: str | None, payload: str, payload_max: int | None, watch: UnixPath | None = None, trace: bool = False
) -> LogOptions:
    from evloop.recording import LogOptions

    if payload_max is not None and payload != "prefix":
        raise click.UsageError(f"--payload-max and --payload {payload} contradict each other: leave one out")
    if log == "":
        raise click.UsageError("--log '' names no file: give one, or - for standard output")
    return LogOptions(log, payload, 64 if payload_max is None else payload_max, watch, trace)


def _why_only_loop(name: str, model: str) -> str:
    option = f"--{name.replace('_', '-')}"
    if name == "watch":
        return f"{option} needs the loop: keep a --log, and follow it with evloop-trace watch LOG"
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


@cli.command()
@click.argument("address")
@click.argument("message", nargs=-1)
@click.option(
    "--delay", type=SECONDS_OR_NONE, metavar="S", default=0.0, help="Wait before the first message."
)
@click.option("--hold", type=SECONDS_OR_NONE, metavar="S", default=0.0, help="Wait before closing.")
@click.option(
    "--end",
    type=click.Choice(["fin", "reset", "half", "abandon"]),
    default="fin",
    show_default=True,
    help="How to end: close; reset; half-close and read on; or die without a word.",
)
@click.option(
    "--timeout", type=SECONDS, metavar="S", default=5.0, show_default=True, help="Wait so long for a reply."
)
@click.option(
    "--count",
    "repeat",
    type=click.IntRange(min=1),
    metavar="N",
    default=1,
    show_default=True,
    help="Send the messages N times.",
)
@click.option("--log", metavar="FILE", help="Write the event log.")
@_payload_options
def client(
    address: str,
    message: tuple[str, ...],
    log: str | None,
    payload: str,
    payload_max: int | None,
    **options: Any,
) -> None:
    """Talk to a server at ADDRESS: HOST:PORT, udp:HOST:PORT, or the path of a Unix socket.

    With messages, each is sent and its reply printed; without, it asks for them.
    """
    from evloop.clients import conversation

    chosen = conversation.ClientOptions(**options)
    if log is None:
        sys.exit(conversation.run(address, message, chosen))
    if log == "-":
        raise click.UsageError("--log - and the replies would both go to standard output: give --log a file")
    from evloop import programs

    sys.exit(programs.talk(address, message, chosen, _log_options(log, payload, payload_max)))


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def lab(command: tuple[str, ...]) -> None:
    """Run COMMAND in a network of its own, where everybody may capture; without one, a shell.

    It has nothing but loopback, every port is free, and you are root there, and only there. Programs
    that are to talk to each other must run in the same lab: evloop lab, and then in its shell; or
    evloop lab -- sh -c 'evloop serve & …'.
    """
    from evloop import lab

    if command and command[0].startswith("-"):
        raise click.NoSuchOption(command[0])
    try:
        lab.become(command)
    except EvloopError as error:
        _say(str(error))
        sys.exit(2)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
    short_help="Predict, run, see, check: lessons about sockets.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lesson(arguments: tuple[str, ...]) -> int:
    """Lead through a lesson: `evloop_lessons.cli` says how."""
    from evloop_lessons import cli as lessons

    return lessons.main(arguments)


def main() -> None:
    """Run the command line; every failure is one sentence."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        _say(_sentence(error))
        code = error.exit_code
    except (AddressError, LogError) as error:  # it could not begin
        _say(str(error))
        code = 2
    except EvloopError as error:  # it began, and what was asked for did not come true
        _say(str(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        code = _discard_output()
    except OSError as error:  # standard output is full, or closed
        _say(f"cannot go on: {error.strerror or error}")
        code = _discard_output()
    sys.exit(code)


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):
        print(f"evloop: {printable(sentence)}", file=sys.stderr, flush=True)


def _discard_output() -> int:
    """Nothing more can be printed: let the interpreter not try again when it ends. The exit code."""
    sys.stdout = None
    return 1


def _sentence(error: click.ClickException) -> str:
    """What is wrong, and where help is, if the message does not say."""
    message = error.format_message()
    name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "evloop"
    said = ":" in message or "\uff1a" in message  # a lesson's may be Chinese
    return message if said else f"{message.rstrip('.')}: see {name} --help"
