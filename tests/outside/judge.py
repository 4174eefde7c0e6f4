"""Connections as tshark counts them, beside ours: `python tests/outside/judge.py FOLDER` compares captures.

A line for each connection that differs; the exit code is 1 if any does. What may differ, and why, is said in
docs/packets.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

SECONDS = 120.0
PACKETS = (sys.executable, "-P", "-m", "evloop_trace", "packets")

FIELDS = {
    "retransmission": "retransmissions",
    "fast_retransmission": "fast_retransmissions",
    "spurious_retransmission": "spurious_retransmissions",
    "out_of_order": "out_of_order",
    "duplicate_ack": "dup_acks",
    "zero_window": "zero_windows",
    "zero_window_probe": "zero_window_probes",
    "keep_alive": "keep_alives",
    "window_update": "window_updates",
    "window_full": "window_full",
}
_NAMES = (
    "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "tcp.completeness", "tcp.len", "tcp.flags.reset"
)  # fmt: skip


def judged(path, known=()):
    """By stream: completeness, and each field's count by who sent the packet.

    A packet in a tunnel has several addresses; it was sent by that of `known`, or by the innermost.
    """
    command = ["tshark", "-n", "-2", "-r", str(path), "-Y", "tcp.stream && !icmp && !icmpv6"]
    command += ["-o", "tcp.check_checksum:FALSE", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    for name in [*_NAMES, *(f"tcp.analysis.{name}" for name in FIELDS)]:
        command += ["-e", name]
    out = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False).stdout
    streams = {}
    for row in out.splitlines():
        cells = row.split("\t")
        stream, v4, v6, port, complete, size, reset, *found = cells
        hosts = [(host, int(port.split(";")[-1])) for host in f"{v4};{v6}".strip(";").split(";")]
        who = next((host for host in hosts if host in known), hosts[-1])
        counts = streams.setdefault(int(stream.split(";")[-1]), Counter())
        counts["completeness"] = int(complete.split(";")[-1] or 0)
        counts["packets", who] += 1
        counts["bytes", who] += int(size.split(";")[-1] or 0)
        counts["resets", who] += reset.split(";")[-1] in {"1", "True"}
        for name, value in zip(FIELDS.values(), found, strict=True):
            counts[name, who] += bool(value)
    return [+streams[number] for number in sorted(streams)]


def counted(summary):
    """One of our connections, as `judged` has it."""
    counts = Counter({"completeness": summary["completeness"]})
    for name in ["packets", "bytes", "resets", *FIELDS.values()]:
        for end, number in zip(("client", "server"), summary[name], strict=True):
            counts[name, tuple(summary[end])] += number
    return +counts


def ours(path):
    """Our connections over TCP, and what went wrong: a traceback, or more than bad input comes to."""
    done = subprocess.run([*PACKETS, "--json", str(path)], capture_output=True, timeout=SECONDS, check=False)
    if b"Traceback" in done.stderr or done.returncode not in {0, 1, 2}:
        return [], done.stderr.decode()
    summaries = [json.loads(line) for line in done.stdout.splitlines()]
    return [it for it in summaries if it["proto"] == "tcp"], ""


def differences(path):
    """A line for each connection that is not the same."""
    summaries, wrong = ours(path)
    if wrong:
        yield wrong
    known = {tuple(it[end]) for it in summaries for end in ("client", "server")}
    theirs, mine = judged(path, known), [counted(it) for it in summaries]
    if len(theirs) != len(mine):
        yield f"{len(mine)} connections, tshark has {len(theirs)}"
    for summary, here, there in zip(summaries, mine, theirs, strict=False):
        if here != there:
            parts = [
                f"{key}: {here[key]}, tshark {there[key]}" for key in here | there if here[key] != there[key]
            ]
            yield f"{summary['client']} {summary['server']}: {'; '.join(parts)}"


def main(folder):
    """Compare all files of a folder."""
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    differ = 0
    for path in files:
        lines = list(differences(path))
        differ += bool(lines)
        for line in lines:
            print(f"{path.name}: {line}", flush=True)
    print(f"{len(files)} captures, {differ} differ")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
