"""How a connection is opened and ended: which calls made which packets, and were told of which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.packets.segments import ACK, SYN

from evloop.events.schema import Block, Close, Listen, Recv

if TYPE_CHECKING:
    from conftest import Loom

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"
SECOND = 1_000_000_000


def refs(packet: Any) -> tuple[list[int], list[int]]:
    """The numbers of its causes and of its effects."""
    return [it.seq for it in packet.causes], [it.seq for it in packet.effects]


class TestHandshake:
    """connect, SYN, SYN ACK, ACK, accept."""

    def test_as_always(self, loom: Loom) -> None:
        """The connect makes the SYN and gets the SYN ACK; the accept gets the ACK."""
        connect = loom.connect()
        syn, answer, ack = loom.shake()
        accept = loom.accept()
        assert [refs(it) for it in (syn, answer, ack)] == [([1], []), ([], [1]), ([], [2])]
        assert (connect.trust, accept.trust, syn.strand.trust) == ("exact", "exact", "exact")
        assert syn.strand.names == ("c", "s")

    def test_late_calls(self, loom: Loom) -> None:
        """They may stand behind the packets."""
        loom.at(SECOND)
        syn, answer, _ = loom.shake()
        again = loom.packet(True, flags=SYN)
        loom.connect(t=SECOND, at=loom.t)
        loom.accept(t=SECOND + 50_000, at=loom.t)
        ack = loom.packet(True, before=("ESTABLISHED", "SYN-RECEIVED"), states=("ESTABLISHED", "ESTABLISHED"))
        assert [refs(it) for it in (syn, answer, again)] == [([1], []), ([], [1]), ([1], [])]
        assert refs(ack) == ([], [2])

    def test_very_many_syns(self, loom: Loom) -> None:
        """Only the first are remembered for a connect that is still to come."""
        syns = [loom.packet(True, flags=SYN) for _ in range(20)]
        loom.connect(t=0, dur=loom.t, at=loom.t)
        assert [len(it.causes) for it in syns] == [1] * 16 + [0] * 4

    def test_at_once_and_later(self, loom: Loom) -> None:
        """A connect that does not wait; the second call tells how it ended."""
        first = loom.connect(errno="EINPROGRESS")
        syn, answer, _ = loom.shake()
        second = loom.connect()
        assert (refs(syn), refs(answer)) == (([1], []), ([], [2]))
        assert (first.trust, second.trust) == ("exact", "exact")

    @pytest.mark.parametrize("local", ["0.0.0.0:40000", HERE])
    def test_refused(self, loom: Loom, local: str) -> None:
        """The RST is the answer; what failed may have forgotten its host, but not its port."""
        connect = loom.connect(local=local, errno="ECONNREFUSED")
        loom.call(Block, "c", awaits="connect", peer=THERE)
        syn, reset = loom.packet(True, flags=SYN), loom.reset(False)
        assert (refs(syn), refs(reset)) == (([1], []), ([], [1]))
        assert (connect.strand.client, len(loom.weaver.strands)) == (HERE, 1)
        close = loom.close("c", client=False)
        assert (close.client, close.strand, close.packets) == (True, connect.strand, [])

    def test_refused_and_told_later(self, loom: Loom) -> None:
        """The same when it took so long that it stands behind its packets."""
        syn, reset = loom.packet(True, flags=SYN), loom.reset(False)
        other = loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:40001"))
        loom.connect(local="0.0.0.0:40000", errno="ECONNREFUSED", t=0, dur=loom.t, at=loom.t)
        assert (refs(syn), refs(reset), refs(other)) == (([1], []), ([], [1]), ([], []))

    def test_unreachable(self, loom: Loom) -> None:
        """ICMP is the answer."""
        connect = loom.connect(errno="EINPROGRESS")
        loom.packet(True, flags=SYN)
        error = loom.packet(True, flags=0, error="host unreachable")
        told = loom.connect(errno="EHOSTUNREACH")
        assert (refs(error), told.trust, connect.trust) == (([], [2]), "inferred", "exact")


class TestAsleep:
    """Connects that sleep while their SYNs go out."""

    def test_confirmed(self, loom: Loom) -> None:
        """The SYN is the block's, and the connect's when that has returned and says its address."""
        block = loom.call(Block, "c", awaits="connect", peer=THERE)
        syn, again = loom.packet(True, flags=SYN), loom.packet(True, flags=SYN)
        assert [(it.ev, it.seq) for it in syn.causes + again.causes] == [("block", 1)] * 2
        assert (syn.trust, syn.strand.trust, block.strand) == ("inferred", "inferred", syn.strand)
        connect = loom.connect(t=0, dur=loom.t, at=loom.t, errno="timeout")
        assert [(it.ev, it.seq) for it in syn.causes + again.causes] == [("connect", 2)] * 2
        assert [it.number for it in connect.packets] == [1, 2]
        assert (syn.trust, connect.trust, syn.strand.trust) == ("exact", "exact", "exact")
        assert (block.packets, block.trust) == ([], "")

    def test_without_an_address(self, loom: Loom) -> None:
        """What failed may not know it: then it stays an inference."""
        loom.call(Block, "c", awaits="connect", peer=THERE)
        syn = loom.packet(True, flags=SYN)
        connect = loom.connect(local=None, t=0, dur=loom.t, at=loom.t, errno="ETIMEDOUT")
        assert (refs(syn), connect.trust) == (([2], []), "inferred")

    def test_somebody_else(self, loom: Loom) -> None:
        """The SYN was of another program that is in no log."""
        block = loom.call(Block, "c", awaits="connect", peer=THERE)
        stranger = loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:50000"))
        assert refs(stranger) == ([1], [])
        syn = loom.packet(True, flags=SYN)
        connect = loom.connect(t=0, dur=loom.t, at=loom.t)
        assert (refs(stranger), stranger.trust) == (([], []), "")
        assert (stranger.strand.names, stranger.strand.trust) == (("", ""), "")
        assert (refs(syn), connect.strand) == (([2], []), syn.strand)
        assert (block.packets, block.strand) == ([], None)

    def test_two_of_them(self, loom: Loom) -> None:
        """Which SYN is whose is known when they return."""
        loom.call(Block, "1c", awaits="connect", peer=THERE)
        loom.call(Block, "2c", awaits="connect", peer=THERE)
        one = loom.packet(True, flags=SYN)
        two = loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:40001"))
        assert (refs(one), refs(two)) == (([], []), ([], []))
        loom.connect("1c", "127.0.0.1:40001", t=0, dur=loom.t, at=loom.t)
        loom.connect("2c", t=0, dur=loom.t, at=loom.t)
        assert (refs(one), refs(two)) == (([4], []), ([3], []))


class TestResets:
    """RST, and why."""

    def test_unread(self, loom: Loom) -> None:
        """A close with unread bytes; the other end is told, once in each direction."""
        loom.open()
        close = loom.close("s", unread=6)
        reset = loom.reset(False)
        told = loom.call(Recv, "c", errno="ECONNRESET")
        assert (refs(reset), reset.trust) == (([close.event.seq], [told.event.seq]), "exact")
        assert loom.call(Recv, "c", errno="EAGAIN").packets == []

    def test_linger(self, loom: Loom) -> None:
        """A close without: it did not wait; that is inferred from the time."""
        loom.open()
        close = loom.close("c")
        reset = loom.reset(True)
        assert (refs(reset), reset.trust, close.trust) == (([close.event.seq], []), "inferred", "inferred")

    def test_too_late(self, loom: Loom) -> None:
        """A RST long after the close answers something else."""
        loom.open()
        loom.close("c")
        assert refs(loom.reset(True, t=loom.t + SECOND)) == ([], [])

    def test_behind_a_fin(self, loom: Loom) -> None:
        """The close made the FIN, and not the RST that answers late data."""
        loom.open()
        loom.close("c")
        fin, reset = loom.fin(True), loom.reset(True)
        assert (len(fin.causes), refs(reset)) == (1, ([], []))

    def test_told_first(self, loom: Loom) -> None:
        """The packet may stand before the close that took its time."""
        loom.open()
        reset = loom.reset(True)
        close = loom.close("c", t=reset.t - 10_000, dur=2_000_000, at=loom.t)
        assert refs(reset) == ([close.event.seq], [])
        again = loom.close("c", t=reset.t - 10_000, at=loom.t)
        assert again.packets == []

    def test_long_before(self, loom: Loom) -> None:
        """A close after the other end, or long after its own RST, did not make it."""
        loom.open()
        reset = loom.reset(True)
        loom.close("c", t=reset.t + SECOND)
        assert refs(reset) == ([], [])

    def test_a_listener_that_is_closed(self, loom: Loom) -> None:
        """Who waited in its queue is reset."""
        loom.call(Listen, client=False, proto="tcp", address=THERE, backlog=5)
        loom.connect()
        loom.shake()
        close = loom.call(Close, sock="l", client=False)
        reset = loom.reset(False)
        assert (refs(reset), reset.trust) == (([close.event.seq], []), "inferred")
        other = loom.new_wire("127.0.0.1:40001")
        loom.packet(True, flags=SYN, wire=other)
        assert refs(loom.reset(False, wire=other, t=loom.t + SECOND)) == ([], [])
        for number in range(300):
            loom.call(Listen, client=False, proto="tcp", address=f"127.0.0.1:{number}", backlog=5)
            loom.call(Close, sock="l", client=False)
        assert len(loom.weaver._gone) == 256

    def test_the_answer_of_who_connects(self, loom: Loom) -> None:
        """A SYN ACK of the client's: both opened at once."""
        loom.connect()
        loom.packet(True, flags=SYN)
        loom.packet(False, flags=SYN)
        both = loom.packet(True, flags=SYN | ACK)
        assert refs(both) == ([], [])


def test_to_itself(loom: Loom) -> None:
    """A connection to itself has one end: what it sends it receives."""
    connect = loom.connect(local=THERE)
    wire = loom.new_wire(THERE)
    syn, answer = loom.packet(True, flags=SYN, wire=wire), loom.packet(True, flags=SYN | ACK, wire=wire)
    assert (refs(syn), refs(answer)) == (([1], []), ([], [1]))
    send, packet = loom.send("c", 5), loom.packet(True, 0, 5, wire=wire)
    recv, close = loom.recv("c", 5), loom.close("c")
    fin = loom.fin(True, 5, wire=wire)
    assert refs(packet) == ([send.event.seq], [recv.event.seq])
    assert refs(fin) == ([close.event.seq], [])
    loom.packet(True, flags=0, t=loom.t + 3 * SECOND, wire=loom.new_wire(THERE, HERE))
    assert loom.weaver._ties._wires.keys() == {wire.number + 1}
    assert connect.client is True
