"""What a start costs: `--help`, and a server that nobody traces, load nothing that they do not need."""

from __future__ import annotations

import functools
import os
import re
import struct
import sys

import pytest

HEAVY = {"rich", "scapy", "textual", "msgspec", "selectors", "socket", "asyncio", "subprocess"}


@pytest.fixture
def python(run):
    """Run a module to its end, and have its imports told; measuring coverage would add its own."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return functools.partial(run, sys.executable, "-X", "importtime", "-m", env=env)


def loaded(stderr):
    """Top-level modules that -X importtime names."""
    names = re.findall(r"^import time:.*\| +([\w.]+)$", stderr, re.MULTILINE)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("command", [["evloop"], ["evloop", "serve"], ["evloop", "client"]])
def test_help_of_evloop(python, command):
    """Help loads click and nothing that talks or draws."""
    name, *rest = command
    result = python(name, *rest, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ")
    assert "click" in loaded(result.stderr)
    assert not loaded(result.stderr) & HEAVY


@pytest.mark.parametrize("command", [[], ["replay"], ["check"], ["stats"], ["watch"], ["packets"]])
def test_help_of_evloop_trace(python, command):
    """The same for the tools."""
    result = python("evloop_trace", *command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("Usage: ")
    assert not loaded(result.stderr) & {"rich", "scapy", "textual", "msgspec", "asyncio"}


def test_scapy_waits_until_it_is_needed(python, tmp_path):
    """It takes longer to load than most captures take to analyse."""
    path = tmp_path / "a.pcap"
    path.write_bytes(
        struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 99, 1) + struct.pack("<IIII", 1, 1, 4, 4) + b"abcd"
    )
    for options, needed in (
        ([], False),
        (["--json"], False),
        (["--packet", "9"], False),
        (["--packet", "1"], True),
    ):
        result = python("evloop_trace", "packets", str(path), *options)
        assert ("scapy" in loaded(result.stderr)) == needed, options
        assert ("payload  4 B" in result.stdout) == needed


def test_versions(run):
    """Both commands tell their version, the same one."""
    versions = [
        run(sys.executable, "-m", module, "--version").stdout.split()[-1]
        for module in ("evloop", "evloop_trace")
    ]
    assert versions[0] == versions[1]
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", versions[0])


def test_a_client_loads_no_drawing(serve, python):
    """Neither does a client that talks."""
    server = serve("--tcp", "127.0.0.1:0")
    result = python("evloop", "client", server.address("tcp"), "hello")
    assert result.stdout == "HELLO\n"
    assert not loaded(result.stderr) & {"rich", "scapy", "textual", "asyncio", "subprocess"}
