"""What must be seen of two small sends before a recv."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from evloop_lessons.lesson import PACKETS, Missing, claim, found
from evloop_lessons.run import first, payload_size, returned
from evloop_trace.packets.segments import AGAIN

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run
    from evloop_trace.correlate.entries import PacketEntry

ROUNDS = 3
LATE, LATEST = 30_000_000, 250_000_000
"""Nanoseconds: an ACK that was held back comes after 40 to 200 ms, by a clock that ticks every 1 to 10 ms."""
PATIENCE = 35_000_000
"""A server that takes 40 ms to answer does not talk in turns: its next ACK is not held back.

And if the second send() is so late, the ACK was there before it. A busy machine does such things.
"""
SHORTLY = 1_000_000  # nanoseconds: the two clocks of calls and packets may differ so much

FALSE = {"first=nodelay": ("stall", "late"), "first=one-send": ("stall", "late")}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


class _Round(NamedTuple):
    """A request and its answer."""

    sends: list[Call]
    data: list[PacketEntry]
    """Packets with the request."""
    ack: PacketEntry
    """The first that acknowledges the first of these."""
    answer: PacketEntry
    recv: Call

    @property
    def length(self) -> int:
        """Nanoseconds, from the first send() to the end of the recv()."""
        return returned(self.recv) - int(self.sends[0].event.t)


def _rounds(run: Run, name: str) -> list[_Round]:
    strand = run.strand(name)
    packets = run.packets(strand)
    full = [it for it in run.packets(strand, data=True) if not it.packet.found & AGAIN]
    data, answers = [it for it in full if it.packet.client], [it for it in full if not it.packet.client]
    sends, recvs = run.calls(name, "send"), run.calls(name, "recv")
    many = len(sends) // ROUNDS
    if not many == len(data) / ROUNDS or not len(answers) == len(recvs) == ROUNDS:
        raise Missing(f"{ROUNDS} rounds of {name}, in which each send() is a packet")
    rounds = []
    for number in range(ROUNDS):
        mine = slice(number * many, (number + 1) * many)
        end = data[mine][0].packet.end
        acks = [it for it in packets if not it.packet.client and (it.packet.ack or 0) >= end]
        rounds.append(_Round(sends[mine], data[mine], acks[0], answers[number], recvs[number]))
    return rounds


def _stalled(rounds: list[_Round]) -> list[_Round]:
    """Those that must stall: all but the first, and those for which a program was too slow."""
    them = [
        it
        for before, it in pairwise(rounds)
        if before.answer.t - before.data[-1].t < PATIENCE and returned(it.sends[-1]) - it.data[0].t < PATIENCE
    ]
    if not them:
        raise Missing("a round in which both programs were in time")
    return them


def _is_late(it: _Round) -> bool:
    return it.ack.t - it.data[0].t >= LATE


def _in_time(it: _Round) -> bool:
    """The last of the request left while send() ran."""
    return it.data[-1].t <= returned(it.sends[-1]) + SHORTLY


def _ms(times: list[int]) -> list[str]:
    return [f"{it / 1e6:.1f} ms" for it in times]


def outcome(run: Run) -> str:
    """Which rounds wait. a: none; b: all but the first; c: the first; d: all."""
    begins, *others = [_is_late(it) and not _in_time(it) for it in _rounds(run, "first")]
    return ("d" if begins else "b") if any(others) else ("c" if begins else "a")


@claim("begin", PACKETS, "first")
def begin(run: Run) -> Found:
    """In the first round the server's kernel acknowledges at once."""
    it = _rounds(run, "first")[0]
    return found(it.ack.t - it.data[0].t < LATE, it.data[0], it.ack, length=_ms([it.length]))


@claim("stall", PACKETS, "first")
def stall(run: Run) -> Found:
    """In the others the second part stays where it is, long after send() has returned."""
    them = _stalled(_rounds(run, "first"))
    good = all(it.data[-1].t - it.data[0].t >= LATE and not _in_time(it) for it in them)
    evidence = [entry for it in them for entry in (it.sends[-1], it.data[-1])]
    lengths = _ms([it.length for it in them])
    return found(good, *evidence, lengths=lengths)


@claim("late", PACKETS, "first")
def late(run: Run) -> Found:
    """And leaves as soon as the first is acknowledged, which happens alone, and late."""
    packets = run.packets(run.strand("first"))
    them = _stalled(_rounds(run, "first"))
    good = all(not payload_size(it.ack) and packets[packets.index(it.ack) + 1] is it.data[1] for it in them)
    waits = [it.ack.t - it.data[0].t for it in them]
    good &= all(LATE <= it <= LATEST for it in waits)
    evidence = [entry for it in them for entry in (it.data[0], it.ack, it.data[-1])]
    return found(good, *evidence, waits=_ms(waits))


@claim("nodelay", PACKETS, "second")
def nodelay(run: Run) -> Found:
    """Without Nagle's algorithm nothing waits for an ACK."""
    options = [it for it in run.calls("second", "setsockopt") if it.event.option == "TCP_NODELAY"]
    option = first(options, "the option TCP_NODELAY")
    rounds = _rounds(run, "second")
    evidence = [entry for it in rounds for entry in (it.sends[-1], it.data[-1])]
    return found(all(len(it.data) == 2 and _in_time(it) for it in rounds), option, *evidence)


@claim("fast", PACKETS, "second")
def fast(run: Run) -> Found:
    """And a round is as short as it can be; of three the shortest, as the machine may be busy."""
    rounds = _rounds(run, "second")
    shortest = min(rounds, key=lambda it: it.length)
    lengths = _ms([it.length for it in rounds])
    return found(shortest.length < LATE, shortest.sends[0], shortest.recv, lengths=lengths)
