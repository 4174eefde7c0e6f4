"""Link-local addresses, which mean something only together with an interface: served, called, and shown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces")

EVLOOP = (sys.executable, "-P", "-m", "evloop")

# In a network of its own loopback gets fe80::1: the address is there at once, and leads nowhere.
SCRIPT = """
import fcntl, socket, struct, subprocess, sys
EVLOOP = [sys.executable, "-P", "-m", "evloop"]
SIOCSIFADDR = 0x8916  # struct in6_ifreq, linux/ipv6.h
request = struct.pack("=16sIi", socket.inet_pton(socket.AF_INET6, "fe80::1"), 64, socket.if_nametoindex("lo"))
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, SIOCSIFADDR, request)
where = "[fe80::1%lo]:9003"
server = subprocess.Popen(
    [*EVLOOP, "serve", "--tcp", where, "--udp", where, "--log", "server.jsonl"],
    stderr=subprocess.PIPE,
    text=True,
)
try:
    listening = 0
    while listening < 2 and (line := server.stderr.readline()):
        if line.startswith("listening "):
            listening += 1
            print(line, end="", flush=True)
    for target in ("tcp:" + where, "udp:" + where, "tcp:[fe80::1%1]:9003"):
        log = target.partition(":")[0] + ".jsonl"
        subprocess.run([*EVLOOP, "client", "--log", log, target, "hello"], check=True, timeout=60)
    again = subprocess.run([*EVLOOP, "serve", "--tcp", where], stderr=subprocess.PIPE, text=True, timeout=60)
    print(again.stderr, end="")
finally:
    server.terminate()
    server.wait()
"""


def events(path: Path, *kinds: str) -> list[dict[str, object]]:
    """Those of some kinds."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [event for event in lines if event["ev"] in kinds]


def test_link_local_addresses(run: Run, tmp_path: Path) -> None:
    """Bound and called with their interface, by name and by number; the log has the number."""
    done = run(*EVLOOP, "lab", "--", sys.executable, "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert sorted(said[:2]) == ["listening tcp [fe80::1%1]:9003", "listening udp [fe80::1%1]:9003"]
    assert said[2:5] == ["HELLO"] * 3
    assert said[5].startswith("evloop: [fe80::1%lo]:9003 is in use")

    server = tmp_path / "server.jsonl"
    addresses = [event["address"] for event in events(server, "listen", "bind")]
    assert addresses == ["[fe80::1%1]:9003"] * 2
    peers = [event["peer"] for event in events(server, "accept", "recvfrom", "sendto") if event.get("peer")]
    assert len(peers) == 4
    assert all(str(peer).startswith("[fe80::1%1]:") for peer in peers)
    (connect,) = events(tmp_path / "tcp.jsonl", "connect")
    assert (connect["peer"], connect["local"]) == ("[fe80::1%1]:9003", peers[-1])


def test_what_is_bound_to_nothing(run: Run) -> None:
    """Without an interface, and with one that is not there: a sentence each, and no traceback."""
    for where, words in (
        ("[fe80::1]:9003", "say on which, as in [fe80::1%eth0]:9003"),
        ("[fe80::1%nowhere]:9003", "[fe80::1%nowhere]:9003 needs a link-local address, and an interface"),
        ("[fe80::1%]:9003", "write it as [fe80::1%eth0]:8080"),
    ):
        done = run(*EVLOOP, "serve", "--tcp", where)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())
        called = run(*EVLOOP, "client", where, "x")
        assert called.returncode in {1, 2}
        assert words in " ".join(called.stderr.split())
        assert "Traceback" not in done.stderr + called.stderr
