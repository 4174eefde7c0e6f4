"""Two servers and the same clients: bars on one axis of time, a table, and what differs, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from evloop_trace.model.differences import because, differences, name_of
from evloop_trace.numbers import count, duration, plural
from evloop_trace.views import page
from evloop_trace.views.bars import GLYPHS, Axis, life, segments
from evloop_trace.views.cells import Line, cut, fit
from evloop_trace.views.palette import BOLD, DIM

if TYPE_CHECKING:
    from evloop_trace.model.clients import Client
    from evloop_trace.model.comparison import Comparison, Spread, Summary

__all__ = ["PLAIN_SIZE", "comparison_lines", "render"]

PLAIN_SIZE = (100, 60)
"""Columns and lines, where there is no terminal to ask."""

_LEAST = 60  # columns
_WHY = 110  # columns from which on there is room for a reason beside a bar
_REASON = 30  # cells of it
_WAITED = 10  # cells
_MORE = "+"  # behind a wait: so much is known
_LEAST_CLIENTS = 5
_ROW = 19  # cells of a row's name


def render(comparison: Comparison, width: int, height: int, *, colour: bool = False) -> str:
    """All of it as text, `width` cells wide but never less than 60; clients as `height` lines have room for.

    What is under the bars is never left out, so on a low terminal there are more lines than fit.
    """
    width = max(width, _LEAST)
    return page.render(comparison_lines(comparison, width, height), width, colour=colour)


def comparison_lines(comparison: Comparison, width: int, height: int) -> list[Line]:
    """The lines: ruler, bars, legend, table, sentences."""
    below = [*_table(comparison, width), *_sentences(comparison, width)]
    room = max((height - len(below) - 4) // 2, _LEAST_CLIENTS)  # ruler, what is left out, legend, prompt
    bars, used = _bars(comparison, room, width)
    return [*bars, _legend(used), *below]


def _bars(comparison: Comparison, room: int, width: int) -> tuple[list[Line], set[str]]:
    """The ruler and two bars a client; and which glyphs there are."""
    shown = comparison.select(room)
    names = [name_of(comparison, pair) for pair in shown]
    labels = [side.label for side in comparison.sides]
    name = min(max([cell_len(text) for text in names]), width // 5)
    label = min(max([cell_len(text) for text in labels]), width // 6)
    reason = _REASON + 2 if width >= _WHY else 0
    axis = Axis(comparison.end, width - name - label - _WAITED - 4 - reason)
    head = " " * (name + label + 2) + axis.ruler() + f"{'waited':>{_WAITED + 1}}"
    lines: list[Line] = [[Segment(head + ("  the server was in" if reason else ""), DIM)]]
    used: set[str] = set()
    previous = 0
    for pair, text in zip(shown, names, strict=True):
        if pair.number > previous + 1:
            lines.append(_left_out(pair.number - previous - 1, width))
        previous = pair.number
        for at, client in enumerate((pair.a, pair.b)):
            bar = _bar(comparison, at, client, axis)
            used.update(bar)
            if client is not None and client.in_queue is None:
                used.add(_MORE)
            shown_name = "" if at else _quoted_cut(text, name)
            why = "" if client is None or not reason else because(comparison, at, client)
            lines.append(
                [
                    Segment(fit(shown_name, name) + " ", BOLD),
                    Segment(fit(labels[at], label) + " ", DIM),
                    *segments(bar),
                    *_waited(client),
                    Segment("  " + cut(why, _REASON) if why else "", DIM),
                ]
            )
    if len(comparison.pairs) > previous:
        lines.append(_left_out(len(comparison.pairs) - previous, width))
    return lines, used


def _bar(comparison: Comparison, side: int, client: Client | None, axis: Axis) -> str:
    if client is None:
        return fit("no such client", axis.cells)
    one = comparison.sides[side]
    return life(client, one.origin, one.clients.end, axis)


def _quoted_cut(text: str, width: int) -> str:
    """Cut between the quotes, if there are any."""
    return f'{cut(text[:-1], width - 1)}"' if text.endswith('"') else cut(text, width)


def _waited(client: Client | None) -> Line:
    """How long it waited for the server in all; a plus where its time in the queue is not known."""
    if client is None:
        return []
    text = _short(client.waits) + (_MORE if client.in_queue is None else "")
    return [Segment(f" {text:>{_WAITED}}", BOLD if client.waits >= 10**8 else DIM)]


def _left_out(number: int, width: int) -> Line:
    return [Segment(fit(f"… {count(number)} more, in the table", width).rstrip(), DIM)]


def _legend(used: set[str]) -> Line:
    line: Line = []
    for glyph, (text, style) in GLYPHS.items():
        if glyph in used:
            line += [Segment("  " if line else ""), Segment(glyph, style), Segment(f" {text}", DIM)]
    if _MORE in used:
        line += [Segment("  "), Segment(_MORE, BOLD), Segment(" and the queue", DIM)]
    return line


def _table(comparison: Comparison, width: int) -> list[Line]:
    """A row a number, and three columns a side: median, nine-tenths, largest."""
    summaries = [side.summary() for side in comparison.sides]
    cells = min((width - _ROW) // 6, 14)
    heads = [fit(f"{it.label}: {_clients(it)}", 3 * cells - 2) for it in summaries]
    rows = (
        ("in the accept queue", [it.queue for it in summaries], 10**6),
        ("to the first answer", [it.first_answer for it in summaries], 0),
        ("for an answer", [it.answers for it in summaries], 0),
        ("arrival to close", [it.stay for it in summaries], 0),
    )
    return [
        [Segment(" " * _ROW), *[Segment(f"  {head}", BOLD) for head in heads]],
        [Segment(" " * _ROW + "".join([f"{word:>{cells}}" for word in ("median", "p90", "max") * 2]), DIM)],
        *[
            [Segment(f"{name:{_ROW}}", DIM), *[Segment(_three(it, cells, least)) for it in spreads]]
            for name, spreads, least in rows
        ],
    ]


def _clients(summary: Summary) -> str:
    """Datagrams' senders are not there at a time."""
    if summary.most:
        return f"{count(summary.most)} of {count(summary.clients)} at once"
    return plural(summary.clients, "client")


def _three(spread: Spread | None, cells: int, least: int) -> str:
    if spread is None:
        return fit("not known", 3 * cells, ">")
    times = (spread.median_ns, spread.p90_ns, spread.max_ns)
    return "".join([f"{_short(ns, least):>{cells}}" for ns in times])


def _short(ns: int, least: int = 0) -> str:
    """In at most nine cells, up to 99 hours; `least` is the shortest time that can be told."""
    if ns < least:
        return f"< {duration(least).replace('.0', '')}"
    seconds = round(ns / 10**9)
    if seconds < 60:
        return duration(ns)
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02} h"


def _sentences(comparison: Comparison, width: int) -> list[Line]:
    """Each begins on a line of its own, and goes on indented."""
    console = Console(width=width)
    return [
        [Segment(f"{'  ' if at else ''}{line.plain.rstrip()}")]
        for sentence in differences(comparison)
        for at, line in enumerate(Text(f"{sentence}.").wrap(console, width - 2))
    ]
