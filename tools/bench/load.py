"""Load one server, check every byte it answers, and say how fast it was and what it cost.

    python load.py tcp HOST:PORT --size 64 --clients 100 --seconds 1 --pid PID

A closed loop: a client sends its next message when the answer to the last one is there and right. The
report is one JSON object: `messages` in `seconds`; `errors`, of which `first_error` says how the first
began; `lost` datagrams; `load_cpu`, the part of the time for which this program itself was busy (near 1
it is the limit, and not the server); and, if the process of the server is named, `user_us` and
`system_us`, microseconds of its CPU time for each message, and `waited`, the part of the time for which
it, or this program, was ready to run and another process had its core (the larger of the two).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from datagrams import Datagrams
from process import cpu_of, raise_file_limit, rss_of
from streams import Churn, Failures, Streams, connect_all, exchange

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

__all__ = ["main"]

WARM = 0.5  # seconds before it counts: the C library has then learnt what sizes are asked for
SAMPLE = 100  # idle connections that are asked at the end whether they still live


class Load(Protocol):
    """What keeps a server busy."""

    failures: Failures

    def run(self, seconds: float) -> int:
        """Go on for so long; how many messages were answered."""

    def close(self) -> None:
        """No more."""


def measure(load: Load, seconds: float, pid: int | None) -> dict[str, Any]:
    """A window of `seconds`, after some time to get warm."""
    load.run(min(WARM, seconds))
    before, own_before = cpu_of(pid) if pid else None, cpu_of(os.getpid())
    busy, begun = time.process_time(), time.perf_counter()
    messages = load.run(seconds)
    took, busy = time.perf_counter() - begun, time.process_time() - busy
    after, own_after = cpu_of(pid) if pid else None, cpu_of(os.getpid())
    report: dict[str, Any] = {"messages": messages, "seconds": took, "load_cpu": busy / took, "waited": 0.0}
    if before and after and own_before and own_after:
        waited = max(after.waited - before.waited, own_after.waited - own_before.waited)
        report["waited"] = waited / 1e9 / took
    if before and after and messages:
        user, system = after.since(before)
        report |= {"user_us": user / messages / 1000, "system_us": system / messages / 1000}
    return report


def measure_among_idle(
    load: Load, where: tuple[str, str], *, idle: int, seconds: float, pid: int | None
) -> dict[str, Any]:
    """A window alone, another among `idle` connections that say nothing, and the bytes that each costs."""
    alone = measure(load, seconds, pid)
    rss_before = rss_of(pid) if pid else None
    socks: list[socket.socket] = []
    try:
        socks = connect_all(*where, idle, load.failures)
        rss_after = rss_of(pid) if pid else None
        report = measure(load, seconds, pid)
        for sock in socks[:: max(1, idle // SAMPLE)]:
            if not exchange(sock, b"still there?"):
                load.failures.add("an idle connection got no answer any more")
    finally:
        for sock in socks:
            sock.close()
    report |= {"alone": alone, "idle": idle}
    if rss_before and rss_after:
        report["idle_bytes"] = (rss_after - rss_before) / idle
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 1 if any answer was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "kind", choices=["tcp", "unix", "udp", "churn"], help="churn is TCP, a connection a message"
    )
    parser.add_argument("address", help="HOST:PORT, or the path of a Unix socket")
    parser.add_argument("--size", type=int, default=64, help="bytes of a message")
    parser.add_argument("--clients", type=int, default=100, help="connections, or sockets")
    parser.add_argument("--window", type=int, default=8, help="datagrams under way for each socket")
    parser.add_argument("--idle", type=int, default=0, help="so many connections more, which say nothing")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--pid", type=int, help="the server's process")
    given = parser.parse_args(argv)
    raise_file_limit()
    try:
        report = _run(given)
    except OSError as error:
        report = {
            "messages": 0,
            "seconds": 0.0,
            "load_cpu": 0.0,
            "errors": 1,
            "first_error": str(error),
            "lost": 0,
            "waited": 0.0,
        }
    print(json.dumps(report))
    return 1 if report["errors"] else 0


def _run(given: argparse.Namespace) -> dict[str, Any]:
    load: Load
    if given.kind == "udp":
        load = Datagrams(given.address, given.clients, given.size, given.window)
    elif given.kind == "churn":
        load = Churn("tcp", given.address, given.clients, given.size)
    else:
        load = Streams(given.kind, given.address, given.clients, given.size)
    try:
        if given.idle:
            where = given.kind, given.address
            report = measure_among_idle(load, where, idle=given.idle, seconds=given.seconds, pid=given.pid)
        else:
            report = measure(load, given.seconds, given.pid)
    finally:
        load.close()
    failures = load.failures
    if not report["messages"]:
        failures.add("no message was answered")
    lost = load.lost if isinstance(load, Datagrams) else 0
    return report | {"errors": failures.count, "first_error": failures.first, "lost": lost}


if __name__ == "__main__":
    sys.exit(main())
