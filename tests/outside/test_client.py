"""`evloop client`, as a process: what it says, how it ends, and what it makes of servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SECONDS = 30
SAID, ANSWERED = "hello la 哈哈哈", "HELLO LA 哈哈哈\n"


@pytest.fixture
def server(serve):
    """A server of every kind."""
    return serve("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--unix", "here.sock", "--log", "log.jsonl")


@pytest.fixture
def misbehave():
    """A server that does as told with its one connection; gives its address."""
    listeners, threads = [], []

    def start(behave):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(SECONDS)

        def serve_one():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(SECONDS)
                    behave(connection)

        listeners.append(listener)
        threads.append(threading.Thread(target=serve_one))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(SECONDS)
    for listener in listeners:
        listener.close()


def fails(result):
    """The one sentence of a client that began and failed."""
    assert result.returncode == 1, result
    (line,) = result.stderr.splitlines()
    assert line.startswith("evloop: ")
    return line


# -- talking --------------------------------------------------------------------------------


def test_every_kind_of_address(server, evloop, tmp_path):
    """TCP, UDP and Unix, with and without their scheme."""
    tcp, udp = server.address("tcp"), server.address("udp")
    for address in (
        tcp,
        f"tcp:{tcp}",
        f"udp:{udp}",
        "./here.sock",
        "unix:here.sock",
        str(tmp_path / "here.sock"),
    ):
        result = evloop("client", address, SAID)
        assert (result.stdout, result.stderr, result.returncode) == (ANSWERED, "", 0), address


def test_several_messages_several_times(server, evloop):
    """--count repeats all of them, on one connection."""
    result = evloop("client", server.address("tcp"), "one", "two", "--count", "2")
    assert result.stdout == "ONE\nTWO\nONE\nTWO\n"
    assert server.stop() == 0
    assert len([event for event in server.events("accept") if "conn" in event]) == 1


@pytest.mark.parametrize(
    ("end", "reason", "errno"),
    [("fin", "eof", None), ("half", "eof", None), ("reset", "error", "ECONNRESET"), ("abandon", "eof", None)],
)
def test_ends(server, evloop, end, reason, errno):
    """Each way to end is seen by the server as what it is."""
    result = evloop("client", server.address("tcp"), SAID, "--end", end)
    assert (result.stdout, result.stderr, result.returncode) == (ANSWERED, "", 0)
    assert server.stop() == 0
    (close,) = [event for event in server.events("close") if "conn" in event]
    assert (close["reason"], close.get("errno")) == (reason, errno)


def test_prompt(server, evloop):
    """Without messages it asks; an empty line is explained on TCP."""
    result = evloop("client", server.address("tcp"), said="one\n\ntwo\n")
    assert result.returncode == 0
    assert result.stdout.count("message to send: ") == 4
    for text in ("ONE\n", "an empty line is not sent", "TWO\n"):
        assert text in result.stdout


def test_a_prompt_that_waits(server, tmp_path):
    """While somebody thinks nothing happens: to look for a key is no call of the client's."""
    master, slave = pty.openpty()
    command = [sys.executable, "-P", "-m", "evloop", "client", server.address("tcp"), "--log", "client.jsonl"]
    client = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path)
    os.close(slave)
    seen, deadline = b"", time.monotonic() + 30
    while b"message to send: " not in seen:
        assert select.select([master], [], [], 30)[0], seen
        seen += os.read(master, 1000)
    before = cpu_of(client.pid)
    while cpu_of(client.pid) == before:  # it has looked, more than once
        assert time.monotonic() < deadline
    os.write(master, b"\x04")
    assert client.wait(30) == 0
    os.close(master)
    kinds = [json.loads(line)["ev"] for line in (tmp_path / "client.jsonl").read_text().splitlines()]
    assert not {"poll", "block"} & set(kinds[kinds.index("connect") + 1 :]), kinds


def cpu_of(pid):
    """For how many nanoseconds a process has run: /proc/PID/schedstat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def test_prompt_on_udp(server, evloop):
    """An empty datagram is a datagram: it is sent, and answered."""
    result = evloop("client", f"udp:{server.address('udp')}", said="\n")
    assert result.returncode == 0
    assert "not sent" not in result.stdout
    assert server.stop() == 0
    assert [event["n"] for event in server.events("recvfrom") if "n" in event] == [0]


# -- servers that are not there, or misbehave -----------------------------------------------


def test_refused(serve, evloop):
    """Nobody listens: how to change that."""
    server = serve("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0")
    assert server.stop() == 0
    tcp, udp = server.address("tcp"), server.address("udp")
    assert f"start one with `evloop serve --tcp {tcp}`" in fails(evloop("client", tcp, "hello"))
    assert "no server has that UDP port" in fails(evloop("client", f"udp:{udp}", "hello"))
    assert "start a server with `evloop serve --unix ./no.sock`" in fails(
        evloop("client", "./no.sock", "hello")
    )


def test_wrong_address(evloop):
    """An address that does not parse is wrong usage."""
    result = evloop("client", "non:sense", "hello")
    assert result.returncode == 2
    assert "127.0.0.1:8080" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_no_answer(evloop):
    """It waits no longer than --timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = evloop("client", address, "hello", "--timeout", "0.2")
    assert "did not answer within 0.2 s" in fails(result)


def test_hung_up_before_the_answer(misbehave, evloop):
    """The end of the stream in the middle of an answer."""
    address = misbehave(lambda connection: (connection.recv(5), connection.sendall(b"HE")))
    assert "closed the connection before it had answered" in fails(evloop("client", address, "hello"))


def test_reset_before_the_answer(misbehave, evloop):
    """A server that closes with bytes unread resets."""
    address = misbehave(lambda connection: connection.recv(1))
    assert "reset the connection" in fails(evloop("client", address, "hello"))


def test_hostile_answer(misbehave, evloop):
    """What would command the terminal is shown, not obeyed."""
    hostile = b"\x1b]0;evil\x07\x1b[2J\r\x9b\xff\xe2\x80\xae"
    address = misbehave(lambda connection: (connection.recv(100), connection.sendall(hostile)))
    result = evloop("client", address, "x" * len(hostile))
    assert result.returncode == 0
    assert result.stdout == "\\x1b]0;evil\\x07\\x1b[2J\\r\\x9b\\xff\\u202e\n"


def test_interrupted(serve, begin):
    """Ctrl-C ends it with 130 and no traceback."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    client = begin(
        sys.executable, "-P", "-m", "evloop", "client", server.address("tcp"), "hello", "--hold", "60"
    )
    assert client.popen.stdout.readline() == b"HELLO\n"
    assert client.stop() == 130
    assert client.said in ([], [""]), "at most the line that ^C stands on is ended"
