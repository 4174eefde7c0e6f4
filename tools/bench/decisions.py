"""What evloop's loop saves by what it leaves out: nanoseconds for each way of doing the same.

    python tools/bench/decisions.py

Each figure is the best of many goes, on Unix socket pairs; compare them with each other alone.
"""

from __future__ import annotations

import argparse
import select
import selectors
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

READY = 100  # sockets that are ready at once
GOES = 1000
MESSAGE = bytes(64)


def best(run: Callable[[], object], per: int = 1) -> float:
    """The least nanoseconds that `run` took, for each of the `per` things it does."""
    clock, least = time.perf_counter_ns, 1 << 62
    for _ in range(GOES):
        begun = clock()
        run()
        least = min(least, clock() - begun)
    return least / per


def poll_rows(socks: Sequence[socket.socket]) -> Iterator[tuple[str, float]]:
    """Asking what is ready, when all of them are."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ)
        yield "poll, each ready socket: selectors", best(selector.select, READY)
    if hasattr(select, "epoll"):
        with select.epoll() as epoll:
            for sock in socks:
                epoll.register(sock, select.EPOLLIN)
            yield "poll, each ready socket: epoll", best(epoll.poll, READY)


def call_rows(here: socket.socket, there: socket.socket) -> Iterator[tuple[str, float]]:
    """What is done for a message, and what need not be."""

    def watch_for_room() -> None:
        """What a loop does that sends only when told that it may."""
        selector.modify(here, selectors.EVENT_READ | selectors.EVENT_WRITE)
        selector.modify(here, selectors.EVENT_READ)

    def read_nothing() -> None:
        """What a loop does that reads until there is no more."""
        try:  # noqa: SIM105 - what a loop would do
            here.recv(65536)
        except BlockingIOError:
            pass

    def message() -> None:
        """There and back: two of each."""
        there.send(MESSAGE)
        here.send(here.recv(65536))
        there.recv(65536)

    with selectors.DefaultSelector() as selector:
        selector.register(here, selectors.EVENT_READ)
        yield "watch for WRITE, and no more", best(watch_for_room)
    yield "a recv that finds nothing", best(read_nothing)
    yield "a recv of 64 B, and a send of it", best(message) / 2


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    pairs = [socket.socketpair() for _ in range(READY)]
    for here, there in pairs:
        here.setblocking(False)
        there.send(b"x")
    rows = list(poll_rows([here for here, _ in pairs]))
    pairs[0][0].recv(1)
    rows += call_rows(*pairs[0])
    for name, ns in rows:
        print(f"{name:36}{ns:8.0f} ns")
    for pair in pairs:
        for sock in pair:
            sock.close()


if __name__ == "__main__":
    main()
