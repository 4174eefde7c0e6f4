"""What `statistics` finds out, as data: `evloop-trace stats --json` prints it under these names.

Times end in `_ns` and are nanoseconds; sizes are bytes.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Bucket",
    "CallReport",
    "ConnectionReport",
    "DatagramReport",
    "Report",
    "SleepReport",
    "TcpReport",
    "ThreadReport",
    "TurnReport",
    "WaitReport",
]


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


class WaitReport(msgspec.Struct):
    """How long something took, of many."""

    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0

    def add(self, ns: int) -> None:
        """One more."""
        self.count += 1
        self.total_ns += ns
        self.longest_ns = max(self.longest_ns, ns)


class SleepReport(msgspec.Struct):
    """Calls of a program that slept, of one name."""

    count: int
    """How many slept, of all the calls."""
    total_ns: int
    longest_ns: int
    longest_where: str
    """FILE:LINE of the longest; empty if the log does not say."""


class ThreadReport(msgspec.Struct):
    """A thread of a program."""

    thread: str
    began_ns: int
    """Its first call; the main thread is there from the start."""
    lifetime_ns: int
    """To its last call, or to the end of the log if it sleeps there."""
    slept_ns: int
    """In calls that had to wait."""
    sleeps: int
    """How many of them."""
    asleep_in: str | None
    """The call that has not returned when the log ends."""


class DatagramReport(msgspec.Struct):
    """Datagrams of all sockets."""

    received: int
    received_bytes: int
    truncated: int
    sent: int
    sent_bytes: int
    refused: int


class TcpReport(msgspec.Struct):
    """What TCP said of its connections when it was asked."""

    samples: int = 0
    rtt_median_ns: int = 0
    """Of the samples' smoothed round trips, to two digits."""
    rtt_longest_ns: int = 0
    retransmissions: int = 0
    """Segments of all connections that were sent again, as far as is known."""


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
    cut: str
    """Why the file ends before its log does, if it does."""
    model: str
    """What kind of program it is, as its header says."""
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
    connected: int
    """Connections that the program asked for and got."""
    sleeps: dict[str, SleepReport]
    """The calls of a program that slept, by what they waited for."""
    threads: list[ThreadReport]
    """Of a program: those that slept longest."""
    threads_count: int
    """All that made a call."""
    connects: WaitReport
    """From connect() to its success, also where it went on in the background."""
    accept_waits: WaitReport
    """Of finished handshakes in the accept queue, as far as is known, to a few milliseconds."""
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
    tcp: TcpReport
