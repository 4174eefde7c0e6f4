"""What must be seen of a loop that asks for what is always so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, claim, found
from evloop_lessons.run import first, milliseconds, returned

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run

MANY = 1_000

FALSE = {"write=when-needed": ("spins",)}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _woken(run: Run, begin: int, end: int) -> list[Call]:
    """How often the loop woke in that time; not by whom it is told what to do."""
    conn = _conn(run)
    return [
        it
        for it in run.calls("server", "poll")
        if begin <= returned(it) < end and conn in dict(it.event.ready)
    ]


def _conn(run: Run) -> str:
    """The connection, as the server calls it."""
    return str(run.call("server", "accept").event.conn)


def _spun(run: Run) -> list[Call]:
    """The wake-ups of the step in which nobody says anything, and it is watched for WRITE."""
    return _woken(run, run.step("write").t, run.step("speak").t)


def outcome(run: Run) -> str:
    """a: the loop does not wake; b: it wakes once; c: again and again."""
    woken = len(_spun(run))
    return {0: "a", 1: "b"}.get(woken, "c")


@claim("sleeps", "server")
def sleeps(run: Run) -> Found:
    """Watched for READ, it is not woken while nothing comes."""
    begin, end = run.step("read").t, run.step("write").t
    woken = _woken(run, begin, end)
    polls = [it for it in run.calls("server", "poll") if returned(it) >= end]
    sleep = first(polls, "a poll that slept as long")
    return found(
        not woken,
        sleep,
        *woken,
        rest=milliseconds(end - begin),
        slept=milliseconds(returned(sleep) - sleep.event.t),
    )


@claim("spins", "server")
def spins(run: Run) -> Found:
    """Watched for WRITE, it is woken at once, and again, and again, for nothing else."""
    conn, woken = _conn(run), _spun(run)
    only = all(dict(it.event.ready)[conn] == "OUT" for it in woken)
    span = woken[-1].t - woken[0].t if woken else 0
    return found(
        only and len(woken) > MANY,
        *woken[:3],
        times=f"{len(woken):,}",
        span=milliseconds(span),
    )


@claim("nothing", "server")
def nothing(run: Run) -> Found:
    """There was nothing to do: it calls nothing on the connection."""
    begin, end = run.step("write").t, run.step("speak").t
    calls = run.between(begin, end, run.calls("server", "accept", "recv", "send", "close"))
    return found(not calls, *calls, wait=milliseconds(end - begin))


@claim("no-packets", PACKETS)
def no_packets(run: Run) -> Found:
    """Nobody else sees anything of it."""
    during = run.between("write", "speak", run.packets())
    return found(not during, *during)


@claim("answered", "server", "client")
def answered(run: Run) -> Found:
    """A client is answered all the same, so nobody complains."""
    begin, end = run.step("speak").t, run.step("mended").t
    recv, send = run.call("server", "recv"), run.call("server", "send")
    answer = run.call("client", "recv")
    good = begin < recv.t < send.t < end and begin < answer.t < end and answer.event.n == send.event.n
    return found(good, recv, send, answer)
