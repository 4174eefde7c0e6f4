"""Frames, put together by hand: what the wire has, down to the byte."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace

import pytest

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
CLIENT6, SERVER6 = "fd00::1", "fd00::2"
TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58


def ethernet(payload: bytes, kind: int = 0x0800) -> bytes:
    """A frame."""
    return bytes(12) + struct.pack(">H", kind) + payload


def ip4(protocol: int, payload: bytes, options: bytes = b"", offset: int = 0, more: bool = False) -> bytes:
    """An IPv4 datagram from client to server, or a piece of one."""
    words = 5 + len(options) // 4
    return struct.pack(
        ">BBHHHBBH4s4s", 0x40 | words, 0, 4 * words + len(payload), 1, offset | more << 13, 64, protocol, 0,
        socket.inet_aton(CLIENT), socket.inet_aton(SERVER),
    ) + options + payload  # fmt: skip


def ip6(protocol: int, payload: bytes) -> bytes:
    """An IPv6 datagram from client to server."""
    ends = [socket.inet_pton(socket.AF_INET6, end) for end in (CLIENT6, SERVER6)]
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), protocol, 64, *ends) + payload


def tcp(
    source: int,
    target: int,
    payload: bytes = b"",
    seq: int = 0,
    ack: int = 0,
    flags: int = 0x10,
    window: int = 9,
) -> bytes:
    """A TCP segment."""
    return struct.pack(">HHIIBBHHH", source, target, seq, ack, 5 << 4, flags, window, 0, 0) + payload


def udp(source: int, target: int, payload: bytes = b"") -> bytes:
    """A UDP datagram."""
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int, about: bytes) -> bytes:
    """An error about a datagram."""
    return struct.pack(">BBHI", kind, code, 0, 0) + about


@pytest.fixture
def frames() -> SimpleNamespace:
    """The functions that make them."""
    return SimpleNamespace(ethernet=ethernet, ip4=ip4, ip6=ip6, tcp=tcp, udp=udp, icmp=icmp)
