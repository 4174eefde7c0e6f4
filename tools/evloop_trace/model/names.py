"""Which names of sockets were used and closed, without remembering every one of them."""

from __future__ import annotations

__all__ = ["Names"]

_CLOSED = 10_000


class Names:
    """Names are `tcp-1`, `tcp-2`, …: of each kind the highest number is enough to tell a new one.

    Names of another form are remembered whole, the first ten thousand of them.
    """

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._closed: dict[str, int] = {}

    def add(self, name: str) -> bool:
        """Whether the name is new; it counts as used from now on."""
        kind, _, digits = name.rpartition("-")
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
        kind = kind if number else name
        if number > self._highest.get(kind, -1):
            if kind in self._highest or len(self._highest) < _CLOSED:
                self._highest[kind] = number
            return True
        return False

    def close(self, name: str, line: int) -> None:
        """The name's socket was closed in `line`."""
        self._closed[name] = line
        if len(self._closed) > _CLOSED:
            del self._closed[next(iter(self._closed))]

    def closed(self, name: str) -> int:
        """In which line the name's socket was closed; 0 if it was not, or long ago."""
        return self._closed.get(name, 0)
