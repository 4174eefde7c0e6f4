"""Logs of servers as they were: a change of the server that is not meant to change anything keeps them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from evloop.events.reader import read_blocks
from evloop.events.schema import Interest, Poll, Prepare, Send
from evloop.kernel import WRITE
from evloop.loop.timers import Timers
from evloop.net.stream import Stream
from evloop.rerun import rerun
from evloop.servers.loop import LoopServer

LOGS = sorted((Path(__file__).parent / "logs").glob("*.jsonl.gz"))


def outcome_of(path):
    """Of its rerun."""
    with gzip.open(path) as file:
        header, blocks = read_blocks(file, path.name)
        return rerun(header, blocks)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_the_server_does_the_same(path):
    """Record them again with record.py, if it is to do something else from now on."""
    outcome = outcome_of(path)
    assert outcome.difference is None, (outcome.difference.logged, outcome.difference.rerun)
    assert outcome.ended


def found():
    """What the logs say of a server that was changed: the first difference of each."""
    differences = [outcome_of(path).difference for path in LOGS]
    return [
        (type(it.logged), it.rerun if isinstance(it.rerun, str) else type(it.rerun))
        for it in differences
        if it
    ]


def test_there_are_logs():
    """Of every kind that record.py makes."""
    assert [path.name.partition(".")[0] for path in LOGS] == ["kinds", "limits", "pressure"]


def test_a_changed_answer(monkeypatch):
    """Other bytes are sent."""
    monkeypatch.setitem(__import__("evloop.protocols").protocols.PROTOCOLS, "upper", bytes.title)
    assert (Send, Send) in found()


def test_write_interest_that_is_left_on(monkeypatch):
    """The oldest bug of all."""
    wants = Stream.wants
    monkeypatch.setattr(Stream, "wants", lambda self: (wants(self)[0] | WRITE, wants(self)[1]))
    assert found() == [(Interest, Interest)] * 3


def test_one_more_read(monkeypatch):
    """A handler that reads until EAGAIN."""
    on_ready = Stream.on_ready

    def drain(self, bits):
        while on_ready(self, bits):
            pass

    monkeypatch.setattr(Stream, "on_ready", drain)
    assert (Poll, "recv(65536) on tcp-1") in found()


def test_a_smaller_batch(monkeypatch):
    """A listener that accepts one connection a turn."""
    monkeypatch.setattr("evloop.net.listener.ACCEPT_BATCH", 1)
    assert any(
        isinstance(rerun, str) and rerun.startswith("the loop waits in poll()") for _, rerun in found()
    )


def test_deadlines_that_come_later(monkeypatch):
    """A timer that is set a nanosecond late."""
    later = Timers.set
    monkeypatch.setattr(Timers, "set", lambda self, when, *rest: later(self, when + 1, *rest))
    assert found() == [(Prepare, Prepare)] * 3


def test_a_stop_that_is_not_graceful(monkeypatch):
    """A server that breaks off."""
    monkeypatch.setattr(LoopServer, "stop", lambda self, _reason: self.abort())
    assert len(found()) == 3


def test_nothing_is_left_of_the_changes():
    """The server is as it was."""
    assert found() == []
