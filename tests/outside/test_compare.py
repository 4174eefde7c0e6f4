"""`evloop-trace compare`: the same clients at real servers of two kinds."""

from __future__ import annotations

import json
import select
import socket
import sys

import pytest

SECONDS = 30
COMPARE = (sys.executable, "-P", "-m", "evloop_trace", "compare")


def record(serve, model):
    """Serve three clients who come together; each speaks twice, and only then is the next one's turn."""
    log = f"{model}.jsonl"
    server = serve("--model", model, "--tcp", "127.0.0.1:0", "--log", log)
    clients = []
    for at in range(3):
        client = socket.create_connection(("127.0.0.1", server.port()), SECONDS)
        client.sendall(b"I am %d" % at)
        clients.append(client)
    for at, client in enumerate(clients):
        assert client.recv(100) == b"I AM %d" % at
        # Not to wait for anything: to keep those behind it waiting, for long enough to be told of.
        assert select.select([client], [], [], 0.1) == ([], [], [])
        client.sendall(b"good bye")
        assert client.recv(100) == b"GOOD BYE"
        client.close()
    assert server.stop() == 0
    return log


@pytest.mark.parametrize("other", ["threaded", "loop"])
def test_compare(serve, run, other):
    """Who comes second waits for the first where one is served after the other, and nowhere else."""
    logs = [record(serve, model) for model in ("sequential", other)]
    done = run(*COMPARE, *logs, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["matched_by"] == "greeting"
    assert [log["most"] for log in found["logs"]] == [1, 3]
    assert found["logs"][0]["waited"] >= 2
    assert found["logs"][1]["queue"]["max_ns"] < found["logs"][0]["queue"]["max_ns"]
    _, second, third = (pair["in"][0] for pair in found["clients"])
    assert 0.09e9 < second["queue_ns"] < third["queue_ns"] - 0.09e9
    assert second["because"] == 'recv() on "I am 0"'
    assert third["because"] == "recv() on 2 others"
    assert "because its one thread was in recv() on the clients before them" in found["differences"][0]
    page = run(*COMPARE, *logs)
    assert (page.returncode, page.stderr) == (0, "")
    assert page.stdout.count("█") >= 12
    assert "░" in page.stdout
