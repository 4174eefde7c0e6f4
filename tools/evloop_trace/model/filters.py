"""Which events to look at: by socket, by kind, by time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from evloop.events.schema import EVENT_TYPES, Call, Inherit, Unknown

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent

__all__ = ["Filter", "due", "kind_of", "parse_time"]

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "": 10**9, "min": 60 * 10**9}
_TIME = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?\s?([a-zµ]*)")

_NAMES = {cls: ev for ev, cls in EVENT_TYPES.items()}


def kind_of(event: AnyEvent | Unknown) -> str:
    """The event's name as it stands in the log under `ev`."""
    return event.ev if isinstance(event, Unknown) else _NAMES[type(event)]


def due(event: AnyEvent | Unknown) -> int:
    """When an event can be shown: when its call has returned."""
    return event.t + event.dur if isinstance(event, Call) else event.t


def parse_time(text: str) -> int:
    """A time from the log's start in nanoseconds: `1.5` and `1.5s` are seconds, `250ms` milliseconds.

    Raises:
        ValueError: it is not a time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None or match[3] not in _UNITS:
        raise ValueError(f"{text!r} is not a time: write seconds like 1.5, or 250ms, 80us, 2min")
    scale = _UNITS[match[3]]
    return int(match[1]) * scale + int((match[2] or "").ljust(9, "0")) * scale // 10**9


class Filter(NamedTuple):
    """What to keep; an empty set keeps all. Both times are those at which an event is due."""

    names: frozenset[str] = frozenset()
    """Of connections, listeners and datagram sockets."""
    kinds: frozenset[str] = frozenset()
    start: int = 0
    end: int | None = None

    def keep(self, event: AnyEvent | Unknown) -> bool:
        """Whether the event passes, its time aside."""
        if self.kinds and kind_of(event) not in self.kinds:
            return False
        return not self.names or self._names(event)

    def within(self, event: AnyEvent | Unknown) -> bool:
        """Whether the event is due in the span; at both its ends it is."""
        time = due(event)
        return self.start <= time and (self.end is None or time <= self.end)

    @property
    def everything(self) -> bool:
        """Whether there is nothing to decide."""
        return self == _EVERYTHING

    def _names(self, event: AnyEvent | Unknown) -> bool:
        if isinstance(event, Unknown):
            return not self.names.isdisjoint(
                value for value in event.fields.values() if isinstance(value, str)
            )
        if isinstance(event, Inherit):
            return event.name in self.names
        return getattr(event, "conn", None) in self.names or getattr(event, "sock", None) in self.names


_EVERYTHING = Filter()
