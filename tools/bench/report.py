"""Tables of a run: medians with their least and most, and ratios that were taken within a round."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from contestants import CELLS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

__all__ = ["NOTES", "Table", "as_markdown", "print_tables", "summary_table", "tables_of"]

NOTES = """\
The load is a Python program. Where "load busy" comes near 100 % it is the limit, and not the server: rates,
and their ratios, then differ less than the servers do. What a message costs is the server's CPU time.
Ratios (x) are taken within a round, against asyncio Protocol; more is better. (…) holds the least and the
most of all rounds. Compare what is in one run, never one run with another.
"Waited" is the part of the time in which server or load was ready to run and others had its core: where
it is much more than 20 %, the machine was busy with something else, and the row tells little."""
SPLIT = ("user_us", "system_us")
BAD = "-"


class Table(NamedTuple):
    """Text in rows; the first column is words and the others are numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def rounds_of(reports: Sequence[dict[str, Any]]) -> str:
    """How many there were."""
    count = 1 + max((report["round"] for report in reports), default=-1)
    return "1 round" if count == 1 else f"{count} rounds"


def spread(values: Sequence[float], form: str) -> str:
    """The median, and the least and the most if there are several."""
    if not values:
        return BAD
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}}…{max(values):{form}})"


# -- loads ----------------------------------------------------------------------------------------


def rate(report: dict[str, Any]) -> float:
    """Messages a second."""
    return report["messages"] / report["seconds"] if report["seconds"] else 0.0


def cpu(report: dict[str, Any]) -> float:
    """Microseconds of the server's CPU time a message; 0 if not known."""
    return float(report.get("user_us", 0.0) + report.get("system_us", 0.0))


def ratios(
    reports: Sequence[dict[str, Any]], who: str, value: Callable[[dict[str, Any]], float]
) -> list[float]:
    """A server's value through the reference's, round by round."""
    reference = {report["round"]: value(report) for report in reports if report["server"] == REFERENCE}
    own = {report["round"]: value(report) for report in reports if report["server"] == who}
    return [own[number] / reference[number] for number in own if reference.get(number)]


def per_cpu(report: dict[str, Any]) -> float:
    """Messages a second of the server's CPU time."""
    return 1e6 / cpu(report) if cpu(report) else 0.0


def load_table(name: str, reports: Sequence[dict[str, Any]]) -> Table:
    """One cell, a row a server."""
    columns = ["server", "messages/s", "x rate", "CPU µs/message", "user + system", "x per CPU"]
    columns += ["load busy", "waited"]
    idle = max((report.get("idle", 0) for report in reports), default=0)
    if idle:
        columns += ["rate / alone", "KiB/idle"]
    rows = []
    for who in dict.fromkeys(report["server"] for report in reports):
        own = [report for report in reports if report["server"] == who]
        known = [report for report in own if cpu(report)]
        parts = [statistics.median(report[key] for report in known) for key in SPLIT if known]
        waits = [report["waited"] for report in known]
        row = [
            who + trouble(own),
            spread([rate(report) for report in own], ",.0f"),
            spread(ratios(reports, who, rate), ".2f"),
            spread([cpu(report) for report in known], ".1f"),
            " + ".join(f"{part:.1f}" for part in parts) or BAD,
            spread([ratio for ratio in ratios(reports, who, per_cpu) if ratio], ".2f"),
            f"{statistics.median(report['load_cpu'] for report in own):.0%}",
            f"{statistics.median(waits):.0%}" if waits else BAD,
        ]
        if idle:
            compared = [rate(report) / rate(report["alone"]) for report in own if has_alone(report)]
            memory = [report["idle_bytes"] / 1024 for report in own if "idle_bytes" in report]
            row += [spread(compared, ".2f"), spread(memory, ".2f")]
        rows.append(row)
    title = CELLS[name].title.replace("10,000", f"{idle:,}") if idle else CELLS[name].title
    return Table(f"{name}: {title} ({rounds_of(reports)})", columns, rows)


def has_alone(report: dict[str, Any]) -> bool:
    """Whether the rate without idle connections is there, and not 0."""
    return bool(rate(report.get("alone", {"messages": 0, "seconds": 0})))


def trouble(reports: Sequence[dict[str, Any]]) -> str:
    """What went wrong, in brackets."""
    said = []
    if errors := sum(report["errors"] for report in reports):
        first = next(report["first_error"] for report in reports if report["errors"])
        said.append(f"{errors:,} errors: {first}")
    if lost := sum(report["lost"] for report in reports):
        said.append(f"{lost:,} datagrams lost")
    return f" [{'; '.join(said)}]" if said else ""


def summary_table(cells: dict[str, list[dict[str, Any]]]) -> Table:
    """The cost of a message, every server in every cell."""
    servers = dict.fromkeys(report["server"] for reports in cells.values() for report in reports)
    rows = []
    for who in servers:
        row = [who]
        for reports in cells.values():
            costs = [cpu(report) for report in reports if report["server"] == who and cpu(report)]
            row.append(f"{statistics.median(costs):.1f}" if costs else BAD)
        rows.append(row)
    return Table("CPU µs of the server a message, medians; less is better", ["server", *cells], rows)


# -- commands -------------------------------------------------------------------------------------


def startup_table(reports: Sequence[dict[str, Any]]) -> Table:
    """A row a command."""
    rows = [
        [what, spread([1000 * report["seconds"] for report in reports if report["what"] == what], ".0f")]
        for what in dict.fromkeys(report["what"] for report in reports)
    ]
    return Table(f"startup: to the end, or until it listens ({rounds_of(reports)})", ["command", "ms"], rows)


def reading_table(reports: Sequence[dict[str, Any]]) -> Table:
    """A row a command."""
    rows = []
    for what in dict.fromkeys(report["what"] for report in reports):
        own = [report for report in reports if report["what"] == what]
        rows.append(
            [
                what,
                spread([report["events"] / report["seconds"] for report in own], ",.0f"),
                spread([report["seconds"] for report in own], ".1f"),
                spread([report["rss"] / 2**20 for report in own], ".0f"),
            ]
        )
    events = max(report["events"] for report in reports)
    columns = ["command", "events/s", "seconds", "peak RSS, MiB"]
    title = f"reading: a log of {events:,} events, output to /dev/null ({rounds_of(reports)})"
    return Table(title, columns, rows)


def tables_of(results: dict[str, Any]) -> list[Table]:
    """Every table of a run."""
    cells: dict[str, list[dict[str, Any]]] = {name: runs for name, runs in results["cells"].items() if runs}
    loads = {name: runs for name, runs in cells.items() if name in CELLS}
    tables = [load_table(name, runs) for name, runs in loads.items()]
    if len(loads) > 1:
        tables.append(summary_table(loads))
    if "startup" in cells:
        tables.append(startup_table(cells["startup"]))
    if "reading" in cells:
        tables.append(reading_table(cells["reading"]))
    return tables


# -- on paper -------------------------------------------------------------------------------------


def print_tables(console: Console, tables: Sequence[Table]) -> None:
    """Tables for a terminal."""
    from rich import box  # noqa: PLC0415 - tests of the figures need none of it
    from rich.table import Table as RichTable  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    for table in tables:
        shown = RichTable(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD)
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        console.print(shown)


def as_markdown(results: dict[str, Any]) -> str:
    """The machine and every table, for a page."""
    parts = [f"{results['when']}: {results['machine']}. {results['how']}"]
    for table in tables_of(results):
        lines = [f"**{table.title}**", "", row_of(table.columns)]
        lines.append(row_of(["---", *["--:"] * (len(table.columns) - 1)]))
        parts.append("\n".join([*lines, *map(row_of, table.rows)]))
    return "\n\n".join(parts)


def row_of(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
