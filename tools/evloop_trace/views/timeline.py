"""The timeline: the client's calls, the wire, and the server's, downwards on one clock.

What a call sends stands beside it; what gets it stands on a row of its own, further down. The states of both
ends stand beside the wire, where they change.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment

from evloop.events.schema import Header
from evloop_trace.correlate.entries import CallEntry
from evloop_trace.correlate.meeting import Crossing, Seen
from evloop_trace.escape import escape_text
from evloop_trace.numbers import duration
from evloop_trace.views.calls import Words, fitting
from evloop_trace.views.cells import Line, Panel, cut, exact, fit, width_of, wrap
from evloop_trace.views.lanes import call_arrow, tail
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN
from evloop_trace.views.rows import Row, Rows, told
from evloop_trace.views.wire import draw, kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.style import Style

    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["TimelinePanel", "TimelineView"]

QUIET = 10_000_000
"""Nanoseconds in which nothing happens that are worth a row."""

_AHEAD = 4096  # entries that say how wide the columns are to be
_LEAST = 60  # cells, below which lines are cut
_SIDES = (True, False)
_NARROW = 15  # cells of a lane with states only
_REASON = 1  # rows of a reason that stays in its lane


class _Columns(NamedTuple):
    """Widths in cells."""

    clock: int
    names: int  # 0 is none
    left: int
    wire: int
    tick: int  # 0 is none
    right: int

    @property
    def before(self) -> int:
        """What stands before the left lane."""
        return 1 + self.clock + 2 + (self.names + 2 if self.names else 0)


class _Known(NamedTuple):
    """What the columns depend on."""

    clock: int
    names: dict[int, str]
    """Of connections, by their numbers."""
    mixed: bool
    """They take turns: each row says whose it is."""
    sides: tuple[tuple[str, ...], tuple[str, ...]]
    """The labels of the logs on either side; none if its calls are in no log."""
    tick: int


class TimelineView:
    """Lines of a whole timeline, as text output has them."""

    def __init__(
        self, width: int, labels: Sequence[str] = (), *, packets: bool = True, kernel: bool = False,
    ) -> None:  # fmt: skip
        """How it is drawn.

        Args:
            width: Cells of a line.
            labels: Of the logs, as `Entry.log` counts them; empty if there is only one.
            packets: There is a capture.
            kernel: The kernel tells of states.
        """
        self.width = max(_LEAST, width)
        self.labels = labels
        self.packets = packets
        self.kernel = kernel

    def lines(self, entries: Iterable[Entry]) -> Iterator[Line]:
        """Lines of exactly so many cells, the heading first."""
        entries = iter(entries)
        ahead = [entry for entry, _ in zip(entries, range(_AHEAD), strict=False)]
        if not ahead:
            return
        drawer = _Drawer(self, _known(ahead, self.labels))
        yield drawer.heading()
        for row in _rows(chain(ahead, entries), self):
            yield from drawer.row(row)


class TimelinePanel(Panel):
    """The last of a timeline, the newest at the bottom."""

    def __init__(
        self, labels: Sequence[str] = (), *, packets: bool = True, kernel: bool = False, most: int = 512
    ) -> None:
        """Of so many entries at `most`."""
        self.view = TimelineView(0, labels, packets=packets, kernel=kernel)
        self.entries: deque[Entry] = deque(maxlen=most)

    def append(self, entry: Entry) -> None:
        """What comes next."""
        self.entries.append(entry)

    def lines(self, width: int, height: int) -> list[Line]:
        """At most `height` lines."""
        if height < 1:
            return []
        entries = list(self.entries)
        before, entries = entries[: -3 * height], entries[-3 * height :]
        drawer = self._drawer(width, entries)
        drawer.known_already(it.strand for it in before)
        lines = [line for row in _rows(entries, self.view) for line in drawer.row(row)]
        return [exact(line, width) for line in lines[-height:]]

    def heading(self, width: int) -> Line:
        """A rule that says which side is whose."""
        return exact(self._drawer(width, list(self.entries)).heading(), width)

    def _drawer(self, width: int, entries: list[Entry]) -> _Drawer:
        self.view.width = max(_LEAST, width)
        return _Drawer(self.view, _known(entries, self.view.labels))


def _rows(entries: Iterable[Entry], view: TimelineView) -> Iterator[Row]:
    rows = Rows(view.labels, kernel=view.kernel)
    for entry in told(entries):
        yield from rows.feed(entry)
    yield from rows.rest()


class _Drawer:
    """Rows → lines; what a line says depends on those before."""

    def __init__(self, view: TimelineView, known: _Known) -> None:
        self._view = view
        self._known = known
        self._columns = _columns(known, view.width, packets=view.packets)
        self._before: Row | None = None
        self._until = 0
        self._tick = 0
        self._last = -1  # the connection of the last row that has one
        self.introduced: set[int] = set()
        """Connections that have had their line."""

    def heading(self) -> Line:
        """The rule above everything."""
        columns = self._columns
        left, right = (self._title(client=client) for client in _SIDES)
        wire = "wire" if self._view.packets else "no capture"
        text = (
            " ms ".rjust(columns.clock + 2, "─")
            + "─" * (columns.names + 2 if columns.names else 0)
            + f" {cut(left, columns.left)} ".ljust(columns.left + 2, "─")
            + f" {wire} ".center(columns.wire + 1, "─")
            + " "
            + ("tick ".rjust(columns.tick + 2, "─") if columns.tick else " ")
            + f"{cut(right, columns.right - 1)} "
        )
        return exact([Segment(text.ljust(self._view.width, "─"), DIM)], self._view.width)

    def known_already(self, strands: Iterable[Strand | None]) -> None:
        """Connections that need no introduction; the last of them goes on."""
        for strand in strands:
            if strand is not None:
                self.introduced.add(strand.number)
                self._last = strand.number

    def row(self, row: Row) -> Iterator[Line]:
        """The lines of a row: what is before it, itself, and why."""
        width = self._view.width
        lines: list[Line] = []
        if self._before is not None and row.t - self._until >= QUIET:
            lines += self._quiet(row)
        if row.strand is not None:
            number = row.strand.number
            if number not in self.introduced or (not self._columns.names and number != self._last):
                lines.append(self._introduction(row.strand))
            self.introduced.add(number)
            self._last = number
        lines += self._main(row)
        for client, reason in row.reasons:
            lines += self._reason(escape_text(reason), client=client)
        self._before, self._until = row, max(row.until, self._until)
        yield from (exact(line, width) for line in lines)

    # -- the parts of a row ----------------------------------------------------------------------------

    def _main(self, row: Row) -> Iterator[Line]:
        columns = self._columns
        packet = row.packet.packet if row.packet is not None else None
        notable: list[str] = []
        shaft, style = " " * columns.wire, PLAIN
        if packet is not None:
            shaft, notable = draw(packet, columns.wire)
            style = KINDS[kind(packet)]
        elif arrow := self._inferred(row):
            shaft, style = arrow
        beside: dict[bool, Line] = {}
        for side in _SIDES:
            beside[side] = [Segment(state, KINDS["life"]) for state in filter(None, [row.states.get(side)])]
            if notable and packet is not None and packet.client is side:
                beside[side].insert(0, Segment(", ".join(notable), style))
        below = {side: self._goes_below(row.says.get(side), beside[side], client=side) for side in _SIDES}
        yield [
            Segment(f" {fit(_ms(row.t), columns.clock, '>')}  ", DIM),
            *self._name(row),
            *self._lane(row.says.get(True), [] if below[True] else beside[True], client=True),
            Segment(" │", DIM),
            Segment(shaft, style),
            Segment("│ ", DIM),
            *self._ticks(row),
            *self._lane(row.says.get(False), [] if below[False] else beside[False], client=False),
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
                return call_arrow(said.arrow, seen, side, self._columns.wire), KINDS[said.kind]
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

    def _quiet(self, row: Row) -> Iterator[Line]:
        before = " " * self._columns.before
        why = escape_text(row.quiet) or "nobody calls anything"
        text = f"┄┄┄ {duration(row.t - self._until)} · {why} ┄┄┄"
        for at, it in enumerate(wrap(text, self._view.width - len(before) - 4)):
            yield [Segment(f"{before}{'    ' if at else ''}{it}", DIM)]

    def _introduction(self, strand: Strand) -> Line:
        text = f" {self._name_of(strand)}  {ends(strand)} "
        return [Segment(text, BOLD)]

    def _reason(self, text: str, *, client: bool) -> Iterator[Line]:
        """In its lane, and over the wire if there is too little room."""
        columns = self._columns
        lane = columns.left if client else columns.right
        over = len(wrap(text, max(2, lane - 2))) > _REASON
        room = lane + columns.wire + 1 if over else lane
        before = Segment(" " * columns.before)
        tick = columns.tick + 1 if columns.tick else 0
        for at, it in enumerate(wrap(text, room - 2)):
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
        word = "client" if client else "server"
        labels = self._known.sides[not client]
        if not labels:
            lane = self._columns.left if client else self._columns.right
            long = f"{word} (from its packets)" if self._view.packets else f"{word} (in no log)"
            return long if cell_len(long) <= lane - 1 else f"{word}, no log"
        if len(labels) > 1:
            title = f"{word}s: {', '.join([escape_text(it) for it in labels])}"
        elif labels[0] not in ("", word):
            title = f"{word}: {escape_text(labels[0])}"
        else:
            title = word
        return f"{title} · loop" if not client and self._known.tick else title


def name_of(strand: Strand, *, whole: bool = False) -> str:
    """What a connection is called: as its client does, or its server, or by its client's port."""
    name = strand.names[0] or strand.names[1]
    if not name:
        return ":" + escape_text(strand.client.rpartition(":")[2])
    return escape_text(name if whole else name.rpartition(":")[2])


def ends(strand: Strand) -> str:
    """`127.0.0.1:52814 → 127.0.0.1:8080`, and what the server calls it if that is something else."""
    text = f"{escape_text(strand.client)} → {escape_text(strand.server)}"
    ours, theirs = (it.rpartition(":")[2] for it in strand.names)
    return f"{text}  (the server's {escape_text(theirs)})" if ours and theirs and ours != theirs else text


def _known(entries: Sequence[Entry], labels: Sequence[str]) -> _Known:
    """What the columns are to have room for."""
    strands: dict[int, Strand] = {}
    sides: dict[bool, dict[int, str]] = {True: {}, False: {}}
    tick = 0
    for entry in entries:
        if entry.strand is not None:
            strands[entry.strand.number] = entry.strand
        if isinstance(entry, CallEntry) and not isinstance(entry.event, Header):
            sides[entry.client][entry.log] = labels[entry.log] if entry.log < len(labels) else ""
            if not entry.client:
                tick = max(tick, entry.event.tick)
    clock = max([6, *[len(_ms(it.t)) for it in entries[-1:]]])
    left, right = (tuple(sides[side].values()) for side in _SIDES)
    names = _names(list(strands.values()))
    return _Known(clock, names, _mixed(entries), (left, right), len(str(tick)) if tick else 0)


def _names(strands: Sequence[Strand]) -> dict[int, str]:
    """By number; with their logs' labels, or by these alone, only where they would be alike without."""
    bare = [name_of(it) for it in strands]
    labels = [
        name_of(it, whole=True).rpartition(":")[0] or name for it, name in zip(strands, bare, strict=True)
    ]
    whole = [name_of(it, whole=True) for it in strands]
    clash = {name for name in bare if bare.count(name) > 1}
    alone = [label for label, name in zip(labels, bare, strict=True) if name in clash]
    chosen = {}
    for strand, name, label, full in zip(strands, bare, labels, whole, strict=True):
        unique = alone.count(label) == 1 and label not in bare
        chosen[strand.number] = name if name not in clash else label if unique else full
    return chosen


def _mixed(entries: Sequence[Entry]) -> bool:
    """Whether one connection goes on after another began."""
    over: set[int] = set()
    last = -1
    for entry in entries:
        if entry.strand is None or entry.strand.number == last:
            continue
        over.add(last)
        last = entry.strand.number
        if last in over:
            return True
    return False


def _columns(known: _Known, width: int, *, packets: bool) -> _Columns:
    names = max(5, min(width // 10, max(map(cell_len, known.names.values())))) if known.mixed else 0
    tick = max(3, known.tick) if known.tick else 0
    rest = width - known.clock - 7 - (names + 2 if names else 0) - (tick + 1 if tick else 0)
    left, right = (bool(it) for it in known.sides)
    wire = max(18, min(44, rest * (32 if left and right else 38) // 100))
    lanes = rest - wire
    lane = lanes * 45 // 100
    if packets and left is not right:  # of one end only the states are known
        lane = max(_NARROW, lanes * 30 // 100)
        lane = lane if right else lanes - lane
    return _Columns(known.clock, names, lane, wire, tick, lanes - lane)


def _width(beside: Line) -> int:
    return width_of(beside) + 2 * (len(beside) - 1)


def _ms(t: int) -> str:
    """Milliseconds, to the microsecond."""
    micros = max(0, t) // 1000
    return f"{micros // 1000}.{micros % 1000:03}"
