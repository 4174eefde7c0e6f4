"""What is known of a connection and of its two directions: small, since a capture may have a million."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.packets.machine import LISTEN, START, UNKNOWN
from evloop_trace.packets.options import UNKNOWN_SCALE

if TYPE_CHECKING:
    from array import array
    from collections import deque

    from evloop_trace.packets.options import Multipath

__all__ = ["TCP", "UDP", "Connection", "Error", "Flow", "Mark"]

TCP, UDP = "tcp", "udp"


class Mark(NamedTuple):
    """A line of a connection's story: one packet, or a run of data in one direction."""

    time: int
    client: bool
    flags: int  # TCP's
    found: int  # what it is, by `segments`
    begin: int  # stream offsets, [begin, end)
    end: int
    packets: int
    states: tuple[str, str]  # the client's and the server's, behind it
    changed: bool  # whether they were others before


class Error(NamedTuple):
    """An ICMP error about one of a connection's packets."""

    time: int
    sender: bytes
    client: bool  # about a packet of the client's
    what: str


class Flow:
    """One direction of a connection: what its sender sent. Sequence numbers are absolute."""

    __slots__ = (
        "acked", "again_count", "base", "bytes", "conn", "counts", "dup_acks", "end_state", "fin", "gaps",
        "kinds", "last", "last_ack", "last_fin", "last_flags", "last_rst", "last_seq", "last_syn", "maxseq",
        "next_time", "nextseq", "odd", "orig", "packets", "peer", "previous_state", "resets", "rtt_max",
        "rtt_min", "rtt_skip", "rtt_step", "rtts", "scale", "seen", "shift", "start", "state", "syns",
        "talking", "timed", "unscaled", "window", "window_count",
    )  # fmt: skip

    conn: Connection
    peer: Flow

    def __init__(self, *, orig: bool) -> None:
        self.orig = orig  # of the client, or of who is taken for it
        self.odd = True  # a segment may change more than numbers
        self.talking = False
        self.packets = self.bytes = self.syns = self.resets = 0
        self.counts: dict[int, int] | None = None
        # Wireshark's analysis.
        self.base = -1  # the initial sequence number, as far as it is known
        self.nextseq = self.maxseq = self.last_ack = 0
        self.window = 0xFFFFFFFF
        self.shift = UNKNOWN_SCALE  # of this end's windows
        self.unscaled = False  # its last segment was a SYN
        self.scale = 0  # a window times this, in bytes; 0 if that is not known
        self.kinds = 0  # Multipath TCP's options that were seen before its last segment
        self.dup_acks = self.last_flags = 0
        self.last = self.next_time = 0  # ns
        # Zeek's.
        self.end_state = self.previous_state = self.seen = 0
        self.start = 0
        self.last_seq: int | None = 0  # None: the same as nextseq
        self.last_syn = self.last_fin = self.last_rst = 0
        self.again_count = self.window_count = self.gaps = 0
        self.acked = False  # a pure ACK was seen
        # RFC 9293's.
        self.state = START
        self.fin = -1  # the sequence number behind the FIN
        # Round trips: segments that wait for their ACK, and the times of those that did not wait in vain.
        self.timed: list[tuple[int, int]] | None = None
        self.rtts: array[int] | None = None
        self.rtt_min, self.rtt_max = 1 << 62, 0
        self.rtt_step, self.rtt_skip = 1, 0  # of how many one is kept; how many are not, from here on

    def rescale(self) -> None:
        """What a window counts from now on."""
        self.scale = 0 if self.shift == UNKNOWN_SCALE else 1
        if self.shift > 0 and not self.unscaled:
            self.scale = 1 << self.shift

    def count(self, what: int) -> None:
        """One more of something that most connections have none of."""
        if self.counts is None:
            self.counts = {}
        self.counts[what] = self.counts.get(what, 0) + 1


class Connection:
    """Two flows; `client` is who sent the SYN, or the first packet, or is not the well-known port."""

    __slots__ = (
        "a", "b", "before_fin", "begun", "bits", "closer", "crossed", "errors", "first_bits", "flipped",
        "history", "irtt", "key", "late", "marks", "more", "multipath", "number", "proto", "reset", "reused",
        "self_connect", "syn_time",
    )  # fmt: skip

    def __init__(self, number: int, proto: str, key: bytes, begun: int, *, marks: bool) -> None:
        self.number, self.proto, self.key, self.begun = number, proto, key, begun
        self.a, self.b = Flow(orig=True), Flow(orig=False)
        for flow, peer in ((self.a, self.b), (self.b, self.a)):
            flow.conn, flow.peer = self, peer
        self.bits = self.first_bits = 0
        self.history = ""
        self.flipped = self.reused = False
        self.self_connect = False
        self.syn_time = self.irtt = 0
        self.marks: list[Mark] | None = [] if marks else None
        self.more: deque[Mark] | None = None  # the latest, when there are too many to keep
        self.late = 0  # marks that were neither among the first nor the latest
        self.errors: list[Error] | None = None
        self.multipath: Multipath | None = None
        self.closer: bool | None = None  # whether the client's FIN came first
        self.before_fin = 0  # what the other end had sent when the first FIN came
        self.crossed = False  # neither end had the other's FIN when it sent its own
        self.reset: bool | None = None  # whether the client's RST came first

    def open_at(self, *, handshake: bool) -> None:
        """Where both ends' states begin."""
        self.a.state, self.b.state = (START, LISTEN) if handshake else (UNKNOWN, UNKNOWN)
        if handshake and self.self_connect:
            self.b.state = START

    def part(self) -> None:
        """Let go of the flows, so that all three are freed at once and not by a search for cycles."""
        del self.a.conn, self.a.peer, self.b.conn, self.b.peer
