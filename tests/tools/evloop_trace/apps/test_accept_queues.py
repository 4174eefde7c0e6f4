"""The accept queues of a process that lives: this one."""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.apps import accept_queues
from evloop_trace.apps.accept_queues import EVERY, AcceptQueues
from evloop_trace.apps.follow import FileFeed
from evloop_trace.model.diagnosis import Seen

from evloop.events.schema import SCHEMA, Accept, Block, Close, End, Header, Inherit, Listen, Queue, Recv
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 30.0


class Phone:
    """A listener of ours with a queue of 5, those who call it, and the events that tell of it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._sock = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=5))
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        self.listen = Listen(1, 0, 0, 1, "tcp-1", 3, "tcp", self.address, 5)

    def call(self, times: int = 1) -> None:
        """Clients who wait for accept."""
        for _ in range(times):
            self._stack.enter_context(socket.create_connection(self._sock.getsockname(), SECONDS))

    def accept(self) -> None:
        """One waits no longer."""
        self._sock.accept()[0].close()


@pytest.fixture
def phone() -> Iterator[Phone]:
    """A listener."""
    with ExitStack() as stack:
        yield Phone(stack)


def accept(queued: int | None) -> Accept:
    """An accept that says how many still wait."""
    return Accept(2, 0, 0, 1, "tcp-1", "tcp-2", 4, queued=queued)


def block(awaits: str, **fields: Any) -> Block:
    """The main thread sleeps."""
    return Block(3, 0, 0, awaits, **fields)


def asked(queues: AcceptQueues, number: int) -> list[Queue]:
    """What is told when it is as many: the last ACK of a handshake may be on its way for a moment."""
    deadline = time.monotonic() + SECONDS
    while not (found := queues.ask({"": os.getpid()}, 7)) or found[-1].queued != number:
        assert time.monotonic() < deadline, found
    return found


def test_what_is_told_is_what_has_changed(phone: Phone) -> None:
    """Since it was last told, by the log or by the kernel; whose word is always told once."""
    queues = AcceptQueues()
    queues.follow([phone.listen, accept(0)])
    assert asked(queues, 0) == [Queue(-1, 7, 0, "tcp-1", 0, 5)]
    assert queues.ask({"": os.getpid()}, 8) == []
    phone.call(3)
    assert asked(queues, 3) == [Queue(-1, 7, 0, "tcp-1", 3, 5)]
    phone.accept()
    queues.follow([accept(2), accept(None), block("recv", conn="tcp-2")])
    assert queues.ask({"": os.getpid()}, 8) == []
    queues.follow([accept(1)])
    assert asked(queues, 2)


@pytest.mark.parametrize(
    ("awaits", "fields"), [("accept", {"sock": "tcp-1"}), ("poll", {"watched": [("tcp-1", "READ")]})]
)
def test_who_sleeps_until_somebody_calls_has_told_that_nobody_waits(
    phone: Phone, awaits: str, fields: Any
) -> None:
    """So it is told if somebody does by now."""
    queues = AcceptQueues()
    queues.follow([phone.listen])
    phone.call()
    asked(queues, 1)
    queues.follow([block(awaits, **fields)])
    assert asked(queues, 1)


def test_what_is_no_tcp_listener_is_not_asked_for(phone: Phone) -> None:
    """It failed, is a Unix socket, is closed, or nobody has told its backlog."""
    queues = AcceptQueues()
    queues.follow([Listen(1, 0, 0, 1, "tcp-9", 3, "tcp", phone.address, 5, "EADDRINUSE")])
    queues.follow([Listen(1, 0, 0, 1, "unix-1", 3, "unix", "/run/phone", 5)])
    queues.follow([Inherit(1, 0, 0, "tcp-8", 3, "tcp", phone.address, listens=True)])
    queues.follow([phone.listen, Close(2, 0, 0, 1, 3, "close", None, "tcp-1")])
    assert not queues.is_due()
    assert queues.ask({"": os.getpid()}, 7) == []


def test_another_process_is_asked_for_its_own(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it inherited has the backlog that was told by who made it, and may have closed it by now."""
    pids: list[int] = []

    def sockets_of(pid: int) -> dict[tuple[str, str], Seen]:
        pids.append(pid)
        return {(phone.address, ""): Seen("LISTEN", pid, 0)}

    monkeypatch.setattr(accept_queues, "sockets_of", sockets_of)
    queues = AcceptQueues()
    queues.follow([phone.listen, Inherit(1, 0, 0, "41:tcp-1", 3, "tcp", phone.address, listens=True)])
    queues.follow([Inherit(1, 0, 0, "41:tcp-2", 4, "tcp", phone.address, "127.0.0.1:9")])
    queues.follow([Close(2, 0, 0, 1, 3, "close", None, "tcp-1")])
    queues.follow([Inherit(1, 0, 0, "43:tcp-1", 3, "tcp", phone.address, listens=True)])
    found = queues.ask({"": 40, "41:": 41, "42:": 42, "43:": 43}, 7)
    assert [(it.sock, it.queued, it.backlog) for it in found] == [("41:tcp-1", 41, 5), ("43:tcp-1", 43, 5)]
    assert pids == [41, 43]
    assert queues.ask({}, 7) == []


@pytest.mark.parametrize(("took", "pause"), [(0.0, EVERY), (0.1, 5.0)])
def test_asking_takes_a_small_share_of_the_time(
    phone: Phone, monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    """However many sockets the machine has."""
    now = [100.0]

    def sockets_of(_pid: int) -> dict[tuple[str, str], Seen]:
        now[0] += took
        return {}

    monkeypatch.setattr(accept_queues, "sockets_of", sockets_of)
    queues = AcceptQueues(lambda: now[0])
    assert not queues.is_due()
    queues.follow([phone.listen])
    assert queues.is_due()
    queues.ask({"": 40}, 7)
    now[0] = 100.0 + pause - 0.001
    assert not queues.is_due()
    now[0] = 100.0 + pause
    assert queues.is_due()


def header(pid: int) -> Header:
    """The first line of a process's log."""
    argv, now = ["x"], time.monotonic_ns()
    return Header(0, 0, 0, SCHEMA, now, 0, 0, pid, argv, {}, "", "", "prefix", 64, model="run", run="r")


def test_a_feed_tells_of_who_waits_while_the_log_is_silent(phone: Phone, tmp_path: Path) -> None:
    """On the log's clock; not after the program's end, and not of one that is over."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(encode([header(os.getpid()), phone.listen]))
    with closing(FileFeed(str(log))) as feed:
        told: list[Any] = feed.read()
        assert [(type(event), event.seq) for event in told] == [(Header, 0), (Listen, 1), (Queue, -1)]
        phone.call(3)
        while told[-1].queued != 3:
            assert feed.wait(SECONDS)
            told += feed.read()
        assert 0 < told[2].t < told[-1].t < SECONDS * 1e9
        with log.open("ab") as file:
            file.write(encode([Recv(2, 5, 0, 1, "tcp-2", 4, 9, 1), accept(1), End(3, 9, 0, "exit", 0)]))
        rest: list[Any] = []
        while not feed.ended:
            assert feed.wait(SECONDS)
            rest += feed.read()
        assert [type(event) for event in rest] == [Recv, Accept, End]
    with closing(FileFeed(str(log))) as feed:
        assert not any(isinstance(event, Queue) for event in feed.read())
