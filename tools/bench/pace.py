"""Send messages at a rate, whatever the answers do, and say how long each answer took.

    python pace.py HOST:PORT --rate 10000 --clients 100 --seconds 3

An open loop: a message is due at its time, and its answer's time counts from there, so that a server that
stands still is charged for all who had to wait. The report is one JSON object: `messages` that were due,
`answered` of them, and the answers' times in microseconds, `p50`, `p99`, `worst`; `late`, microseconds by
which one message in a hundred was sent too late, which is this program's fault or the machine's.
"""

from __future__ import annotations

import argparse
import json
import select
import sys
import time

from streams import connect

__all__ = ["main"]

WARM = 0.5  # seconds that are not counted
LAST = 1.0  # seconds for answers to the last messages
SIZE = 64


def pace(address: str, rate: float, clients: int, seconds: float) -> dict[str, float]:
    """Run it."""
    socks = [connect("tcp", address) for _ in range(clients)]
    poller = select.epoll()
    waiting: dict[int, list[float]] = {}
    by_fd = {sock.fileno(): sock for sock in socks}
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN)
        waiting[fd] = []
    message, times, lates = bytes(SIZE), [], []
    number, count = 0, int(rate * (seconds + WARM))
    now = time.perf_counter
    begun = now()
    ends = begun + seconds + WARM + LAST
    while (number < count or any(waiting.values())) and now() < ends:
        due = begun + number / rate
        while number < count and due <= now():
            sock = socks[number % clients]
            sock.send(message)
            lates.append(now() - due)
            waiting[sock.fileno()].append(due)
            number += 1
            due = begun + number / rate
        for fd, _ in poller.poll(max(0.0, min(due - now(), 0.001))):
            got, at = len(by_fd[fd].recv(65536)) // SIZE, now()
            times += [(due, at - due) for due in waiting[fd][:got]]
            del waiting[fd][:got]
    for sock in socks:
        sock.close()
    counted = sorted(took for due, took in times if due >= begun + WARM) or [0.0]
    lates.sort()
    return {
        "messages": count,
        "answered": len(times),
        "p50": 1e6 * counted[len(counted) // 2],
        "p99": 1e6 * counted[len(counted) * 99 // 100],
        "worst": 1e6 * counted[-1],
        "late": 1e6 * lates[len(lates) * 99 // 100],
    }


def main() -> int:
    """Run it; 1 if an answer is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--rate", type=float, default=10_000, help="messages a second")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    report = pace(given.address, given.rate, given.clients, given.seconds)
    print(json.dumps(report))
    return 0 if report["answered"] == report["messages"] else 1


if __name__ == "__main__":
    sys.exit(main())
