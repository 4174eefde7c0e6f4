"""The ladder of several logs: the clients' calls on the left, the servers' on the right, the wire between.

A call that sends has an arrow that leaves its side of the wire, with its bytes; the call that gets them has
one that arrives, with the time since the first of the calls that sent them began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from evloop.events.schema import Connect, Poll, Send, Sendto
from evloop_trace.escape import escape_text
from evloop_trace.model.filters import due
from evloop_trace.numbers import clock, count, duration
from evloop_trace.views.calls import bare
from evloop_trace.views.cells import Line, Panel, cut, exact, fit, padded
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN
from evloop_trace.views.rungs import Arrow, Rung, rung, woken

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.correlate.meeting import Meeting, Seen

__all__ = ["LanesPanel", "call_arrow", "tail"]

QUIET = 10_000_000
"""Nanoseconds in which nobody calls anything that are worth a row."""

_SLEPT = 1_000_000  # nanoseconds from which a poll is worth a row
_SHORT = 1_000_000  # a call to the other side that took less is told of at its beginning
_ROOMY = 20  # cells of a wire that says which bytes; another says how long they were on the way
_GAP = 4  # cells of the wire that an arrow which leaves or arrives does not reach over


class _Columns(NamedTuple):
    """Widths in cells."""

    digits: int  # of the clock
    clock: int
    names: int
    lane: int
    wire: int


class LanesPanel(Panel):
    """The last events of all programs, the newest at the bottom."""

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self._columns: _Columns | None = None  # of the lines that were asked for

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines."""
        if height < 1:
            return []
        said = [(it, words) for it in self.meeting.ladder[-2 * height :] if (words := self._said(it))]
        columns = _columns(self.meeting, [words.name for _, words in said], width)
        lines: list[Line] = []
        before: int | None = None
        for it, words in said:
            when = _when(it.event)
            if before is not None and when - before >= QUIET:
                lines.append(_quiet(when - before, columns))
            before = max(when, before or 0)
            lines.append(self._line(it, words, when, columns))
        self._columns = columns
        return [exact(line, width) for line in lines[-height:]]

    def heading(self, width: int) -> Line:
        """A rule that says which side is whose; for the lines that were asked for."""
        columns = self._columns or _columns(self.meeting, [], width)
        left, right = (_title(self.meeting, client=client) for client in (True, False))
        text = (
            "─" * (columns.clock + columns.names + 4)
            + f" {cut(left, columns.lane - 3)} ".ljust(columns.lane + 1, "─")
            + " wire ".center(columns.wire, "─")
            + f"─ {cut(right, columns.lane - 2)} "
        )
        return exact([Segment(text.ljust(width, "─"), DIM)], width)

    def _said(self, seen: Seen) -> Rung | None:
        event, crossing = seen.event, seen.crossing
        program = self.meeting.programs[crossing.log]
        event = bare(event, program.label)
        if isinstance(event, Poll):
            if event.dur < _SLEPT:
                return None
            return Rung("", "quiet", "poll()", woken(event.ready) or "timeout")
        picture, name = self.meeting.pictures[crossing.log], getattr(seen.event, "conn", None) or ""
        connection = picture.closed.get(name) or picture.connections.get(name)
        finished = connection is not None and connection.shut
        said = rung(event, finished=finished, outgoing=self._is_left(seen))
        return said and said._replace(name=escape_text(self._name(said.name, seen)))

    def _name(self, name: str, seen: Seen) -> str:
        """The connection's, the same on both sides; else the socket's, and whose it is where that matters."""
        crossing, left = seen.crossing, self._is_left(seen)
        label = self.meeting.programs[crossing.log].label
        alone = sum(program.client is left for program in self.meeting.programs) <= 1
        if crossing.names:
            one_client = sum(program.client for program in self.meeting.programs) <= 1
            return crossing.names[0].rpartition(":")[2] if one_client else crossing.names[0]
        # A server's tcp-1 is not the connection that its client calls tcp-1.
        if not label or (alone and (left or not name.startswith(("tcp", "unix"))) and name):
            return name
        return f"{label}:{name}" if name else label

    def _is_left(self, seen: Seen) -> bool:
        client = seen.crossing.client
        return self.meeting.programs[seen.crossing.log].client if client is None else client

    def _line(self, seen: Seen, said: Rung, when: int, columns: _Columns) -> Line:
        left = self._is_left(seen)
        words = _words(said, seen.crossing.joined, columns.lane)
        blank = [Segment(" " * columns.lane)]
        return [
            Segment(f" {fit(clock(when, columns.digits), columns.clock, '>')} ", DIM),
            Segment(f" {tail(said.name, columns.names)} ", BOLD),
            *(exact(words, columns.lane) if left else blank),
            Segment("│"),
            Segment(call_arrow(said.arrow, seen, left, columns.wire), KINDS[said.kind]),
            Segment("│ "),
            *(blank if left else words),
        ]


def _columns(meeting: Meeting, names: list[str], width: int) -> _Columns:
    digits = 6 if width >= 100 else 3
    clock_width = max(7, len(clock(meeting.t, digits)))
    name_width = max(6, min(width // 10, max(map(cell_len, names), default=6)))
    rest = max(8, width - clock_width - name_width - 7)
    wire = max(8, min(24, rest * 4 // 15))
    return _Columns(digits, clock_width, name_width, max(0, (rest - wire) // 2), wire)


def _title(meeting: Meeting, *, client: bool) -> str:
    """`client`, or the labels of more than one."""
    labels = [it.label for it in meeting.programs if it.client is client and it.label]
    word = "client" if client else "server"
    if len(labels) > 1:
        return f"{word}s: {', '.join(escape_text(label) for label in labels)}"
    return word if not labels or labels[0] == word else f"{word}: {escape_text(labels[0])}"


def _when(event: AnyEvent) -> int:
    return event.t if isinstance(event, Send | Connect) and event.dur < _SHORT else due(event)


def _words(said: Rung, joined: Joined | None, width: int) -> Line:
    """The call, what it was from, and what else there is room for."""
    line = [Segment(cut(said.call, width), KINDS[said.kind])]
    room = width - cell_len(said.call)
    whence = _from(joined, said.call, width)
    for text, joint, least in (
        (whence, " ", 4),
        (said.payload, " ", 5),
        (said.note, ": ", 6),
        (said.where, " ", cell_len(said.where)),
    ):
        joint = " " if said.call.endswith("…") else joint  # noqa: PLW2901
        if text and room >= least + len(joint):
            line.append(Segment(joint + cut(text, room - len(joint)), DIM if text is said.where else PLAIN))
            room -= line[-1].cell_length
    return line


def _from(joined: Joined | None, call: str, width: int) -> str:
    """`◂ 2 sends, 8.2 µs`; the time is on the wire where there is no room for it."""
    if joined is None:
        return ""
    if not joined.origins:
        return "◂ not in the logs"
    mark = "◂" if joined.exact else "◂ likely"
    many, ev = len(joined.origins), joined.origins[0].ev
    word = ev if ev in _WHOLE else f"{count(many)} send{'s' if many > 1 else ''}"
    words = f"{mark} {word}"
    if joined.way < 0:
        return f"{words}, clocks differ"
    timed = f"{words}, {duration(joined.way)}"
    if cell_len(call) + cell_len(timed) < width:
        return timed
    short = f"{'◂' if joined.exact else '≈'} {word if many > 1 else ''}".strip()
    return short if many > 1 or not joined.exact else ""


_WHOLE = ("connect", "shutdown", "close")  # there can be only one of these


def call_arrow(arrow: Arrow | None, seen: Seen, left: bool, width: int) -> str:
    """An arrow; one whose other end is in the logs leaves the wire's one side or arrives at the other."""
    if arrow is None:
        return " " * width
    joined = seen.crossing.joined
    arrives = arrow.inward is not left
    # What a client sends may wait for long before anybody accepts it, and a datagram may be lost.
    unsure = not arrives and (left or isinstance(seen.event, Sendto))
    half = bool(seen.crossing.names) or joined is not None or unsure
    room = width - _GAP if half and width >= 12 else width
    label = arrow.label
    if width < _ROOMY and arrives and joined is not None and joined.origins and joined.way >= 0:
        label = duration(joined.way)
    elif len(label) + 6 > room:
        label = "open" if label == "connection" else label.partition(" [")[0]
    shaft = padded(f" {cut(label, room - 4)} ", room - 1, str.center, arrow.stroke)
    text = f"{shaft}►" if arrow.inward else f"◄{shaft}"
    starts_left = arrow.inward is not arrives
    return padded(text, width, str.ljust if starts_left else str.rjust)


def _quiet(ns: int, columns: _Columns) -> Line:
    wire = f" {duration(ns)} ".center(columns.wire, "┄")
    return [Segment(" " * (columns.clock + columns.names + 4 + columns.lane) + f"┆{wire}┆", DIM)]


def tail(name: str, width: int) -> str:
    """A name in exactly so many cells; of one that is too long its end, which is what differs."""
    if cell_len(name) <= width:
        return fit(name, width)
    while name and cell_len(name) > width - 1:
        name = name[1:]
    return fit(f"…{name}", width)
