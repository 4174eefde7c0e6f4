"""One connection of a timeline, by whatever it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop.errors import EvloopError
from evloop.events.schema import Poll
from evloop_trace.correlate.entries import CallEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.correlate.entries import Entry, Strand

__all__ = ["NotOneError", "choose", "is_of"]


class NotOneError(EvloopError):
    """No connection is called so, or more than one."""


def choose(strands: Sequence[Strand], wanted: str) -> Strand:
    """The connection that is called this.

    Args:
        strands: All there are.
        wanted: A name of one of its ends, with its log's label or without, in any process that has it; an
            end's address; or its number.

    Raises:
        NotOneError: None is called so, or more than one.
    """
    for names in (_numbered, _labelled, _inherited, _bare, _bare_inherited, _addressed):
        found = [strand for strand in strands if wanted in names(strand)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NotOneError(f"{wanted!r} is {len(found):,} connections: {_listed(found)}; say which")
    there = f"there are: {_listed(strands)}" if strands else "there are none"
    raise NotOneError(f"no connection is called {wanted!r}; {there}")


def _numbered(strand: Strand) -> list[str]:
    return [str(strand.number), f"#{strand.number}"]


def _labelled(strand: Strand) -> list[str]:
    return [name for name in strand.names if name]


def _inherited(strand: Strand) -> list[str]:
    return [*strand.others]


def _bare(strand: Strand) -> list[str]:
    return [name.rpartition(":")[2] for name in strand.names if name]


def _bare_inherited(strand: Strand) -> list[str]:
    return [name.rpartition(":")[2] for name in strand.others]


def _addressed(strand: Strand) -> list[str]:
    return [strand.client, strand.server]


_NAMED = 12


def _listed(strands: Sequence[Strand]) -> str:
    """Each by number, and by its name or its client's address."""
    shown = [f"{it.number} ({', '.join(_labelled(it)) or it.client or it.server})" for it in strands[:_NAMED]]
    more = f" and {len(strands) - _NAMED:,} more" if len(strands) > _NAMED else ""
    return ", ".join(shown) + more


def is_of(strand: Strand, entry: Entry) -> bool:
    """Whether an entry is of a connection, or of the poll that woke a program for it."""
    if entry.strand is not None:
        return entry.strand.number == strand.number
    if not isinstance(entry, CallEntry) or not isinstance(entry.event, Poll):
        return False
    return any(name in strand.names or name in strand.others for name, _ in entry.event.ready)
