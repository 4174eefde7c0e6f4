"""Packets to connections: where plain packets get by the short way must be where the long way leads."""

from __future__ import annotations

import io
import struct

import pytest
from evloop_trace.packets import analysis as module
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.packets.decode import Reason
from evloop_trace.packets.summary import round_trips, summarize
from evloop_trace.packets.words import notes

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
WINDOW_SCALE = b"\x03\x03\x07"


@pytest.mark.parametrize("seed", range(6))
def test_both_ways_come_to_the_same(wire, look, seed):
    """Connections in which anything happens are the same when no segment is treated as plain."""
    data = wire.pcap(wire.random_talks(seed, v6=seed % 2 == 1))
    slow = Analysis()
    for packet in read_packets(io.BytesIO(data).read, Capture()):
        slow.other(packet)
    assert look(data).summaries == [summarize(conn) for conn in slow.connections()]


def test_stories_change_no_number(wire, look):
    """Remembering the packets one by one changes nothing of what they come to."""
    data = wire.pcap(wire.random_talks(7))
    assert look(data).summaries == look(data, stories=1000).summaries


def test_many_connections_are_packed_and_found_again(wire, look, monkeypatch):
    """A connection that was packed because it was silent goes on where it was."""
    talks = [wire.Talk(40000 + n) for n in range(50)]
    for talk in talks:
        talk.opened()
    for talk in talks:
        talk.time = talks[-1].time
        talk.c(PSH | ACK, b"x" * 10).s(ACK).s(PSH | ACK, b"y").c(ACK).closed()
    frames = sorted((frame for talk in talks for frame in talk.frames), key=lambda it: it[0])
    plain = look(wire.pcap(frames)).summaries
    monkeypatch.setattr(module, "_AWAKE", 8)
    assert look(wire.pcap(frames)).summaries == plain
    assert {it.conn_state for it in plain} == {"SF"}


def test_connections_that_stay_packed(wire, look, monkeypatch):
    """They are told in their order; those of Multipath TCP are kept as they are, since they share."""
    capable = wire.multipath(0, b"\x81" + wire.KEYS[0])
    frames = []
    for n in range(20):
        talk = wire.Talk(40000 + n // 2, time=wire.START + n)
        talk.send(0, SYN, options=capable if n == 3 else b"", seq=1000 + n).s(SYN | ACK).c(ACK)
        frames += talk.frames
    plain = look(wire.pcap(frames)).summaries
    monkeypatch.setattr(module, "_AWAKE", 4)
    assert look(wire.pcap(frames)).summaries == plain
    assert [it.client[1] for it in plain] == [40000 + n // 2 for n in range(20)]


def test_segments_of_a_clock_that_was_set(wire, look):
    """A round trip of centuries is none."""
    talk = wire.Talk().opened().c(PSH | ACK, b"abc").s(ACK, wait=(1 << 63) - 1)
    found = look(wire.pcapng(talk.frames))
    assert found.only.conn_state == "S1"
    assert round_trips(next(found.analysis.connections()).a) is None


def test_flags_of_a_header_that_is_too_short(wire, look):
    """A header of less than five words has been seen, but nothing in it counts (as in Wireshark)."""
    talk = wire.Talk().opened().c(PSH | ACK, b"abc")
    segment = wire.tcp(40000, 8080, 1001, 5001, RST | ACK, payload=b"abc", header=4)
    frame = wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 6, segment))
    only = look(wire.pcap([*talk.frames, (talk.time + 300_000_000, frame)])).only
    assert (only.resets, only.retransmissions, only.packets) == ((0, 0), (0, 0), (4, 1))


def test_data_without_ack_is_no_data_to_completeness(wire, look):
    """Neither before nor after: only what is acknowledged along with it."""
    talk = wire.Talk().opened().c(ACK).s(ACK).c(0, b"abc")
    assert look(talk.pcap()).only.completeness == 7
    assert look(talk.c(ACK, b"abc").pcap()).only.completeness == 15


def test_packed_ones_of_the_other_direction_and_of_udp(wire, look, monkeypatch):
    """Whoever speaks first after the pause, and whatever the protocol, the connection is the same."""
    monkeypatch.setattr(module, "_AWAKE", 4)
    frames, time = [], wire.START
    for n in range(12):
        time += 1
        frames.append(
            (time, wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(5000 + n, 9999, b"ask"))))
        )
    for n in range(12):
        time += 1
        frames.append(
            (time, wire.ethernet(wire.ipv4("10.0.0.2", "10.0.0.1", 17, wire.udp(9999, 5000 + n, b"re"))))
        )
    summaries = look(wire.pcap(frames)).summaries
    assert [it.packets for it in summaries] == [(1, 1)] * 12
    assert summaries[0].bytes == (3, 2)
    assert summaries[0].conn_state == "SF"
    assert summaries[0].history == "Dd"


def test_a_packed_connection_keeps_its_errors(wire, look, monkeypatch):
    """ICMP errors and round trips survive the packing."""
    monkeypatch.setattr(module, "_AWAKE", 2)
    talk = wire.Talk().opened().c(PSH | ACK, b"abc").s(ACK)
    lost = wire.ipv4("10.0.0.1", "10.0.0.2", 6, wire.tcp(40000, 8080, 1004, 5001, ACK))
    icmp = struct.pack(">BBHI", 3, 1, 0, 0) + lost[:28]
    talk.frames.append((talk.time + 1, wire.ethernet(wire.ipv4("10.0.0.9", "10.0.0.1", 1, icmp))))
    for n in range(9):
        talk.frames += wire.Talk(50000 + n, time=talk.time + 10 + n).opened().frames
    found = look(wire.pcap(talk.frames))
    conn = next(found.analysis.connections())
    assert [error.what for error in conn.errors] == ["host unreachable"]
    assert round_trips(conn.a).shortest == 1_000_000
    assert found.summaries[0].packets == (3, 2)


def test_a_connection_with_itself(wire, look):
    """The same numbers both ways are no retransmission."""
    talk = wire.Talk(9000, 9000, [100, 100], server=wire.CLIENT)
    talk.c(SYN).c(SYN | ACK, seq=100, ack=101).c(ACK, seq=101, ack=101).c(PSH | ACK, b"me", seq=101, ack=101)
    only = look(talk.pcap()).only
    assert only.retransmissions == (0, 0)
    assert only.verdict.startswith("self-connect")
    talk.c(FIN | ACK, seq=103, ack=103).c(FIN | ACK, seq=103, ack=103).c(ACK, seq=104, ack=104)
    (conn,) = look(talk.pcap(), stories=1).analysis.connections()
    assert [mark.states for mark in conn.marks if mark.changed] == [
        ("SYN-SENT", "SYN-RECEIVED"), ("SYN-RECEIVED", "ESTABLISHED"), ("ESTABLISHED", "ESTABLISHED"),
        ("FIN-WAIT-1", "CLOSING"), ("CLOSING", "CLOSING"), ("CLOSING", "TIME-WAIT"),
    ]  # fmt: skip
    told = " ".join(notes(conn))
    assert "retransmission: the client sent 1 segment again" in told
    assert "retries" not in told
    assert "half-close" not in told
    assert only.client == only.server == ("10.0.0.1", 9000)


def test_a_new_syn_on_old_ports_is_a_new_connection(wire, look):
    """Another initial sequence number makes another connection; the same one is a SYN sent again."""
    first = wire.Talk().opened().closed()
    again = wire.Talk(seqs=[90000, 70000], time=first.time).c(SYN).c(SYN, seq=90000).s(SYN | ACK).c(ACK)
    one, two = look(wire.pcap(first.frames + again.frames)).summaries
    assert (one.conn_state, two.conn_state) == ("SF", "S1")
    assert two.retransmissions == (1, 0)
    assert two.packets == (3, 1)


def test_sequence_numbers_wrap(wire, look):
    """Behind 2**32 - 1 comes 0, and nothing of that is notable."""
    talk = wire.Talk(seqs=[0xFFFFFFFB, 0xFFFFFFF0]).opened()
    for _ in range(8):
        talk.c(PSH | ACK, b"x" * 7).s(ACK).s(PSH | ACK, b"y" * 5).c(ACK)
    only = look(talk.closed().pcap()).only
    assert only.bytes == (56, 40)
    assert only.retransmissions == only.out_of_order == only.dup_acks == (0, 0)
    assert only.conn_state == "SF"


def test_round_trips_of_many_segments(wire, look):
    """The shortest and longest are exact however many there are; the sample stays small."""
    talk = wire.Talk().opened()
    for n in range(2000):
        talk.c(PSH | ACK, b"x").s(ACK, wait=(n + 1) * 1000)
    conn = next(look(talk.pcap()).analysis.connections())
    trips = round_trips(conn.a)
    assert (trips.shortest, trips.longest) == (1000, 2_000_000)
    assert 900_000 < trips.median < 1_100_000
    assert len(conn.a.rtts) <= 512
    assert round_trips(conn.b) is None


def test_a_flow_nobody_acknowledges_stays_small(wire, look):
    """What waits for an ACK is bounded."""
    talk = wire.Talk().opened()
    for _ in range(1000):
        talk.c(PSH | ACK, b"x")
    conn = next(look(talk.pcap()).analysis.connections())
    assert len(conn.a.timed) == 256
    assert look(talk.s(ACK).pcap()).only.bytes == (1000, 0)


def test_acknowledged_partly_and_all_at_once(wire, look):
    """Only the ACK of exactly a segment's last byte is a round trip of it."""
    talk = wire.Talk().opened().c(ACK, b"aaaa").c(ACK, b"bbbb").c(ACK, b"cccc")
    talk.s(ACK, ack=1003).s(ACK, ack=1005).s(ACK)
    conn = next(look(talk.pcap()).analysis.connections())
    assert list(conn.a.rtts) == [4_000_000, 3_000_000]


def test_times_that_run_backwards(wire, look):
    """A clock that was set back makes no negative round trip."""
    talk = wire.Talk().opened().c(PSH | ACK, b"x")
    talk.s(ACK, wait=-(10**9))
    assert round_trips(next(look(talk.pcap()).analysis.connections()).a) is None


def test_retransmitted_data_is_not_timed(wire, look):
    """An ACK of data that was sent twice may be of either."""
    talk = wire.Talk().opened().c(PSH | ACK, b"xyz").c(PSH | ACK, b"xyz", seq=1001, wait=10**9).s(ACK)
    found = look(talk.pcap())
    assert found.only.retransmissions == (1, 0)
    assert round_trips(next(found.analysis.connections()).a) is None


def test_window_probes_of_linux_and_of_others(wire, look):
    """A closed window is probed with a byte, or, by Linux, with the number before."""
    talk = wire.Talk().opened().c(ACK, b"full").s(ACK, window=0)
    talk.c(ACK, seq=1004).s(ACK, window=0).c(ACK, b"!", seq=1005).s(ACK, window=0).s(ACK, window=500)
    only = look(talk.pcap()).only
    assert only.zero_windows == (0, 3)
    assert only.zero_window_probes == (1, 0)  # Linux's are keep-alives to Wireshark, and probes in the notes
    assert only.keep_alives == (1, 0)
    assert only.window_updates == (0, 1)


def test_what_belongs_to_no_connection(wire, look):
    """Each packet that is left out is counted with its reason."""
    one = wire.tcp(1, 2, 3, 4, ACK)
    frames = [
        wire.ethernet(b"\0" * 28, 0x0806),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 47, b"gre!")),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 6, one, fragment=0x2000)),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 6, one[:8])),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, b"\0\1")),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 6, one))[:40],
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 1, b"\x08\0\0\0\0\0\0\0")),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 1, b"\x03\0")),
        wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 1, b"\x03\x03" + b"\0" * 6)),
        wire.ethernet(
            wire.ipv4(
                "10.0.0.1", "10.0.0.2", 1, b"\x03\x03" + b"\0" * 6 + wire.ipv4("1.1.1.1", "2.2.2.2", 6, one)
            )
        ),
    ]
    found = look(wire.pcap([(wire.START, frame) for frame in frames]))
    assert found.analysis.left_out == {
        Reason.NETWORK: 1, Reason.TRANSPORT: 3, Reason.FRAGMENT: 1, Reason.DAMAGED: 3
    }  # fmt: skip
    assert found.analysis.orphans == 2
    assert len(found.analysis) == 0


def test_cut_by_the_snap_length(wire, look):
    """Lengths are those of the IP header, however little of a packet was kept."""
    talk = wire.Talk().opened().c(PSH | ACK, b"x" * 900).s(ACK)
    only = look(wire.pcap(talk.frames, snap=60)).only
    assert only.bytes == (900, 0)
    assert look(wire.pcap(talk.frames, snap=50)).only == only  # as far as the window: all that is needed
    short = look(wire.pcap(talk.frames, snap=40))
    assert short.analysis.left_out == {Reason.CUT: 5}
    udp = wire.ethernet(wire.ipv4("10.0.0.1", "10.0.0.2", 17, wire.udp(1, 2, b"abc")))
    assert look(wire.pcap([(1, udp)], snap=36)).analysis.left_out == {Reason.CUT: 1}


def test_a_header_longer_than_its_datagram(wire, look):
    """Such a segment has no payload that could be analysed, and is counted all the same."""
    talk = wire.Talk().opened()
    odd = wire.ipv4("10.0.0.1", "10.0.0.2", 6, wire.tcp(40000, 8080, 1001, 5001, ACK, header=15))
    small = wire.ipv4("10.0.0.1", "10.0.0.2", 6, wire.tcp(40000, 8080, 1001, 5001, ACK, header=2))
    talk.frames += [(talk.time + 1, wire.ethernet(odd)), (talk.time + 2, wire.ethernet(small))]
    only = look(talk.pcap()).only
    assert only.packets == (4, 1)
    assert only.bytes == (12, 0)  # what a header of 8 bytes leaves of 20


def test_icmp_errors_are_kept_up_to_eight(wire, look):
    """More of them are only counted."""
    talk = wire.Talk().c(SYN)
    syn = wire.ipv4("10.0.0.1", "10.0.0.2", 6, wire.tcp(40000, 8080, 1000, 0, SYN))
    icmp = wire.ethernet(wire.ipv4("10.0.0.9", "10.0.0.1", 1, struct.pack(">BBHI", 3, 13, 0, 0) + syn))
    talk.frames += [(talk.time + n, icmp) for n in range(12)]
    found = look(talk.pcap())
    assert len(next(found.analysis.connections()).errors) == 8
    assert found.only.verdict == "not reached: the SYN was answered by ICMP prohibited by a filter"


def test_ipv6_and_its_icmp(wire, look):
    """All of it is the same over IPv6."""
    talk = wire.Talk(client="fe80::1", server="::1", v6=True).opened().c(PSH | ACK, b"hi").s(ACK).closed()
    ask = wire.ipv6("fe80::1", "::1", 17, wire.udp(5, 6, b"?"))
    icmp = wire.ipv6("::1", "fe80::1", 58, struct.pack(">BBHI", 1, 4, 0, 0) + ask)
    talk.frames += [(talk.time + 1, wire.ethernet(ask)), (talk.time + 2, wire.ethernet(icmp))]
    tcp, udp = look(talk.pcap()).summaries
    assert (tcp.client, tcp.conn_state, tcp.bytes) == (("fe80::1", 40000), "SF", (2, 0))
    assert udp.verdict == "1 datagram, answered by ICMP port unreachable"
    assert udp.conn_state == "S0"
