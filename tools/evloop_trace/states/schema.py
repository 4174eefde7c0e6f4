"""The kernel's lane: the states of TCP sockets as the kernel itself told them, line by line.

A file of `evloop-trace capture --kernel` is JSON Lines: a `Header`, what happened in the order of time, and
an `End`; without `End` it was cut off. Times are nanoseconds of the monotonic clock, as the kernel took them;
an event log's `t` is the same clock's less its header's `mono_ns`. `docs/kernel.md` describes it.

Addresses are written as in event logs, those of IPv4 on an IPv6 socket as IPv4.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from evloop_trace.packets.machine import State  # noqa: TC001 - msgspec reads it

__all__ = [
    "SCHEMA", "End", "Event", "Header", "Lost", "ReceiveReset", "Retransmit", "RetransmitSynAck", "SendReset",
    "Transition",
]  # fmt: skip

SCHEMA = "evloop-kernel/1"


class _Line(msgspec.Struct, tag_field="ev", omit_defaults=True, gc=False):
    """An object a line."""


class Header(_Line, tag="header"):
    """The first line: where it was recorded, what, and how to read its clock."""

    schema: str
    mono_ns: int
    """The monotonic clock when it began."""
    wall_ns: int
    """Nanoseconds since 1970 at that moment."""
    bracket_ns: int
    """How far apart the two may have been read."""
    boot_id: str
    """Which boot the monotonic clock counts from, if known."""
    kernel: str
    """Its release."""
    ports: list[int]
    """A socket has one of these, or its peer has; none is all."""
    events: list[str]
    """The tracepoints: what this kernel does not have is not among them."""


class _Moment(_Line):
    """Something that happened to a socket."""

    t: int
    """Nanoseconds of the monotonic clock."""
    local: str
    peer: str


class Transition(_Moment, tag="state"):
    """A socket's state changed: sock:inet_sock_set_state.

    A socket that connects has no port yet when it becomes SYN-SENT; `read_transitions` fills it in where the
    socket was heard of again. One that is accepted begins as LISTEN, as a copy of its listener, when the ACK
    of the handshake comes: until then the kernel has no socket for it.

    CLOSED after FIN-WAIT-2 or CLOSING is the end of the socket, not of the connection: something smaller
    takes its place in TIME-WAIT, or in FIN-WAIT-2 if it was closed and the other end's FIN has not come.
    """

    sock: int
    """Which socket, counted from 1 as they are seen; never used again."""
    old: State
    new: State


class Retransmit(_Moment, tag="retransmit"):
    """A segment was sent again: tcp:tcp_retransmit_skb."""

    sock: int
    state: State


class RetransmitSynAck(_Moment, tag="retransmit_synack"):
    """A SYN was answered again: tcp:tcp_retransmit_synack. The socket is the listener."""

    sock: int


class SendReset(_Moment, tag="send_reset"):
    """A RST was sent, from `local`: tcp:tcp_send_reset."""

    sock: int | None = None
    """None where no socket was there for what came: nobody listens, or it was in TIME-WAIT."""
    state: State | None = None
    """The socket's, if the kernel says."""
    reason: str = ""
    """The kernel's word, such as NO_SOCKET or TCP_ABORT_ON_CLOSE, if it has one (Linux 6.10 and later)."""


class ReceiveReset(_Moment, tag="receive_reset"):
    """A RST came in, and was in order: tcp:tcp_receive_reset."""

    sock: int


class Lost(_Line, tag="lost"):
    """The kernel had no room for some events; which, nobody knows."""

    t: int
    """When the next one came that it had room for."""
    count: int


class End(_Line, tag="end"):
    """The last line."""

    t: int
    lost: int
    """Events that are missing in all."""
    events: int
    """Lines between the first and this."""


Event: TypeAlias = Transition | Retransmit | RetransmitSynAck | SendReset | ReceiveReset | Lost
