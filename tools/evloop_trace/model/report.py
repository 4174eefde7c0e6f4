"""What `statistics` finds out, as data: `evloop-trace stats --json` prints it under these names.

Times end in `_ns` and are nanoseconds; sizes are bytes.
"""

from __future__ import annotations

import msgspec

__all__ = ["Bucket", "CallReport", "ConnectionReport", "DatagramReport", "Report", "TurnReport"]


class Bucket(msgspec.Struct):
    """Of a histogram: how many values were in [at_least, below)."""

    at_least: int
    below: int
    count: int


class CallReport(msgspec.Struct):
    """All calls of one name."""

    count: int
    total_ns: int
    longest_ns: int
    durations_ns: list[Bucket]
    errors: dict[str, int]
    """How often it failed, by errno."""


class ConnectionReport(msgspec.Struct):
    """One connection."""

    conn: str
    peer: str | None
    opened_ns: int
    """Its accept, or the first that the log knows of it."""
    closed_ns: int | None
    lifetime_ns: int
    """To its close, or to the end of the log."""
    received: int
    sent: int
    calls: int
    calls_ns: int
    """Time in calls on it."""
    reason: str | None
    """Why it was closed."""


class TurnReport(msgspec.Struct):
    """A handler's turn: what one socket did in a tick without another in between."""

    name: str
    line: int
    """Where it begins in the log."""
    start_ns: int
    took_ns: int
    """From the end of the event before it to the end of its last."""
    events: int


class DatagramReport(msgspec.Struct):
    """Datagrams of all sockets."""

    received: int
    received_bytes: int
    truncated: int
    sent: int
    sent_bytes: int
    refused: int


class Report(msgspec.Struct):
    """A log in numbers."""

    events: int
    problems: int
    """Lines that are no event."""
    unknown: int
    """Events of kinds that this version does not know."""
    lost: int
    """Events that are missing."""
    complete: bool
    """The log has its end."""
    duration_ns: int
    ticks: int
    ticks_per_second: float
    blocked_ns: int
    """Asleep in poll."""
    working_ns: int
    """All the rest."""
    connections: int
    connections_open: int
    """Still open when the log ends."""
    connections_most: int
    """Open at one time."""
    received: int
    sent: int
    kinds: dict[str, int]
    """How many events of each name."""
    calls: dict[str, CallReport]
    busiest: list[ConnectionReport]
    """Those that moved the most bytes."""
    slowest: list[TurnReport]
    """The longest turns of handlers."""
    ready: list[Bucket]
    """Sockets ready in a tick."""
    sleeps_ns: list[Bucket]
    """Time asleep in each poll."""
    recv_sizes: list[Bucket]
    send_sizes: list[Bucket]
    datagrams: DatagramReport
