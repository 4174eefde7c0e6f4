"""One direction: calls, packets and calls again, by bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop_trace.packets.segments import ACK

from evloop.events.schema import Block, Recv, Setsockopt, Shutdown

if TYPE_CHECKING:
    from conftest import Loom

URG = 32
LATER = 10_000_000


def made(packet: Any) -> list[tuple[int, int, int]]:
    """What of which call a packet carries: numbers and bytes."""
    return [(it.seq, it.begin, it.end) for it in packet.causes]


def got(packet: Any) -> list[tuple[int, int, int]]:
    """What of it which call got."""
    return [(it.seq, it.begin, it.end) for it in packet.effects]


def seq(entry: Any) -> int:
    """A call's number."""
    return entry.event.seq


def test_many_to_many(loom: Loom) -> None:
    """Two sends in one segment, one recv for three segments; a part of a send in two."""
    loom.open()
    first, second = loom.send("c", 5), loom.send("c", 7)
    one = loom.packet(True, 0, 8)
    two = loom.packet(True, 8, 12)
    peek = loom.recv("s", 0, n=4, off=(0, 4), flags="MSG_PEEK|MSG_DONTWAIT")
    recv = loom.recv("s", 10, flags="MSG_WAITALL|MSG_NOSIGNAL")
    rest = loom.recv("s", 2)
    assert made(one) == [(seq(first), 0, 5), (seq(second), 5, 8)]
    assert made(two) == [(seq(second), 8, 12)]
    assert got(one) == [(seq(peek), 0, 4), (seq(recv), 0, 8)]
    assert got(two) == [(seq(recv), 8, 10), (seq(rest), 10, 12)]
    assert [it.number for it in second.packets] == [4, 5]
    assert {it.trust for it in loom.entries if it.strand is not None} == {"exact", ""}


def test_the_other_order(loom: Loom) -> None:
    """A packet may be told of before its send, and after its recv."""
    loom.open()
    packet = loom.packet(True, 0, 5)
    assert packet.trust == "unmatched"
    send = loom.send("c", 5)
    assert (packet.trust, made(packet)) == ("exact", [(seq(send), 0, 5)])
    recv = loom.recv("s", 3)
    assert (recv.trust, got(packet)) == ("exact", [(seq(recv), 0, 3)])
    early = loom.recv("s", 4)
    assert loom.settle(early) == "exact"
    late = loom.packet(True, 5, 7)
    assert got(late) == [(seq(early), 5, 7)]


def test_what_comes_again(loom: Loom) -> None:
    """A retransmission belongs to the packet before it; what is new in it is its own."""
    loom.open()
    send = loom.send("c", 30)
    first = loom.packet(True, 0, 10)
    again = loom.packet(True, 5, 10)
    assert (again.trust, again.original, again.causes) == ("again", first.packet.number, [])
    apart = loom.packet(True, 20, 25)
    fills = loom.packet(True, 5, 22)
    assert made(apart) == [(seq(send), 20, 25)]
    assert made(fills) == [(seq(send), 10, 20)]
    rest = loom.packet(True, 20, 30)
    assert made(rest) == [(seq(send), 25, 30)]
    assert loom.packet(True, 2, 28).trust == "again"
    assert loom.packet(True, 40, 50).trust == "unmatched"
    assert made(loom.packet(True, 29, 41)) == []


def test_gaps_do_not_add_up(loom: Loom) -> None:
    """Of a stream that is seen with very many gaps, the oldest are forgotten."""
    loom.connect()
    loom.shake()
    for at in range(600):
        loom.packet(False, 10 * at, 10 * at + 5)
    assert loom.packet(False, 8, 9).trust == "again"
    assert loom.packet(False, 5996, 5998).trust == ""
    tie = loom.weaver._ties.between("127.0.0.1:40000", "127.0.0.1:8080")
    assert tie is not None
    assert len(tie.directions[False]._apart) <= 257


def test_nobody_calls(loom: Loom) -> None:
    """Of ends that are in no log only so much waits."""
    loom.shake()
    for at in range(3000):
        loom.packet(True, at, at + 1)
    tie = loom.weaver._ties.between("127.0.0.1:40000", "127.0.0.1:8080")
    assert tie is not None
    way = tie.directions[True]
    assert len(way._made.came) <= 1024
    assert len(way._came.went) <= 1024
    assert loom.entries[-1].trust == ""


def test_a_send_that_sleeps(loom: Loom) -> None:
    """Its packets are of its block, and then of itself; what it did not send is not."""
    loom.open()
    block = loom.call(Block, "c", awaits="send", size=100)
    one = loom.packet(True, 0, 40)
    assert made(one) == [(seq(block), 0, 40)]
    assert one.causes[0].ev == "block"
    send = loom.send("c", 60, size=100)
    assert made(one) == [(seq(send), 0, 40)]
    assert (one.causes[0].ev, block.packets, block.trust) == ("send", [], "")
    two = loom.packet(True, 40, 60)
    assert made(two) == [(seq(send), 40, 60)]
    assert [it.number for it in send.packets] == [one.packet.number, two.packet.number]
    assert loom.packet(True, 60, 70).trust == "unmatched"


def test_a_send_that_sleeps_and_fails(loom: Loom) -> None:
    """What of it was sent stays the block's; EAGAIN of another call means nothing."""
    loom.open()
    block = loom.call(Block, "c", awaits="send", size=100)
    loom.send("c", 0, n=None, off=None, errno="EAGAIN", thread="t-2")
    loom.send("c", 0, n=None, off=None, errno="EAGAIN")
    one = loom.packet(True, 0, 40)
    loom.send("c", 0, n=None, off=None, errno="ECONNRESET")
    assert made(one) == [(seq(block), 0, 40)]
    other = loom.call(Block, "c", awaits="send", size=10)
    between = loom.send("c", 5, thread="t-2")
    assert (between.packets, other.packets) == ([], [])
    loom.call(Block, "c", awaits="recv", size=10)
    loom.call(Block, "c", awaits="send")


def test_nothing_is_sent(loom: Loom) -> None:
    """A send of no bytes makes no packet, and a recv of none is told nothing."""
    loom.open()
    assert loom.settle(loom.send("c", 0)) == ""
    assert loom.settle(loom.recv("s", 0, size=0)) == ""


class TestEnds:
    """FINs."""

    def test_shutdown_and_close(self, loom: Loom) -> None:
        """The FIN is of what came first; the end of the stream is told once."""
        loom.open()
        loom.send("c", 5)
        shutdown = loom.call(Shutdown, "c")
        loom.call(Shutdown, "c", how="SHUT_RD")
        loom.call(Shutdown, "c", errno="ENOTCONN")
        fin = loom.fin(True, 5, 0)
        close = loom.close("c")
        end, more = loom.recv("s", 5), loom.recv("s", 0)
        again = loom.recv("s", 0)
        assert made(fin) == [(2 + 1, 0, 5), (seq(shutdown), 5, 6)]
        assert got(fin) == [(seq(end), 0, 5), (seq(more), 5, 6)]
        assert (close.packets, again.packets) == ([], [])
        assert loom.fin(True, 5).trust == "again"

    def test_who_reads_no_more(self, loom: Loom) -> None:
        """After one's own SHUT_RD recv() = 0 is no news of the other end."""
        loom.open()
        loom.call(Shutdown, "s", how="SHUT_RD", errno="ENOTCONN")
        loom.call(Shutdown, "s", how="SHUT_RD")
        own = loom.recv("s", 0)
        loom.close("c")
        fin = loom.fin(True)
        assert (own.packets, got(fin)) == ([], [])

    def test_late(self, loom: Loom) -> None:
        """The FIN may be seen before its close, and after the recv that was told of it."""
        loom.open()
        told = loom.recv("s", 0)
        loom.recv("s", 0)
        fin = loom.fin(True)
        assert (fin.trust, got(fin)) == ("unmatched", [(seq(told), 0, 1)])
        loom.call(Shutdown, "c", t=loom.t + LATER)
        assert made(fin) == []
        close = loom.close("c", t=fin.t - 5_000, at=fin.t)
        assert (fin.trust, made(fin)) == ("exact", [(seq(close), 0, 1)])

    def test_elsewhere(self, loom: Loom) -> None:
        """A close that counts other bytes than the FIN did not make it."""
        loom.open()
        loom.send("c", 5)
        loom.close("c")
        assert loom.fin(True, 9).trust == "unmatched"

    def test_many(self, loom: Loom) -> None:
        """Only so many calls are remembered."""
        loom.open()
        for _ in range(20):
            loom.call(Shutdown, "c")
        assert made(loom.fin(True)) == [(3, 0, 1)]


class TestUrgent:
    """MSG_OOB: a byte that recv() passes over."""

    def test_offsets(self, loom: Loom) -> None:
        """The receiver counts without it."""
        loom.open()
        loom.send("c", 2)
        loom.packet(True, 0, 2)
        send = loom.send("c", 1, flags="MSG_OOB")
        urgent = loom.packet(True, 2, 3, ACK | URG)
        loom.send("c", 2)
        rest = loom.packet(True, 3, 5)
        taken = loom.call(Recv, "s", n=1, off=(0, 1), flags="MSG_OOB")
        first, second = loom.recv("s", 2), loom.recv("s", 2)
        assert made(urgent) == [(seq(send), 2, 3)]
        assert got(urgent) == [(seq(taken), 2, 3)]
        assert got(rest) == [(seq(second), 3, 5)]
        assert [it.trust for it in (send, taken, first, second)] == [
            "exact",
            "inferred",
            "inferred",
            "inferred",
        ]
        assert loom.settle(loom.recv("s", 2, flags="MSG_ERRQUEUE")) == "unmatched"

    def test_inline(self, loom: Loom) -> None:
        """SO_OOBINLINE: it is a byte as all others."""
        loom.open()
        option = {"level": "SOL_SOCKET", "option": "SO_OOBINLINE"}
        loom.call(Setsockopt, "s", **option, value="0", errno="EBADF")
        loom.call(Setsockopt, "s", **option, value="1")
        loom.call(Setsockopt, "s", level="SOL_SOCKET", option="SO_LINGER", value="1")
        loom.send("c", 3, flags="MSG_OOB")
        packet = loom.packet(True, 0, 3, ACK | URG)
        recv = loom.recv("s", 3)
        assert (recv.trust, got(packet)) == ("exact", [(seq(recv), 0, 3)])

    def test_by_flag(self, loom: Loom) -> None:
        """Of who is in no log the packets tell: the last byte of one with URG."""
        loom.shake()
        loom.accept()
        nothing = loom.call(Recv, "s", n=1, off=(0, 1), flags="MSG_OOB")
        assert loom.settle(nothing) == "unmatched"
        urgent = loom.packet(True, 0, 3, ACK | URG)
        rest = loom.packet(True, 3, 5)
        first, second = loom.recv("s", 2), loom.recv("s", 2)
        assert got(urgent) == [(seq(first), 0, 2)]
        assert got(rest) == [(seq(second), 3, 5)]


class TestMiddle:
    """Captures that begin in the middle of a connection."""

    def begin(self, loom: Loom, sent: int = 100) -> None:
        """A connection that has sent before the capture began."""
        loom.wire = loom.new_wire(whole=False)
        loom.connect()
        loom.accept()
        loom.send("c", sent)
        loom.recv("s", sent)
        loom.at(loom.t + LATER)

    def test_by_a_send(self, loom: Loom) -> None:
        """The first send that is a segment tells where it is."""
        self.begin(loom)
        big = loom.send("c", 50, data=b"x")
        part = loom.packet(True, 0, 30)
        rest = loom.packet(True, 30, 50)
        assert part.trust == "unmatched"
        loom.send("c", 7, data=b"no, not")
        other = loom.packet(True, 50, 57, data=b"another")
        assert other.causes == []
        send = loom.send("c", 3, data=b"yes")
        loom.packet(True, 30, 50)
        late = loom.packet(True, 57, 60, data=b"yes!")
        assert made(late) == [(seq(send), 157, 160)]
        assert made(part) == [(seq(big), 100, 130)]
        assert made(rest) == [(seq(big), 130, 150)]
        assert {it.trust for it in (part, rest, late, send)} == {"inferred"}
        assert late.strand.trust == "inferred"

    def test_by_a_send_told_later(self, loom: Loom) -> None:
        """It stands where it returned, behind its packet."""
        self.begin(loom)
        packet = loom.packet(True, 0, 5)
        loom.send("c", 6, t=packet.t - 10_000, dur=2_000_000, at=packet.t + 1_000)
        send = loom.send("c", 5, t=packet.t - 5_000, dur=2_000_000, at=packet.t + 2_000)
        assert made(packet) == [(seq(send), 106, 111)]

    def test_by_a_recv(self, loom: Loom) -> None:
        """Nobody tells who sent: the recv that got one packet does."""
        loom.wire = loom.new_wire(whole=False)
        loom.accept()
        loom.recv("s", 100)
        loom.at(loom.t + LATER)
        one, two = loom.packet(True, 0, 5), loom.packet(True, 5, 11)
        both = loom.recv("s", 11)
        assert both.packets == []
        three = loom.packet(True, 11, 14, data=b"abc")
        loom.recv("s", 3, data=b"xyz")
        assert three.effects == []
        loom.packet(True, 14, 16)
        recv = loom.recv("s", 2)
        assert [it.number for it in recv.packets] == [7 - 3]
        assert (got(one), got(two)) == ([(seq(both), 100, 105)], [(seq(both), 105, 111)])

    def test_by_the_end(self, loom: Loom) -> None:
        """A close counts all that was sent."""
        self.begin(loom)
        packet = loom.packet(True, 0, 5)
        loom.send("c", 3, t=packet.t - LATER)
        loom.send("c", 2)
        close = loom.close("c")
        fin = loom.fin(True, 5)
        assert made(fin) == [(seq(close), 105, 106)]
        assert [it[1:] for it in made(packet)] == [(100, 103), (103, 105)]


def test_who_took_the_client_for_the_server(loom: Loom) -> None:
    """A capture that begins in the middle does not know who began."""
    loom.connect()
    loom.accept()
    wire = loom.new_wire("127.0.0.1:8080", "127.0.0.1:40000", whole=False)
    packet = loom.packet(False, 0, 5, wire=wire, before=("a", "b"), states=("c", "d"))
    assert (packet.packet.client, packet.packet.before, packet.packet.states) == (
        True,
        ("b", "a"),
        ("d", "c"),
    )
    assert (wire.client, packet.strand.client) == ("127.0.0.1:40000", "127.0.0.1:40000")
    assert loom.packet(True, 0, 5, wire=wire).packet.client is False
    assert len(loom.weaver.strands) == 1


class TestUnseen:
    """Calls that no log tells of: the bytes show it, as the offsets of the log do not."""

    def test_a_send_before_its_neighbour(self, loom: Loom) -> None:
        """Its packet was there when the next was called; the end of the stream is moved, too."""
        loom.open()
        lost = loom.packet(True, 0, 4, data=b"abcd")
        send = loom.send("c", 5, data=b"line\n")
        packet = loom.packet(True, 4, 9, data=b"line\n")
        close = loom.close("c")
        fin = loom.fin(True, 9)
        assert (lost.causes, lost.trust) == ([], "unmatched")
        assert (made(packet), packet.trust) == ([(seq(send), 4, 9)], "inferred")
        assert (made(fin), fin.trust) == ([(seq(close), 9, 10)], "inferred")

    def test_sends_told_of_after_their_packets(self, loom: Loom) -> None:
        """The packet that carries its bytes is its."""
        loom.open()
        lost, packet = loom.packet(True, 0, 4, data=b"abcd"), loom.packet(True, 4, 9, data=b"line\n")
        send = loom.send("c", 5, data=b"line\n")
        assert (lost.causes, made(packet), packet.trust) == ([], [(seq(send), 4, 9)], "inferred")

    def test_a_send_whose_packet_is_late(self, loom: Loom) -> None:
        """Calls that wait for theirs are moved; one segment may carry both."""
        loom.open()
        first = loom.send("c", 4, data=b"both")
        second = loom.send("c", 5, data=b"line\n")
        one = loom.packet(True, 0, 2, data=b"bo")
        lost = loom.packet(True, 2, 5, data=b"xyz")
        mixed = loom.packet(True, 5, 13, data=b"thABline")
        assert (made(one), one.trust) == ([(seq(first), 0, 2)], "exact")
        assert (lost.causes, lost.trust) == ([], "unmatched")
        assert made(mixed) == [(seq(first), 5, 7)]
        third = loom.send("c", 5, data=b"final")
        late = loom.packet(True, 13, 20, data=b"??final")
        assert made(late) == [(seq(third), 15, 20)]
        assert [loom.settle(it) for it in (first, second, third)] == ["inferred", "unmatched", "inferred"]

    def test_a_recv(self, loom: Loom) -> None:
        """What the next got is behind that; what is nowhere is of no packet."""
        loom.open()
        loom.send("c", 12, data=b"helloxrecvms")
        one, two = loom.packet(True, 0, 5, data=b"hello"), loom.packet(True, 5, 12, data=b"xrecvms")
        wrong = loom.recv("s", 3, data=b"???")
        recv = loom.recv("s", 6, data=b"recvms")
        assert (got(one), got(two)) == ([], [(seq(recv), 6, 12)])
        assert (loom.settle(wrong), loom.settle(recv)) == ("unmatched", "inferred")

    def test_a_recv_before_its_packet(self, loom: Loom) -> None:
        """A packet with other bytes is not what it got."""
        loom.open()
        recv = loom.recv("s", 5, data=b"intoo")
        packet = loom.packet(True, 0, 5, data=b"hello")
        assert (got(packet), recv.packets) == ([], [])

    def test_several_processes(self, loom: Loom) -> None:
        """They count by themselves: nothing follows from what they say of bytes."""
        loom.open()
        tie = loom.weaver._ties.between("127.0.0.1:40000", "127.0.0.1:8080")
        assert tie is not None
        tie.directions[True].shared = True
        early = loom.packet(True, 0, 5, data=b"hello")
        send = loom.send("c", 5, data=b"other")
        recv = loom.recv("s", 5, data=b"other")
        assert (made(early), got(early)) == ([(seq(send), 0, 5)], [(seq(recv), 0, 5)])

    def test_what_recv_threw_away(self, loom: Loom) -> None:
        """With MSG_TRUNC its buffer holds anything."""
        loom.open()
        packet = loom.packet(True, 0, 5, data=b"hello")
        recv = loom.recv("s", 5, data=b"?????", flags="MSG_TRUNC")
        assert got(packet) == [(seq(recv), 0, 5)]
