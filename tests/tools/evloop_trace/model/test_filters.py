"""Filters keep what they name."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.filters import Filter, due, kind_of, parse_time

from evloop.events.schema import Connect, Inherit, Poll, Signal, Socket, Unknown


@pytest.mark.parametrize(
    ("text", "ns"),
    [("0", 0), ("1.5", 1_500_000_000), ("250ms", 250_000_000), ("2 s", 2 * 10**9), ("80us", 80_000),
     ("3µs", 3000), ("7ns", 7), ("1min", 60 * 10**9), ("0.000000001", 1), ("1.25ms", 1_250_000)],
)  # fmt: skip
def test_times(text: str, ns: int) -> None:
    """Times are exact, in all units."""
    assert parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "x", "-1", "1h", "1e3", "nan", "9" * 20, "1.0000000001"])
def test_what_is_no_time(text: str) -> None:
    """The message shows how a time is written."""
    with pytest.raises(ValueError, match="is not a time: write seconds"):
        parse_time(text)


def test_an_event_is_due_when_its_call_has_returned() -> None:
    """A poll sleeps, and shows what woke it when it has; what is no call takes no time."""
    assert due(Poll(1, 100, 1, 50, None, "", [])) == 150
    assert due(Signal(1, 100, 1, "SIGINT")) == 100
    assert due(Unknown(1, 100, 1, "later", {"dur": 7})) == 100


def test_an_empty_filter_keeps_everything(book: Any) -> None:
    """Without a wish nothing is left out."""
    keep = Filter()
    assert keep.everything
    assert all(keep.keep(event) and keep.within(event) for event in book.conversation().events)


def test_names_are_connections_and_sockets(book: Any) -> None:
    """A name keeps the events that are about it."""
    book.conversation()
    kept = [kind_of(event) for event in book.events if Filter(frozenset({"tcp-1"})).keep(event)]
    assert kept == ["accept", "recv", "send", "recv", "close"]
    kept = [kind_of(event) for event in book.events if Filter(frozenset({"listen-1"})).keep(event)]
    assert kept == ["listen", "accept", "close"]


def test_a_socket_of_a_program_has_one_name_all_its_life() -> None:
    """As a socket, as one that was inherited, as a connection."""
    keep = Filter(frozenset({"tcp-1"})).keep
    assert keep(Inherit(1, 2, 0, "tcp-1", 3, "tcp"))
    assert not keep(Inherit(1, 2, 0, "tcp-2", 3, "tcp"))
    assert keep(Socket(1, 2, 0, 1, "tcp-1", 3, "tcp"))
    assert keep(Connect(1, 2, 0, 1, 3, "tcp-1"))


def test_kinds_and_names_both_count(book: Any) -> None:
    """An event must be of the kind and about the name."""
    keep = Filter(frozenset({"tcp-1"}), frozenset({"recv", "poll"}))
    assert [kind_of(event) for event in book.conversation().events if keep.keep(event)] == ["recv", "recv"]


def test_both_ends_of_the_time_count(book: Any) -> None:
    """Events that are due at the beginning and the end of the span are kept: each call takes 100 ns."""
    keep = Filter(start=2100, end=4100)
    assert not keep.everything
    assert [event.t for event in book.conversation().events if keep.within(event)] == [2000, 3000, 4000]


def test_unknown_events_are_found_by_their_fields() -> None:
    """An unknown event is about whatever its fields name."""
    event = Unknown(1, 2, 3, "new", {"conn": "tcp-1", "n": 5})
    assert kind_of(event) == "new"
    assert Filter(frozenset({"tcp-1"})).keep(event)
    assert not Filter(frozenset({"tcp-2"})).keep(event)
