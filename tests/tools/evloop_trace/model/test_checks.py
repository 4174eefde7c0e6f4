"""A whole log passes the check, and each way of being wrong is found and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.checks import Checker, Finding

from evloop.events.reader import LineReader, Problem
from evloop.events.schema import Accept, Bind, Gap, Recv, Recvfrom, Send, Sendto, Shutdown, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable


def check(items: list[Any], size: int = 1000) -> list[Finding]:
    """The findings, the items being fed in blocks of `size`."""
    findings: list[Finding] = []
    checker = Checker(findings.append)
    for at in range(0, len(items), size):
        checker.feed(at + 1, items[at : at + size])
    checker.finish()
    return findings


def kinds(items: list[Any]) -> list[tuple[int, str]]:
    """Line and kind of each finding."""
    return [(finding.line, finding.kind) for finding in check(items)]


def index(book: Any, cls: type) -> int:
    """Where the first event of a kind is."""
    return next(at for at, event in enumerate(book.events) if isinstance(event, cls))


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_whole_log_has_no_findings(book: Any, size: int) -> None:
    """Nothing is found in a log that is in order, however it is cut into blocks."""
    assert check(book.conversation().events, size) == []


def test_datagrams_and_both_halves(book: Any) -> None:
    """UDP sockets, failed calls, shutdown and the end of a stream are all in order."""
    book.bind()
    book.add(Recvfrom, 1, "udp-1", 6, 2, "p")
    book.add(Sendto, 1, "udp-1", 6, "p", 2)
    book.listen()
    book.add(Accept, 1, "listen-1", errno="EAGAIN")
    book.accept("tcp-1")
    book.add(Recv, 1, "tcp-1", 7, 100, errno="EAGAIN")
    book.add(Recv, 1, "tcp-1", 7, 100, 0)
    book.add(Shutdown, 1, "tcp-1", 7, "SHUT_WR")
    book.close("tcp-1")
    book.close_socket("listen-1")
    book.close_socket("udp-1")
    book.end()
    assert check(book.events) == []


def test_missing_events_are_named(book: Any) -> None:
    """A gap in seq says which events are missing and how many, and is found once."""
    events = book.conversation().events
    (finding,) = check([*events[:5], *events[7:]])
    assert (finding.line, finding.kind) == (6, "lost")
    assert "events 5 to 6 are missing before this line: 2 lost" in finding.text
    (finding,) = check([*events[:5], *events[6:]])
    assert "event 5 is missing" in finding.text


def test_after_a_loss_what_is_seen_is_believed(book: Any) -> None:
    """An accept, opened sockets and closes may be among what is missing: that is no finding of its own."""
    book.conversation()
    events = book.events
    assert [kind for _, kind in kinds([events[0], *events[4:]])] == ["lost"]  # listen and accept
    assert [kind for _, kind in kinds([*events[:-3], events[-1]])] == ["lost"]  # the closes


def test_offsets_start_anew_after_a_loss(book: Any) -> None:
    """A loss may hide bytes of each direction once."""
    book.listen()
    book.accept("tcp-1")
    for _ in range(4):
        book.recv("tcp-1", b"abc")
        book.send("tcp-1", b"abc")
    book.close("tcp-1")
    book.close_socket("listen-1")
    book.end()
    events = book.events
    assert [kind for _, kind in kinds([*events[:5], *events[7:]])] == ["lost"]
    assert [kind for _, kind in kinds([*events[:5], *events[11:]])] == ["lost"]  # the totals are not judged


def test_a_gap_explains_a_loss(book: Any) -> None:
    """The gap's own words are told, and the loss is counted once."""
    events = book.conversation().events
    gap = Gap(6, 6000, 2, 2, "the disk was full")
    findings: list[Finding] = []
    checker = Checker(findings.append)
    checker.feed(1, [*events[:5], gap, *events[7:]])
    checker.finish()
    assert [finding.text for finding in findings] == [
        "events 5 to 6 are missing, and the log says why: the disk was full"
    ]
    assert checker.missing == 2
    (finding,) = check([*events[:6], gap.__class__(6, 6000, 2, 1, "slow"), *events[7:]])
    assert "event 6 is missing, and the log says why: slow" in finding.text


def test_a_broken_line_explains_a_missing_event(book: Any) -> None:
    """The event that stood in a broken line is not also reported as lost."""
    items: list[Any] = book.conversation().events
    items[5] = Problem(6, "broken", "is not an event")
    assert kinds(items) == [(6, "broken-line")]
    items[6] = Problem(7, "too-long", "is longer")
    assert kinds(items) == [(6, "broken-line"), (7, "broken-line")]


def test_broken_lines_elsewhere_explain_nothing(book: Any) -> None:
    """Two events lost are lost, though two broken lines stood before them."""
    items: list[Any] = book.conversation().events
    broken = [Problem(3, "broken", "is not an event"), Problem(4, "broken", "is not an event")]
    found = kinds([*items[:2], *broken, *items[2:6], *items[8:]])
    assert [kind for _, kind in found] == ["broken-line", "broken-line", "lost"]


def test_a_log_without_end(book: Any) -> None:
    """A log that was cut off says what it leaves open, and nothing else."""
    events = book.conversation().events
    (finding,) = check(events[:-3])
    assert (finding.kind, finding.line) == ("no-end", len(events) - 3)
    assert "1 open connections and 1 other open sockets" in finding.text


def test_a_torn_end(book: Any) -> None:
    """A torn last line is found beside the missing end."""
    data = book.conversation().encode()
    lines = LineReader()
    items = [item for block in (lines.feed(data[:-5]), lines.finish()) if block for item in block.items]
    assert [kind for _, kind in kinds(items)] == ["torn-end", "no-end"]


def test_what_is_never_closed(book: Any) -> None:
    """A connection and a listener that stay open are named with the line that opened them."""
    book.listen()
    book.accept("tcp-1")
    book.end()
    assert kinds(book.events) == [(3, "not-closed"), (2, "not-closed")]


def _change(cls: type, **fields: Any) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        for name, value in fields.items():
            setattr(book.events[index(book, cls)], name, value)

    return change


def _at(position: int, **fields: Any) -> Callable[[Any], None]:
    def change(book: Any) -> None:
        for name, value in fields.items():
            setattr(book.events[position], name, value)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_at(5, t=1), [(6, "time")]),
        (_at(6, tick=0), [(7, "tick")]),
        (_at(5, seq=3), [(6, "sequence"), (7, "lost")]),
        (_change(Recv, off=(1, 10)), [(6, "offsets"), (9, "offsets")]),
        (_change(Recv, off=(0, 8)), [(6, "offsets"), (9, "offsets")]),
        (_change(Send, off=(3, 12)), [(7, "offsets"), (10, "totals")]),
        (_change(Send, n=7), [(7, "offsets")]),
        (_change(Send, off=None), [(7, "offsets"), (10, "totals")]),
        (_change(Recv, size=5), [(6, "size")]),
        (_at(9, received=1), [(10, "totals")]),
        (_at(9, sent=1), [(10, "totals")]),
        (_at(-1, events=3), [(12, "end-count")]),
        (
            _change(Accept, conn="tcp-2"),
            [(6, "not-open"), (7, "not-open"), (9, "not-open"), (10, "not-open"), (4, "not-closed")],
        ),
        (_change(Accept, sock="listen-2"), [(4, "not-open")]),
        (_at(10, sock="listen-2"), [(11, "not-open"), (2, "not-closed")]),
    ],
)  # fmt: skip
def test_each_way_of_being_wrong(book: Any, change: Any, expected: list[tuple[int, str]]) -> None:
    """One change to a whole log gives the findings that belong to it."""
    book.conversation()
    change(book)
    found = kinds(book.events)
    assert found == expected


def test_after_a_close_nothing_happens(book: Any) -> None:
    """An event on a closed connection names the line that closed it; the name is never used again."""
    book.listen()
    book.accept("tcp-1")
    book.close("tcp-1")
    book.add(Recv, 1, "tcp-1", 7, 100, 3, (0, 3))
    book.add(Shutdown, 1, "tcp-1", 7, "SHUT_WR")
    book.accept("tcp-1")
    book.close("tcp-1")
    book.close_socket("listen-1")
    book.add(Bind, 1, "listen-1", 6, "udp", "a")
    book.close_socket("listen-1")
    book.end()
    findings = check(book.events)
    assert [finding.kind for finding in findings] == ["not-open", "not-open", "reused", "reused"]
    assert "which was closed in line 4" in findings[0].text


def test_a_loss_does_not_open_what_was_closed(book: Any) -> None:
    """After a loss an unknown connection is believed, one that was closed is not."""
    book.listen()
    book.accept("tcp-1")
    book.close("tcp-1")
    book.events.pop()
    book.close("tcp-1")
    book.poll()
    book.poll()
    book.add(Recv, 1, "tcp-1", 7, 100, 3, (0, 3))
    book.add(Recvfrom, 1, "udp-9", 7, 3, "p")
    book.close_socket("udp-9")
    book.add(Recvfrom, 1, "udp-9", 7, 3, "p")
    del book.events[4]
    book.close_socket("listen-1")
    book.events[-1].seq += 1
    assert [kind for _, kind in kinds(book.events)][:3] == ["lost", "not-open", "not-open"]


def test_logs_that_were_appended(book: Any, new_book: Any) -> None:
    """A second header and what follows the end are named once each."""
    found = kinds(book.conversation().events + new_book().conversation().events)
    assert [kind for _, kind in found] == ["after-end", "sequence", "time", "tick", "header"]


def test_unknown_kinds_are_a_note(book: Any) -> None:
    """An unknown kind of event is noted once, and makes nothing wrong."""
    book.conversation()
    end = book.events.pop()
    end.seq += 2
    end.events += 2
    book.events += [Unknown(11, 11000, 3, "new", {}), Unknown(12, 11000, 3, "new", {}), end]
    (finding,) = check(book.events)
    assert (finding.kind, finding.note) == ("unknown-kind", True)


def test_an_empty_fold_has_no_end() -> None:
    """Nothing at all is a log without end, in line 1."""
    assert kinds([]) == [(1, "no-end")]
