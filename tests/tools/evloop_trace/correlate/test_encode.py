"""Entries as lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evloop_trace.correlate.encode import entry_line, strand_line
from evloop_trace.packets.segments import ACK, SYN
from evloop_trace.states.schema import SendReset, Transition

from evloop.events.schema import Poll

if TYPE_CHECKING:
    from conftest import Loom

HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


def line(entry: Any) -> dict[str, Any]:
    """What its line says."""
    text = entry_line(entry, ["client", "server"])
    assert text.endswith(b"\n")
    return json.loads(text)


def test_calls_and_packets(loom: Loom) -> None:
    """A link is told on both ends."""
    loom.open()
    send, packet = loom.send("c", 5), loom.packet(True, 0, 5, ACK | 8, ack=0, window=100)
    again = loom.packet(True, 0, 5)
    send.reasons.append("because")
    call = line(send)
    assert call["event"]["ev"] == "send"
    assert {key: call[key] for key in ("lane", "log", "conn", "link", "packets", "reasons")} == {
        "lane": "client",
        "log": "client",
        "conn": 0,
        "link": "exact",
        "packets": [{"number": 4, "begin": 0, "end": 5}],
        "reasons": ["because"],
    }
    it = line(packet)
    assert it["causes"] == [{"log": "client", "seq": 3, "ev": "send", "begin": 0, "end": 5}]
    assert (it["lane"], it["from"], it["proto"], it["flags"]) == ("wire", "client", "tcp", ["PSH", "ACK"])
    assert (it["bytes"], it["ack"], it["window"], it["effects"]) == ([0, 5], 0, 100, [])
    assert "original" not in it
    assert (line(again)["link"], line(again)["original"]) == ("again", 4)
    loose = loom.call(Poll, client=False, timeout=None, why="", ready=[])
    assert (line(loose)["lane"], line(loose)["conn"]) == ("server", None)


def test_other_packets(loom: Loom) -> None:
    """A datagram has no flags; an ICMP error says what it says."""
    wire = loom.new_wire(proto="udp", whole=False)
    datagram = line(loom.packet(False, 0, 5, 0, wire=wire))
    assert (datagram["proto"], datagram["from"], "flags" in datagram) == ("udp", "server", False)
    error = line(loom.packet(True, wire=wire, error="port unreachable"))
    assert (error["proto"], error["error"]) == ("icmp", "port unreachable")


def test_the_kernel(loom: Loom) -> None:
    """A transition, and a reset with its reason."""
    said = line(loom.weaver.state(5, Transition(5, HERE, THERE, 1, "CLOSED", "SYN-SENT")))
    assert said == {
        "t": 5, "lane": "kernel", "what": "state", "end": "client", "old": "CLOSED", "new": "SYN-SENT",
        "conn": 0,
    }  # fmt: skip
    reset = line(loom.weaver.state(6, SendReset(6, THERE, HERE, reason="NO_SOCKET")))
    assert (reset["what"], reset["end"], reset["detail"]) == ("send_reset", "server", "NO_SOCKET")


def test_connections(loom: Loom) -> None:
    """What is known of each, and where its packets begin; of UDP that means nothing."""
    loom.packet(True, flags=SYN)
    loom.packet(True, wire=loom.new_wire("127.0.0.1:40001", whole=False))
    loom.packet(True, wire=loom.new_wire(proto="udp", whole=False))
    loom.connect("x", "127.0.0.1:40002")
    lines = [json.loads(strand_line(strand)) for strand in loom.weaver.strands]
    assert [it["packets_from"] for it in lines] == ["the beginning", "the middle", None, None]
    assert lines[0] == {
        "lane": "connection", "conn": 0, "proto": "tcp", "client": HERE, "server": THERE, "names": ["", ""],
        "packets_from": "the beginning", "link": "",
    }  # fmt: skip
