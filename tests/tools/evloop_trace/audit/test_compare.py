"""A log beside strace's calls: what is the same, what differs and where, and what cannot be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.audit.compare import Comparison, compare
from evloop_trace.audit.report import describe, mismatch, not_compared, rows
from evloop_trace.audit.strace import Reader
from evloop_trace.audit.told import Log

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Block,
    Close,
    Connect,
    End,
    Gap,
    Header,
    Inherit,
    Listen,
    Poll,
    Recv,
    Send,
    Socket,
    Unseen,
)

if TYPE_CHECKING:
    from evloop.events.schema import Event

WALL = 1_700_000_000 * 10**9
TCP = "<TCP:[127.0.0.1:80->127.0.0.1:5]>"
LISTENER = "<TCP:[127.0.0.1:80]>"


def header(model: str) -> Header:
    """Of a log whose clock began a second after the epoch's."""
    return Header(0, 0, 0, "evloop/1", 10**9, WALL, 1, 7, [], {}, "epoll", "", "none", 0, model=model)


def served(*middle: Event, fd: int = 5) -> list[Any]:
    """The loop's events of one connection, with what happens in it."""
    events: list[Any] = [
        Listen(1, 10, 0, 1, "listen-1", 3, "tcp", "127.0.0.1:80", 5),
        Poll(2, 20, 1, 1, None, "", [("listen-1", "IN")]),
        Accept(3, 30, 1, 1, "listen-1", "tcp-1", fd, "127.0.0.1:5"),
        *middle,
        Close(4, 900_000, 9, 1, fd, "eof", "tcp-1"),
        Close(5, 910_000, 9, 1, 3, "stop", None, "listen-1"),
        End(6, 920_000, 9, "stopped", 7),
    ]
    return events


def traced(*middle: str, fd: int = 5) -> list[str]:
    """strace's lines of the same."""
    return [
        "socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[1]>",
        "setsockopt(3<TCP:[1]>, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0",
        "bind(3<TCP:[1]>, {}, 16) = 0",
        f"listen(3{LISTENER}, 5) = 0",
        "epoll_wait(4<anon_inode:[eventpoll]>, [...], 1023, -1) = 1",
        f"accept4(3{LISTENER}, {{}}, [16], SOCK_CLOEXEC) = {fd}{TCP}",
        *middle,
        f"close({fd}{TCP}) = 0",
        f"close(3{LISTENER}) = 0",
    ]


def held(events: list[Any], lines: list[str], model: str = "loop") -> tuple[Log, Comparison]:
    """A log held against lines, one a microsecond, of thread 7 if they do not say."""
    log, reader = Log(header(model)), Reader()
    log.feed(events)
    reader.feed(
        line if line[0].isdecimal() else f"7 1700000000.{at:06} {line}" for at, line in enumerate(lines)
    )
    reader.finish()
    assert reader.unread == 0
    return log, compare(log, reader.calls)


def found(*arguments: Any) -> list[tuple[str, str, str]]:
    """Kind, call and socket of each difference."""
    return [(it.kind, it.call, it.name) for it in held(*arguments)[1].differences]


RECV = Recv(9, 50, 2, 1, "tcp-1", 5, 100, 5, (0, 5))
SEND = Send(9, 60, 2, 1, "tcp-1", 5, 5, 5, (0, 5))
RECVFROM = f'recvfrom(5{TCP}, ""..., 100, 0, NULL, NULL) = 5'
SENDTO = f'sendto(5{TCP}, ""..., 5, 0, NULL, 0) = 5'


def test_the_same() -> None:
    """Each call once, in order: nothing differs, and the table says how many there were."""
    log, it = held(served(RECV, SEND), traced(RECVFROM, SENDTO))
    assert (it.differences, not_compared(log, it)) == ([], [])
    assert [(row.call, row.log, row.strace, row.agree) for row in rows([it])] == [
        ("bind", 1, 1, 1), ("listen", 1, 1, 1), ("accept", 1, 1, 1), ("recv", 1, 1, 1), ("send", 1, 1, 1),
        ("close", 2, 2, 2), ("epoll_wait", 1, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "lines", "differences"),
    [
        ((RECV,), (RECVFROM, SENDTO), [("not-in-log", "send", "tcp-1")]),
        ((RECV, SEND), (SENDTO,), [("not-in-strace", "recv", "tcp-1")]),
        ((SEND, SEND), (SENDTO,), [("not-in-strace", "send", "tcp-1")]),
        ((RECV,), (RECVFROM.replace("= 5", "= 4"),), [("result", "recv", "tcp-1")]),
        ((RECV,), (RECVFROM.replace("= 5", "= -1 ECONNRESET (x)"),), [("result", "recv", "tcp-1")]),
        (
            (SEND, RECV),
            (RECVFROM, SENDTO),
            [("not-in-log", "recv", "tcp-1"), ("not-in-strace", "recv", "tcp-1")],
        ),
    ],
)
def test_what_differs(
    events: tuple[Event, ...], lines: tuple[str, ...], differences: list[tuple[str, str, str]]
) -> None:
    """A call too many, too few, twice, with another result, in another order."""
    assert sorted(found(served(*events), traced(*lines))) == differences


def test_a_difference_has_both_lines() -> None:
    """As the log and as strace wrote it, and a sentence."""
    _, it = held(served(RECV), traced(RECVFROM.replace("= 5", "= 4")))
    (difference,) = it.differences
    told = mismatch(difference, 7)
    assert (told.fd, told.pid, told.seq, told.line) == (5, 7, 9, 7)
    assert '"n":5' in told.log
    assert told.strace.endswith("= 4")
    assert describe(told) == "recv() on tcp-1 (fd 5): the log and strace have different results"


def test_a_connection_that_the_log_has_not() -> None:
    """Of a number that is used again: the lives are told apart by when they began."""
    second = [f"accept4(3{LISTENER}, {{}}, [16], SOCK_CLOEXEC) = 5{TCP}", RECVFROM, f"close(5{TCP}) = 0"]
    lines = traced()
    events = served()
    differences = found(events, [*lines[:-1], *second, lines[-1]])
    assert sorted(differences) == [("not-in-log", call, name) for call, name in MISSED]


MISSED = [("accept", "listen-1"), ("close", ""), ("recv", "")]


def test_the_loops_own_descriptors_are_let_be() -> None:
    """Its wake-up, its watchers, an address that was only tried; but not another TCP socket that talks."""
    own = [
        'recvfrom(8<UNIX-STREAM:[1->2]>, ""..., 4096, 0, NULL, NULL) = 1',
        "close(8<UNIX-STREAM:[1->2]>) = 0",
        "socket(AF_INET, SOCK_DGRAM, IPPROTO_IP) = 9<UDP:[3]>",
        "bind(9<UDP:[3]>, {}, 16) = 0",
        "close(9<UDP:[3]>) = 0",
    ]
    log, it = held(served(), traced(*own))
    assert it.differences == []
    assert it.own == {"UNIX-STREAM": 2, "UDP": 2}
    assert "the loop's own" in not_compared(log, it)[0]
    talks = ['sendto(9<TCP:[3]>, ""..., 5, 0, NULL, 0) = 5', "close(9<TCP:[3]>) = 0"]
    assert [it.kind for it in held(served(), traced(*talks))[1].differences] == ["not-in-log"] * 2


def test_signals_and_ends() -> None:
    """What was interrupted is made again; what never returned, or came after the last line, is left out."""
    again = RECVFROM.replace("= 5", "= ? ERESTARTSYS (To be restarted)")
    waits = "epoll_wait(4<anon_inode:[eventpoll]>, [], 1023, -1) = -1 EINTR (Interrupted system call)"
    log, it = held(served(RECV), traced(again, RECVFROM, waits))
    assert (it.differences, it.interrupted) == ([], 2)
    recv = Recv(9, 50_000, 2, 1, "tcp-1", 5, 100, 5, (0, 5))
    events = served(recv)[:4]  # killed: the last tick is not in the log
    late = f'7 1700000005.000000 sendto(5{TCP}, ""..., 5, 0, NULL, 0) = 5'
    never = f"7 1700000006.000000 recvfrom(5{TCP},  <unfinished ...>"
    log, it = held(events, [*traced(RECVFROM)[:-2], late, never])
    assert (it.differences, it.later, it.under_way) == ([], 1, 1)
    assert len(not_compared(log, it)) == 2


def test_a_log_whose_beginning_is_gone() -> None:
    """Of a rotated log the oldest files are removed: what strace saw before is left out, and counted."""
    events = [
        Inherit(-1, 6_500, 1, "listen-1", 3, "tcp", "127.0.0.1:80", listens=True),
        Inherit(-1, 6_500, 1, "tcp-1", 5, "tcp", received=5),
        Recv(9, 7_500, 2, 1, "tcp-1", 5, 100, 5, (5, 10)),
        Inherit(-1, 7_600, 2, "tcp-1", 5, "tcp", received=10),  # the next file
        *served()[3:],
    ]
    log, it = held(events, traced(RECVFROM, RECVFROM))
    assert (it.differences, it.earlier) == ([], 5)
    assert "before what is left" in not_compared(log, it)[-1]


def test_a_log_that_lost_events_says_so() -> None:
    """Its calls differ, and the report says why."""
    log, it = held([*served(), Gap(9, 95, 9, 2, "full"), Problem(9, "torn", "")], traced(RECVFROM, SENDTO))
    assert len(it.differences) == 2
    assert "3 events that the log lost" in not_compared(log, it)[-1]


# -- the instrument's ------------------------------------------------------------------------


def program(*events: Event) -> list[Any]:
    """A program's log of a connection that it was handed."""
    return [Inherit(1, 0, 0, "tcp-1", 5, "tcp", peer="127.0.0.1:5"), *events, End(9, 900_000, 0, "exit", 9)]


EAGAIN = (
    f"recvfrom(5{TCP}, 0x7f, 100, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)"
)
BLOCK = Block(2, 1, 0, "recv", "tcp-1", fd=5)


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ((BLOCK, RECV), (EAGAIN, RECVFROM)),  # asked first
        ((BLOCK, RECV), (RECVFROM,)),  # asked with poll(2)
        ((BLOCK, Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="timeout")), (EAGAIN,)),
        ((BLOCK, Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="timeout")), ()),
        (
            (BLOCK, Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="interrupted")),
            (EAGAIN, RECVFROM.replace("= 5", "= ? ERESTARTSYS (x)")),
        ),
        (
            (Send(3, 50, 0, 9, "tcp-1", 5, 9, 9, (0, 9), call="sendall"),),
            (SENDTO.replace("= 5", "= 4"), SENDTO.replace("= 5", "= -1 EAGAIN (x)"), SENDTO),
        ),
        (
            (Send(3, 50, 0, 9, "tcp-1", 5, 9, 4, (0, 4), errno="EPIPE", call="sendall"),),
            (SENDTO.replace("= 5", "= 4"), SENDTO.replace("= 5", "= -1 EPIPE (x)")),
        ),
        ((Connect(3, 50, 0, 9, 5, "tcp-1"),), (f"connect(5{TCP}, {{}}, 16) = -1 EINPROGRESS (x)",)),
        ((Connect(3, 50, 0, 9, 5, "tcp-1", call="getsockopt(SO_ERROR)"),), ()),
        ((Close(3, 50, 0, 9, 5, "exit", "tcp-1"),), ()),
        ((Recv(3, 50, 0, 9, "tcp-1", 5, 9, 5, (0, 5), call="os.read"),), (f'read(5{TCP}, ""..., 9) = 5',)),
        ((Unseen(3, 1, 0, "tcp-1", "OpenSSL"),), (f'write(5{TCP}, ""..., 9) = 9',)),
    ],
)  # fmt: skip
def test_one_event_stands_for_several_calls(events: tuple[Event, ...], lines: tuple[str, ...]) -> None:
    """It asks first, sends in parts, waits by itself; OpenSSL's calls it cannot see, and says so."""
    assert found(program(*events), list(lines), "run") == []


def test_a_call_that_was_asked_about_and_interrupted_counts_once_in_both() -> None:
    """What a signal's handler ended is in the log, and so is that it waited: strace's call is that one."""
    recv = Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="interrupted")
    interrupted = RECVFROM.replace("= 5", "= ? ERESTARTSYS (x)")
    for lines in ([interrupted], [EAGAIN, interrupted]):
        _, it = held(program(BLOCK, recv), lines, "run")
        (row,) = (row for row in rows([it]) if row.call == "recv")
        assert (row.log, row.strace, row.agree, it.interrupted) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Close(3, 50, 0, 9, 5, "exit", "tcp-1"), "1 socket that went with its process"),
        (Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="timeout"), "1 call that ended with the wait"),
        (Recv(3, 50, 0, 9, "tcp-1", 5, 100, errno="interrupted"), "1 call that ended with the wait"),
    ],
)
def test_what_no_call_stands_behind_is_not_counted(event: Event, words: str) -> None:
    """A socket goes with its process, a wait ends: wherever that stands in the log, nothing was compared."""
    last = Recv(4, 60, 0, 9, "tcp-1", 5, 100, 5, (5, 10))
    ends = Close(5, 70, 0, 9, 5, "close", "tcp-1")
    close = f"close(5{TCP}) = 0"
    gone = event.__struct_config__.tag == "close"
    more = () if gone else (last, ends)
    for lines in ([RECVFROM], [RECVFROM, RECVFROM.replace("= 5", "= 4")]):
        log, it = held(program(RECV, event, *more), [*lines, *([] if gone else [RECVFROM, close])], "run")
        assert len(it.differences) == len(lines) - 1
        counts = {row.call: (row.log, row.agree) for row in rows([it])}
        assert counts == ({"recv": (1, 1)} if gone else {"recv": (2, 2), "close": (1, 1)})
        assert [sentence for sentence in not_compared(log, it) if sentence.startswith(words)]


def test_rows_have_calls() -> None:
    """What was counted and left out again is no row of zeros."""
    _, it = held(program(Unseen(3, 1, 0, "tcp-1", "OpenSSL")), [f'write(5{TCP}, ""..., 9) = 9'], "run")
    assert (it.unseen, rows([it])) == (1, [])


def test_sockets_that_went_are_closed_if_strace_saw_it() -> None:
    """An interpreter that ends in order may close what nobody closed."""
    log, it = held(program(Close(3, 50, 0, 9, 5, "exit", "tcp-1")), [f"close(5{TCP}) = 0"], "run")
    assert [(row.call, row.log, row.strace, row.agree) for row in rows([it])] == [("close", 1, 1, 1)]
    assert (it.differences, not_compared(log, it)) == ([], [])


def test_the_call_must_be_the_one_that_was_made() -> None:
    """os.read() is read(2), and no recvfrom(2)."""
    event = Recv(3, 50, 0, 9, "tcp-1", 5, 9, 5, (0, 5), call="os.read")
    assert found(program(event), [RECVFROM], "run") == [("result", "recv", "tcp-1")]


def test_threads_that_share_a_socket() -> None:
    """Which came first nobody knows: their calls are compared without order, but none may be missing."""
    other = Recv(9, 55, 2, 1, "tcp-1", 5, 100, 3, (5, 8))
    lines = [RECVFROM.replace("= 5", "= 3"), f"8 1700000000.000005 {RECVFROM}"]
    clone = "clone3({flags=CLONE_THREAD}, 88) = 8"
    assert found(program(RECV, other), [clone, *lines], "run") == []
    assert found(program(RECV, other), [clone, lines[0], lines[1].replace("= 5", "= 4")], "run") != []


@pytest.mark.parametrize(("more", "kinds"), [([], []), ([2], ["not-in-log"]), ([0], [])])
def test_polls_of_a_program(more: list[int], kinds: list[str]) -> None:
    """It asks first what is ready now; an answer that the log has not is a difference."""
    poll = Poll(3, 50, 0, 9, None, "select.epoll.poll", [("tcp-1", "IN")])
    lines = [f"epoll_wait(4<anon_inode:[eventpoll]>, [...], 1023, -1) = {n}" for n in [0, 1, *more]]
    _, it = held(program(poll), lines, "run")
    assert [difference.kind for difference in it.differences] == kinds
    assert held(program(poll), lines[:1], "run")[1].differences[0].kind == "result"
    assert held(program(poll), [], "run")[1].differences[0].kind == "not-in-strace"


def test_select_counts_a_socket_once_for_each_set() -> None:
    """Readable and writable are two."""
    poll = Poll(3, 50, 0, 9, None, "select.select", [("tcp-1", "IN|OUT")])
    assert found(program(poll), ["pselect6(6, [...], [...], NULL, NULL, NULL) = 2 (in [5])"], "run") == []


def test_a_wait_that_a_handler_ended_is_not_looked_at() -> None:
    """The log does not say what the system call gave; the one that did not wait was none of its."""
    poll = Poll(3, 50, 0, 9, None, "select.epoll.poll", [], "interrupted")
    log, it = held(program(poll), ["epoll_wait(6, [], 2, 0) = 0"], "run")
    assert (log.apart, it.differences) == (1, [])


def test_events_without_a_call_are_counted() -> None:
    """A socket that was not to be had has no descriptor, and kqueue no strace."""
    events = program(Socket(2, 1, 0, 1, errno="EMFILE"), Poll(3, 50, 0, 9, None, "select.kqueue", []))
    log, it = held(events, [], "run")
    assert (log.apart, it.differences) == (2, [])
    assert "not looked at" in not_compared(log, it)[0]
