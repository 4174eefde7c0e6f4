"""Several programs' pictures and their one ladder, as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evloop_trace.correlate.causal import Row
from evloop_trace.correlate.meeting import Crossing, Meeting, Program, Told, crossing
from evloop_trace.model.folds import RUNGS

from evloop.events.schema import SCHEMA, Block, Header, Prepare, Recv, Send, Signal

if TYPE_CHECKING:
    from tests.tools.evloop_trace.correlate.conftest import Stage

CLIENT, SERVER = 0, 1
MS = 1_000_000


def meeting() -> Meeting:
    """A program and a loop, which have begun."""
    both = Meeting.of([Program("client", client=True), Program("server", client=False)])
    for log, model in enumerate(("run", "loop")):
        header = Header(0, 0, 0, SCHEMA, 0, 0, 0, 1, [], {}, "", "", "none", 0, model=model)
        both.apply(Told(header, Crossing(log)))
    return both


def apply(both: Meeting, log: int, event: Any) -> Told:
    """Fold an event of this log in."""
    told = Told(event, Crossing(log))
    both.apply(told)
    return told


def rungs(both: Meeting) -> list[tuple[int, int]]:
    """Logs and numbers of what stands on the ladder."""
    return [(it.crossing.log, it.event.seq) for it in both.ladder]


def test_each_log_has_its_picture_and_all_have_one_ladder() -> None:
    """What is no rung for its picture is none here; the time is the latest."""
    both = meeting()
    apply(both, SERVER, Recv(1, 50, 0, 9, "server:tcp-1", 3, 9, 4, (0, 4)))
    apply(both, SERVER, Prepare(2, 60, 0, None, "nothing"))
    apply(both, CLIENT, Signal(1, 40, 0, "SIGINT"))
    assert rungs(both) == [(SERVER, 1), (CLIENT, 1)]
    assert [picture.received for picture in both.pictures] == [0, 4]
    assert both.t == 60
    assert Meeting.thaw(both.freeze()) == both


def test_the_ladder_is_no_longer_than_it_must_be() -> None:
    """The older half goes."""
    both = meeting()
    for number in range(2 * RUNGS):
        apply(both, CLIENT, Signal(number, number, 0, "SIGINT"))
    assert rungs(both) == [(CLIENT, number) for number in range(RUNGS, 2 * RUNGS)]


def test_what_is_hidden_was_the_last_rung() -> None:
    """Of the same log, and of the same number."""
    both = meeting()
    first = apply(both, CLIENT, Signal(1, 1, 0, "SIGINT"))
    second = apply(both, SERVER, Signal(1, 1, 0, "SIGINT"))
    both.hide(first)
    both.hide(second)
    both.hide(second)
    assert rungs(both) == [(CLIENT, 1)]


def sleep(both: Meeting, awaits: str, dur: int, between: int = 0) -> None:
    """A call that sleeps, other logs' events, and its return."""
    apply(both, CLIENT, Block(1, 10, 0, awaits, "client:tcp-1", where="a.py:1"))
    for number in range(between):
        apply(both, SERVER, Signal(number, 11, 0, "SIGINT"))
    apply(both, CLIENT, Recv(2, 5, 0, dur, "client:tcp-1", 3, 9, 4, (0, 4), where="a.py:1"))


def test_a_short_sleep_is_no_rung() -> None:
    """A long one is, unless it is a poll's; and one that has left the end of the ladder stays."""
    for awaits, dur, between, stays in (
        ("recv", 20, 1, False), ("recv", 5 * MS, 1, True), ("poll", 5 * MS, 1, False),
        ("recv", 20, 100, True),
    ):  # fmt: skip
        both = meeting()
        sleep(both, awaits, dur, between)
        assert ((CLIENT, 1) in rungs(both)) is stays
        assert rungs(both)[-1] == (CLIENT, 2)


def test_where_a_row_stands(stage: Stage) -> None:
    """Its side, what both ends are called, and what it was from."""
    send = stage.event(CLIENT, Send, conn="tcp-1", size=5, n=5, off=(0, 5))
    stage.joiner.feed(CLIENT, send)
    assert crossing(Row(CLIENT, send, None, None), stage.joiner) == Crossing(CLIENT)
    stage.meet()
    assert stage.joiner.end is not None
    server, client = stage.joiner.end, stage.joiner.end.other
    names = ("client:tcp-1", "server:tcp-1")
    assert crossing(Row(CLIENT, send, None, client), stage.joiner) == Crossing(CLIENT, True, names)
    stage.send(CLIENT, "tcp-1", 5)
    joined = stage.recv(SERVER, "tcp-1", 5)
    assert crossing(Row(SERVER, send, joined, server), stage.joiner) == Crossing(SERVER, False, names, joined)
    joined.origins.clear()
    assert crossing(Row(SERVER, send, joined, server), stage.joiner).joined is None
