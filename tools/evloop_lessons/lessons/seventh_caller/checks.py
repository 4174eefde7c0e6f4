"""What must be seen of more callers than a queue holds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from evloop_lessons.lesson import PACKETS, SOCKETS, Missing, claim, found
from evloop_lessons.run import by_connection, first, notation
from evloop_trace.packets.segments import ACK, RST, SYN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

SHORTEST, LONGEST = 900_000_000, 1_200_000_000
"""Nanoseconds from one SYN to its repetition; the first are 1 s apart (RFC 6298, section 2)."""

FALSE = {"backlog=20": ("syns", "retry")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _connected(run: Run) -> list[Call]:
    """The connects that were answered before the first caller left, one a client."""
    leave = run.step("leave").t
    return [it for it in run.calls("", "connect") if it.t < leave and it.event.errno is None]


def _in_vain(run: Run) -> dict[int, list[PacketEntry]]:
    """The packets, up to then, of connections that were not answered."""
    leave = run.step("leave").t
    wires = by_connection([it for it in run.packets() if it.t < leave])
    return {number: them for number, them in wires.items() if all(it.packet.client for it in them)}


def outcome(run: Run) -> str:
    """How many are connected while the first still talks."""
    return str(len(_connected(run)))


@claim("connected", "server")
def connected(run: Run) -> Found:
    """One is served, and one more than the backlog waits in the queue."""
    calls, expected = _connected(run), min(run["backlog"] + 2, run["callers"])
    return found(len(calls) == expected, *calls, number=len(calls), expected=expected, backlog=run["backlog"])


@claim("one", "server")
def one(run: Run) -> Found:
    """Of all these only one has been accepted."""
    leave = run.step("leave").t
    accepts = [it for it in run.calls("server", "accept") if it.t < leave]
    return found(len(accepts) == 1, *accepts)


@claim("queue", SOCKETS, "server")
def queue(run: Run) -> Found:
    """The kernel's own count of the queue."""
    listen = run.call("server", "listen")
    sample = run.sample(run.step("leave").t)
    queued = sample.queue(listen.event.address)
    expected = min(run["backlog"] + 1, run["callers"] - 1)
    backlog = listen.event.backlog
    return found(queued == expected, listen, sample, queued=queued, backlog=backlog)


@claim("heard", PACKETS, "server", "client-2")
def heard(run: Run) -> Found:
    """The kernel acknowledges what somebody says whom nobody has accepted."""
    strand = run.strand("client-2")
    said = first(run.packets(strand, client=True, data=True), "a packet with data")
    acks = [it for it in run.packets(strand, client=False) if it.packet.ack == said.packet.end]
    ack, accepts = first(acks, "an ACK of it"), run.calls("server", "accept", strand=strand)
    return found(not accepts or ack.t < accepts[0].t, said, ack, *accepts)


@claim("syns", PACKETS)
def syns(run: Run) -> Found:
    """The others are not refused: nothing comes back, and they ask again after a second."""
    wires = _in_vain(run)
    if not wires:
        raise Missing("a connection that nobody answers")
    expected = run["callers"] - run["backlog"] - 2
    good = len(wires) == expected
    gaps: list[int] = []
    for packets in wires.values():
        times = [it.t for it in packets]
        gaps += [b - a for a, b in pairwise(times)]
        good &= len(packets) >= 2 and all(it.packet.flags & (SYN | ACK) == SYN for it in packets)
    good &= all(SHORTEST <= it <= LONGEST for it in gaps)
    shown = [f"{it / 1e9:.2f} s" for it in gaps[:4]]
    return found(good, *[it for packets in wires.values() for it in packets], number=len(wires), gaps=shown)


@claim("no-reset", PACKETS)
def no_reset(run: Run) -> Found:
    """There is no reset: nobody is refused."""
    leave = run.step("leave").t
    resets = [it for it in run.packets(flags=RST) if it.t < leave]
    return found(not resets, *resets)


@claim("retry", PACKETS, "server")
def retry(run: Run) -> Found:
    """When there is room again, the next SYN of somebody who waits is answered."""
    leave = run.step("leave").t
    waiting = _in_vain(run)
    for call in run.calls("", "connect"):
        strand = call.strand
        if strand is None or strand.number not in waiting or call.event.errno is not None:
            continue
        packets = run.packets(strand)
        answer = first(run.packets(strand, client=False), "an answer")
        syn = max((it for it in packets if it.packet.client and it.t < answer.t), key=lambda it: it.t)
        late = f"{(answer.t - packets[0].t) / 1e9:.1f} s"
        return found(
            notation([syn]) == "S*" and leave < syn.t,
            syn,
            answer,
            call,
            client=run.labels[call.log],
            late=late,
        )
    raise Missing("a connect that was answered after the first caller had left")
