"""A run, as claims look at it: what programs called, what went over the wire, what the kernel said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast, overload

import msgspec
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.model.filters import due, kind_of
from evloop_trace.packets.segments import ACK, AGAIN, FIN, RST, SYN

from evloop_lessons.lesson import Missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evloop_trace.correlate.entries import Entry, Strand

    class Call(CallEntry):
        """An event of a kind that was asked for, and that is known to have what such events have."""

        event: Any

else:
    Call = CallEntry

__all__ = [
    "Call", "Run", "Sample", "Socket", "Step", "by_connection", "first", "milliseconds",
    "notation", "payload_size", "results", "returned", "spelled",
]  # fmt: skip

_Timed = TypeVar("_Timed", bound="Entry")


class Step(NamedTuple):
    """A step of the scenario began."""

    t: int
    """Nanoseconds on the run's clock, as everywhere here."""
    name: str


class Socket(NamedTuple):
    """A TCP socket, as the kernel's table has it (proc_pid_net(5))."""

    local: str
    peer: str
    """Empty: it listens."""
    state: str
    """In the words of RFC 9293."""
    unread: int
    """Bytes; of a listener the connections in its queue."""
    unsent: int


class Sample(NamedTuple):
    """The kernel's table of TCP sockets, where it was seen to have changed."""

    t: int
    sockets: tuple[Socket, ...]
    counters: Mapping[str, int]
    """Of TcpExt, those that tell of queues and resets; `UdpRcvbufErrors`; since the network was made."""

    def queue(self, address: str) -> int:
        """Connections in the queue of the listener there; -1: nobody listens."""
        return next((it.unread for it in self.sockets if it.local == address and not it.peer), -1)

    def of(self, *, local: str = "", peer: str = "", state: str = "") -> list[Socket]:
        """Those that are so."""
        return [
            it
            for it in self.sockets
            if local in {"", it.local} and peer in {"", it.peer} and state in {"", it.state}
        ]


class Run(msgspec.Struct):
    """Everything that was recorded, joined, in the order of one clock."""

    parameters: dict[str, Any]
    entries: list[Entry]
    labels: list[str]
    """The names of the logs, as `CallEntry.log` counts them."""
    steps: list[Step]
    samples: list[Sample]
    lacks: dict[str, str] = {}
    """What cannot be looked at - `PACKETS`, `SOCKETS`, a log's name - and why: a sentence."""
    remarks: list[str] = []
    """What is to be said of the files."""
    prediction: str = ""
    silence: tuple[int, str] = (0, "")
    """While it grows: until when nothing has happened since the last entry, and why (a sentence)."""

    def __getitem__(self, parameter: str) -> Any:
        """A parameter's value."""
        return self.parameters[parameter]

    # -- calls -----------------------------------------------------------------------------------------

    def calls(self, log: str = "", *kinds: str, strand: Strand | None = None) -> list[Call]:
        """Events of a log, or of all; of these kinds (`ev`), or of all; of a connection, or of any."""
        calls = [
            it
            for it in self.entries
            if isinstance(it, CallEntry)
            and log in {"", self.labels[it.log]}
            and (not kinds or kind_of(it.event) in kinds)
            and (strand is None or (it.strand is not None and it.strand.number == strand.number))
        ]
        return cast("list[Call]", calls)

    def call(self, log: str, kind: str, number: int = 0) -> Call:
        """The first of these events, or the one of that number; -1 is the last.

        Raises:
            Missing: there are not so many.
        """
        calls = self.calls(log, kind)
        try:
            return calls[number]
        except IndexError:
            raise Missing(f"{log} has {len(calls)} {kind}") from None

    def strand(self, log: str, number: int = 0) -> Strand:
        """The connection of a log's program: the one that it had as its first, or as that number's."""
        strands = list({it.strand.number: it.strand for it in self.calls(log) if it.strand}.values())
        try:
            return strands[number]
        except IndexError:
            raise Missing(f"{log} has {len(strands)} connections") from None

    # -- packets ---------------------------------------------------------------------------------------

    def packets(
        self, strand: Strand | None = None, *, client: bool | None = None, flags: int = 0, data: bool = False
    ) -> list[PacketEntry]:
        """Packets of a connection, or of all; of one side, or of both.

        Args:
            strand: The connection.
            client: The side.
            flags: Of TCP; only packets that have one of these.
            data: Only packets that carry bytes of a stream, or a datagram that is not empty.
        """
        return [
            it
            for it in self.entries
            if isinstance(it, PacketEntry)
            and (strand is None or it.strand.number == strand.number)
            and client in {None, it.packet.client}
            and (not flags or it.packet.flags & flags)
            and (not data or payload_size(it) > 0)
        ]

    # -- time ------------------------------------------------------------------------------------------

    def step(self, name: str) -> Step:
        """When a step began.

        Raises:
            Missing: it did not.
        """
        for step in self.steps:
            if step.name == name:
                return step
        raise Missing(f"the step {name}")

    def sample(self, t: int) -> Sample:
        """The kernel's table of sockets as it was at that time.

        Raises:
            Missing: nobody had looked yet.
        """
        before = [it for it in self.samples if it.t <= t]
        if not before:
            raise Missing("the kernel's table of sockets")
        return before[-1]

    @overload
    def between(self, begin: int | str, end: int | str) -> list[Entry]: ...

    @overload
    def between(self, begin: int | str, end: int | str, entries: Iterable[_Timed]) -> list[_Timed]: ...

    def between(self, begin: int | str, end: int | str, entries: Iterable[Any] | None = None) -> list[Any]:
        """Entries, or those of these, with begin ≤ t < end.

        Args:
            begin: A time, or the name of a step: when that began.
            end: The same.
            entries: Else all.

        Raises:
            Missing: there was no such step.
        """
        since, until = (self.step(it).t if isinstance(it, str) else it for it in (begin, end))
        return [it for it in (self.entries if entries is None else entries) if since <= it.t < until]


def first(entries: Iterable[_Timed], what: str) -> _Timed:
    """The first of them.

    Args:
        entries: What was looked for.
        what: What that is, for who is told that it is not there.

    Raises:
        Missing: there is none.
    """
    for it in entries:
        return it
    raise Missing(what)


def by_connection(entries: Iterable[_Timed]) -> dict[int, list[_Timed]]:
    """Those of a connection, by its number; in the order in which they come."""
    those: dict[int, list[_Timed]] = {}
    for it in entries:
        if it.strand is not None:
            those.setdefault(it.strand.number, []).append(it)
    return those


def returned(entry: CallEntry) -> int:
    """When a call returned."""
    return due(entry.event)


def results(calls: Iterable[Call]) -> list[tuple[str, Any]]:
    """Each call by its kind, and what it gave: the name of an error, a number of bytes, or None."""
    return [
        (kind_of(it.event), getattr(it.event, "errno", None) or getattr(it.event, "n", None)) for it in calls
    ]


def payload_size(entry: PacketEntry) -> int:
    """Bytes of a packet's payload."""
    return entry.packet.end - entry.packet.begin


def milliseconds(time: int) -> str:
    """A time, for a blank of a sentence."""
    return f"{time / 1e6:.0f} ms"


def notation(packets: Iterable[PacketEntry]) -> str:
    """Packets in a row of letters: S SA A 18 A F FA A.

    A number is a payload's length; FA is a FIN that acknowledges the other's; `*` marks a repetition.
    """
    return " ".join(spelled(it) for it in packets)


def spelled(entry: PacketEntry) -> str:
    """One of them."""
    return _letters(entry) + ("*" if entry.packet.found & AGAIN else "")


def _letters(entry: PacketEntry) -> str:
    packet, flags = entry.packet, entry.packet.flags
    if packet.error:
        return "ICMP"
    if packet.wire.proto == "udp":
        return str(payload_size(entry))
    if flags & RST:
        return "R"
    if flags & SYN:
        return "SA" if flags & ACK else "S"
    carried = str(payload_size(entry)) if payload_size(entry) > 0 else ""
    if flags & FIN:
        other_ended = packet.before[0 if packet.client else 1] in {"CLOSE-WAIT", "LAST-ACK", "CLOSING"}
        return carried + ("FA" if other_ended else "F")
    return carried or "A"
