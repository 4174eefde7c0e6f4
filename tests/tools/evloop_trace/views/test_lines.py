"""Events as lines of text."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.views.lines import format_event, format_events

from evloop.events import schema
from evloop.events.schema import Accept, Call, Recv, Send, Unknown

HOSTILE = "\x1b]0;x\x07[bold]\n\u202e"
SHOWN = "\\x1b]0;x\\x07[bold]\\n\\u202e"

EVENTS: list[tuple[Any, str]] = [
    (
        Recv(1, 12_034_512_345, 3, 1234, "tcp-1", 7, 65536, 18, (0, 18), "hello la 哈哈哈".encode()),
        '12.034512  tick 3      tcp-1      recv(65536) = 18            [0,18)            "hello la 哈哈哈"',
    ),
    (Recv(1, 0, 3, 1000, "tcp-1", 7, 65536, errno="EAGAIN"), "recv(65536) = -1 EAGAIN       +1.0 µs"),
    (
        Recv(1, 0, 3, 1000, "tcp-1", 7, 65536, 0, (5, 5)),
        "recv(65536) = 0             [5,5)             end of stream  +",
    ),
    (Send(1, 0, 3, 2_500_000, "tcp-1", 7, 9, 3, (0, 3)), "send(9) = 3                 [0,3)  +2.5 ms"),
    (Send(1, 0, 3, 0, "tcp-1", 7, 9, 3, None, b"\xff\x00\x1b"), '"\\xff\\x00\\x1b"'),
    (Recv(1, 0, 3, 0, HOSTILE, 7, 9), f"{SHOWN} recv(9) = -1 unknown"),
    (
        schema.Poll(1, 0, 3, 9_800_000, None, "nothing is due", [("tcp-1", "IN|HUP")]),
        "poll() = 1                  slept 9.8 ms of ∞ (nothing is due)  tcp-1 IN|HUP",
    ),
    (schema.Poll(1, 0, 3, 1000, 5_000_000, "idle", []), "slept 1.0 µs of 5.0 ms (idle)  timeout"),
    (
        schema.Poll(1, 0, 3, 1000, 5_000_000, "idle", [(f"tcp-{n}", "IN") for n in range(20)]),
        "tcp-11 IN and 8 more",
    ),
    (
        schema.Listen(1, 0, 0, 1, "listen-1", 5, "tcp", "127.0.0.1:80", 128),
        "listen(128) = 0             tcp 127.0.0.1:80  fd 5",
    ),
    (
        schema.Bind(1, 0, 0, 1, "udp-1", 5, "udp", "127.0.0.1:80"),
        "bind() = 0                  udp 127.0.0.1:80  fd 5",
    ),
    (
        Accept(1, 0, 0, 1, "listen-1", "tcp-1", 7, "p", "l", 2),
        "accept() = 7                p → l  through listen-1  queue 2",
    ),
    (Accept(1, 0, 0, 1, "listen-1", "unix-1", 7, "", None), "an unnamed peer →   through listen-1"),
    (Accept(1, 0, 0, 1, "listen-1", errno="EMFILE"), "listen-1   accept() = -1 EMFILE"),
    (
        schema.Recvfrom(1, 0, 0, 1, "udp-1", 6, 2, "p", truncated=True, data=b"hi"),
        'from p  "hi" cut off (MSG_TRUNC)',
    ),
    (schema.Recvfrom(1, 0, 0, 1, "udp-1", 6, errno="EAGAIN"), "recvfrom() = -1 EAGAIN"),
    (schema.Sendto(1, 0, 0, 1, "udp-1", 6, HOSTILE, 2), f"sendto() = 2                to {SHOWN}"),
    (schema.Shutdown(1, 0, 0, 1, "tcp-1", 7, "SHUT_WR", "ENOTCONN"), "shutdown(SHUT_WR) = -1 ENOTCONN"),
    (schema.Shutdown(1, 0, 0, 1, "tcp-1", 7, "SHUT_WR"), "shutdown(SHUT_WR) = 0"),
    (
        schema.Close(1, 0, 0, 1, 7, "error", "tcp-1", None, 3, 0, 4, 10, 20, "EPIPE"),
        "error  EPIPE  received 10 B, sent 20 B  unread 3 B  buffered 4 B",
    ),
    (schema.Close(1, 0, 0, 1, 7, "stop", None, "listen-1"), "listen-1   close() = 0                 stop  +"),
    (schema.Clock(1, 0, 0, 5, 6, 7), "mono 5 ns  wall 6 ns  within 7 ns"),
    (schema.Prepare(1, 0, 0, None, "nothing"), "sleeps for ever: nothing"),
    (schema.Prepare(1, 0, 0, 10**9, "idle"), "sleeps until 1.0 s: idle"),
    (schema.Interest(1, 0, 0, "tcp-1", None, "", "READ", "accepted"), "nothing → READ  (accepted)"),
    (
        schema.Interest(1, 0, 0, None, "listen-1", "READ", "", "full"),
        "listen-1   interest                    READ → nothing",
    ),
    (schema.Timer(1, 0, 0, "idle tcp-1", 2000), "timer                       idle tcp-1  2.0 µs late"),
    (schema.Timer(1, 0, 0, "idle", 10**4000), "late"),
    (schema.Signal(1, 0, 0, "SIGINT"), "signal                      SIGINT"),
    (schema.Limit(1, 0, 0, "connections", active=True), "connections: reached"),
    (schema.Limit(1, 0, 0, "connections", active=False), "connections: left again"),
    (schema.Control(1, 0, 0, "accept", held=True), "accept: held"),
    (schema.Control(1, 0, 0, "read", held=False), "read: released"),
    (schema.Refuse(1, 0, 0, "udp-1", "p:7", "echo"), "no answer to p:7: echo"),
    (schema.Error(1, 0, 0, "upper", HOSTILE), f"in upper: {SHOWN}"),
    (schema.Slow(1, 0, 0, 200_000_000), "the loop worked for 200 ms without asking"),
    (schema.Queue(1, 0, 0, "listen-1", 2, 5), "2/5 wait to be accepted"),
    (schema.TcpInfo(1, 0, 0, "tcp-1", "close", HOSTILE), f"tcp-1      tcp_info                    {SHOWN}"),
    (
        schema.TcpInfo(
            1,
            0,
            0,
            "tcp-1",
            "send",
            "ESTABLISHED",
            45_000,
            snd_wnd=0,
            unacked=3,
            lost=1,
            total_retrans=1200,
            probes=2,
            notsent_bytes=5000,
            rwnd_limited=500_000_000,
        ),
        (
            "ESTABLISHED  rtt 45.0 µs, 3 unacked, 1 lost, 1,200 sent again, 5,000 B not sent yet, "
            "2 probes without an answer, the peer's window is closed, held up by it for 500 ms"
        ),
    ),
    (
        schema.TcpInfo(1, 0, 0, "tcp-1", "close", "CLOSE-WAIT", snd_wnd=0, probes=1),
        "tcp_info                    CLOSE-WAIT",
    ),
    (
        schema.TcpInfo(1, 0, 0, "tcp-1", "close", "ESTABLISHED", snd_wnd=9, rwnd_limited=4_000_000),
        "ESTABLISHED  held up by the peer's window for 4.0 ms",
    ),
    (schema.Gap(1, 0, 0, 3, "disk full"), "3 events are missing: disk full"),
    (schema.Snapshot(1, 0, 0, [], [], 2, 0, 0, 5, 6), "2 open, 5 B received, 6 B sent"),
    (schema.End(1, 0, 0, "SIGTERM", 5), "SIGTERM  5 events"),
    (schema.End(1, 0, 0, "SIGTERM", 5, 2), "5 events, 2 lost"),
    (schema.Cut(-1, 0, 0, "flight recorder: SIGUSR1"), "the file ends here: flight recorder: SIGUSR1"),
    (Unknown(1, 0, 0, HOSTILE, {HOSTILE: HOSTILE}), "(unknown here)"),
    (schema.Socket(1, 0, 0, 1, "tcp-1", 3, "tcp"), "tcp-1      socket() = tcp-1            tcp  fd 3  +"),
    (
        schema.Socket(1, 0, 0, 1, "unix-1", 3, "unix", "unix-2", call="socketpair"),
        "socketpair() = unix-1       unix  fd 3  the other end is unix-2",
    ),
    (schema.Socket(1, 0, 0, 1, errno="EMFILE"), "socket() = -1 EMFILE"),
    (
        schema.Inherit(1, 0, 0, "tcp-1", 3, "tcp", "l", "p", received=5, sent=6),
        "inherited                   tcp l → p  fd 3  received 5 B, sent 6 B before",
    ),
    (schema.Inherit(1, 0, 0, "tcp-1", 3, "tcp", "l", listens=True), "tcp l  fd 3  listens"),
    (
        schema.Inherit(-1, 0, 0, "udp-1", 3, "udp", "l", sent=6, accepted=7),
        "udp-1      inherited                   udp l  fd 3  7 datagrams received, 6 sent before",
    ),
    (schema.Inherit(-1, 0, 0, "udp-1", 3, "udp", "l", accepted=1), "1 datagram received, 0 sent before"),
    (
        schema.Connect(1, 0, 0, 1, 3, "tcp-1", None, "127.0.0.1:80", "127.0.0.1:40000"),
        "tcp-1      connect() = 0               to 127.0.0.1:80  from 127.0.0.1:40000  +",
    ),
    (
        schema.Connect(1, 0, 0, 1, 3, "tcp-1", None, "a:80", errno="timeout", call="connect_ex"),
        "connect_ex() = -1 timeout   to a:80  its time-out passed  +",
    ),
    (
        schema.Setsockopt(1, 0, 0, 1, 3, "SOL_SOCKET", HOSTILE, "1", "tcp-1"),
        f"setsockopt() = 0            SOL_SOCKET  {SHOWN} = 1",
    ),
    (
        schema.Block(1, 0, 0, "recv", "tcp-1", timeout=5 * 10**9, where="src/server.py:14", thread="T-1"),
        "recv() …                    blocks: nothing has come yet, at most 5.0 s  src/server.py:14 · T-1",
    ),
    (
        schema.Block(1, 0, 0, "poll", watched=[("tcp-1", "READ"), ("tcp-2", "READ")], call="select"),
        "select() …                  blocks: nothing is ready of 2 that it watches",
    ),
    (schema.Block(1, 0, 0, "sleep"), "blocks: it has no answer yet"),
    (schema.Unseen(1, 0, 0, "ssl", "it calls recv(2) itself"), "ssl: it calls recv(2) itself"),
    (
        Accept(1, 0, 0, 1, "tcp-1", "unix-1", 7, "", "/s", None, None, 1_500_000_000, 42),
        "an unnamed peer (pid 42) → /s  through tcp-1  waited 1.5 s",
    ),
    (Accept(1, 0, 0, 1, "tcp-1", errno="timeout"), "accept() = -1 timeout       its time-out passed"),
    (
        Recv(
            1, 0, 0, 1, "tcp-1", 7, 9, 3, (0, 3), b"abc", flags="MSG_PEEK", call="recv_into", where="s.py:3"
        ),
        'recv_into(9, MSG_PEEK) = 3  [0,3)             "abc"  +0.0 µs  s.py:3',
    ),
    (Recv(1, 0, 0, 1, "tcp-1", 7, 9, errno="interrupted"), "recv(9) = -1 interrupted    a signal came"),
    (
        schema.Poll(1, 0, 0, 7, None, "", [], "interrupted"),
        "poll() = -1 interrupted     slept 7 ns of ∞  a signal came",
    ),
    (
        schema.Recvfrom(1, 0, 0, 1, "udp-1", 6, errno="timeout", where="s.py:3"),
        "recvfrom() = -1 timeout     its time-out passed  +0.0 µs  s.py:3",
    ),
    (
        schema.Bind(1, 0, 0, 1, "tcp-1", 5, "tcp", "a:80", "EADDRINUSE"),
        "bind() = -1 EADDRINUSE      tcp a:80",
    ),
    (
        schema.Listen(1, 0, 0, 1, "tcp-1", 5, "tcp", "a:80", 5, "EADDRINUSE"),
        "listen(5) = -1 EADDRINUSE   tcp",
    ),
    (
        schema.Connect(
            1, 0, 0, 1, 3, "tcp-1", None, "a:80", errno="ECONNREFUSED", call="getsockopt(SO_ERROR)"
        ),
        "getsockopt(SO_ERROR) = -1 ECONNREFUSED to a:80",
    ),
    (schema.Poll(1, 0, 3, 1000, None, "", [], thread="T-1"), "slept 1.0 µs of ∞  timeout  T-1"),
]


@pytest.mark.parametrize(("event", "part"), EVENTS)
def test_each_kind(event: Any, part: str) -> None:
    """The line says what happened, and is one printable line whatever the log says."""
    line = format_event(event)
    assert part in line
    assert line.isprintable()


def test_datagrams_that_nobody_counted() -> None:
    """A program's log knows of a socket that was there nothing of what it did before: no zero is made up."""
    assert format_event(schema.Inherit(3, 0, 0, "udp-1", 3, "udp", "l")).endswith("udp l  fd 3")


def test_the_header(book: Any) -> None:
    """The first line says what ran."""
    assert "evloop  pid 1  evloop 0  epoll  mode upper  payload prefix(64)" in format_event(book.events[0])


def test_the_header_of_a_program(book: Any) -> None:
    """What has no selector and no mode does not speak of them."""
    header = book.events[0]
    header.model, header.selector, header.mode = "run", "", ""
    assert "pid 1  evloop 0  run  payload prefix(64)" in format_event(header)


def test_every_type_has_a_line() -> None:
    """No event of the schema is forgotten."""
    assert {type(event) for event, _ in EVENTS} | {schema.Header} >= set(schema.EVENT_TYPES.values())


def test_a_call_that_slept_is_told_when_it_returned() -> None:
    """A program's lines stand in the order of their times, and say how long they took."""
    slept = Recv(1, 10**9, 0, 2 * 10**9, "tcp-1", 7, 9, 4, where="s.py:3")
    close = schema.Close(2, 10**9, 0, 2 * 10**9, 7, "close", "tcp-1", where="s.py:4")
    for event in (slept, close):
        line = format_event(event)
        assert line.startswith("      3.000000")
        assert "+2.0 s" in line
    assert "close() = 0                 received" in format_event(close)


def test_lines_do_not_depend_on_their_neighbours(book: Any) -> None:
    """What lines share is formatted once, and comes out the same."""
    events = book.conversation().events
    for event, t in zip(events, (0, 1, 999_999, 1_000_000, 999, 10**9, 10**9 + 1, 5 * 10**12), strict=False):
        event.t = t
    assert format_events(events) == [format_event(event) for event in events]


def test_columns_stand_under_each_other(book: Any) -> None:
    """The call begins in the same column in every line."""
    events: list[Any] = [event for event in book.conversation().events if isinstance(event, Call)]
    lines = format_events(events)
    words = ("listen(", "poll(", "accept(", "recv(", "send(", "close(")
    assert {line.find(word) for line in lines for word in words if word in line} == {39}
