"""What a line says of the calls that something came from."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.ends import Joined, Origin
from evloop_trace.views.joined import format_rows, sources

from evloop.events.schema import End, Recv, Recvfrom, Signal


def send(seq: int, start: int, end: int, t: int = 1800, ev: str = "send", log: str = "client") -> Origin:
    """A call that bytes came from."""
    return Origin(ev, log, seq, t, start, end)


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        (Joined(10_000, 0, [send(12, 0, 18)]), "from client send #12 [0,18) 8.2 µs before"),
        (
            Joined(10_000, 0, [send(12, 0, 6), send(13, 6, 11)]),
            "from client send #12 [0,6), #13 [6,11) 8.2 µs before",
        ),
        (
            Joined(10_000, 0, [send(at, at, at + 1) for at in range(7)]),
            "from client send #0 [0,1), #1 [1,2), #2 [2,3) and 4 more 8.2 µs before",
        ),
        (Joined(10_000, 0, [send(3, 0, 9)], exact=False), "likely from client send #3 [0,9) 8.2 µs before"),
        (Joined(10_000, 0, [send(3, 0, 9, log="")]), "from send #3 [0,9) 8.2 µs before"),
        (Joined(10_000, 0, [send(3, 9, 10, ev="close")]), "from client close #3 8.2 µs before"),
        (
            Joined(10_000, 0, [send(3, 0, 9, ev="block")]),
            "from client a send that goes on, #3 [0,9) 8.2 µs before",
        ),
        (
            Joined(10_000, 5, [send(3, 0, 9)]),
            "from client send #3 [0,9) 8.2 µs before, but 5 B from nothing that is in the logs",
        ),
        (
            Joined(10_000, 0, [send(3, 0, 9, t=3_000_010_000)]),
            "from client send #3 [0,9) 3.0 s later: their clocks disagree",
        ),
        (Joined(10_000, 5), "from nothing that is in the logs"),
    ],
)
def test_where_it_came_from(joined: Joined, expected: str) -> None:
    """In a few words."""
    assert sources(joined) == f"  {expected}"


def test_a_datagram_may_be_from_anybody() -> None:
    """That is nothing to tell."""
    assert sources(Joined(1, 5), datagram=True) == ""
    assert sources(Joined(1, 0)) == ""


def test_labels_are_escaped() -> None:
    """They are names of files."""
    assert "\x1b" not in sources(Joined(10_000, 0, [send(1, 0, 1, log="\x1b[31m")]))


def test_lines_of_rows() -> None:
    """What came from somewhere says so at its end."""
    recv = Recv(1, 5, 1, 100, "server:tcp-1", 3, 9, 4, (0, 4), b"abcd")
    rows = [
        Row(0, Signal(1, 1, 0, "SIGINT")),
        Row(1, recv, Joined(105, 0, [send(2, 0, 4, t=5)])),
        Row(1, Recvfrom(2, 5, 1, 100, "server:udp-1", 3, 4), Joined(105, 4)),
    ]
    plain, joined, datagram = format_rows(rows)
    assert plain.endswith("SIGINT")
    assert joined.endswith('"abcd"  +0.1 µs  from client send #2 [0,4) 100 ns before')
    assert datagram.endswith("+0.1 µs")


def test_lines_of_several_logs_say_whose_they_are(book: Any) -> None:
    """Also the ones that are of no socket; and the columns are as wide as the longest label needs."""
    header, end = book.events[0], End(9, 9, 1, "SIGINT", 9)
    recv = Recv(1, 5, 1, 100, "server\x1b:listen-12", 3, 9, 4, (0, 4), b"abcd")
    rows = [Row(0, header), Row(1, header), Row(1, recv), Row(0, end), Row(1, Signal(1, 1, 0, "SIGINT"))]
    lines = format_rows(rows, ["client", "server\x1b"])
    begin = len("      0.000000  tick 0      ")
    assert [line[begin:].split()[0] for line in lines] == [
        "client", "server\\x1b", "server\\x1b:listen-12", "client", "server\\x1b",
    ]  # fmt: skip
    words = "header", "header", "recv(", "end", "signal"
    assert {line.index(word, begin) for line, word in zip(lines, words, strict=True)} == {begin + 22}
