"""The capture's bench: messages at a rate, and the tables of what a capture costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[3] / "tools" / "bench"
SECONDS = 60
ALONE = ("unshare", "-Urn", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def test_pace() -> None:
    """Every message is answered, and the times are in order."""
    serve = [sys.executable, "-P", "-m", "evloop", "serve", "--mode", "echo", "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        address = server.stderr.readline().split()[2]
        options = ["--rate", "500", "--clients", "5", "--seconds", "0.1"]
        done = subprocess.run(
            [sys.executable, str(BENCH / "pace.py"), address, *options],
            stdout=subprocess.PIPE, timeout=SECONDS, check=False,
        )  # fmt: skip
        server.terminate()
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["answered"] == report["messages"] == 300
    assert 0 < report["p50"] <= report["p99"] <= report["worst"]


def test_captured() -> None:
    """A round of each: packets were captured, and both rates are there."""
    command = [*ALONE, sys.executable, str(BENCH / "captured.py"), "--rounds", "1", "--seconds", "0.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("  ")]
    packets = [int(row[1].replace(",", "")) for row in rows if row[0] == "packets"]
    assert len(packets) == 2
    assert all(packets)
    assert ["rate", "with"] in [row[:2] for row in rows]
