"""Silences, and who waits for whom."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.entries import KernelEntry, Strand
from evloop_trace.correlate.reasons.past import Past
from evloop_trace.packets.segments import ACK, FIN, KEEP_ALIVE, RETRANSMISSION, RST, SYN, ZERO_WINDOW
from evloop_trace.packets.sightings import Wire

from evloop.events.schema import (
    Accept,
    Block,
    Close,
    Connect,
    End,
    Gap,
    Header,
    Interest,
    Poll,
    Recv,
    Socket,
)

SERVER = "127.0.0.1:8080"


def quiet(told: Any) -> str:
    """Why nothing happens for a second."""
    return told.reasons.quiet(told.strand, int((told.t + 1000) * 1_000_000))


def test_what_is_not_quiet_has_no_reason(told: Any, new_told: Any) -> None:
    """A connection that nobody knows, one that has just spoken, and what is none."""
    assert quiet(told) == ""
    told.opened()
    told.packet(True, 0, 5)
    assert told.quiet == ""
    assert told.reasons.quiet(None, 10**12) == ""
    udp = new_told("udp")
    udp.packet(True, 0, 5, flags=0)
    assert quiet(udp) == ""


def test_nobody_answers(told: Any) -> None:
    """The SYN's timer runs; a refused one has none."""
    told.packet(True, flags=SYN)
    assert quiet(told) == "nobody has answered the SYN: the client's kernel waits, and then asks again"
    told.packet(False, flags=RST)
    assert quiet(told) == "it is reset: the client learns of it in its next call"
    told.call(Close)
    assert quiet(told) == ""


def test_what_ends_a_silence_tells_why(told: Any) -> None:
    """A retransmission, or a late ACK; of either direction."""
    told.opened()
    told.packet(True, 0, 5, t=10)
    told.packet(True, 0, 5, found=RETRANSMISSION, t=220)
    assert told.quiet == "5 B of the client are not acknowledged: its retransmission timer runs"
    told.packet(False, 0, ack=5, t=260)
    assert told.quiet == "the server's kernel delays the ACK of 5 B: an answer could carry it"
    told.packet(False, 0, 7, ack=5, t=261)
    told.packet(True, 5, 6, ack=0, t=300)
    assert told.quiet == "5 B wait for the server"
    told.packet(True, 6, ack=0, t=320)
    assert told.quiet == "5 B wait for the server"
    told.packet(True, 5, 6, ack=7, found=RETRANSMISSION, t=340)
    assert told.quiet == "1 B of the client are not acknowledged: its retransmission timer runs"


def test_a_kernel_that_says_something(told: Any) -> None:
    """Its word ends a silence, too."""
    told.opened()
    told.tell(KernelEntry(told.at(500), "state", True, told.strand))
    assert told.quiet == ""
    assert quiet(told) == ""


def test_a_closed_window(told: Any) -> None:
    """What waits in the sender's kernel; without its log only that it is probed."""
    told.opened()
    told.send(True, 0, 9)
    told.packet(True, 0, 5)
    told.packet(False, ack=5, window=0, found=ZERO_WINDOW)
    assert quiet(told) == (
        "the server's window is closed: 4 B of the client wait in the kernel, which probes it now and then"
    )


def test_a_closed_window_of_who_has_no_log(told: Any) -> None:
    """There are probes; who has sent all needs none."""
    told.opened()
    told.packet(True, 0, 5)
    told.packet(False, ack=5, window=0, found=ZERO_WINDOW)
    why = "the server's window is closed: the client's kernel probes it now and then"
    told.packet(True, 4, found=KEEP_ALIVE, ack=0)
    assert quiet(told) == why
    told.send(True, 0, 5)
    assert quiet(told) == why


def test_who_has_sent_all_does_not_probe(told: Any) -> None:
    """A closed window holds nothing up."""
    told.opened()
    told.send(True, 0, 5)
    told.packet(True, 0, 5)
    told.packet(False, ack=5, window=0, found=ZERO_WINDOW)
    told.strand.names = ("c", "")
    assert quiet(told) == "the client is in no call"


def test_ends_that_have_closed(told: Any) -> None:
    """One, or both."""
    told.opened()
    told.packet(True, flags=FIN | ACK, ack=0)
    assert quiet(told) == "the client sends no more, and the server has not closed yet: CLOSE-WAIT"
    told.packet(False, flags=FIN | ACK, ack=1)
    assert quiet(told) == "both ends have sent their FIN: the first to do so is in TIME-WAIT"


def test_a_close_without_a_fin(told: Any) -> None:
    """Somebody else has the connection; where the capture does not have it, nothing is known."""
    told.opened()
    told.call(Close)
    assert quiet(told) == "the client has closed, but no FIN went out: likely a copy of it is still open"
    told.wire.whole = False
    assert quiet(told) == "the client is in no call"


def test_nobody_accepts(told: Any) -> None:
    """The listener's program is in a log."""
    told.listen()
    told.opened()
    assert quiet(told) == "the handshake is over, but nobody has called accept()"
    told.packet(True, 0, 13)
    told.packet(False, ack=13)
    assert quiet(told) == "the handshake is over, but nobody has called accept(), and 13 B wait with it"
    told.call(Accept, False, sock="l")
    assert quiet(told) == "13 B wait for the server, which is in no call"


def test_nobody_accepts_since_the_server_sleeps_elsewhere(told: Any) -> None:
    """It serves somebody else; or it is about to accept."""
    told.listen()
    told.opened()
    sleeps(told, False, conn="s-2", loose=True)
    assert quiet(told) == (
        "the handshake is over, but nobody has called accept(): the server sleeps in recv() on s-2"
    )
    sleeps(told, False, "accept", conn=None, sock="l", loose=True)
    assert quiet(told) == ""


def test_nobody_listens_any_more(told: Any) -> None:
    """It will not be accepted."""
    told.listen()
    told.opened()
    told.call(Close, False, loose=True, sock="l", conn=None)
    assert quiet(told) == ""


def begun(told: Any) -> None:
    """Both programs have their ends."""
    told.call(Connect)
    told.opened()
    told.call(Accept, False, sock="l")


def sleeps(told: Any, client: bool, awaits: str = "recv", **more: Any) -> None:
    """A program sleeps."""
    told.call(Block, client, awaits=awaits, **more)


def test_a_sleep_that_has_ended_is_why(told: Any) -> None:
    """It lasted for the most of the silence; a short one is not."""
    begun(told)
    sleeps(told, False, conn="s-2", loose=True, t=10)
    told.packet(True, 0, 5, t=11)
    told.packet(False, ack=5, t=12)
    told.call(Close, False, loose=True, conn="s-2", t=100)
    told.recv(False, 0, 5, t=101)
    assert told.quiet == "5 B wait for the server, which sleeps in recv() on s-2"
    sleeps(told, False, t=120)
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[], t=122)
    packet = told.packet(True, 5, 6, t=201)
    packet.quiet = told.quiet
    assert told.quiet == "the server likely sleeps in poll(); the client is in no call"
    told.call(Close, False, loose=True, conn="s-3", t=202)
    assert packet.quiet == "the server is in no call; the client is in no call"


def test_a_poll_that_slept(told: Any) -> None:
    """Its return tells for how long."""
    begun(told)
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "IN")], t=100, dur=90)
    assert told.quiet == "the server sleeps in poll(); the client is in no call"
    told.recv(False, 0, 5, t=100)
    assert told.quiet == "the server sleeps in poll(); the client is in no call"


def test_programs_that_sleep(told: Any) -> None:
    """One, or both: then each waits for the other."""
    begun(told)
    assert quiet(told) == "the server is in no call; the client is in no call"
    sleeps(told, False)
    assert quiet(told) == "the server sleeps in recv(); the client is in no call"
    sleeps(told, True)
    assert quiet(told) == "both ends sleep in recv(): each waits for the other"


def test_a_program_that_sleeps_elsewhere(told: Any) -> None:
    """One client after another."""
    begun(told)
    told.packet(True, 0, 5)
    told.packet(False, ack=5)
    sleeps(told, False, conn="s-2", loose=True)
    assert quiet(told) == "5 B wait for the server, which sleeps in recv() on s-2"


def test_a_program_that_is_about_to_wake(told: Any) -> None:
    """What it sleeps for has come."""
    begun(told)
    sleeps(told, False)
    told.packet(True, 0, 5)
    told.packet(False, ack=5)
    assert quiet(told) == "5 B have come for the server, whose recv() has not returned yet"


def loop(told: Any, model: str = "loop") -> None:
    """The server's log begins, which is a loop's."""
    told.call(
        Header, False, loose=True, schema="", mono_ns=0, wall_ns=0, bracket_ns=0, pid=1, argv=[], versions={},
        selector="", mode="", payload="", payload_max=0, model=model,
    )  # fmt: skip


@pytest.mark.parametrize(("model", "why"), [
    ("loop", "the server likely sleeps in poll(); the client is in no call"),
    ("sequential", "the server is in no call; the client is in no call"),
])  # fmt: skip
def test_a_loop_sleeps_in_its_poll(told: Any, model: str, why: str) -> None:
    """That is told when it returns."""
    loop(told, model)
    begun(told)
    assert quiet(told) == why


def test_a_poll_ends_the_silence_of_what_woke_it(told: Any) -> None:
    """When that is closed, of the only one there is."""
    begun(told)
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[("other", "IN"), ("s", "IN")], t=100)
    assert told.quiet == "the server is in no call; the client is in no call"
    told.call(Close, False)
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "IN")], t=200)
    assert told.quiet == "the server has closed, but no FIN went out: likely a copy of it is still open"


def test_one_thread_with_both_ends(told: Any) -> None:
    """It cannot wait for itself."""
    told.call(Connect)
    told.call(Accept, False, sock="l", log=0)
    assert quiet(told) == "the thread that has both ends is in no call"
    sleeps(told, False, log=0)
    assert quiet(told) == "the thread that has both ends sleeps in recv()"


def test_very_many_threads(told: Any) -> None:
    """Of one that was quiet for too long nothing is known."""
    begun(told)
    for number in range(1100):
        told.call(Poll, False, loose=True, thread=f"{number}", timeout=None, why="", ready=[])
    assert quiet(told) == ""


def test_a_call_that_returned_before_its_block_was_told(told: Any) -> None:
    """It is short, so that it stands where it began: its block comes behind it, and it is over."""
    told.call(Accept, False, sock="l")
    told.opened()
    told.call(Connect, t=10, dur=0.2).event.dur = 400_000
    sleeps(told, True, "connect", t=10.1)
    assert quiet(told) == "the server is in no call; the client is in no call"


def test_a_poll_that_lasts_over_the_end_of_a_silence(told: Any) -> None:
    """It is told of when it returns, if that is before the entry is settled."""
    begun(told)
    first = told.call(Poll, False, loose=True, timeout=None, why="", ready=[], t=10)
    packet = told.packet(True, 0, 5, t=100)
    packet.quiet = told.quiet
    assert packet.quiet == "the server likely sleeps in poll(); the client is in no call"
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "IN")], t=101, dur=90)
    assert packet.quiet == "the server sleeps in poll(); the client is in no call"
    told.recv(False, 0, 5, t=102)
    assert packet.quiet == "the server sleeps in poll(); the client is in no call"
    late = told.packet(True, 5, 6, t=200)
    late.quiet = "said otherwise"
    told.settled(first)
    told.settled(packet)
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[], t=201, dur=90)
    assert (packet.quiet, late.quiet) == (
        "the server sleeps in poll(); the client is in no call",
        "said otherwise",
    )


def test_many_short_sleeps(told: Any) -> None:
    """They count together: in one call, or now in this, now in that."""
    begun(told)
    for t in range(10, 200, 10):
        told.call(Poll, False, loose=True, timeout=None, why="", ready=[], t=t, dur=5)
        told.call(Close, False, loose=True, conn="s-7", t=t + 4, dur=4)
    told.packet(True, 0, 5, t=200)
    assert told.quiet == "the server sleeps in poll() and close() on s-7; the client is in no call"
    for t in range(201, 400, 2):
        told.call(Poll, False, loose=True, timeout=None, why="", ready=[], t=t, dur=1.5)
    told.packet(True, 5, 6, t=401)
    assert told.quiet == "the server sleeps in poll(); the client is in no call"


def test_a_sample_is_no_call_of_a_thread(told: Any) -> None:
    """Who sleeps sleeps on when the log says something of itself."""
    begun(told)
    sleeps(told, False)
    told.call(Gap, False, loose=True, lost=1)
    assert quiet(told) == "the server sleeps in recv(); the client is in no call"


def end(told: Any, client: bool) -> None:
    """Its program ends."""
    told.call(End, client, loose=True, reason="exit", events=1)


def test_of_a_program_that_has_ended_nothing_is_said(told: Any) -> None:
    """It is in no call, and asleep in none."""
    begun(told)
    sleeps(told, False)
    end(told, False)
    assert quiet(told) == "the client is in no call"


def refused(told: Any, **more: Any) -> None:
    """Somebody calls the server's address, and nobody listens there."""
    told.call(Connect, **{"loose": True, "conn": "c-2", "peer": SERVER, "errno": "ECONNREFUSED", **more})


def test_who_refuses_does_not_sleep_in_a_poll(told: Any) -> None:
    """Its log has no `end`, and nobody listens at its address: it was killed, unless it says more."""
    loop(told)
    told.listen()
    begun(told)
    asked = told.call(Socket, loose=True, sock="c-2", t=100)
    asked.quiet = told.quiet
    assert asked.quiet == "the server likely sleeps in poll(); the client is in no call"
    refused(told)
    assert asked.quiet == "the client is in no call"
    told.call(Socket, loose=True, sock="c-3", t=200)
    assert told.quiet == "the client is in no call"
    assert quiet(told) == "the client is in no call"
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[])
    assert quiet(told) == "the server likely sleeps in poll(); the client is in no call"


@pytest.mark.parametrize(
    "more",
    [{"peer": None}, {"peer": "127.0.0.1:9"}, {"conn": None, "sock": "u"}, {"log": 1}, {"errno": None}],
)
def test_who_lives_may_refuse(told: Any, more: dict[str, Any]) -> None:
    """Another address; a datagram socket's, which is of no listener; its own call; and no refusal at all."""
    loop(told)
    told.listen()
    begun(told)
    refused(told, **more)
    assert "the server likely sleeps in poll()" in quiet(told)


def test_who_has_closed_its_listener_may_live(told: Any) -> None:
    """That is why it refuses."""
    loop(told)
    told.listen()
    begun(told)
    told.call(Close, False, loose=True, sock="l", conn=None)
    refused(told)
    assert quiet(told) == "the server likely sleeps in poll(); the client is in no call"


def test_of_who_is_known_to_be_dead_nothing_is_said(told: Any) -> None:
    """Somebody has asked the system."""
    loop(told)
    begun(told)
    told.reasons.vanish(1)
    assert told.reasons.now(told.at(500)) == "the client is in no call"


def test_a_poll_that_tells_the_same_again_ends_no_silence(told: Any) -> None:
    """It has no row, and a loop that spins makes very many of them."""
    begun(told)
    for _ in range(2):
        ready = [("s", "OUT")]
        told.call(Poll, False, loose=True, timeout=None, why="", ready=ready, t=told.t + 100)
        assert told.quiet == "the server is in no call; the client is in no call"
        told.call(Poll, False, loose=True, timeout=None, why="", ready=ready, t=told.t + 100)
        assert told.quiet == ""
        told.call(Interest, False, loose=True, conn="s", sock=None, old="", new="READ", reason="")


def test_a_sleep_is_remembered_however_often_it_wakes_later(told: Any) -> None:
    """What the other thread does next changes nothing about it."""
    begun(told)
    ended = told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "OUT")], t=100, dur=95)
    ended.quiet = told.quiet
    for _ in range(100):
        told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "OUT")], dur=0.1)
    told.call(Connect, True, loose=True)
    assert ended.quiet == "the server sleeps in poll(); the client is in no call"


def test_what_is_of_no_connection_ends_a_silence_of_all(told: Any) -> None:
    """Who sleeps in what; of the only connection, what is known of it."""
    told.listen(t=1)
    sleeps(told, False, "accept", conn=None, sock="l", loose=True)
    told.call(Connect, True, loose=True, t=100)
    assert told.quiet == "the server sleeps in accept() on l"
    told.opened()
    told.call(Accept, False, sock="l")
    told.packet(True, 0, 5)
    told.packet(False, ack=5)
    told.call(Poll, True, loose=True, timeout=None, why="", ready=[], t=150)
    assert told.quiet == "5 B wait for the server, which is in no call"
    told.packet(True, flags=FIN | ACK, ack=0)
    told.packet(False, flags=FIN | ACK, ack=6)
    told.call(Connect, True, loose=True, t=200)
    assert told.quiet == "the server is in no call; the client is in no call"


def test_the_only_one_that_is_left_of_many_is_named(told: Any) -> None:
    """What comes next is of no connection, or of a new one: nobody would know whose silence it was."""
    told.opened()
    told.packet(True, 0, 5)
    first, told.strand = told.strand, Strand(1, "tcp", "127.0.0.1:40001", told.strand.server, ("d", "e"))
    told.opened()
    told.packet(True, flags=FIN | ACK, ack=0)
    told.packet(False, flags=FIN | ACK, ack=1)
    told.packet(True, ack=1, before=("TIME-WAIT", "LAST-ACK"), states=("TIME-WAIT", "CLOSED"))
    told.strand = first
    told.packet(True, flags=FIN | ACK, ack=0)
    told.call(Connect, True, loose=True, t=100)
    assert told.quiet == "c: the client sends no more, and the server has not closed yet: CLOSE-WAIT"


@pytest.mark.parametrize(("names", "name"), [(("c", "s"), "c"), (("", "s"), "s"), (("", ""), ":40000")])
def test_who_comes_back_behind_another_is_named(told: Any, names: tuple[str, str], name: str) -> None:
    """The row above is the other's, and so would be the reason; behind its own row it needs no name."""
    told.strand.names = names
    told.listen()
    told.opened()
    first, told.strand = told.strand, Strand(1, "tcp", "127.0.0.1:40001", told.strand.server, ("d", "e"))
    told.packet(True, flags=SYN)
    told.strand = first
    told.packet(True, 0, 5, t=100)
    assert told.quiet == f"{name}: the handshake is over, but nobody has called accept()"
    told.packet(False, ack=5, t=200)
    assert told.quiet == "the server's kernel delays the ACK of 5 B: an answer could carry it"


def test_what_programs_do_is_named_too(told: Any) -> None:
    """Also when more of it is known."""
    begun(told)
    first, told.strand = told.strand, Strand(1, "tcp", "127.0.0.1:40001", told.strand.server, ("d", "e"))
    told.packet(True, flags=SYN)
    told.strand = first
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[])
    packet = told.packet(True, 0, 5, t=100)
    packet.quiet = told.quiet
    assert packet.quiet == "c: the server likely sleeps in poll(); the client is in no call"
    told.call(Poll, False, loose=True, timeout=None, why="", ready=[("s", "IN")], t=101, dur=90)
    assert packet.quiet == "c: the server sleeps in poll(); the client is in no call"


def test_very_many_that_sleep(told: Any) -> None:
    """They are counted; threads of one program are called so."""
    for number in range(2):
        sleeps(told, False, loose=True, thread=f"{number}", conn=None, sock="l")
    told.call(Connect, True, loose=True, t=100)
    assert told.quiet == "a thread of the server sleeps in recv() on l"
    for number in range(5):
        sleeps(told, False, loose=True, thread=f"more-{number}", conn=None, sock=f"l{number}")
    told.call(Connect, True, loose=True, t=200)
    assert told.quiet == "7 threads of the server sleep in recv()"
    for name in ("accept", "poll", "send"):
        sleeps(told, False, name, loose=True, thread=name, conn=None)
    told.call(Connect, True, loose=True, t=300)
    assert told.quiet == "10 threads sleep"


def test_a_reset_that_is_known_or_waits_behind_bytes(told: Any) -> None:
    """tcp(7): what has come can still be read, and the error is told once."""
    begun(told)
    told.packet(True, 0, 5)
    told.packet(False, ack=5)
    told.packet(True, flags=RST)
    assert quiet(told) == (
        "it is reset: the server learns of it in its next call, behind 5 B that it can still read"
    )
    told.call(Recv, False, errno="ECONNRESET")
    assert quiet(told) == "it is reset, and the server has been told"


def test_a_reset_behind_a_fin(told: Any) -> None:
    """recv() is 0 as before."""
    begun(told)
    told.packet(True, flags=FIN | ACK, ack=0)
    told.packet(True, flags=RST)
    assert quiet(told) == (
        "it is reset: the server learns of it when it sends; its recv() is 0, as of any FIN"
    )


def test_a_close_whose_fin_waits(told: Any) -> None:
    """What was sent before goes first; also if the other end has sent its FIN."""
    told.opened()
    told.send(True, 0, 100)
    told.packet(False, flags=FIN | ACK, ack=0)
    told.call(Close)
    assert quiet(told) == "the client has closed, and its FIN waits behind what is not acknowledged"


def test_bytes_that_wait_on_many_connections(told: Any, new_told: Any) -> None:
    """Whether they are accepted or not; who sleeps meanwhile, the servers first."""
    told.listen(t=1)
    others = [new_told(names=("", "")) for _ in range(2)]
    for number, it in enumerate(others, 1):
        it.reasons = told.reasons
        it.wire = Wire(number, "tcp", f"127.0.0.1:{number}", told.strand.server, whole=True)
        it.strand = Strand(number, "tcp", it.wire.client, it.wire.server, it.strand.names, it.wire)
    for at, it in enumerate((told, *others)):
        it.t = 10 + 10 * at
        it.opened()
        it.packet(True, 0, 5)
        it.packet(False, ack=5)
    told.call(Accept, False, sock="l", t=40)
    sleeps(told, True, loose=True)
    sleeps(told, False, conn="s-2", loose=True)
    sleeps(told, False, "accept", conn=None, sock="m", loose=True, log=2)
    told.call(Connect, True, loose=True, t=100, log=3)
    assert told.quiet == (
        "15 B wait on 3 connections; a server sleeps in recv() on s-2; a server sleeps in accept() on m; "
        "the client sleeps in recv() on c"
    )


def test_a_silence_that_goes_on(told: Any) -> None:
    """Nothing has ended it; and it is known that no packet came, though the capture is read to its end."""
    told.reasons.captured = 0
    begun(told)
    sleeps(told, False)
    soon, late = told.at(None), told.at(500)
    assert told.reasons.now(soon) == ""
    assert told.reasons.now(late) == "the server sleeps in recv(); the client is in no call"
    assert told.reasons.captured == 0


@pytest.mark.parametrize(("captured", "over"), [(False, True), (True, False)])
def test_what_both_ends_have_closed(told: Any, *, captured: bool, over: bool) -> None:
    """Where no packet is seen nothing more is to come; else a FIN is."""
    past = Past(told.strand if captured else Strand(0, "tcp", "c", "s", ("c", "s"), None))
    closes = told.call(Close), told.call(Close, False)
    past.ends[True].close = closes[0]
    assert not past.is_quiet
    past.ends[False].close = closes[1]
    assert past.is_quiet == over
