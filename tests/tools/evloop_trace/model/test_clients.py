"""A server's log as its clients lived it."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model import clients as module
from evloop_trace.model.clients import Clients

from evloop.events.reader import Problem
from evloop.events.schema import (
    Accept,
    Block,
    Connect,
    Inherit,
    Limit,
    Listen,
    Poll,
    Queue,
    Recvfrom,
    Sendto,
    Signal,
    Slow,
    Unknown,
)

MS = 1_000_000


def fold(log: Any, size: int = 1000) -> Clients:
    """The clients of a log, its lines fed in blocks of `size`."""
    clients = Clients()
    for at in range(0, len(log.events), size):
        clients.feed(at + 1, log.events[at : at + size])
    clients.finish()
    return clients


def test_a_client_from_arrival_to_close(serving: Any) -> None:
    """Its arrival is the accept's end less what it waited; an answer is waited for from its bytes on."""
    log = serving()
    log.accept(100, "tcp-1", 30, took=5)
    log.recv(150, "tcp-1", b"hello", took=40)
    log.send(157, "tcp-1")
    log.recv(200, "tcp-1", b"", took=10)
    log.close(201, "tcp-1")
    (client,) = fold(log).all
    assert (client.came, client.accepted, client.in_queue, client.closed) == (70e6, 100e6, 30e6, 201e6)
    assert (client.first, client.answers, client.waited, client.longest) == (157e6, 1, 7e6, 7e6)
    assert (client.waits, client.line, client.longest_line) == (37e6, 2, 4)
    assert list(client.spans) == [150e6, 157e6, 7e6]
    assert (client.greeting, client.greeting_size, client.thread) == (b"hello", 5, ("", ""))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_blocks_do_not_matter(serving: Any, size: int) -> None:
    """However the lines are cut into blocks, the clients are the same."""

    def made() -> Any:
        log = serving()
        log.client(0, 1, 50, "tcp-1")
        log.client(5, 51, 90, "tcp-2")
        return log

    def told(clients: Clients) -> Any:
        return [(it.came, it.accepted, it.closed, it.waits, it.held) for it in clients.all], clients.end

    assert told(fold(made(), size)) == told(fold(made()))


def test_when_bytes_were_there(serving: Any) -> None:
    """A recv that slept had them when it returned; one after a poll when that returned; else at its entry."""
    log = serving("loop")
    log.accept(10, "tcp-1")
    log.recv(20, "tcp-1", took=8)
    log.send(22, "tcp-1")  # 2 from the recv's return
    log.add(Poll, 30, None, "why", [("tcp-1", "IN")], took=5)
    log.recv(34, "tcp-1")
    log.send(36, "tcp-1")  # 6 from the poll's return
    log.add(Poll, 40, None, "why", [("tcp-2", "IN")], took=0.5)
    log.recv(44, "tcp-1")
    log.send(47, "tcp-1")  # 3 from the recv
    assert fold(log).all[0].waited == 11 * MS


def test_only_the_first_send_of_an_answer_was_waited_for(serving: Any) -> None:
    """The rest of a long answer goes on with it; failed calls and the end of the stream ask for nothing."""
    log = serving()
    log.accept(0, "tcp-1")
    log.recv(1, "tcp-1")
    log.send(3, "tcp-1")
    log.send(9, "tcp-1", took=4)
    log.recv(10, "tcp-1", b"")
    log.events[-1].n = None
    log.send(20, "tcp-1", b"")
    (client,) = fold(log).all
    assert (client.answers, client.waited, list(client.spans)) == (
        1, 2 * MS, [1e6, 3e6, 2e6, 5e6, 9e6, 0],
    )  # fmt: skip
    assert client.closed is None


_END = 2 * (2**63 - 1)  # of a call that begins at the last `t` there may be, and takes the longest


@pytest.mark.parametrize(
    ("call", "spans"),
    [
        ("poll", [_END, 4 * MS, 4 * MS - _END]),
        ("recv", [_END, 4 * MS, 4 * MS - _END]),
        ("send", [2 * MS, _END, _END - 2 * MS]),
        ("recvfrom", [_END, 4 * MS, 4 * MS - _END]),
        ("sendto", [2 * MS, _END, _END - 2 * MS]),
    ],
)
def test_a_call_that_ends_beyond_all_time(serving: Any, call: str, spans: list[int]) -> None:
    """A log that was edited may say so of any call: it is kept as it stands there."""
    log = serving("loop")
    log.accept(1, "tcp-1")
    log.add(Poll, 2, None, "why", [("tcp-1", "IN"), ("udp-1", "IN")])
    log.recv(3, "tcp-1")
    log.send(4, "tcp-1")
    log.add(Recvfrom, 3, "udp-1", 8, 1, "127.0.0.1:9")
    log.add(Sendto, 4, "udp-1", 8, "127.0.0.1:9", 1)
    for event in log.events:
        if type(event).__name__.lower() == call:
            event.t, event.dur = 2**63 - 1, 2**63 - 1
    stream, datagrams = fold(log).all
    assert (datagrams if call.endswith(("from", "to")) else stream).spans == spans


def test_streams_that_are_no_clients(serving: Any) -> None:
    """What the program connects to itself is counted, and waited for by its clients."""
    log = serving()
    log.add(Connect, 1, 7, "tcp-1", peer="p", local="l", took=0.5)
    log.add(Connect, 2, 7, "tcp-2", errno="ECONNREFUSED", took=0.5)
    log.add(Connect, 3, 7, sock="udp-1", took=0.5)
    log.send(4, "tcp-1", took=2)
    log.recv(5, "tcp-1")
    log.close(6, "tcp-1")
    log.add(Connect, 50, 7, "tcp-3", peer="p", local="l", took=40)
    log.accept(50, "tcp-4", 50)
    clients = fold(log)
    assert (clients.connects, len(clients.all)) == (2, 1)
    held = clients.all[0].held
    assert held is not None
    assert (held.call, held.name, held.ns) == ("connect", "tcp-3", 40 * MS)


def test_many_answers_take_little_room(serving: Any) -> None:
    """Neighbours become one span, and nothing of the waits is lost."""
    log = serving()
    log.accept(0, "tcp-1")
    at = 0
    for number in range(2000):
        at += 100 if number % 50 == 0 else 10
        log.recv(at, "tcp-1")
        at += 5000 if number == 1000 else 2
        log.send(at, "tcp-1")
    (client,) = fold(log).all
    spans = client.spans
    assert client.answers == 2000
    assert 3 * 20 <= len(spans) <= 3 * module._SPANS
    assert sum(spans[2::3]) == client.waited == (1999 * 2 + 5000) * MS
    assert (spans[0], spans[-2]) == (100 * MS, at * MS)
    assert all(end <= start for end, start in zip(spans[1::3], spans[3::3], strict=False))
    assert 5000 * MS in spans[2::3]  # a long wait stays visible among many short ones


def test_what_happens_twice_at_once_is_one_span(serving: Any) -> None:
    """Answers far apart stay apart when their neighbours become one."""
    log = serving()
    log.accept(0, "tcp-1")
    for at in [*range(1, 128), 5000, 9000]:
        log.recv(at, "tcp-1")
        log.send(at + 0.5, "tcp-1")
    spans = fold(log).all[0].spans
    assert list(spans[0::3]) == [1e6, 5000e6, 9000e6]


def test_clients_come_in_the_order_of_their_arrival(serving: Any) -> None:
    """Through two listeners one may be accepted first who came last."""
    log = serving()
    log.accept(10, "tcp-1", 1)
    log.accept(11, "tcp-2", 5)
    log.events[-1].sock = "tcp-9"
    clients = fold(log)
    assert [it.name for it in clients.all] == ["tcp-2", "tcp-1"]
    assert clients.most == 2


def test_a_queue_is_first_in_first_out(serving: Any) -> None:
    """Whatever the times say, which are not exact."""
    log = serving()
    log.accept(100, "tcp-1", 8)
    log.accept(101, "tcp-2", 12)
    log.accept(200, "tcp-3", 108, took=150)
    assert [(it.name, it.came, it.in_queue) for it in fold(log).all] == [
        ("tcp-1", 92 * MS, 8 * MS), ("tcp-2", 92 * MS, 12 * MS), ("tcp-3", 92 * MS, 108 * MS),
    ]  # fmt: skip


def test_why_a_client_waited(serving: Any) -> None:
    """The thread that accepts it was in recv on those before it; whose turn it was when it came is named."""
    log = serving()
    log.client(0, 0.1, 100, "tcp-1")
    log.client(20, 100.1, 200, "tcp-2")
    log.client(30, 200.1, 300, "tcp-3")
    clients = fold(log)
    one, two, three = clients.all
    assert one.held is None
    assert two.held == ("recv", 80 * MS, 1, 80 * MS, "tcp-1", 5, "server.py:9")
    assert three.held is not None
    assert three.held[:6] == ("recv", 70 * MS + round(99.7 * MS), 2, 70 * MS, "tcp-1", 5)
    total = clients.held["recv"]
    assert (total.ns, total.longest) == (two.held.ns + three.held.ns, two.held)


def test_the_longest_reason_of_all(serving: Any) -> None:
    """It may be that of a later client."""
    log = serving()
    log.client(0, 0.1, 40, "tcp-1")
    log.client(5, 40.1, 100, "tcp-2")
    log.client(50, 100.1, 300, "tcp-3")
    clients = fold(log)
    assert clients.held["recv"].longest is clients.all[2].held


def test_sleeps_on_one_socket_are_one(serving: Any) -> None:
    """A conversation of many reads counts once; its longest read is the evidence."""
    log = serving()
    log.accept(0, "tcp-1")
    log.recv(20, "tcp-1", took=19, where="a.py:1")
    log.send(20.1, "tcp-1")
    log.recv(60, "tcp-1", took=39.5, where="a.py:2")
    log.recv(70, "tcp-1", took=9.5, where="a.py:3")
    log.recv(90, "tcp-1", took=10)  # it worked for 10 ms before
    log.accept(90.5, "tcp-2", 80)
    held = fold(log).all[1].held
    assert held is not None
    assert (held.ns, held.sockets, held.first, held.line, held.where) == (
        69_500_000,
        1,
        59_500_000,
        5,
        "a.py:2",
    )


def test_only_the_thread_that_accepts_explains(serving: Any) -> None:
    """What other threads sleep in keeps nobody in the queue; what nobody saw explains nothing."""
    log = serving("threaded")
    log.add(Block, 1, "accept", sock="tcp-0", thread="boss")
    log.add(Block, 1, "recv", conn="tcp-9", thread="worker")
    log.recv(50, "tcp-9", took=49, thread="worker")
    log.add(Listen, 51, "tcp-8", 5, "tcp", "a", 1, thread="other")
    log.accept(60, "tcp-1", 55, thread="boss")
    log.add(Accept, 90, "tcp-8", errno="timeout", took=20, thread="boss")
    log.accept(101, "tcp-2", 26, thread="boss")
    log.accept(102, "tcp-3", 26, thread="nobody")
    clients = fold(log)
    one, two, three = clients.all
    assert (one.held, three.held) == (None, None)
    assert two.held is not None
    assert two.held[:5] == ("accept", 15 * MS, 1, 15 * MS, "tcp-8")


def test_threads_that_accept_are_bounded(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of them, nothing is remembered of another; nor of too many sleeps, and limits."""
    monkeypatch.setattr(module, "NOTABLE", 5 * MS)
    monkeypatch.setattr(module, "_THREADS", 2)
    monkeypatch.setattr(module, "_HISTORY", 4)
    log = serving()
    for at, thread in enumerate(("", "a", "b")):
        log.accept(10 * at, f"tcp-{at}", thread=thread)
        log.recv(10 * at + 9, f"tcp-{at}", took=9, thread=thread)
        log.accept(10 * at + 9.5, f"tcp-1{at}", 10, thread=thread)
    for at in range(3, 9):
        log.recv(at * 10 + 9, f"tcp-{at % 2}", took=9)
    log.accept(90, "tcp-20", 70)
    for what in "xyz":
        log.add(Limit, 90, what, True)
    for what in "xyz":
        log.add(Limit, 110, what, False)
    log.accept(111, "tcp-21", 15)
    clients = fold(log)
    held = {it.name: it.held for it in clients.all}
    assert held["tcp-10"] is not None
    assert held["tcp-11"] is not None
    assert held["tcp-12"] is None
    assert held["tcp-20"] is not None
    assert held["tcp-20"].sockets == 3  # of six
    assert held["tcp-21"] is not None
    assert held["tcp-21"].sockets == 2


def test_a_limit_explains_more_than_the_sleep_in_it(serving: Any) -> None:
    """While nobody is taken in, a loop sleeps."""
    log = serving("loop")
    log.add(Limit, 1, "connections", True)
    log.add(Limit, 2, "connections", True)
    log.add(Poll, 50, None, "why", [("tcp-9", "IN")], took=49)
    log.add(Limit, 50, "connections", False)
    log.add(Limit, 50, "unheard of", False)
    log.accept(50.5, "tcp-1", 40.5)
    held = fold(log).all[0].held
    assert held is not None
    assert (held.call, held.name, held.ns, held.line) == ("limit", "connections", 40 * MS, 2)


def test_who_wakes_a_poll_does_not_wait_for_it(serving: Any) -> None:
    """It slept until somebody came; at most it was woken late."""
    for ready, held in ((("tcp-9", "IN"), True), (("tcp-0", "IN"), False)):
        log = serving("loop")
        log.add(Listen, 1, "tcp-0", 5, "tcp", "a", 1)
        log.add(Poll, 100, None, "why", [ready], took=99)
        log.accept(100, "tcp-1", 60)
        assert (fold(log).all[0].held is not None) == held


def test_a_busy_loop_explains(serving: Any) -> None:
    """Slow is told at the end of the tick; the longest is remembered."""
    log = serving("loop")
    log.add(Slow, 300, 250 * MS, "tcp-9")
    log.add(Slow, 500, 150 * MS)
    log.accept(501, "tcp-1", 400)
    clients = fold(log)
    held = clients.all[0].held
    assert held is not None
    assert (held.call, held.ns, held.first, held.name, held.sockets) == (
        "slow",
        349 * MS,
        199 * MS,
        "tcp-9",
        2,
    )
    assert clients.slowest == (250 * MS, "tcp-9", 2)


def test_without_the_time_in_the_queue(serving: Any) -> None:
    """Only the accept is known."""
    log = serving()
    log.accept(10, "unix-1", None)
    log.events[-1].peer = ""
    (client,) = fold(log).all
    assert (client.in_queue, client.came, client.waits) == (None, 10e6, 0)


def test_who_was_never_accepted(serving: Any) -> None:
    """The last that was told of each queue counts; a failed accept is nobody."""
    log = serving()
    log.accept(1, "tcp-1", queued=3)
    log.add(Queue, 2, "tcp-0", 2, 5)
    log.add(Queue, 2, "tcp-9", 4, 5)
    log.add(Accept, 3, "tcp-9", errno="EMFILE", queued=1)
    clients = fold(log)
    assert (clients.never_accepted, len(clients.all)) == (3, 1)


def test_datagrams(serving: Any) -> None:
    """A sender is a client from its first datagram to its last answer; who we wrote to first is none."""
    log = serving()
    log.add(Recvfrom, 10, "udp-1", 5, 3, "p:1", data=b"one", took=8)
    log.add(Sendto, 12, "udp-1", 5, "p:1", 3)
    log.add(Poll, 20, None, "why", [("udp-1", "IN")], took=1)
    log.add(Recvfrom, 21, "udp-1", 5, 3, "p:1", data=b"two")
    log.add(Sendto, 24, "udp-1", 5, "p:1", 3, took=1.5)
    log.add(Sendto, 25, "udp-1", 5, "p:1", errno="EPERM")
    log.add(Recvfrom, 30, "udp-2", 5, None, "p:2", errno="EAGAIN")
    log.add(Recvfrom, 31, "udp-2", 5, 0, None)
    log.add(Sendto, 32, "udp-2", 5, "dns", 3)
    log.add(Recvfrom, 33, "udp-2", 5, 3, "dns")
    clients = fold(log)
    one, two = clients.all
    assert (one.name, one.came, one.closed, one.waited, one.answers) == ("p:1", 10e6, 24e6, 6e6, 2)
    assert (one.greeting, one.in_queue) == (b"one", None)
    assert (two.name, two.came, two.closed, two.greeting_size) == ("udp-2", 31e6, 31e6, 0)
    assert clients.most == 0


def test_peers_are_bounded(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many the oldest is forgotten, and is another client when it writes again."""
    monkeypatch.setattr(module, "_PEERS", 2)
    log = serving()
    for at, peer in enumerate("abca"):
        log.add(Recvfrom, at, "udp-1", 5, 1, peer, data=b"x")
    for at, peer in enumerate("def"):
        log.add(Sendto, 10 + at, "udp-1", 5, peer, 1)
    log.add(Recvfrom, 20, "udp-1", 5, 1, "f", data=b"x")
    assert [it.name for it in fold(log).all] == ["a", "b", "c", "a", "f"]


def test_spans_are_kept_of_the_first_and_the_worst(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all others the numbers are."""
    monkeypatch.setattr(module, "_FIRST", 2)
    monkeypatch.setattr(module, "_WORST", 2)
    log = serving()
    log.accept(0, "tcp-9")
    log.recv(1, "tcp-9")
    log.send(1, "tcp-9")
    at = 1.0
    for number, waits in enumerate((0, 0, 5, 9, 1, 7, 2)):
        log.client(at, at + waits, at + waits + 1, f"tcp-{number}")
        at += 20
    log.close(at, "tcp-9")
    clients = fold(log)
    assert [bool(it.spans) for it in clients.all] == [True, True, False, False, True, False, True, False]
    assert all(it.answers for it in clients.all)


def test_processes_share_line_numbers(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of two logs that waited as long, in lines of one number, are told apart."""
    monkeypatch.setattr(module, "_FIRST", 2)
    monkeypatch.setattr(module, "_WORST", 2)
    clients = Clients()
    for process in "abcde":
        log = serving()
        log.client(1, 2, 3, "tcp-1")
        clients.feed(1, log.events, process)
    clients.finish()
    assert [bool(it.spans) for it in clients.all] == [True, True, True, True, False]


def test_what_is_no_event_is_counted(serving: Any) -> None:
    """Broken lines are; kinds that are not known, or say nothing of clients, are not."""
    log = serving()
    log.events += [
        Problem(2, "broken", "is"),
        Unknown(2, 5 * MS, 0, "new", {}),
        Signal(3, 7 * MS, 0, "SIGINT"),
    ]
    clients = fold(log)
    assert (clients.problems, clients.end, clients.polls) == (1, 7 * MS, 0)


def test_a_process_for_each_client(serving: Any) -> None:
    """The child has the connection by another name; the client is gone when both have closed it."""
    parent, child = serving("run"), serving("run")
    parent.accept(1, "tcp-1")
    child.add(Inherit, 2, "a:tcp-0", 3, "tcp", "here", listens=True)
    child.add(Inherit, 2, "a:tcp-1", 4, "tcp", "here", "127.0.0.1:41")
    child.add(Inherit, 2, "a:tcp-2", 4, "tcp", "here", "elsewhere")
    parent.close(3, "tcp-1")
    child.recv(50, "a:tcp-1", took=40)
    child.send(52, "a:tcp-1")
    child.close(90, "a:tcp-1")
    parent.accept(100, "tcp-3", 60)
    clients = Clients()
    clients.feed(1, parent.events[:2], "p")
    clients.feed(1, child.events[:4], "c")
    clients.feed(3, parent.events[2:3], "p")
    clients.feed(5, child.events[4:], "c")
    clients.feed(4, parent.events[3:], "p")
    clients.finish()
    one, two, three = clients.all
    assert (one.closed, one.answers, one.thread) == (90 * MS, 1, ("c", ""))
    assert (two.name, two.in_queue, two.came) == ("a:tcp-2", None, 2 * MS)
    assert (three.in_queue, three.held) == (60 * MS, None)  # the child's sleep kept nobody waiting
