"""What a server answers: bytes in, bytes out; and which datagrams it does not answer.

An answer depends on these bytes alone, so it is right however the stream was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from evloop.address import host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from evloop.address import InetSockaddr

    Respond: TypeAlias = Callable[[bytes], bytes]

__all__ = ["PROTOCOLS", "why_unanswered"]

PRIVILEGED = 1024  # below live echo, chargen, time, dns…: services that answer whatever they get

PROTOCOLS: dict[str, Respond] = {
    # ASCII letters alone change: a byte of "哈" in UTF-8 is never one, so no character breaks.
    "upper": bytes.upper,
    # bytes(data) of bytes is data itself: nothing is copied.
    "echo": bytes,
}
"""The name of a protocol, and how it answers."""


def why_unanswered(
    sender: InetSockaddr, own_ports: Container[int], is_local: Callable[[str], bool]
) -> str | None:
    """Why an answer to this datagram might be answered in its turn, for ever; None if it is to be answered.

    Args:
        sender: Who seems to have sent it.
        own_ports: The ports whose datagrams the server itself answers.
        is_local: Whether a numeric host is one of this machine's; that costs system calls.
    """
    port = sender[1]
    if port < PRIVILEGED:
        return f"port {port} may be a service that answers every datagram: the two would never stop"
    if port in own_ports and is_local(host_of(sender)):
        return "its sender is this server itself: it would answer itself for ever"
    return None
