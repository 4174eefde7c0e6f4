"""Which connection a call or a packet is of, and what becomes of those that are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from evloop_trace.packets.segments import SYN

from evloop.events.schema import Block, Close, Inherit, Listen, Recv, Send, Setsockopt

if TYPE_CHECKING:
    from conftest import Loom

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"
SECOND = 1_000_000_000


def test_the_same_addresses_again(loom: Loom) -> None:
    """Each connection has its own calls and packets."""
    for number in range(3):
        wire, c, s = loom.new_wire(), f"{number}c", f"{number}s"
        loom.connect(c)
        syn = loom.shake(wire)[0]
        loom.accept(s)
        send, packet = loom.send(c, 4), loom.packet(True, 0, 4, wire=wire)
        assert [it.seq for it in packet.causes] == [send.event.seq]
        assert (syn.strand.number, syn.strand.names) == (number, (c, s))
        loom.close(s, unread=4)
        loom.reset(False, wire=wire)
        loom.close(c)


def test_only_the_second_is_captured(loom: Loom) -> None:
    """The first is over when the SYN comes."""
    loom.connect("1c")
    loom.accept("1s")
    loom.close("1c")
    syn = loom.packet(True, flags=SYN)
    connect = loom.connect("2c", t=loom.t - 50_000, at=loom.t)
    assert (syn.strand.number, connect.strand.number) == (1, 1)
    assert loom.accept("2s").strand.number == 1


def test_only_the_first_is_recorded(loom: Loom) -> None:
    """An old connection of the capture is not that of a connect that begins later."""
    loom.shake()
    connect = loom.connect(t=loom.t + SECOND)
    assert connect.strand.number == 1


def test_mapped_addresses(loom: Loom) -> None:
    """IPv4 on an IPv6 socket is IPv4 on the wire."""
    loom.connect()
    loom.shake()
    accept = loom.accept(local="[::ffff:127.0.0.1]:8080", peer="[::ffff:127.0.0.1]:40000")
    assert (accept.strand.number, accept.trust) == (0, "exact")


def test_what_failed_has_no_address(loom: Loom) -> None:
    """It is the first that was asked in its time; if none was, it is one of its own."""
    loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:40009"))
    begin = loom.at(SECOND)
    syn = loom.packet(True, flags=SYN)
    block = loom.call(Block, "1c", awaits="connect", peer="127.0.0.1:9")
    connect = loom.connect("1c", None, errno="ETIMEDOUT", t=begin, dur=loom.t - begin, at=loom.t)
    assert (connect.strand, connect.trust) == (syn.strand, "inferred")
    assert block.strand is syn.strand
    second = loom.connect("2c", None, errno="ETIMEDOUT", t=begin, dur=loom.t - begin, at=loom.t)
    assert second.strand.number == 2
    goes_on = loom.connect("3c", None, errno="EINPROGRESS")
    option = loom.call(Setsockopt, "3c", level="SOL_SOCKET", option="SO_LINGER", value="1")
    assert goes_on.strand is None
    third = loom.connect("3c", "127.0.0.1:40003")
    assert goes_on.strand is option.strand is third.strand is not None
    late = loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:40003"))
    assert [it.seq for it in late.causes] == [goes_on.event.seq]


def test_nothing_is_ever_known(loom: Loom) -> None:
    """Calls of connections of which no address is told wait, but not for ever, and not very many."""
    loom.call(Block, "x", awaits="connect", peer=THERE)
    for number in range(300):
        assert loom.send("x", 1, off=(number, number + 1)).strand is None
    ties = loom.weaver._ties
    assert len(ties._pending["x"]) == 256
    loom.close("x")
    assert not ties._pending
    for number in range(17_000):
        loom.call(Recv, f"y{number}", n=1, off=(0, 1))
    assert len(ties._pending) == 16_384
    for number in range(300):
        loom.call(Block, f"z{number}", awaits="connect", peer=THERE)
    assert len(ties._asleep[THERE]) == 256
    for number in range(300):
        loom.close(f"z{number}")
    assert not ties._asleep


class TestUnix:
    """No addresses, and no packets."""

    def test_a_path(self, loom: Loom) -> None:
        """Both ends are one connection as soon as the logs say so, in any order."""
        connect = loom.connect("c:unix-1", "", "/run/x")
        accept = loom.accept("s:unix-2", "/run/x", "", names=("c:unix-1", "s:unix-2"))
        assert (connect.strand, connect.strand.proto) == (accept.strand, "unix")
        assert (connect.strand.names, connect.strand.server) == (("c:unix-1", "s:unix-2"), "/run/x")
        accept = loom.accept("s:unix-4", "/run/x", "")
        connect = loom.connect("c:unix-3", "", "/run/x", names=("c:unix-3", "s:unix-4"))
        assert connect.strand is accept.strand
        assert connect.strand.names == ("c:unix-3", "s:unix-4")
        assert loom.connect("c:unix-5", "/run/mine", "/run/x").strand.client == "/run/mine"

    def test_a_pair(self, loom: Loom) -> None:
        """socketpair(2) connects before anything is called."""
        names = ("unix-1", "unix-2")
        recv = loom.call(Recv, "unix-2", names=names, client=False)
        send = loom.call(Send, "unix-1", n=1, off=(0, 1), names=names, client=False)
        assert (send.strand, send.client, recv.client) == (recv.strand, True, False)
        assert (send.strand.proto, send.strand.names) == ("unix", names)
        assert loom.settle(send) == ""
        loom.close("unix-1", client=False)
        loom.close("unix-2", client=False)
        loom.connect(t=loom.t + 2 * SECOND)
        assert not loom.weaver._ties._resting


class TestProcesses:
    """Connections that several processes have."""

    def inherit(self, loom: Loom, name: str, address: str = THERE, peer: str = HERE) -> None:
        """A process has a connection from the beginning."""
        return loom.call(Inherit, name=name, proto="tcp", address=address, peer=peer, client=False)

    def test_a_child(self, loom: Loom) -> None:
        """Its calls are of the end that it has; the parent's close ends nothing."""
        loom.open()
        close = loom.close("s", last=False)
        child, other = self.inherit(loom, "2:s"), self.inherit(loom, "2:c", HERE, THERE)
        send = loom.send("2:s", 3, client=True)
        packet = loom.packet(False, 0, 3)
        end = loom.close("2:s")
        fin = loom.fin(False, 3)
        assert (child.client, other.client, send.client) == (False, True, False)
        assert [it.seq for it in packet.causes] == [send.event.seq]
        assert [it.seq for it in fin.causes] == [end.event.seq]
        assert (close.packets, packet.strand.names) == ([], ("c", "s"))
        assert packet.strand.others == ("2:s", "2:c")

    def test_parent_closes_first(self, loom: Loom) -> None:
        """Nobody can know by then that there is a child; the FIN shows whose it was."""
        loom.open()
        first = loom.close("s")
        self.inherit(loom, "2:s")
        second = loom.close("2:s")
        fin = loom.fin(False)
        assert ([it.seq for it in fin.causes], first.packets) == ([second.event.seq], [])

    def test_very_many(self, loom: Loom) -> None:
        """The first of them are named, each once."""
        loom.open()
        for number in (*range(100), *range(50)):
            child = self.inherit(loom, f"{number}:s")
        assert child.strand.others == tuple(f"{number}:s" for number in range(64))

    def test_both_send(self, loom: Loom) -> None:
        """Each counts for itself: together they are in the order of time."""
        loom.open()
        self.inherit(loom, "2:c", HERE, THERE)
        one, two = loom.send("2:c", 5), loom.send("c", 3)
        packets = loom.packet(True, 0, 5), loom.packet(True, 5, 8)
        assert [it.causes[0].seq for it in packets] == [one.event.seq, two.event.seq]
        assert (one.trust, two.trust) == ("inferred", "inferred")
        self.inherit(loom, "2:s")
        first, second = loom.recv("2:s", 4), loom.recv("s", 4)
        assert [(it.seq, it.begin, it.end) for it in packets[1].effects] == [(second.event.seq, 5, 8)]
        assert first.packets[0].end == 4
        close = loom.close("c")
        assert [it.seq for it in loom.fin(True, 8).causes] == [close.event.seq]

    def test_from_the_beginning(self, loom: Loom) -> None:
        """Whoever began to record later has only this."""
        entry = self.inherit(loom, "s")
        assert (entry.strand.client, entry.strand.server, entry.client) == (HERE, THERE, False)
        assert loom.call(Inherit, name="l", proto="tcp", address=THERE).strand is None


class TestOver:
    """What is over is let go, and only its strand stays."""

    def finish(self, loom: Loom) -> None:
        """Both ends are closed."""
        loom.close("c")
        loom.fin(True)
        loom.close("s")
        loom.fin(False)

    def later(self, loom: Loom) -> None:
        """Something else happens after some seconds."""
        loom.connect("later:c", "127.0.0.1:1", t=loom.t + 5 * SECOND)

    @pytest.mark.parametrize("recorded", [True, False])
    def test_all_is_told(self, loom: Loom, recorded: bool) -> None:
        """Both FINs were seen, and the ends that are recorded are closed."""
        if recorded:
            loom.open()
            self.finish(loom)
        else:
            loom.shake()
            loom.fin(True)
            loom.fin(False)
        ties = loom.weaver._ties
        loom.packet(True)
        assert loom.wire.number in ties._wires
        self.later(loom)
        assert (ties._wires, [*ties._places]) == ({}, [("127.0.0.1:1", THERE)])
        late = loom.packet(True, 1)
        assert (late.strand.number, late.trust, len(loom.weaver.strands)) == (0, "", 2)

    def test_an_accept_is_to_come(self, loom: Loom) -> None:
        """The client is gone before a server that is recorded has taken the connection."""
        loom.call(Listen, client=False, proto="tcp", address="0.0.0.0:8080", backlog=5)
        loom.call(Listen, client=False, proto="tcp", address=THERE, backlog=5, errno="EADDRINUSE")
        loom.connect()
        loom.shake()
        loom.close("c")
        loom.reset(True)
        self.later(loom)
        assert loom.accept().strand.number == 0

    def test_addresses_of_another(self, loom: Loom) -> None:
        """They stay with who has them now."""
        loom.open()
        self.finish(loom)
        connect = loom.connect("2c")
        self.later(loom)
        assert loom.accept("2s").strand is connect.strand

    def test_only_a_log(self, loom: Loom) -> None:
        """Without packets the calls tell."""
        loom.connect()
        loom.accept()
        loom.close("c")
        assert not loom.weaver._ties._resting
        loom.close("s")
        self.later(loom)
        assert len(loom.weaver._ties._places) == 1
        assert loom.call(Close, "unknown").strand is None

    def test_who_asked_in_vain(self, loom: Loom) -> None:
        """SYNs of nobody are forgotten when they are refused."""
        loom.packet(True, flags=SYN)
        loom.packet(True, flags=SYN, wire=loom.new_wire("127.0.0.1:40001"))
        loom.reset(False)
        self.later(loom)
        assert len(loom.weaver._ties._asking[THERE]) == 1


def test_nothing_is_left(loom: Loom) -> None:
    """Of a thousand connections after each other only the last are remembered."""
    for number in range(1000):
        loom.wire = loom.new_wire()
        c, s = f"{number}c", f"{number}s"
        loom.connect(c)
        loom.shake()
        loom.accept(s)
        loom.send(c, 3)
        loom.packet(True, 0, 3)
        loom.recv(s, 3)
        loom.close(c)
        loom.fin(True, 3)
        loom.close(s)
        loom.fin(False, t=loom.t + 20_000_000)
    ties = loom.weaver._ties
    assert len(loom.weaver.strands) == 1000
    assert len(ties._wires) < 60
    assert (len(ties._ends), len(ties._places), ties._asking, ties._pending) == (0, 1, {}, {})
