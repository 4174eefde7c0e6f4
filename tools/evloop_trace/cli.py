"""`evloop-trace`: the commands, their options, and what becomes of errors.

What a command needs is imported when it runs: `--help` waits for none of it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from evloop import __version__
from evloop.errors import EvloopError
from evloop.files import why_not_begun
from evloop_trace import cli_packets, cli_proof, options
from evloop_trace.console import (
    FOUND,
    INTERRUPTED,
    OK,
    USAGE,
    OutputClosed,
    drop_output,
    paper,
    standard_output,
    tell,
    write,
)
from evloop_trace.progress import put_away

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.reader import Item
    from evloop_trace.apps.captured import Captured
    from evloop_trace.diagnosing import Answer
    from evloop_trace.logs import Logs
    from evloop_trace.model.filters import Filter
    from evloop_trace.model.report import Report
    from evloop_trace.replay import Problems, Sought

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="evloop-trace", message="%(prog)s %(version)s")
def cli() -> None:
    """Look at what a server did: replay, check and analyse its event log.

    LOG is a file that --log of evloop serve, evloop client or evloop-trace run wrote, gzip or not; - is
    standard input.
    """


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(lambda: cli.main(prog_name="evloop-trace", standalone_mode=False)))


def run(command: Callable[[], Any]) -> int:
    """The exit code of `command`; what went wrong is a sentence on standard error, never a traceback."""
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        drop_output()
        return INTERRUPTED
    except (OutputClosed, BrokenPipeError):  # head(1), a pager
        drop_output()
        return OK
    except click.ClickException as error:
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            error.show()
        else:
            tell(_sentence(error))
        return error.exit_code
    except EvloopError as error:
        tell(str(error))
        return USAGE
    except OSError as error:
        said = why_not_begun(error)
        if not said:  # it is full, or closed
            drop_output()
        tell(said or f"cannot go on: {error.strerror or error}")
        return USAGE if said else FOUND
    finally:
        put_away(sys.stderr)  # of Ctrl-C, too
    return code if isinstance(code, int) else OK


def _sentence(error: click.ClickException) -> str:
    """What is wrong, and where help is, if the message does not say."""
    message = error.format_message().rstrip(".")
    name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "evloop-trace"
    return message if ":" in message else f"{message}: see {name} --help"


@cli.command(short_help="Draw a log again as it happened, or print its events.")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
@click.option(
    "--speed",
    callback=options.speed,
    metavar="X|max",
    help="So many times as fast as it was.  [default: 1 on a terminal, else max]",
)
@click.option("--step", is_flag=True, help="Wait for a key before each event.")
@click.option(
    "--conn",
    "names",
    multiple=True,
    metavar="ID",
    help="Only this connection, listener or socket; repeatable.",
)
@click.option(
    "--ev",
    "kinds",
    multiple=True,
    metavar="NAME",
    callback=options.kinds,
    help="Only events of this name; repeatable.",
)
@click.option(
    "--from",
    "start",
    callback=options.time,
    metavar="T",
    default="0",
    help="From T on: seconds from the start, or 250ms.",
)
@click.option("--to", "end", callback=options.time, metavar="T", help="Up to T.")
def replay(
    logs: tuple[str, ...],
    speed: float | None,
    step: bool,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    start: int,
    end: int | None,
) -> int:
    """Draw a log again as it happened; a line for each event where the output is not a terminal.

    Several logs become one, on one clock; then the names begin with the log's, as in server:tcp-1.
    """
    from evloop_trace.model.filters import Filter

    keep = Filter(frozenset(names), frozenset(kinds), start, end)
    if end is not None and end < start:
        raise click.UsageError("--to is before --from: nothing lies between them")
    if standard_output().isatty():
        return _replay_on_terminal(logs, speed or 1.0, step, keep)
    if step:
        raise click.UsageError("--step needs a terminal to draw on: do not redirect the output")
    return _replay_lines(logs, speed, keep)


def _replay_on_terminal(paths: tuple[str, ...], speed: float, step: bool, keep: Filter) -> int:
    """Problems are told when the terminal is itself again."""
    from evloop.events.schema import Header
    from evloop_trace.apps.player import play
    from evloop_trace.model.checks import begins_late
    from evloop_trace.replay import Problems, Sought

    told: list[str] = []
    problems, sought = Problems(told.append), Sought(keep.names)

    def read(log: str, items: Sequence[Item]) -> None:
        problems.read(log, items)
        sought.see(items)
        told.extend(
            f"{log} {said}" for item in items if isinstance(item, Header) and (said := begins_late(item))
        )

    code = play(paths, speed=speed, step=step, keep=keep.keep, start=keep.start, end=keep.end, read=read)
    problems.finish()
    for line in told:
        tell(line)
    return _verdict(paths, problems, sought) or code


def _replay_lines(paths: tuple[str, ...], speed: float | None, keep: Filter) -> int:
    from evloop_trace.logs import open_logs
    from evloop_trace.progress import track, track_steps
    from evloop_trace.replay import Problems, Sought, Tempo, clocks, replay, replay_rows

    problems, sought = Problems(tell), Sought(keep.names)
    tempo = None if speed is None or speed == float("inf") else Tempo(speed)
    with open_logs(paths) as logs:
        _tell_of_beginnings(logs)
        if logs.meet:
            for line in clocks(logs):
                tell(line)
            rows = track_steps(logs, "replay", logs.rows()) if tempo is None else logs.rows()
            batches = sought.watch_rows(rows) if keep.names else rows
            names, labels = [log.name for log in logs.logs], [log.label for log in logs.logs]
            labels = labels if len(labels) > 1 else []
            replay_rows(batches, write, keep, problems, tempo, names=names, labels=labels)
            for line in clocks(logs, read=True):
                tell(line)
        else:
            runs = track(logs, "replay") if tempo is None else logs.runs()
            replay(sought.watch(runs) if keep.names else runs, write, keep, problems, tempo)
    return _verdict(paths, problems, sought)


def _tell_of_beginnings(logs: Logs) -> None:
    """Of logs whose oldest files were removed: it was asked for, and is no fault."""
    from evloop_trace.model.checks import begins_late

    for log in logs.logs:
        if said := begins_late(log.header):
            tell(f"{log.name} {said}")


def _verdict(paths: tuple[str, ...], problems: Problems, sought: Sought) -> int:
    """The exit code of a replay; names that were asked for in vain are told."""
    missing = sought.missing()
    names = "a name is like tcp-1" if len(paths) == 1 else "with several logs a name is like server:tcp-1"
    for name in missing:
        tell(f"--conn {name} occurs nowhere in {', '.join(paths)}: {names}")
    return FOUND if problems.count or missing else OK


@cli.command(
    "run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="Run a Python program, and record what it does with its sockets.",
)
@click.argument("program", metavar="SCRIPT [ARG...] | -m MODULE [ARG...]", nargs=-1, type=click.UNPROCESSED)
@click.option("--log", metavar="FILE", help="Where the events go; other processes of the program: FILE.PID.")
@click.option(
    "--payload",
    type=click.Choice(["none", "prefix", "full"]),
    default="prefix",
    show_default=True,
    help="How much of what is sent and received is kept.",
)
@click.option(
    "--payload-max",
    type=click.IntRange(min=0),
    metavar="BYTES",
    help="How much is kept of each payload.  [default: 64]",
)
@click.option("--trace", is_flag=True, help="Draw what happens, live, above the program's own terminal.")
@click.option("--capture", "packets", metavar="FILE", help="Capture what goes over lo into a pcapng file.")
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="P",
    help="With --capture: only what comes from this port or goes to it; repeatable.",
)
def run_program(
    program: tuple[str, ...],
    log: str | None,
    payload: str,
    payload_max: int | None,
    trace: bool,
    packets: str | None,
    ports: tuple[int, ...],
) -> int:
    """Run a Python program as it is, and record what it does with its sockets.

    It runs as `python SCRIPT ARG...` would, with its own streams, signals and exit code. Without --log each
    event is a line on standard error; so it is with --trace where there is no terminal to draw on.
    """
    from evloop_trace import running

    if not program:
        raise click.UsageError("no program: name a SCRIPT, or -m MODULE")
    if program[0].startswith("-") and program[0] not in {"-m", "-"}:
        raise click.NoSuchOption(program[0])
    if payload_max is not None and payload != "prefix":
        raise click.UsageError(f"--payload-max and --payload {payload} contradict each other: leave one out")
    if log == "-":
        raise click.UsageError("--log - would mix with what the program prints: name a file")
    if packets is not None and payload == "none":
        raise click.UsageError(
            "--payload none and --capture contradict each other: packets have payloads; leave one out"
        )
    if program[0] != "-m":
        options.only_read(program[0], "the program", ("--log", log), ("--capture", packets))
    capture = _capture_beside(packets, ports, log)

    def prepare(path: str) -> tuple[list[str], dict[str, str]]:
        return running.prepare(program, path, payload, 64 if payload_max is None else payload_max)

    if log is not None and not trace and capture is None:
        running.become(*prepare(log))
    from evloop_trace.apps.attend import accompany, attend

    if log is not None and not trace and capture is not None:
        return accompany(*prepare(log), capture, tell)
    title = program[1] if program[0] == "-m" and len(program) > 1 else program[0]
    return attend(prepare, title, log, picture=trace, capture=capture, tell=tell)


def _capture_beside(path: str | None, ports: Sequence[int], log: str | None) -> Callable[[], Captured] | None:
    """What starts the capture beside a program, if there shall be one."""
    if path is None:
        if ports:
            raise click.UsageError("--port says what to capture: add --capture FILE")
        return None
    if path in {"", "-"}:
        raise click.UsageError(f"--capture {path!r} is no file: name one")
    options.one_file_each(("--log", log), ("--capture", path))
    from evloop_trace.apps.captured import Captured

    return lambda: Captured(path, ports)


@cli.command(short_help="Draw a program live, from its log or from evloop serve --watch.")
@click.argument("path", metavar="PATH", required=False)
@click.option("--fd", type=click.IntRange(min=0), hidden=True, help="A connected socket, from the server.")
@click.option("--child", is_flag=True, hidden=True, help="Who started this writes the log PATH.")
@click.option("--packets", metavar="FILE", help="Draw packets, too, from a pcapng file that grows meanwhile.")
@click.option("--packets-fd", type=click.IntRange(min=0), hidden=True, help="A pipe, from the server.")
def watch(path: str | None, fd: int | None, child: bool, packets: str | None, packets_fd: int | None) -> int:
    """Draw a program live: PATH is its log, or the socket that evloop serve --watch PATH offers.

    A log that is compressed does not grow: evloop-trace replay reads it.

    Ctrl-C leaves; the program does not notice.
    """
    from evloop_trace.apps.feed import TurnedAwayError
    from evloop_trace.apps.live import watch, watch_socket

    if (path is None) == (fd is None):
        raise click.UsageError("no PATH: name a log, or the path that evloop serve --watch was given")
    standard_output()
    try:
        source = packets if packets_fd is None else packets_fd
        return watch_socket(None, fd, source) if path is None else watch(path, source, child=child, tell=tell)
    except TurnedAwayError as error:
        tell(str(error))
        return FOUND
    except BrokenPipeError:
        raise OutputClosed from None


@cli.command(short_help="Draw a moment of a log as an SVG file.")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="The SVG file; - is standard output.  [default: -, but not on a terminal]",
)
@click.option(
    "--at", callback=options.time, metavar="T", help="When: seconds, or 250ms.  [default: the log's end]"
)
@click.option(
    "--size",
    callback=options.dimensions,
    metavar="WxH",
    default="100x30",
    show_default=True,
    help="In cells.",
)
def picture(logs: tuple[str, ...], output: str | None, at: int | None, size: tuple[int, int]) -> int:
    """Draw a moment of a log as an SVG file: the picture that watch and replay show."""
    from evloop_trace.apps.still import still
    from evloop_trace.replay import Problems
    from evloop_trace.whole_file import write_whole

    if output is None and standard_output().isatty():
        raise click.UsageError("an SVG file is nothing to read on a terminal: give it a name with -o FILE")
    for log in logs:
        options.only_read(log, "the log", ("-o", output))
    problems = Problems(tell)
    svg = still(logs, at, size, problems)
    problems.finish()
    if output is None or output == "-":
        write(svg)
    else:
        try:
            write_whole(output, svg.encode(), 0o666)
        except (OSError, ValueError) as error:
            raise EvloopError(
                f"{output} cannot be written: {getattr(error, 'strerror', None) or error}"
            ) from None
    return FOUND if problems.count else OK


@cli.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="Every finding, not only the first 50 of a log.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a log, one a line.")
def check(logs: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Say whether logs are whole and agree with themselves.

    Each log is checked by itself, and so are those of a program's other processes, which lie beside its own.
    The exit code is 1 if anything was found that is not just a note.
    """
    from evloop_trace.checking import check_log
    from evloop_trace.logs import family

    paths = dict.fromkeys([it for path in logs for it in ([path] if path == "-" else family(path))])
    return FOUND if sum([check_log(path, write, everything, as_json) for path in paths]) else OK


@cli.command(short_help="Analyse a log: ticks, connections, calls, the slowest handlers.")
@click.argument("log", metavar="LOG")
@click.option("--json", "as_json", is_flag=True, help="A JSON object; times in nanoseconds, sizes in bytes.")
def stats(log: str, as_json: bool) -> int:
    """Analyse a log: the loop's ticks, connections, calls, the slowest handlers."""
    from evloop_trace.escape import json_text
    from evloop_trace.logs import open_logs
    from evloop_trace.model.statistics import Statistics
    from evloop_trace.progress import track

    statistics = Statistics()
    with open_logs([log], alone=True) as opened:
        _tell_of_beginnings(opened)
        for _, block in track(opened, "stats"):
            statistics.feed(block.line, block.items)
    report = statistics.report()
    if as_json:
        write(json_text(report) + "\n")
    else:
        write(_page(report, log))
    if report.problems:
        from evloop_trace.replay import no_events

        tell(f"{no_events(report.problems)}: evloop-trace check {log} says which")
    return FOUND if report.problems else OK


def _page(report: Report, name: str) -> str:
    """The report as wide as the terminal and coloured, if there is one."""
    from evloop_trace.views.statistics import PLAIN_WIDTH, render

    sheet = paper(PLAIN_WIDTH)
    return render(report, name, sheet.width, colour=sheet.colour)


@cli.command(short_help="Compare two servers' logs: who waited, how long, for what.")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="A JSON object; times in nanoseconds.")
def compare(a: str, b: str, as_json: bool) -> int:
    """Compare the logs of two servers that had the same clients: who waited, how long, for what.

    Clients are matched by what each said first, or else by the order in which they came.
    """
    from evloop_trace import comparing
    from evloop_trace.replay import Problems
    from evloop_trace.views.comparison import PLAIN_SIZE, render

    if a == b == "-":
        raise click.UsageError("standard input can be only one of the two: name the other log")
    problems = Problems(tell)
    comparison = comparing.compare((a, b), problems)
    problems.finish()
    if as_json:
        write(comparing.as_json(comparison) + "\n")
    else:
        sheet = paper(*PLAIN_SIZE)
        write(render(comparison, sheet.width, sheet.height, colour=sheet.colour))
    return FOUND if problems.count else OK


@cli.command(short_help="Say why a program hangs: who waits for what, and since when.")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True)
@click.option(
    "--at", callback=options.time, metavar="T", help="When: seconds, or 250ms.  [default: the log's end]"
)
@click.option("--json", "json", is_flag=True, help="A JSON array of findings; times in nanoseconds.")
def why(logs: tuple[str, ...], at: int | None, json: bool) -> int:
    """Say why a program hangs: who waits for what, since when and where, and why it does not come.

    With the logs of both ends, what the other end does is told too. The exit code is 1 if anything hangs.
    """
    from evloop_trace.diagnosing import as_json, diagnose
    from evloop_trace.replay import Problems

    problems = Problems(tell)
    answer = diagnose(logs, at, problems)
    write(as_json(answer) if json else _verdict_page(answer))
    problems.finish()
    return FOUND if answer.verdict.stuck or problems.count else OK


def _verdict_page(answer: Answer) -> str:
    """The answer as wide as the terminal and coloured, if there is one."""
    from evloop_trace.views.page import PLAIN_WIDTH
    from evloop_trace.views.why import render

    sheet = paper(PLAIN_WIDTH)
    return render(answer.verdict, answer.names, sheet.width, colour=sheet.colour)


@cli.command()
def schema() -> None:
    """Print the JSON Schema of a log's lines."""
    import json

    from evloop.events.schema import json_schema

    write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")


for command in (
    cli_packets.capture, cli_packets.packets, cli_packets.timeline, cli_proof.rerun, cli_proof.lint,
    cli_proof.audit,
):  # fmt: skip
    cli.add_command(command)
