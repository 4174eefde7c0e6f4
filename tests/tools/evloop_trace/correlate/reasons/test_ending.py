"""FIN and RST, closes, and what calls are told of them."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.ends import Joined, Origin
from evloop_trace.packets.segments import ACK, FIN, RST

from evloop.events.schema import (
    Accept,
    Block,
    Close,
    Connect,
    Inherit,
    Recv,
    Send,
    Setsockopt,
    Shutdown,
    Socket,
)

NO_TIME = repr(b"\1\0\0\0\0\0\0\0")


def test_the_end_of_a_stream(told: Any) -> None:
    """The FIN is named; later it stays."""
    told.packet(True, 0, flags=FIN | ACK, ack=0)
    assert told.call(Recv, False, n=0, off=(0, 0)).reasons == [
        "the FIN of packet #1: the client sends no more"
    ]
    assert told.call(Recv, False, n=0, off=(0, 0)).reasons == [
        "the end of the stream stays: from here on recv() is 0 each time, at once"
    ]
    assert told.call(Recv, False, n=0, off=(0, 0)).reasons == []
    assert told.call(Recv, False, n=0, off=(0, 0), size=0).reasons == []


def joined(ev: str) -> Joined:
    """What another log tells."""
    return Joined(0, 0, [Origin(ev, "c", 7, 0)])


@pytest.mark.parametrize(("known", "why"), [
    (None, []), (Joined(0, 0), []), (joined("send"), []),
    (joined("close"), ["the client's close() #7: it sends no more"]),
])  # fmt: skip
def test_the_end_of_a_stream_without_packets(told: Any, known: Any, why: list[str]) -> None:
    """The other log tells."""
    assert told.call(Recv, False, n=0, off=(0, 0), joined=known).reasons == why


def test_errors_of_calls(told: Any) -> None:
    """By which packet, or by our own shutdown."""
    assert told.call(Recv, errno="ECONNRESET").reasons == []
    assert told.call(Send, errno="EPIPE").reasons == []
    told.packet(False, flags=RST)
    assert told.call(Recv, errno="ECONNRESET").reasons == ["the RST of packet #1"]
    assert told.call(Send, errno="EPIPE").reasons == ["the RST of packet #1 had ended the connection"]
    told.call(Shutdown, how="SHUT_RD")
    told.call(Shutdown, errno="ENOTCONN")
    assert "RST" in told.call(Send, errno="EPIPE").reasons[0]
    told.call(Shutdown)
    assert told.call(Send, errno="EPIPE").reasons == ["shutdown() #8 had ended what we send"]


def test_a_fin_of_a_close_and_one_of_a_shutdown(told: Any) -> None:
    """The half of it is closed."""
    close = told.call(Close)
    assert told.packet(True, flags=FIN | ACK, causes=(close,)).reasons == []
    shutdown = told.call(Shutdown, False)
    assert told.packet(False, flags=FIN | ACK, causes=(shutdown,)).reasons == [
        "the server's shutdown() #2: it sends no more, but can still read"
    ]


def test_a_fin_of_nobody(told: Any) -> None:
    """Nothing is known of it."""
    assert told.packet(True, flags=FIN | ACK).reasons == []


def test_a_fin_of_a_program_that_ended(told: Any) -> None:
    """Its close is the kernel's."""
    close = told.call(Close, reason="exit")
    assert told.packet(True, flags=FIN | ACK, causes=(close,)).reasons == [
        "the program ended, and the kernel closed what it had open"
    ]


def test_three_segments_instead_of_four(told: Any) -> None:
    """The FIN acknowledges the other's; who was first waits."""
    told.packet(True, 0, flags=FIN | ACK, ack=0, t=10)
    second = told.packet(
        False, 0, flags=FIN | ACK, ack=1, t=10.1,
        before=("FIN-WAIT-1", "CLOSE-WAIT"), states=("TIME-WAIT", "LAST-ACK"),
    )  # fmt: skip
    assert second.reasons == [
        "it also acknowledges the client's FIN of 100 µs ago: three segments, not four",
        "the client closed first, and so waits in TIME-WAIT: 60 s on Linux",
    ]


def test_a_fin_that_was_acknowledged_before(told: Any) -> None:
    """These are four; the server was first."""
    told.packet(False, 0, flags=FIN | ACK, ack=0)
    told.packet(True, 0, ack=1)
    close = told.call(Close)
    fin = told.packet(
        True, 0, flags=FIN | ACK, ack=1, causes=(close,),
        before=("CLOSE-WAIT", "FIN-WAIT-2"), states=("LAST-ACK", "TIME-WAIT"),
    )  # fmt: skip
    assert fin.reasons == [
        "the server closed first, and so waits in TIME-WAIT: 60 s on Linux"
    ]  # fmt: skip


def test_both_at_once(told: Any) -> None:
    """Both wait."""
    ack = told.packet(True, ack=1, before=("CLOSING", "CLOSING"), states=("TIME-WAIT", "TIME-WAIT"))
    assert ack.reasons == ["both closed at once: the client waits in TIME-WAIT too"]


WAS_OPEN = "the client's close() #1 was 200 ms ago"


def test_a_fin_long_after_its_close(told: Any) -> None:
    """Somebody else held the connection; not if data was sent in between."""
    close = told.call(Close, t=10)
    fin = told.packet(True, flags=FIN | ACK, causes=(close,), t=210)
    assert fin.reasons == [f"{WAS_OPEN}: likely a copy of it was open until now, such as another process's"]


def test_a_fin_behind_data(told: Any) -> None:
    """It waited for that."""
    close = told.call(Close, t=10)
    told.packet(True, 0, 100, t=200)
    assert told.packet(True, 100, flags=FIN | ACK, causes=(close,), t=210).reasons == [
        "the client's close() #1 was 200 ms ago: what was sent before had to go first"
    ]


def test_a_fin_with_data(told: Any) -> None:
    """The bytes that it takes along were in its way, and nobody's copy."""
    close = told.call(Close, t=10)
    assert told.packet(True, 0, 100, flags=FIN | ACK, causes=(close,), t=210).reasons == [
        f"{WAS_OPEN}: what was sent before had to go first"
    ]


def test_resets_by_what_was_called(told: Any) -> None:
    """Unread bytes; the second RST of an end is another matter."""
    told.call(Close, False, unread=6)
    assert told.packet(False, flags=RST | ACK).reasons == [
        "6 B were unread at the server's close() #1: RFC 2525, 2.17"
    ]
    assert told.packet(False, flags=RST).reasons == []


def test_a_reset_by_an_option(told: Any) -> None:
    """SO_LINGER of no time, and no other option."""
    told.call(Setsockopt, False, level="SOL_SOCKET", option="SO_LINGER", value="b''")
    told.call(Setsockopt, False, level="SOL_SOCKET", option="SO_KEEPALIVE", value="1")
    told.call(Setsockopt, False, level="SOL_SOCKET", option="SO_LINGER", value=NO_TIME)
    told.call(Close, False)
    assert told.packet(False, flags=RST | ACK).reasons == [
        "SO_LINGER of 0 s: the server's close() #4 resets, and leaves no TIME-WAIT"
    ]


def test_a_server_that_aborts(told: Any) -> None:
    """It says so in its close."""
    told.call(Close, False, reason="aborted")
    assert told.packet(False, flags=RST | ACK).reasons == [
        "the server aborted it, with SO_LINGER of 0 s: no TIME-WAIT"
    ]


@pytest.mark.parametrize("closed", [True, False])
def test_a_listener_that_closes_before_its_accept(told: Any, closed: bool) -> None:
    """What is in its queue is reset."""
    told.listen()
    told.opened()
    if closed:
        told.call(Close, False, loose=True, conn=None, sock="l")
    why = ["close() #2 closed the listener, and nobody had accepted this connection"] if closed else []
    assert told.packet(False, flags=RST | ACK).reasons == why


def test_a_reset_of_who_listens_nowhere(told: Any) -> None:
    """Nothing is known of it; nor of one by the client."""
    told.opened()
    assert told.packet(False, flags=RST | ACK).reasons == []
    told.call(Accept, False, sock="l")
    assert told.packet(True, flags=RST | ACK).reasons == []


@pytest.mark.parametrize(("close", "why"), [(True, "the client had"), (False, "likely the client had")])
def test_data_for_who_has_closed(told: Any, close: bool, why: str) -> None:
    """That is answered by a RST."""
    told.opened()
    if close:
        told.call(Close, t=10)
    else:
        told.strand.names = ("", "s")  # it is in no log
    told.packet(True, flags=FIN | ACK, t=10)
    told.packet(False, 0, 5, t=29)
    assert told.packet(True, flags=RST, t=30).reasons == [
        f"data came (packet #5); {why} closed 20.0 ms before"
    ]


def test_resets_that_answer_no_data(told: Any) -> None:
    """Nobody closed, or nothing came."""
    told.opened()
    told.packet(True, 0, 5)
    assert told.packet(True, flags=RST).reasons == []
    assert told.packet(False, flags=RST).reasons == []


def test_data_for_who_has_not_closed(told: Any) -> None:
    """There is another cause."""
    told.packet(True, 0, 5)
    assert told.packet(False, flags=RST).reasons == []


def test_a_close_that_is_told_after_its_packet(told: Any) -> None:
    """Its reason is known when all is."""
    rst = told.packet(False, flags=RST)
    told.call(Close, False, unread=6)
    assert told.settled(rst) == ["6 B were unread at the server's close() #1: RFC 2525, 2.17"]


def test_who_was_killed_has_no_close(told: Any) -> None:
    """Its log ends there, perhaps with bytes unread."""
    told.opened()
    told.recv(True, 0, 1)
    told.packet(False, 0, 6)
    told.packet(True, 0, ack=6)
    rst = told.packet(True, flags=RST)
    assert told.settled(rst) == [
        "no close() is in the client's log: likely its process was killed with 5 B unread"
    ]
    told.send(False, 0, 6)
    fin = told.packet(False, 6, flags=FIN | ACK)
    assert told.settled(fin) == ["no close() is in the server's log: likely its process was killed"]


def test_who_was_killed_in_a_send(told: Any) -> None:
    """The FIN comes with the last of what the kernel had taken; nobody sleeps in that send() any more.

    That is known only behind the silence that follows.
    """
    told.opened()
    block = told.call(Block, awaits="send", size=100)
    fin = told.packet(True, 0, 60, flags=FIN | ACK, causes=(block,))
    told.packet(False, flags=FIN | ACK, ack=61)
    other = told.call(Socket, False, t=500, loose=True, sock="l")
    other.quiet = told.quiet
    assert "sleeps in send()" in other.quiet
    assert told.settled(fin) == ["no close() is in the client's log: likely its process was killed"]
    assert "sleeps" not in other.quiet


def test_who_lives_on_was_not_killed(told: Any) -> None:
    """Its log goes on; of who has no log nothing is known."""
    told.recv(True, 0, 1)
    rst = told.packet(True, flags=RST)
    told.recv(True, 1, 2)
    assert told.settled(rst) == []
    assert told.settled(told.packet(False, flags=RST)) == []


def test_what_came_of_a_close(told: Any) -> None:
    """A RST without a packet of it, or no FIN."""
    close = told.call(Close, unread=6)
    assert told.settled(close) == []
    told.packet(True, flags=RST)
    assert told.settled(told.call(Close, unread=6)) == []
    assert told.settled(told.call(Close)) == []
    assert told.settled(told.call(Close, conn=None, sock="l")) == []
    assert told.settled(told.recv(True, 0, 1)) == []


def test_a_close_that_another_process_outlives(told: Any) -> None:
    """It has the connection, too."""
    told.call(Accept, False, sock="l")
    told.call(Inherit, False, log=2, name="s2", proto="tcp", fd=3, address="", peer="")
    assert told.settled(told.call(Close, False)) == ["no FIN: another process still has it"]
    assert told.settled(told.call(Close, False, log=2, conn="s2")) == []


def test_a_close_with_bytes_on_their_way(told: Any) -> None:
    """The FIN comes behind them."""
    told.opened()
    told.send(True, 0, 100)
    assert told.settled(told.call(Close)) == ["no FIN yet: what is not acknowledged goes first"]


def test_what_was_unread_where_there_is_no_capture(told: Any) -> None:
    """There its RST cannot be seen; after one of the peer's nothing is sent."""
    told.strand.wire = None
    close = told.call(Close, False, unread=5)
    assert told.settled(close) == ["5 B were unread: it would send a RST, not a FIN"]
    told.call(Inherit, False, log=2, name="s2", proto="tcp", fd=3, address="", peer="")
    assert told.settled(told.call(Close, False, unread=5)) == []


def lingers(told: Any, seconds: int, onoff: int = 1, **more: Any) -> None:
    """SO_LINGER is set."""
    value = repr(onoff.to_bytes(4, "little") + seconds.to_bytes(4, "little"))
    told.call(Setsockopt, level="SOL_SOCKET", option="SO_LINGER", value=value, **more)


def test_the_last_value_of_so_linger_counts(told: Any) -> None:
    """It was cleared; or its close sent a FIN, and what came later was reset."""
    told.opened()
    lingers(told, 0)
    lingers(told, 0, 0)
    told.call(Close)
    assert told.settled(told.packet(True, flags=RST)) == []


def test_a_reset_long_after_a_close_is_not_of_it(told: Any) -> None:
    """Data came for who has gone."""
    told.opened()
    lingers(told, 0)
    told.call(Close, t=10)
    told.packet(True, flags=FIN | ACK, ack=0, t=10)
    told.packet(False, 0, 4, t=210)
    assert told.settled(told.packet(True, flags=RST, t=210.1)) == [
        "data came (packet #5); the client had closed 200 ms before"
    ]


def test_so_linger_before_there_is_a_connection(told: Any) -> None:
    """It is the socket's, whatever is set on it next."""
    more = {"loose": True, "sock": "c", "conn": None}
    lingers(told, 0, **more)
    lingers(told, 9, **more)
    lingers(told, 0, errno="EINVAL", **more)
    told.call(Connect)
    assert told.reasons._pasts[0].ends[True].linger is None
    lingers(told, 0, **more)
    told.call(Connect)
    told.opened()
    close = told.call(Close)
    assert told.settled(told.packet(True, flags=RST)) == [
        f"SO_LINGER of 0 s: the client's close() #{close.event.seq} resets, and leaves no TIME-WAIT"
    ]


def test_a_shutdown_of_both_ways(told: Any) -> None:
    """It does not want to read; of one that is in no order nothing more is known."""
    shutdown = told.call(Shutdown, how="SHUT_RDWR")
    assert told.packet(True, flags=FIN | ACK, causes=(shutdown,)).reasons == [
        "the client's shutdown() #1: it sends no more, and wants to read no more"
    ]
    other = told.call(Shutdown, False)
    told.call(Shutdown, False)
    assert told.packet(False, flags=FIN | ACK, causes=(other,)).reasons == [
        "the server's shutdown() #2: it sends no more"
    ]


def test_data_that_came_before_a_close_is_not_what_it_refuses(told: Any) -> None:
    """A FIN is not a close."""
    told.opened()
    told.packet(True, flags=FIN | ACK, ack=0)
    told.packet(False, 0, 5)
    assert told.packet(True, flags=RST).reasons == []


def test_a_copy_of_the_descriptor_in_the_same_process(told: Any) -> None:
    """dup() makes one."""
    told.call(Accept, False, sock="l")
    told.call(Inherit, False, name="s2", proto="tcp", fd=5, address="", peer="")
    assert told.settled(told.call(Close, False)) == ["no FIN: it is still open here, as s2"]


def test_a_recv_after_a_shutdown_of_reading(told: Any) -> None:
    """It is 0 by that, and may get something later: nothing is said of an end."""
    told.call(Shutdown, how="SHUT_RD")
    told.call(Shutdown, how="SHUT_WR", errno="ENOTCONN")
    assert told.call(Recv, n=0, off=(0, 0)).reasons == []
    assert told.call(Recv, n=0, off=(0, 0)).reasons == []


def test_a_kernel_that_resets_by_itself(told: Any) -> None:
    """Nobody was killed: its program has called shutdown(SHUT_RDWR), and data came."""
    told.opened()
    told.call(Shutdown, how="SHUT_RDWR")
    assert told.settled(told.packet(True, flags=RST)) == []
