"""What happened in a connection, one line after the other; the middle of a long one is left out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evloop_trace.packets.flow import Mark
from evloop_trace.packets.segments import ACK, FIN, MASK, RST, SYN

if TYPE_CHECKING:
    from evloop_trace.packets.decode import Segment
    from evloop_trace.packets.flow import Connection, Flow

__all__ = ["datagram", "remember"]

_FIRST, _LAST = 24, 12
_DATA = 5000
"""After so many packets of a connection, data that comes as expected is not looked at one by one any more."""


def remember(flow: Flow, segment: Segment, found: int, states: tuple[str, str]) -> None:
    """Remember a segment, unless it only acknowledges; `states` are the ends' before it."""
    conn = flow.conn
    now = conn.a.state, conn.b.state
    flags, size = segment.flags, max(0, segment.size)
    if size and flags & (SYN | FIN | RST | ACK) == ACK:
        flow.talking = flow.packets > _DATA
    odd = found or flags & (SYN | FIN | RST) or now != states
    begin = (segment.seq - flow.base - (not flags & SYN)) & MASK
    if odd:
        mark = Mark(segment.time, flow.orig, flags, found, begin, begin + size, 1, now, now != states)
        _add(conn, mark)
    elif size:
        _run(flow, segment.time, begin, begin + size, now)


def datagram(flow: Flow, time: int, size: int) -> None:
    """Remember a datagram; offsets are those of all datagrams in its direction, one behind the other."""
    _run(flow, time, flow.bytes, flow.bytes + size, ("", ""))


def _run(flow: Flow, time: int, begin: int, end: int, states: tuple[str, str]) -> None:
    """Data, which goes on with the line before if that is of the same direction."""
    conn = flow.conn
    assert conn.marks is not None
    marks = conn.more or conn.marks
    if marks:
        before = marks[-1]
        same = before.client == flow.orig and before.end == begin
        if same and not before.flags:
            marks[-1] = before._replace(end=end, packets=before.packets + 1)
            return
    _add(conn, Mark(time, flow.orig, 0, 0, begin, end, 1, states, changed=False))


def _add(conn: Connection, mark: Mark) -> None:
    assert conn.marks is not None
    if len(conn.marks) < _FIRST:
        conn.marks.append(mark)
        return
    if conn.more is None:
        conn.more = deque(maxlen=_LAST)
    conn.late += len(conn.more) == _LAST
    conn.more.append(mark)
