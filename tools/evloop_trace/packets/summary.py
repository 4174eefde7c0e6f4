"""A connection in numbers: what `evloop-trace packets --json` says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from evloop_trace.packets import segments, words
from evloop_trace.packets.endpoints import conn_state
from evloop_trace.packets.flow import TCP

if TYPE_CHECKING:
    from evloop_trace.packets.flow import Connection, Flow

__all__ = ["Address", "Pair", "RoundTrips", "Summary", "addresses", "round_trips", "summarize"]

Address: TypeAlias = tuple[str, int]
Pair: TypeAlias = tuple[int, int]
"""Of the client, of the server."""


class Summary(msgspec.Struct, frozen=True):
    """The fields are those of the JSON object, in its order; what is counted is packets, but for `bytes`."""

    proto: str
    client: Address
    server: Address
    packets: Pair
    bytes: Pair
    resets: Pair
    retransmissions: Pair
    fast_retransmissions: Pair
    spurious_retransmissions: Pair
    out_of_order: Pair
    dup_acks: Pair
    zero_windows: Pair
    zero_window_probes: Pair
    keep_alives: Pair
    window_updates: Pair
    window_full: Pair
    completeness: int
    conn_state: str
    history: str
    verdict: str


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """From data to the ACK of exactly its last byte, in ns; of many the median is that of a sample."""

    shortest: int
    median: int
    longest: int


def summarize(conn: Connection) -> Summary:
    """All of it."""
    client, server = addresses(conn)
    tcp = conn.proto == TCP
    return Summary(
        proto=conn.proto,
        client=client,
        server=server,
        packets=(conn.a.packets, conn.b.packets),
        bytes=(conn.a.bytes, conn.b.bytes),
        resets=(conn.a.resets, conn.b.resets),
        retransmissions=_pair(conn, segments.RETRANSMISSION, segments.FAST, segments.SPURIOUS),
        fast_retransmissions=_pair(conn, segments.FAST),
        spurious_retransmissions=_pair(conn, segments.SPURIOUS),
        out_of_order=_pair(conn, segments.OUT_OF_ORDER),
        dup_acks=_pair(conn, segments.DUP_ACK),
        zero_windows=_pair(conn, segments.ZERO_WINDOW),
        zero_window_probes=_pair(conn, segments.PROBE),
        keep_alives=_pair(conn, segments.KEEP_ALIVE),
        window_updates=_pair(conn, segments.UPDATE),
        window_full=_pair(conn, segments.WINDOW_FULL),
        completeness=completeness(conn),
        conn_state=conn_state(conn) if tcp else _datagrams(conn),
        history=conn.history,
        verdict=words.verdict(conn),
    )


def addresses(conn: Connection) -> tuple[Address, Address]:
    """The client's and the server's."""
    key = conn.key
    half = (len(key) - 4) // 2
    return (
        (_text(key[:half]), int.from_bytes(key[-4:-2], "big")),
        (_text(key[half : 2 * half]), int.from_bytes(key[-2:], "big")),
    )


@lru_cache(1 << 14)
def _text(address: bytes) -> str:
    return str(ip_address(address))


def completeness(conn: Connection) -> int:
    """Wireshark's, as at the end of its second pass: only then is a first packet looked at like the rest."""
    alone = conn.a.packets + conn.b.packets == 1 and not conn.reused
    return conn.first_bits if alone else conn.bits


def round_trips(flow: Flow) -> RoundTrips | None:
    """Those of the data of one direction; None if none was acknowledged."""
    if not flow.rtts:
        return None
    return RoundTrips(flow.rtt_min, sorted(flow.rtts)[len(flow.rtts) // 2], flow.rtt_max)


def _pair(conn: Connection, *what: int) -> Pair:
    if conn.a.counts is None and conn.b.counts is None:
        return 0, 0
    client, server = conn.a.counts or {}, conn.b.counts or {}
    return sum([client.get(bit, 0) for bit in what]), sum([server.get(bit, 0) for bit in what])


def _datagrams(conn: Connection) -> str:
    """Zeek's word for UDP."""
    if conn.a.packets:
        return "SF" if conn.b.packets else "S0"
    return "SHR"
