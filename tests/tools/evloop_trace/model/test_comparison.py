"""Two servers' clients, side by side."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.clients import Clients
from evloop_trace.model.comparison import Comparison, Side, Spread, not_comparable, spread

from evloop.events.schema import Connect, Queue

MS = 1_000_000


def side(log: Any, label: str = "a") -> Side:
    """A log, read."""
    clients = Clients()
    clients.feed(1, log.events)
    clients.finish()
    return Side(label, f"{label}.jsonl", log.events[0], clients)


def names(comparison: Comparison) -> list[tuple[str | None, str | None]]:
    """Who is who."""
    return [(pair.a and pair.a.name, pair.b and pair.b.name) for pair in comparison.pairs]


def two(serving: Any, a: list[bytes], b: list[bytes]) -> Comparison:
    """Servers whose clients said these things first."""
    logs = []
    for said in (a, b):
        log = serving()
        for at, words in enumerate(said):
            log.client(10 * at, 10 * at + 1, 10 * at + 5, f"tcp-{at + 1}", words)
        logs.append(log)
    return Comparison(side(logs[0]), side(logs[1], "b"))


def test_matched_by_what_they_said(serving: Any) -> None:
    """If nobody said what another said, and the same was said to both."""
    comparison = two(serving, [b"x", b"y", b"z"], [b"z", b"x", b"y"])
    assert comparison.by_greeting
    assert names(comparison) == [("tcp-1", "tcp-2"), ("tcp-2", "tcp-3"), ("tcp-3", "tcp-1")]
    assert comparison.number(1, "tcp-1") == 3
    assert comparison.number(0, "tcp-9") is None


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([b"x", b"x"], [b"x", b"x"]),
        ([b"x", b"y"], [b"x", b"z"]),
        ([b"x", b""], [b"x", b""]),
        ([b"x", b"y"], [b"x"]),
        ([b"x"], [b"x", b"y"]),
    ],
)
def test_matched_by_order(serving: Any, a: list[bytes], b: list[bytes]) -> None:
    """Otherwise; the last of the longer log have no partner."""
    comparison = two(serving, a, b)
    assert not comparison.by_greeting
    assert names(comparison) == [
        (f"tcp-{at}" if at <= len(a) else None, f"tcp-{at}" if at <= len(b) else None)
        for at in range(1, max(len(a), len(b)) + 1)
    ]


def test_who_is_shown(serving: Any) -> None:
    """All that there is room for, or the first and the worst of the rest."""
    log = serving()
    for at, waits in enumerate((0, 0, 0, 0, 9, 0, 8)):
        log.client(20 * at, 20 * at + waits, 20 * at + 15, f"tcp-{at + 1}")
    comparison = Comparison(side(log), side(log))
    assert [pair.number for pair in comparison.select(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert [pair.number for pair in comparison.select(4)] == [1, 2, 5, 7]
    assert [pair.number for pair in comparison.select(3)] == [1, 2, 5]


def test_numbers(serving: Any) -> None:
    """Each client counts once in each spread; the axis begins with the first arrival."""
    log = serving("threaded")
    log.client(100, 100, 150, "tcp-1")
    log.client(110, 150, 190, "tcp-2")
    log.accept(195, "tcp-3", 5)
    log.add(Queue, 200, "tcp-0", 2, 5)
    one = side(log)
    assert one.summary().queue == Spread(5 * MS, 40 * MS, 40 * MS)
    summary = one.summary()
    assert (summary.label, summary.log, summary.model) == ("a", "a.jsonl", "threaded")
    assert (summary.clients, summary.most, summary.threads, summary.waited) == (3, 1, 1, 1)
    assert (summary.never_accepted, summary.still_open, summary.duration_ns) == (2, 1, 100 * MS)
    assert summary.first_answer == Spread(200_000, 40_200_000, 40_200_000)
    assert summary.answers == Spread(100_000, 100_000, 100_000)
    assert summary.stay == Spread(50 * MS, 80 * MS, 80 * MS)
    assert Comparison(one, one).end == 100 * MS


def test_spread() -> None:
    """The ranks are those of values that occurred; what is not known does not count."""
    assert spread([]) is None
    assert spread([None]) is None
    assert spread([3, None, 1, 2]) == Spread(2, 3, 3)
    assert spread(range(1, 101)) == Spread(50, 90, 100)


def test_what_has_no_clients(serving: Any) -> None:
    """A client's log and one in which nobody connects are no use; a program that also connects is."""
    proxy, caller, nobody, client = serving(), serving("run"), serving("run"), serving("client")
    proxy.add(Connect, 1, 7, "tcp-9")
    proxy.client(0, 1, 2, "tcp-1")
    caller.add(Connect, 1, 7, "tcp-9")
    reasons = [
        not_comparable("x", log.events[0], side(log).clients) for log in (proxy, caller, nobody, client)
    ]
    assert reasons[0] == ""
    assert reasons[1] == reasons[3] == "x is a client's log: compare needs those of the servers"
    assert reasons[2] == "nobody connects in x: there is nothing to compare"
