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
    """Where a call stands: what makes packets at its beginning, what got something at its end."""
    return event.t if isinstance(event, MAKERS) and event.dur < SHORT else due(event)
