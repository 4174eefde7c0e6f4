"""What is not a load: how long commands take to start, and how fast logs are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from contestants import EVLOOP, HERE
from process import Cores, started, until_it_listens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["run_reading", "run_startup"]

TIMED = (sys.executable, "-S", "-E", os.path.join(HERE, "timed.py"))
WRITER = (sys.executable, os.path.join(HERE, "make_log.py"))
TRACE = (sys.executable, "-P", "-m", "evloop_trace")
PATIENCE = 300.0  # seconds for one command
SMALL = 100  # events of the log that shows how long a command takes to start

READERS: dict[str, tuple[str, ...]] = {
    "evloop-trace check": (*TRACE, "check"),
    "evloop-trace stats": (*TRACE, "stats"),
    "evloop-trace replay --speed max": (*TRACE, "replay", "--speed", "max"),
}


def timed(command: Sequence[str], core: int | None) -> dict[str, Any]:
    """Run a command to its end; see timed.py for the report.

    Raises:
        RuntimeError: the command failed, or took too long.
    """
    with started([*TIMED, *command], core, stdout=subprocess.PIPE) as child:
        try:
            report: dict[str, Any] = json.loads(child.communicate(timeout=PATIENCE)[0])
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{' '.join(command)} did not end in {PATIENCE:g} s") from None
    if report["code"]:
        raise RuntimeError(f"{' '.join(command)} ended with code {report['code']}")
    return report


def make_log(path: str, events: int) -> int:
    """Write a log of about so many events; how many it has."""
    done = subprocess.run([*WRITER, path, str(events)], check=True, timeout=PATIENCE, stdout=subprocess.PIPE)
    return int(done.stdout)


def listen_once(core: int | None) -> float:
    """Seconds from starting a server until it says that it listens."""
    begun = time.perf_counter()
    command = [*EVLOOP, "--tcp", "127.0.0.1:0"]
    with started(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:
        until_it_listens(server)
        return time.perf_counter() - begun


def run_startup(rounds: int, cores: Cores, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Reports of `what` was started, with its `seconds`; a first time, which fills caches, is not counted."""
    reports = []
    with tempfile.TemporaryDirectory(prefix="evloop-bench-") as folder:
        log = f"{folder}/small.jsonl"
        make_log(log, SMALL)
        commands = {
            "python, doing nothing": (sys.executable, "-c", "pass"),
            "evloop --help": (*EVLOOP[:-3], "--help"),
            f"evloop-trace replay of {SMALL} events": (*READERS["evloop-trace replay --speed max"], log),
        }
        for number in range(-1, rounds):
            tell(f"startup, round {max(0, number) + 1} of {rounds}")
            once = {what: timed(command, cores.server)["seconds"] for what, command in commands.items()}
            once["evloop serve, until it listens"] = listen_once(cores.server)
            if number >= 0:
                reports += [{"what": what, "round": number, "seconds": took} for what, took in once.items()]
    return reports


def run_reading(rounds: int, events: int, cores: Cores, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Reports of `what` read a log of `events` events, with its `seconds` and peak `rss` in bytes."""
    reports = []
    with tempfile.TemporaryDirectory(prefix="evloop-bench-") as folder:
        tell(f"reading: writing a log of {events:,} events")
        log = f"{folder}/large.jsonl"
        events = make_log(log, events)
        for number in range(rounds):
            for what, command in READERS.items():
                tell(f"reading, round {number + 1} of {rounds}: {what}")
                report = timed([*command, log], cores.server)
                reports.append({"what": what, "round": number, "events": events, **report})
    return reports
