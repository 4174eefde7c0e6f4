"""A connection of a timeline is found by whatever it is called, or a sentence says what there is."""

from __future__ import annotations

import pytest
from evloop_trace.correlate.choice import NotOneError, choose, is_of
from evloop_trace.correlate.entries import CallEntry, Strand

from evloop.events.schema import Poll, Timer

INHERITED = ("4711:tcp-9", "4712:tcp-3", "4713:tcp-8")

STRANDS = [
    Strand(0, "tcp", "127.0.0.1:4000", "127.0.0.1:80", ("a:tcp-1", "server:tcp-2")),
    Strand(1, "tcp", "127.0.0.1:4001", "127.0.0.1:80", ("b:tcp-1", "server:tcp-3")),
    Strand(2, "tcp", "[::1]:4002", "[::1]:80"),
    Strand(3, "tcp", "[::1]:4003", "[::1]:80", ("", "c:tcp-9"), others=INHERITED),
]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ("0", 0),
        ("#2", 2),
        ("b:tcp-1", 1),
        ("tcp-3", 1),
        ("127.0.0.1:4000", 0),
        ("[::1]:4002", 2),
        ("4711:tcp-9", 3),
        ("tcp-8", 3),
        ("tcp-9", 3),
    ],
)
def test_a_connection_is_found(wanted, number):
    """By its number, by a name with its log's label or without, any process's, and by an address."""
    assert choose(STRANDS, wanted).number == number


def test_a_connection_that_is_not_there():
    """The sentence names those that are."""
    with pytest.raises(
        NotOneError,
        match=r"'x'; there are: 0 \(a:tcp-1, server:tcp-2\), 1 .*, 2 \(\[::1\]:4002\), 3 \(c:tcp-9\)",
    ):
        choose(STRANDS, "x")
    with pytest.raises(NotOneError, match="there are none"):
        choose([], "x")
    with pytest.raises(NotOneError, match=r" and 8 more$"):
        choose([Strand(at, "tcp", f"h:{at}", "") for at in range(20)], "x")


def test_a_name_of_several_connections():
    """Which of them is asked for."""
    with pytest.raises(
        NotOneError, match=r"'tcp-1' is 2 connections: 0 \(a:tcp-1, server:tcp-2\), 1 .*; say which"
    ):
        choose(STRANDS, "tcp-1")


def test_what_is_of_a_connection():
    """Its own entries, and polls that woke a program for it."""
    poll = Poll(1, 0, 0, 10, None, "", [("listen-1", "IN"), ("b:tcp-1", "IN")])
    one, other = (CallEntry(0, 0, poll, client=True, strand=it) for it in (STRANDS[1], STRANDS[0]))
    assert is_of(STRANDS[1], one)
    assert not is_of(STRANDS[1], other)
    assert is_of(STRANDS[1], CallEntry(0, 0, poll, client=True))
    assert not is_of(STRANDS[0], CallEntry(0, 0, poll, client=True))
    poll = Poll(2, 0, 0, 10, None, "", [("4712:tcp-3", "IN")])
    assert is_of(STRANDS[3], CallEntry(0, 0, poll, client=True))
    assert not is_of(STRANDS[0], CallEntry(0, 0, Timer(1, 0, 0, "x", 0), client=True))
