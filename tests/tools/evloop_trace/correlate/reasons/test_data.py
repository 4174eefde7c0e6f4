"""Sends, segments, recvs and ACKs."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.entries import EXACT, INFERRED, PacketRef
from evloop_trace.packets.segments import (
    ACK,
    ACKED_UNSEEN,
    DUP_ACK,
    FAST,
    FIN,
    LOST,
    OUT_OF_ORDER,
    RETRANSMISSION,
    RST,
    SPURIOUS,
    SYN,
)

from evloop.events.schema import Block, Close, Recv, Send, Shutdown


def test_a_send_that_finds_no_room(told: Any) -> None:
    """A part was taken, or nothing; how much is not acknowledged is known from the packets."""
    told.opened()
    assert told.call(Send, size=10, n=4, off=(0, 4)).reasons == ["the send buffer had room for 4 B of 10 B"]
    assert told.call(Send, size=10, errno="EAGAIN").reasons == [
        "the send buffer is full: 4 B are not acknowledged"
    ]
    told.packet(True, 0, 4)
    told.packet(False, ack=4)
    assert told.call(Send, size=10, errno="EAGAIN").reasons == ["the send buffer is full"]


def test_a_send_without_a_capture(new_told: Any) -> None:
    """Nobody knows what is acknowledged."""
    told = new_told()
    told.strand.wire = None
    told.send(True, 0, 4)
    assert told.call(Send, errno="EAGAIN").reasons == ["the send buffer is full"]


def test_a_send_of_nothing(told: Any) -> None:
    """No packet; of who does it again and again it is said once."""
    why = "nothing to send: no packet, and the peer does not notice"
    assert told.call(Send, size=0, n=0, off=(0, 0)).reasons == [why]
    assert told.call(Send, size=0, n=0, off=(0, 0)).reasons == []
    assert told.call(Send, False, size=0, n=0, off=(0, 0)).reasons == [why]


def test_a_send_in_several_segments(told: Any) -> None:
    """The largest is told, where its packets are remembered."""
    send = told.send(True, 0, 3000)
    for begin in (0, 1448, 2896):
        told.packet(True, begin, min(3000, begin + 1448), causes=(send,))
    assert told.settled(send) == ["one send(), 3 segments of at most 1,448 B (#1-#3)"]


def test_a_send_of_very_many_segments(told: Any) -> None:
    """Those that are long gone are not measured."""
    send = told.send(True, 0, 2000)
    for begin in range(0, 2000, 1000):
        told.packet(True, begin, begin + 1000, causes=(send,))
    for begin in range(2000, 2200):
        told.packet(True, begin, begin + 1)
    assert told.settled(send) == ["one send(), 2 segments (#1, #2)"]


def test_a_send_that_nobody_acknowledges(told: Any) -> None:
    """That is known half a second later."""
    send = told.send(True, 0, 5, dur=0.5)
    told.packet(True, 0, 5, causes=(send,))
    assert told.settled(send) == []
    told.packet(True, 0, 5, t=900)
    assert told.settled(send) == ["it returned after 500 µs, and nobody has acknowledged its last byte yet"]


def test_a_send_to_who_has_closed(told: Any) -> None:
    """It succeeds, and a RST answers."""
    told.call(Close, False)
    told.packet(False, flags=FIN | ACK, ack=0)
    send = told.send(True, 0, 5)
    told.packet(True, 0, 5, causes=(send,))
    told.packet(False, flags=RST)
    assert told.settled(send) == [
        "it succeeds, as it only fills a buffer; the server had closed (packet #1), and resets (packet #3)"
    ]
    failed = told.call(Send, errno="EPIPE")
    assert told.settled(failed) == ["the RST of packet #3 had ended the connection"]


def test_several_sends_in_one_recv(told: Any) -> None:
    """A stream keeps no borders: neither of sends, nor of segments whose sends nobody knows."""
    first, second = told.send(True, 0, 3), told.send(True, 3, 6)
    packets = told.packet(True, 0, 3, causes=(first,)), told.packet(True, 3, 6, causes=(second,))
    assert told.recv(False, 0, 6, got=packets).reasons == [
        "2 sends in one recv(): a stream keeps no borders (packets #1, #2)"
    ]
    packets = told.packet(True, 6, 7), told.packet(True, 7, 8)
    assert told.recv(False, 6, 8, got=packets).reasons == [
        "2 segments in one recv(): a stream keeps no borders (#3, #4)"
    ]
    third = told.send(True, 8, 20)
    packets = told.packet(True, 8, 12, causes=(third,)), told.packet(True, 12, 20, causes=(third,))
    assert told.recv(False, 8, 20, got=packets).reasons == []
    assert told.recv(False, 0, 6, got=packets, flags="MSG_PEEK").reasons == []


def test_a_recv_that_leaves_something(told: Any) -> None:
    """The rest of the packet waits for the next."""
    packet = told.packet(True, 0, 1509)
    first = told.call(Recv, False, size=1024, n=1024, off=(0, 1024), got=(packet,))
    assert first.reasons == ["it asked for 1,024 B at most: 485 B of packet #1 are left for the next"]
    assert told.call(Recv, False, size=485, n=485, off=(1024, 1509), got=(packet,)).reasons == []


def test_several_sends_in_one_segment(told: Any) -> None:
    """They waited together."""
    first, second = told.send(True, 0, 3), told.send(True, 3, 6)
    assert told.packet(True, 0, 6, causes=(first, second)).reasons == ["one segment, 2 sends (#1, #2)"]


def test_a_segment_whose_send_nobody_knows(told: Any) -> None:
    """Only its FIN is somebody's."""
    assert told.packet(True, 0, 5, flags=FIN | ACK, causes=(told.call(Close),)).reasons == []


def nagle(told: Any, **last: Any) -> list[str]:
    """Write, write; the second waits for the ACK of the first, which is delayed."""
    told.opened()
    first = told.send(True, 0, 10, t=10)
    told.packet(True, 0, 10, t=10.1, causes=(first,))
    second = told.send(True, 10, 20, t=11)
    told.packet(False, 0, ack=10, t=51)
    return told.packet(True, 10, 20, causes=(second,), **{"t": 51.1, **last}).reasons


def test_nagle_and_the_delayed_ack(told: Any) -> None:
    """Both are named, on their packets."""
    assert nagle(told) == [
        "likely Nagle: send() #2 was 40.1 ms before, but a small segment waits for the ACK of the last, #5"
    ]


def test_a_segment_that_came_long_after_the_ack_waited_for_something_else(told: Any) -> None:
    """It is not Nagle's algorithm that held it."""
    assert nagle(told, t=60) == []


def test_a_send_that_sleeps_is_no_event_yet(told: Any) -> None:
    """Its call is not known."""
    block = told.call(Block, awaits="send")
    told.strand.names = ("c", "s")
    assert told.packet(True, 0, 10, causes=(block,)).reasons == []


def test_a_delayed_ack(told: Any) -> None:
    """Of data, or of a FIN; not where it carries something, comes at once, or very late."""
    told.opened()
    told.packet(True, 0, 5, t=10)
    assert told.packet(False, 0, ack=5, t=51).reasons == [
        "delayed ACK: the server sent nothing for 41.0 ms that could have acknowledged packet #4"
    ]
    told.packet(True, 5, flags=FIN | ACK, t=60)
    assert told.packet(False, 0, ack=6, t=104).reasons == [
        "delayed ACK: the server sent nothing for 44.0 ms that could have acknowledged the FIN"
    ]
    assert told.packet(False, 0, ack=6, t=150).reasons == []


@pytest.mark.parametrize(("t", "trust"), [(20, ""), (500, ""), (51, "again")])
def test_an_ack_that_is_not_delayed(told: Any, t: float, trust: str) -> None:
    """It was quick; or the network was slow; or it answers a retransmission."""
    told.opened()
    told.packet(True, 0, 5, t=10, trust=trust)
    assert told.packet(False, 0, ack=5, t=t).reasons == []


def test_acks_that_tell_of_losses(told: Any) -> None:
    """Of the capture, and of the network; the first duplicate says it."""
    told.opened()
    assert told.packet(False, ack=10, found=ACKED_UNSEEN).reasons == [
        "it acknowledges what the capture does not have: the capture lost it, not the network"
    ]
    told.packet(True, 20, 30)
    assert told.packet(False, ack=10, found=DUP_ACK).reasons == [
        "it asks for byte 10 again: what came behind that has a gap before it"
    ]
    assert told.packet(False, ack=10, found=DUP_ACK).reasons == []
    assert told.packet(False).reasons == []


def test_why_something_is_sent_again(told: Any) -> None:
    """A probe of the tail, a timeout, duplicate ACKs; what had arrived, what was late, what is missing."""
    told.opened()
    told.packet(True, 0, 5, t=10)
    assert told.packet(True, 0, 5, t=22, found=RETRANSMISSION, original=4, trust="again").reasons == [
        "likely a tail-loss probe: no ACK of the last segment, packet #4, for 12.0 ms"
    ]
    assert told.packet(True, 0, 5, t=410, found=RETRANSMISSION, original=4, trust="again").reasons == [
        "retransmission: packet #4 was not acknowledged for 400 ms"
    ]
    assert told.packet(True, 0, 5, t=820, found=RETRANSMISSION, trust="again").reasons == [
        "retransmission: byte 0 was not acknowledged for 410 ms"
    ]
    told.packet(True, 10, 15)
    told.packet(False, ack=0, found=DUP_ACK)
    told.packet(False, ack=0, found=DUP_ACK)
    assert told.packet(True, 0, 5, found=FAST, original=4, trust="again").reasons == [
        "fast retransmission: 2 duplicate ACKs said that packet #4 is missing"
    ]
    assert told.packet(True, 0, 5, found=SPURIOUS, original=4, trust="again").reasons == [
        "spurious: packet #4 had arrived"
    ]
    told.packet(False, ack=15)
    assert told.packet(True, 0, 5, found=SPURIOUS, original=4, trust="again").reasons == [
        "spurious: packet #4 had arrived, as packet #13 said"
    ]
    assert told.packet(True, 5, 10, found=OUT_OF_ORDER).reasons == [
        "out of order: what was sent after it was seen before"
    ]
    assert told.packet(True, 20, 25, found=LOST).reasons == ["something before it is not in the capture"]


def test_a_recv_of_one_send_of_a_packet_of_two(told: Any) -> None:
    """What it took counts, not what the packet has (MSG_MORE makes such)."""
    first, second = told.send(True, 0, 3), told.send(True, 3, 6)
    packet = told.packet(True, 0, 6, causes=(first, second))
    packet.causes[:] = [
        it._replace(begin=begin, end=begin + 3) for it, begin in zip(packet.causes, (0, 3), strict=True)
    ]
    recv = told.call(Recv, False, n=3, off=(3, 6))
    recv.packets.append(PacketRef(packet.packet.number, 3, 6))
    recv.reasons.clear()
    told.tell(recv)
    assert recv.reasons == []
    recv.packets[:] = [PacketRef(packet.packet.number, 2, 6)]
    told.tell(recv)
    assert recv.reasons == ["2 sends in one recv(): a stream keeps no borders (packet #1)"]


def test_a_send_whose_end_is_not_sent_yet(told: Any) -> None:
    """How many segments it takes nobody knows; nor of one whose packets are guessed."""
    send = told.send(True, 0, 5000)
    for begin in (0, 2000):
        told.packet(True, begin, begin + 2000, causes=(send,))
    assert told.settled(send) == []
    told.packet(True, 4000, 5000, causes=(send,))
    send.trust = INFERRED
    assert told.settled(send) == []
    send.trust = EXACT
    assert told.settled(send) == ["one send(), 3 segments of at most 2,000 B (#1-#3)"]


def test_a_fin_is_no_close(told: Any) -> None:
    """The client has ended only what it sends, and reads: that it resets later has another cause."""
    told.call(Shutdown)
    told.packet(True, flags=FIN | ACK, ack=0)
    send = told.send(False, 0, 18)
    told.packet(False, 0, 18, causes=(send,))
    told.call(Close, unread=13)
    told.packet(True, flags=RST)
    assert told.settled(send) == []


def test_likely_a_close(told: Any) -> None:
    """Who is in no log."""
    told.strand.names = ("", "s")
    told.packet(True, flags=FIN | ACK, ack=0)
    send = told.send(False, 0, 5)
    told.packet(True, flags=RST)
    why = "likely the client had closed (packet #1), and resets (packet #2)"
    assert told.settled(send) == [f"it succeeds, as it only fills a buffer; {why}"]


def test_of_a_row_of_recvs_that_leave_something_only_the_first_tells(told: Any) -> None:
    """Until one finds less than it asked for."""
    packet = told.packet(True, 0, 4000)
    sizes = [
        told.call(Recv, False, n=1000, off=(at, at + 1000), got=(packet,)).reasons
        for at in range(0, 4000, 1000)
    ]
    assert [len(it) for it in sizes] == [1, 0, 0, 0]
    more = told.packet(True, 4000, 6000)
    assert told.call(Recv, False, n=1000, off=(4000, 5000), got=(more,)).reasons == []
    told.call(Recv, False, n=900, off=(5000, 5900), got=(more,))
    last = told.packet(True, 5900, 8000)
    assert len(told.call(Recv, False, n=1000, off=(5900, 6900), got=(last,)).reasons) == 1


def test_bytes_that_are_joined_by_inference_tell_nothing(told: Any) -> None:
    """Offsets of calls and packets differ: somebody has read what no log tells of."""
    first, second = told.send(True, 0, 3), told.send(True, 3, 6)
    packet = told.packet(True, 0, 6, causes=(first, second), trust=INFERRED)
    assert packet.reasons == []
    recv = told.call(Recv, False, n=6, off=(0, 6))
    recv.packets.append(PacketRef(1, 0, 6))
    recv.trust = INFERRED
    recv.reasons.clear()
    told.tell(recv)
    assert recv.reasons == []
    told.packet(False, ack=9)
    told.packet(True, 6, 9)
    assert told.reasons.quiet(told.strand, 10**10) == "the server is in no call; the client is in no call"


def test_a_send_before_the_handshake_is_over(told: Any) -> None:
    """There is room, but nobody to send to."""
    told.packet(True, flags=SYN)
    assert told.call(Send, size=10, errno="EAGAIN").reasons == [
        "the handshake is not over: until then nothing can be sent"
    ]


def test_a_duplicate_ack_of_all(told: Any) -> None:
    """It asks for nothing: something came twice."""
    told.packet(True, 0, 10)
    told.packet(False, ack=10)
    assert told.packet(False, ack=10, found=DUP_ACK).reasons == []
