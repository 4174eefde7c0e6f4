"""One connection of a timeline, by whatever it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.events.schema import Poll
from evloop_trace.correlate.entries import CallEntry

if TYPE_CHECKING:
    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["Choice", "called"]


class Choice:
    """Which entries are of the connection `name`.

    That is a name in a log, with the log's label or without, where the server's name counts first; the
    client's address; or the number in the order in which connections began.
    """

    def __init__(self, name: str) -> None:
        self.strand: Strand | None = None
        """What was found."""
        self._name = name

    def keep(self, entry: Entry) -> bool:
        """Whether it is of this connection, or of the poll that woke a program for it."""
        strand = entry.strand
        if strand is None:
            return self._woke(entry)
        if self.strand is None and self._is_meant(strand):
            self.strand = strand
        return strand is self.strand

    def _is_meant(self, strand: Strand) -> bool:
        client, server = strand.names
        bare = (server or client).rpartition(":")[2]
        return self._name in {client, server, bare, strand.client, str(strand.number)} - {""}

    def _woke(self, entry: Entry) -> bool:
        if self.strand is None or not isinstance(entry, CallEntry) or not isinstance(entry.event, Poll):
            return False
        return any(name in self.strand.names for name, _ in entry.event.ready)


def called(strand: Strand) -> str:
    """What it is called, for who has to choose one: `tcp-1 (127.0.0.1:52814)`."""
    client, server = strand.names
    name = server or client
    address = f" ({strand.client})" if strand.client else ""
    return f"{name or strand.number}{address}"
