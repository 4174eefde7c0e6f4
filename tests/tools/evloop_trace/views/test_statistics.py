"""The report as a page."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.statistics import Statistics
from evloop_trace.views.statistics import render

from evloop.events.reader import Problem
from evloop.events.schema import Block, Connect, Poll, Recvfrom, Refuse, TcpInfo, Unknown


def page(items: list[Any], name: str = "a.jsonl", colour: bool = False) -> str:
    """The page for these items."""
    statistics = Statistics()
    statistics.feed(1, items)
    return render(statistics.report(), name, 100, colour=colour)


def test_the_whole_page(book: Any) -> None:
    """Each part has its heading, and lines end without blanks."""
    text = page(book.conversation().events)
    for heading in (
        "Calls",
        "Busiest connections",
        "Slowest handlers",
        "Sockets ready in a tick",
        "Bytes in a recv",
    ):
        assert heading in text.splitlines()
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "\x1b" not in text


def test_trouble_is_told_at_the_top(book: Any) -> None:
    """Lost, broken and unknown lines and a missing end stand in the first line."""
    book.add(Recvfrom, 1, "udp-1", 6, 5, "p", truncated=True)
    book.add(Refuse, "udp-1", "p", "port 7")
    text = page([*book.events, Unknown(5, 1, 0, "new", {}), Problem(5, "broken", "is")])
    assert "2 lost; 1 broken lines; 1 unknown; the log has no end" in text
    assert "1 received (5 B), 1 of them cut off, 0 sent (0 B), 1 not answered" in text


def test_an_open_connection(book: Any) -> None:
    """A connection that is open at the end says so."""
    book.accept("tcp-1")
    text = page(book.events)
    assert "1 open at the end" in text
    assert "Slowest" in text


def test_nothing_at_all() -> None:
    """An empty report is a short page."""
    assert "Busiest" not in page([])


@pytest.mark.parametrize("coloured", [True, False])
def test_colour(book: Any, monkeypatch: pytest.MonkeyPatch, coloured: bool) -> None:
    """It is there if it is wanted; markup and sequences in names are text."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = page(book.conversation().events, "[red]\x1b[2J", coloured)
    assert "[red]\\x1b[2J" in text
    assert ("\x1b[36m" in text) == coloured


def test_a_program_that_blocks(program: Any) -> None:
    """Who slept in which calls, how long clients waited, and nothing of a loop."""
    program.listen()(Block, 2000, "accept", sock="tcp-1")
    program.accept(2000, "tcp-2", dur=5000, waited=3_000_000)(Connect, 8000, 6, "tcp-3", None, "a:1")
    program(Block, 9000, "recv", "tcp-3", thread="T-1").end(20_000)
    text = page(program.events)
    assert "connections  1 accepted, 1 made, at most 2 at a time, 2 open at the end" in text
    assert "accept()     connections lay 3.0 ms on average, 3.0 ms at most in the queue before" in text
    assert "connect()    100 ns on average, 100 ns at most until the connection was there" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "T-1 11.0 µs 11.0 µs 100 % 0 in recv()" in rows
    assert "accept() 1 5.0 µs 5.0 µs 5.0 µs src/app.py:5" in rows
    assert "ticks" not in text
    assert "working" not in text


def test_a_program_that_polls(program: Any) -> None:
    """It has ticks too; with several threads it is not one sleep that is told."""
    program(Poll, 100, None, "", [], dur=900, tick=1)
    assert "asleep       900 ns, 90 % of the time" in page(program.events)
    program(Poll, 1100, None, "", [], tick=2, thread="T-1")
    text = page(program.events)
    assert "ticks        2," in text
    assert "\nasleep  " not in text


def test_many_threads(program: Any) -> None:
    """Those that are not told of are counted."""
    for n in range(13):
        program(Poll, 100 * n, None, "", [], thread=f"T-{n}", tick=n + 1)
    assert "Threads, and 3 more" in page(program.events)


def test_what_tcp_said(book: Any) -> None:
    """How often it was asked, the round trip, and what was sent again, if there is any of it."""
    assert "TCP" not in page(book.conversation().events)
    book.add(TcpInfo, "tcp-1", "close", "CLOSED")
    assert "asked once" in page(book.events)
    book.accept("tcp-2")
    book.add(TcpInfo, "tcp-2", "sample", "ESTABLISHED", 45_000, total_retrans=3)
    text = page(book.events)
    assert "asked 2 times: round trip 45.0 µs (median), 45.0 µs at most; 3 segments sent again" in text
