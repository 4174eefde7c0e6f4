"""What must be seen of the two queues of a listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, Missing, claim, found
from evloop_lessons.run import by_connection, notation

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Run, Sample
    from evloop_trace.correlate.entries import PacketEntry

CALLERS = 8
WITH, WITHOUT = "127.0.0.1:8080", "127.0.0.1:8081"
HALF = "SYN-RECEIVED"
FINISHED = "S SA A"

FALSE = {
    "defer=0": ("half-open", "alike", "cookies", "spoken", "dropped"),
    "backlog=20": ("cookies", "dropped"),
}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _wires(run: Run, server: str, end: int) -> list[list[PacketEntry]]:
    """The packets up to then of each connection with a listener, in the order in which they began."""
    packets = [it for it in run.packets() if it.strand.server == server and it.t < end]
    return list(by_connection(packets).values())


def _called(run: Run) -> Sample:
    """When all had called, and nobody had said anything."""
    return run.sample(run.step("speak").t)


def _without_room(run: Run) -> int:
    rest = CALLERS - run["backlog"] - 1
    if rest < 1:
        raise Missing("a client for whom there is no room")
    return int(rest)


def outcome(run: Run) -> str:
    """What the seventh gets. a: a reset; b: nothing; c: a SYN+ACK."""
    seventh = notation(_wires(run, WITH, run.step("speak").t)[6]).split()
    return "a" if "R" in seventh else "c" if "SA" in seventh else "b"


@claim("half-open", SOCKETS, "server")
def half_open(run: Run) -> Found:
    """One more than the backlog, as in the other queue."""
    sample = _called(run)
    half = sample.of(local=WITH, state=HALF)
    expected = min(run["backlog"] + 1, CALLERS)
    return found(len(half) == expected, sample, number=len(half), backlog=run["backlog"])


@claim("alike", PACKETS, SOCKETS)
def alike(run: Run) -> Found:
    """Neither the wire nor a client's kernel knows who has no place."""
    wires, sample = _wires(run, WITH, run.step("speak").t), _called(run)
    connected = sample.of(peer=WITH, state="ESTABLISHED")
    seen = [notation(it) for it in wires]
    good = seen == [FINISHED] * CALLERS and len(connected) == CALLERS
    return found(good, *[it for packets in wires for it in packets], sample, number=len(connected))


@claim("cookies", SOCKETS)
def cookies(run: Run) -> Found:
    """Of those nothing is kept; when the cookie comes back, the connection is made of it."""
    rest, sample = _without_room(run), _called(run)
    counted, queue = sample.counters.get("TCPReqQFullDoCookies", 0), sample.queue(WITH)
    said = f"TCPReqQFullDoCookies = {counted}"
    return found(counted == rest == queue, sample, said, counted=counted, queue=queue)


@claim("spoken", PACKETS, SOCKETS, "on")
def spoken(run: Run) -> Found:
    """From one queue into the other."""
    send = run.call("on", "send")
    data = [it for it in run.packets(send.strand, client=True) if notation([it]) == str(send.event.n)]
    before, after = _called(run), run.sample(run.step("none").t)
    half = [len(it.of(local=WITH, state=HALF)) for it in (before, after)]
    queue = [it.queue(WITH) for it in (before, after)]
    moved = half[1] == half[0] - 1 and queue[1] == queue[0] + 1
    return found(
        moved and len(data) == 1, send, *data, before, after,
        half=f"{half[0]} → {half[1]}", queue=f"{queue[0]} → {queue[1]}",
    )  # fmt: skip


@claim("dropped", PACKETS, SOCKETS)
def dropped(run: Run) -> Found:
    """Without cookies a SYN is dropped for which there is no place."""
    rest, sample = _without_room(run), run.samples[-1]
    wires = _wires(run, WITHOUT, run.entries[-1].t + 1)
    seen = [notation(it) for it in wires]
    unanswered = [it for it in wires if set(notation(it).split()) <= {"S", "S*"}]
    syns = sum(map(len, unanswered))
    counted = sample.counters.get("TCPReqQFullDrop", 0)  # who waits sends another SYN after a second
    good = seen.count(FINISHED) == CALLERS - rest and len(unanswered) == rest <= counted <= syns
    said = f"TCPReqQFullDrop = {counted}"
    return found(
        good, *[it for packets in unanswered for it in packets], sample, said, number=rest, counted=counted
    )
