"""The timeline: the client's calls, the wire, and the server's, downwards on one clock.

What a call sends stands beside it; what gets it stands on a row of its own, further down. The states of both
ends stand beside the wire, where they change.
"""

from __future__ import annotations

import re
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment

from evloop.events.schema import Poll
from evloop_trace.correlate.meeting import Crossing, Seen
from evloop_trace.correlate.reasons.general import Once
from evloop_trace.escape import escape_text
from evloop_trace.numbers import duration
from evloop_trace.views.calls import SLEPT, Words, fitting
from evloop_trace.views.cells import Line, Panel, cut, exact, fit, padded, width_of, wrapped
from evloop_trace.views.columns import columns, heading, known, milliseconds, name_of
from evloop_trace.views.lanes import call_arrow, tail
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN
from evloop_trace.views.rows import Row, Rows, told
from evloop_trace.views.wire import draw, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.style import Style

    from evloop_trace.correlate.entries import Entry, Strand
    from evloop_trace.views.columns import Known

__all__ = ["TimelinePanel", "TimelineView"]

QUIET = 10_000_000
"""Nanoseconds in which nothing happens that are worth a row."""

LONG = 300_000_000
"""Nanoseconds of a silence that goes on: what happened a moment ago may not have been read yet."""

_A_NAME = re.compile(r"[^\s;,()]+?(?=:?(?:[\s;,()]|$))")

_AHEAD = 4096  # entries that say how wide the columns are to be
_LEAST = 60  # cells, below which lines are cut
_SIDES = (True, False)
_REASON = 1  # rows of a reason that stays in its lane


class TimelineView:
    """Lines of a whole timeline, as text output has them."""

    def __init__(
        self, width: int, labels: Sequence[str] = (), *, packets: bool = True, kernel: bool = False,
        captions: Sequence[tuple[int, str]] = (), say: Callable[[str], str] = str, begins: bool = False,
    ) -> None:  # fmt: skip
        """How it is drawn.

        Args:
            width: Cells of a line.
            labels: Of the logs, as `Entry.log` counts them; empty if there is only one.
            packets: There is a capture.
            kernel: The kernel tells of states.
            captions: What is to be said before the first row that is not earlier, in the order of time.
            say: Makes what the reader is told of an English sentence.
            begins: Who is in no log yet may be in one soon.
        """
        self.captions = captions
        self.say = say
        self.width = max(_LEAST, width)
        self.labels = labels
        self.packets = packets
        self.kernel = kernel
        self.begins = begins

    def lines(self, entries: Iterable[Entry]) -> Iterator[Line]:
        """Lines of exactly so many cells, the heading first."""
        entries = iter(entries)
        ahead = list(islice(entries, _AHEAD))
        if not ahead:
            return
        drawer = _Drawer(self, known(ahead, self.labels))
        yield drawer.heading()
        for row in drawer.rows(chain(ahead, entries)):
            yield from drawer.row(row)
        if self.captions:  # behind the last of them nothing happened, which may be what it is about
            yield from (exact(it, self.width) for it in drawer.captions(self.captions[-1][0]))


class TimelinePanel(Panel):
    """The last of a timeline, the newest at the bottom, as it is when it is first drawn."""

    def __init__(
        self, labels: Sequence[str] = (), entries: Iterable[Entry] = (), *,
        packets: bool = True, kernel: bool = False, most: int = 512, say: Callable[[str], str] = str,
        begins: bool = False,
    ) -> None:  # fmt: skip
        """Of so many entries at `most`; `begins`: there may be logs that have not begun."""
        self.view = TimelineView(0, labels, packets=packets, kernel=kernel, say=say, begins=begins)
        self.entries: deque[Entry] = deque(maxlen=most)
        self.silence = (0, "")
        """Until when nothing has happened since the last of them, and why: a sentence."""
        self._once = Once()
        self._known: Known | None = None
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """What comes next."""
        self.entries.append(entry)
        self._once.tell(entry)
        self._known = None

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines."""
        if height < 1:
            return []
        entries = list(self.entries)
        begin = _last(entries, 3 * height)
        before, entries = entries[:begin], entries[begin:]
        drawer = self._drawer(width)
        drawer.known_already(it.strand for it in before)
        if before:
            drawer.said_already(before[-1].t)
        lines = [line for row in drawer.rows(entries) for line in drawer.row(row)]
        lines += drawer.silence(*self.silence)
        return [exact(line, width) for line in lines[-height:]]

    def heading(self, width: int) -> Line:
        """A rule that says which side is whose."""
        return exact(self._drawer(width).heading(), width)

    def _drawer(self, width: int) -> _Drawer:
        """Heading and lines have the same columns, those of all entries."""
        self.view.width = max(_LEAST, width)
        if self._known is None:
            self._known = known(list(self.entries), self.view.labels)
        return _Drawer(self.view, self._known, self._once)


def _last(entries: Sequence[Entry], most: int) -> int:
    """Where the last so many begin that may have a row: a loop that spins makes very many that have none."""
    for at in range(len(entries) - 1, -1, -1):
        event = getattr(entries[at], "event", None)
        most -= not (isinstance(event, Poll) and event.dur < SLEPT)
        if not most:
            return at
    return 0


class _Drawer:
    """Rows → lines; what a line says depends on those before."""

    def __init__(self, view: TimelineView, found: Known, once: Once | None = None) -> None:
        self._view = view
        self._once = once or Once()
        self._known = found
        self._columns = columns(found, view.width, packets=view.packets)
        self._before: Row | None = None
        self._until = 0
        self._tick = 0
        self._last = -1  # the connection of the last row that has one
        self._captions = deque(view.captions)
        self._called: dict[str, str] = {}  # what rows call a connection, by the names of its ends
        self.introduced: set[int] = set()
        """Connections that have had their line."""

    def rows(self, entries: Iterable[Entry]) -> Iterator[Row]:
        """What has a row."""
        rows = Rows(self._view.labels, self._known.servers, kernel=self._view.kernel)
        for entry in told(entries):
            yield from rows.feed(entry)
        yield from rows.rest()

    def heading(self) -> Line:
        """The rule above everything."""
        columns = self._columns
        left, right = (self._title(client=client) for client in _SIDES)
        wire, tick = self._view.say("wire" if self._view.packets else "no capture"), self._view.say("tick")
        text = (
            " ms ".rjust(columns.clock + 2, "─")
            + "─" * (columns.names + 2 if columns.names else 0)
            + padded(f" {cut(left, columns.left)} ", columns.left + 2, str.ljust, "─")
            + padded(f" {wire} ", columns.wire + 1, str.center, "─")
            + " "
            + (padded(f"{tick} ", columns.tick + 2, str.rjust, "─") if columns.tick else " ")
            + f"{cut(right, columns.right - 1)} "
        )
        line = [Segment(padded(text, self._view.width, str.ljust, "─"), DIM)]
        return exact(line, self._view.width)

    def known_already(self, strands: Iterable[Strand | None]) -> None:
        """Connections that need no introduction; the last of them goes on."""
        for strand in strands:
            if strand is not None:
                self._introduce(strand)

    def said_already(self, t: int) -> None:
        """Captions up to then."""
        while self._captions and self._captions[0][0] <= t:
            self._captions.popleft()

    def row(self, row: Row) -> Iterator[Line]:
        """The lines of a row: what is before it, itself, and why."""
        width = self._view.width
        if len(milliseconds(row.t)) > self._columns.clock:
            self._known = self._known._replace(clock=len(milliseconds(row.t)))
            self._columns = columns(self._known, width, packets=self._view.packets)
        lines: list[Line] = []
        if self._before is not None and row.t - self._until >= QUIET:
            lines += self.captions((self._until + row.t) // 2)  # it is said before what it is nearer to
            lines += self._quiet(row.t, row.quiet)
        lines += self.captions(row.t)
        if row.strand is not None:
            number = row.strand.number
            if number not in self.introduced or (not self._columns.names and number != self._last):
                lines.append(self._introduction(row.strand))
            self._introduce(row.strand)
        lines += self._main(row)
        for client, reason in row.reasons:
            if not self._once.is_told(reason, row.strand):
                lines += self._reason(escape_text(self._view.say(reason)), client=client)
        self._until = row.until if self._before is None else max(row.until, self._until)
        self._before = row
        yield from (exact(line, width) for line in lines)

    def silence(self, t: int, why: str) -> Iterator[Line]:
        """Behind the last row."""
        if self._before is not None and t - self._until >= LONG:
            yield from self.captions(t)
            yield from self._quiet(t, why)

    # -- the parts of a row ----------------------------------------------------------------------------

    def _main(self, row: Row) -> Iterator[Line]:
        columns = self._columns
        packet = row.packet.packet if row.packet is not None else None
        says = {side: said.translated(self._view.say) for side, said in row.says.items()}
        notable: list[str] = []
        shaft, style = " " * columns.wire, PLAIN
        if packet is not None:
            shaft, notable = draw(packet, columns.wire, self._view.say)
            style = KINDS[kind(packet)]
        elif arrow := self._inferred(row):
            shaft, style = arrow
        beside: dict[bool, Line] = {}
        for side in _SIDES:
            beside[side] = [Segment(state, KINDS["life"]) for state in filter(None, [row.states.get(side)])]
            if notable and packet is not None and packet.client is side:
                beside[side].insert(0, Segment(", ".join(notable), style))
        below = {side: self._goes_below(says.get(side), beside[side], client=side) for side in _SIDES}
        yield [
            Segment(f" {fit(milliseconds(row.t), columns.clock, '>')}  ", DIM),
            *self._name(row),
            *self._lane(says.get(True), [] if below[True] else beside[True], client=True),
            Segment(" │", DIM),
            Segment(shaft, style),
            Segment("│ ", DIM),
            *self._ticks(row),
            *self._lane(says.get(False), [] if below[False] else beside[False], client=False),
        ]
        if any(below.values()):
            yield [
                Segment(" " * columns.before),
                *self._lane(None, beside[True] if below[True] else [], client=True),
                Segment(f" │{' ' * columns.wire}│ {' ' * (columns.tick + 1 if columns.tick else 0)}", DIM),
                *self._lane(None, beside[False] if below[False] else [], client=False),
            ]

    def _goes_below(self, said: Words | None, beside: Line, *, client: bool) -> bool:
        """There is no room beside the call for what the packet says of its end."""
        lane = self._columns.left if client else self._columns.right
        return said is not None and beside != [] and cell_len(said.call) + 2 + _width(beside) > lane

    def _lane(self, said: Words | None, beside: Line, *, client: bool) -> Line:
        """A lane in exactly so many cells: what is called, and what stands beside the wire."""
        width = self._columns.left if client else self._columns.right
        tag: Line = []
        for segment in beside:
            tag += [*([Segment("  ")] if tag else []), segment]
        room = width - width_of(tag) - (2 if tag else 0)
        line = fitting(said, max(0, room)) if said is not None else []
        if not tag:
            return exact(line, width)
        space = width - width_of(line) - width_of(tag) if client else 2 if line else 0
        return exact([*line, Segment(" " * max(0, space)), *tag], width)

    def _inferred(self, row: Row) -> tuple[str, Style] | None:
        """The arrow of a call of which there are no packets."""
        if (row.strand.wire is not None) if row.strand is not None else self._view.packets:
            return None
        for side, said in row.says.items():
            entry = row.calls.get(side)
            if said.arrow is not None and entry is not None:
                names = row.strand.names if row.strand is not None and all(row.strand.names) else ()
                seen = Seen(entry.event, Crossing(entry.log, side, names, entry.joined))  # type: ignore[arg-type]
                arrow = said.arrow._replace(label=self._view.say(said.arrow.label))
                return call_arrow(arrow, seen, side, self._columns.wire), KINDS[said.kind]
        return None

    def _name(self, row: Row) -> Line:
        columns = self._columns
        if not columns.names:
            return []
        name = self._name_of(row.strand) if row.strand is not None else ""
        return [Segment(f"{tail(name, columns.names)}  ", BOLD)]

    def _ticks(self, row: Row) -> Line:
        columns = self._columns
        if not columns.tick:
            return []
        text = str(row.tick) if row.tick and row.tick != self._tick else ""
        self._tick = row.tick or self._tick
        return [Segment(f"{fit(text, columns.tick, '>')} ", DIM)]

    def captions(self, t: int) -> Iterator[Line]:
        """Those that are due by then."""
        while self._captions and self._captions[0][0] <= t:
            _, text = self._captions.popleft()
            for at, it in enumerate(wrapped(escape_text(text), self._view.width - 3)):
                yield [Segment(f"{'  ' if at else '▸ '}{it}", BOLD)]

    def _introduce(self, strand: Strand) -> None:
        self.introduced.add(strand.number)
        self._last = strand.number
        if len(self._known.names) > 1:
            self._called |= {it: self._name_of(strand) for it in strand.names if ":" in it}

    def _quiet(self, t: int, why: str) -> Iterator[Line]:
        before = " " * self._columns.before
        why = _A_NAME.sub(lambda it: self._called.get(it[0], it[0]), why or "nothing happens")
        why = escape_text(self._view.say(why))  # somebody may sleep in a call
        text = f"{duration(t - self._until)} · {why}"
        rows = wrapped(text, self._view.width - len(before) - 8)
        for at, it in enumerate(rows):
            ends = " ┄┄┄" if at == len(rows) - 1 else ""
            yield [Segment(f"{before}{'    ' if at else '┄┄┄ '}{it}{ends}", DIM)]

    def _introduction(self, strand: Strand) -> Line:
        return [Segment(f" {self._view.say(heading(strand, self._name_of(strand)))} ", BOLD)]

    def _reason(self, text: str, *, client: bool) -> Iterator[Line]:
        """In its lane, and over the wire if there is too little room."""
        columns = self._columns
        lane = columns.left if client else columns.right
        over = len(wrapped(text, max(2, lane - 2))) > _REASON
        room = lane + columns.wire + 1 if over else lane
        before = Segment(" " * columns.before)
        tick = columns.tick + 1 if columns.tick else 0
        for at, it in enumerate(wrapped(text, room - 2)):
            said = Segment(fit(f"{'  ' if at else '╰ '}{it}", room), DIM)
            if client:
                wire = " │ " if over else f" │{' ' * columns.wire}│ "
                yield [before, said, Segment(wire, DIM)]
            elif over:
                yield [before, Segment(" " * columns.left), Segment(f" │ {' ' * tick}", DIM), said]
            else:
                wire = f" │{' ' * columns.wire}│ {' ' * tick}"
                yield [before, Segment(" " * columns.left), Segment(wire, DIM), said]

    def _name_of(self, strand: Strand) -> str:
        return self._known.names.get(strand.number) or name_of(strand)

    def _title(self, *, client: bool) -> str:
        """`client`, or the labels of more than one; `· loop` if it is one."""
        say, word = self._view.say, "client" if client else "server"
        labels = self._known.sides[not client]
        if not labels and not self._view.begins:
            lane = self._columns.left if client else self._columns.right
            long = say(f"{word} (from its packets)" if self._view.packets else f"{word} (in no log)")
            return long if cell_len(long) <= lane - 1 else say(f"{word}, no log")
        if len(labels) > 1:
            title = f"{word}s: {', '.join([escape_text(it) for it in labels])}"
        elif labels and labels[0] not in ("", word):
            title = f"{word}: {escape_text(labels[0])}"
        else:
            title = word
        return say(f"{title} · loop" if not client and self._known.tick else title)


def _width(beside: Line) -> int:
    return width_of(beside) + 2 * (len(beside) - 1)
