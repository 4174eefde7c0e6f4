"""A single packet: what stands in its headers, and what the analysis says of it. Only data."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Frame", "Layer", "Role"]


class Layer(NamedTuple):
    """A header, or what no header is known for."""

    name: str
    begin: int
    """Where in the packet, [begin, end)."""
    end: int
    fields: tuple[tuple[str, str], ...]
    """Name and value of each, as text; it may be anything that a peer sent."""


class Role(NamedTuple):
    """What a packet is in its connection."""

    proto: str
    client: tuple[str, int]
    server: tuple[str, int]
    from_client: bool
    number: int
    """Of the packets in its direction, from 1; 0 for an ICMP error."""
    begin: int = 0
    """Stream offsets of its payload, [begin, end)."""
    end: int = 0
    ack: int | None = None
    """So much of the other direction is acknowledged; None: nothing is."""
    found: int = 0
    """What it is, by `segments`."""
    states: tuple[tuple[str, str], tuple[str, str]] | None = None
    """The client's and the server's, before it and after it."""
    error: str = ""
    """What an ICMP error says about an earlier packet of `from_client`."""


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
    role: Role | None
    reason: str
    """Why it has no role."""
