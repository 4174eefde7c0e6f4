"""Addresses as somebody may type them: parsed, written out, parsed again, and given to the system."""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import tempfile
from typing import TYPE_CHECKING

from evloop.address import Inet, UnixPath, format_sockaddr, is_loopback, parse_inet, parse_unix
from evloop.errors import AddressError
from evloop.kernel import Kernel
from evloop.printable import encodable, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPTIONS", "PACKAGES", "look", "seeds"]

PACKAGES = ("evloop.address", "evloop.kernel", "evloop.printable")
OPTIONS = ("-timeout=5", "-rss_limit_mb=512", "-max_len=256")
_KERNEL = Kernel()
_FOLDER = tempfile.mkdtemp(prefix="evloop-fuzz-")
atexit.register(shutil.rmtree, _FOLDER)


def look(data: bytes) -> None:
    """As a word of the command line has it: bytes that are no text are kept as surrogates."""
    text = os.fsdecode(data)
    assert printable(encodable(text)).isprintable()
    try:
        inet = parse_inet(text)
    except AddressError as error:
        _shown(error)
    else:
        assert parse_inet(str(inet)) == inet
        _ask(inet)
    try:
        path = parse_unix(text)
    except AddressError as error:
        _shown(error)
    else:
        assert parse_unix(str(path)) == path
        _listen(path)


def _shown(error: AddressError) -> None:
    said = printable(encodable(str(error)))
    assert said.isprintable()
    assert len(said) > 20


def _ask(inet: Inet) -> None:
    """What the system makes of it, if no name has to be asked for: bound, and where it says that it is."""
    try:
        socket.getaddrinfo(inet.host, inet.port, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return
    try:
        for numeric in _KERNEL.resolve(inet, datagram=True):
            assert parse_inet(str(numeric)) == numeric
            is_loopback(numeric.host)
            sock = _KERNEL.bind(numeric)
            bound = parse_inet(_KERNEL.address_of(sock))
            _KERNEL.close(sock, "stop")
            assert bound.port == numeric.port or not numeric.port
    except AddressError as error:
        _shown(error)


def _listen(path: UnixPath) -> None:
    """A socket of that name, where nothing else can be: made, named as it was asked for, and removed."""
    if "/" in path.path:
        return
    back = os.getcwd()
    os.chdir(_FOLDER)
    try:
        sock = _KERNEL.listen(path, 1)
    except AddressError as error:
        _shown(error)
        return
    else:
        inode = _KERNEL.inode_of(path)
        assert _KERNEL.address_of(sock) == format_sockaddr(path.path), (path, _KERNEL.address_of(sock))
        _KERNEL.remove_path(path, inode)
        _KERNEL.close(sock, "stop")
        assert not os.listdir(), "a path is left behind"
    finally:
        os.chdir(back)


def seeds() -> Iterator[bytes]:
    """As people write them."""
    yield from (
        b"127.0.0.1:0", b":0", b"[::1]:0", b"0", b"::1:80", b"[fe80::1%lo]:0", b"localhost:0", b"0x7f.1:0",
        b"a.sock", b"@abstract", b"@", b"x" * 103, b"\xff.sock", b"127.1:00000", b"[127.0.0.1]:0", b"[]:0",
    )  # fmt: skip
