"""What `evloop serve` promises on its command line."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import sys

import pytest

from evloop.kernel import selector_names

SECONDS = 30


def connect(server, kind="tcp"):
    """A connected client."""
    if kind == "udp":
        client = socket.socket(type=socket.SOCK_DGRAM)
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", server.port("udp")))
        return client
    return socket.create_connection(("127.0.0.1", server.port()), SECONDS)


def ask(client, message):
    """A message and its answer."""
    client.sendall(message)
    answer = client.recv(65535)
    while len(answer) < len(message):
        answer += client.recv(65535)
    return answer


def end_of(client):
    """What still comes until the end of the stream; a reset is an end too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65535):
            data += piece
    return data


# -- addresses ------------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_no_address(serve, alone):
    """Without an address it is TCP and UDP on 127.0.0.1:8080."""
    server = serve(prefix=alone)
    assert server.addresses == [("tcp", "127.0.0.1:8080"), ("udp", "127.0.0.1:8080")]
    assert server.stop() == 0
    assert server.complaints == []


def test_several_addresses(serve, tmp_path):
    """Each address gets a line when all are open; port 0 becomes a number; a path is removed at the end."""
    server = serve("--tcp", "127.0.0.1:0", "--tcp", "[::1]:0", "--udp", "127.0.0.1:0", "--unix", "here.sock")
    assert [kind for kind, _ in server.addresses] == ["tcp", "tcp", "udp", "unix"]
    assert server.addresses[1][1].startswith("[::1]:")
    assert not any(address.endswith(":0") for _, address in server.addresses)
    assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("option", ["--tcp", "--udp"])
def test_off_loopback(serve, alone, option):
    """An address that others can reach is served, with a warning."""
    server = serve(option, "0.0.0.0:8080", prefix=alone)
    assert server.stop() == 0
    assert server.complaints == [
        "evloop: 0.0.0.0:8080 can be reached from other machines, by anyone: there is no access control"
    ]


# -- ending ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(serve, number):
    """SIGINT and SIGTERM: exit code 0, and the log's last line says which it was."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl")
    assert server.stop(number) == 0
    assert server.events()[-1]["ev"] == "end"
    assert server.events()[-1]["reason"] == signal.Signals(number).name


def test_what_was_asked_is_answered_before_the_end(serve):
    """A stop answers what has arrived, says FIN, and waits for the client's."""
    server = serve("--tcp", "127.0.0.1:0")
    with connect(server) as client:
        assert ask(client, b"first") == b"FIRST"
        client.sendall(b"last")
        server.send()
        assert end_of(client) == b"LAST"
        server.expect("stopping: waiting at most 5 s for 1 open connections? to end")
    assert server.end() == 0


def test_a_second_sigint_stops_at_once(serve):
    """Whoever does not want to wait for a client that stays, says so twice."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--drain-timeout", "1000")
    with connect(server) as client:
        ask(client, b"hello")
        server.send()
        server.expect("waiting at most 1000 s")
        server.send()
        assert server.end() == 0
    assert "SIGINT again: stopping at once" in server.said[-1]
    assert [event["reason"] for event in server.events("close") if "conn" in event] == ["aborted"]


# As `python -m evloop serve`, but with a second SIGINT when the first has ended it.
TWICE = """
import runpy, signal
try:
    runpy.run_module("evloop", run_name="__main__")
finally:
    signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("model", ["loop", "threaded"])
def test_a_second_sigint_at_the_very_end(begin, model):
    """It does not break off what the first has nearly ended, and changes no exit code."""
    server = begin(sys.executable, "-c", TWICE, "serve", "--model", model, "--tcp", "127.0.0.1:0")
    server.expect("listening tcp")
    assert server.stop() == 0
    assert len(server.said) == 1


def test_drain_timeout(serve):
    """A client that stays is waited for no longer than --drain-timeout."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", "--drain-timeout", "0.2")
    with connect(server) as client:
        ask(client, b"hello")
        assert server.stop() == 0
    assert [event["reason"] for event in server.events("close") if "conn" in event] == ["drain-timeout"]


# -- limits ---------------------------------------------------------------------------------


def test_max_connections(serve):
    """Who comes when all places are taken waits in the kernel's queue until one is free."""
    server = serve("--tcp", "127.0.0.1:0", "--max-connections", "2", "--log", "log.jsonl")
    with connect(server) as one, connect(server) as two, connect(server) as three:
        assert [ask(client, b"here") for client in (one, two)] == [b"HERE", b"HERE"]
        three.sendall(b"me too")
        one.close()
        assert three.recv(100) == b"ME TOO"
    assert server.stop() == 0
    calls = [event["ev"] for event in server.events("accept", "close") if event.get("conn")]
    assert calls[:4] == ["accept", "accept", "close", "accept"]
    assert [event["active"] for event in server.events("limit")][:2] == [True, False]


def test_idle_timeout(serve):
    """A connection that says nothing is closed, with its reason in the log."""
    server = serve("--tcp", "127.0.0.1:0", "--idle-timeout", "0.2", "--log", "log.jsonl")
    with connect(server) as client:
        assert ask(client, b"hello") == b"HELLO"
        assert end_of(client) == b""
    assert server.stop() == 0
    (close,) = [event for event in server.events("close") if "conn" in event]
    (accept,) = [event for event in server.events("accept") if "conn" in event]
    assert close["reason"] == "idle-timeout"
    assert close["t"] - accept["t"] >= 200_000_000


def test_lifetime(serve):
    """A connection that talks all the time has its end as well."""
    server = serve("--tcp", "127.0.0.1:0", "--lifetime", "0.3", "--idle-timeout", "20", "--log", "log.jsonl")
    with connect(server) as client, contextlib.suppress(ConnectionError):
        while ask_or_end(client):
            pass
    assert server.stop() == 0
    assert [event["reason"] for event in server.events("close") if "conn" in event] == ["lifetime"]


def ask_or_end(client):
    """One more byte there and back, while the server still answers."""
    client.sendall(b"x")
    return client.recv(1)


def test_recv_size(serve):
    """A read asks for so many bytes and no more."""
    server = serve("--tcp", "127.0.0.1:0", "--recv-size", "7", "--log", "log.jsonl")
    with connect(server) as client:
        assert ask(client, b"a" * 100) == b"A" * 100
    assert server.stop() == 0
    assert {event["size"] for event in server.events("recv")} == {7}


# -- answers, selectors ---------------------------------------------------------------------


@pytest.mark.parametrize("selector", selector_names())
def test_selectors(serve, selector):
    """Every selector serves TCP, UDP and a client that half-closes."""
    server = serve(
        "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--selector", selector, "--log", "log.jsonl"
    )
    with connect(server) as tcp, connect(server, "udp") as udp:
        assert ask(tcp, b"tcp") == b"TCP"
        assert ask(udp, b"udp") == b"UDP"
        tcp.sendall(b"a" * 100_000)
        tcp.shutdown(socket.SHUT_WR)
        assert end_of(tcp) == b"A" * 100_000
    assert server.stop() == 0
    assert server.events("header")[0]["selector"] == selector


def test_mode_echo(serve):
    """--mode echo gives back what it gets."""
    server = serve("--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--mode", "echo")
    with connect(server) as tcp, connect(server, "udp") as udp:
        assert ask(tcp, b"As It Is") == b"As It Is"
        assert ask(udp, b"As It Is") == b"As It Is"


# -- the log --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ([], b"x" * 64),
        (["--payload", "none"], b""),
        (["--payload-max", "5"], b"x" * 5),
        (["--payload-max", "0"], b""),
        (["--payload", "full"], b"x" * 1000),
    ],
)
def test_payload(serve, options, kept):
    """How much of a payload the log keeps; how long it was, it always tells."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "log.jsonl", *options)
    with connect(server) as client:
        ask(client, b"x" * 1000)
    assert server.stop() == 0
    first = next(event for event in server.events("recv") if event["n"])
    assert (first["n"], base64.b64decode(first.get("data", ""))) == (1000, kept)


def test_log_on_standard_output(serve):
    """`--log -` writes the log, and nothing else, to standard output."""
    server = serve("--tcp", "127.0.0.1:0", "--log", "-")
    with connect(server) as client:
        ask(client, b"hello")
    assert server.stop() == 0
    events = [json.loads(line) for line in server.popen.stdout.read().splitlines()]
    assert (events[0]["ev"], events[-1]["ev"]) == ("header", "end")
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[-1]["events"] == len(events)


def test_standard_output_is_empty(serve):
    """Without `--log -` nothing is written there: standard output is for data."""
    server = serve("--tcp", "127.0.0.1:0")
    assert server.stop() == 0
    assert server.popen.stdout.read() == b""
