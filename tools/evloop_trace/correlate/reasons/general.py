"""What is as true of the next connection as of this one: a reader needs it once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["Once"]

_GENERAL = [
    re.compile(pattern)
    for pattern in (
        r"^the socket does not block: the kernel does the handshake meanwhile$",
        r"closed first, and so waits in TIME-WAIT",
        r"three segments, not four$",
        r"sends no more, but ",
        r"^the FIN of packet #\d+: the (?:client|server) sends no more$",
        # From 100 ms on it is about this one: its server was busy.
        r"^the kernel had finished the handshake (?:[\d.]+ [nµ]s|\d\d?(?:\.\d)? ms) before",
    )
]


class Once:
    """Which general reasons a reader has been given; of the first connection that has one, all are."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}  # connections, by the pattern's number

    def tell(self, entry: Entry) -> None:
        """An entry is shown, or was."""
        for reason in entry.reasons:
            self.is_told(reason, entry.strand)

    def is_told(self, reason: str, strand: Strand | None) -> bool:
        """Whether a reason has been given already, of another connection; else now it is."""
        if strand is None:
            return False
        for number, pattern in enumerate(_GENERAL):
            if pattern.search(reason):
                return self._first.setdefault(number, strand.number) != strand.number
        return False
