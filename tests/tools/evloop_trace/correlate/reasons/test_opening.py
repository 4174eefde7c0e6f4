"""Handshakes, listeners and accepts."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.packets.segments import ACK, RST, SYN

from evloop.events.schema import Accept, Close, Connect, Queue


def test_the_kernel_did_the_handshake(told: Any) -> None:
    """Accept comes behind it, with what the client sent meanwhile."""
    told.opened()
    told.packet(True, 0, 13, t=10)
    told.packet(False, 0, ack=13, t=11)
    accept = told.call(Accept, False, sock="l", t=50)
    assert accept.reasons == [
        "the kernel had finished the handshake 47.0 ms before, and acknowledged 13 B since"
    ]


def test_an_accept_that_is_told_before_the_packet(told: Any) -> None:
    """It takes nobody out of the queue who was not in it."""
    told.listen(backlog=0)
    told.call(Accept, False, sock="l")
    told.opened()
    told.packet(True, flags=SYN, t=10)
    assert "queue" not in told.packet(True, flags=SYN, t=20).reasons[0]


def test_of_what_was_sent_before_the_capture_no_bytes_are_told(new_told: Any) -> None:
    """Offsets that do not begin at the stream's beginning are none."""
    told = new_told(whole=False)
    told.opened()
    told.packet(True, 0, 13)
    told.packet(False, 0, ack=13)
    assert told.call(Accept, False, sock="l", t=50).reasons == [
        "the kernel had finished the handshake 47.0 ms before"
    ]


@pytest.mark.parametrize(("waited", "why"), [(None, []), (5_000_000, []), (10**9, ["1.0 s"])])
def test_without_packets_the_kernel_tells_how_long_it_waited(
    told: Any, waited: int | None, why: list[str]
) -> None:
    """If that is no round trip."""
    reasons = told.call(Accept, False, sock="l", waited=waited).reasons
    assert reasons == [f"the finished handshake waited for {it} in the queue" for it in why]


def test_a_syn_again(told: Any) -> None:
    """Nobody answers, as far as is known."""
    told.packet(True, flags=SYN, t=1)
    assert told.packet(True, flags=SYN, t=1025).reasons == [
        "no answer to packet #1 for 1.0 s: sent again, try 2"
    ]
    assert told.packet(True, flags=SYN, t=2049).reasons == [
        "no answer to packet #1 for 2.0 s: sent again, try 3"
    ]


@pytest.mark.parametrize("counted", [True, False])
def test_a_syn_again_where_the_queue_is_full(told: Any, counted: bool) -> None:
    """As the kernel says, or as the packets do."""
    told.listen(backlog=0, address="0.0.0.0:8080")
    if counted:
        told.call(Queue, False, loose=True, sock="l", queued=1, backlog=0)
    else:
        told.opened()
    told.packet(True, flags=SYN, t=10)
    likely = "" if counted else "likely "
    assert told.packet(True, flags=SYN, t=1034).reasons == [
        f"no answer for 1.0 s: {likely}the listener's queue is full, 1 in it (backlog 0)"
    ]


def test_who_was_accepted_is_not_in_the_queue_any_more(told: Any) -> None:
    """An accept that fails takes nobody out, and one with a number is believed."""
    told.listen(backlog=0)
    told.opened()
    told.call(Accept, False, loose=True, sock="l", errno="EAGAIN")
    told.call(Accept, False, loose=True, sock="other")
    told.call(Accept, False, sock="l")
    told.packet(True, flags=SYN, t=10)
    assert "sent again" in told.packet(True, flags=SYN, t=20).reasons[0]
    told.call(Accept, False, loose=True, sock="l", queued=7)
    assert ": the listener's queue is full, 7 in it" in told.packet(True, flags=SYN, t=30).reasons[0]
    told.call(Accept, False, loose=True, sock="l")
    assert "likely the listener's queue is full, 6 in it" in told.packet(True, flags=SYN, t=31).reasons[0]


def test_the_queue_grows_after_the_kernel_has_counted_it(new_told: Any) -> None:
    """The server has accepted one, and none since: what packets tell counts again."""
    told, other = new_told(), new_told()
    told.listen(backlog=0)
    told.call(Accept, False, loose=True, sock="l", queued=0)
    other.reasons = told.reasons
    other.opened()
    told.packet(True, flags=SYN, t=100)
    assert "likely the listener's queue is full, 1 in it" in told.packet(True, flags=SYN, t=1100).reasons[0]


def test_a_listener_that_failed_is_none(told: Any) -> None:
    """Nobody listens there."""
    told.listen(errno="EADDRINUSE")
    told.packet(True, flags=SYN)
    rst = told.packet(False, flags=RST | ACK, ack=0, before=("SYN-SENT", "LISTEN"))
    assert rst.reasons == ["refused: likely nobody listens on 127.0.0.1:8080"]


def test_refused_by_a_listener_that_is_closed(told: Any) -> None:
    """It says since when."""
    told.listen()
    told.call(Close, False, loose=True, sock="l", conn=None, t=5)
    told.packet(True, flags=SYN, t=24)
    rst = told.packet(False, flags=RST | ACK, ack=0, t=25)
    assert rst.reasons == ["refused: the listener of 127.0.0.1:8080 was closed 20.0 ms before"]


def test_an_accepted_end_is_not_refused(told: Any) -> None:
    """A RST behind the handshake is none that answers a SYN."""
    told.opened()
    assert told.packet(False, flags=RST).reasons == []


def test_a_syn_ack_again(told: Any) -> None:
    """The ACK has not come."""
    told.packet(True, flags=SYN)
    told.packet(False, flags=SYN | ACK, ack=0, t=2)
    assert told.packet(False, flags=SYN | ACK, ack=0, t=1002).reasons == [
        "no ACK of packet #2 for 1.0 s: sent again"
    ]


def test_how_a_connect_went(told: Any) -> None:
    """In progress, in time, refused, given up."""
    assert told.call(Connect, errno="EINPROGRESS").reasons == [
        "the socket does not block: the kernel does the handshake meanwhile"
    ]
    assert told.call(Connect, errno="ETIMEDOUT").reasons == []
    told.packet(True, flags=SYN, t=10)
    assert told.call(Connect).reasons == []
    assert told.call(Connect, errno="ECONNREFUSED").reasons == []
    told.packet(True, flags=SYN, t=1010)
    assert told.call(Connect, errno="ETIMEDOUT", t=3010).reasons == [
        "nobody answered: SYN was sent twice in 3.0 s"
    ]
    assert told.call(Connect).reasons == []
    told.packet(False, flags=SYN | ACK, ack=0)
    assert told.call(Connect).reasons == ["SYN was sent twice before it was answered"]
    told.packet(False, flags=RST)
    assert told.call(Connect, errno="ECONNREFUSED").reasons == ["the RST of packet #4"]


def test_a_refusal_where_somebody_listens(told: Any) -> None:
    """It has another cause."""
    told.listen()
    told.packet(True, flags=SYN, before=("CLOSED", "LISTEN"), states=("SYN-SENT", "LISTEN"))
    assert told.packet(False, flags=RST, before=("SYN-SENT", "LISTEN")).reasons == []
