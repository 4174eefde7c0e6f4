"""Wireshark's words, one after the other, each in the smallest connection in which it occurs."""

from __future__ import annotations

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MS = 1_000_000


def counted(look, talk):
    """The fields of the only connection that are not all zero."""
    only = look(talk.pcap()).only
    names = ["retransmissions", "fast_retransmissions", "spurious_retransmissions", "out_of_order",
             "dup_acks",
             "zero_windows", "zero_window_probes", "keep_alives", "window_updates", "resets"]  # fmt: skip
    return {name: getattr(only, name) for name in names if getattr(only, name) != (0, 0)}


def test_nothing(wire, look):
    """A connection without trouble."""
    assert counted(look, wire.Talk().opened().c(PSH | ACK, b"a").s(ACK).closed()) == {}


def test_retransmission(wire, look):
    """The same data again, long after."""
    talk = wire.Talk().opened().c(ACK, b"abc").c(ACK, b"abc", seq=1001, wait=300 * MS)
    assert counted(look, talk) == {"retransmissions": (1, 0)}


def test_fast_retransmission(wire, look):
    """After two duplicate ACKs, within 20 ms of the last packet of the other end."""
    talk = wire.Talk().opened()
    for _ in range(4):
        talk.s(ACK, b"x" * 10)
    talk.c(ACK, ack=5011).c(ACK, ack=5011).c(ACK, ack=5011).s(ACK, b"x" * 10, seq=5011)
    assert counted(look, talk) == {
        "retransmissions": (0, 1), "fast_retransmissions": (0, 1), "dup_acks": (2, 0)
    }  # fmt: skip
    late = wire.Talk(frames=talk.frames[:-1], seqs=talk.seqs, time=talk.time).s(
        ACK, b"x" * 10, seq=5011, wait=21 * MS
    )
    assert counted(look, late) == {"retransmissions": (0, 1), "dup_acks": (2, 0)}


def test_spurious_retransmission(wire, look):
    """Data that had been acknowledged."""
    talk = wire.Talk().opened().c(ACK, b"abc").s(ACK).c(ACK, b"abc", seq=1001)
    assert counted(look, talk) == {"retransmissions": (1, 0), "spurious_retransmissions": (1, 0)}


def test_out_of_order(wire, look):
    """A segment that comes late, but too early to have been sent again."""
    talk = wire.Talk().opened().c(ACK, b"bbb", seq=1004).c(ACK, b"aaa", seq=1001)
    assert counted(look, talk) == {"out_of_order": (1, 0)}
    talk = wire.Talk().opened().c(ACK, b"bbb", seq=1004).c(ACK, b"aaa", seq=1001, wait=30 * MS)
    assert counted(look, talk) == {"retransmissions": (1, 0)}


def test_keep_alive_and_its_ack(wire, look):
    """The number before the next, with no byte or with one; the answer is no duplicate ACK."""
    talk = wire.Talk().opened().c(ACK, seq=1000).s(ACK).c(ACK, b"x", seq=1000).s(ACK)
    assert counted(look, talk) == {"keep_alives": (2, 0)}


def test_duplicate_ack_only_with_the_same_window(wire, look):
    """Another window makes it a window update."""
    talk = wire.Talk().opened().s(ACK).s(ACK).s(ACK, window=2000)
    assert counted(look, talk) == {"dup_acks": (0, 2), "window_updates": (0, 1)}


def test_resets(wire, look):
    """Each RST is counted for who sent it."""
    assert counted(look, wire.Talk().opened().s(RST | ACK).s(RST)) == {"resets": (0, 2)}


def test_zero_window_probe_and_its_ack(wire, look):
    """A byte more than the window has room for, and that it still has none."""
    talk = wire.Talk().opened().s(ACK, window=0).c(ACK, b"!", seq=1001).s(ACK, window=0)
    assert counted(look, talk) == {"zero_windows": (0, 2), "zero_window_probes": (1, 0)}
    # Without a probe before it, the same segment is nothing but a zero window.
    talk = wire.Talk().opened().s(ACK, window=0).s(ACK, window=0)
    assert counted(look, talk) == {"zero_windows": (0, 2)}


def test_a_probe_that_goes_on_as_data(wire, look):
    """What begins where a keep-alive would, but has more than a byte, is new data."""
    talk = wire.Talk().opened().c(ACK, b"abcd", seq=1000)
    assert counted(look, talk) == {}


def test_acked_before_it_was_seen(wire, look):
    """What the capture misses is told once, however often it is acknowledged."""
    talk = wire.Talk().opened().c(ACK, ack=6000).c(ACK, ack=6000).s(ACK, b"late", seq=5996)
    conn = next(look(talk.pcap()).analysis.connections())
    assert conn.a.counts == {256: 1, 128: 1}
    assert look(talk.pcap()).only.verdict.endswith("the capture misses segments that arrived")


def test_acked_behind_a_gap(wire, look):
    """So is a hole that was acknowledged, and again one that opens later."""
    talk = (
        wire.Talk().opened().s(ACK, b"bb", seq=5005).c(ACK, ack=5007).s(ACK, b"dd", seq=5010).c(ACK, ack=5012)
    )
    conn = next(look(talk.pcap()).analysis.connections())
    assert conn.a.counts[256] == 2
    assert conn.history.count("g") == 1


def test_completeness(wire, look):
    """Wireshark's bits; a first packet counts only if others follow."""
    assert look(wire.Talk().opened().c(ACK, b"x").closed().pcap()).only.completeness == 31
    assert look(wire.Talk().c(SYN).pcap()).only.completeness == 1
    assert look(wire.Talk().c(SYN, b"fast open").pcap()).only.completeness == 9
    assert look(wire.Talk().c(SYN).s(RST | ACK).pcap()).only.completeness == 37
    assert look(wire.Talk().c(RST).pcap()).only.completeness == 0
    assert look(wire.Talk().c(RST).c(RST).pcap()).only.completeness == 32
    assert look(wire.Talk().c(ACK, b"x").s(ACK).pcap()).only.completeness == 12
