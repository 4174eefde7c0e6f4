"""Measure evloop beside other echo servers on this machine.

    python tools/bench/run.py                           everything: about seven minutes
    python tools/bench/run.py --cell echo-64 --cell udp --rounds 5
    python tools/bench/run.py --only "evloop,asyncio Protocol" --json results.json
    python tools/bench/run.py --from results.json --markdown

Servers and load are processes of their own, on different cores where the system lets us choose. Every
server runs once a round, in an order that rotates; ratios are taken within a round. docs/performance.md
says what each cell means.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from arguments import at_least_one, positive
from commands import run_reading, run_startup
from contestants import CELLS, SERVERS, Server, missing
from process import Cores, raise_file_limit
from report import NOTES, as_markdown, print_tables, summary_table, tables_of
from rich.console import Console
from rounds import run_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

ROUNDS, SECONDS, EVENTS = 3, 1.0, 1_000_000
DESCRIPTORS = 100  # that a process needs besides its connections


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    names = ", ".join([*CELLS, "startup", "reading"])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--cell", action="append", metavar="CELL", help=f"only this one; repeatable: {names}")
    add("--only", metavar="SERVERS", help=f"only these, with commas between: {', '.join(SERVERS)}")
    add("--rounds", type=at_least_one, default=ROUNDS, help=f"how often each server runs (default {ROUNDS})")
    add("--seconds", type=positive, default=SECONDS, help=f"how long each time (default {SECONDS:g})")
    add("--events", type=at_least_one, default=EVENTS, help=f"of the log that is read (default {EVENTS:,})")
    add("--idle", type=at_least_one, help="idle connections (default 10,000, or what the file limit allows)")
    add("--json", metavar="FILE", help="write every single measurement there; - is standard output")
    add("--markdown", action="store_true", help="print Markdown instead of tables for a terminal")
    add(
        "--from",
        dest="files",
        action="append",
        metavar="FILE",
        help="only show what --json wrote",
    )
    given = parser.parse_args(argv)
    given.cell = given.cell or [*CELLS, "startup", "reading"]
    if unknown := [name for name in given.cell if name not in CELLS and name not in {"startup", "reading"}]:
        parser.error(f"no cell is called {', '.join(unknown)}: choose from {names}")
    given.only = [name.strip() for name in given.only.split(",")] if given.only else list(SERVERS)
    if unknown := [name for name in given.only if name not in SERVERS]:
        parser.error(f"no server is called {', '.join(unknown)}: choose from {', '.join(SERVERS)}")
    return given


def machine() -> str:
    """What it ran on, in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = ""
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name")) + ", "
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}{cores} cores, {platform.system()} {platform.release()}, {python}"


def measure(given: argparse.Namespace, servers: dict[str, Server], console: Console) -> dict[str, Any]:
    """Every cell that was asked for; its tables are printed as soon as they are there."""
    cores, files = Cores.choose(), raise_file_limit()
    idle = min(given.idle or 10_000, files - DESCRIPTORS)
    if "idle" in given.cell and idle < (given.idle or 10_000):
        console.print(f"Only {idle:,} idle connections: more files may not be open here (ulimit -n).")
    where = "servers and load on cores of their own" if cores.server is not None else "cores not chosen"
    results: dict[str, Any] = {
        "when": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "how": f"Rounds of {given.seconds:g} s; {where}.",
        "cells": {},
    }
    console.print(f"{results['machine']}. {results['how']}", highlight=False)
    with console.status("") as status:

        def tell(what: str) -> None:
            status.update(what)

        for name in dict.fromkeys(given.cell):
            if name == "startup":
                reports = run_startup(given.rounds, cores, tell)
            elif name == "reading":
                reports = run_reading(given.rounds, given.events, cores, tell)
            else:
                how = {"rounds": given.rounds, "seconds": given.seconds, "idle": idle}
                reports = run_cell(name, servers, cores=cores, tell=tell, **how)
            results["cells"][name] = reports
            if not given.markdown:
                print_tables(console, tables_of({"cells": {name: reports}}))
    return results


def load_results(paths: Sequence[str]) -> dict[str, Any]:
    """What --json wrote, several runs as one: their cells must differ."""
    results: dict[str, Any] = {}
    for path in paths:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        if not results:
            results = run
        else:
            results["cells"] |= run["cells"]
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 1 if a server answered anything wrongly."""
    given = options(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    out = Console(stderr=given.json == "-" or given.markdown, width=None if sys.stdout.isatty() else 200)
    if given.files:
        results = load_results(given.files)
        if not given.markdown:
            print_tables(out, tables_of(results))
    else:
        servers = {name: SERVERS[name] for name in given.only if not missing(SERVERS[name])}
        for name in given.only:
            if name not in servers:
                needs = SERVERS[name].needs
                out.print(f"Without {name}: {needs} is not installed (python -m pip install {needs}).")
        results = measure(given, servers, out)
        loads = {name: reports for name, reports in results["cells"].items() if name in CELLS}
        if not given.markdown:
            if len(loads) > 1:
                print_tables(out, [summary_table(loads)])
            if loads:
                out.print(NOTES, highlight=False)
    if given.json:
        _write(given.json, results)
    if given.markdown:
        print(as_markdown(results))
    wrong = [report for reports in results["cells"].values() for report in reports if report.get("errors")]
    return 1 if wrong else 0


def _write(path: str, results: dict[str, Any]) -> None:
    if path == "-":
        print(json.dumps(results))
        return
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file)
        file.write("\n")


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130
    except (OSError, RuntimeError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)
