"""Binding a socket to an address, in detail: as what the system knows it, whose it may be, and why not.

Of Unix paths this is most of the work: what a server that died has left is taken over, what a living one
holds never is, and nobody may connect before the path has its mode.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from typing import TYPE_CHECKING, cast

from evloop.address import Address, Inet, InetSockaddr, Sockaddr, UnixPath, why_unscoped
from evloop.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bind", "explained", "family", "listen_on_path", "scoped", "sockaddr"]

LOCK_TRIES, LOCK_AGAIN = 50, 0.01  # seconds apart: others hold the lock for less than one of them


def family(address: Address) -> int:
    """Of which address family it is: a constant of socket(2)."""
    if isinstance(address, UnixPath):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def scoped(host: str, scope: str) -> str:
    """The interface in the words in which it was asked for, if it was."""
    numeric, percent, number = host.partition("%")
    return f"{numeric}{percent}{scope or number}" if percent else host


def sockaddr(address: Address) -> Sockaddr:
    """As Python's `socket` takes it: a pair, four for a link-local address, or a path or abstract name.

    Raises:
        OSError: there is no interface of that name.
    """
    if isinstance(address, Inet):
        if "%" in address.host:  # what its interface is by number only the system knows
            found = socket.getaddrinfo(address.host, address.port, flags=socket.AI_NUMERICHOST)
            return cast("InetSockaddr", found[0][4])
        return (address.host, address.port)
    return "\0" + address.path[1:] if address.path.startswith("@") else address.path


def bind(sock: socket.socket, address: Address) -> None:
    """bind(2), to a numeric address or a path.

    Raises:
        OSError: it cannot be bound; `explained` says why.
    """
    if sock.family == socket.AF_INET6:
        # One socket a family: else [::] would hold the IPv4 port as well, on some systems.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(sockaddr(address))  # type: ignore[arg-type]


def listen_on_path(sock: socket.socket, address: UnixPath, backlog: int, mode: int | None) -> None:
    """bind(2) and listen(2) on a path that nobody living has; `mode` is what it is created with, chmod(2).

    Raises:
        AddressError: a living server has it, or it is no socket of ours.
        OSError: as `bind`.
    """
    with _locked_folder(address):
        _take_over_path(address)
        # Before the path is there, not after: between the two anybody could connect.
        with contextlib.nullcontext() if mode is None else _umask(0o777 & ~mode):
            bind(sock, address)
        sock.listen(backlog)


@contextlib.contextmanager
def _locked_folder(address: UnixPath) -> Iterator[None]:
    """Let no other server of ours look at the path meanwhile: after bind(2) it refuses until listen(2).

    What is locked is the folder, flock(2): so no file is left of it. It is no fence. Who may read the folder
    may keep the lock, and nobody shall be kept from serving by that; so who cannot have it goes on without.
    """
    if address.path.startswith("@"):
        yield
        return
    try:
        fd = os.open(os.path.dirname(address.path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it may not be read, or is not there: then bind(2) says so
        yield
        return
    try:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOCK_AGAIN)
            except OSError:  # a file system without locks
                break
            else:
                break
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def explained(address: Address, kind: int) -> Iterator[None]:
    """Within, an OSError becomes an AddressError that says what is wrong with the address, and what to do.

    Args:
        address: What is to be bound.
        kind: SOCK_STREAM or SOCK_DGRAM, socket(2).
    """
    try:
        yield
    except OSError as error:
        raise AddressError(_why_not_bound(address, kind, error)) from error


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    """bind(2) creates the path with all permissions less the umask; a later chmod would come too late."""
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)


def _why_not_bound(address: Address, kind: int, error: OSError) -> str:
    port = address.port if isinstance(address, Inet) else 0
    flags = "-lunp" if kind == socket.SOCK_DGRAM else "-ltnp"
    match error.errno:
        case errno.EADDRINUSE if isinstance(address, Inet):
            who = f"`ss {flags} 'sport = :{port}'`"
            return f"{address} is in use: {who} shows by whom; stop that or choose another port"
        case errno.EADDRINUSE:
            return f"{address} is in use by a living server: stop that or choose another path"
        case errno.EACCES | errno.EPERM if isinstance(address, Inet) and 0 < port < 1024:
            return f"{address} is not permitted: ports below 1024 need rights; choose a higher one"
        case errno.EADDRNOTAVAIL:
            return f"{address} is not an address of this machine: `ip address` lists those that are"
        case errno.EAFNOSUPPORT:
            return f"{address} cannot be used: this machine has no IPv6"
        case _:
            unscoped = why_unscoped(address) if error.errno == errno.EINVAL else ""
            return unscoped or f"{address} cannot be bound: {error.strerror or error}"


def _take_over_path(address: UnixPath) -> None:
    """Remove what a server that died has left at `address`, and nothing else.

    Only connecting tells: a socket whose server is gone refuses (ECONNREFUSED).
    """
    if address.path.startswith("@"):
        return
    try:
        status = os.lstat(address.path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise AddressError(f"{address} exists and is no socket: choose another path, or move that file away")
    if status.st_uid != os.geteuid():
        raise AddressError(f"{address} is another user's socket: choose another path, or ask for its removal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a living server with a full queue gives EAGAIN at once
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise AddressError(f"{address} cannot be taken over: {error.strerror}") from None
    raise AddressError(f"{address} is in use by a living server: stop that or choose another path")
