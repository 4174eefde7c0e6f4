"""Echo with `selectors` and nothing else, as a textbook has it, but trying to send first: TCP, UDP or Unix.

It checks little, closes without a word, and keeps no limits: what a loop costs that does no more
than it must.

    python bare_selectors.py KIND ADDRESS
"""

from __future__ import annotations

import selectors
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

selector = selectors.DefaultSelector()
waiting: dict[socket.socket, bytes] = {}  # what the kernel would not take yet


def accept(listener: socket.socket, _mask: int) -> None:
    """One new connection."""
    sock, _ = listener.accept()
    sock.setblocking(False)
    selector.register(sock, selectors.EVENT_READ, echo)


def echo(sock: socket.socket, mask: int) -> None:
    """Read once and answer, or go on sending what waits."""
    if mask & selectors.EVENT_WRITE:
        if send(sock, waiting.pop(sock)):
            selector.modify(sock, selectors.EVENT_READ, echo)
        return
    try:
        data = sock.recv(65536)
    except ConnectionError:
        data = b""
    if data:
        send(sock, data)
    else:
        selector.unregister(sock)
        sock.close()


def send(sock: socket.socket, data: bytes) -> bool:
    """Hand over what the kernel takes, and watch for room for the rest; whether all of it is gone.

    Nothing is read from whoever has not taken their answer yet.
    """
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    except ConnectionError:
        return True  # the next recv tells
    if sent < len(data):
        waiting[sock] = data[sent:]
        selector.modify(sock, selectors.EVENT_WRITE, echo)
        return False
    return True


def echo_datagram(sock: socket.socket, _mask: int) -> None:
    """Answer one datagram."""
    data, peer = sock.recvfrom(65535)
    sock.sendto(data, peer)


def main(kind: str, address: str) -> None:
    """Serve for ever; `address` is HOST:PORT or a path."""
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    sock.setblocking(False)
    host, _, port = address.rpartition(":")
    sock.bind(address if kind == "unix" else (host, int(port)))
    ready: Callable[[socket.socket, int], None] = echo_datagram
    if kind != "udp":
        sock.listen()
        ready = accept
    if kind == "tcp":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(sock, selectors.EVENT_READ, ready)
    bound = sock.getsockname()
    where = bound if kind == "unix" else f"{bound[0]}:{bound[1]}"
    print(f"listening {kind} {where}", file=sys.stderr, flush=True)
    while True:
        for key, mask in selector.select():
            key.data(key.fileobj, mask)


if __name__ == "__main__":
    main(*sys.argv[1:])
