"""A log in numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from evloop_trace.model.report import Bucket, Report, TcpReport
from evloop_trace.model.statistics import Statistics, buckets
from hypothesis import given
from hypothesis import strategies as st

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Block,
    Close,
    Connect,
    Inherit,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Shutdown,
    Signal,
    TcpInfo,
    Unknown,
)


def report_of(items: list[Any], size: int = 1000) -> Report:
    """The report, the items being fed in blocks of `size`."""
    statistics = Statistics()
    for at in range(0, len(items), size):
        statistics.feed(at + 1, items[at : at + size])
    statistics.feed(len(items) + 1, [])
    return statistics.report()


def test_a_conversation(book: Any) -> None:
    """The counts, bytes and times of a small log."""
    report = report_of(book.conversation().events)
    assert (report.events, report.problems, report.lost, report.complete) == (12, 0, 0, True)
    assert (report.ticks, report.blocked_ns, report.duration_ns, report.working_ns) == (
        3,
        300,
        11_000,
        10_700,
    )
    assert report.ticks_per_second == pytest.approx(3 / 11e-6)
    assert (report.connections, report.connections_open, report.connections_most) == (1, 0, 1)
    assert (report.received, report.sent) == (9, 9)
    assert report.kinds["recv"] == 2
    assert report.calls["recv"].count == 2
    assert (report.calls["recv"].total_ns, report.calls["recv"].longest_ns) == (200, 100)
    (conn,) = report.busiest
    assert (conn.conn, conn.received, conn.sent, conn.reason) == ("tcp-1", 9, 9, "eof")
    assert (conn.opened_ns, conn.closed_ns, conn.lifetime_ns) == (3000, 9000, 6000)
    assert (conn.calls, conn.calls_ns) == (4, 400)
    assert report.ready == [Bucket(1, 2, 3)]
    assert report.recv_sizes[0] == Bucket(0, 1, 1)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_blocks_do_not_matter(book: Any, new_book: Any, size: int) -> None:
    """However the lines are cut into blocks, the report is the same."""
    assert report_of(book.conversation().events, size) == report_of(new_book().conversation().events)


def test_turns_of_handlers(book: Any) -> None:
    """A turn lasts from the end of the event before it to the end of its last."""
    book.poll("tcp-1", "tcp-2")
    for conn in ("tcp-1", "tcp-2"):
        book.recv(conn, b"x")
        book.send(conn, b"x")
    book.poll()
    turns = report_of(book.events).slowest
    assert [(turn.name, turn.line, turn.start_ns, turn.took_ns, turn.events) for turn in turns] == [
        ("tcp-1", 3, 1100, 2000, 2),
        ("tcp-2", 5, 3100, 2000, 2),
    ]


def test_a_turn_that_the_log_cuts_off(book: Any) -> None:
    """The last turn counts although nothing follows it; opening a socket is nobody's turn."""
    book.listen()
    book.poll("tcp-1")
    book.recv("tcp-1", b"x")
    book.recv("tcp-1", b"x")
    (turn,) = report_of(book.events).slowest
    assert (turn.name, turn.events, turn.took_ns) == ("tcp-1", 2, 2000)


def test_errors_are_counted_by_errno(book: Any) -> None:
    """A failed call counts under its errno; the errno in a close is no failure of close()."""
    book.accept("tcp-1")
    for errno in ("EAGAIN", "EAGAIN", "ECONNRESET"):
        book.add(Recv, 5, "tcp-1", 7, 100, errno=errno)
    book.add(Shutdown, 5, "tcp-1", 7, "SHUT_WR", "ENOTCONN")
    book.add(Shutdown, 5, "tcp-9", 7, "SHUT_WR")
    book.add(Close, 5, 7, "error", "tcp-1", errno="ECONNRESET")
    book.add(Close, 5, 7, "error", "tcp-8")
    report = report_of(book.events)
    assert report.calls["recv"].errors == {"EAGAIN": 2, "ECONNRESET": 1}
    assert report.calls["shutdown"].errors == {"ENOTCONN": 1}
    assert report.calls["close"].errors == {}
    assert not report.complete


def test_datagrams(book: Any) -> None:
    """Datagrams are counted with their bytes, cut ones and refused ones; failed calls are not."""
    book.bind()
    book.add(Recvfrom, 1, "udp-1", 6, 5, "p", truncated=True)
    book.add(Recvfrom, 1, "udp-1", 6, errno="EAGAIN")
    book.add(Sendto, 1, "udp-1", 6, "p", 7)
    book.add(Sendto, 1, "udp-1", 6, "p", errno="ENOBUFS")
    book.add(Refuse, "udp-1", "p", "port 7")
    datagrams = report_of(book.events).datagrams
    assert (datagrams.received, datagrams.received_bytes, datagrams.truncated) == (1, 5, 1)
    assert (datagrams.sent, datagrams.sent_bytes, datagrams.refused) == (1, 7, 1)


def test_what_is_missing_broken_and_unknown(book: Any) -> None:
    """Lost events, broken lines and unknown kinds are counted apart; an open connection is in the ranking."""
    book.accept("tcp-1")
    book.recv("tcp-1", b"abc")
    book.recv("tcp-2", b"abcdef")
    book.add(Signal, "SIGINT")
    del book.events[1]
    items = [*book.events, Unknown(9, 9000, 0, "new", {}), Problem(6, "broken", "is not an event")]
    report = report_of(items)
    assert (report.events, report.problems, report.unknown, report.lost) == (5, 1, 1, 5)
    assert [(conn.conn, conn.peer, conn.reason) for conn in report.busiest] == [
        ("tcp-2", None, None),
        ("tcp-1", None, None),
    ]
    assert report.connections_open == 2


def test_only_the_ten_that_stand_out_are_kept(book: Any) -> None:
    """However many connections there were, ten are reported, the largest first."""
    for number in range(1, 31):
        book.accept(f"tcp-{number}")
        book.recv(f"tcp-{number}", b"x" * number)
        book.close(f"tcp-{number}")
    report = report_of(book.events)
    assert [conn.received for conn in report.busiest] == list(range(30, 20, -1))
    assert len(report.slowest) == 10


def test_errnos_are_bounded(book: Any) -> None:
    """A log that makes up errnos does not fill the memory."""
    for number in range(300):
        book.add(Recv, 5, "tcp-1", 7, 100, errno=f"E{number}")
    assert len(report_of(book.events).calls["recv"].errors) == 200


def test_a_failed_accept_is_no_connection(book: Any) -> None:
    """An accept that found nobody counts as a call only."""
    book.add(Accept, 5, "listen-1", errno="EAGAIN")
    report = report_of(book.events)
    assert (report.connections, report.calls["accept"].errors) == (0, {"EAGAIN": 1})


def test_a_send_that_failed(book: Any) -> None:
    """A send that failed has no size."""
    book.add(Send, 5, "tcp-1", 7, 100, errno="EPIPE")
    report = report_of(book.events)
    assert (report.send_sizes, report.calls["send"].errors) == ([], {"EPIPE": 1})


def test_an_empty_log() -> None:
    """Nothing at all can be reported too."""
    report = report_of([])
    assert (report.events, report.ticks_per_second, report.calls) == (0, 0.0, {})


@given(st.lists(st.integers(0, 2**62)))
def test_a_histogram_holds_every_value_once(values: list[int]) -> None:
    """The buckets follow each other without a hole, and each value is in the one that it belongs to."""
    counts = [0] * 64
    for value in values:
        counts[value.bit_length()] += 1
    result = buckets(counts)
    assert sum(bucket.count for bucket in result) == len(values)
    assert all(a.below == b.at_least for a, b in pairwise(result))
    for bucket in result:
        assert bucket.count == sum(bucket.at_least <= value < bucket.below for value in values)


def test_a_program_that_blocks(program: Any) -> None:
    """It has threads and sleeps instead of ticks and turns."""
    program.listen()(Block, 2000, "accept", sock="tcp-1")
    program.accept(2000, "tcp-2", dur=5000, waited=3_000_000).accept(7200, "tcp-3")
    program(Recv, 8000, "tcp-2", 5, 9, 4, (0, 4))(Send, 8200, "tcp-2", 5, 4, 4, (0, 4))
    program(Recv, 8300, "tcp-2", 5, 9, errno="ECONNRESET")
    program(Close, 9000, 5, "close", "tcp-2", received=4, sent=4).end(10_000)
    report = report_of([*program.events, Problem(11, "broken", "is not an event")])
    assert (report.model, report.ticks, report.slowest, report.problems) == ("run", 0, [], 1)
    assert (report.connections, report.connected, report.received, report.sent) == (2, 0, 4, 4)
    assert (report.accept_waits.count, report.accept_waits.longest_ns) == (1, 3_000_000)
    assert [conn.lifetime_ns for conn in report.busiest] == [2000, 2700]
    assert report.calls["recv"].errors == {"ECONNRESET": 1}
    assert (report.sleeps["accept"].total_ns, report.threads[0].thread, report.threads_count) == (
        5000, "main", 1,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_connections_that_a_program_makes(program: Any, size: int) -> None:
    """Also one whose handshake went on in the background; one that failed is none."""
    program(Connect, 1000, 3, "tcp-1", errno="EINPROGRESS")(Connect, 3000, 3, "tcp-1")
    program(Connect, 4000, 4, "tcp-2", errno="ECONNREFUSED")(Connect, 4500, 4, "tcp-2", errno="EINPROGRESS")
    program(Close, 5000, 4, "close", "tcp-2")(Connect, 5200, 5, None, "udp-1")
    report = report_of(program.events, size)
    assert (report.connected, report.connections_open, report.connections_most) == (1, 1, 1)
    assert (report.connects.count, report.connects.total_ns) == (1, 2100)


def test_what_is_read_and_stays_is_not_received(program: Any) -> None:
    """It is received when it is taken."""
    program(Inherit, 10, "tcp-1", 3, "tcp", "a:1", "b:2")(Inherit, 20, "tcp-2", 3, "tcp", "a:1", listens=True)
    program(Inherit, 30, "udp-1", 4, "udp", "a:1", "b:2")
    program(Recv, 100, "tcp-1", 3, 9, 4, (0, 4), flags="MSG_PEEK")(Recv, 200, "tcp-1", 3, 9, 4, (0, 4))
    report = report_of(program.events)
    assert (report.received, report.calls["recv"].count, report.connections_most) == (4, 2, 1)


def test_what_tcp_said(book: Any) -> None:
    """The median of all round trips, to two digits, and what was sent again of every connection."""
    book.listen()
    for name in ("tcp-1", "tcp-2"):
        book.accept(name)
    for name, rtt, again in (
        ("tcp-1", 20_400, 0), ("tcp-1", 45_000, 2), ("tcp-1", 0, 2), ("tcp-2", 990_000, 3),
        ("tcp-1", 44_900, 5), ("tcp-9", 1000, 7),
    ):  # fmt: skip
        book.add(TcpInfo, name, "sample", "ESTABLISHED", rtt, total_retrans=again)
    assert report_of(book.events, 1).tcp == TcpReport(6, 45_000, 990_000, 8)
    assert report_of([]).tcp == TcpReport()
