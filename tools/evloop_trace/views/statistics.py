"""A log in numbers, as tables and bars; plain text where no colour is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration, percent, size
from evloop_trace.views.page import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from evloop_trace.model.report import Bucket, DatagramReport, Report, TcpReport, WaitReport

__all__ = ["PLAIN_WIDTH", "render", "statistics_view"]

_BAR = 30
PLAIN_WIDTH = 120
"""Cells, where there is no terminal to ask."""


def render(report: Report, name: str, width: int = PLAIN_WIDTH, *, colour: bool = False) -> str:
    """The report as text, `width` cells wide but never less than 60."""
    return as_text(statistics_view(report, name), max(width, 60), colour=colour)


def statistics_view(report: Report, name: str) -> RenderableType:
    """The whole report, one part under the other; what is empty is left out."""
    parts: list[RenderableType] = [_overview(report, name), _calls(report)]
    if report.threads:
        parts.append(_threads(report))
    if report.sleeps:
        parts.append(_sleeps(report))
    if report.busiest:
        parts.append(_busiest(report))
    if report.slowest:
        parts.append(_slowest(report))
    histograms: tuple[tuple[str, list[Bucket], Callable[[int], str]], ...] = (
        ("Sockets ready in a tick", report.ready, count),
        ("Asleep in a poll", report.sleeps_ns, duration),
        ("Bytes in a recv", report.recv_sizes, size),
        ("Bytes in a send", report.send_sizes, size),
    )
    parts += [_histogram(title, buckets, show) for title, buckets, show in histograms if buckets]
    return Group(*[item for part in parts for item in (part, Text())][:-1])


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _table(title: str, *columns: str) -> Table:
    """Numbers stand to the right, and the first column to the left."""
    table = Table(
        title=_heading(title),
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
        title_style="",
    )
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left", overflow="fold")
    return table


def _cell(text: str) -> Text:
    """From the log: never markup, never a control character."""
    return Text(escape_text(text))


def _overview(report: Report, name: str) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.title = _heading(escape_text(name))
    grid.title_justify = "left"
    for label, value in _facts(report):
        grid.add_row(Text(label, style="dim"), Text(value))
    return grid


def _facts(report: Report) -> list[tuple[str, str]]:
    whole = max(1, report.duration_ns)
    facts = [
        ("events", f"{count(report.events)} in {duration(report.duration_ns)}{_trouble(report)}"),
        *(_loop(report, whole) if report.model in ("", "loop") or report.ticks else []),
        ("connections", _connections(report)),
        ("streams", f"{size(report.received)} received, {size(report.sent)} sent"),
    ]
    if report.connects.count:
        facts.append(("connect()", f"{_waits(report.connects)} until the connection was there"))
    if report.accept_waits.longest_ns:
        facts.append(("accept()", f"connections lay {_waits(report.accept_waits)} in the queue before"))
    if report.tcp.samples:
        facts.append(("TCP", _tcp(report.tcp)))
    datagrams = report.datagrams
    if datagrams.received or datagrams.sent or datagrams.refused:
        facts.append(("datagrams", _datagrams(datagrams)))
    return facts


def _tcp(tcp: TcpReport) -> str:
    asked = "asked once" if tcp.samples == 1 else f"asked {count(tcp.samples)} times"
    median, most = duration(tcp.rtt_median_ns), duration(tcp.rtt_longest_ns)
    segments = "1 segment" if tcp.retransmissions == 1 else f"{count(tcp.retransmissions)} segments"
    again = f"; {segments} sent again" if tcp.retransmissions else ""
    trips = f": round trip {median} (median), {most} at most" if tcp.rtt_median_ns else ""
    return f"{asked}{trips}{again}"


def _waits(waits: WaitReport) -> str:
    mean = duration(waits.total_ns // max(1, waits.count))
    return f"{mean} on average, {duration(waits.longest_ns)} at most"


def _loop(report: Report, whole: int) -> list[tuple[str, str]]:
    """What only polls tell."""
    ticks = ("ticks", f"{count(report.ticks)}, {report.ticks_per_second:,.0f} a second")
    times = (("asleep", report.blocked_ns), ("working", report.working_ns))
    if report.threads_count > 1:  # each has its own times
        return [ticks]
    return [
        ticks,
        *((word, f"{duration(ns)}, {percent(min(1.0, ns / whole))} of the time") for word, ns in times),
    ]


def _connections(report: Report) -> str:
    made = f"{count(report.connections)} accepted, {count(report.connected)} made"
    return (
        f"{made if report.connected else count(report.connections)}, "
        f"at most {count(report.connections_most)} at a time"
        + (f", {count(report.connections_open)} open at the end" if report.connections_open else "")
    )


def _datagrams(datagrams: DatagramReport) -> str:
    cut = f", {count(datagrams.truncated)} of them cut off" if datagrams.truncated else ""
    refused = f", {count(datagrams.refused)} not answered" if datagrams.refused else ""
    return (
        f"{count(datagrams.received)} received ({size(datagrams.received_bytes)}){cut}, "
        f"{count(datagrams.sent)} sent ({size(datagrams.sent_bytes)}){refused}"
    )


def _trouble(report: Report) -> str:
    notes = [
        f"{count(report.lost)} lost" if report.lost else "",
        f"{count(report.problems)} broken lines" if report.problems else "",
        f"{count(report.unknown)} unknown" if report.unknown else "",
        "" if report.complete else escape_text(report.cut) or "the log has no end",
    ]
    return "".join(f"; {note}" for note in notes if note)


def _calls(report: Report) -> RenderableType:
    table = _table("Calls", "call", "count", "in all", "mean", "longest", "errors")
    for name, calls in sorted(report.calls.items(), key=lambda item: -item[1].total_ns):
        errors = ", ".join(f"{number} {errno}" for errno, number in calls.errors.items())
        mean = duration(calls.total_ns // max(1, calls.count))
        longest = duration(calls.longest_ns)
        table.add_row(f"{name}()", count(calls.count), duration(calls.total_ns), mean, longest, _cell(errors))
    return table


def _threads(report: Report) -> RenderableType:
    """Those that slept longest; of how many the title says."""
    left_out = report.threads_count - len(report.threads)
    title = f"Threads, and {count(left_out)} more" if left_out > 0 else "Threads"
    table = _table(title, "thread", "lived", "asleep", "share", "sleeps", "at the end")
    for thread in report.threads:
        table.add_row(
            _cell(thread.thread),
            duration(thread.lifetime_ns),
            duration(thread.slept_ns),
            percent(min(1.0, thread.slept_ns / max(1, thread.lifetime_ns))),
            count(thread.sleeps),
            _cell(f"in {thread.asleep_in}()" if thread.asleep_in else ""),
        )
    return table


def _sleeps(report: Report) -> RenderableType:
    table = _table("Asleep in calls", "call", "sleeps", "in all", "mean", "longest", "which was at")
    for name, sleep in report.sleeps.items():
        mean = duration(sleep.total_ns // max(1, sleep.count))
        table.add_row(
            _cell(f"{name}()"),
            count(sleep.count),
            duration(sleep.total_ns),
            mean,
            duration(sleep.longest_ns),
            _cell(sleep.longest_where),
        )
    return table


def _busiest(report: Report) -> RenderableType:
    table = _table(
        "Busiest connections", "conn", "peer", "received", "sent", "lifetime", "calls", "in calls", "end"
    )
    for conn in report.busiest:
        table.add_row(
            _cell(conn.conn),
            _cell(conn.peer or ""),
            size(conn.received),
            size(conn.sent),
            duration(conn.lifetime_ns),
            count(conn.calls),
            duration(conn.calls_ns),
            conn.reason or "open",
        )
    return table


def _slowest(report: Report) -> RenderableType:
    table = _table("Slowest handlers", "socket", "took", "events", "at", "line")
    for turn in report.slowest:
        table.add_row(
            _cell(turn.name),
            duration(turn.took_ns),
            count(turn.events),
            f"{turn.start_ns / 1e9:.6f} s",
            str(turn.line),
        )
    return table


def _histogram(title: str, buckets: list[Bucket], show: Callable[[int], str]) -> RenderableType:
    table = _table(title, "from", "below", "count", "share")
    table.add_column("", justify="left", no_wrap=True)
    total = sum(bucket.count for bucket in buckets)
    most = max(bucket.count for bucket in buckets)
    for bucket in buckets:
        bar = "█" * round(bucket.count / most * _BAR) or ("▏" if bucket.count else "")
        table.add_row(
            show(bucket.at_least),
            show(bucket.below),
            count(bucket.count),
            percent(bucket.count / total),
            Text(bar, style="cyan"),
        )
    return table
