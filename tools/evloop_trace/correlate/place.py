"""Where a call stands among packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Close, Connect, Send, Sendto, Shutdown
from evloop_trace.model.filters import due

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Unknown

__all__ = ["MAKERS", "SHORT", "place"]

MAKERS = (Send, Sendto, Connect, Shutdown, Close)
"""Calls that make packets."""

SHORT = 1_000_000
"""Nanoseconds: a call that takes less stands where it began, if it makes packets."""


def place(event: AnyEvent | Unknown) -> int:
    """Where a call stands: what makes packets at its beginning, what got something at its end.

    One that slept stands at its end, too, since an event of its own says where it began; shutdown and close
    do not sleep, however long the processor was taken away meanwhile.
    """
    makes = isinstance(event, MAKERS) and (event.dur < SHORT or isinstance(event, Shutdown | Close))
    return event.t if makes else due(event)
