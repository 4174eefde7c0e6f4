"""Several logs become one, in the order in which their events are due."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from evloop_trace.merge import in_order, merge, one_clock, origins
from hypothesis import given
from hypothesis import strategies as st

from evloop.events.reader import Block, Problem
from evloop.events.schema import (
    SCHEMA,
    Header,
    Inherit,
    Poll,
    Prepare,
    Recv,
    Send,
    Signal,
    Socket,
    Unknown,
)
from evloop.events.schema import Block as Asleep


class FakeLog(NamedTuple):
    """A log that is in memory."""

    label: str
    header: Header
    blocks: Any


def header(mono_ns: int, wall_ns: int, boot_id: str = "") -> Header:
    """A header with these clocks."""
    return Header(
        0, 0, 0, SCHEMA, mono_ns, wall_ns, 1, 1, [], {}, "epoll", "upper", "none", 0, boot_id=boot_id
    )


def fake(label: str, start: int, times: list[int], size: int = 3) -> FakeLog:
    """A log whose events have these times, in blocks of `size`."""
    items: list[Any] = [Signal(at, t, 0, label) for at, t in enumerate(times)]
    blocks = [Block(at + 1, items[at : at + size]) for at in range(0, len(items), size)]
    return FakeLog(label, header(start, start, "b"), iter(blocks))


@pytest.mark.parametrize(
    ("boots", "expected"),
    [(("b", "b"), [0, 50]), (("a", "b"), [7, 0]), (("", ""), [7, 0]), (("b", ""), [7, 0])],
)
def test_the_clock_they_share(boots: tuple[str, str], expected: list[int]) -> None:
    """Logs of one boot share the monotonic clock; others, and those that do not know, the wall's."""
    headers = [header(100, 1007, boots[0]), header(150, 1000, boots[1])]
    assert origins(headers) == expected


@given(
    st.lists(st.tuples(st.integers(0, 50), st.lists(st.integers(0, 100))), min_size=2, max_size=4),
    st.integers(1, 5),
)
def test_every_line_once_and_in_order(logs: list[tuple[int, list[int]]], size: int) -> None:
    """Each line of each log comes once, numbered as in its log, and the times never go back."""
    fakes = [fake(str(at), start, sorted(times), size) for at, (start, times) in enumerate(logs)]
    least = min(start for start, _ in logs)
    seen: dict[str, list[tuple[int, int]]] = {log.label: [] for log in fakes}
    last = 0
    for log, block in merge(fakes):
        for line, item in enumerate(block.items, block.line):
            assert not isinstance(item, Problem)
            assert item.t >= last
            last = item.t
            seen[log.label].append((line, item.t))
    for log, (start, times) in zip(fakes, logs, strict=True):
        assert seen[log.label] == [(line, t + start - least) for line, t in enumerate(sorted(times), 1)]


def test_names_are_labelled(new_book: Any) -> None:
    """Names get the log's label, in every place where they stand."""
    events = new_book(boot_id="b").conversation().events
    events.append(Unknown(12, 12_000, 3, "new", {"conn": "tcp-1", "sock": 5}))
    events.append(Prepare(13, 13_000, 3, 20_000, "idle"))
    events.append(Prepare(14, 14_000, 3, None, "nothing"))
    one = FakeLog("a", header(0, 0, "b"), iter([Block(1, [])]))
    two = FakeLog("b", header(500, 0, "b"), iter([Block(1, []), Block(1, events)]))
    items: list[Any] = [item for _, block in merge([one, two]) for item in block.items]
    assert items[1].sock == "b:listen-1"
    assert items[2].ready == [("b:listen-1", "IN")]
    assert (items[3].sock, items[3].conn) == ("b:listen-1", "b:tcp-1")
    assert (items[9].sock, items[9].conn) == (None, "b:tcp-1")
    assert items[12].fields == {"conn": "b:tcp-1", "sock": 5}
    assert (items[13].t, items[13].until, items[14].until) == (13_500, 20_500, None)


def test_a_broken_line_stays_behind_the_line_before_it() -> None:
    """What has no time, or an earlier one, keeps its place in its own log."""
    items: list[Any] = [Signal(0, 10, 0, "a"), Problem(2, "broken", "x"), Signal(2, 5, 0, "a")]
    one = FakeLog("a", header(0, 0, "b"), iter([Block(1, items)]))
    two = fake("b", 0, [11, 12])
    merged = [(log.label, block.line, len(block.items)) for log, block in merge([one, two])]
    assert merged == [("a", 1, 3), ("b", 1, 2)]


def test_a_call_comes_when_it_has_returned() -> None:
    """A client that sleeps in a poll does not hold its server's events back."""
    asleep: list[Any] = [Poll(0, 1, 1, 90, None, "nothing is due", []), Signal(1, 95, 1, "a")]
    logs = [FakeLog("a", header(0, 0, "b"), iter([Block(1, asleep)])), fake("b", 0, [5, 50, 92])]
    times = [(log.label, item.t) for log, block in merge(logs) for item in block.items]
    assert times == [("b", 5), ("b", 50), ("a", 1), ("b", 92), ("a", 95)]


# -- the in_order ------------------------------------------------------------------------------------------


def ignore(_log: int, _seq: int) -> None:
    """Losses are not looked at."""


@given(
    st.lists(st.tuples(st.integers(0, 50), st.lists(st.integers(0, 100))), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_a_timeline_has_every_line_once_and_in_order(logs: list[tuple[int, list[int]]], size: int) -> None:
    """However the blocks fall; the earliest log's beginning is 0, as it is for `merge`."""
    fakes = [fake(str(at), start, sorted(times), size) for at, (start, times) in enumerate(logs)]
    least = min(start for start, _ in logs)
    lines = [it for batch in in_order(fakes, ignore) for it in zip(*batch, strict=True)]
    assert [item.t for _, item in lines] == sorted(item.t for _, item in lines)
    for number, (start, times) in enumerate(logs):
        own = [item.t for log, item in lines if log == number]
        assert own == [t + start - least for t in sorted(times)]


def only(*items: Any) -> list[Any]:
    """The items of the in_order of one log in one block; its losses are told first."""
    told: list[Any] = []
    log = FakeLog("a", header(0, 0, "b"), iter([Block(1, list(items))]))
    batches = list(in_order([log], lambda *it: told.append(it)))
    return [*told, *[item for _, batch in batches for item in batch]]


def test_a_short_send_stands_where_it_began() -> None:
    """One that slept stands behind the event that says so, and a long one where it ended."""
    other = Signal(0, 50, 0, "x")
    short, slept, long = (
        Send(1, 40, 0, 20, "c", 3, 1), Send(1, 40, 0, 20, "c", 3, 1), Send(1, 40, 0, 2_000_000, "c", 3, 1),
    )  # fmt: skip
    asleep = Asleep(0, 41, 0, "send")
    assert only(other, short) == [short, other]
    assert only(asleep, slept) == [asleep, slept]
    assert only(other, long) == [other, long]


def test_losses_are_told_with_the_number_of_the_next_event() -> None:
    """A broken line is one, if its number is missing."""
    broken = Problem(2, "broken", "x")
    events = [Signal(0, 1, 0, "x"), broken, Signal(2, 2, 0, "x"), Signal(3, 3, 0, "x")]
    assert only(*events) == [(0, 2), *events]


def test_a_timeline_labels_names() -> None:
    """Those of programs too; however many there are."""
    events: list[Any] = [
        Asleep(0, 1, 0, "poll", watched=[("tcp-1", "READ")]),
        Inherit(1, 2, 0, "tcp-2", 3, "tcp"),
        Socket(2, 3, 0, 1, "unix-2", 4, "unix", "unix-1"),
        Socket(3, 3, 0, 1, "unix-3", 4, "unix"),
        *[Recv(4 + at, 4, 0, 1, f"tcp-{at}", 3, 9) for at in range(10_005)],
    ]
    logs = [FakeLog("a", header(0, 0, "b"), iter([Block(1, events)])), fake("b", 0, [])]
    items: list[Any] = [item for _, batch in in_order(logs, ignore) for item in batch]
    assert items[0].watched == [("a:tcp-1", "READ")]
    assert items[1].name == "a:tcp-2"
    assert (items[2].sock, items[2].pair, items[3].pair) == ("a:unix-2", "a:unix-1", None)
    assert [item.conn for item in items[4:]] == [f"a:tcp-{at}" for at in range(10_005)]


def test_one_log_has_one_clock() -> None:
    """Whether it knows its boot or not."""
    assert one_clock([header(0, 0)])
    assert not one_clock([header(0, 0), header(0, 0)])
