"""What must be seen of callers at a server that blocks, and at one that does not."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, claim, found
from evloop_lessons.run import by_connection, first, milliseconds, returned

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry, Strand

SERVERS = ("first", "second")

FALSE = {
    "first=threaded": ("one", "unread", "asleep", "in-turn"),
    "second=sequential": ("all", "interleaved", "one-sleep"),
}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _strands(run: Run, server: str) -> list[Strand]:
    """The connections with a server, a caller each."""
    at = SERVERS.index(server)
    return [run.strand(it, at) for it in run.labels if it not in SERVERS]


def _left(run: Run, server: str) -> int:
    """When the callers were told to hang up."""
    return run.step(f"{server}-leave").t


def _answers(run: Run, server: str) -> list[Call]:
    """With which the callers got their answers, up to then."""
    numbers = {it.number for it in _strands(run, server)}
    return [
        it
        for it in run.calls("", "recv")
        if it.client and it.strand and it.strand.number in numbers and it.t < _left(run, server)
    ]


def _each(run: Run, server: str, kind: str) -> list[Call]:
    """Calls of a server, a connection each: its first accept, its first recv, its close."""
    return [them[0] for them in by_connection(run.calls(server, kind)).values()]


def outcome(run: Run) -> str:
    """a: everybody is answered by both; b: by the second only; c: by both only one."""
    everybody = run["callers"]
    counts = len(_answers(run, "first")), len(_answers(run, "second"))
    return {(everybody, everybody): "a", (1, everybody): "b", (1, 1): "c"}.get(counts, "")


@claim("connected", *SERVERS)
def connected(run: Run) -> Found:
    """All are connected, at both."""
    calls = [
        it
        for server in SERVERS
        for strand in _strands(run, server)
        for it in run.calls("", "connect", strand=strand)
        if returned(it) < _left(run, server) and it.event.errno is None
    ]
    return found(len(calls) == 2 * run["callers"], *calls, callers=run["callers"])


@claim("acknowledged", PACKETS)
def acknowledged(run: Run) -> Found:
    """The kernel takes what anybody says, whatever the program does."""
    packets: list[PacketEntry] = []
    for server in SERVERS:
        for strand in _strands(run, server):
            said = first(run.packets(strand, client=True, data=True), "a packet with data")
            acks = [it for it in run.packets(strand, client=False) if it.packet.ack == said.packet.end]
            ack = first(acks, "an ACK of it")
            packets += [it for it in (said, ack) if it.t < _left(run, server)]
    return found(len(packets) == 4 * run["callers"], *packets, callers=run["callers"])


@claim("one", "first")
def one(run: Run) -> Found:
    """Only one has been answered before somebody hangs up."""
    answers = _answers(run, "first")
    return found(len(answers) == 1, *answers, others=run["callers"] - 1)


@claim("unread", SOCKETS, "first")
def unread(run: Run) -> Found:
    """What the others have said waits in the kernel."""
    address = run.call("first", "listen").event.address
    sample = run.sample(_left(run, "first"))
    waiting = [it for it in sample.of(local=address) if it.peer and it.unread]
    return found(len(waiting) == run["callers"] - 1, sample, size=sum(it.unread for it in waiting))


@claim("asleep", "first")
def asleep(run: Run) -> Found:
    """Meanwhile it sleeps, in recv(), for the one who says nothing."""
    begin, end = run.step("first-rest").t, _left(run, "first")
    conn = run.call("first", "accept").event.conn
    sleeps = {it.event.thread: it for it in run.calls("first", "block") if it.t < end}
    only = [(it.event.awaits, it.event.conn) for it in sleeps.values()] == [("recv", conn)]
    calls = run.between(begin, end, run.calls("first", "accept", "recv", "send"))
    return found(only and not calls, *sleeps.values(), *calls, rest=milliseconds(end - begin))


@claim("in-turn", "first")
def in_turn(run: Run) -> Found:
    """It reads from the next when it has closed the one before."""
    reads, closes = _each(run, "first", "recv"), _each(run, "first", "close")
    rows = [it for pair in zip(reads, closes, strict=True) for it in pair]
    whose = [it.strand for it in reads] == [it.strand for it in closes]
    return found(whose and all(a.t < b.t for a, b in pairwise(rows)), *rows)


@claim("all", "second")
def everybody(run: Run) -> Found:
    """Everybody has been answered before anybody hangs up."""
    answers = _answers(run, "second")
    return found(len(answers) == run["callers"], *answers, callers=run["callers"])


@claim("interleaved", "second")
def interleaved(run: Run) -> Found:
    """It has read from all of them before it closes one."""
    reads, closes = _each(run, "second", "recv"), _each(run, "second", "close")
    before = [it for it in reads if it.t < closes[0].t]
    return found(len(before) == run["callers"], *before, closes[0], callers=run["callers"])


@claim("one-sleep", "second")
def one_sleep(run: Run) -> Found:
    """It sleeps for all of them at once, and never in a call for one."""
    sleeps = run.calls("second", "poll")
    blocked = run.calls("second", "block")
    return found(bool(sleeps) and not blocked, *sleeps, *blocked, sleeps=len(sleeps))
