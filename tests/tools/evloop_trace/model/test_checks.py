"""A whole log passes the check, and each way of being wrong is found and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.checks import Checker, Finding

from evloop.events.reader import LineReader, Problem
from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Clock,
    Close,
    Connect,
    Gap,
    Inherit,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Setsockopt,
    Shutdown,
    Socket,
    TcpInfo,
    Unknown,
)

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


@pytest.mark.parametrize(
    ("step", "said"), [(3_600_000_000_000, "forward by 1 h"), (-(10**9), "back by 1.0 s")]
)
@pytest.mark.parametrize("drift", [[(20, 10**6)], []])
def test_the_time_of_day_was_set(book: Any, step: int, said: str, drift: list[tuple[int, int]]) -> None:
    """Once is it told, as a note; a drift of a millisecond is none."""
    events = book.conversation().events
    header, end = events[0], events.pop()
    for t, moved in (*drift, (30, step), (40, step)):
        mono = header.mono_ns + end.t + t
        wall = header.wall_ns + end.t + t + moved
        events.append(Clock(len(events), end.t + t, end.tick, mono, wall, 50))
    (finding,) = [it for it in check(events) if it.kind == "clock-step"]
    assert finding.note
    assert said in finding.text
    assert finding.line == len(events) - 1


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


def conversation(program: Any) -> Any:
    """A whole log of a program: a server with two threads, and a client of its own."""
    program.listen()(Setsockopt, 1500, 3, "SOL_SOCKET", "SO_REUSEADDR", "1", sock="tcp-1")
    program(Block, 2000, "accept", sock="tcp-1").accept(2000, "tcp-2", dur=5000)
    program(Block, 8000, "recv", "tcp-2", thread="T-1")
    program(Socket, 8100, "tcp-3", 6, "tcp")(Block, 8300, "connect", "tcp-3")
    program(Connect, 8290, 6, "tcp-3", None, "127.0.0.1:8080")
    program(Send, 8500, "tcp-3", 6, 4, 4, (0, 4))
    program(Recv, 7990, "tcp-2", 5, 9, 4, (0, 4), dur=1000, flags="MSG_PEEK", thread="T-1")
    program(Recv, 9000, "tcp-2", 5, 9, 4, (0, 4), thread="T-1")(Recv, 9200, "tcp-2", 5, 9, 0, (4, 4))
    program(Close, 9500, 5, "close", "tcp-2", received=4)(Close, 9700, 6, "exit", "tcp-3", sent=4)
    return program(Close, 9900, 3, "exit", None, "tcp-1").end(11_000)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_whole_log_of_a_program(program: Any, size: int) -> None:
    """Names from socket(2), two threads with a time each, bytes that are looked at first."""
    assert check(conversation(program).events, size) == []


def test_sockets_of_every_origin(program: Any) -> None:
    """Pairs, inherited ones, datagrams, a failed call: what becomes of a socket shows in its calls."""
    program(Socket, 100, "unix-1", 3, "unix")(Socket, 250, "unix-2", 4, "unix", "unix-1")
    program(Send, 400, "unix-1", 3, 1, 1, (0, 1))(Close, 600, 3, "close", "unix-1", sent=1)
    program(Close, 800, 4, "close", None, "unix-2")
    program(Inherit, 1000, "tcp-1", 5, "tcp", "a:1", "b:2", received=7, sent=9)
    program(Recv, 1100, "tcp-1", 5, 9, 1, (7, 8))(Close, 1300, 5, "close", "tcp-1", received=8, sent=9)
    program(Inherit, 1500, "tcp-2", 5, "tcp", "a:1", listens=True)(Shutdown, 1600, "tcp-2", 5, "SHUT_RD")
    program(Accept, 1800, "tcp-2", errno="EINVAL")(Close, 2000, 5, "close", None, "tcp-2")
    program(Inherit, 2100, "unix-3", 5, "unix")(Recv, 2200, "unix-3", 5, 9, 1, (0, 1))
    program(Close, 2400, 5, "close", "unix-3", received=1)
    program(Socket, 2600, "udp-1", 5, "udp")(Connect, 2800, 5, None, "udp-1", "a:1")
    program(Bind, 3000, "udp-1", 5, "udp", "a:2")(Recvfrom, 3200, "udp-1", 5, 2, "p")
    program(Close, 3400, 5, "close", None, "udp-1")
    program(Socket, 3600, "tcp-3", 5, "tcp")(Bind, 3800, "tcp-3", 5, "tcp", "a:1", "EADDRINUSE")
    program(Listen, 4000, "tcp-3", 5, "tcp", "a:1", 5, "EADDRINUSE")(
        Recv, 4200, "tcp-3", 5, 9, errno="ENOTCONN"
    )
    program(Connect, 4400, 5, "tcp-3", None, "a:1", errno="ECONNREFUSED")
    program(Close, 4600, 5, "close", "tcp-3")(Socket, 4800, errno="EMFILE")
    assert check(program.end(5000).events) == []


def test_what_a_program_leaves_open(program: Any) -> None:
    """Each with the line that it is from, and how it began."""
    program(Inherit, 10, "tcp-1", 5, "tcp", "a:1", "b:2")(Socket, 100, "tcp-2", 5, "tcp")
    program(Socket, 300, "tcp-3", 5, "tcp")(Connect, 500, 5, "tcp-3").end(700)
    assert [(finding.line, finding.text) for finding in check(program.events)] == [
        (2, "tcp-1 was inherited here and never closed"),
        (4, "tcp-3 was opened here and never closed"),
        (3, "tcp-2 was opened here and never closed"),
    ]


def test_a_program_that_was_killed_while_it_slept(program: Any) -> None:
    """A call that never returned is no mistake of the log."""
    (finding,) = check(program.listen()(Block, 2000, "accept", sock="tcp-1").events)
    assert finding.kind == "no-end"
    assert "the program crashed" in finding.text
    assert "0 open connections and 1 other open sockets" in finding.text


def test_time_goes_back_in_a_thread_only(program: Any) -> None:
    """A call of another thread may have begun long before."""
    program(Socket, 5000, "tcp-1", 3, "tcp")(Socket, 2000, "tcp-2", 4, "tcp", thread="T-1")
    program(Socket, 3000, "tcp-3", 5, "tcp")(Block, 2500, "recv", "tcp-3", thread="T-1")
    program(Block, 3000, "recv", "tcp-3", tick=3)(Block, 3500, "accept", sock="tcp-2", tick=2, thread="T-1")
    program(Block, 3600, "send", "tcp-3", tick=2)
    found = [finding for finding in check(program.events) if finding.kind in {"time", "tick"}]
    assert [(finding.line, finding.text) for finding in found] == [
        (4, "t goes back by 2000 ns in the thread main"),
        (6, "t goes back by 100 ns in the thread main"),
        (8, "tick goes back from 3 to 2 in the thread main"),
    ]


@pytest.mark.parametrize(
    ("block", "then", "text"),
    [
        (("accept", None, "tcp-1"), (Recv, 2000, "tcp-2", 5, 9, 1, (0, 1)), "accept() on tcp-1"),
        (("accept", None, "tcp-1"), (Block, 3000, "accept", None, "tcp-1"), "accept() on tcp-1"),
        (("poll",), (Recv, 2000, "tcp-2", 5, 9, 1, (0, 1)), "poll()"),
    ],
)  # fmt: skip
def test_a_return_that_is_missing(program: Any, block: Any, then: Any, text: str) -> None:
    """After a sleep the call itself must be told before its thread does anything else."""
    program.listen().accept(1600, "tcp-2")(Block, 2000, *block)(*then)
    found = [finding for finding in check(program.events) if finding.kind == "no-return"]
    assert [(finding.line, finding.text) for finding in found] == [
        (7, f"{text} went to sleep in line 6, and its return is missing")
    ]
    lost = [*program.events[:2], *program.events[3:]]
    assert [finding for finding in check(lost) if finding.kind == "no-return"] == []


def test_calls_made_while_another_sleeps(program: Any) -> None:
    """A signal's handler may close a socket, and even sleep itself."""
    program.listen().accept(1600, "tcp-2")(Block, 2000, "accept", sock="tcp-1")
    program(Block, 3000, "recv", "tcp-2")(Recv, 3000, "tcp-2", 5, 9, 0, (0, 0))
    program(Close, 4000, 5, "close", "tcp-2").accept(1990, "tcp-3", dur=9000)
    program(Close, 12_000, 5, "exit", "tcp-3")(Close, 13_000, 3, "exit", None, "tcp-1").end(20_000)
    assert check(program.events) == []


def test_calls_on_what_is_not_open(program: Any) -> None:
    """The names of a program's sockets come from socket(2), and end with close(2)."""
    program(Listen, 100, "tcp-1", 3, "tcp", "a:1", 5)(Setsockopt, 300, 3, "L", "O", "1", "tcp-2")
    program(Socket, 500, "tcp-3", 3, "tcp")(Close, 700, 3, "close", None, "tcp-3")
    program(Connect, 900, 3, "tcp-3")(Socket, 1100, "tcp-3", 3, "tcp")
    assert [(finding.line, finding.kind) for finding in check(program.events)] == [
        (2, "not-open"), (3, "not-open"), (6, "not-open"), (7, "reused"), (7, "no-end"),
    ]  # fmt: skip


def test_broken_and_missing_lines_of_a_program(program: Any) -> None:
    """They are found as in any log; a loss explains calls on sockets that nobody made."""
    events = conversation(program).events
    items = [*events[:4], Problem(5, "broken", "is not an event"), *events[5:]]
    assert kinds(items) == [(5, "broken-line")]
    assert [kind for _, kind in kinds([events[0], *events[5:]])] == ["lost"]


def test_many_threads_do_not_fill_the_memory(program: Any) -> None:
    """Those whose time was remembered first are forgotten."""
    for n in range(10_010):
        program(Socket, 100 + n, f"tcp-{n + 1}", 3, "tcp", thread=f"T-{n}")
    program(Socket, 50, "tcp-20000", 3, "tcp", thread="T-0")(Socket, 50, "tcp-20001", 3, "tcp", thread="T-9")
    findings: list[Finding] = []
    checker = Checker(findings.append)
    checker.feed(1, program.events)
    assert len(checker._threads) == 10_000


def test_a_call_that_another_threads_close_overtook(program: Any) -> None:
    """Events stand as their calls return: it had begun before, so nothing is wrong with it."""
    program(Socket, 500, "tcp-1", 3, "tcp")(Connect, 600, 3, "tcp-1")
    program(Close, 710, 3, "close", "tcp-1", dur=90, thread="one")
    program(Shutdown, 750, "tcp-1", 3, "SHUT_WR", thread="two")
    program(Shutdown, 851, "tcp-1", 3, "SHUT_WR", thread="two")
    assert [(finding.line, finding.kind) for finding in check(program.events)] == [
        (6, "not-open"), (6, "no-end"),
    ]  # fmt: skip


# -- what TCP says -----------------------------------------------------------------------------------------


def asked(book: Any, received: int, acked: int, name: str = "tcp-1") -> Any:
    """A connection that read 5 bytes and sent 5, and then what TCP says of it."""
    book.listen()
    book.accept("tcp-1")
    book.recv("tcp-1", b"hello")
    book.send("tcp-1", b"HELLO")
    book.add(TcpInfo, name, "sample", "ESTABLISHED", bytes_received=received, bytes_acked=acked)
    book.close("tcp-1")
    book.close_socket("listen-1")
    book.end()
    return book


@pytest.mark.parametrize(("received", "acked"), [(5, 0), (6, 7), (1000, 5)])
def test_the_kernel_is_ahead_of_the_calls(book: Any, received: int, acked: int) -> None:
    """More may have come than was read, less have been acknowledged; a SYN and a FIN have a number each."""
    assert check(asked(book, received, acked).events) == []


@pytest.mark.parametrize(
    ("received", "acked", "text"),
    [(4, 5, "read 5 bytes, and to TCP came 4"), (5, 8, "8 bytes were acknowledged, and it sent 5")],
)
def test_the_kernel_contradicts_the_calls(book: Any, received: int, acked: int, text: str) -> None:
    """Nothing is read that has not come, or acknowledged that was not sent."""
    (finding,) = check(asked(book, received, acked).events)
    assert (finding.line, finding.kind) == (6, "kernel")
    assert text in finding.text


def test_tcp_says_something_of_nobody(book: Any) -> None:
    """The connection must be open; where events are missing, less is certain."""
    assert kinds(asked(book, 5, 5, "tcp-9").events) == [(6, "not-open")]
    del book.events[2:4]  # its accept, and what it read
    assert [kind for _, kind in kinds(book.events)] == ["lost"]


def test_a_program_may_be_asked_too_early(program: Any) -> None:
    """One thread asks, another reads meanwhile and is told of first: no numbers are compared."""
    program(Socket, 1000, "tcp-1", 3, "tcp")(Connect, 2000, 3, "tcp-1", peer="a:1")
    program(Recv, 3000, "tcp-1", 3, 100, 5, (0, 5), b"hello")
    program(TcpInfo, 4000, "tcp-1", "send", "ESTABLISHED")(TcpInfo, 4000, "tcp-7", "send", "ESTABLISHED")
    assert [kind for _, kind in kinds(program.events)] == ["not-open", "no-end"]
