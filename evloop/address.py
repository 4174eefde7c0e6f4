"""Addresses as people type them and as a log shows them: `HOST:PORT`, `[::1]:PORT`, or a path.

Pure: nothing is resolved here; `Kernel.resolve` asks the system.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from evloop.errors import AddressError
from evloop.printable import encodable

__all__ = [
    "Address",
    "Inet",
    "InetSockaddr",
    "Sockaddr",
    "UnixPath",
    "format_sockaddr",
    "host_of",
    "is_loopback",
    "parse_inet",
    "parse_unix",
    "why_unscoped",
]

InetSockaddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
Sockaddr: TypeAlias = InetSockaddr | str | bytes | None

# struct sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing NUL among them; unix(7).
MAX_UNIX_PATH = 103


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Inet(NamedTuple):
    """A TCP or UDP address; `host` may be a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return _host_port(self.host, self.port)


class UnixPath(NamedTuple):
    """A Unix socket; a leading `@` stands for the NUL of Linux's abstract names, which no file shows."""

    path: str

    def __str__(self) -> str:
        return self.path


Address: TypeAlias = Inet | UnixPath


def parse_inet(text: str) -> Inet:
    """`HOST:PORT`, `[V6]:PORT`, `[V6%INTERFACE]:PORT`, `:PORT` or `PORT`; without a host it is 127.0.0.1.

    Raises:
        AddressError: it is none of these.
    """
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"the address {text!r} has several colons: write an IPv6 address as [::1]:8080")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise AddressError(f"the address {text!r} has no port from 0 to 65535: write it as 127.0.0.1:8080")
    if any(c.isspace() or not c.isprintable() or c in "[]" for c in host):
        raise AddressError(
            f"the address {text!r} has white space, brackets or control characters in its host: write it as "
            "127.0.0.1:8080 or [::1]:8080"
        )
    numeric, percent, scope = host.partition("%")  # RFC 4007, 11
    if percent and (":" not in numeric or not scope or set(scope) & set(":/")):
        raise AddressError(
            f"the address {text!r} has a % that does not stand between an IPv6 address and an interface: "
            "write it as [fe80::1%eth0]:8080"
        )
    return Inet(host or "127.0.0.1", int(port))


def why_unscoped(address: Address) -> str:
    """What a link-local address lacks that names no interface; empty if it is none, or names one.

    Every interface has such addresses: without one the system answers EINVAL, ipv6(7).
    """
    if isinstance(address, UnixPath) or ":" not in address.host or "%" in address.host:
        return ""
    if not address.host.lower().startswith(("fe8", "fe9", "fea", "feb")):  # fe80::/10
        return ""
    scoped = _host_port(f"{address.host}%eth0", address.port)
    return f"{address} may be on any interface: say on which, as in {scoped}; `ip link` lists them"


def parse_unix(text: str) -> UnixPath:
    """A path, or `@name` for an abstract name.

    Raises:
        AddressError: it is empty, or longer than a socket address can hold.
    """
    size = len(text.encode(errors="surrogateescape"))
    if not text or "\0" in text:
        raise AddressError(f"the path {text!r} cannot be a Unix socket: give a path such as /tmp/evloop.sock")
    if size > MAX_UNIX_PATH:
        raise AddressError(
            f"the path of a Unix socket holds {MAX_UNIX_PATH} bytes and this one has {size}: "
            "choose a shorter one, or go into its folder and give a relative path"
        )
    return UnixPath(text)


def format_sockaddr(address: Sockaddr) -> str:
    """What accept(2) and getsockname(2) give, as the log shows it; an unnamed Unix socket is empty.

    A link-local address has its interface's number, as `ip link` shows it: `[fe80::1%2]:8080`.
    """
    if isinstance(address, tuple):
        return _host_port(host_of(address), address[1])
    path = _text(address or "")
    return f"@{path[1:]}" if path.startswith("\0") else path  # so begins an abstract name


def host_of(address: InetSockaddr) -> str:
    """The host; with the number of its interface, if it is link-local: sin6_scope_id, ipv6(7)."""
    host = _text(address[0])
    if len(address) == 4 and address[3] and "%" not in host:
        return f"{host}%{address[3]}"
    return host


def _text(name: str | bytes) -> str:
    return name.decode(errors="backslashreplace") if isinstance(name, bytes) else encodable(name)


def is_loopback(host: str) -> bool:
    """Whether a numeric host can be reached from this machine alone."""
    return host.startswith(("127.", "::ffff:127.")) or host == "::1"
