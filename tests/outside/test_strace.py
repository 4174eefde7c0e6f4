"""The log against strace, which sees what the kernel is really asked: the same calls, once each, in order."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from pathlib import Path

import pytest

SECONDS = 30
CALLS = "accept4,recvfrom,recvmsg,sendto,shutdown,close,listen,bind,epoll_wait"
# 1700000000.123456 recvfrom(7<TCP:[127.0.0.1:8080->127.0.0.1:5000]>, "hello", 65536, 0, NULL, NULL) = 5
LINE = re.compile(
    r"\d+ +[\d.]+ (?P<call>\w+)\((?P<fd>\d+)<(?P<kind>[^:>]*).*\) += (?P<n>-?\d+)(?:<.*>)?"
    r"(?: (?P<errno>E\w+))?"
)
WORDS = {"accept4": "accept", "recvmsg": "recvfrom"}

pytestmark = pytest.mark.needs("strace", "ptrace")


@pytest.fixture
def traced(serve):
    """Start a server under strace; what to signal is the server, not strace."""

    def start(*options):
        prefix = (
            "strace",
            "-f",
            "--seccomp-bpf",
            "-ttt",
            "-yy",
            "-e",
            f"trace={CALLS}",
            "-o",
            "strace.out",
            "--",
        )
        server = serve("--log", "log.jsonl", *options, prefix=prefix)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        server.pid = int(children)
        return server

    return start


def seen_by_strace(path, listeners):
    """(call, fd, result) of every call on a served socket, in order; and the results of epoll_wait."""
    calls, polls, served = [], [], set()
    for match in filter(None, map(LINE.match, path.read_text().splitlines())):
        call, fd, result = match["call"], int(match["fd"]), match["errno"] or int(match["n"])
        if call == "epoll_wait":
            polls += [result] if result != "EINTR" else []  # a signal: Python asks again
        elif call == "listen" or (call == "bind" and match["kind"].startswith("UDP")):
            served |= {fd} & listeners  # the watch socket listens too
        elif fd in served and call != "bind":
            calls.append((WORDS.get(call, call), fd, result))
            if call == "accept4" and isinstance(result, int):
                served.add(result)
            elif call == "close":
                served.remove(fd)
    assert not served, "every socket is closed"
    return calls, polls


def told_by_log(server):
    """The same, as the log has it."""
    fds, calls = {}, []
    for event in server.events():
        kind = event["ev"]
        if kind in {"listen", "bind"}:
            fds[event["sock"]] = event["fd"]
        elif kind == "accept":
            calls.append(("accept", fds[event["sock"]], event.get("errno") or event["fd"]))
        elif kind in {"recv", "recvfrom", "send", "sendto"}:
            word = "sendto" if kind == "send" else "recvfrom" if kind == "recv" else kind
            calls.append((word, event["fd"], event.get("errno") or event["n"]))
        elif kind == "shutdown":
            calls.append(("shutdown", event["fd"], event.get("errno") or 0))
        elif kind == "close":
            calls.append(("close", event["fd"], 0))
    return calls, [len(event["ready"]) for event in server.events("poll")]


def judge(server):
    """After the server's end its log and strace must agree. Gives the calls with their results."""
    listeners = {event["fd"] for event in server.events("listen", "bind")}
    calls, polls = seen_by_strace(server.folder / "strace.out", listeners)
    told, ready = told_by_log(server)
    assert told == calls
    assert ready == polls
    return [(call, result) for call, _, result in calls]


def receive(client, size):
    """Exactly so many bytes."""
    while size:
        piece = client.recv(size)
        assert piece
        size -= len(piece)


@pytest.fixture(params=["tcp", "unix"])
def stream(request, traced, tmp_path):
    """A server of one kind under strace, and how to connect to it."""
    kind = request.param
    server = traced(f"--{kind}", "127.0.0.1:0" if kind == "tcp" else "here.sock", "--watch", "watch.sock")

    def connect():
        client = socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX)
        client.settimeout(SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port()) if kind == "tcp" else str(tmp_path / "here.sock"))
        return client

    return kind, server, connect


def test_conversations_and_half_closes(stream):
    """Several at once, one that half-closes and one that is still there when the server stops."""
    _, server, connect = stream
    with connect() as one, connect() as two, connect() as stays:
        for client in (one, two, stays, one):
            client.sendall(b"hello")
            receive(client, 5)
        two.sendall(b"last")
        two.shutdown(socket.SHUT_WR)
        receive(two, 4)
        assert two.recv(1) == b""
        one.close()
        server.send()
        assert stays.recv(1) == b""
        stays.close()
        assert server.end() == 0
    results = judge(server)
    assert results.count(("sendto", 5)) == 4
    assert results.count(("shutdown", 0)) == 1
    assert len([call for call, result in results if call == "accept" and result != "EAGAIN"]) == 3


def test_partial_sends(stream, watch):
    """A client that reads late: the kernel takes a part, or nothing (EAGAIN), and then the rest."""
    _, server, connect = stream
    watcher, sent, enough = watch(), 0, threading.Event()

    def talk():
        nonlocal sent
        while not enough.is_set():
            sent += client.send(bytes(1 << 16))
        client.shutdown(socket.SHUT_WR)

    with connect() as client:
        talker = threading.Thread(target=talk)
        talker.start()
        watcher.until("send", lambda event: event.get("n") != event["size"])
        enough.set()
        received = 0
        while data := client.recv(1 << 20):
            received += len(data)
        talker.join(SECONDS)
    assert server.stop() == 0
    calls = judge(server)
    taken = sum(result for call, result in calls if call == "sendto" and isinstance(result, int))
    assert taken == received == sent


def test_resets(stream, watch):
    """A client that resets, and one that leaves with megabytes unread: an errno is an ending."""
    kind, server, connect = stream
    watcher = watch()
    with connect() as client:
        client.sendall(b"hello")
        receive(client, 5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    watcher.until("close")
    with connect() as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.send(bytes(1 << 16))
        watcher.until("send")
    watcher.until("close")
    assert server.stop() == 0
    judge(server)
    first, second = [event for event in server.events("close") if "conn" in event]
    assert first.get("errno") == ("ECONNRESET" if kind == "tcp" else None)
    assert (second["reason"], second["errno"] in {"ECONNRESET", "EPIPE"}) == ("error", True)


@pytest.mark.parametrize("options", [(), ("--recv-size", "100")], ids=["recvfrom", "recvmsg"])
def test_datagrams(traced, options):
    """Datagrams of no bytes, of few and of many; a small --recv-size cuts them, and recvmsg tells of it."""
    server = traced("--udp", "127.0.0.1:0", *options)
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(SECONDS)
        client.connect(("127.0.0.1", server.port("udp")))
        for size in (5, 0, 1, 1400, 65507):
            client.send(b"x" * size)
            assert client.recv(65535) == b"X" * min(size, 100 if options else size)
    assert server.stop() == 0
    judge(server)
    assert any(event.get("truncated") for event in server.events("recvfrom")) == bool(options)
