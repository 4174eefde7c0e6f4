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
    from evloop_trace.packets.sightings import Sighting

    class Call(CallEntry):
        """An event of a kind that was asked for, and that is known to have what such events have."""

        event: Any

else:
    Call = CallEntry

__all__ = ["Call", "Run", "Sample", "Socket", "Step", "notation", "returned", "spelled"]

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

    def __getitem__(self, parameter: str) -> Any:
        """A parameter's value."""
        return self.parameters[parameter]

    # -- calls -----------------------------------------------------------------------------------------

    def calls(self, log: str = "", *kinds: str) -> list[Call]:
        """Events of a log, or of all; of these kinds (`ev`), or of all."""
        calls = [
            it
            for it in self.entries
            if isinstance(it, CallEntry)
            and log in {"", self.labels[it.log]}
            and (not kinds or kind_of(it.event) in kinds)
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

    def packets(self, strand: Strand | None = None, *, client: bool | None = None) -> list[PacketEntry]:
        """Packets of a connection, or of all; of one side, or of both."""
        return [
            it
            for it in self.entries
            if isinstance(it, PacketEntry)
            and (strand is None or it.strand.number == strand.number)
            and client in {None, it.packet.client}
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
    def between(self, begin: int, end: int) -> list[Entry]: ...

    @overload
    def between(self, begin: int, end: int, entries: Iterable[_Timed]) -> list[_Timed]: ...

    def between(self, begin: int, end: int, entries: Iterable[Any] | None = None) -> list[Any]:
        """Entries, or those of these, with begin ≤ t < end."""
        return [it for it in (self.entries if entries is None else entries) if begin <= it.t < end]


def returned(entry: CallEntry) -> int:
    """When a call returned."""
    return due(entry.event)


def notation(packets: Iterable[PacketEntry]) -> str:
    """Packets in a row of letters: S SA A 18 A F FA A.

    A number is a payload's length; FA is a FIN that acknowledges the other's; `*` marks a repetition.
    """
    return " ".join(spelled(it) for it in packets)


def spelled(entry: PacketEntry) -> str:
    """One of them."""
    return _letters(entry.packet) + ("*" if entry.packet.found & AGAIN else "")


def _letters(packet: Sighting) -> str:
    flags = packet.flags
    if packet.error:
        return "ICMP"
    if packet.wire.proto == "udp":
        return str(packet.end - packet.begin)
    if flags & RST:
        return "R"
    if flags & SYN:
        return "SA" if flags & ACK else "S"
    size = str(packet.end - packet.begin) if packet.end > packet.begin else ""
    if flags & FIN:
        other_ended = packet.before[0 if packet.client else 1] in {"CLOSE-WAIT", "LAST-ACK", "CLOSING"}
        return size + ("FA" if other_ended else "F")
    return size or "A"
