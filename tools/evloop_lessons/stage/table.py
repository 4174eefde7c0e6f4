"""What the kernel says of the network's TCP sockets: /proc/self/net/tcp and netstat, proc_pid_net(5).

Anybody may read it; it is the table of the network in which the reader is.
"""

from __future__ import annotations

from typing import Any

from evloop_trace.proc_net import every_socket

__all__ = ["look"]

_COUNTERS = (
    "ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesSent",
    "TCPAbortOnData", "TCPAbortOnClose", "TCPTimeouts", "TCPZeroWindowDrop", "TCPFromZeroWindowAdv",
    "TCPToZeroWindowAdv", "TCPWantZeroWindowAdv",
)  # fmt: skip


def look() -> tuple[list[list[Any]], dict[str, int]]:
    """[local, peer, state, unread, unsent] of each socket, without a peer if it listens; and the counters."""
    sockets = [
        [local, peer, seen.state, seen.unread, seen.unsent] for (local, peer), seen in every_socket("self")
    ]
    return sorted(sockets), _counters()


def _counters() -> dict[str, int]:
    """Those that are not 0."""
    try:
        with open("/proc/self/net/netstat", encoding="ascii") as file:
            names, values = (line.split() for line in file if line.startswith("TcpExt:"))
    except (OSError, ValueError):
        return {}
    every = dict(zip(names, values, strict=False))
    return {name: int(every[name]) for name in _COUNTERS if every.get(name, "0") != "0"}
