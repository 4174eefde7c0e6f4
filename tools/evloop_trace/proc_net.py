"""What the kernel says, now, of the TCP sockets of a process: /proc/PID/net/tcp and tcp6."""

from __future__ import annotations

import os
import struct
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis import Seen
from evloop_trace.packets import machine
from evloop_trace.packets.addresses import address_text

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["every_socket", "sockets_of"]

# A SYN and a FIN take a sequence number each, so they stand in a queue as if they were a byte.
_SYN_OR_FIN_UNSENT = {machine.SYN_SENT, machine.FIN_WAIT_1, machine.LAST_ACK, machine.CLOSING}
_FIN_UNREAD = {machine.CLOSE_WAIT, machine.LAST_ACK, machine.CLOSING}


def sockets_of(pid: int) -> dict[tuple[str, str], Seen]:
    """The TCP sockets that a process has open, by their address and their peer's; a listener has no peer.

    The table is that of the process's network namespace, /proc/PID/net (proc_pid_net(5)). Of sockets with
    the same address none is told, since nobody could say which is which.
    """
    ours = _inodes(pid)
    found: dict[tuple[str, str], Seen] = {}
    times: Counter[tuple[str, str]] = Counter()
    for name in ("tcp", "tcp6"):
        for ends, inode, seen in _table(f"/proc/{pid}/net/{name}"):
            if ours is None or inode in ours:
                found[ends] = seen
                times[ends] += 1
    return {ends: seen for ends, seen in found.items() if times[ends] == 1}


def every_socket(pid: int | str) -> Iterator[tuple[tuple[str, str], Seen]]:
    """All TCP sockets of a process's network, whoever has them, also such as nobody has any more."""
    for name in ("tcp", "tcp6"):
        for ends, _, seen in _table(f"/proc/{pid}/net/{name}"):
            yield ends, seen


def _inodes(pid: int) -> set[str] | None:
    """The numbers of the sockets that the process holds; None if we may not look."""
    numbers = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):  # closed in the meantime
                kind, _, number = os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")
                if kind == "socket":
                    numbers.add(number.strip("[]"))
    except OSError:
        return None
    return numbers


def _table(path: str) -> Iterator[tuple[tuple[str, str], str, Seen]]:
    """A socket a line: both addresses, its inode, and how it is."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()[1:]
    except OSError:  # no such protocol, no such process
        return
    for line in lines:
        _, local, peer, number, queues, _, _, _, _, inode, *_ = line.split()
        state = machine.LINUX_STATES.get(int(number, 16), number)
        sent, received = (int(size, 16) for size in queues.split(":"))
        unsent = sent - (state in _SYN_OR_FIN_UNSENT)
        unread = received - (state in _FIN_UNREAD)
        ends = _address(local), "" if state == "LISTEN" else _address(peer)
        yield ends, inode, Seen(state, max(unread, 0), max(unsent, 0))


def _address(text: str) -> str:
    """`0100007F:1F90` as `127.0.0.1:8080`: the host is in words of this machine's byte order."""
    host, _, port = text.partition(":")
    raw = b"".join(struct.pack("=I", int(host[at : at + 8], 16)) for at in range(0, len(host), 8))
    return address_text(raw, int(port, 16))
