"""Events as they lie in the kernel's memory → lines of a recording.

The fields are those of include/trace/events/sock.h and tcp.h; a port of theirs is a number of this machine's,
an address is in network order, and all have it as IPv6, that of IPv4 mapped into it.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop_trace.packets.addresses import MAPPED, address_text
from evloop_trace.packets.machine import LINUX_STATES
from evloop_trace.states.schema import ReceiveReset, Retransmit, RetransmitSynAck, SendReset, Transition
from evloop_trace.tracepoints.formats import Format, symbols

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evloop_trace.packets.machine import State
    from evloop_trace.states.schema import Event

__all__ = ["NEEDED", "TRACEPOINTS", "Translation", "kernel_filter"]

NEEDED = "sock/inet_sock_set_state"
TRACEPOINTS = (
    NEEDED, "tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack", "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset",
)  # fmt: skip

_IPPROTO_TCP = 6
_ADDRESSES = ("sport", "dport", "saddr_v6", "daddr_v6")
_FIELDS = frozenset(
    {"skaddr", "oldstate", "newstate", "state", "protocol", "reason", "saddr", "daddr", *_ADDRESSES}
)
_SMALLER = {6, 12}  # what takes a socket's place in TIME-WAIT, and in a handshake until its last ACK


class _Ends(NamedTuple):
    """Who an event is about."""

    local: str
    peer: str
    ports: tuple[int, int]


class Translation:
    """Knows how this kernel writes its events, and numbers the sockets."""

    def __init__(self, formats: Iterable[tuple[str, str]], ports: Iterable[int]) -> None:
        """Take each tracepoint with its `format` file; of what has none of the ports nothing is kept."""
        self._ports = frozenset(ports)
        self._numbers: dict[int, int] = {}
        self._last = 0
        self._reasons: dict[int, str] = {}
        self._kinds: dict[int, tuple[Format, Callable[[int, _Ends, dict[str, Any]], Event | None]]] = {}
        makers = {
            "inet_sock_set_state": self._transition,
            "tcp_retransmit_skb": self._retransmit,
            "tcp_retransmit_synack": self._retransmit_synack,
            "tcp_send_reset": self._send_reset,
            "tcp_receive_reset": self._receive_reset,
        }
        for tracepoint, text in formats:
            form, name = Format(text, _FIELDS), tracepoint.partition("/")[2]
            self._kinds[form.id] = form, makers[name]
            if form.has("reason"):
                self._reasons = symbols(text, "reason")

    def event(self, t: int, data: bytes, at: int, end: int) -> Event | None:
        """The event that lies there, or None if it is none that is wanted."""
        kind = self._kinds.get(struct.unpack_from("=H", data, at)[0])
        if kind is None or end - at < kind[0].size:
            return None
        fields = kind[0].read(data, at)
        ends = _ends(fields)
        if fields.get("protocol", _IPPROTO_TCP) != _IPPROTO_TCP:
            return None
        if self._ports and self._ports.isdisjoint(ends.ports):
            return None
        return kind[1](t, ends, fields)

    def _transition(self, t: int, ends: _Ends, fields: dict[str, Any]) -> Transition | None:
        old, new = _state(fields["oldstate"]), _state(fields["newstate"])
        if old is None or new is None:
            return None
        # What leaves CLOSED, and the copy of a listener, are new, even where there was another before.
        if old == "CLOSED" or (old, new) == ("LISTEN", "SYN-RECEIVED"):
            self._numbers.pop(fields["skaddr"], None)
        return Transition(t, ends.local, ends.peer, self._number(fields), old, new)

    def _retransmit(self, t: int, ends: _Ends, fields: dict[str, Any]) -> Retransmit | None:
        state = _state(fields["state"])
        return state and Retransmit(t, ends.local, ends.peer, self._number(fields), state)

    def _retransmit_synack(self, t: int, ends: _Ends, fields: dict[str, Any]) -> RetransmitSynAck:
        return RetransmitSynAck(t, ends.local, ends.peer, self._number(fields))

    def _send_reset(self, t: int, ends: _Ends, fields: dict[str, Any]) -> SendReset:
        state, reason = _state(fields["state"]), self._reasons.get(fields.get("reason", -1), "")
        has_socket = fields["skaddr"] and fields["state"] not in _SMALLER
        return SendReset(
            t, ends.local, ends.peer, self._number(fields) if has_socket else None, state, reason
        )

    def _receive_reset(self, t: int, ends: _Ends, fields: dict[str, Any]) -> ReceiveReset:
        return ReceiveReset(t, ends.local, ends.peer, self._number(fields))

    def _number(self, fields: dict[str, Any]) -> int:
        address = fields["skaddr"]
        if address not in self._numbers:
            self._last += 1
            self._numbers[address] = self._last
        return self._numbers[address]


def _state(number: int) -> State | None:
    return LINUX_STATES.get(number)


def _ends(fields: dict[str, Any]) -> _Ends:
    if "sport" not in fields:  # a sockaddr_in or sockaddr_in6 each
        (local, sport), (peer, dport) = _unpack(fields["saddr"]), _unpack(fields["daddr"])
    else:
        local, sport, peer, dport = (fields[it] for it in ("saddr_v6", "sport", "daddr_v6", "dport"))
    return _Ends(_address(local, sport), _address(peer, dport), (sport, dport))


def _unpack(sockaddr: bytes) -> tuple[bytes, int]:
    (port,) = struct.unpack_from(">H", sockaddr, 2)
    if struct.unpack_from("=H", sockaddr)[0] == socket.AF_INET6:
        return sockaddr[8:24], port
    return MAPPED + sockaddr[4:8], port


def _address(host: bytes, port: int) -> str:
    """As event logs have it; what is mapped is IPv4."""
    return address_text(host[12:] if host.startswith(MAPPED) else host, port)


def kernel_filter(text: str, ports: Iterable[int]) -> str:
    """Which events with this `format` are recorded at all, in the kernel's words; "0" is all of them.

    Into socket addresses it cannot look: where an event has these instead of ports, `Translation` does.
    """
    form = Format(text, _FIELDS)
    terms = []
    if form.has("protocol"):
        terms.append(f"protocol == {_IPPROTO_TCP}")
    if form.has("sport") and (either := " || ".join([f"sport == {it} || dport == {it}" for it in ports])):
        terms.append(f"({either})")
    return " && ".join(terms) or "0"
