"""What a user wants to be captured."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Wanted"]


class Wanted(NamedTuple):
    """What to capture, where to put it, and for how long."""

    interface: str = "lo"
    ports: tuple[int, ...] = ()
    """A packet must have one of these; none is all."""
    output: str | None = None
    """A pcapng file, - for standard output; None: lines there."""
    snap: int = 131_072
    """Bytes that are kept of a packet."""
    duration: float | None = None
    """Seconds."""
    packets: int | None = None
    """So many, and no more."""
    attached: bool = False
    """Whether to end with standard input, which is held by who started us."""
    kernel: str | None = None
    """A file for what the kernel says of TCP's states."""
