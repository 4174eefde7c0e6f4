"""`evloop-trace timeline --json` from outside: real programs, a real capture, and every link checked."""

from __future__ import annotations

import json
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

    def start(*options: str, code: int = 0) -> tuple[list[dict[str, Any]], str]:
        done = run(*TRACE, "timeline", "--json", *options)
        assert done.returncode == code, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return start


def test_every_segment_of_a_thousand_connections(lab: Lab, lay: Callable[..., Any]) -> None:
    """Mixed sends: each data segment has its send and its recv by offsets, 0 wrong, 0 unmatched."""
    server = lab.serve(
        "--tcp", "127.0.0.1:8080", "--log", "server.jsonl", "--payload", "none", "--capture", "run.pcapng"
    )
    done = lab.run(
        *TRACE, "run", "--log", "client.jsonl", "--payload", "none", str(CLIENT), "8080", str(CONNECTIONS)
    )
    assert done.returncode == 0, done.stderr
    assert server.stop() == 0
    assert "none dropped" in server.said[-1]

    lines, said = lay("client.jsonl", "server.jsonl", "--packets", "run.pcapng")
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


def _ranges(calls: Any, ev: str) -> dict[str, list[tuple[int, int, int]]]:
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for call in calls:
        event = call["event"]
        if event["ev"] == ev and event.get("n"):
            found[event["conn"]].append((*event["off"], event["seq"]))
    return {name: sorted(ranges) for name, ranges in found.items()}
