"""Write a log as a busy server would have: `python make_log.py FILE EVENTS`.

With another file's name behind, its clients' log goes there, and both together have so many events.
They are made up, but whole: `evloop-trace check` finds nothing wrong with them.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from evloop import __version__
from evloop.events.schema import (
    SCHEMA,
    Accept,
    Close,
    Connect,
    End,
    Event,
    Header,
    Interest,
    Listen,
    Poll,
    Recv,
    Send,
    Socket,
)
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["blocks_of", "main"]

CONNECTIONS = 100
READY = 20  # connections that a tick serves
SIZE = 64  # bytes of a message
MESSAGE = bytes(range(32, 32 + SIZE))
BOOT = "made-up"
WHY = "until something is ready: no timer is set"


def beginning(connections: int, number: count[int]) -> Iterator[Event]:
    """A server that listens, and whoever connects to it, one a tick."""
    yield Header(
        next(number),
        0,
        0,
        SCHEMA,
        1,
        1,
        0,
        1,
        ["evloop"],
        {"evloop": __version__},
        "epoll",
        "echo",
        "prefix",
        SIZE,
        boot_id=BOOT,
    )
    yield Listen(next(number), 100, 0, 50, "listen-1", 3, "tcp", "127.0.0.1:8080", 128)
    yield Interest(next(number), 200, 0, None, "listen-1", "", "READ", "there is room for connections")
    for i in range(1, connections + 1):
        t = i * 1000
        yield Poll(next(number), t, i, 500, None, WHY, [("listen-1", "IN")])
        peer = f"127.0.0.1:{40000 + i}"
        yield Accept(next(number), t + 600, i, 50, "listen-1", f"tcp-{i}", 3 + i, peer, "127.0.0.1:8080", 0)
        yield Interest(next(number), t + 700, i, f"tcp-{i}", None, "", "READ", "nothing waits to be sent")


def turn(tick: int, ready: list[int], offsets: list[int], number: count[int]) -> Iterator[Event]:
    """A tick: each connection that is ready sends a message and gets it back."""
    t = tick * 1000
    yield Poll(next(number), t, tick, 500, None, WHY, [(f"tcp-{i}", "IN") for i in ready])
    for at, i in enumerate(ready):
        span = (offsets[i], offsets[i] + SIZE)
        offsets[i] += SIZE
        name, when = f"tcp-{i}", t + 510 + 20 * at
        yield Recv(next(number), when, tick, 8, name, 3 + i, 65536, SIZE, span, MESSAGE)
        yield Send(next(number), when + 10, tick, 8, name, 3 + i, SIZE, SIZE, span, MESSAGE)


def ending(tick: int, offsets: list[int], number: count[int]) -> Iterator[Event]:
    """All is closed."""
    t = tick * 1000
    yield Poll(next(number), t, tick, 500, None, WHY, [("evloop", "IN")])
    for i, total in enumerate(offsets[1:], 1):
        name = f"tcp-{i}"
        yield Interest(next(number), t + 510, tick, name, None, "READ", "", "stop")
        yield Close(next(number), t + 510, tick, 0, 3 + i, "stop", name, received=total, sent=total)
    yield Interest(next(number), t + 510, tick, None, "listen-1", "READ", "", "stop")
    yield Close(next(number), t + 510, tick, 0, 3, "stop", sock="listen-1")
    last = next(number)
    yield End(last, t + 600, tick, "SIGTERM", last + 1)


def blocks_of(events: int) -> Iterator[list[Event]]:
    """A log of at least so many events, and of few more, a tick or so at a time."""
    number = count()
    connections = min(CONNECTIONS, events // 10)
    yield list(beginning(connections, number))
    offsets, tick, written = [0] * (connections + 1), connections, 3 + 3 * connections
    ready_at_once = min(READY, connections)
    while written < events - 2 * connections - 4:
        tick += 1
        ready = [1 + (tick * ready_at_once + i) % connections for i in range(ready_at_once)]
        yield list(turn(tick, ready, offsets, number))
        written += 1 + 2 * ready_at_once
    yield list(ending(tick + 1, offsets, number))


def clients_of(blocks: Iterator[list[Event]]) -> Iterator[tuple[list[Event], list[Event]]]:
    """Blocks of a server's log, each with what its clients did: all in one process, a connection each."""
    number, told = count(), 0
    for block in blocks:
        mine: list[Event] = []
        for event in block:
            mine += client_of(event, number)
        if isinstance(block[-1], End):
            last = next(number)
            mine.append(End(last, block[-1].t + 1000, 0, "exit", last + 1))
        # What was received is told behind what was sent meanwhile.
        mine.sort(key=lambda event: (event.t, event.seq))
        for event in mine:
            event.seq, told = told, told + 1
        yield block, mine


def client_of(event: Event, number: count[int]) -> list[Event]:
    """What a client did before or behind an event of the server."""
    t = event.t
    if isinstance(event, Header):
        fields = {"seq": next(number), "pid": 2, "argv": ["clients"], "model": "client"}
        return [msgspec.structs.replace(event, **fields)]
    if isinstance(event, Accept) and event.conn:
        fd, name = event.fd or 0, event.conn
        return [
            Socket(next(number), t - 250, 0, 50, name, fd, "tcp"),
            Connect(next(number), t - 150, 0, 100, fd, name, None, event.local, event.peer),
        ]
    if isinstance(event, Recv):
        return [Send(next(number), t - 300, 0, 8, event.conn, event.fd, SIZE, SIZE, event.off, MESSAGE)]
    if isinstance(event, Send):
        return [Recv(next(number), t + 90, 0, 8, event.conn, event.fd, 65536, SIZE, event.off, MESSAGE)]
    if isinstance(event, Close) and event.conn:
        n, sent = event.sent, event.received
        return [
            Recv(next(number), t + 100, 0, 8, event.conn, event.fd, 65536, 0, (n, n)),
            Close(next(number), t + 200, 0, 8, event.fd, "close", event.conn, received=n, sent=sent),
        ]
    return []


def main(path: str, events: str, clients: str = "") -> None:
    """Write it, or both, and print how many events there are."""
    written = 0
    with open(path, "wb") as file, open(clients or os.devnull, "wb") as other:
        blocks = blocks_of(int(events) // (2 if clients else 1))
        pairs = clients_of(blocks) if clients else ((block, list[Event]()) for block in blocks)
        for block, mine in pairs:
            file.write(encode(block))
            other.write(encode(mine))
            written += len(block) + len(mine)
    print(written)


if __name__ == "__main__":
    main(*sys.argv[1:])
