"""Lines of several logs read together: behind what a call got stands which calls it got it from."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from evloop.events.schema import Recvfrom
from evloop_trace.escape import escape_text
from evloop_trace.numbers import count, duration, size
from evloop_trace.views.lines import NAME, format_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.causal import Row
    from evloop_trace.correlate.ends import Joined, Origin

__all__ = ["format_rows", "sources"]

_SHOWN = 3

_WORDS = {"block": "a send that goes on,"}


def format_rows(rows: Sequence[Row], labels: Sequence[str] = ()) -> list[str]:
    """A line for each row, all of which are events, without its newline.

    `labels` are those of the logs, if there are several: names begin with them, and so the columns are wider.
    """
    longest = max([cell_len(escape_text(label)) + 1 for label in labels], default=0)
    logs = [labels[row.log] for row in rows] if labels else ()
    lines = format_events([row.item for row in rows], logs, longest + NAME)
    for at, row in enumerate(rows):
        joined = row.joined
        if joined is not None:
            lines[at] += sources(joined, datagram=type(row.item) is Recvfrom)
    return lines


def sources(joined: Joined, *, datagram: bool = False) -> str:
    """`  from client send #12 [0,18) 8.2 µs before`, or nothing where nothing can be known."""
    origins = joined.origins
    if not origins:
        return "  from nothing that is in the logs" if joined.missing and not datagram else ""
    first = origins[0]
    if len(origins) == 1 and not joined.missing and first.ev == "send":  # a million of them
        certain = "  from" if joined.exact else "  likely from"
        way = _before((joined.due - first.t) // 100)
        return f"{certain} {_who(first.log)}send #{first.seq} [{first.start},{first.end}) {way}"
    names = [_named(first), *[f"#{it.seq}{_bytes(it)}" for it in origins[1:_SHOWN]]]
    more = f" and {count(len(origins) - _SHOWN)} more" if len(origins) > _SHOWN else ""
    lost = f", but {size(joined.missing)} from nothing that is in the logs" if joined.missing else ""
    certain = "" if joined.exact else "likely "
    return f"  {certain}from {', '.join(names)}{more} {_before(joined.way // 100)}{lost}"


@lru_cache(maxsize=4096)
def _who(label: str) -> str:
    return f"{escape_text(label)} " if label else ""


def _named(origin: Origin) -> str:
    return f"{_who(origin.log)}{_WORDS.get(origin.ev, origin.ev)} #{origin.seq}{_bytes(origin)}"


def _bytes(origin: Origin) -> str:
    return f" [{origin.start},{origin.end})" if origin.ev in {"send", "block"} else ""


@lru_cache(maxsize=4096)
def _before(tenths: int) -> str:
    """How long, given in tenths of a microsecond."""
    if tenths < 0:
        return f"{duration(-tenths * 100)} later: their clocks disagree"
    return f"{duration(tenths * 100)} before"
