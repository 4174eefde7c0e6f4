"""Which end of a connection in one log belongs to which end in another, or in the same.

A TCP connection has the same two addresses on both its ends. They may be used again, by another connection,
but not before nothing is left of the first: so an accept belongs to the last connect before it. A Unix
socket's client has no address: there it is the path, the process, and the order, which is a queue's.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from evloop_trace.correlate.ends import End

__all__ = ["Key", "Pairs", "plain", "tcp_key", "unix_key"]

Key: TypeAlias = tuple[str, str]

LIMIT = 20_000
"""Ends that may wait for their other end; the oldest go first."""

_UNIX = "unix"
_SCOPE = re.compile(r"^(\[[0-9a-f:.]+)%[^\]]*\]")


def tcp_key(client: str, server: str) -> Key:
    """What both ends of a TCP connection call it: the client's address and the server's."""
    return plain(client), plain(server)


def unix_key(path: str, pid: int | None) -> Key:
    """What is known of a Unix connection on both ends: the path's last part, and the client's process."""
    return f"{pid}:{path.rpartition('/')[2]}", _UNIX


def plain(address: str) -> str:
    """An address without the dress that IPv4 wears on an IPv6 socket, and without an interface.

    The first is RFC 4291, 2.5.5.2. The other is a number that only one machine knows it by (RFC 4007, 6), and
    that no packet has.
    """
    if "%" in address:
        address = _SCOPE.sub(r"\1]", address)
    return address[8:].replace("]", "", 1) if address.startswith("[::ffff:") and "." in address else address


class Pairs:
    """Ends whose other end is not known yet."""

    def __init__(self, *, one_clock: bool) -> None:
        self._one_clock = one_clock
        self._connects: dict[Key, deque[End]] = {}
        self._accepts: dict[Key, deque[End]] = {}
        self._waiting = 0

    def connected(self, key: Key, end: End) -> tuple[End | None, bool]:
        """A connect succeeded: the end that was accepted, if that is known, and if it is certain."""
        while key in self._accepts:
            other = self._take(self._accepts, key)
            # What was accepted before this connect began was another connection.
            if not self._one_clock or other.t >= end.t:
                return other, self._certain(self._accepts, key)
            other.forget()
        if self._one_clock and key[1] != _UNIX:
            self._forget(self._connects, key)
        self._wait(self._connects, key, end)
        return None, True

    def accepted(self, key: Key, end: End) -> tuple[End | None, bool]:
        """A connection was accepted: the end that connected, if that is known, and if it is certain."""
        if key in self._connects and (not self._one_clock or self._connects[key][0].t <= end.t):
            other = self._take(self._connects, key)
            return other, self._certain(self._connects, key)
        self._wait(self._accepts, key, end)
        return None, True

    def forget(self, key: Key, end: End) -> None:
        """The accepted end's other end will not come."""
        ends = self._accepts.get(key)
        if ends is not None and end in ends:
            ends.remove(end)
            self._waiting -= 1
            if not ends:
                del self._accepts[key]

    def lose(self) -> None:
        """Events are missing: whoever waits may have met its other end there."""
        for waiting in (self._connects, self._accepts):
            for key in list(waiting):
                self._forget(waiting, key)

    def _certain(self, waiting: dict[Key, deque[End]], key: Key) -> bool:
        return key[1] != _UNIX and (self._one_clock or key not in waiting)

    def _wait(self, waiting: dict[Key, deque[End]], key: Key, end: End) -> None:
        waiting.setdefault(key, deque()).append(end)
        self._waiting += 1
        if self._waiting > LIMIT:
            fullest = max(self._connects, self._accepts, key=len)
            self._take(fullest, next(iter(fullest))).forget()

    def _take(self, waiting: dict[Key, deque[End]], key: Key) -> End:
        ends = waiting[key]
        end = ends.popleft()
        if not ends:
            del waiting[key]
        self._waiting -= 1
        return end

    def _forget(self, waiting: dict[Key, deque[End]], key: Key) -> None:
        while key in waiting:
            self._take(waiting, key).forget()
