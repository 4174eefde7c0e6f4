"""Events in the ladder's words and arrows."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from evloop_trace.views.rungs import Arrow, Rung, brief, rung, woken
from msgspec.structs import replace

from evloop.events import schema
from evloop.events.schema import Accept, AnyEvent, Close, Recv, Recvfrom, Send, Sendto, Shutdown

HEAD = (1, 2, 3, 4)  # seq, t, tick, dur
LOOP = (1, 2, 3)

EVENTS: list[tuple[AnyEvent, Rung]] = [
    (
        Recv(*HEAD, "tcp-1", 7, 65536, 18, (0, 18), "hello la 哈哈哈".encode()),
        Rung("tcp-1", "in", "recv() = 18", "", '"hello la 哈哈哈"', Arrow(True, "─", "18 B [0,18)")),
    ),
    (
        Recv(*HEAD, "tcp-1", 7, 65536, 0),
        Rung("tcp-1", "life", "recv() = 0", "the client has finished sending", "", Arrow(True, "═", "FIN")),
    ),
    (
        Recv(*HEAD, "unix-1", 7, 65536, 0),
        Rung("unix-1", "life", "recv() = 0", "the client has finished sending", "", Arrow(True, "═", "end")),
    ),
    (
        Recv(*HEAD, "tcp-1", 7, 65536, errno="EAGAIN"),
        Rung("tcp-1", "quiet", "recv() EAGAIN", "nothing has come yet"),
    ),
    (
        Recv(*HEAD, "tcp-1", 7, 65536, errno="ECONNRESET"),
        Rung("tcp-1", "trouble", "recv() ECONNRESET", "the client has reset it", "", Arrow(True, "━", "RST")),
    ),
    (
        Send(*HEAD, "tcp-1", 7, 18, 18, (0, 18), b"HELLO"),
        Rung("tcp-1", "out", "send() = 18", "", '"HELLO…"', Arrow(False, "─", "18 B [0,18)")),
    ),
    (
        Send(*HEAD, "tcp-1", 7, 65536, 40000),
        Rung(
            "tcp-1",
            "trouble",
            "send(65,536) = 40,000",
            "the kernel's buffer is full",
            "",
            Arrow(False, "─", "40,000 B"),
        ),
    ),
    (
        Send(*HEAD, "tcp-1", 7, 9, errno="EAGAIN"),
        Rung("tcp-1", "quiet", "send() EAGAIN", "the kernel's buffer is full"),
    ),
    (
        Recvfrom(*HEAD, "udp-1", 6, 4, "127.0.0.1:9", False, b"ping"),
        Rung("udp-1", "in", "recvfrom() = 4", "from 127.0.0.1:9", '"ping"', Arrow(True, "┄", "4 B")),
    ),
    (
        Recvfrom(*HEAD, "udp-1", 6, 4, None, True),
        Rung(
            "udp-1", "trouble", "recvfrom() = 4", "from ?, the rest is cut off", "", Arrow(True, "┄", "4 B")
        ),
    ),
    (
        Recvfrom(*HEAD, "udp-1", 6, errno="EAGAIN"),
        Rung("udp-1", "quiet", "recvfrom() EAGAIN", "nothing has come yet"),
    ),
    (
        Sendto(*HEAD, "udp-1", 6, "127.0.0.1:9", 4, b"PING"),
        Rung("udp-1", "out", "sendto() = 4", "to 127.0.0.1:9", '"PING"', Arrow(False, "┄", "4 B")),
    ),
    (Sendto(*HEAD, "udp-1", 6, "127.0.0.1:9"), Rung("udp-1", "trouble", "sendto() failed")),
    (
        Accept(*HEAD, "listen-1", "tcp-1", 7, "127.0.0.1:9", "", 3),
        Rung(
            "tcp-1",
            "life",
            "accept() = fd 7",
            "from 127.0.0.1:9, 3 still wait",
            "",
            Arrow(True, "═", "connection"),
        ),
    ),
    (
        Accept(*HEAD, "listen-1", errno="EMFILE"),
        Rung("listen-1", "trouble", "accept() EMFILE"),
    ),
    (
        Shutdown(*HEAD, "tcp-1", 7, "SHUT_WR"),
        Rung("tcp-1", "life", "shutdown(SHUT_WR)", "we have finished sending", "", Arrow(False, "═", "FIN")),
    ),
    (
        Shutdown(*HEAD, "tcp-1", 7, "SHUT_WR", "ENOTCONN"),
        Rung("tcp-1", "trouble", "shutdown(SHUT_WR) ENOTCONN"),
    ),
    (
        Close(*HEAD, 7, "eof", "tcp-1"),
        Rung("tcp-1", "life", "close()", "both have finished", "", Arrow(False, "═", "FIN")),
    ),
    (
        Close(*HEAD, 7, "idle-timeout", "tcp-1", None, 12, 5, 7),
        Rung(
            "tcp-1",
            "trouble",
            "close()",
            "idle for too long, 12 B never read, 7 B never sent, 5 B not acknowledged",
            "",
            Arrow(False, "━", "RST"),
        ),
    ),
    (
        Close(*HEAD, 7, "error", "tcp-1", errno="ECONNRESET"),
        Rung("tcp-1", "trouble", "close()", "the connection failed"),
    ),
    (
        Close(*HEAD, 7, "drain-timeout", "tcp-1"),
        Rung("tcp-1", "life", "close()", "it did not end in time", "", Arrow(False, "═", "FIN")),
    ),
    (Close(*HEAD, 5, "stop", sock="listen-1"), Rung("listen-1", "life", "close()")),
    (
        schema.Listen(*HEAD, "listen-1", 5, "tcp", "127.0.0.1:80", 128),
        Rung("listen-1", "life", "listen()", "127.0.0.1:80, queue of 128"),
    ),
    (schema.Bind(*HEAD, "udp-1", 5, "udp", "127.0.0.1:80"), Rung("udp-1", "life", "bind()", "127.0.0.1:80")),
    (
        schema.Interest(*LOOP, "tcp-1", None, "READ", "", "eof"),
        Rung("tcp-1", "quiet", "watch READ → nothing", "eof"),
    ),
    (schema.Timer(*LOOP, "idle", 500), Rung("", "life", "timer", "idle")),
    (schema.Timer(*LOOP, "idle", 5_000_000), Rung("", "life", "timer", "idle, 5.0 ms late")),
    (schema.Signal(*LOOP, "SIGINT"), Rung("", "life", "signal", "SIGINT")),
    (schema.Limit(*LOOP, "connections", True), Rung("", "trouble", "limit reached", "connections")),
    (schema.Control(*LOOP, "read", True), Rung("", "life", "read is held")),
    (schema.Control(*LOOP, "read", False), Rung("", "life", "read is released")),
    (schema.Limit(*LOOP, "connections", False), Rung("", "quiet", "limit left", "connections")),
    (
        schema.Refuse(*LOOP, "udp-1", "127.0.0.1:7", "echo"),
        Rung("udp-1", "trouble", "no answer to 127.0.0.1:7", "echo"),
    ),
    (
        schema.Error(*LOOP, "on_ready", "ValueError: x", "tcp-1"),
        Rung("tcp-1", "trouble", "error", "on_ready: ValueError: x"),
    ),
    (
        schema.Slow(*LOOP, 150_000_000, "tcp-1"),
        Rung("tcp-1", "trouble", "slow tick", "at work for 150 ms, everybody waited"),
    ),
    (schema.Queue(*LOOP, "listen-1", 3, 128), Rung("listen-1", "quiet", "queue 3/128", "wait for accept()")),
    (
        schema.TcpInfo(*LOOP, "tcp-1", "send", "ESTABLISHED", 45_000, unacked=3),
        Rung("tcp-1", "quiet", "tcp_info: ESTABLISHED", "rtt 45.0 µs, 3 unacked"),
    ),
    (schema.Gap(*LOOP, 12345, "full"), Rung("", "trouble", "12,345 events missing", "full")),
    (schema.End(*LOOP, "SIGINT", 9), Rung("", "life", "end", "SIGINT")),
    (
        schema.Bind(*HEAD, "tcp-1", 5, "tcp", "a:80", "EADDRINUSE"),
        Rung("tcp-1", "trouble", "bind() EADDRINUSE", "a:80"),
    ),
    (
        schema.Listen(*HEAD, "tcp-1", 5, "tcp", "a:80", 5, "EADDRINUSE"),
        Rung("tcp-1", "trouble", "listen() EADDRINUSE"),
    ),
    (
        schema.Connect(*HEAD, 3, "tcp-1", None, "a:80", call="getsockopt(SO_ERROR)"),
        Rung("tcp-1", "life", "getsockopt(SO_ERROR) = 0", "to a:80", "", Arrow(True, "═", "connection")),
    ),
    (Recv(*HEAD, "tcp-1", 7, 0, 0), Rung("tcp-1", "in", "recv() = 0")),
    (
        Recv(*HEAD, "tcp-1", 7, 9, 4, (0, 4), b"abcd", flags="MSG_PEEK", call="recv_into"),
        Rung("tcp-1", "in", "recv_into() = 4", "it stays in the buffer", '"abcd"'),
    ),
    (
        Recvfrom(*HEAD, "udp-1", 6, 4, "a:1", flags="MSG_PEEK"),
        Rung(
            "udp-1", "in", "recvfrom() = 4", "from a:1, it stays in the buffer", "", Arrow(True, "┄", "4 B")
        ),
    ),
    (
        Accept(*HEAD, "tcp-1", "unix-2", 7, "", "", None, None, 1_500_000_000, 42),
        Rung(
            "unix-2",
            "life",
            "accept() = fd 7",
            "from pid 42, it waited 1.5 s in the queue",
            "",
            Arrow(True, "═", "connection"),
        ),
    ),
    (
        Accept(*HEAD, "tcp-1", errno="EAGAIN"),
        Rung("tcp-1", "quiet", "accept() EAGAIN", "nobody waits in the queue"),
    ),
    (
        Shutdown(*HEAD, "tcp-1", 7, "SHUT_RD"),
        Rung("tcp-1", "life", "shutdown(SHUT_RD)", "we will not read any more"),
    ),
    (Close(*HEAD, 7, "close", "tcp-1"), Rung("tcp-1", "life", "close()", "", "", Arrow(False, "═", "FIN"))),
    (
        Close(*HEAD, 7, "exit", "tcp-1"),
        Rung("tcp-1", "life", "close()", "the program ended", "", Arrow(False, "═", "FIN")),
    ),
    (schema.Socket(*HEAD, "tcp-1", 3, "tcp"), Rung("tcp-1", "quiet", "socket() = tcp-1")),
    (
        schema.Socket(*HEAD, "unix-1", 3, "unix", "unix-2", call="socketpair"),
        Rung("unix-1", "quiet", "socketpair() = unix-1", "the other end is unix-2"),
    ),
    (schema.Socket(*HEAD, errno="EMFILE"), Rung("", "trouble", "socket() EMFILE")),
    (schema.Inherit(*LOOP, "tcp-1", 3, "tcp", "a:1", "b:2"), Rung("tcp-1", "life", "inherited", "a:1 → b:2")),
    (
        schema.Connect(*HEAD, 3, "tcp-1", None, "a:80", "b:4"),
        Rung("tcp-1", "life", "connect() = 0", "to a:80", "", Arrow(True, "═", "connection")),
    ),
    (
        schema.Connect(*HEAD, 3, "tcp-1", None, "a:80", errno="EINPROGRESS", call="connect_ex"),
        Rung(
            "tcp-1",
            "quiet",
            "connect_ex() EINPROGRESS",
            "to a:80: the handshake goes on",
            "",
            Arrow(True, "═", "connection"),
        ),
    ),
    (
        schema.Connect(*HEAD, 3, "unix-1", None, "a.sock", errno="EAGAIN"),
        Rung("unix-1", "trouble", "connect() EAGAIN", "to a.sock: its queue is full"),
    ),
    (
        schema.Block(*LOOP, "connect", sock="unix-1"),
        Rung("unix-1", "quiet", "connect() …", "blocks: there is no room in the queue yet"),
    ),
    (
        schema.Connect(*HEAD, 3, "tcp-1", None, "a:80", errno="ECONNREFUSED"),
        Rung(
            "tcp-1",
            "trouble",
            "connect() ECONNREFUSED",
            "to a:80: nobody listens there",
            "",
            Arrow(False, "━", "RST"),
        ),
    ),
    (
        schema.Connect(*HEAD, 3, "unix-1", None, "/s", errno="ECONNREFUSED"),
        Rung("unix-1", "trouble", "connect() ECONNREFUSED", "to /s: nobody listens there"),
    ),
    (
        schema.Connect(*HEAD, 3, "tcp-1", errno="EADDRNOTAVAIL"),
        Rung("tcp-1", "trouble", "connect() EADDRNOTAVAIL"),
    ),
    (schema.Connect(*HEAD, 3, None, "udp-1", "a:80"), Rung("udp-1", "life", "connect() = 0", "to a:80")),
    (
        schema.Setsockopt(*HEAD, 3, "SOL_SOCKET", "SO_REUSEADDR", "1", "tcp-1"),
        Rung("tcp-1", "quiet", "setsockopt(SO_REUSEADDR, 1)"),
    ),
    (
        schema.Setsockopt(*HEAD, 3, "SOL_SOCKET", "SO_REUSEADDR", "1", None, "tcp-1", "EINVAL"),
        Rung("tcp-1", "trouble", "setsockopt(SO_REUSEADDR, 1) EINVAL"),
    ),
    (
        schema.Setsockopt(*HEAD, 3, "SOL_SOCKET", "SO_LINGER", repr(struct.pack("ii", 1, 0)), "tcp-1"),
        Rung("tcp-1", "quiet", "setsockopt(SO_LINGER, 0 s)"),
    ),
    (
        schema.Block(*LOOP, "send", "tcp-1", timeout=5 * 10**9, call="sendall", where="a/server.py:14"),
        Rung(
            "tcp-1",
            "quiet",
            "sendall() …",
            "blocks: the kernel's buffer is full, at most 5.0 s",
            where="server.py:14",
        ),
    ),
    (
        schema.Unseen(*LOOP, "ssl", "it calls recv(2) itself"),
        Rung("", "trouble", "not in this log: ssl", "it calls recv(2) itself"),
    ),
]

SLOW: dict[str, Any] = {"where": "/a/server.py:14", "thread": "Thread-1"}
LATE = (1, 2, 3, 3_200_000_000)

WAITED: list[tuple[AnyEvent, str, str]] = [
    (Recv(*LATE, "tcp-1", 7, 9, 5, **SLOW), "recv() = 5", "after 3.2 s"),
    (Recv(*LATE, "tcp-1", 7, 9, 0, **SLOW), "recv() = 0", "the server has finished sending, after 3.2 s"),
    (
        Recv(*LATE, "tcp-1", 7, 9, errno="timeout", **SLOW),
        "recv() timeout",
        "its time-out passed, after 3.2 s",
    ),
    (
        Recv(*LATE, "tcp-1", 7, 9, errno="interrupted", **SLOW),
        "recv() interrupted",
        "a signal came, after 3.2 s",
    ),
    (
        Recv(*LATE, "tcp-1", 7, 9, errno="ECONNRESET", **SLOW),
        "recv() ECONNRESET",
        "the server has reset it, after 3.2 s",
    ),
    (Recv(*LATE, "tcp-1", 7, 9, errno="ETIMEDOUT", **SLOW), "recv() ETIMEDOUT", "after 3.2 s"),
    (Send(*LATE, "tcp-1", 7, 9, 9, **SLOW), "send() = 9", "after 3.2 s"),
    (Accept(*LATE, "tcp-1", "tcp-2", 7, "a:1", **SLOW), "accept() = fd 7", "from a:1, after 3.2 s"),
    (schema.Connect(*LATE, 7, "tcp-1", None, "a:1", **SLOW), "connect() = 0", "to a:1, after 3.2 s"),
    (Recvfrom(*LATE, "udp-1", 7, 2, "a:1", **SLOW), "recvfrom() = 2", "from a:1, after 3.2 s"),
]


@pytest.mark.parametrize(("event", "call", "note"), WAITED)
def test_how_long_a_call_blocked_and_what_ended_it(event: AnyEvent, call: str, note: str) -> None:
    """And where in the program it did, and which thread."""
    said = rung(event, outgoing=True)
    assert said is not None
    assert (said.call, said.note, said.where) == (call, note, "server.py:14 · Thread-1")


def test_for_a_client_the_arrows_point_the_other_way() -> None:
    """What it sends goes to the server, and it is the server that finishes."""
    said = [
        rung(event, outgoing=True)
        for event in (
            Send(*HEAD, "tcp-1", 7, 9, 9),
            Recv(*HEAD, "tcp-1", 7, 9, 9),
            Shutdown(*HEAD, "tcp-1", 7, "SHUT_WR"),
            Recv(*HEAD, "tcp-1", 7, 9, 0),
            Send(*HEAD, "tcp-1", 7, 9, errno="EPIPE"),
            Close(*HEAD, 7, "close", "tcp-1"),
        )
    ]
    assert [it and it.arrow and it.arrow.inward for it in said] == [True, False, True, False, False, True]
    assert [it and it.note for it in said] == [
        "", "", "we have finished sending", "the server has finished sending", "the server has reset it", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("event", "expected"), EVENTS, ids=lambda it: type(it).__name__)
def test_an_event_in_words(event: AnyEvent, expected: Rung) -> None:
    """The call, what it means, what crosses the wire."""
    assert rung(event) == expected


def test_what_is_no_rung() -> None:
    """The reason to sleep stands on top of the picture."""
    assert rung(schema.Prepare(*LOOP, None, "nothing")) is None
    assert brief(schema.Prepare(*LOOP, None, "nothing")) == brief(None) == ""


def test_a_send_after_a_shutdown_fails_by_our_own_doing() -> None:
    """Nobody has reset anything."""
    event = Send(*HEAD, "tcp-1", 7, 9, errno="EPIPE")
    said = rung(event, finished=True, outgoing=True)
    assert said is not None
    assert (said.note, said.arrow) == ("we had finished sending", None)
    assert brief(event, finished=True) == "send() EPIPE · we had finished sending"


def test_a_close_after_a_shutdown_sends_no_second_fin() -> None:
    """The first one said it."""
    said = rung(Close(*HEAD, 7, "eof", "tcp-1"), finished=True)
    assert said is not None
    assert said.arrow is None


def test_an_event_in_a_few_words() -> None:
    """For a table."""
    assert brief(Recv(*HEAD, "tcp-1", 7, 10, 0)) == "recv() = 0 · the client has finished sending"


def test_who_woke_the_loop() -> None:
    """The first few by name, in words for their bits."""
    assert woken([]) == ""
    assert (
        woken([("tcp-1", "IN|HUP|RDHUP"), ("tcp-2", "OUT")]) == "tcp-1 readable and hung up, tcp-2 writable"
    )
    assert woken([("signals", "IN")]) == "the signal pipe readable"
    assert woken([("watchers", "OUT")]) == "a watcher writable"
    assert woken([("evloop", "IN")]) == "the loop's own readable"
    assert woken([(f"tcp-{n}", "IN") for n in range(5)]) == (
        "tcp-0 readable, tcp-1 readable, tcp-2 readable and 2 more"
    )
    assert woken([("a\x1b", "PRI\n")]) == "a\\x1b PRI\\n"


@pytest.mark.parametrize("event", [event for event, _ in EVENTS], ids=lambda it: type(it).__name__)
def test_whatever_a_log_says_is_escaped(event: AnyEvent) -> None:
    """Every text of every event, hostile."""
    hostile: dict[type, object] = {str: "\x1b[2J\n\u202e", bytes: b"\x1b[2J\n\xff"}
    texts = {name: getattr(event, name) for name in event.__struct_fields__}
    changes = {name: hostile[type(value)] for name, value in texts.items() if type(value) in hostile}
    event = replace(event, **changes)
    said = rung(event)
    assert said is not None
    words = (said.name, said.call, said.note, said.payload, said.arrow.label if said.arrow else "")
    assert all(text.isprintable() for text in words)


def test_the_end_of_a_stream_that_we_do_not_read() -> None:
    """After our own shutdown(SHUT_RD) recv() gives 0: the client has sent no FIN."""
    said = rung(Recv(*HEAD, "tcp-1", 7, 100, 0, (5, 5)), deaf=True)
    assert said is not None
    assert (said.call, said.note, said.arrow) == ("recv() = 0", "we read no more", None)
