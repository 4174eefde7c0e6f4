"""What stands in a timeline: calls, packets, the kernel's own words; and what each has to do with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.correlate.ends import Joined
    from evloop_trace.packets.sightings import Sighting, Wire

__all__ = [
    "AGAIN", "EXACT", "INFERRED", "NONE", "UNMATCHED", "CallEntry", "CallRef", "Entry", "KernelEntry",
    "PacketEntry", "PacketRef", "Strand",
]  # fmt: skip

EXACT, INFERRED, UNMATCHED, NONE = "exact", "inferred", "unmatched", ""
"""How a link is known: by addresses and offsets; by time and order; it ought to be there and is not.

`NONE`: there is nothing to link, such as of a bare ACK, or of the calls of who is in no log.
"""

AGAIN = "again"
"""The packet repeats what one before it carried: its link is that one's."""


class CallRef(NamedTuple):
    """A part of a packet, as a call of one of its ends."""

    log: int
    """The log's number."""
    seq: int
    ev: str
    """send, recv, connect, accept, shutdown, close, sendto, recvfrom; block: a send or connect asleep."""
    begin: int = 0
    """The bytes that they have in common, [begin, end); a FIN is one byte behind the last."""
    end: int = 0


class PacketRef(NamedTuple):
    """A part of a call, as a packet."""

    number: int
    begin: int = 0
    end: int = 0


class Strand(msgspec.Struct):
    """A connection, as far as the logs and the capture know it together."""

    number: int
    proto: str
    """tcp, udp or unix."""
    client: str
    """Addresses, as in an event log."""
    server: str
    names: tuple[str, str] = ("", "")
    """What the client's log and the server's call it; empty if its calls are in no log."""
    wire: Wire | None = None
    """As the capture knows it, if it does."""
    trust: str = NONE
    """How log and capture are known to tell of the same one: EXACT, INFERRED, or NONE if only one does."""
    others: tuple[str, ...] = ()
    """What further processes call it that have it too: of the first 64."""


class CallEntry(msgspec.Struct):
    """An event."""

    t: int
    """Where it stands: at its beginning if it sends something, else at its end."""
    log: int
    event: AnyEvent | Unknown
    client: bool
    """It is a client's: it stands left."""
    strand: Strand | None = None
    joined: Joined | None = None
    """What other logs tell of it."""
    packets: list[PacketRef] = []
    """What it caused, or what it got."""
    trust: str = NONE
    reasons: list[str] = []
    """What a student would ask, answered: sentences without a full stop."""
    quiet: str = ""
    """Why nothing happened on the connection for a while before it."""


class PacketEntry(msgspec.Struct):
    """A packet."""

    t: int
    packet: Sighting
    strand: Strand
    causes: list[CallRef] = []
    """The calls of its sender that it carries bytes of, or that it is the SYN or the FIN of."""
    effects: list[CallRef] = []
    """The calls of its receiver that got something of it."""
    original: int = 0
    """The number of the packet that it repeats."""
    trust: str = NONE
    """Of its causes; AGAIN if it repeats another."""
    reasons: list[str] = []
    quiet: str = ""


class KernelEntry(msgspec.Struct):
    """What the kernel itself says of one end: a transition, a retransmission, a reset."""

    t: int
    what: str
    """state, retransmit, retransmit_synack, send_reset or receive_reset."""
    client: bool
    strand: Strand | None = None
    old: str = ""
    """Words of RFC 9293."""
    new: str = ""
    detail: str = ""
    """Of a reset: the kernel's own word for why."""
    reasons: list[str] = []
    quiet: str = ""


Entry: TypeAlias = CallEntry | PacketEntry | KernelEntry
