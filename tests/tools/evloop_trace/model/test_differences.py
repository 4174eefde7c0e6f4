"""What differs, in sentences."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.model.clients import Clients
from evloop_trace.model.comparison import Comparison, Side
from evloop_trace.model.differences import because, differences, name_of

from evloop.events.schema import Accept, Limit, Poll, Queue, Recvfrom, Sendto, Slow

MS = 1_000_000


def side(log: Any, label: str) -> Side:
    """A log, read."""
    clients = Clients()
    clients.feed(1, log.events)
    clients.finish()
    return Side(label, f"{label}.jsonl", log.events[0], clients)


def said(a: Any, b: Any) -> list[str]:
    """The sentences."""
    return differences(Comparison(side(a, "A"), side(b, "B")))


def sequential(serving: Any, count: int = 4, words: str = "hello") -> Any:
    """Clients that come together, each of whom stays for 3 s."""
    log = serving("sequential")
    for at in range(count):
        log.client(at, 3000 * at + at, 3000 * (at + 1), f"tcp-{at + 1}", words.format(at).encode())
    return log


def threaded(serving: Any, count: int = 4, words: str = "hello", threads: bool = True) -> Any:
    """The same, each served at once."""
    log = serving("threaded")
    for at in range(count):
        thread = {"thread": f"t{at}"} if threads else {}
        log.accept(at, f"tcp-{at + 1}")
        log.recv(at + 0.1, f"tcp-{at + 1}", words.format(at).encode(), **thread)
        log.send(at + 0.2, f"tcp-{at + 1}", **thread)
    for at in range(count):
        log.close(3000 + at, f"tcp-{at + 1}")
    return log


def test_one_after_the_other(serving: Any) -> None:
    """Who waited, how long, and for what; with whom nobody did."""
    why = "its one thread was in recv() on the clients before them (3.0 s on client 1: line 5, server.py:9)"
    assert said(sequential(serving), threaded(serving)) == [
        f"A: clients 2 to 4 waited 3.0 s to 9.0 s in the accept queue, because {why}",
        "B: nobody waited over 1 ms in the queue: 4 threads served 4 at once",
        "All was over after 12.0 s with A and after 3.0 s with B",
    ]


def test_a_single_one(serving: Any) -> None:
    """Names instead of numbers, if they have some; a thread that serves several."""
    names = said(sequential(serving, 2, "I am {}"), threaded(serving, 2, "I am {}", threads=False))
    assert names[0].startswith('A: "I am 1" waited 3.0 s in the accept queue')
    assert '(3.0 s on "I am 0": line 5' in names[0]
    assert names[1] == "B: nobody waited over 1 ms in the queue: one thread served 2 at once"
    assert said(sequential(serving, 2), sequential(serving, 1))[1].startswith("A: client 2 waited 3.0 s in")
    three = said(sequential(serving, 3, "I am {}"), threaded(serving, 3, "I am {}"))
    assert three[0].startswith('A: "I am 1" and "I am 2" waited 3.0 s to 6.0 s')
    many = said(sequential(serving, 9, "I am {}"), threaded(serving, 9, "I am {}"))
    assert many[0].startswith("A: 8 of 9 clients waited 3.0 s to 24.0 s")


def test_other_numbers(serving: Any) -> None:
    """It is said that they are; and that all that is left is one after the other."""
    found = said(sequential(serving, 1), threaded(serving, 2))
    assert found[0] == "A has 1 client and B 2: the last have no partner"
    assert found[1] == "A: nobody waited over 1 ms in the queue: one came after the other"
    assert found[3] == "All was over after 3.0 s and 3.0 s: no difference"


def waited(serving: Any, *before: tuple[Any, ...], **fields: Any) -> tuple[str, str]:
    """Why a client waited 500 ms, in a sentence and in short; `before` is what the log has before."""
    log = serving("loop")
    for cls, at, *args in before:
        extra = args.pop() if args and isinstance(args[-1], dict) else {}
        log.add(cls, at, *args, **extra)
    log.accept(600, "tcp-1", 500, **fields)
    comparison = Comparison(side(log, "A"), side(log, "B"))
    (client,) = comparison.sides[0].clients.all
    return differences(comparison)[0].partition("queue")[2], because(comparison, 0, client)


def test_processes(serving: Any) -> None:
    """They are counted rather than their threads."""
    log = threaded(serving, 2)
    clients = Clients()
    for at, event in enumerate(log.events):
        clients.feed(at + 1, [event], getattr(event, "thread", ""))
    clients.finish()
    one = Side("A", "a", log.events[0], clients)
    sentence = "A: nobody waited over 1 ms in the queue: 2 processes served 2 at once"
    assert differences(Comparison(one, one))[0] == sentence


def test_reasons(serving: Any) -> None:
    """Each kind of reason has its words."""
    assert waited(serving) == (
        "; no call in the log explains that: the thread that accepts computed, or was not woken",
        "",
    )
    assert waited(serving, (Limit, 90, "connections", True), (Limit, 599, "connections", False)) == (
        ": the limit (connections) was reached, and nobody was accepted (499 ms, line 2)",
        "limit: connections",
    )
    assert waited(serving, (Poll, 550, None, "why", [], {"took": 500})) == (
        ": the thread that accepts slept in poll() (450 ms, line 2)",
        "asleep in poll()",
    )
    assert waited(serving, (Slow, 599, 499 * MS, "tcp-7")) == (
        ": the loop was busy with tcp-7 and did not ask who else is ready (499 ms, line 2)",
        "busy with tcp-7",
    )
    assert waited(serving, (Slow, 599, 499 * MS)) == (
        ": the loop was busy and did not ask who else is ready (499 ms, line 2)",
        "busy",
    )
    assert waited(serving, (Accept, 599, "tcp\x1b", {"errno": "timeout", "took": 400})) == (
        ": the thread that accepts slept in accept() on tcp\\x1b (400 ms, line 2)",
        "accept() on tcp\\x1b",
    )


def test_several_are_counted(serving: Any) -> None:
    """In short there is no room for their names; what is not a client has its own, and no place."""
    log = serving("run")
    log.accept(0, "tcp-1")
    for at, name in enumerate(("tcp-8", "tcp-9")):
        log.recv(100 * at + 100, name, took=99)
    log.accept(201, "tcp-2", 200)
    comparison = Comparison(side(log, "A"), side(log, "B"))
    assert because(comparison, 0, comparison.sides[0].clients.all[1]) == "recv() on 2 others"
    why = ", because the thread that accepts was in recv() (99.0 ms on tcp-8: line 3)"
    assert differences(comparison)[0].endswith(why)


def test_half_of_a_wait_must_be_explained(serving: Any) -> None:
    """Less is no reason."""
    why, short = waited(serving, (Poll, 300, None, "why", [], {"took": 100}))
    assert (why[:24], short) == ("; no call in the log exp", "")


def test_who_was_never_accepted(serving: Any) -> None:
    """They have no connection in the log, so they are told of."""
    one, two = sequential(serving, 1), sequential(serving, 1)
    one.add(Queue, 3000, "tcp-0", 1, 5)
    two.add(Queue, 3000, "tcp-0", 2, 5)
    found = said(one, two)
    assert found[1] == "A: 1 more client was never accepted"
    assert found[3] == "B: 2 more clients were never accepted"


def test_what_is_not_known(serving: Any) -> None:
    """Of a Unix socket, or in an older log."""
    log = serving()
    log.accept(0, "unix-1", None)
    assert "queue is not known, only when they were accepted" in said(log, log)[0]


@pytest.mark.parametrize(
    ("answered", "words"), [(True, "answered after at most 2.0 ms"), (False, "never answered")]
)
def test_datagrams(serving: Any, answered: bool, words: str) -> None:
    """They are in no accept queue."""
    log = serving("loop")
    log.add(Recvfrom, 1, "udp-1", 5, 3, "p:1", data=b"one")
    if answered:
        log.add(Sendto, 3, "udp-1", 5, "p:1", 3)
    assert (
        said(log, log)[0]
        == f"A: how long a datagram lay in the buffer is not known; once read it was {words}"
    )


def test_a_long_wait_for_an_answer(serving: Any) -> None:
    """It is told with its line, and with what the loop did; not if the other had the same."""
    slow, quick = serving("loop"), threaded(serving, 1)
    slow.accept(0, "tcp-1")
    slow.recv(10, "tcp-1")
    slow.send(510, "tcp-1")
    wait = 'A: "hello" waited 500 ms for an answer (line 4)'
    assert wait in said(slow, quick)
    assert not any("for an answer" in sentence for sentence in said(slow, slow))
    slow.add(Slow, 511, 501 * MS, "tcp-1")
    busy = 'the loop worked for 501 ms on "hello" before it looked at anybody else (line 5)'
    assert f"{wait}: {busy}" in said(slow, quick)
    slow.events[-1].conn = None
    assert "501 ms before it looked" in said(slow, quick)[1]
    nobody = serving()
    nobody.accept(0, "tcp-1")
    assert said(slow, nobody)[1].startswith("A: client 1 waited 500 ms for an answer (line 4): the loop")


def test_names_are_harmless(serving: Any) -> None:
    """What a client said is data."""
    log = sequential(serving, 2, 'a"\x1b[2J\u202e{}')
    comparison = Comparison(side(log, "A"), side(log, "B"))
    assert name_of(comparison, comparison.pairs[1]) == '"a\\"\\x1b[2J\\u202e1"'
    assert all(sentence.isprintable() for sentence in differences(comparison))
