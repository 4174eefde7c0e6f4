"""A packet in full: when and where, what it is in its connection, its headers field by field, its bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment

from evloop.printable import printable
from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.numbers import count, duration
from evloop_trace.packets import segments
from evloop_trace.packets.flow import TCP
from evloop_trace.packets.spelling import found_words
from evloop_trace.views.cells import Line, cut, fit, wrapped
from evloop_trace.views.palette import BOLD, DIM, KINDS, LAYERS, PLAIN, TROUBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.style import Style

    from evloop_trace.packets.dissected import Frame, Layer
    from evloop_trace.packets.sightings import Sighting

__all__ = ["dissection"]

_LEAST, _MOST = 76, 120
_LABEL = 12
_COLUMN = 26
_ROW = 16  # bytes
_DUMPED = 2048  # bytes: whatever fits an Ethernet frame, and the beginning of what does not
_TEXT = 48  # bytes of a payload as text


def dissection(frame: Frame, name: str, width: int) -> list[Line]:
    """All of it.

    Args:
        frame: The packet.
        name: The file's.
        width: Cells.
    """
    width = min(max(width, _LEAST), _MOST)
    title = f"── packet {count(frame.number)} of {escape_text(name)} "
    lines: list[Line] = [[], [Segment(set_cell_size(title + "─" * width, width), BOLD)]]
    for label, text, style in _facts(frame):
        for row in wrapped(text, width - _LABEL):
            lines.append([Segment(fit(label, _LABEL), DIM), Segment(row, style)])
            label = ""  # noqa: PLW2901 - it stands beside the first row
    styles = _styles(frame.layers)
    for layer, style in zip(frame.layers, styles, strict=True):
        lines += _header(layer, frame, style, width)
    return [*lines, [], *_dump(frame, styles)]


def _facts(frame: Frame) -> Iterator[tuple[str, str, Style]]:
    yield "time", _when(frame.time), PLAIN
    if frame.before is not None:
        since = f"{_since(frame.first, frame.time)} the first packet"
        if frame.number > 2:
            since += f", {_since(frame.before, frame.time)} the one before"
        yield "", since, PLAIN
    kept = len(frame.data)
    rest = "all of it kept" if kept >= frame.wire else f"the first {count(kept)} kept"
    yield "length", f"{count(frame.wire)} B on the wire, {rest}", PLAIN
    if frame.interface:
        yield "interface", escape_text(frame.interface), PLAIN
    for comment in frame.comments:
        yield "comment", escape_text(comment), PLAIN
    if frame.role:
        yield from _role(frame.role)
    elif frame.reason:
        yield "analysis", f"left out, as packets {frame.reason} are", TROUBLE
    else:
        yield "analysis", "an ICMP error about nothing that is in the capture", PLAIN


def _when(time: int) -> str:
    seconds, ns = divmod(time, 10**9)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{ns:09} UTC"
    except (OverflowError, OSError, ValueError):  # a clock that was wrong, or a file that lies
        return f"{seconds}.{ns:09} s since 1970"


def _since(earlier: int, later: int) -> str:
    return f"{duration(abs(later - earlier))} {'before' if later < earlier else 'after'}"


def _role(role: Sighting) -> Iterator[tuple[str, str, Style]]:
    yield "connection", f"{role.wire.proto} {role.wire.client} → {role.wire.server}", PLAIN
    who = "client" if role.client else "server"
    if role.error:
        yield "", f"ICMP {role.error}: about what the {who} sent", TROUBLE
        return
    text = f"packet {count(role.place)} from the {who}: {count(role.end - role.begin)} B"
    if role.end > role.begin and role.wire.proto == TCP:
        text += f" [{role.begin},{role.end})"
    if role.ack is not None:
        text += f", ack {role.ack}"
    yield "", text, KINDS["in" if role.client else "out"]
    if words := found_words(role.found):
        yield "", ", ".join(words), TROUBLE if role.found & segments.AGAIN else BOLD
    if role.wire.proto == TCP:
        ends = zip(("client", "server"), role.before, role.states, strict=True)
        yield "states", ", ".join([_change(*it) for it in ends]), KINDS["life"]


def _change(end: str, before: str, after: str) -> str:
    return f"{end} {before}" if before == after else f"{end} {before} → {after}"


def _styles(layers: tuple[Layer, ...]) -> list[Style]:
    """What has no fields is plain."""
    return [LAYERS[at % len(LAYERS)] if layer.fields else PLAIN for at, layer in enumerate(layers)]


def _header(layer: Layer, frame: Frame, style: Style, width: int) -> Iterator[Line]:
    """A layer's name, and its fields in columns."""
    size = layer.end - layer.begin
    title = f"{printable(layer.name)}  {count(size)} B [{layer.begin},{layer.end})"
    if layer.fields:
        yield [Segment(title, style + BOLD)]
        yield from _fields(layer, width)
    else:
        text = escape_payload(frame.data[layer.begin : layer.end], _TEXT, size)
        yield [Segment(title, BOLD), Segment("  " + cut(f'"{text}"', width - cell_len(title) - 2))]


def _fields(layer: Layer, width: int) -> Iterator[Line]:
    line: Line = []
    used = 0
    for name, text in [(printable(name), printable(value)) for name, value in layer.fields]:
        cells = 3 + cell_len(name) + cell_len(text)
        begin = -(-used // _COLUMN) * _COLUMN
        if line and begin + cells > width:
            yield line
            line, used, begin = [], 0, 0
        if cells > width:  # by itself, below its name
            yield [Segment(f"  {name}", DIM)]
            yield from [[Segment(f"    {row}")] for row in wrapped(text, width - 4)]
            continue
        line += [Segment(f"{' ' * (begin - used)}  {name} ", DIM), Segment(text)]
        used = begin + cells
    if line:
        yield line


def _dump(frame: Frame, styles: list[Style]) -> Iterator[Line]:
    """The bytes, each in the colour of its layer."""
    data = frame.data[:_DUMPED]
    colours = [PLAIN] * len(data)
    for layer, style in zip(frame.layers, styles, strict=True):
        for at in range(layer.begin, min(layer.end, len(data))):
            colours[at] = style
    for at in range(0, len(data), _ROW):
        row = data[at : at + _ROW]
        line: Line = [Segment(f"{at:04x}  ", DIM)]
        text: Line = [Segment("   " * (_ROW - len(row)) + " " * (2 if len(row) <= _ROW // 2 else 1))]
        for place, byte in enumerate(row):
            style = colours[at + place]
            line.append(Segment(f"{' ' * (place == _ROW // 2)}{byte:02x} ", style))
            text.append(Segment(chr(byte) if 0x20 <= byte < 0x7F else "·", style))
        yield list(Segment.simplify([*line, *text]))
    if len(frame.data) > _DUMPED:
        yield [Segment(f"… {count(len(frame.data) - _DUMPED)} more bytes", DIM)]
