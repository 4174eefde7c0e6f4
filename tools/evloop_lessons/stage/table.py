"""What the kernel says of the network: its TCP sockets, and what it has counted; proc_pid_net(5).

Anybody may read it; it is the table of the network in which the reader is.
"""

from __future__ import annotations

from typing import Any

from evloop_trace.proc_net import every_socket

__all__ = ["look"]

_COUNTERS = (
    "ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "SyncookiesSent",
    "TCPAbortOnData", "TCPAbortOnClose", "TCPTimeouts", "TCPZeroWindowDrop", "TCPFromZeroWindowAdv",
    "TCPToZeroWindowAdv", "TCPWantZeroWindowAdv", "UdpRcvbufErrors",
)  # fmt: skip


def look() -> tuple[list[list[Any]], dict[str, int]]:
    """[local, peer, state, unread, unsent] of each socket, without a peer if it listens; and the counters."""
    sockets = [
        [local, peer, seen.state, seen.unread, seen.unsent] for (local, peer), seen in every_socket("self")
    ]
    return sorted(sockets), _counters()


def _counters() -> dict[str, int]:
    """Those that are not 0; of UDP's with its name in front, as nstat(8) writes them."""
    every = _counted("netstat", "TcpExt") | {f"Udp{it}": n for it, n in _counted("snmp", "Udp").items()}
    return {name: int(every[name]) for name in _COUNTERS if every.get(name, "0") != "0"}


def _counted(name: str, protocol: str) -> dict[str, str]:
    """A protocol's counters: a line with their names, and one with their values."""
    try:
        with open(f"/proc/self/net/{name}", encoding="ascii") as file:
            names, values = (line.split()[1:] for line in file if line.startswith(f"{protocol}:"))
    except (OSError, ValueError):
        return {}
    return dict(zip(names, values, strict=False))
