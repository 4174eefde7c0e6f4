"""Lines of several logs read together: behind what a call got stands which calls it got it from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Recvfrom
from evloop_trace.escape import escape_text
from evloop_trace.views.lines import format_events
from evloop_trace.views.numbers import count, duration, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.causal import Row
    from evloop_trace.correlate.ends import Joined, Origin

__all__ = ["format_rows", "sources"]

_SHOWN = 3

_WORDS = {"block": "a send that goes on,"}


def format_rows(rows: Sequence[Row]) -> list[str]:
    """A line for each row, all of which are events, without its newline."""
    lines = format_events([row.item for row in rows])  # type: ignore[misc]
    for at, (_, item, joined, _) in enumerate(rows):
        if joined is not None and (text := sources(joined, datagram=isinstance(item, Recvfrom))):
            lines[at] += f"  {text}"
    return lines


def sources(joined: Joined, *, datagram: bool = False) -> str:
    """`from client send #12 [0,18) 8.2 µs before`, or nothing where nothing can be known."""
    origins = joined.origins
    if not origins:
        return "from nothing that is in the logs" if joined.missing and not datagram else ""
    first = origins[0]
    names = [_named(first), *[f"#{it.seq}{_bytes(it)}" for it in origins[1:_SHOWN]]]
    more = f" and {count(len(origins) - _SHOWN)} more" if len(origins) > _SHOWN else ""
    lost = f", but {size(joined.missing)} from nothing that is in the logs" if joined.missing else ""
    return f"{'' if joined.exact else 'likely '}from {', '.join(names)}{more} {_before(joined.way)}{lost}"


def _named(origin: Origin) -> str:
    label = f"{escape_text(origin.log)} " if origin.log else ""
    return f"{label}{_WORDS.get(origin.ev, origin.ev)} #{origin.seq}{_bytes(origin)}"


def _bytes(origin: Origin) -> str:
    return f" [{origin.start},{origin.end})" if origin.ev in {"send", "block"} else ""


def _before(way: int) -> str:
    if way < 0:
        return f"{duration(-way)} later: their clocks disagree"
    return f"{duration(way)} before"
