"""The accept queues of programs that live: a log knows them as of the last accept, the kernel as of now.

In include/net/sock.h a listener's queue is `sk_ack_backlog`; /proc/PID/net/tcp has it as `rx_queue`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import Accept, Block, Close, Inherit, Listen, Queue
from evloop_trace.model.sockets import idle_listeners
from evloop_trace.proc_net import sockets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.apps.feed import Clock

__all__ = ["AcceptQueues"]

EVERY = 0.15  # seconds from one question to the next
SHARE = 50  # and so many times what asking costs: a table of many sockets is long


class _Listener(NamedTuple):
    address: str
    backlog: int


class AcceptQueues:
    """What events tell of the queues of TCP listeners, and when and how that is no longer so."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._due = -math.inf
        self._listeners: dict[str, _Listener] = {}
        self._backlogs: dict[str, int] = {}  # by address: who inherits a listener is not told, nor tells
        self._told: dict[str, int] = {}  # as how long each was told since the kernel was first asked

    def follow(self, events: Sequence[AnyEvent | Unknown]) -> None:
        """These have been told."""
        for event in events:
            if isinstance(event, Listen):
                if event.errno is None and event.proto == "tcp":
                    self._listeners[event.sock] = _Listener(event.address, event.backlog)
                    self._backlogs[event.address] = event.backlog
            elif isinstance(event, Inherit):
                if event.listens and event.proto == "tcp" and event.address in self._backlogs:
                    self._listeners[event.name] = _Listener(event.address, self._backlogs[event.address])
            elif isinstance(event, Close):
                self._listeners.pop(event.sock or "", None)
                self._told.pop(event.sock or "", None)
            elif isinstance(event, Queue | Accept):
                if event.sock in self._told and event.queued is not None:
                    self._told[event.sock] = event.queued
            elif isinstance(event, Block):
                self._told.update((name, 0) for name in idle_listeners(event) if name in self._told)

    def is_due(self) -> bool:
        """There are listeners, and it is a while since the kernel was asked."""
        return bool(self._listeners) and self._clock() >= self._due

    def ask(self, pids: Mapping[str, int], t: int) -> list[Queue]:
        """The queues that are not as they were told, by the kernel's word. They are told herewith.

        Args:
            pids: The processes that live, by what their sockets' names begin with.
            t: Now, on the log's clock.
        """
        start = self._clock()
        tables = {prefix: sockets_of(pid) for prefix, pid in pids.items() if self._has(prefix)}
        found = []
        for name, listener in self._listeners.items():
            seen = tables.get(_prefix(name), {}).get((listener.address, ""))
            if seen is not None and seen.state == "LISTEN" and self._told.get(name) != seen.unread:
                self._told[name] = seen.unread
                found.append(Queue(-1, t, 0, name, seen.unread, listener.backlog))
        self._due = start + max(EVERY, SHARE * (self._clock() - start))
        return found

    def _has(self, prefix: str) -> bool:
        return any(_prefix(name) == prefix for name in self._listeners)


def _prefix(name: str) -> str:
    """`4242:` of `4242:tcp-1`, which is another process's."""
    pid, colon, _ = name.rpartition(":")
    return pid + colon
