"""Causes stand before their effects, and nothing is lost or turned round otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop_trace.correlate import causal as module
from evloop_trace.correlate.causal import causal

from evloop.events.reader import Problem
from evloop.events.schema import Accept, Recv, Send, Signal

if TYPE_CHECKING:
    import pytest

    from tests.tools.evloop_trace.correlate.conftest import Stage

CLIENT, SERVER = 0, 1
HERE, THERE = "127.0.0.1:40000", "127.0.0.1:8080"


def order(stage: Stage, *lines: tuple[int, Any]) -> list[Any]:
    """The items in the order in which they come out, fed one a batch."""
    batches = (([log], [item]) for log, item in lines)
    return [row.item for rows in causal(batches, stage.joiner) for row in rows]


def transfer(stage: Stage, n: int = 5, **more: Any) -> tuple[Any, Any]:
    """A send and its recv."""
    send = stage.event(CLIENT, Send, conn="tcp-1", size=n, n=n, off=(0, n), **more)
    return send, stage.event(SERVER, Recv, conn="tcp-1", size=9, n=n, off=(0, n))


def test_what_is_in_order_passes_at_once(stage: Stage) -> None:
    """With what it was joined with, and the end that it is about."""
    stage.meet()
    send, recv = transfer(stage)
    rows = list(causal([([CLIENT, SERVER], [send, recv])], stage.joiner))
    assert [[row.item for row in it] for it in rows] == [[send, recv], []]
    assert [origin.seq for origin in rows[0][1].joined.origins] == [send.seq]
    assert rows[0][0].end.name == "client:tcp-1"


def test_a_send_is_put_before_its_recv(stage: Stage) -> None:
    """With what its own thread did before it, but past everything else."""
    stage.meet()
    mine, other = (stage.event(CLIENT, Recv, conn="tcp-1", size=9, thread=name) for name in ("A", "B"))
    send, recv = transfer(stage, thread="A")
    signal = stage.event(SERVER, Signal, signal="SIGINT")
    broken = Problem(9, "broken", "x")
    lines = [(SERVER, recv), (CLIENT, mine), (CLIENT, other), (SERVER, signal), (SERVER, broken)]
    assert order(stage, *lines, (CLIENT, send)) == [mine, send, recv, other, signal, broken]


def test_a_broken_line_passes_if_nothing_waits(stage: Stage) -> None:
    """It has no time, and no effect."""
    assert order(stage, (CLIENT, Problem(1, "broken", "x"))) == [Problem(1, "broken", "x")]


def test_patience_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody sent is let go, and the end of the logs lets all go."""
    monkeypatch.setattr(module, "PATIENCE", 2)
    accept = stage.event(SERVER, Accept, sock="listen-1", conn="tcp-1", peer=HERE, local=THERE)
    signals = [stage.event(SERVER, Signal, signal="SIGINT") for _ in range(3)]
    last = stage.event(SERVER, Accept, sock="listen-1", conn="tcp-2", peer=HERE, local=THERE)
    lines = [([SERVER], [it]) for it in (accept, *signals, last)]
    rows = list(causal(lines, stage.joiner))
    assert [len(it) for it in rows] == [0, 0, 3, 1, 0, 1]
    assert rows[2][0].joined.missing == 0


def test_one_that_was_let_go_may_still_be_completed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the send stays where it is."""
    monkeypatch.setattr(module, "PATIENCE", 0)
    stage.meet()
    send, recv = transfer(stage)
    later = stage.event(SERVER, Recv, conn="tcp-1", size=9, n=1, off=(5, 6))
    assert order(stage, (SERVER, recv), (CLIENT, send)) == [recv, send]
    monkeypatch.setattr(module, "PATIENCE", 9)
    send2 = stage.event(CLIENT, Send, conn="tcp-1", size=1, n=1, off=(6, 7))
    assert order(stage, (SERVER, later), (CLIENT, send2)) == [later, send2]
