"""The ladder: the client on the left, the server on the right, time downwards.

A rung is an event. The sleep between two ticks is a dotted rung with its length; the row of the poll
that ended it says who woke the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from evloop.events.schema import AnyEvent, Close, End, Poll, Send, Slow
from evloop_trace.escape import escape_text
from evloop_trace.model.filters import due
from evloop_trace.numbers import clock, count, duration
from evloop_trace.views.cells import Line, Panel, cut, exact, fit, width_of
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN
from evloop_trace.views.rungs import Arrow, Rung, rung, woken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.model.picture import Picture

__all__ = ["LadderPanel"]

FOLD = 1_000_000
"""Nanoseconds from which a sleep has a row of its own."""

WORK = 10_000_000
"""Nanoseconds of work between two rungs that are worth a row."""

_ROOMY = 24  # rows, from which every tick has a row


class _Columns(NamedTuple):
    """Widths in cells."""

    digits: int  # of the clock
    clock: int
    names: int
    lane: int
    text: int


class LadderPanel(Panel):
    """The last events, the newest at the bottom."""

    def __init__(self, picture: Picture, now: int) -> None:
        self.picture = picture
        self.now = now

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines."""
        every_tick = height >= _ROOMY
        events = _last(self.picture.ladder, 2 * height, every_tick=every_tick)
        columns = _columns(events, width)
        rows = _Rows(self.picture, columns, every_tick=every_tick)
        for event in events:
            rows.add(event)
        self._asleep(rows)
        lines = rows.lines[-height:] if height > 0 else []
        return [exact(line, width) for line in lines]

    def heading(self, width: int) -> Line:
        """A rule that says which side is whose."""
        columns = _columns(self.picture.ladder[-1:], width)
        side = columns.clock + columns.names + 4
        lane = f" client {'─' * max(0, columns.lane - 14)} server "
        return exact([Segment(f"{'─' * side}{lane}".ljust(width, "─"), DIM)], width)

    def _asleep(self, rows: _Rows) -> None:
        """The sleep that still goes on: its poll is recorded when it returns. And silence that is none."""
        asleep, unheard = self.picture.asleep(self.now), self.picture.unheard(self.now)
        if asleep:
            rows.fold("", asleep, "asleep")
        if unheard:
            rows.fold("", unheard, "at work" if self.picture.loop.at_work is not None else "nothing heard")


def _last(ladder: list[AnyEvent], number: int, *, every_tick: bool) -> list[AnyEvent]:
    """The last events, among which so many have a row."""
    at = len(ladder)
    while at > 0 and number > 0:
        at -= 1
        event = ladder[at]
        number -= every_tick or type(event) is not Poll or event.dur >= FOLD
    return ladder[at:]


class _Rows:
    """Lines, one after the other; what a row says depends on the one before."""

    def __init__(self, picture: Picture, columns: _Columns, *, every_tick: bool) -> None:
        self.lines: list[Line] = []
        self._picture = picture
        self._columns = columns
        self._every_tick = every_tick
        self._tick = -1
        self._shown = ("", -1)
        self._ended: int | None = None  # when the event before did

    def add(self, event: AnyEvent) -> None:
        if isinstance(event, Poll):
            self._poll(event)
        else:
            said = rung(
                event,
                finished=self._finished(event),
                outgoing=self._picture.outgoing(event),
                deaf=self._is_deaf(event),
            )
            if said is not None:
                self._work(event)
                self._rung(event, said)
        self._ended = event.t if isinstance(event, Slow) else event.t + getattr(event, "dur", 0)
        self._tick = event.tick

    def _is_deaf(self, event: AnyEvent) -> bool:
        name = getattr(event, "conn", None) or ""
        connection = self._picture.connections.get(name) or self._picture.closed.get(name)
        return connection is not None and connection.deaf

    def _finished(self, event: AnyEvent) -> bool:
        if not isinstance(event, Close | Send) or event.conn is None:
            return False
        connection = self._picture.closed.get(event.conn) or self._picture.connections.get(event.conn)
        is_close = isinstance(event, Close)
        return connection is not None and (connection.shut or (is_close and not connection.connected))

    def _poll(self, event: Poll) -> None:
        if event.dur < FOLD and not self._every_tick:
            return
        who = woken(event.ready) or escape_text(event.errno or "timeout")
        self.fold(self._when(event.t + event.dur, event.tick), event.dur, f"tick {count(event.tick)}: {who}")

    def _work(self, event: AnyEvent) -> None:
        if self._ended is not None and event.t - self._ended >= WORK:
            # Between two ticks there was a poll, which a filter may have left out.
            # Of a program nothing tells what it does between its calls.
            program = self._picture.program
            at_work = event.tick == self._tick and not program and not isinstance(event, End)
            self.fold("", event.t - self._ended, "at work" if at_work else "later")

    def _rung(self, event: AnyEvent, said: Rung) -> None:
        columns = self._columns
        style = KINDS[said.kind]
        when = due(event) if said.where else event.t  # a program's call may have slept for long
        self.lines.append(
            [
                Segment(f" {fit(self._when(when, event.tick), columns.clock, '>')} ", DIM),
                Segment(f" {fit(said.name, columns.names)} ", BOLD),
                Segment("│"),
                Segment(_lane(said.arrow, columns.lane), style),
                Segment("│ "),
                *_words(said, columns.text),
            ]
        )

    def fold(self, when: str, dur: int, words: str) -> None:
        columns = self._columns
        lane = f" {duration(dur)} ".center(columns.lane, "┄")
        self.lines.append(
            [
                Segment(f" {fit(when, columns.clock, '>')}  {' ' * columns.names} ", DIM),
                Segment(f"┆{lane}┆ ", DIM),
                Segment(cut(words, columns.text)),
            ]
        )

    def _when(self, t: int, tick: int) -> str:
        """The time, left out where it would say the same again."""
        text = clock(t, self._columns.digits)
        same = (text, tick) == self._shown
        self._shown = text, tick
        return "" if same else text


def _columns(events: Sequence[AnyEvent], width: int) -> _Columns:
    digits = 6 if width >= 100 else 3
    last = events[-1].t if events else 0
    clock_width = max(7, len(clock(last, digits)))
    names = [getattr(it, "conn", None) or getattr(it, "sock", None) or "" for it in events]
    name_width = min(12, max([5, *(cell_len(escape_text(name)) for name in names)]))
    rest = width - clock_width - name_width - 7
    lane = max(8, min(56, rest * 2 // 5))
    return _Columns(digits, clock_width, name_width, lane, max(0, rest - lane))


def _lane(arrow: Arrow | None, width: int) -> str:
    if arrow is None:
        return " " * width
    label = arrow.label if len(arrow.label) + 6 <= width else arrow.label.partition(" [")[0]
    shaft = f" {cut(label, width - 4)} ".center(width - 1, arrow.stroke)
    return f"{shaft}►" if arrow.inward else f"◄{shaft}"


def _words(said: Rung, width: int) -> Line:
    style = KINDS[said.kind]
    line = [Segment(said.call, style)]
    line += [Segment(f"  {text}", PLAIN) for text in (said.note, said.payload) if text]
    if said.where and width_of(line) + cell_len(said.where) + 2 <= width:
        line.append(Segment(f"  {said.where}", DIM))
    return _cut_line(line, width)


def _cut_line(line: Line, width: int) -> Line:
    """The segments that fit; the one that does not ends in an ellipsis."""
    kept: Line = []
    for segment in line:
        text = cut(segment.text, width)
        kept.append(Segment(text, segment.style))
        width -= cell_len(text)
        if text != segment.text:
            break
    return kept
