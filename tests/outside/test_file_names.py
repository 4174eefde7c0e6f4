"""A file's name is bytes, and need not be text: whoever is given one reads it, writes it, and says it."""

from __future__ import annotations

import json
import os
import sys

import pytest

TRACE = (sys.executable, "-P", "-m", "evloop_trace")
EVLOOP = (sys.executable, "-P", "-m", "evloop")
NOT_TEXT = os.fsdecode(b"a\xff")
SPELT = r"a\xff"  # in JSON, which holds only text
ASKS = "import socket; a, b = socket.socketpair(); a.send(b'x'); b.recv(1)"


@pytest.fixture
def logs(serve, run):
    """A server's, and its client's."""
    server = serve("--tcp", "127.0.0.1:0", "--log", f"{NOT_TEXT}.jsonl")
    client = run(*EVLOOP, "client", "--log", f"{NOT_TEXT}-client.jsonl", server.address("tcp"), "hello")
    assert client.returncode == 0
    assert server.stop() == 0
    return f"{NOT_TEXT}.jsonl", f"{NOT_TEXT}-client.jsonl"


def test_logs_that_are_looked_at(logs, run):
    """By each command; in JSON the name is text."""
    log, client = logs

    def found(*words):
        result = run(*TRACE, *words)
        assert result.returncode in (0, 1), result
        assert "Traceback" not in result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()] if "--json" in words else None

    assert [found(command, "--json", log)[0]["log"] for command in ("check", "lint")] == [
        f"{SPELT}.jsonl"
    ] * 2
    (compared,) = found("compare", "--json", log, log)
    assert [it["log"] for it in compared["logs"]] == [f"{SPELT}.jsonl"] * 2
    *entries, strand = found("timeline", "--json", log, client)
    assert {it.get("log") for it in entries} == {SPELT, f"{SPELT}-client"}
    assert strand["names"] == [f"{SPELT}-client:tcp-1", f"{SPELT}:tcp-1"]
    assert found("why", "--json", log, client) == [[]]
    for words in (
        ("stats",),
        ("why",),
        ("replay",),
        ("picture", "-o", f"{NOT_TEXT}.svg"),
        ("rerun",),
        ("lint",),
    ):
        found(*words, log)


@pytest.mark.needs("ptrace")
def test_a_command_that_is_audited(serve, run):
    """Its words are told as text."""
    server, name = serve("--tcp", "127.0.0.1:0"), f"{NOT_TEXT}.jsonl"
    words = (*EVLOOP, "client", "--log", name, server.address("tcp"), "hello")
    result = run(*TRACE, "audit", "--json", "--", *words)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert (report["log"], report["command"][-3]) == (f"{SPELT}.jsonl", f"{SPELT}.jsonl")


@pytest.mark.parametrize(("folder", "log"), [(NOT_TEXT, "log"), (".", NOT_TEXT)])
def test_a_program_that_is_run(run, tmp_path, folder, log):
    """Its log is where it was asked for, to the byte, and so is its child's."""
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "asks.py").write_text(ASKS)
    program = f"{ASKS}; import subprocess, sys; subprocess.run([sys.executable, 'asks.py'], check=True)"
    (tmp_path / folder / "twice.py").write_text(program)
    result = run(*TRACE, "run", "--log", log, "twice.py", cwd=tmp_path / folder)
    assert (result.returncode, result.stderr) == (0, "")
    found = sorted(path.name for path in (tmp_path / folder).iterdir() if path.name.startswith(log))
    assert found[0] == log
    assert len(found) == 2
    for name in found:
        assert "nothing is wrong" in run(*TRACE, "check", os.path.join(folder, name)).stdout
