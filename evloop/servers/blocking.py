"""What the servers that block have in common: a line to be called on, and what may go wrong on it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath
from evloop.kernel import is_broken_socket, is_resource_shortage
from evloop.net.shortage import RETRY_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from evloop.kernel import Kernel, Recvfrom, Socket
    from evloop.protocols import Respond

__all__ = ["Line", "mailbox", "switched_on", "wait_for_call", "wait_for_letter"]


class Line(NamedTuple):
    """What a blocking server is given; `recv_size` is bytes."""

    kernel: Kernel
    address: Address
    """Numeric, or a path."""
    backlog: int
    recv_size: int
    respond: Respond
    opened: Callable[[Socket], None]
    """To be called when callers can call."""
    report: Callable[[str], None]
    """Takes sentences for the person who runs the server."""
    armed: Callable[[], AbstractContextManager[None]]
    """In its context the next signal raises `Stopped`: where the main thread sleeps, and nowhere else."""
    unsignalled: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    """In its context threads are started that no signal reaches: it is meant for the main thread."""


@contextlib.contextmanager
def switched_on(line: Line) -> Iterator[Socket]:
    """Steps 1 to 3, a socket that listens; and step 7, it is closed, whatever happened in between.

    A Unix socket's path goes first, while it is certainly ours: that of a closed socket is anybody's.
    """
    kernel, address = line.kernel, line.address
    phone = kernel.listen(address, line.backlog)
    inode = kernel.inode_of(address) if isinstance(address, UnixPath) else 0
    try:
        line.opened(phone)
        yield phone
    finally:
        if isinstance(address, UnixPath):
            kernel.remove_path(address, inode)
        kernel.close(phone, "stop")


def wait_for_call(line: Line, phone: Socket) -> tuple[Socket, Sockaddr]:
    """accept(2): sleep until somebody has called. Who gave up before we answered does not count."""
    while True:
        try:
            with line.armed():
                return line.kernel.accept(phone)
        except OSError as error:
            _be_patient(error)  # until a conversation ends and gives its descriptor back


def wait_for_letter(recvfrom: Recvfrom, size: int) -> tuple[bytes, InetSockaddr]:
    """recvfrom(2): sleep until a datagram has come. What is longer than `size` bytes is cut."""
    while True:
        try:
            return recvfrom(size)
        except OSError as error:
            _be_patient(error)  # else it was an ICMP message about an earlier answer


def _be_patient(error: OSError) -> None:
    """Let a shortage pass; an error that would come again at once, and for ever, is raised."""
    if is_broken_socket(error):
        raise error
    if is_resource_shortage(error):
        time.sleep(RETRY_AFTER)


@contextlib.contextmanager
def mailbox(line: Line) -> Iterator[Socket]:
    """A datagram socket has no line to be called on: socket(2), bind(2), and letters can come."""
    kernel = line.kernel
    assert isinstance(line.address, Inet)
    box = kernel.bind(line.address)
    try:
        line.opened(box)
        with line.armed():
            yield box
    finally:
        kernel.close(box, "stop")
