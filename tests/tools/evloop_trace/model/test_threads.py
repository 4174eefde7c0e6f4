"""What a program's threads do, as far as their calls tell."""

from __future__ import annotations

from typing import Any

from evloop_trace.model.threads import MAIN, Thread, follow

from evloop.events.schema import Block, Clock, Close, Recv, Unknown

SECOND = 10**9


def threads_of(program: Any) -> dict[str, Thread]:
    """After all its events."""
    threads: dict[str, Thread] = {}
    for event in program.events:
        follow(threads, event)
    return threads


def test_a_thread_sleeps_from_its_block_to_the_return_of_the_call(program: Any) -> None:
    """And what it then did last is known."""
    program(Block, SECOND, "recv", "tcp-1", size=9)
    main = threads_of(program)[MAIN]
    assert main.block is not None
    assert (main.asleep(3 * SECOND), main.share(4 * SECOND)) == (2 * SECOND, 0.75)
    program(Recv, SECOND - 10, "tcp-1", 3, 9, 5, dur=SECOND, call="recv_into")
    main = threads_of(program)[MAIN]
    assert (main.block, main.asleep(9 * SECOND), main.slept, main.sleeps) == (None, 0, SECOND - 10, 1)
    assert (main.call, main.about, main.where, main.seen) == (
        "recv_into", "tcp-1", "src/app.py:2", 2 * SECOND - 10,
    )  # fmt: skip


def test_the_end_of_a_sleep_is_told(program: Any) -> None:
    """By the event that ends it, and by no other."""
    program(Recv, 10, "tcp-1", 3, 9, 5)(Block, 200, "recv", "tcp-1")(Recv, 200, "tcp-1", 3, 9, 0)
    threads: dict[str, Thread] = {}
    assert [follow(threads, event) for event in program.events] == [None, None, None, program.events[2]]


def test_what_a_signals_handler_calls_does_not_end_the_sleep(program: Any) -> None:
    """It began after the call that sleeps."""
    program(Block, 200, "accept", sock="tcp-1")(Close, 300, 4, "close", "tcp-2")
    assert threads_of(program)[MAIN].block == program.events[1]


def test_threads_do_not_disturb_each_other(program: Any) -> None:
    """Each has its own name, its own beginning, and its own time."""
    program(Block, 500, "recv", "tcp-1", thread="T-1")(Recv, 100, "tcp-2", 3, 9, 5)
    threads = threads_of(program)
    assert list(threads) == ["T-1", MAIN]
    assert threads["T-1"].block is not None
    assert (threads["T-1"].began, threads[MAIN].began, threads[MAIN].share(0)) == (500, 0, 0.0)


def test_events_without_a_place_are_of_nobody(program: Any) -> None:
    """Those of our own loop, and those that are no call."""
    program(Recv, 100, "tcp-2", 3, 9, 5, where="")(Clock, 200, 1, 2, 3)
    program.events.append(Unknown(3, 300, 0, "later", {"thread": "T-1"}))
    assert threads_of(program) == {}


def test_of_many_threads_those_seen_last_are_kept(program: Any) -> None:
    """And those that sleep, and the main thread."""
    program(Close, 10, 4, "close")(Block, 20, "recv", "tcp-1", thread="sleeper")
    for n in range(500):
        program(Close, 100 + n, 4, "close", thread=f"T-{n}")
    threads = threads_of(program)
    assert 100 <= len(threads) <= 200
    assert {MAIN, "sleeper", "T-499"} <= set(threads)
    assert "T-0" not in threads
