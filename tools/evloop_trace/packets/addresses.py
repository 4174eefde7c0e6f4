"""Addresses as event logs have them."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

__all__ = ["MAPPED", "address_text"]

MAPPED = bytes(10) + b"\xff\xff"
"""What IPv4 mapped into IPv6 begins with (RFC 4291, section 2.5.5.2)."""


@lru_cache(1 << 12)
def address_text(host: bytes, port: int) -> str:
    """`127.0.0.1:8080`, `[::1]:8080` or `[::ffff:127.0.0.1]:8080`.

    Args:
        host: An address's 4 or 16 bytes, as they are on the wire.
        port: A number.
    """
    if len(host) == 4:
        return f"{ip_address(host)}:{port}"
    if host.startswith(MAPPED):
        return f"[::ffff:{ip_address(host[12:])}]:{port}"
    return f"[{ip_address(host)}]:{port}"
