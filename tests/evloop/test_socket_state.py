"""What the system tells of sockets: real ones."""

from __future__ import annotations

import errno
import os
import socket
import time

from evloop.address import Inet, UnixPath
from evloop.socket_state import (
    accept_queue,
    errno_name,
    peer_process,
    queue_wait,
    unread_bytes,
    unsent_bytes,
)


def test_bytes_unread_and_unsent(kernel, keep):
    """What a close would lose, of both sides."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 1))
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    accepted = keep(kernel.accept(listener)[0])
    client.sendall(b"seven!!")
    accepted.setblocking(True)
    assert accepted.recv(100, socket.MSG_PEEK) == b"seven!!"
    assert unread_bytes(accepted.fileno()) == 7
    assert unread_bytes(client.fileno()) == 0
    assert unsent_bytes(accepted.fileno()) == 0
    ours, theirs = (keep(sock) for sock in kernel.socket_pair())
    ours.send(b"12345")
    assert unread_bytes(theirs.fileno()) == 5
    client.close()
    assert unread_bytes(client.fileno()) is unsent_bytes(client.fileno()) is None


def test_the_accept_queue(kernel, keep, short_dir):
    """How many wait and how many may, of TCP; a Unix listener does not tell, nor a closed one."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    assert accept_queue(listener) == (0, 5)
    for _ in range(3):
        keep(kernel.connect(Inet(*listener.getsockname()), 1))
    assert accept_queue(listener) == (3, 5)
    assert accept_queue(keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))) is None
    listener.close()
    assert accept_queue(listener) is None


def test_names_of_errnos():
    """As man pages write them, and those that have no name."""
    assert errno_name(errno.ECONNRESET) == "ECONNRESET"
    assert errno_name(99999) == "E99999"
    assert errno_name(None) == "ENone"


def test_how_long_a_connection_waited(kernel, keep, short_dir):
    """The kernel counts in its own ticks, of at most 10 ms; bytes that came meanwhile change nothing."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    began = time.monotonic_ns()
    client = keep(kernel.connect(Inet(*listener.getsockname()), 1))
    while time.monotonic_ns() - began < 60_000_000:
        client.send(b"x")
    accepted = keep(kernel.accept(listener)[0])
    waited = queue_wait(accepted)
    assert 40_000_000 <= waited <= time.monotonic_ns() - began + 10_000_000
    accepted.close()
    assert queue_wait(accepted) is None
    path = keep(kernel.listen(UnixPath(f"{short_dir}/s"), 1))
    assert queue_wait(path) is None


def test_who_is_at_the_other_end(kernel, keep, short_dir):
    """Of a Unix connection; TCP does not tell."""
    address = UnixPath(f"{short_dir}/s")
    listener = keep(kernel.listen(address, 1))
    keep(kernel.connect(address, 1))
    accepted = keep(kernel.accept(listener)[0])
    assert peer_process(accepted) == os.getpid()
    accepted.close()
    assert peer_process(accepted) is None
    assert peer_process(keep(socket.socket())) is None
