"""`evloop-trace capture`, `packets` and `timeline`: the commands that are about packets.

What a command needs is imported when it runs, as in `cli`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evloop_trace import options
from evloop_trace.console import FOUND, OK, OutputClosed, paper, tell, write

if TYPE_CHECKING:
    from evloop_trace.packets.analysis import Analysis
    from evloop_trace.packets.capture_file import Capture

__all__ = ["capture", "packets", "timeline"]


@click.command(short_help="Capture TCP, UDP and their ICMP errors, each packet once.")
@click.option("-i", "--interface", metavar="NAME", default="lo", show_default=True, help="Where.")
@click.option(
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="P",
    help="Only what comes from this port or goes to it; repeatable.",
)
@click.option("-w", "--output", metavar="FILE", help="Write a pcapng file; - is standard output.")
@click.option(
    "--snap",
    type=click.IntRange(64, 131_072),
    default=131_072,
    metavar="N",
    help="Keep N bytes of each packet: 128 are all headers.  [default: 131072, all of it]",
)
@click.option("--duration", callback=options.time, metavar="T", help="Stop after T: seconds, or 250ms.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N packets.")
@click.option(
    "--kernel",
    metavar="FILE",
    help="Write what the kernel says of TCP's states: for root. Without -w no packets are captured.",
)
@click.option("--attached", is_flag=True, hidden=True, help="End with standard input: for evloop serve.")
@click.pass_context
def capture(
    ctx: click.Context,
    /,
    interface: str,
    ports: tuple[int, ...],
    output: str | None,
    snap: int,
    duration: int | None,
    count: int | None,
    kernel: str | None,
    attached: bool,
) -> int:
    """Capture TCP, UDP, and the ICMP errors that answer them, each packet once.

    A line a packet, or with -w a file. It says `capturing` when the next packet will be seen, and stops
    with SIGINT or SIGTERM; then it says how many packets the kernel had to drop.
    """
    from evloop_trace.capture.filters import MOST_PORTS
    from evloop_trace.capture.session import capture
    from evloop_trace.capture.wanted import Wanted

    if len(ports) > MOST_PORTS:
        raise click.UsageError(f"--port is given {len(ports)} times: the kernel's filter holds {MOST_PORTS}")
    if duration == 0:
        raise click.UsageError("--duration 0 leaves no time for a packet: give it more, or leave it out")
    seconds = None if duration is None else duration / 1e9
    wanted = Wanted(interface, ports, output, snap, seconds, count, attached, kernel)
    if kernel is not None:
        _check_kernel(ctx, kernel, output)
    try:
        if kernel is not None and output is None:
            from evloop_trace.capture.without_packets import record

            return record(wanted, tell)
        return capture(wanted, write, tell)
    except BrokenPipeError:
        raise OutputClosed from None


def _check_kernel(ctx: click.Context, kernel: str, output: str | None) -> None:
    """Options that contradict --kernel."""
    if kernel in {"", "-"}:
        raise click.UsageError(f"--kernel {kernel!r} is no file: name one")
    options.one_file_each(("-w", output), ("--kernel", kernel))
    about_packets = {"interface": "-i", "snap": "--snap", "count": "--count"}
    for name, option in about_packets.items():
        if output is None and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} is about packets, and --kernel alone captures none: add -w")


@click.command(short_help="Analyse the TCP and UDP connections of a capture.")
@click.argument("file", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a connection, one a line.")
@click.option(
    "--packet",
    "numbers",
    multiple=True,
    callback=options.ranges,
    metavar="N|N-M",
    help="Show this packet in full, the first is 1; repeatable.",
)
def packets(file: str, as_json: bool, numbers: list[range]) -> int:
    """Analyse the TCP and UDP connections of a capture: FILE is pcap or pcapng, gzip or not.

    Each connection with its handshake, its data and its end, and in words what is notable about it. The exit
    code is 1 if a part of the file could not be read, or if it has no such packet.
    """
    from evloop_trace import packeting

    if numbers and as_json:
        raise click.UsageError("--json is about connections, --packet about packets: leave one out")
    if numbers:
        return _dissect(file, numbers)
    capture, analysis = packeting.analyse(file, 0 if as_json else packeting.STORIES)
    if as_json:
        for lines in packeting.json_lines(analysis):
            write(lines)
    else:
        _stories(capture, analysis, file)
    for sentence in packeting.problems(capture, analysis):
        tell(f"{file}: {sentence}")
    return FOUND if capture.problems else OK


def _dissect(file: str, numbers: list[range]) -> int:
    """Packets one by one; the exit code."""
    from evloop_trace.dissecting import frames
    from evloop_trace.packets.capture_file import Capture
    from evloop_trace.views.dissection import dissection
    from evloop_trace.views.page import PLAIN_WIDTH, render

    capture = Capture()
    sheet = paper(PLAIN_WIDTH)
    for frame in frames(file, numbers, capture):
        write(render(dissection(frame, file, sheet.width), colour=sheet.colour))
    for sentence in capture.problems:
        tell(f"{file}: {sentence}")
    last = max(it[-1] for it in numbers)
    if capture.packets < last:
        tell(f"{file}: there is no packet {last:,}: the last is {capture.packets:,}")
    return FOUND if capture.problems or capture.packets < last else OK


def _stories(capture: Capture, analysis: Analysis, name: str) -> None:
    """The connections as wide as the terminal and coloured, if there is one."""
    from evloop_trace.packets.summary import summarize
    from evloop_trace.views.packets import heading, line, story
    from evloop_trace.views.page import PLAIN_WIDTH, render

    sheet = paper(PLAIN_WIDTH)
    write(render(heading(capture, len(analysis), name, sheet.width), colour=sheet.colour))
    for conn in analysis.connections():
        summary = summarize(conn)
        lines = [line(summary, sheet.width)] if conn.marks is None else story(conn, summary, sheet.width)
        write(render(lines, colour=sheet.colour))


@click.command(short_help="Lay calls, packets and the kernel's TCP side by side.")
@click.argument("logs", metavar="[LOG...]", nargs=-1)
@click.option("--packets", "capture", metavar="FILE", help="A capture of the same time, pcap or pcapng.")
@click.option("--kernel", metavar="FILE", help="What the kernel said, from evloop-trace capture --kernel.")
@click.option(
    "--conn",
    metavar="ID",
    help="Only this connection: its name in a log, its client's address, or its number in the ladder.",
)
@click.option("--bytes", "ruler", metavar="ID", help="Of this connection only its bytes: a ruler.")
@click.option(
    "--width",
    type=click.IntRange(60, 500),
    metavar="N",
    help="Columns.  [default: the terminal's, else 120]",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each call, packet and state.")
@click.option(
    "--from", "start", callback=options.time, metavar="T", default="0", help="From T on: seconds, or 250ms."
)
@click.option("--to", "end", callback=options.time, metavar="T", help="Up to T.")
def timeline(
    logs: tuple[str, ...],
    capture: str | None,
    kernel: str | None,
    conn: str | None,
    ruler: str | None,
    width: int | None,
    as_json: bool,
    start: int,
    end: int | None,
) -> int:
    """Lay the calls of programs, the packets between them, and the kernel's TCP side by side, on one clock.

    The client's calls stand left, the server's right, the wire between. Each call is joined to the packets
    that it caused, and to those that it got, by the bytes of the stream.
    """
    from evloop_trace import aligning
    from evloop_trace.correlate.choice import NotOneError

    if not (logs or capture):
        raise click.UsageError("nothing to lay side by side: name a LOG, or --packets FILE, or both")
    if end is not None and end < start:
        raise click.UsageError("--to is before --from: nothing lies between them")
    if ruler is not None and (as_json or conn or start or end is not None):
        raise click.UsageError(
            "--bytes draws the whole of one connection: leave out --json, --conn, --from and --to"
        )
    wanted = aligning.Wanted(logs, capture, kernel, conn or ruler, start, end)
    sheet = paper(120)
    style = aligning.Style(max(60, sheet.width) if width is None else width, sheet.colour)
    try:
        if as_json:
            return aligning.as_json(wanted, write, tell)
        return (aligning.measure if ruler else aligning.draw)(wanted, style, write, tell)
    except NotOneError as error:
        tell(str(error))
        return FOUND
