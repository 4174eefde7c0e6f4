"""The byte ruler: sends above, segments in the middle, recvs below, on one axis of the stream's offsets.

Where every boundary has a cell of its own the pieces are boxes. Where cells hold more than one, each cell
says how many pieces begin in it, and the ranges stand below in numbers.
"""

from __future__ import annotations

from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment

from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.numbers import clock, count, plural
from evloop_trace.views.axis import Axis, axis_of, ticks
from evloop_trace.views.cells import Line, cut, exact, fit, wrapped
from evloop_trace.views.palette import BOLD, DIM, KINDS, PLAIN, TROUBLE
from evloop_trace.views.ruler_notes import notes

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import Strand
    from evloop_trace.correlate.ruler import Direction, Piece, Row, Ruler

__all__ = ["lines"]

LEAST = 60
"""Cells that a line has at least."""

TABLE = 10
"""Lines of a table of ranges."""

_NAME = 8  # cells of a row's name
_TAIL = 20  # and at most of its end
_TEXT = 256  # bytes of a stream whose text is shown
_DENSE = 10
_COLUMN = 24  # cells of a table's column
_COLUMNS = ("send", "wire", "recv", "again", "peek")
_LAYERS = 3  # rows of segments that overlap
_UDP = (
    "UDP has no stream, and so no offsets: a datagram arrives whole or not at all, and one sendto is one "
    "recvfrom. Without --bytes the timeline shows each."
)


def lines(ruler: Ruler, width: int, most: int = TABLE) -> list[Line]:
    """The ruler of a connection.

    Args:
        ruler: What is drawn.
        width: Cells of each line; where there are fewer than 60, 60.
        most: Lines at most of each table of ranges.
    """
    width = max(LEAST, width)
    drawn = _heading(ruler.strand, width)
    if ruler.strand.proto == "udp":
        drawn += [[Segment(it)] for it in wrapped(_UDP, width)]
    else:
        for client in (True, False):
            drawn += [[], *_Half(ruler, width, client=client).lines(most)]
    return [exact(line, width) for line in drawn]


def _heading(strand: Strand, width: int) -> list[Line]:
    words = f"{strand.number}  {strand.proto} {strand.client or 'unnamed'} → {strand.server or 'unnamed'}"
    client, server = strand.names
    names = f"{client} → {server}" if client and server else client and f"the client is {client}"
    names = names or (server and f"the server is {server}")
    text = escape_text(f"{words}   {names}" if names else words)
    return [[Segment(cut(text, width), BOLD)]]


class _Half:
    """One direction."""

    def __init__(self, ruler: Ruler, width: int, *, client: bool) -> None:
        self.ruler = ruler
        self.width = width
        self.client = client
        self.way: Direction = ruler.directions[client]
        self.style = KINDS["in" if client else "out"]
        self.bare: list[str] = []  # pieces whose label had no room
        self.used: set[str] = set()  # glyphs
        ends = [cell_len(end) for name in ("send", "wire", "recv") if (end := self._end(name))]
        self.room = width - _NAME - (min(_TAIL, max(ends) + 3) if ends else 0)

    def lines(self, most: int) -> list[Line]:
        """What moved, the rows, and what is to be said of them."""
        way = self.way
        ends = "client → server" if self.client else "server → client"
        head: Line = [Segment(ends, BOLD), Segment(f"   {self._moved()}")]
        if not way.end:
            return [head]
        axis = axis_of(way, self.room)
        drawn = [head, *self._rows(axis)]
        drawn.append([Segment(" " * _NAME), Segment(ticks(axis), DIM)])
        drawn += self._text(axis)
        for words in filter(None, (axis.words, _legend(self.used))):
            text = wrapped(words, self.width - _NAME)
            drawn += [[Segment(" " * _NAME), Segment(it.replace(_HARD, " "), DIM)] for it in text]
        drawn += self._order()
        for note in notes(self.ruler, client=self.client):
            text = wrapped(note, self.width - 2)
            drawn += [[Segment("  " if at else "· ", DIM), Segment(it)] for at, it in enumerate(text)]
        if axis.columns:
            return [*drawn, *self._unlabelled(most)]
        return [*drawn, *self._unlabelled(_LAYERS), *self._table(most)]

    def _moved(self) -> str:
        """`11 B in 3 sends, 3 segments, 1 recv`."""
        way = self.way
        if not way.end:
            ends = [end for name in ("send", "wire", "recv") if (end := self._end(name))]
            return f"no byte; {', '.join(ends)}" if ends else "no byte"
        recorded, heard = self.ruler.recorded(client=self.client), self.ruler.recorded(client=not self.client)
        parts = [
            plural(way.send.count, "send") if recorded else "",
            plural(way.wire.count, "segment") if self.ruler.strand.wire else "",
            f"{count(way.again.count)} sent again" if way.again.count else "",
            plural(way.recv.count, "recv") if heard else "",
        ]
        offered = f", {count(way.end - way.bytes)} B more offered" if way.end > way.bytes else ""
        return f"{count(way.bytes)} B in {', '.join(filter(None, parts))}{offered}"

    # -- rows ------------------------------------------------------------------------------------------

    def _rows(self, axis: Axis) -> list[Line]:
        way, strand = self.way, self.ruler.strand
        ends = ("client", "server") if self.client else ("server", "client")
        sender, receiver = (f"the {it}'s calls are in no log" for it in ends)
        missing = "not in the capture" if self.ruler.captured else "no capture was read"
        wire = "a Unix socket has no packets" if strand.proto == "unix" else missing
        rows = [
            self._row("send", way.send, axis, "" if self._has(send=True) else sender),
            self._row("wire", way.wire, axis, "" if strand.wire else wire),
            *self._layers("again", way.again, axis),
            self._row("recv", way.recv, axis, "" if self._has(send=False) else receiver),
            *self._layers("peek", way.peek, axis),
        ]
        return [line for line in rows if line]

    def _has(self, *, send: bool) -> bool:
        return self.ruler.recorded(client=self.client is send)

    def _row(self, name: str, row: Row, axis: Axis, why: str) -> Line:
        """A row that is always there; `why` it has nothing."""
        sure = name != "wire" or self.way.aligned
        label = Segment(fit(name if sure else "wire?", _NAME), BOLD)
        if why and not row.count:
            return [label, Segment(fit(why, axis.width), DIM), *self._ended(name)]
        if not axis.columns:
            return [label, *self._strokes(name, row, axis), *self._ended(name)]
        asleep = self.way.asleep if name == "send" else None
        return [
            label,
            *self._boxes(name, row.pieces, axis, row.spans.missing(0, self.way.end), asleep),
            *self._ended(name),
        ]

    def _layers(self, name: str, row: Row, axis: Axis) -> list[Line]:
        """Pieces that may overlap, in as many lines as they need, up to `_LAYERS`."""
        if not row.count:
            return []
        label = Segment(f"{name:<{_NAME}}", BOLD)
        if not axis.columns:
            return [[label, *self._strokes(name, row, axis)]]
        layers: list[list[Piece]] = []
        for piece in row.pieces:
            free = next((it for it in layers if all(_apart(piece, other) for other in it)), None)
            if free is None:
                layers.append(free := [])
            free.append(piece)
        self.bare += [_range(name, piece) for layer in layers[_LAYERS:] for piece in layer]
        return [
            [label if not at else Segment(" " * _NAME), *self._boxes(name, it, axis, [], None)]
            for at, it in enumerate(layers[:_LAYERS])
        ]

    def _boxes(
        self, name: str, pieces: list[Piece], axis: Axis, gaps: list[tuple[int, int]], asleep: Piece | None
    ) -> Line:
        """Pieces with a boundary at each end; what nothing covers is dotted, and named."""
        style = TROUBLE if name == "again" else self.style
        columns = axis.columns
        parts = []
        for piece in pieces:
            width = columns[piece.end] - columns[piece.begin]
            labels = _labels(name, piece)
            box = _box(labels, width)
            if cell_len(labels[0]) > len(labels[-1]) and not any(it in box for it in labels[:-1]):
                self.bare.append(_range(name, piece))
            parts.append((columns[piece.begin], Segment(box, style)))
        if asleep is not None:
            width = columns[asleep.end] - columns[asleep.begin]
            box = _box([f"#{asleep.number} sleeps in it", f"#{asleep.number} sleeps"], width, "╌")
            parts.append((columns[asleep.begin], Segment(box, style)))
            gaps = [it for it in gaps if it[0] < asleep.begin]
        for begin, end in gaps:
            dots = _dotted(_gap(name, last=end == self.way.end), columns[end] - columns[begin])
            parts.append((columns[begin], Segment(dots, DIM)))
        line: Line = []
        at = 0
        for column, segment in sorted(parts, key=lambda it: it[0]):
            line += [Segment(" " * (column - at)), segment]
            at = column + segment.cell_length
        return [*line, Segment(" " * (axis.width - at))]

    def _strokes(self, name: str, row: Row, axis: Axis) -> Line:
        """A glyph a cell: what begins in it; between brackets where the row's first and last byte stand."""
        step = max(it.marks.step for it in self.way.rows.values())
        glyphs = []
        blank = " " if name in {"again", "peek"} else "·"  # of these nothing is as it should be
        for low, high in pairwise(axis.edges):
            many = row.marks.between(low, -(-high // step) * step)
            covered = row.spans.share(low, high)
            if low == 0:
                many -= bool(row.spans.share(0, 1))  # the axis's own end
            glyphs.append(_glyph(many, covered, high - low, blank))
        text = "".join(glyphs)
        self.used |= set(glyphs)
        if name not in self._tabled():
            self.bare += [_range(name, piece) for piece in row.pieces]
        for piece in row.pieces:
            text = _labelled(text, _labels(name, piece), piece, axis)
        left = "├" if row.spans.share(0, 1) else blank
        right = "┤" if row.spans.end == self.way.end else blank
        style = TROUBLE if name == "again" else self.style
        return [Segment(f"{left}{text}{right}", style)]

    def _end(self, name: str) -> str:
        """What ended a row, behind its last byte."""
        way = self.way
        if name == "send":
            return f"{way.ended[0]} #{way.ended[1]}" if way.ended else ""
        if name == "recv":
            return f"#{way.eof.number} = 0" if way.eof else ""
        return f"FIN p{way.fin.number}" if way.fin else f"RST p{way.reset}" if way.reset else ""

    def _ended(self, name: str) -> Line:
        end = self._end(name)
        style = TROUBLE if end.startswith("RST") else KINDS["life"]
        return [Segment(f" ▪ {cut(end, _TAIL - 3)}", style)] if end else []

    # -- below the axis --------------------------------------------------------------------------------

    def _text(self, axis: Axis) -> list[Line]:
        """The payload, if it is short and wholly known."""
        way = self.way
        known = way.known() if way.end <= _TEXT and axis.columns else {}
        if len(known) < way.end:
            return []
        data = bytes(known[at] for at in range(way.end))
        cuts = {it.at for it in (*way.cuts("recv"), *way.cuts("send"))}
        if axis.each >= 3:
            rows = [("bytes", [f"{it:02x}" for it in data]), ("text", _characters(data))]
            return [_spaced(name, cells, axis.each, cuts) for name, cells in rows]
        line: Line = [Segment(f"{'text':<{_NAME}}", BOLD)]
        for (begin, left), (end, right) in pairwise(sorted(axis.columns.items())):
            words = escape_payload(data[begin:end], _TEXT, end - begin)
            line.append(Segment(fit(f'"{words}"', right - left - 1) + " "))
        return [line]

    def _order(self) -> list[Line]:
        """What came after what, if that can be said in two lines."""
        order = self.way.order
        names = {"wire": "p{}", "again": "p{} again"}
        words = [names.get(name, name + " #{}").format(number) for _, name, number in order]
        text = wrapped(", ".join(words), self.width - _NAME)
        if len(text) > 2 or len(order) < self.way.moved:
            return []
        return [
            [Segment(fit("" if at else "in time", _NAME), BOLD), Segment(it)] for at, it in enumerate(text)
        ]

    def _unlabelled(self, most: int) -> list[Line]:
        """The ranges that have no label, in numbers."""
        text = wrapped(", ".join(self.bare), self.width - 2) if self.bare else []
        left_out = [f"… {plural(len(text) - most + 1, 'line')} more"] if len(text) > most else []
        text = text[: most - len(left_out)] + left_out
        return [[Segment("  " if at else "· ", DIM), Segment(it)] for at, it in enumerate(text)]

    def _tabled(self) -> dict[str, Row]:
        """Rows that have a column of the table."""
        rows = {name: row for name in _COLUMNS if (row := self.way.rows[name]).count}
        return dict(list(rows.items())[: (self.width - 2) // _COLUMN])

    def _table(self, most: int) -> list[Line]:
        """The ranges in numbers, in the order of time."""
        rows = self._tabled()
        wide = (self.width - 2) // len(rows)
        columns = [[name, *_ranges(name, row, most - 1, wide - 2)] for name, row in rows.items()]
        table: list[Line] = []
        for cells in zip_longest(*columns, fillvalue=""):
            text = "".join(fit(it, wide - 1) + " " for it in cells)
            table.append([Segment(f"  {text}", PLAIN if table else BOLD)])
        return table


_HARD = "\xa0"  # a space that no line ends at
_LEGEND = (
    ("─", "─ goes on"),
    ("┼", "┼ one begins in this cell"),
    ("23456789", "2 to 9: so many begin in it"),
    ("▓", "▓ ten or more begin"),
    ("·", "· nothing"),
    ("┄", "┄ in part nothing"),
)


def _legend(used: set[str]) -> str:
    """What the glyphs mean."""
    shown = [words for glyphs, words in _LEGEND if used & set(glyphs)]
    return "   ".join(words.replace(" ", _HARD) for words in shown)


def _box(labels: list[str], width: int, stroke: str = "─") -> str:
    """`├── #6 5 B ──┤`, with the longest of the labels that fits."""
    for label in labels:
        room = width - 2 - len(label)
        if room >= 2:
            left = (room - 2) // 2
            return f"├{stroke * left} {label} {stroke * (room - 2 - left)}┤"
        if room >= 0:
            return f"├{label}{' ' * room}┤"
    return f"├{stroke * (width - 2)}┤"


def _labels(name: str, piece: Piece) -> list[str]:
    """What a box may say, from the longest."""
    number, many = piece.number, count(piece.end - piece.begin)
    if name == "wire":
        return [f"p{number} {many} B", f"p{number}"]
    if name == "again":
        return [f"p{number} {_why(piece)}", f"p{number}"]
    if name == "send" and piece.of > piece.end - piece.begin:
        return [f"#{number} {many} of {count(piece.of)} B", f"#{number} {many} B", f"#{number}"]
    return [f"#{number} {many} B", f"#{number}"]


def _apart(one: Piece, other: Piece) -> bool:
    return one.end <= other.begin or other.end <= one.begin


def _gap(name: str, *, last: bool) -> str:
    if name == "wire":
        return "not in the capture"
    return "never read" if name == "recv" and last else "not in the log"


def _dotted(words: str, width: int) -> str:
    text = f" {words} "
    return text.center(width, "·") if len(text) + 2 <= width else "·" * width


def _glyph(many: int, covered: int, room: int, blank: str) -> str:
    """A cell."""
    if not covered:
        return blank
    if many:
        return "┼" if many == 1 else str(many) if many < _DENSE else "▓"
    return "─" if covered == room else "┄"


def _labelled(text: str, labels: list[str], piece: Piece, axis: Axis) -> str:
    """The label where the piece fills enough whole cells."""
    first = next((at for at, it in enumerate(axis.edges) if it >= piece.begin), 0)
    last = next((at for at, it in enumerate(axis.edges) if it >= piece.end), 0)
    low, high = first + 1, last - 1
    for label in labels:
        words = f" {label} "
        if len(words) + 2 <= high - low:
            at = low + (high - low - len(words)) // 2
            if set(text[at : at + len(words)]) <= {"─"}:
                return text[:at] + words + text[at + len(words) :]
    return text


def _characters(data: bytes) -> list[str]:
    """For each byte its character, of whose bytes all but the first have a dot."""
    shown: list[str] = []
    while len(shown) < len(data):
        rest = data[len(shown) : len(shown) + 4]
        for many in range(1, len(rest) + 1):
            try:
                char = rest[:many].decode()
            except UnicodeDecodeError:
                continue
            shown += [_visible(char), *["·"] * (many - 1)]
            break
        else:
            shown.append("?")
    return shown


def _visible(char: str) -> str:
    """A character in at most two cells."""
    text = escape_text(char) if char != " " else "␣"
    return text if cell_len(text) <= 2 and char != "\\" else "\\" if char == "\\" else "."


def _spaced(name: str, cells: list[str], each: int, cuts: set[int]) -> Line:
    """A cell a byte; where a character is cut there is a stroke."""
    line: Line = [Segment(f"{name:<{_NAME}}", BOLD)]
    for at, text in enumerate(cells):
        space = each - 1 if at + 1 in cuts else each
        line.append(Segment(fit(text, space), DIM if text == "·" or name == "bytes" else PLAIN))
        if at + 1 in cuts:
            line.append(Segment("╎", TROUBLE))
    return line


def _range(name: str, piece: Piece) -> str:
    """A piece in numbers."""
    sign = "p" if name in {"wire", "again"} else f"{name} #"
    why = f" {_why(piece)}" if name == "again" else ""
    return f"{sign}{piece.number} [{piece.begin},{piece.end}){why}"


def _why(piece: Piece) -> str:
    """Why a segment carries what went before."""
    return "keep-alive" if piece.alive else f"repeats p{piece.of}" if piece.of else "repeats"


def _ranges(name: str, row: Row, most: int, width: int) -> list[str]:
    """Pieces in numbers; of many the first and the last."""
    pieces = row.pieces
    head = (most + 1) // 2 if row.count > most else most
    tail = most - head - 1
    texts = []
    for piece in pieces[:head] + (pieces[len(pieces) - tail :] if row.count > most else []):
        text = _range(name, piece).removeprefix(f"{name} ")
        for more in (f" {count(piece.end - piece.begin)} B", f" at {clock(piece.t, 6)}"):
            text += more if len(text) + len(more) <= width else ""
        texts.append(text)
    if row.count > most:
        texts.insert(head, f"… {count(row.count - head - tail)} more")
    return texts
