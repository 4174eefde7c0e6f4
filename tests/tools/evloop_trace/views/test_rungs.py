"""Events in the ladder's words and arrows."""

from __future__ import annotations

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
    (schema.Gap(*LOOP, 12345, "full"), Rung("", "trouble", "12,345 events missing", "full")),
    (schema.End(*LOOP, "SIGINT", 9), Rung("", "life", "end", "SIGINT")),
]


@pytest.mark.parametrize(("event", "expected"), EVENTS, ids=lambda it: type(it).__name__)
def test_an_event_in_words(event: AnyEvent, expected: Rung) -> None:
    """The call, what it means, what crosses the wire."""
    assert rung(event) == expected


def test_what_is_no_rung() -> None:
    """The reason to sleep stands on top of the picture."""
    assert rung(schema.Prepare(*LOOP, None, "nothing")) is None
    assert brief(schema.Prepare(*LOOP, None, "nothing")) == brief(None) == ""


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
