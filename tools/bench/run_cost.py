"""What evloop-trace run costs a program: nanoseconds for each call on a socket, beside strace's.

    python tools/bench/run_cost.py

The same program runs plainly, recorded, and under strace -f -e trace=network, in turns,
so that what disturbs one disturbs all; the medians are compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

PROGRAM = os.path.join(os.path.dirname(__file__), "peers", "rounds.py")
PATIENCE = 300.0  # seconds for one run


def ways(folder: str) -> dict[str, list[str]]:
    """Name → what comes before the program; those that can be tried here."""
    log = os.path.join(folder, "log")
    run = [sys.executable, "-P", "-m", "evloop_trace", "run", "--log", log]
    found = {
        "plain": [sys.executable],
        "evloop-trace run": run,
        "the same, --payload none": [*run, "--payload", "none"],
    }
    if shutil.which("strace"):
        found["strace -f -e trace=network"] = [
            "strace", "-f", "-e", "trace=network", "-o", log, sys.executable,
        ]  # fmt: skip
    return found


def measure(command: Sequence[str], rounds: int) -> int:
    """Nanoseconds a call."""
    done = subprocess.run(
        [*command, PROGRAM, str(rounds)], check=True, timeout=PATIENCE, stdout=subprocess.PIPE
    )
    return int(done.stdout)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=7, help="of each way; the median counts")
    parser.add_argument("--rounds", type=int, default=20_000, help="messages there and back, a turn")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        commands = ways(folder)
        figures: dict[str, list[int]] = {name: [] for name in commands}
        for _ in range(max(1, options.turns)):
            for name, command in commands.items():
                figures[name].append(measure(command, max(1, options.rounds)))
    plain = statistics.median(figures["plain"])
    print(f"{'ns a call of 64 B':28}{'median':>8}{'least':>8}{'added':>8}")
    for name, times in figures.items():
        median = statistics.median(times)
        print(f"{name:28}{median:8.0f}{min(times):8.0f}{median - plain:8.0f}")


if __name__ == "__main__":
    main()
