"""Connections that are known to be open: as a snapshot tells, and behind packets that were passed over."""

from __future__ import annotations

from typing import Any

from evloop.events.schema import ConnectionState, ListenerState, Recv, Send, Snapshot

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


def state(*connections: ConnectionState) -> Snapshot:
    """With a listener and a datagram socket."""
    listeners = [ListenerState("l", 5, "tcp", THERE), ListenerState("udp-1", 6, "udp", "127.0.0.1:9")]
    return Snapshot(-1, 0, 0, listeners, list(connections), len(connections), 0)


def conn(name: str, peer: str, local: str, sock: str = "") -> ConnectionState:
    """100 bytes came, 50 went."""
    return ConnectionState(name, 7, peer, local, 0, 100, 50, 0, "READ", sock)


def test_a_snapshot_tells_who_is_whose_client(loom: Any) -> None:
    """What came through a listener is a server's end; twice told is told once."""
    server, client = conn("s", HERE, THERE, "l"), conn("c", "127.0.0.1:7", "127.0.0.1:40001")
    unix = conn("unix-1", "", "/run/x", "l")
    for _ in range(2):
        loom.weaver.know(state(server, client, unix))
    strands = loom.weaver.strands
    assert [it.names for it in strands] == [("", "s"), ("c", ""), ("", "unix-1")]
    assert [it.proto for it in strands] == ["tcp", "tcp", "unix"]
    assert strands[1].client == "127.0.0.1:40001"
    got = loom.call(Recv, "s", n=5, off=(100, 105), data=b"later")
    assert (got.strand, got.client) == (strands[0], False)


def test_a_snapshot_names_what_the_capture_has_seen(loom: Any) -> None:
    """A connection that is over is not meant: its addresses have come again."""
    wire = loom.new_wire(whole=False)
    first = loom.packet(True, 0, 5, wire=wire)
    loom.weaver.know(state(conn("s", HERE, THERE, "l")))
    assert first.strand.names == ("", "s")
    loom.close("s")
    loom.weaver.know(state(conn("s2", HERE, THERE, "l")))
    assert [it.names for it in loom.weaver.strands] == [("", "s"), ("", "s2")]


def test_both_ends_of_what_is_open_go_on(loom: Any) -> None:
    """As one connection; what is over is forgotten, and so are datagrams that nobody has read."""
    loom.open()
    loom.call(Send, "a", client=True, names=("a", "b"), n=3, size=3, off=(0, 3))
    before = loom.weaver.strands[0]
    loom.weaver.begin_anew()
    (tcp, unix) = loom.weaver.strands
    assert (tcp.names, unix.names) == (("c", "s"), ("a", ""))
    assert (before.number, tcp.number, unix.number) == (0, 2, 3)
    wire = loom.new_wire(whole=False)
    loom.packet(False, 300, wire=wire)
    sent = loom.send("c", 5, data=b"hello")
    packet = loom.packet(True, 700, 705, wire=wire, data=b"hello")
    assert packet.strand is sent.strand is tcp
    assert [it.seq for it in packet.causes] == [sent.event.seq]


def test_skipped_calls_of_nobody(loom: Any) -> None:
    """A call of which nothing is known, or that failed, says nothing of a stream."""
    loom.open()
    loom.weaver.skip(Send(1, 0, 0, 0, "nobody", 3, 5, 5, (0, 5)))
    loom.weaver.skip(Send(1, 0, 0, 0, "c", 3, 5, None, None))
    loom.weaver.skip(Send(1, 0, 0, 0, "c", 3, 5, 5, (0, 5)))
    loom.weaver.skip(Recv(1, 0, 0, 0, "s", 3, 5, 5, (0, 5)))
    tie, client = loom.weaver._ties.called("c")
    assert client
    assert (tie.directions[True].sent, tie.directions[True].taken) == (5, 5)
