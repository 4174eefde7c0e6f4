"""`evloop-trace timeline --json` from outside: real programs, a real capture, and every link checked."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Lab

pytestmark = pytest.mark.needs("namespaces", "nsenter", "ip")

TRACE = (sys.executable, "-P", "-m", "evloop_trace")
CLIENT_OF_OURS = (sys.executable, "-P", "-m", "evloop", "client")
CLIENT = Path(__file__).parent / "programs" / "mixed_sends.py"
CONNECTIONS = 1000


@pytest.fixture
def lay(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., tuple[list[dict[str, Any]], str]]:
    """The objects of a timeline, and what was said about it."""

    def start(*options: str, code: int = 0, **how: object) -> tuple[list[dict[str, Any]], str]:
        done = run(*TRACE, "timeline", "--json", *options, **how)
        assert done.returncode == code, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return start


@pytest.mark.timeout(240)
def test_every_segment_of_a_thousand_connections(lab: Lab, lay: Callable[..., Any]) -> None:
    """Mixed sends: each data segment has its send and its recv by offsets, 0 wrong, 0 unmatched."""
    server = lab.serve(
        "--tcp", "127.0.0.1:8080", "--log", "server.jsonl", "--payload-max", "0", "--capture", "run.pcapng"
    )
    done = lab.run(
        *TRACE, "run", "--log", "client.jsonl", "--payload", "none", str(CLIENT), "8080", str(CONNECTIONS)
    )
    assert done.returncode == 0, done.stderr
    assert server.stop() == 0
    assert "none dropped" in server.said[-1]

    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}  # too slow
    lines, said = lay("client.jsonl", "server.jsonl", "--packets", "run.pcapng", env=plain, seconds=100)
    assert "0 by inference; 0 not matched" in said
    calls = {(it["log"], it["event"]["seq"]): it for it in lines if it["lane"] in {"client", "server"}}
    packets = {it["packet"]: it for it in lines if it["lane"] == "wire"}
    connections = {it["conn"]: it for it in lines if it["lane"] == "connection"}
    assert len(connections) == CONNECTIONS
    assert all(it["link"] == "exact" and all(it["names"]) for it in connections.values())

    sends, recvs = _ranges(calls.values(), "send"), _ranges(calls.values(), "recv")
    data = [it for it in packets.values() if it["bytes"][0] < it["bytes"][1]]
    assert len(data) > 2 * CONNECTIONS
    for packet in data:
        if packet["link"] == "again":  # a tail-loss probe, say: what it carries was carried before
            assert packets[packet["original"]]["bytes"][0] < packet["bytes"][1]
            assert packet["notes"]
            continue
        names = connections[packet["conn"]]["names"]
        sender, receiver = names if packet["from"] == "client" else names[::-1]
        for refs, ranges, name in (
            (packet["causes"], sends, sender),
            (packet["effects"], recvs, receiver),
        ):
            begin, end = packet["bytes"]
            wanted = [
                (max(low, begin), min(high, end), seq)
                for low, high, seq in ranges[name]
                if low < end and begin < high
            ]
            assert sorted((it["begin"], it["end"], it["seq"]) for it in refs if it["end"] <= end) == wanted
            assert wanted[0][0] == begin
            assert wanted[-1][1] == end
        assert packet["link"] == "exact"
    for call in calls.values():  # a link has two ends
        for ref in call["packets"]:
            ends = packets[ref["number"]]["causes"] + packets[ref["number"]]["effects"]
            assert any((it["log"], it["seq"]) == (call["log"], call["event"]["seq"]) for it in ends)
    for kind, flag in (("connect", "SYN"), ("accept", "ACK")):
        for call in (it for it in calls.values() if it["event"]["ev"] == kind and it["event"].get("conn")):
            assert flag in packets[call["packets"][0]["number"]]["flags"]
            assert call["link"] == "exact"


class Laid:
    """A timeline, looked at by servers' ports."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines
        self.packets = {it["packet"]: it for it in lines if it["lane"] == "wire"}
        self.calls = [it for it in lines if it["lane"] in {"client", "server"}]

    def connections(self, port: int) -> list[dict[str, Any]]:
        """Those to this port."""
        found = [it for it in self.lines if it["lane"] == "connection"]
        return [it for it in found if it["server"].endswith(f":{port}")]

    def of(self, port: int, *kinds: str) -> list[dict[str, Any]]:
        """The calls of these kinds."""
        numbers = [it["conn"] for it in self.connections(port)]
        return [it for it in self.calls if it["conn"] in numbers and it["event"]["ev"] in kinds]

    def flags(self, port: int, flag: str) -> list[dict[str, Any]]:
        """The packets with this flag."""
        numbers = [it["conn"] for it in self.connections(port)]
        found = self.packets.values()
        return [it for it in found if it["conn"] in numbers and flag in it.get("flags", ())]


def refs(packet: dict[str, Any], side: str = "causes") -> list[tuple[str, int, int]]:
    """Which calls a packet is linked with, and by which bytes."""
    return [(it["ev"], it["begin"], it["end"]) for it in packet[side]]


@pytest.fixture
def hard(lab: Lab, lay: Callable[..., Any]) -> tuple[Laid, str]:
    """What `hard_cases.py` did."""
    capture = lab.capture("-w", "hard.pcapng")
    done = lab.run(*TRACE, "run", "--log", "hard.jsonl", str(CLIENT.with_name("hard_cases.py")))
    assert done.returncode == 0, done.stderr
    assert capture.stop() == 0
    assert "none dropped" in capture.said[-1]
    lines, said = lay("hard.jsonl", "--packets", "hard.pcapng")
    return Laid(lines), said


def test_hard_cases(hard: tuple[Laid, str]) -> None:
    """Whatever programs do to sockets: nothing is unmatched, and who did what is right."""
    laid, said = hard
    assert "; 0 not matched" in said
    assert not [it for it in laid.lines if it.get("link") == "unmatched"]
    for check in (_streams, _endings, _openings, _datagrams, _processes):
        check(laid)


def _streams(laid: Laid) -> None:
    big = [it for it in laid.of(9001, "send") if it["event"]["n"] == 8_000_000]
    assert len(big) == 1
    assert [it["event"]["awaits"] for it in laid.of(9001, "block") if it["event"]["awaits"] == "send"] == [
        "send"
    ]
    sizes = [it["end"] - it["begin"] for it in big[0]["packets"]]
    assert sum(sizes) == 8_000_000
    assert len(sizes) > 100
    made = {it["packet"] for it in laid.packets.values() if (big[0]["event"]["seq"]) in _seqs(it)}
    assert made == {it["number"] for it in big[0]["packets"]}
    peeked, read = (it["packets"] for it in laid.of(9002, "recv")[:2])
    assert [(it["begin"], it["end"]) for it in peeked + read] == [(0, 3), (0, 5)]
    sent = [(it["packets"][0]["begin"], it["packets"][0]["end"]) for it in laid.of(9003, "send")]
    got = [(it["packets"][0]["begin"], it["packets"][0]["end"]) for it in laid.of(9003, "recv")]
    assert (sent, got) == ([(0, 2), (2, 3), (3, 5)], [(0, 2), (3, 5)])  # the byte between is urgent
    for port, host in ((9010, "[::1]"), (9011, "127.0.0.1")):
        (connection,) = laid.connections(port)
        assert connection["client"].startswith(host)
        assert {it["link"] for it in laid.of(port, "connect", "accept", "send", "recv", "close")} == {"exact"}
    first, *_ = (it for it in laid.flags(9012, "PSH"))
    assert (refs(first), refs(first, "effects")) == ([("send", 0, 2)], [("recv", 0, 2)])


def _seqs(packet: dict[str, Any]) -> list[int]:
    return [it["seq"] for it in packet["causes"]]


def _endings(laid: Laid) -> None:
    mine, its = laid.flags(9004, "FIN")
    assert (refs(mine), refs(its)) == ([("shutdown", 8, 9)], [("close", 6, 7)])
    assert [refs(it, "effects") for it in (mine, its)] == [[("recv", 8, 9)], [("recv", 6, 7)]]
    for port, link in ((9005, "exact"), (9006, "inferred"), (9009, "inferred")):
        (reset,) = laid.flags(port, "RST")
        assert [it[0] for it in refs(reset) + refs(reset, "effects")] == ["close", "recv"]
        assert reset["link"] == link
    (reset,) = laid.flags(9007, "RST")
    assert (reset["causes"], reset["link"]) == ([], "")  # of the kernel, which has no socket for what came


def _openings(laid: Laid) -> None:
    (connection,) = laid.connections(9008)
    assert connection["client"].startswith("127.0.0.1:")
    (connect,) = laid.of(9008, "connect")
    flags = [laid.packets[it["number"]]["flags"] for it in connect["packets"]]
    assert (connect["event"]["errno"], flags) == ("ECONNREFUSED", [["SYN"], ["RST", "ACK"]])
    again = laid.connections(9013)
    assert len(again) == 3
    assert len({name for it in again for name in it["names"]}) == 6
    assert [it["packets"][0]["number"] for it in laid.of(9013, "send")] == [
        it["packet"] for it in laid.flags(9013, "PSH")
    ]


def _datagrams(laid: Laid) -> None:
    connections = laid.connections(9014)
    assert [it["link"] for it in connections] == ["inferred"] * 3
    assert all(all(it["names"]) and it["packets_from"] is None for it in connections)
    assert all(len(it["packets"]) == 1 for it in laid.of(9014, "sendto", "recvfrom"))
    cut = next(it for it in laid.packets.values() if it["bytes"] == [0, 9] and it["proto"] == "udp")
    assert refs(cut, "effects") == [("recvfrom", 0, 4)]
    (told,) = laid.of(9015, "recvfrom")
    assert (told["event"]["errno"], laid.packets[told["packets"][0]["number"]]["proto"]) == (
        "ECONNREFUSED",
        "icmp",
    )
    unix = [it for it in laid.lines if it["lane"] == "connection" and it["proto"] == "unix"]
    assert [all(it["names"]) for it in unix] == [True, True]
    assert {it["server"] for it in unix} == {"", "hard.sock"}


def _processes(laid: Laid) -> None:
    sent = [(it["log"], it["packets"][0]["begin"], it["packets"][0]["end"]) for it in laid.of(9016, "send")]
    assert sent[1:] == [("hard", 7, 15)]
    assert (sent[0][0] != "hard", sent[0][1:]) == (True, (0, 7))


def test_a_capture_that_begins_late(lab: Lab, lay: Callable[..., Any]) -> None:
    """In the middle of a connection, and it ends before the log does: what can be known is inferred."""
    program = CLIENT.with_name("captured_late.py")
    done = lab.run(*TRACE, "run", "--log", "late.jsonl", str(program), "late.pcapng", *TRACE)
    assert done.returncode == 0, done.stderr
    lines, said = lay("late.jsonl", "--packets", "late.pcapng")
    assert "by inference; 0 not matched" in said
    assert "1 of the log's 2 connections are not in late.pcapng" in said
    laid = Laid(lines)
    first, second = laid.connections(9001)
    assert [(it["packets_from"], it["link"]) for it in (first, second)] == [
        ("the middle", "inferred"),
        (None, ""),
    ]
    sends = laid.of(9001, "send")
    assert [it["link"] for it in sends] == [""] * 3 + ["inferred"] * 3 + [""]
    for call in sends[3:6] + [it for it in laid.of(9001, "recv") if it["link"]]:
        begin, end = call["event"]["off"]
        (ref,) = call["packets"]
        assert (ref["begin"], ref["end"]) == (begin, max(end, begin + 1))
        low, high = laid.packets[ref["number"]]["bytes"]
        assert high - low == end - begin


def _ranges(calls: Any, ev: str) -> dict[str, list[tuple[int, int, int]]]:
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for call in calls:
        event = call["event"]
        if event["ev"] == ev and event.get("n"):
            found[event["conn"]].append((*event["off"], event["seq"]))
    return {name: sorted(ranges) for name, ranges in found.items()}
