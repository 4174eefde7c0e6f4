"""A single packet: what stands in its headers, and what the analysis says of it. Only data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evloop_trace.packets.sightings import Sighting

__all__ = ["Frame", "Layer"]


class Layer(NamedTuple):
    """A header, or what no header is known for."""

    name: str
    begin: int
    """Where in the packet, [begin, end)."""
    end: int
    fields: tuple[tuple[str, str], ...]
    """Name and value of each, as text; it may be anything that a peer sent."""


class Frame(NamedTuple):
    """A packet of a capture."""

    number: int
    """As Wireshark counts, from 1."""
    time: int
    """ns since 1970."""
    first: int
    """The time of the first packet."""
    before: int | None
    """The time of the one before."""
    data: bytes
    """What was kept of it."""
    wire: int
    """How long it was."""
    link: int
    """The number of its link type."""
    interface: str
    comments: tuple[str, ...]
    layers: tuple[Layer, ...]
    role: Sighting | None
    """Its place in its connection."""
    reason: str
    """Why it has no role."""
