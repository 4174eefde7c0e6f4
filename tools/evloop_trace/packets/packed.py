"""A connection as a few hundred bytes: what becomes of those that are silent when there are very many."""

from __future__ import annotations

import marshal
from array import array
from operator import attrgetter
from typing import Any

from evloop_trace.packets.flow import Connection, Error, Flow

__all__ = ["pack", "unpack"]

# What is packed of both, in the order in which `_flow` and `unpack` take it.
_FLOW = (
    "acked", "again_count", "base", "bytes", "counts", "dup_acks", "end_state", "fin", "gaps", "kinds",
    "last", "last_ack", "last_fin", "last_flags", "last_rst", "last_seq", "last_syn", "maxseq",
    "next_time", "nextseq", "odd", "packets", "previous_state", "resets", "rtt_max", "rtt_min", "rtt_skip",
    "rtt_step", "scale", "seen", "shift", "start", "state", "syns", "talking", "timed", "unscaled", "window",
    "window_count",
)  # fmt: skip
_CONNECTION = (
    "before_fin", "begun", "bits", "closer", "crossed", "first_bits", "flipped", "history", "irtt", "key",
    "number", "proto", "reset", "reused", "self_connect", "syn_time",
)  # fmt: skip
_flow, _connection = attrgetter(*_FLOW), attrgetter(*_CONNECTION)


def pack(conn: Connection) -> bytes:
    """Everything about a connection that has no story and is no part of another."""
    assert conn.marks is None
    assert conn.multipath is None
    a, b, errors = conn.a, conn.b, conn.errors
    return marshal.dumps((
        _connection(conn),
        None if errors is None else [tuple(error) for error in errors],
        _flow(a), None if a.rtts is None else a.rtts.tobytes(),
        _flow(b), None if b.rtts is None else b.rtts.tobytes(),
    ))  # fmt: skip


def unpack(data: bytes) -> Connection:
    """The connection, as it was."""
    values, errors, a, trips_a, b, trips_b = marshal.loads(data)  # noqa: S302 - our own
    conn = Connection.__new__(Connection)
    (
        conn.before_fin, conn.begun, conn.bits, conn.closer, conn.crossed, conn.first_bits, conn.flipped,
        conn.history, conn.irtt, conn.key, conn.number, conn.proto, conn.reset, conn.reused,
        conn.self_connect, conn.syn_time,
    ) = values  # fmt: skip
    conn.errors = None if errors is None else [Error(*error) for error in errors]
    conn.marks = conn.more = conn.multipath = None
    conn.late = 0
    conn.a, conn.b = _unpack(conn, a, trips_a, orig=True), _unpack(conn, b, trips_b, orig=False)
    conn.a.peer, conn.b.peer = conn.b, conn.a
    return conn


def _unpack(conn: Connection, values: tuple[Any, ...], trips: bytes | None, *, orig: bool) -> Flow:
    flow = Flow.__new__(Flow)
    flow.conn, flow.orig = conn, orig
    (  # one assignment: a loop over the names takes five times as long
        flow.acked, flow.again_count, flow.base, flow.bytes, flow.counts, flow.dup_acks, flow.end_state,
        flow.fin, flow.gaps, flow.kinds, flow.last, flow.last_ack, flow.last_fin, flow.last_flags,
        flow.last_rst, flow.last_seq, flow.last_syn, flow.maxseq, flow.next_time, flow.nextseq, flow.odd,
        flow.packets, flow.previous_state, flow.resets, flow.rtt_max, flow.rtt_min, flow.rtt_skip,
        flow.rtt_step, flow.scale, flow.seen, flow.shift, flow.start, flow.state, flow.syns, flow.talking,
        flow.timed, flow.unscaled, flow.window, flow.window_count,
    ) = values  # fmt: skip
    flow.rtts = None if trips is None else array("Q", trips)
    return flow
