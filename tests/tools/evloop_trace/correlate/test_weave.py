"""The weave: what goes in comes out once, whatever it is, and links have two ends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.packets.segments import ACK, FIN, RST, SYN
from evloop_trace.states.schema import ReceiveReset, Retransmit, RetransmitSynAck, SendReset, Transition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evloop.events import schema

if TYPE_CHECKING:
    from conftest import Loom

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"
SECOND = 1_000_000_000


class TestKernel:
    """What the kernel says of which end."""

    def say(
        self, loom: Loom, kind: type, *rest: Any, local: str = HERE, peer: str = THERE, **more: Any
    ) -> Any:
        """It says so."""
        t = loom.at(None)
        return loom.weaver.state(t, kind(t, local, peer, *rest, **more))

    def test_both_ends(self, loom: Loom) -> None:
        """The end is told by its address."""
        loom.open()
        mine = self.say(loom, Transition, 1, "ESTABLISHED", "FIN-WAIT-1")
        its = self.say(loom, Transition, 2, "ESTABLISHED", "CLOSE-WAIT", local=THERE, peer=HERE)
        assert [(it.client, it.strand.number, it.old, it.new) for it in (mine, its)] == [
            (True, 0, "ESTABLISHED", "FIN-WAIT-1"),
            (False, 0, "ESTABLISHED", "CLOSE-WAIT"),
        ]
        listener = self.say(loom, Transition, 3, "CLOSED", "LISTEN", local=THERE, peer="0.0.0.0:0")
        assert (listener.strand, listener.client, listener.what) == (None, False, "state")

    def test_other_words(self, loom: Loom) -> None:
        """Retransmissions and resets, of which the kernel may say why."""
        loom.open()
        back = {"local": THERE, "peer": HERE}
        said = [
            self.say(loom, Retransmit, 1, "ESTABLISHED"),
            self.say(loom, RetransmitSynAck, 2, **back),
            self.say(loom, SendReset, reason="NO_SOCKET", **back),
            self.say(loom, ReceiveReset, 1),
        ]
        assert [(it.what, it.client, it.detail) for it in said] == [
            ("retransmit", True, ""),
            ("retransmit_synack", False, ""),
            ("send_reset", False, "NO_SOCKET"),
            ("receive_reset", True, ""),
        ]
        assert {it.strand.number for it in said} == {0}

    @pytest.mark.parametrize("before", ["nothing", "connect", "packet"])
    def test_before_the_syn(self, loom: Loom, before: str) -> None:
        """SYN-SENT begins the connection of the SYN that follows, or of what was just before."""
        if before == "connect":
            loom.connect()
        syn = loom.packet(True, flags=SYN) if before == "packet" else None
        said = self.say(loom, Transition, 1, "CLOSED", "SYN-SENT")
        syn = syn or loom.packet(True, flags=SYN)
        assert (said.client, said.strand) == (True, syn.strand)
        assert loom.connect("d" if before == "connect" else "c").strand.number == (before == "connect")

    def test_again(self, loom: Loom) -> None:
        """The same addresses, and another connection."""
        loom.open()
        loom.at(SECOND)
        said = self.say(loom, Transition, 2, "CLOSED", "SYN-SENT")
        assert said.strand.number == 1
        assert loom.packet(True, flags=SYN, wire=loom.new_wire()).strand.number == 1


class TestSettle:
    """What ought to be there and is not."""

    def test_only_while_packets_are_captured(self, loom: Loom) -> None:
        """What was sent before the capture began, or behind its end, is not missing from it."""
        loom.open()
        send, recv = loom.send("c", 5), loom.recv("s", 5)
        begin, end = send.t, recv.t + 10_000
        assert loom.settle(send, (end + 1, 1 << 64)) == ""
        assert loom.settle(send, (0, begin - 1)) == ""
        assert loom.settle(send, (begin, end)) == "unmatched"
        assert loom.settle(recv, (begin, end)) == "unmatched"
        assert loom.settle(loom.send("c", 0)) == ""

    def test_without_a_capture(self, loom: Loom) -> None:
        """Nothing is missing."""
        loom.connect()
        loom.accept()
        assert loom.settle(loom.send("c", 5)) == ""
        loom.weaver.settle(loom.weaver.state(1, ReceiveReset(1, HERE, THERE, 1)), (0, 1))


def test_a_send_that_is_reset(loom: Loom) -> None:
    """ECONNRESET of a send is told by the RST, as that of a recv."""
    loom.open()
    reset = loom.reset(False)
    send = loom.send("c", 0, n=None, off=None, errno="ECONNRESET")
    assert ([it.number for it in send.packets], reset.effects[0].ev) == ([4], "send")


def test_more_than_four_gigabytes(loom: Loom) -> None:
    """Offsets of a stream do not wrap."""
    loom.open()
    step = 1 << 30
    for at in range(0, 6 * step, step):
        send = loom.call(schema.Send, "c", n=step, off=(at, at + step))
        packet = loom.packet(True, at, at + step)
        recv = loom.call(schema.Recv, "s", n=step, off=(at, at + step))
        assert (packet.causes[0].seq, packet.effects[0].seq) == (send.event.seq, recv.event.seq)


# -- anything at all ---------------------------------------------------------------------------------

CONNS = ("1c", "1s", "2c", "2s")
PLACES = (HERE, THERE, "0.0.0.0:40000", "127.0.0.1:40001")
SIZES = st.integers(0, 40)
TIMES = st.integers(0, 3_000_000)
OFFSETS = st.tuples(SIZES, st.integers(0, 20))
CALLS = st.one_of(
    st.tuples(st.just(schema.Connect), st.fixed_dictionaries({
        "local": st.sampled_from([None, *PLACES]), "peer": st.sampled_from([None, *PLACES]),
        "errno": st.sampled_from([None, "EINPROGRESS", "ECONNREFUSED"]),
    })),
    st.tuples(st.just(schema.Accept), st.fixed_dictionaries({
        "sock": st.just("l"), "local": st.sampled_from(PLACES), "peer": st.sampled_from(PLACES),
    })),
    st.tuples(st.just(schema.Block), st.fixed_dictionaries({
        "awaits": st.sampled_from(["send", "connect", "recv"]), "size": SIZES,
        "peer": st.sampled_from([None, *PLACES]),
    })),
    st.tuples(st.sampled_from([schema.Send, schema.Recv]), st.fixed_dictionaries({
        "off": st.one_of(st.none(), OFFSETS), "flags": st.sampled_from(["", "MSG_OOB", "MSG_PEEK"]),
        "errno": st.sampled_from([None, "EAGAIN", "ECONNRESET"]),
    })),
    st.tuples(st.just(schema.Shutdown), st.fixed_dictionaries({
        "how": st.sampled_from(["SHUT_WR", "SHUT_RD"]),
    })),
    st.tuples(st.just(schema.Close), st.fixed_dictionaries({
        "sent": SIZES, "unread": st.sampled_from([None, 0, 3]),
    })),
    st.tuples(st.just(schema.Inherit), st.fixed_dictionaries({
        "address": st.sampled_from(PLACES), "peer": st.sampled_from(["", *PLACES]),
    })),
)  # fmt: skip
EVENTS = st.tuples(TIMES, st.sampled_from(CONNS), CALLS, st.booleans(), st.booleans())
FLAGS = st.sampled_from([SYN, SYN | ACK, ACK, FIN | ACK, RST, SYN | FIN, ACK | 32])
PACKETS = st.tuples(TIMES, st.integers(0, 4), st.booleans(), FLAGS, OFFSETS)


@given(st.lists(st.one_of(EVENTS, PACKETS), max_size=60))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything(loom: Loom, things: list[Any]) -> None:
    """No order of calls and packets is too strange: each comes out once, and every link has two ends."""
    loom = type(loom)()
    wires = [
        loom.new_wire(), loom.new_wire(), loom.new_wire(whole=False), loom.new_wire(THERE, HERE, whole=False),
        loom.new_wire(HERE, HERE),
    ]  # fmt: skip
    for step, *rest in things:
        if len(rest) == 4 and isinstance(rest[0], str):
            conn, (kind, fields), last, named = rest
            fields = {key: it for key, it in fields.items() if it is not None}
            if "off" in fields:
                begin, size = fields["off"]
                fields |= {"off": (begin, begin + size), "n": size}
            names = (("1c", "1s") if conn[0] == "1" else ("2c", "2s")) if named else ()
            if kind is schema.Inherit:
                loom.call(kind, "", t=loom.t + step, client=last, name=conn, proto="tcp", **fields)
            else:
                loom.call(kind, conn, t=loom.t + step, names=names, last=last, **fields)
        else:
            wire, client, flags, (begin, size) = rest
            loom.packet(client, begin, begin + size, flags, t=loom.t + step, wire=wires[wire])
    assert len(loom.entries) == len(things)
    forth, back = Counter(), Counter()
    for entry in loom.entries:
        loom.settle(entry)
        if isinstance(entry, PacketEntry):
            for ref in entry.causes + entry.effects:
                forth[entry.packet.number, ref.seq, ref.begin, ref.end] += 1
        elif isinstance(entry, CallEntry):
            for it in entry.packets:
                back[it.number, entry.event.seq, it.begin, it.end] += 1
    assert forth == back
    numbers = [strand.number for strand in loom.weaver.strands]
    assert numbers == list(range(len(numbers)))
