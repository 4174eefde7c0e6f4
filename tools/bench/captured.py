"""What a capture costs the server beside it, and whether it loses packets.

    python tools/bench/captured.py [--rounds 5] [--seconds 3]

Rounds with and without a capture, in turns, on fresh servers; medians, least and most. At a rate: 10,000
messages a second over 100 connections, which are 20,000 packets; how long answers took. At saturation: the
closed loop of load.py; how many messages a second there were. Run it as root, or in `evloop lab`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from contestants import EVLOOP, HERE
from process import Cores, cpu_of, started, until_it_listens

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

CAPTURE = (sys.executable, "-P", "-m", "evloop_trace", "capture")
PATIENCE = 60.0
LOADS = {
    "at 10,000 messages/s": ("pace.py", "{address}"),
    "at saturation": ("load.py", "tcp", "{address}"),
}


@contextlib.contextmanager
def capturing(address: str, folder: str, report: dict[str, Any]) -> Iterator[None]:
    """A capture of the server's port, which runs wherever there is room; what it says in the end."""
    command = [*CAPTURE, "--port", address.rpartition(":")[2], "--snap", "128", "-w", f"{folder}/a.pcapng"]
    with started(command, None, stderr=subprocess.PIPE) as child:
        assert child.stderr
        assert child.stderr.readline().startswith(b"capturing on")
        before = cpu_of(child.pid)
        yield
        after = cpu_of(child.pid)
        child.terminate()
        said = child.stderr.read().decode()
        assert child.wait(PATIENCE) == 0, said
        found = re.search(r"([\d,]+) packets", said)
        dropped = re.search(r"dropped ([\d,]+)", said)
        assert found, said
        report["packets"] = int(found[1].replace(",", ""))
        report["dropped"] = int(dropped[1].replace(",", "")) if dropped else 0
        if before and after:
            report["capture_us"] = (after.ns - before.ns) / 1000 / max(1, report["packets"])


def once(load: tuple[str, ...], seconds: float, cores: Cores, *, captured: bool) -> dict[str, Any]:
    """One server, one load, and a capture of it or not."""
    extra: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evloop-bench-"))
        server = stack.enter_context(
            started(
                [*EVLOOP, "--tcp", "127.0.0.1:0"],
                cores.server,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
        address = until_it_listens(server)
        if captured:
            stack.enter_context(capturing(address, folder, extra))
        script, *arguments = (part.format(address=address) for part in load)
        command = [sys.executable, os.path.join(HERE, script), *arguments, "--seconds", str(seconds)]
        child = stack.enter_context(started(command, cores.load, stdout=subprocess.PIPE))
        report: dict[str, Any] = json.loads(child.communicate(timeout=seconds + PATIENCE)[0])
    if "messages" in report and "p99" not in report:
        report["rate"] = report["messages"] / report["seconds"]
    return report | extra


def middle(reports: list[dict[str, Any]], key: str) -> str:
    """Median, least and most."""
    values = [report[key] for report in reports]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}…{max(values):,.0f})"


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    cores = Cores.choose()
    for what, load in LOADS.items():
        reports: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
        for number in range(given.rounds):
            for captured in (bool(number % 2), not number % 2):
                reports[captured].append(once(load, given.seconds, cores, captured=captured))
        keys = ("rate",) if "saturation" in what else ("p50", "p99", "worst", "late", "answered")
        print(f"\n{what}, {given.rounds} rounds of {given.seconds:g} s: without, with a capture")
        for key in keys:
            print(f"  {key:<10} {middle(reports[False], key):<32} {middle(reports[True], key)}")
        first = keys[1] if len(keys) > 1 else keys[0]
        ratios = [b[first] / a[first] for a, b in zip(reports[False], reports[True], strict=True)]
        said = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}…{max(ratios):.2f})"
        print(f"  {first} with / without, by round: {said}")
        for key in ("packets", "dropped", "capture_us"):
            print(f"  {key:<10} {'':<32} {middle(reports[True], key)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
