"""Watchers: any program that connects to the watch socket is told of everything, and never waited for."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import socket
import sys
import time

import pytest

from evloop.kernel import selector_names

SECONDS = 30
WATCH = (sys.executable, "-P", "-m", "evloop_trace", "watch", "watch.sock")


def talk(server, *messages):
    """A client says each message and waits for its answer."""
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        for message in messages:
            client.sendall(message)
            left = len(message)
            while left:
                left -= len(client.recv(left))


def test_nobody_watches(serve, tmp_path):
    """A watch socket to which nobody came is removed when the server ends well."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    assert (tmp_path / "watch.sock").is_socket()
    assert server.stop() == 0
    assert server.complaints == []
    assert not (tmp_path / "watch.sock").exists()


@pytest.mark.parametrize("selector", selector_names())
def test_header_snapshot_events_and_the_end(serve, watch, selector):
    """A watcher gets the header, the state, and from then on every event, to the last."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock", "--selector", selector)
    watcher = watch()
    talk(server, b"hello")
    assert server.stop() == 0
    assert server.complaints == []
    header, snapshot, events = watcher.header, watcher.snapshot, watcher.rest()
    assert (header["ev"], header["selector"]) == ("header", selector)
    assert (snapshot["ev"], snapshot["seq"]) == ("snapshot", -1)
    assert [listener["address"] for listener in snapshot["listeners"]] == [server.address("tcp")]
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    kinds = [event["ev"] for event in events]
    assert kinds.index("accept") < kinds.index("recv") < kinds.index("send")
    assert kinds.count("send") == 1
    assert kinds[-1] == "end"


def test_two_watchers(serve, watch):
    """Two who watch see the same, and one who leaves takes nothing from the other."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    stays, leaves = watch(), watch()
    talk(server, b"one")
    one = [stays.until("close"), leaves.until("close")]
    assert [event for event in one[0] if event["ev"] == "send"] == [
        event for event in one[1] if event["ev"] == "send"
    ]
    leaves.close()
    talk(server, b"two")
    assert server.stop() == 0
    assert [event["n"] for event in stays.rest() if event["ev"] == "send"] == [3]


def test_a_watcher_who_breaks_off(serve, watch):
    """A watcher that vanishes with bytes unread, in the server's last moment, harms nothing."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    watcher = watch()
    talk(server, b"hello")
    watcher.close()
    assert server.stop() == 0
    assert server.complaints == []


def test_a_watcher_who_does_not_read(serve, watch):
    """It misses events, counted for it alone, and is told when it reads again; all others go on."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock", "--payload", "full", "--log", "log.jsonl")
    reads, sleeps = watch(), watch()
    for _ in range(60):
        talk(server, b"a" * 10_000, b"b" * 10_000)
        reads.until("close")
    sleeps.sock.setblocking(False)
    data = sleeps.lines.read1()
    deadline = time.monotonic() + SECONDS
    while b'"ev":"gap"' not in data:  # it wakes up, and there is room for it again
        assert time.monotonic() < deadline
        talk(server, b"more")
        with contextlib.suppress(BlockingIOError):
            data += sleeps.sock.recv(1 << 20)
    sleeps.sock.settimeout(SECONDS)
    assert server.stop() == 0
    seen = [json.loads(line) for line in (data + sleeps.lines.read()).splitlines()]
    (gap,) = [event for event in seen if event["ev"] == "gap"]
    after = seen[seen.index(gap) + 1 :]
    assert (after[0]["ev"], after[0].get("lost")) == ("snapshot", gap["lost"])
    events = server.events()
    told = [event for event in seen if event["seq"] >= 0]
    assert told[0]["seq"] + len(told) + gap["lost"] == len(events), "each event was told or counted"
    assert seen[-1]["ev"] == "end"
    assert (events[-1]["ev"], events[-1].get("lost", 0)) == ("end", 0)


def test_who_is_one_too_many_is_told_the_truth(serve, watch, begin, run):
    """The server lives, and lets nobody else in: one sentence, and no event; on a terminal as in a pipe."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    watchers = [watch() for _ in range(16)]
    sentence = "evloop-trace: watch.sock lets nobody in: 16 watchers are there already, "
    piped = run(*WATCH)
    assert (piped.returncode, piped.stdout, piped.stderr.count("\n")) == (1, "", 1)
    assert piped.stderr.startswith(sentence)
    master, slave = pty.openpty()
    drawn = begin(*WATCH, stdout=slave, env={**os.environ, "TERM": "xterm"})
    os.close(slave)
    assert (drawn.end(), len(drawn.said)) == (1, 1)
    assert drawn.said[0].startswith(sentence)
    assert b"ended" not in os.read(master, 65536)
    os.close(master)
    talk(server, b"hello")
    watchers[0].close()
    watchers[1].until("send")
    assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_server_that_went_without_a_word(serve, begin, number):
    """Lines end with the log's end; where there is none, that is said beside them."""
    server = serve("--tcp", "127.0.0.1:0", "--watch", "watch.sock")
    watcher = begin(*WATCH)
    told = watcher.popen.stdout.readline()
    assert b"header" in told
    server.stop(number)
    assert watcher.end() == 0
    ended = b" end " in watcher.popen.stdout.read()
    killed = "evloop-trace: the stream broke off: the server was killed, or let this watcher go"
    assert (ended, watcher.said) == ((True, []) if number == signal.SIGINT else (False, [killed]))
