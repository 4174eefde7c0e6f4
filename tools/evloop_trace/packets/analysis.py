"""Packets to connections: each packet is given to its connection, once, in the order of the file.

A million packets have to be over in seconds. So `Analysis.feed` looks at plain segments itself, at fixed
offsets and without a call: data or an acknowledgment that is expected next, of a connection in which nothing
is going on. Everything else, and what is right in any case, is `Analysis.segment`. Both come to the same
results; a test holds them together.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeAlias

from evloop_trace.packets import endpoints, handshake, icmp, stories
from evloop_trace.packets.decode import Datagram, Reason, Segment, decode, inner, network, ports, tcp_header
from evloop_trace.packets.flow import TCP, UDP, Connection, Error, Flow
from evloop_trace.packets.machine import QUIET
from evloop_trace.packets.options import MULTIPATH, NO_SCALE, UNKNOWN_SCALE, Tokens, scale
from evloop_trace.packets.packed import pack, unpack
from evloop_trace.packets.segments import (
    ACK,
    ACKED_UNSEEN,
    AGAIN,
    COUNTED,
    ERRORS,
    FIN,
    HALF,
    KEEP_ALIVE,
    MASK,
    PROBE,
    PURE_PROBE,
    RETRANSMISSION,
    RST,
    SYN,
    TAIL,
    judge,
    tail_probe,
)
from evloop_trace.packets.tunnels import OVER_UDP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evloop_trace.packets.capture_file import Packet
    from evloop_trace.packets.links import Link

__all__ = ["Analysis", "Bounds", "Observer"]

Bounds: TypeAlias = tuple[int, int]

_TIMED = 256  # segments of a flow that wait for their ACK at most
_RTTS = 512  # round trips of a flow that are kept at most
_LONGEST = 1 << 62  # ns: what lasted longer is a damaged time
_DEPTH = 4  # of tunnels in tunnels
_MOST_ERRORS = 8
_AWAKE = 16384  # connections that are kept as they are; more are packed


class Observer(Protocol):
    """Is told of packets one by one, when they have been looked at.

    Of a packet in a tunnel over UDP it is told more than once: of the datagram around it first.
    A payload is [begin, end) of the packet's buffer, as far as it was captured.
    """

    def segment(
        self, flow: Flow, segment: Segment, found: int, states: tuple[str, str], payload: Bounds
    ) -> None:
        """A TCP segment: what it is, by `segments`, and the client's and the server's state before it."""

    def datagram(self, flow: Flow, time: int, size: int, payload: Bounds) -> None:
        """A UDP datagram with so many bytes."""

    def error(self, flow: Flow, error: Error) -> None:
        """An ICMP error about a packet of `flow`."""


class Analysis:
    """All connections of a capture, in the order in which they began."""

    def __init__(self, stories: int = 0, observer: Observer | None = None) -> None:
        """The first `stories` connections remember their packets one by one, as far as there is room.

        An `observer` is told of each packet of a connection; then none is plain.
        """
        self._observer = observer
        self._connections: list[Connection | bytes] = []
        self.left_out: Counter[Reason] = Counter()
        self.orphans = 0
        """ICMP errors about packets of no connection here."""
        self._stories = stories
        self._flows: dict[str, dict[bytes, Flow]] = {TCP: {}, UDP: {}}
        self._awake: list[Connection] = []
        self._asleep: dict[tuple[str, bytes], int] = {}
        self._tokens = Tokens()

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    def feed(self, packets: Iterable[Packet]) -> None:  # noqa: C901, PLR0912, PLR0915 - see the module
        """Look at packets, plain ones right here."""
        get, segment, other = self._flows[TCP].get, self.segment, self.other
        if self._observer is not None:
            for packet in packets:
                other(packet)
            return
        link: Link | None = None
        for packet in packets:
            time, buffer, at, kept, wire, here = packet
            if here is not link:
                link = here
                unpack, expected, need, base = link.fast.unpack_from, link.expected, link.need, link.base
                unpack_6, expected_6, need_6 = link.fast_6.unpack_from, link.expected_6, link.need_6
            if kept < need:
                other(packet)
                continue
            kind, first, total, fragment, protocol, key, seq, ack, bits, window = unpack(buffer, at)
            if kind == expected and first == 0x45:
                if protocol != 6 or fragment & 0x3FFF or bits < 0x5000 or not 40 <= total <= wire - base:
                    other(packet)
                    continue
                size = total - 20 - (bits >> 10 & 0x3C)
            elif kind == expected_6 and kept >= need_6:
                kind, first, total, protocol, key, seq, ack, bits, window = unpack_6(buffer, at)
                if protocol != 6 or first >> 4 != 6 or bits < 0x5000 or not 20 <= total <= wire - base - 40:
                    other(packet)
                    continue
                size = total - (bits >> 10 & 0x3C)
            else:
                other(packet)
                continue
            flow = get(key)
            # ACK, and neither SYN, FIN nor RST; and exactly what is expected next.
            if (
                flow is None
                or flow.odd
                or bits & 0x17 != 0x10
                or seq != flow.nextseq
                or not window
                or not seq
            ):
                header = bits >> 10 & 0x3C
                options = b""
                if header > 20:
                    start = at + base + (40 if kind == expected else 60)
                    options = buffer[start : min(start + header - 20 + min(0, size), at + kept)]
                segment(Segment(time, key, seq, ack, size, bits & 0xFFF, window, header, options))
                continue
            peer = flow.peer
            if (peer.maxseq - ack) & MASK >= HALF:  # acknowledges what was not seen
                segment(Segment(time, key, seq, ack, size, bits & 0xFFF, window))
                continue
            if size > 0:
                end = (seq + size) & MASK
                ahead = (end - peer.last_ack) & MASK
                if not 0 < ahead < HALF or ahead == peer.window * peer.scale or not peer.window:
                    segment(Segment(time, key, seq, ack, size, bits & 0xFFF, window))
                    continue
                if not flow.talking:
                    if flow.conn.marks is not None:
                        segment(Segment(time, key, seq, ack, size, bits & 0xFFF, window))
                        continue
                    _first(flow, data=True)
                flow.nextseq = end
                flow.next_time = time
                if seq == flow.maxseq:
                    flow.maxseq = end
                flow.bytes += size
                waiting = flow.timed
                if waiting is None:
                    flow.timed = [(end, time)]
                elif len(waiting) < _TIMED:
                    waiting.append((end, time))
            elif ack == flow.last_ack or size:
                segment(Segment(time, key, seq, ack, size, bits & 0xFFF, window))
                continue
            elif not flow.acked:
                _first(flow, data=False)
            flow.packets += 1
            flow.last = time
            flow.window = window
            if ack != flow.last_ack:
                flow.last_ack = ack
                flow.dup_acks = 0
                waiting = peer.timed
                if waiting:
                    end, sent = waiting[0]
                    if end == ack and len(waiting) == 1:
                        waiting.clear()
                        round_trip(peer, time - sent)
                    elif (ack - end) & MASK < HALF:
                        round_trips(peer, ack, time)

    def segment(self, segment: Segment, payload: Bounds = (0, 0)) -> None:  # noqa: C901, PLR0912 - what need not be called is not
        """A TCP segment of any kind."""
        time, key, _, ack, size, flags, _, header, options = segment
        flow = self._flows[TCP].get(key)
        if flow is None or flags & SYN:
            flow = self._flow(segment)
        conn, peer = flow.conn, flow.peer
        if flow.base < 0 or peer.base < 0:
            _base(flow, segment)
        expected, before = flow.nextseq, flow.last_ack
        if _expected(flow, segment) or (flags & SYN and _opens(flow, segment)):
            found = 0
        else:
            endpoints.step(flow, segment)
            found = self._judge(flow, segment)
        flow.packets += 1
        if size > 0:
            flow.bytes += size
        if found & ACKED_UNSEEN:
            endpoints.gap(peer)
        states = conn.a.state, conn.b.state
        if header >= 20:
            _complete(conn, segment)
            if not conn.irtt:
                _handshake(conn, segment)
            handshake.step(flow, segment)
            if flags & SYN or flow.unscaled:
                _scale(flow, segment)
            if conn.multipath is not None or (MULTIPATH in options and (flags & SYN or flow.packets == 1)):
                conn.multipath = self._tokens.see(conn.multipath, options)
        if size > 0 or found & AGAIN:
            _time(flow, segment, found, expected)
        if flags & ACK and ack != before and peer.timed:
            round_trips(peer, ack, time)
        if conn.marks is not None:
            stories.remember(flow, segment, found, states)
        elif flags & (SYN | FIN | RST | ACK) == ACK:
            if size > 0:
                flow.talking = True
            else:
                flow.acked = True
        _settle(conn)
        if self._observer is not None:
            self._observer.segment(flow, segment, found, states, payload)

    @staticmethod
    def _judge(flow: Flow, segment: Segment) -> int:
        """What Wireshark says, and the counts."""
        found, flags = 0, segment.flags
        if segment.size >= 0:
            tail = segment.size > 0 and tail_probe(flow, segment)
            probed = flow.peer.window == 0 and not segment.size
            found = judge(flow, segment, flow.conn.irtt)
            if flow.conn.self_connect and flags & SYN:
                found &= ~AGAIN  # the answer to its own SYN, which has the same number
            if probed and found & KEEP_ALIVE:
                found |= PURE_PROBE
            if segment.whole:
                _count(flow, found, tail=tail)
        if flags & RST and segment.whole:
            flow.resets += 1
        if flags & SYN:
            flow.syns += 1
        return found

    def connections(self) -> Iterator[Connection]:
        """All connections, in the order in which they began; each is good until the next."""
        for it in self._connections:
            if isinstance(it, bytes):
                conn = unpack(it)
                yield conn
                conn.part()
            else:
                yield it

    def _find(self, proto: str, key: bytes) -> Flow | None:
        """Whose packet it is, if it is of a connection that was seen before."""
        flow = self._flows[proto].get(key)
        if flow is not None or not self._asleep:
            return flow
        number = self._asleep.pop((proto, key), None)
        if number is None:
            number = self._asleep.pop((proto, reverse(key)), None)
        if number is None:
            return None
        packed = self._connections[number]
        assert isinstance(packed, bytes)
        conn = self._connections[number] = unpack(packed)
        self._awake.append(conn)
        flow = conn.a if key == conn.key else conn.b
        self._flows[proto][reverse(key)] = flow.peer
        self._flows[proto][key] = flow
        return flow

    def _sleep(self) -> None:
        """Pack those of very many connections that have been silent for longest."""
        self._awake.sort(key=lambda conn: max(conn.a.last, conn.b.last))
        for conn in self._awake[: _AWAKE // 4 * 3]:
            flows = self._flows[conn.proto]
            if conn.marks is not None or conn.multipath is not None:
                continue
            if flows.get(conn.key) is conn.a:
                del flows[conn.key]
                flows.pop(reverse(conn.key), None)  # of a connection to itself it is the same
                self._asleep[conn.proto, conn.key] = conn.number
            self._connections[conn.number] = pack(conn)
            conn.part()
        del self._awake[: _AWAKE // 4 * 3]

    def _flow(self, segment: Segment) -> Flow:
        """Whose segment it is; a SYN with another number than the last begins a new connection."""
        flow = self._find(TCP, segment.key)
        if flow is None:
            return self._open(segment)
        if segment.flags & SYN and flow.base >= 0:
            if segment.flags & ACK:
                flow.base = segment.seq
            elif segment.seq != flow.base:
                return self._open(segment, reused=True)
            else:
                flow.nextseq = flow.maxseq
        return flow

    def _open(self, segment: Segment, *, reused: bool = False) -> Flow:
        flow = self._enter(TCP, segment.key, segment.time, segment.flags)
        conn = flow.conn
        conn.reused = reused
        first = segment.flags & (SYN | ACK) == SYN
        conn.open_at(handshake=first)
        if first:
            conn.bits = 1 if reused or segment.size <= 0 else 9
        conn.first_bits = conn.bits
        return flow

    def _enter(self, proto: str, key: bytes, time: int, flags: int | None) -> Flow:
        """A new connection."""
        if len(self._awake) >= _AWAKE:
            self._sleep()
        back = reverse(key)
        flipped = back != key and endpoints.flips(*ports(key), flags)
        number = len(self._connections)
        conn = Connection(number, proto, back if flipped else key, time, marks=number < self._stories)
        conn.self_connect = back == key
        conn.flipped = flipped
        conn.history = "^" if flipped else ""
        self._connections.append(conn)
        self._awake.append(conn)
        flow = conn.b if flipped else conn.a
        self._flows[proto][back] = flow.peer
        self._flows[proto][key] = flow
        return flow

    def other(self, packet: Packet) -> None:
        """Any packet that is not a plain TCP segment over IPv4."""
        time, buffer, at, kept, wire, link = packet
        self._packet(time, buffer, decode(link, buffer, at, kept, wire))

    def _packet(self, time: int, buffer: bytes, found: Datagram | Reason, depth: int = 0) -> None:
        if isinstance(found, Reason):
            self.left_out[found] += 1
        elif found.fragment:
            self.left_out[Reason.FRAGMENT] += 1
        elif found.protocol == 6:
            self._tcp(time, buffer, found)
        elif found.protocol == 17:
            self._udp(time, buffer, found, depth)
        elif found.protocol in {1, 58}:
            self._icmp(time, buffer, found)
        else:
            self.left_out[Reason.TRANSPORT] += 1

    def _tcp(self, time: int, buffer: bytes, found: Datagram) -> None:
        segment = tcp_header(time, buffer, found)
        if segment is None:
            self.left_out[Reason.CUT if found.size >= 16 else Reason.DAMAGED] += 1
        else:
            self.segment(segment, (found.at + segment.header, found.end))

    def _udp(self, time: int, buffer: bytes, found: Datagram, depth: int) -> None:
        if found.end - found.at < 4:
            self.left_out[Reason.CUT if found.size >= 8 else Reason.DAMAGED] += 1
            return
        key = found.source + found.target + buffer[found.at : found.at + 4]
        flow = self._find(UDP, key) or self._enter(UDP, key, time, None)
        if not flow.packets:
            endpoints.add(flow, "D")
        size = max(0, found.size - 8)
        if flow.conn.marks is not None:
            stories.datagram(flow, time, size)
        flow.packets += 1
        flow.bytes += size
        flow.last = time
        if self._observer is not None:
            self._observer.datagram(flow, time, size, (found.at + 8, found.end))
        carried = OVER_UDP.get(key[-2:]) or OVER_UDP.get(key[-4:-2])
        if carried and depth < _DEPTH:
            begin, kind = carried(buffer, found.at + 8, found.end)
            inside = network(buffer, begin, found.end, kind, found.at + found.size - begin) if kind else None
            if isinstance(inside, Datagram):
                self._packet(time, buffer, inside, depth + 1)

    def _icmp(self, time: int, buffer: bytes, found: Datagram) -> None:
        what = icmp.error(buffer, found)
        if what is None:
            self.left_out[Reason.TRANSPORT] += 1
            return
        about = inner(buffer, found)
        if isinstance(about, Reason) or about.end - about.at < 4 or about.protocol not in {6, 17}:
            self.orphans += 1
            return
        proto = TCP if about.protocol == 6 else UDP
        flow = self._find(proto, about.source + about.target + buffer[about.at : about.at + 4])
        if flow is None:
            self.orphans += 1
            return
        conn = flow.conn
        conn.errors = conn.errors or []
        if len(conn.errors) < _MOST_ERRORS:
            conn.errors.append(Error(time, found.source, flow.orig, what))
        flow.count(ERRORS)
        if self._observer is not None:
            self._observer.error(flow, Error(time, found.source, flow.orig, what))
        if about.protocol == 6 and (segment := tcp_header(time, buffer, about)):
            _complete(conn, segment._replace(size=0))


def reverse(key: bytes) -> bytes:
    """The key of the other direction."""
    half = (len(key) - 4) // 2
    return key[half : 2 * half] + key[:half] + key[-2:] + key[-4:-2]


def _first(flow: Flow, *, data: bool) -> None:
    """The first plain segment of a flow that has data, or that has none."""
    endpoints.note(flow, data=data)
    flow.conn.bits |= 8 if data else 4
    if flow.unscaled:
        flow.unscaled = False
        flow.rescale()
    if data:
        flow.talking = True
    else:
        flow.acked = True


def _expected(flow: Flow, segment: Segment) -> bool:
    """An ACK or FIN that is expected next: whether it is one, and then it is done.

    To what stands here `endpoints.step` and `segments.judge` would come, too; so also in `_opens`.
    """
    time, _, seq, ack, size, flags, window, header, _ = segment
    peer = flow.peer
    if (
        size
        or flags & (SYN | RST | ACK) != ACK
        or seq != flow.nextseq
        or not seq
        or not window
        or header < 20
        or flow.last_seq not in {None, seq}
        or (peer.maxseq - ack) & MASK >= HALF
        or flow.conn.multipath is not None
    ):
        return False
    if flags & FIN:
        if flow.end_state != endpoints.ESTABLISHED or peer.end_state == endpoints.RESET:
            return False
        endpoints.finish(flow, seq)
        end = (seq + 1) & MASK
        if seq == flow.maxseq or not flow.maxseq:
            flow.maxseq = end
        flow.nextseq = flow.last_seq = end
        flow.next_time = time
        if ack != flow.last_ack:
            flow.dup_acks = 0
    else:
        if ack == flow.last_ack or flow.end_state not in {endpoints.ESTABLISHED, endpoints.CLOSED}:
            return False
        endpoints.note(flow, data=False)
        if not flow.maxseq:
            flow.maxseq = seq
        flow.dup_acks = 0
    flow.window, flow.last_ack, flow.last, flow.last_flags = window, ack, time, 0
    return True


def _opens(flow: Flow, segment: Segment) -> bool:
    """The first SYN of an end of which nothing was seen before."""
    time, _, seq, ack, size, flags, window, header, _ = segment
    peer = flow.peer
    if (
        flow.packets
        or size
        or flags & (FIN | RST)
        or not window
        or header < 20
        or flow.end_state != endpoints.INACTIVE
        or flow.nextseq
        or (flags & ACK and (peer.maxseq - ack) & MASK >= HALF)
        or flow.conn.multipath is not None
    ):
        return False
    endpoints.begin(flow, seq, flags)
    flow.syns = 1
    flow.nextseq = flow.maxseq = (seq + 1) & MASK
    flow.next_time = flow.last = time
    flow.dup_acks = flow.last_flags = 0
    flow.window, flow.last_ack = window, ack
    return True


def _base(flow: Flow, segment: Segment) -> None:
    """The initial sequence numbers; of a connection whose SYN was not seen, as if it had been."""
    if flow.base < 0:
        flow.base = segment.seq if segment.flags & SYN else (segment.seq - 1) & MASK
    if flow.peer.base < 0 and segment.flags & ACK:
        flow.peer.base = (segment.ack - 1) & MASK


def _count(flow: Flow, found: int, *, tail: bool) -> None:
    if found:
        for what in COUNTED:
            if found & what:
                flow.count(what)
        if found & RETRANSMISSION and tail:
            flow.count(TAIL)


def _complete(conn: Connection, segment: Segment) -> None:
    """Wireshark's bits: SYN 1, SYN ACK 2, ACK 4, data 8, FIN 16, RST 32."""
    flags = segment.flags
    if flags & ACK:
        if flags & SYN:
            conn.bits |= 2
        else:
            conn.bits |= 8 if segment.size > 0 else 4
        if flags & FIN:
            conn.bits |= 16
    if flags & RST:
        conn.bits |= 32


def _handshake(conn: Connection, segment: Segment) -> None:
    """The first round trip: from the latest SYN to the first ACK without SYN."""
    if segment.flags & (SYN | ACK) == SYN:
        conn.syn_time = segment.time
    elif segment.flags & (SYN | ACK) == ACK and conn.syn_time and not conn.irtt:
        conn.irtt = segment.time - conn.syn_time


def _scale(flow: Flow, segment: Segment) -> None:
    """Windows of SYNs are as they are; the first segment without SYN ends that."""
    if segment.flags & SYN:
        _negotiate(flow, segment)
        flow.unscaled, flow.talking, flow.acked = True, False, False
        flow.rescale()
        flow.peer.rescale()
    elif flow.unscaled and segment.flags & ACK:
        flow.unscaled = False
        flow.rescale()


def _negotiate(flow: Flow, segment: Segment) -> None:
    """The scales of both ends, as far as a SYN tells (RFC 7323, section 2.2)."""
    peer, shift = flow.peer, scale(segment.options)
    if shift != NO_SCALE:
        flow.shift = shift
    if len(segment.options) < segment.header - 20:
        return  # the rest of them may say anything
    if flow.shift == UNKNOWN_SCALE:
        flow.shift = peer.shift = NO_SCALE
    elif segment.flags & ACK and peer.shift == NO_SCALE:
        flow.shift = NO_SCALE


def _time(flow: Flow, segment: Segment, found: int, expected: int) -> None:
    """Data that waits for its ACK; if any is sent again, nobody knows which of them an ACK is for."""
    if found & AGAIN:
        flow.timed = None
    elif segment.size > 0 and segment.seq == expected and not found & PROBE:
        if flow.timed is None:
            flow.timed = []
        if len(flow.timed) < _TIMED:
            flow.timed.append(((segment.seq + segment.size) & MASK, segment.time))


def round_trips(flow: Flow, ack: int, time: int) -> None:
    """What this acknowledges waits no more; what it acknowledges to the byte is a round trip."""
    waiting = flow.timed
    while waiting:
        end, sent = waiting[0]
        if (ack - end) & MASK >= HALF:
            return
        del waiting[0]
        if end == ack:
            round_trip(flow, time - sent)


def round_trip(flow: Flow, span: int) -> None:
    """Remember one; of many only every second, every fourth, and so on."""
    if not 0 <= span < _LONGEST:
        return  # the clock was set
    flow.rtt_min = min(flow.rtt_min, span)
    flow.rtt_max = max(flow.rtt_max, span)
    if flow.rtt_skip:
        flow.rtt_skip -= 1
        return
    if flow.rtts is None:
        flow.rtts = array("Q")
    flow.rtts.append(span)
    if len(flow.rtts) >= _RTTS:
        flow.rtts = flow.rtts[::2]
        flow.rtt_step *= 2
    flow.rtt_skip = flow.rtt_step - 1


def _settle(conn: Connection) -> None:
    """Whether the next plain segment can change anything but numbers."""
    a, b = conn.a, conn.b
    if (
        a.state not in QUIET
        or b.state not in QUIET
        or not a.end_state  # INACTIVE
        or not b.end_state
        or not (conn.irtt or not conn.syn_time)
        or conn.multipath is not None
    ):
        a.odd = b.odd = True
        return
    for flow in (a, b):
        if flow.last_seq == flow.nextseq:
            flow.last_seq = None
        flow.odd = not (
            flow.last_seq is None
            and flow.base >= 0
            and flow.window
            and not flow.last_flags & (KEEP_ALIVE | PROBE)
        )
