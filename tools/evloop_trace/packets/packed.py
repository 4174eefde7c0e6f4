"""A connection as a few hundred bytes: what becomes of those that are silent when there are very many."""

from __future__ import annotations

import marshal
from array import array
from operator import attrgetter

from evloop_trace.packets.flow import Connection, Error, Flow

__all__ = ["pack", "unpack"]

_FLOW = tuple(name for name in Flow.__slots__ if name not in {"conn", "orig", "peer", "rtts"})
_CONNECTION = tuple(
    name
    for name in Connection.__slots__
    if name not in {"a", "b", "errors", "marks", "more", "multipath", "late"}
)
_flow, _connection = attrgetter(*_FLOW), attrgetter(*_CONNECTION)


def pack(conn: Connection) -> bytes:
    """Everything about a connection that has no story and is no part of another."""
    assert conn.marks is None
    assert conn.multipath is None
    errors = None if conn.errors is None else [tuple(error) for error in conn.errors]
    flows = [(_flow(flow), None if flow.rtts is None else flow.rtts.tobytes()) for flow in (conn.a, conn.b)]
    return marshal.dumps((_connection(conn), errors, flows))


def unpack(data: bytes) -> Connection:
    """The connection, as it was."""
    values, errors, flows = marshal.loads(data)  # noqa: S302 - our own
    conn = Connection.__new__(Connection)
    for name, value in zip(_CONNECTION, values, strict=True):
        setattr(conn, name, value)
    conn.errors = None if errors is None else [Error(*error) for error in errors]
    conn.marks = conn.more = conn.multipath = None
    conn.late = 0
    conn.a, conn.b = (_unpack(conn, *it, orig=not at) for at, it in enumerate(flows))
    conn.a.peer, conn.b.peer = conn.b, conn.a
    return conn


def _unpack(conn: Connection, numbers: tuple[object, ...], rtts: bytes | None, *, orig: bool) -> Flow:
    flow = Flow.__new__(Flow)
    for name, value in zip(_FLOW, numbers, strict=True):
        setattr(flow, name, value)
    flow.conn, flow.orig = conn, orig
    flow.rtts = None if rtts is None else array("Q", rtts)
    return flow
