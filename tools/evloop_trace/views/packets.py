"""Connections of a capture: each packet by packet between its two ends, then in numbers and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import set_cell_size
from rich.segment import Segment

from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration, plural, size
from evloop_trace.packets import segments
from evloop_trace.packets.spelling import found_words
from evloop_trace.packets.summary import round_trips
from evloop_trace.packets.words import notes
from evloop_trace.views.cells import Line, cut, fit, width_of, wrapped
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.style import Style

    from evloop_trace.packets.capture_file import Capture
    from evloop_trace.packets.flow import Connection, Flow, Mark
    from evloop_trace.packets.summary import Address, Summary

__all__ = ["address", "heading", "line", "story"]

_LEAST, _MOST = 60, 120
_TIME, _STATE = 11, 12

_FLAGS = ((segments.SYN, "SYN"), (segments.FIN, "FIN"), (segments.RST, "RST"))
_SERIOUS = (
    segments.FAST | segments.SPURIOUS | segments.RETRANSMISSION | segments.ZERO_WINDOW | segments.LOST
    | segments.ACKED_UNSEEN
)  # fmt: skip


def heading(capture: Capture, connections: int, name: str, width: int) -> list[Line]:
    """What the file is, and its comments."""
    width = _fitting(width)
    parts = f"{plural(capture.packets, 'packet')}, {plural(connections, 'connection')}"
    lines = [[Segment(cut(f"{escape_text(name)}: {capture.kind}, {parts}", width), BOLD)]]
    for number, text in capture.comments:
        about = f"packet {number}" if number else "the file"
        lines += _wrapped(f"comment on {about}: {escape_text(text)}", width, DIM)
    return lines


def line(summary: Summary, width: int) -> Line:
    """A connection in a line."""
    width = _fitting(width)
    ends = f"{address(summary.client)} → {address(summary.server)}"
    return [Segment(cut(f"{summary.proto} {ends}  {summary.conn_state}  {summary.verdict}", width))]


def story(conn: Connection, summary: Summary, width: int) -> list[Line]:
    """A connection packet by packet, then what it comes to."""
    width = _fitting(width)
    ends = f"{address(summary.client)} → {address(summary.server)}"
    title = f"── {summary.proto} {ends}  {summary.conn_state} "
    lines: list[Line] = [[], [Segment(set_cell_size(title + "─" * width, width), BOLD)]]
    lines += _wrapped(summary.verdict, width, TROUBLE if summary.conn_state in _BAD else PLAIN)
    head = f"{'ms':>{_TIME}}  {fit('client', _STATE)}{' ' * _wire(width)}  server"
    lines.append([Segment(head, DIM)])
    marks = [*(conn.marks or ()), *(conn.more or ())]
    before = None
    for at, mark in enumerate(marks):
        if conn.late and at == len(conn.marks or ()):
            lines.append([Segment(f"{'┄┄┄':>{_TIME}}  {count(conn.late)} more lines are left out", DIM)])
        lines.append(_row(mark, before, conn.begun, width))
        before = mark
    return [*lines, *_numbers(conn, summary, width)]


_BAD = frozenset({"S0", "REJ", "RSTO", "RSTR", "RSTOS0", "RSTRH"})


def _fitting(width: int) -> int:
    return min(max(width, _LEAST), _MOST)


def _wire(width: int) -> int:
    """Cells between the two ends."""
    return width - _TIME - 2 * _STATE - 4


def address(end: Address) -> str:
    """As a peer is named everywhere."""
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _row(mark: Mark, before: Mark | None, begun: int, width: int) -> Line:
    """The time, the client's state, an arrow, the server's state; a state is shown where it changes."""
    old = before.states if before else ("", "")
    states = [state if state != was else "" for state, was in zip(mark.states, old, strict=True)]
    room = max(_STATE, len(states[0]) + 1)
    style = (
        TROUBLE
        if mark.found & _SERIOUS or mark.flags & segments.RST
        else KINDS["in" if mark.client else "out"]
    )
    return [
        Segment(f"{(mark.time - begun) / 10**6:{_TIME}.3f}  ", DIM),
        Segment(fit(states[0], room), KINDS["life"]),
        Segment(_arrow(_what(mark), _wire(width) + _STATE - room, to_server=mark.client), style),
        Segment(f"  {states[1]}".rstrip(), KINDS["life"]),
    ]


def _what(mark: Mark) -> str:
    """What a packet is, or a run of them."""
    words = [name for bit, name in _FLAGS if mark.flags & bit]
    if mark.flags & segments.ACK and (words or mark.begin == mark.end):
        words.append("ACK")
    text = " ".join(words)
    if mark.end > mark.begin or not words:
        packets = f" in {count(mark.packets)} packets" if mark.packets > 1 else ""
        text = f"{text} {size(mark.end - mark.begin)} [{mark.begin},{mark.end}){packets}".strip()
    return ", ".join([text, *found_words(mark.found)])


def _arrow(text: str, width: int, *, to_server: bool) -> str:
    text = cut(text, width - 4)
    shaft = "─" * (width - width_of([Segment(text)]) - 2)
    return f"{text} {shaft}▶" if to_server else f"◀{shaft} {text}"


def _numbers(conn: Connection, summary: Summary, width: int) -> list[Line]:
    """Totals, round trips and what is notable."""
    sizes = " / ".join([size(it) for it in summary.bytes])
    parts = [f"packets {count(summary.packets[0])} / {count(summary.packets[1])}", f"payload {sizes}"]
    if conn.proto == "tcp":
        parts += [f"completeness {summary.completeness}", f"history {summary.history}"]
    lines = _wrapped("  ".join(parts), width, DIM)
    trips = [f"handshake {duration(conn.irtt)}"] if conn.irtt else []
    trips += [*_trips(conn.a, "the client's data"), *_trips(conn.b, "the server's data")]
    if trips:
        lines += _wrapped("round trips (least, median, most): " + "; ".join(trips), width, DIM)
    for note in notes(conn):
        text = _wrapped(note, width - 2, PLAIN)
        lines += [[Segment("  " if at else "· ", DIM), *it] for at, it in enumerate(text)]
    return lines


def _trips(flow: Flow, whose: str) -> Iterator[str]:
    trips = round_trips(flow)
    if trips:
        spans = dict.fromkeys([duration(it) for it in (trips.shortest, trips.median, trips.longest)])
        yield f"{whose} {', '.join(spans)}"


def _wrapped(text: str, width: int, style: Style) -> list[Line]:
    return [[Segment(row, style)] for row in wrapped(text, width)]
