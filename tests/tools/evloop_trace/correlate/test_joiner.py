"""What got something is joined with the calls it was from, and with nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Gap,
    Inherit,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Signal,
    Socket,
)

if TYPE_CHECKING:
    from tests.tools.evloop_trace.correlate.conftest import Stage

CLIENT, SERVER = 0, 1
HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


def said(joined: Any) -> list[tuple[str, int]]:
    """What it was from: words and numbers."""
    return [(it.ev, it.seq) for it in joined.origins]


# -- streams ----------------------------------------------------------------------------------------------


def test_two_sends_and_one_recv(stage: Stage) -> None:
    """6 and 5 bytes come as 11: from both sends, and how long since the first began."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 6)
    stage.send(CLIENT, "tcp-1", 5)
    joined = stage.recv(SERVER, "tcp-1", 11)
    assert said(joined) == [("send", 2), ("send", 3)]
    assert [(it.start, it.end, it.log) for it in joined.origins] == [(0, 6, "client"), (6, 11, "client")]
    assert (joined.missing, joined.exact, joined.way) == (0, True, 210)


def test_both_directions_and_pieces(stage: Stage) -> None:
    """One send comes in three pieces, the other way round."""
    stage.meet()
    stage.send(SERVER, "tcp-1", 30)
    assert [said(stage.recv(CLIENT, "tcp-1", 10)) for _ in range(3)] == [[("send", 2)]] * 3


def test_a_recv_that_is_told_of_before_its_send(stage: Stage) -> None:
    """It is completed when the send returns."""
    stage.meet()
    joined = stage.recv(SERVER, "tcp-1", 5)
    assert (joined.missing, said(joined)) == (5, [])
    stage.feed(CLIENT, Signal, signal="SIGINT")
    assert stage.joiner.early == []
    stage.feed(CLIENT, Send, conn="tcp-1", size=3, n=3, off=(0, 3))
    assert (joined.missing, stage.joiner.early) == (2, [joined])
    stage.feed(CLIENT, Send, conn="tcp-1", size=2, n=2, off=(3, 5))
    assert (joined.missing, said(joined)) == (0, [("send", 3), ("send", 4)])


def test_what_is_peeked_at_stays(stage: Stage) -> None:
    """MSG_PEEK reads the bytes that the next recv reads again; other flags read no stream."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 5)
    peeked = stage.feed(SERVER, Recv, conn="tcp-1", size=9, n=5, off=(0, 5), flags="MSG_PEEK")
    assert (said(peeked), peeked.peeked, peeked.missing) == ([("send", 2)], True, 0)
    assert stage.feed(SERVER, Recv, conn="tcp-1", size=1, n=1, off=(0, 1), flags="MSG_OOB") is None
    assert said(stage.recv(SERVER, "tcp-1", 5)) == [("send", 2)]


def test_what_sends_nothing_leaves_nothing(stage: Stage) -> None:
    """Nothing, out-of-band bytes, errors; and of a socket that nobody knows."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 0)
    stage.feed(CLIENT, Send, conn="tcp-1", size=1, n=1, off=(0, 1), flags="MSG_OOB")
    stage.feed(CLIENT, Send, conn="tcp-1", size=1, errno="EAGAIN")
    stage.feed(CLIENT, Send, conn="tcp-1", size=1, errno="EPIPE")
    stage.send(CLIENT, "tcp-9", 4)
    assert stage.recv(SERVER, "tcp-1", 1).missing == 1
    assert stage.recv(SERVER, "tcp-9", 1) is None
    assert stage.feed(SERVER, Recv, conn="tcp-1", size=0, n=0, off=(1, 1)) is None
    assert stage.feed(SERVER, Recv, conn="tcp-1", size=9, errno="EAGAIN") is None


@pytest.mark.parametrize("how", ["SHUT_WR", "SHUT_RDWR", "close"])
def test_the_end_of_a_stream_is_from_who_ended_it(stage: Stage, how: str) -> None:
    """The first recv() that returns 0 is; a second says nothing new."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 4)
    stage.feed(CLIENT, Shutdown, conn="tcp-1", how="SHUT_RD")
    stage.feed(CLIENT, Shutdown, conn="tcp-1", how="SHUT_WR", errno="ENOTCONN")
    if how != "close":
        stage.feed(CLIENT, Shutdown, conn="tcp-1", how=how)
    stage.close(CLIENT, "tcp-1")
    assert stage.recv(SERVER, "tcp-1", 4).missing == 0
    assert said(stage.recv(SERVER, "tcp-1", 0)) == [(how if how == "close" else "shutdown", 5)]
    assert stage.recv(SERVER, "tcp-1", 0) is None


def test_a_close_with_unread_bytes_is_a_reset(stage: Stage) -> None:
    """RFC 2525, 2.17: no end of the stream, but ECONNRESET."""
    stage.meet()
    stage.feed(SERVER, Recv, conn="tcp-1", size=9, errno="ECONNRESET")
    stage.close(CLIENT, "tcp-1", unread=3)
    joined = stage.feed(SERVER, Recv, conn="tcp-1", size=9, errno="ECONNRESET")
    assert (said(joined), joined.missing) == ([("close", 2)], 0)


def test_a_close_is_no_byte(new_stage: type[Stage]) -> None:
    """A parent's close says nothing of what its child, whose log is not read, goes on to send: one log."""
    stage = new_stage(("",))
    stage.connect("tcp-1", log=0)
    stage.accept("tcp-2", log=0)
    received = stage.recv(0, "tcp-1", 5)
    ended = stage.recv(0, "tcp-1", 0)
    stage.close(0, "tcp-2")
    assert (said(received), received.missing, stage.joiner.early) == ([], 5, [])
    assert (said(ended), ended.missing, stage.joiner.disagree) == ([], 1, {})


@pytest.mark.parametrize("how", ["SHUT_RD", "SHUT_RDWR"])
def test_who_reads_no_more(stage: Stage, how: str) -> None:
    """After one's own SHUT_RD recv() = 0 is no news of the other end; a shutdown that failed is none."""
    stage.meet()
    stage.feed(SERVER, Shutdown, conn="tcp-1", how=how)
    assert stage.recv(SERVER, "tcp-1", 0) is None
    stage.feed(CLIENT, Shutdown, conn="tcp-1", how=how, errno="ENOTCONN")
    stage.close(CLIENT, "tcp-1")
    assert stage.joiner.disagree == {}
    assert stage.recv(SERVER, "tcp-1", 0) is None


def test_one_log_has_one_clock(new_stage: type[Stage]) -> None:
    """What seems to come before it is sent is not the clock's fault there."""
    stage = new_stage(("",))
    stage.connect("tcp-1", log=0)
    stage.accept("tcp-2", log=0)
    joined = stage.recv(0, "tcp-1", 5)
    stage.send(0, "tcp-2", 5)
    assert (said(joined), stage.joiner.disagree) == ([("send", 4)], {})
    assert joined.way < 0


def test_an_end_that_is_peeked_at(stage: Stage) -> None:
    """It waits for nobody, and the next recv() finds it too."""
    stage.meet()
    peeked = stage.recv(SERVER, "tcp-1", 0, flags="MSG_PEEK")
    stage.feed(CLIENT, Shutdown, conn="tcp-1", how="SHUT_WR")
    assert (peeked.missing, peeked.peeked, stage.joiner.early) == (1, True, [])
    assert said(stage.recv(SERVER, "tcp-1", 0, flags="MSG_PEEK|MSG_DONTWAIT")) == [("shutdown", 2)]
    assert said(stage.recv(SERVER, "tcp-1", 0)) == [("shutdown", 2)]


def test_an_end_that_was_read_before_the_ends_were_known(stage: Stage) -> None:
    """It is completed, or given up, with the bytes before it."""
    for name, local in (("tcp-1", HERE), ("tcp-2", "127.0.0.1:40001")):
        connect = stage.event(CLIENT, Connect, conn=name, local=local, peer=THERE)
        accepted = stage.accept(name, local)
        ended = stage.recv(SERVER, name, 0)
        if name == "tcp-1":
            stage.joiner.feed(CLIENT, connect)
            stage.close(CLIENT, name)
            assert said(ended) == [("close", 2)]
        else:
            stage.joiner.give_up(accepted)
            assert (ended.missing, said(ended)) == (0, [])


@pytest.mark.parametrize("flags", ["MSG_WAITALL", "MSG_DONTWAIT|MSG_WAITALL", "MSG_TRUNC"])
def test_flags_that_take_as_any_recv(stage: Stage, flags: str) -> None:
    """Only MSG_PEEK leaves what it reads."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 9, flags="MSG_MORE|MSG_NOSIGNAL")
    for more in (f"{flags}|MSG_PEEK", flags):
        joined = stage.feed(SERVER, Recv, conn="tcp-1", size=4, n=4, off=(0, 4), flags=more)
        assert (said(joined), joined.missing, joined.peeked) == ([("send", 2)], 0, "PEEK" in more)
    assert said(stage.feed(SERVER, Recv, conn="tcp-1", size=5, n=5, off=(4, 9))) == [("send", 2)]
    for more in ("MSG_OOB|MSG_DONTWAIT", "MSG_ERRQUEUE|MSG_DONTWAIT"):
        assert stage.feed(SERVER, Recv, conn="tcp-1", size=5, n=1, off=(9, 10), flags=more) is None
    stage.feed(CLIENT, Send, conn="tcp-1", size=1, n=1, off=(9, 10), flags="MSG_OOB|MSG_DONTWAIT")
    assert stage.recv(SERVER, "tcp-1", 1).missing == 1


# -- sends that sleep --------------------------------------------------------------------------------------


def block(stage: Stage, size: int | None, conn: str = "tcp-1", awaits: str = "send") -> None:
    """The client is about to sleep in a call."""
    stage.feed(CLIENT, Block, awaits=awaits, conn=conn, size=size)


def test_a_send_that_sleeps_may_be_received_of(stage: Stage) -> None:
    """As long as it has not returned it is known by the event that says so, then by its own."""
    stage.meet()
    block(stage, 100)
    joined = stage.recv(SERVER, "tcp-1", 60)
    assert said(joined) == [("block", 2)]
    stage.send(CLIENT, "tcp-1", 80)
    assert said(joined) == [("send", 3)]
    assert said(stage.recv(SERVER, "tcp-1", 20)) == [("send", 3)]
    assert stage.recv(SERVER, "tcp-1", 1).missing == 1


def test_a_send_that_sleeps_and_fails(stage: Stage) -> None:
    """How much of it went nobody knows: what came of it is still from it."""
    stage.meet()
    block(stage, 100)
    stage.feed(CLIENT, Send, conn="tcp-1", size=100, errno="timeout")
    assert said(stage.recv(SERVER, "tcp-1", 60)) == [("block", 2)]


def test_a_send_began_before_it_slept(stage: Stage) -> None:
    """What was received before that is no reason to mistrust a clock."""
    stage.meet()
    event = stage.event(CLIENT, Block, awaits="send", conn="tcp-1", size=9)
    joined = stage.recv(SERVER, "tcp-1", 9)
    event.t = joined.due + 50
    stage.joiner.feed(CLIENT, event)
    assert (said(joined), joined.way, stage.joiner.disagree) == ([("block", 2)], 0, {})


def test_who_else_sends_does_not_end_a_sleep(stage: Stage) -> None:
    """Another thread: a send belongs to the sleep of its own."""
    stage.meet()
    stage.feed(CLIENT, Block, awaits="send", conn="tcp-1", size=10, thread="a")
    joined = stage.recv(SERVER, "tcp-1", 4)
    stage.feed(CLIENT, Send, conn="tcp-1", size=3, errno="EPIPE", thread="b")
    assert said(joined) == [("block", 2)]
    stage.feed(CLIENT, Send, conn="tcp-1", size=10, n=10, off=(0, 10), thread="a")
    assert said(joined) == [("send", 4)]


def test_other_sleeps(stage: Stage) -> None:
    """Of a recv, of nothing, of a socket that nobody knows."""
    stage.meet()
    block(stage, 100, awaits="recv")
    block(stage, None)
    block(stage, 5, "tcp-9")
    assert stage.recv(SERVER, "tcp-1", 1).missing == 1


# -- who is who --------------------------------------------------------------------------------------------


def test_an_accept_is_from_a_connect(stage: Stage) -> None:
    """Whichever returns first."""
    stage.connect("tcp-1")
    joined = stage.accept("tcp-1")
    assert (said(joined), joined.missing, joined.exact) == ([("connect", 1)], 0, True)
    connect = stage.event(CLIENT, Connect, conn="tcp-2", local="127.0.0.1:40001", peer=THERE)
    joined = stage.accept("tcp-2", peer="127.0.0.1:40001")
    stage.send(SERVER, "tcp-2", 4)
    assert joined.missing == 1
    stage.joiner.feed(CLIENT, connect)
    assert (said(joined), joined.missing, stage.joiner.early) == ([("connect", 2)], 0, [joined])
    assert said(stage.recv(CLIENT, "tcp-2", 4)) == [("send", 3)]


def test_what_was_received_before_the_ends_were_known(stage: Stage) -> None:
    """A server that speaks, and hears, before its client's connect() is told of."""
    connect = stage.event(CLIENT, Connect, conn="tcp-1", local=HERE, peer=THERE)
    stage.accept("tcp-1")
    early = stage.recv(SERVER, "tcp-1", 4)
    stage.joiner.feed(CLIENT, connect)
    assert early.missing == 4
    stage.send(CLIENT, "tcp-1", 4)
    assert (early.missing, said(early)) == (0, [("send", 2)])


def test_failures_open_nothing(stage: Stage) -> None:
    """Neither a connect that was refused, nor an accept that found nobody."""
    stage.feed(CLIENT, Connect, conn="tcp-1", peer=THERE, errno="ECONNREFUSED")
    assert stage.feed(SERVER, Accept, sock="listen-1", errno="EAGAIN") is None
    assert stage.joiner.end is None


def test_a_connection_with_itself(new_stage: type[Stage]) -> None:
    """Two SYNs cross, and both are its own: what it sends it receives."""
    stage = new_stage(("",))
    stage.connect("tcp-1", THERE, THERE)
    stage.send(0, "tcp-1", 5)
    assert said(stage.recv(0, "tcp-1", 5)) == [("send", 2)]


def test_both_ends_in_one_log(new_stage: type[Stage]) -> None:
    """A program that is client and server at once; and the two ends of a socketpair."""
    stage = new_stage(("",))
    stage.connect("tcp-2", log=0)
    assert said(stage.accept("tcp-3", log=0)) == [("connect", 1)]
    stage.send(0, "tcp-2", 5)
    assert said(stage.recv(0, "tcp-3", 5)) == [("send", 3)]
    stage.feed(0, Socket, sock="unix-1", proto="unix")
    stage.feed(0, Socket, sock="unix-2", proto="unix", pair="unix-1")
    stage.send(0, "unix-1", 7)
    assert said(stage.recv(0, "unix-2", 7)) == [("send", 7)]


def test_unix_clients_are_told_by_process_and_order(stage: Stage) -> None:
    """They have no address; a close with unread bytes ends their stream all the same."""
    for number in (1, 2):
        stage.connect(f"unix-{number}", "", "/tmp/x/s")
    assert stage.accept("unix-8", "", "/tmp/x/s", pid=999).missing == 1
    for number in (1, 2):
        joined = stage.accept(f"unix-{number}", "", "s", pid=100)
        assert (said(joined), joined.exact) == ([("connect", number)], False)
    stage.send(CLIENT, "unix-2", 3)
    joined = stage.recv(SERVER, "unix-2", 3)
    assert (said(joined), joined.exact) == ([("send", 3)], False)
    stage.close(CLIENT, "unix-2", unread=1)
    assert said(stage.recv(SERVER, "unix-2", 0)) == [("close", 4)]


def test_a_process_inherits_a_connection(new_stage: type[Stage]) -> None:
    """Parent and child have one end between them, which ends when both have closed it."""
    stage = new_stage(("client", "server", "4711"))
    stage.meet()
    stage.feed(2, Inherit, name="tcp-7", proto="tcp", address=THERE, peer=HERE)
    stage.feed(2, Inherit, name="tcp-8", proto="tcp", address=THERE, peer="127.0.0.1:9")
    stage.feed(2, Inherit, name="tcp-9", proto="tcp", address=THERE, listens=True)
    stage.close(SERVER, "tcp-1")
    stage.send(2, "tcp-7", 4)
    joined = stage.recv(CLIENT, "tcp-1", 4)
    assert [(it.log, it.ev) for it in joined.origins] == [("4711", "send")]
    stage.close(2, "tcp-7")
    assert [(it.log, it.ev) for it in stage.recv(CLIENT, "tcp-1", 0).origins] == [("4711", "close")]


def test_two_processes_send_and_receive(new_stage: type[Stage]) -> None:
    """Each counts what was before it began and its own: the stream goes on where it is."""
    stage = new_stage(("client", "server", "4711"), parents=(None, None, 101))
    stage.meet()
    stage.send(SERVER, "tcp-1", 4)
    stage.feed(2, Inherit, name="tcp-7", proto="tcp", address=THERE, peer=HERE, sent=4)
    stage.feed(2, Send, conn="tcp-7", size=3, n=3, off=(4, 7))
    stage.send(SERVER, "tcp-1", 2)  # [4,6) of its own, [7,9) of the stream
    joined = stage.recv(CLIENT, "tcp-1", 9)
    assert [(it.log, it.start, it.end) for it in joined.origins] == [
        ("server", 0, 4), ("4711", 4, 7), ("server", 7, 9),
    ]  # fmt: skip
    assert (joined.missing, joined.exact) == (0, False)
    stage.send(CLIENT, "tcp-1", 5)
    stage.send(CLIENT, "tcp-1", 6)
    assert said(stage.recv(SERVER, "tcp-1", 5)) == [("send", 3)]
    assert said(stage.feed(2, Recv, conn="tcp-7", size=9, n=6, off=(0, 6))) == [("send", 4)]
    stage.close(SERVER, "tcp-1")
    stage.close(2, "tcp-7", sent=7)
    assert [(it.log, it.ev) for it in stage.recv(CLIENT, "tcp-1", 0).origins] == [("4711", "close")]
    assert stage.joiner.disagree == {}


def test_a_process_sends_before_its_peer_is_known(new_stage: type[Stage]) -> None:
    """Nobody's end but its own is inferred then."""
    stage = new_stage(("server", "4711"), parents=(None, 100))
    accepted = stage.accept("tcp-1", log=0)
    stage.feed(1, Inherit, name="tcp-7", proto="tcp", address=THERE, peer=HERE)
    stage.send(0, "tcp-1", 4)
    stage.send(1, "tcp-7", 4)
    assert accepted.missing == 1
    assert stage.joiner.end is not None
    assert (stage.joiner.end.sent, stage.joiner.end.exact) == (8, False)


def test_the_last_of_several_processes_ends_a_stream(new_stage: type[Stage]) -> None:
    """Both said so at the same place: SHUT_WR is for all of them."""
    stage = new_stage(("client", "server", "4711"), parents=(None, None, 101))
    stage.meet()
    stage.feed(2, Inherit, name="tcp-7", proto="tcp", address=THERE, peer=HERE)
    stage.feed(SERVER, Shutdown, conn="tcp-1", how="SHUT_WR")
    stage.close(SERVER, "tcp-1")
    stage.close(2, "tcp-7")
    assert [(it.log, it.ev) for it in stage.recv(CLIENT, "tcp-1", 0).origins] == [("4711", "close")]


def test_a_child_may_say_late_what_it_has(new_stage: type[Stage]) -> None:
    """The parent has closed its own by then: that was no end of the stream."""
    stage = new_stage(("client", "server", "4711"), parents=(None, None, 101))
    stage.meet()
    stage.close(SERVER, "tcp-1")
    stage.feed(2, Inherit, name="tcp-7", proto="tcp", address=THERE, peer=HERE)
    assert stage.joiner.servers == {2}
    stage.send(2, "tcp-7", 4)
    assert [it.log for it in stage.recv(CLIENT, "tcp-1", 4).origins] == ["4711"]
    stage.close(2, "tcp-7")
    assert [(it.log, it.ev) for it in stage.recv(CLIENT, "tcp-1", 0).origins] == [("4711", "close")]
    stage.feed(CLIENT, Inherit, name="tcp-8", proto="tcp", address=HERE, peer=THERE)
    assert stage.joiner.servers == {2}


def test_an_end_that_is_read_before_it_is_told_of(stage: Stage) -> None:
    """close() returns after the other end has woken up."""
    stage.meet()
    joined = stage.recv(SERVER, "tcp-1", 0)
    assert joined.missing == 1
    stage.close(CLIENT, "tcp-1")
    assert (said(joined), stage.joiner.early) == ([("close", 2)], [joined])


def test_the_place_of_a_connection_may_be_another_s_by_now(stage: Stage) -> None:
    """The same two addresses, used again before the first's close was told of."""
    stage.meet("tcp-1")
    stage.meet("tcp-2")
    stage.close(SERVER, "tcp-1")
    stage.close(CLIENT, "tcp-1")
    stage.send(CLIENT, "tcp-2", 3)
    assert said(stage.recv(SERVER, "tcp-2", 3)) == [("send", 4)]


def test_whose_side_an_event_is_on(stage: Stage) -> None:
    """By the end that it is about; else by what it is; else by the rest of its log."""
    stage.meet()
    joiner = stage.joiner
    listen = stage.event(SERVER, Listen, sock="listen-1", proto="tcp", address=THERE, backlog=1)
    joiner.feed(SERVER, listen)
    stage.feed(CLIENT, Bind, sock="tcp-5", proto="tcp", address=HERE)
    stage.feed(SERVER, Bind, sock="udp-1", proto="udp", address=THERE)
    assert joiner.servers == {SERVER}
    assert joiner.is_client(listen, None) is False
    stage.send(CLIENT, "tcp-1", 1)
    assert joiner.is_client(listen, joiner.end) is True
    assert joiner.is_client(stage.event(CLIENT, Block, awaits="connect"), None) is True
    assert joiner.is_client(stage.event(CLIENT, Signal, signal="SIGINT"), None) is None
    for log, expected in ((CLIENT, True), (SERVER, False)):
        assert joiner.is_client(stage.event(log, Sendto, sock="udp-1", peer=THERE, n=1), None) is expected


# -- datagrams ---------------------------------------------------------------------------------------------


def test_a_datagram_there_and_back(stage: Stage) -> None:
    """The client does not know its own port until the server has heard from it."""
    stage.feed(SERVER, Bind, sock="udp-1", proto="udp", address=THERE, errno="EADDRINUSE")
    stage.feed(SERVER, Bind, sock="udp-1", proto="udp", address=THERE)
    stage.feed(CLIENT, Sendto, sock="udp-1", peer=THERE, n=3, data=b"abc")
    joined = stage.feed(SERVER, Recvfrom, sock="udp-1", peer=HERE, n=3, data=b"abc")
    assert (said(joined), joined.missing, joined.exact) == ([("sendto", 1)], 0, False)
    stage.feed(SERVER, Sendto, sock="udp-1", peer=HERE, n=3)
    assert said(stage.feed(CLIENT, Recvfrom, sock="udp-1", peer=THERE, n=3)) == [("sendto", 4)]


def test_a_datagram_that_came_before_its_sendto_returned(stage: Stage) -> None:
    """As with streams."""
    stage.feed(SERVER, Bind, sock="udp-1", proto="udp", address=THERE)
    sendto = stage.event(CLIENT, Sendto, sock="udp-1", peer=THERE, n=0)
    joined = stage.feed(SERVER, Recvfrom, sock="udp-1", peer=HERE, n=0)
    assert joined.missing == 1
    stage.joiner.feed(CLIENT, sendto)
    assert (said(joined), joined.missing, stage.joiner.early) == ([("sendto", 1)], 0, [joined])


def test_datagrams_that_cannot_be_joined(stage: Stage) -> None:
    """Nobody knows the receiver's address; calls that failed; a connected socket knows it."""
    assert stage.feed(CLIENT, Recvfrom, sock="udp-1", peer=THERE, n=3) is None
    assert stage.feed(CLIENT, Recvfrom, sock="udp-1", errno="EAGAIN") is None
    stage.feed(CLIENT, Sendto, sock="udp-1", peer=THERE, errno="EAGAIN")
    stage.feed(CLIENT, Connect, sock="udp-1", peer=THERE)
    stage.feed(CLIENT, Connect, sock="udp-1", peer=THERE, local=HERE)
    assert stage.feed(CLIENT, Recvfrom, sock="udp-1", peer=THERE, n=3).missing == 3
    stage.feed(CLIENT, Close, sock="udp-1", reason="close")
    assert stage.feed(CLIENT, Recvfrom, sock="udp-1", peer=THERE, n=3) is None
    stage.feed(CLIENT, Inherit, name="udp-1", proto="udp", address=HERE)
    assert stage.feed(CLIENT, Recvfrom, sock="udp-1", peer=THERE, n=3).missing == 3


# -- calls that no log tells of ----------------------------------------------------------------------------


def test_a_send_that_nobody_saw(stage: Stage) -> None:
    """What came of it is not of the next; that is later in the stream than its log counts."""
    stage.meet()
    first = stage.recv(CLIENT, "tcp-1", 4, data=b"abcd")
    stage.send(SERVER, "tcp-1", 5, data=b"line\n")
    second = stage.recv(CLIENT, "tcp-1", 5, data=b"line\n")
    stage.close(SERVER, "tcp-1")
    end = stage.recv(CLIENT, "tcp-1", 0)
    assert (said(first), first.missing) == ([], 4)
    assert (said(second), second.missing, second.exact) == ([("send", 2)], 0, False)
    assert said(end) == [("close", 3)]
    assert stage.joiner.disagree == {}


@pytest.mark.parametrize(
    ("received", "origins"),
    [((b"bo", b"th", b"xy", b"line\n"), (2, 2, 0, 3)), ((b"bo", b"xy", b"th", b"line\n"), (2, 0, 2, 3))],
)
def test_a_send_that_nobody_saw_before_the_next(
    stage: Stage, received: tuple[bytes, ...], origins: tuple[int, ...]
) -> None:
    """What was sent by then is later in the stream, or the rest of it, from where something else came."""
    stage.meet()
    stage.send(SERVER, "tcp-1", 4, data=b"both")
    stage.send(SERVER, "tcp-1", 5, data=b"line\n")
    recvs = [stage.recv(CLIENT, "tcp-1", len(data), data=data) for data in received]
    assert [said(it) for it in recvs] == [[("send", seq)] if seq else [] for seq in origins]
    assert [it.exact for it in recvs] == [at < origins.index(0) for at in range(4)]


def test_a_recv_that_nobody_saw(stage: Stage) -> None:
    """The next got what was sent behind that, and its end is there, too."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 5, data=b"hello")
    stage.send(CLIENT, "tcp-1", 7, data=b"recvmsg")
    joined = stage.recv(SERVER, "tcp-1", 7, data=b"recvmsg")
    stage.close(CLIENT, "tcp-1")
    end = stage.recv(SERVER, "tcp-1", 0)
    assert (said(joined), joined.exact, joined.way > 0) == ([("send", 3)], False, True)
    assert said(end) == [("close", 4)]


def test_what_recv_threw_away(stage: Stage) -> None:
    """With MSG_TRUNC its buffer holds anything."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 5, data=b"hello")
    joined = stage.recv(SERVER, "tcp-1", 5, data=b"?????", flags="MSG_TRUNC")
    assert (said(joined), joined.exact) == ([("send", 2)], True)


def test_what_comes_before_it_is_sent(stage: Stage) -> None:
    """On one clock that cannot be: it is of another call, whatever the offsets say."""
    stage.meet()
    joined = stage.recv(SERVER, "tcp-1", 5)
    end = stage.recv(SERVER, "tcp-1", 0)
    stage.t += 50_000_000
    stage.send(CLIENT, "tcp-1", 5)
    stage.close(CLIENT, "tcp-1")
    assert (said(joined), joined.exact, said(end)) == ([], False, [])
    assert (stage.joiner.disagree, stage.joiner.early) == ({}, [])


# -- losses and clocks -------------------------------------------------------------------------------------


def test_after_a_loss_nothing_is_joined_that_may_be_another(stage: Stage) -> None:
    """Who waited may have met its other end among what is missing; streams that are known go on."""
    stage.meet()
    stage.connect("tcp-2", "127.0.0.1:40001")
    stage.feed(SERVER, Gap, lost=3, reason="disk full")
    assert stage.accept("tcp-2", "127.0.0.1:40001").missing == 1
    stage.send(CLIENT, "tcp-1", 4)
    assert said(stage.recv(SERVER, "tcp-1", 4)) == [("send", 3)]
    stage.send(CLIENT, "tcp-2", 4)
    assert stage.joiner.end is not None
    assert stage.joiner.end.lone


def test_how_much_was_sent_is_not_known_after_a_loss(stage: Stage) -> None:
    """A send that sleeps, or a shutdown, has no place until the next send tells."""
    stage.meet()
    stage.send(CLIENT, "tcp-1", 4)
    stage.joiner.lost(CLIENT, 7)
    stage.seq[CLIENT] = 6
    block(stage, 10)
    stage.feed(CLIENT, Shutdown, conn="tcp-1", how="SHUT_WR")
    assert stage.recv(SERVER, "tcp-1", 4).missing == 0
    assert stage.recv(SERVER, "tcp-1", 4).missing == 4
    stage.close(CLIENT, "tcp-1", sent=8)
    assert said(stage.recv(SERVER, "tcp-1", 0)) == [("close", 9)]


def test_nobody_waits_for_ever(stage: Stage) -> None:
    """A client that is in no log: nothing is missing any more, and nothing of it is kept."""
    joined = stage.accept("tcp-1")
    received = stage.recv(SERVER, "tcp-1", 4)
    stage.joiner.give_up(joined)
    assert (joined.missing, received.missing) == (0, 0)
    assert stage.recv(SERVER, "tcp-1", 4) is None
    stage.send(SERVER, "tcp-1", 4)
    stage.close(SERVER, "tcp-1")
    stage.joiner.give_up(joined)
    stage.connect("tcp-1")
    assert stage.recv(CLIENT, "tcp-1", 4) is None


@pytest.mark.parametrize("one_clock", [True, False])
def test_the_clock_of_one_program(new_stage: type[Stage], one_clock: bool) -> None:
    """Whatever its log says does not make two of it."""
    stage = new_stage(("",), one_clock=one_clock)
    stage.connect("tcp-1", log=0)
    stage.accept("tcp-2", log=0)
    joined = stage.recv(0, "tcp-1", 5)
    stage.send(0, "tcp-2", 5)
    assert (joined.way < 0, stage.joiner.disagree) == (True, {})


def test_clocks_that_disagree(new_stage: type[Stage]) -> None:
    """Nothing comes before it is sent: by so much they differ at least."""
    stage = new_stage(one_clock=False)
    stage.meet()
    for late in (500, 300, 900):
        joined = stage.recv(SERVER, "tcp-1", 1)
        stage.t = joined.due + late - 100
        stage.send(CLIENT, "tcp-1", 1)
        assert joined.way == -late
    assert stage.joiner.disagree == {("client", "server"): 900}
    assert stage.recv(CLIENT, "tcp-1", 2).missing == 2
