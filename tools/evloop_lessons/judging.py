"""A run, and the claims of its lesson → verdicts, each with what it is founded on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.views.calls import bare
from evloop_trace.views.rungs import brief, woken

from evloop.events.schema import Poll
from evloop_lessons.lesson import PACKETS, SOCKETS, Missing
from evloop_lessons.run import Sample, spelled
from evloop_lessons.texts import filled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from evloop_lessons.lesson import Claim, Found
    from evloop_lessons.run import Run

__all__ = ["Evidence", "Verdict", "happened", "judge", "numbers"]


class Evidence(msgspec.Struct):
    """One thing that a claim looked at."""

    where: str
    """`packets`, `sockets`, the name of a log; empty: it is only said."""
    number: int
    """Of the packet in the capture, of the event in its log."""
    t: float
    """Milliseconds since the run began."""
    what: str
    """As the ladder says it, in English."""


class Verdict(msgspec.Struct):
    """What became of a claim."""

    key: str
    claim: str
    """Its sentence."""
    passed: bool | None
    """None: it could not be judged."""
    evidence: list[Evidence] = []
    lacks: str = ""
    """Why it could not be judged."""
    missing: str = ""
    """What it looks for, and is not there."""


def judge(claims: Iterable[Claim], sentences: Mapping[str, str], run: Run) -> list[Verdict]:
    """All verdicts, in the order of the claims.

    Args:
        claims: Of the lesson.
        sentences: Theirs, by their keys, with blanks.
        run: What was recorded.
    """
    return [_judge(claim, sentences[claim.key], run) for claim in claims]


def _judge(claim: Claim, sentence: str, run: Run) -> Verdict:
    for what in claim.looks_at:
        why = run.lacks.get(what) or _no_log(what, run)
        if why:
            return Verdict(claim.key, filled(sentence, {}), None, lacks=why)
    try:
        found: Found = claim.judge(run)
    except _NOT_THERE as error:
        missing = str(error) if isinstance(error, Missing) else _unsaid(error)
        return Verdict(claim.key, filled(sentence, {}), False, missing=missing)
    evidence = [_cited(it, run) for it in found.evidence]
    return Verdict(claim.key, filled(sentence, found.values), bool(found.passed), evidence)


# What a claim raises that looks for what is not there: `Missing`; or others, if somebody has changed a log.
_NOT_THERE = (LookupError, StopIteration, TypeError, ValueError, AttributeError, ArithmeticError)


def _unsaid(error: Exception) -> str:
    """For who knows nothing of Python; the error's name is for who has written the claim."""
    return f"a call, a packet or a step that it counts on ({type(error).__name__})"


def _no_log(what: str, run: Run) -> str:
    return "" if what in {PACKETS, SOCKETS, *run.labels} else f"there is no log of {what}"


def happened(outcome: Callable[[Run], str], run: Run, needs: Iterable[str]) -> str:
    """What was asked for, as it was in the run; empty if that cannot be told: something is lacking."""
    if any(it in run.lacks for it in needs):
        return ""
    try:
        return str(outcome(run))
    except _NOT_THERE:
        return ""


def _cited(what: Any, run: Run) -> Evidence:
    if isinstance(what, PacketEntry):
        # An ICMP error is about what an end sent, and comes from the other's kernel.
        side = "c" if what.packet.client != bool(what.packet.error) else "s"
        return Evidence("packets", what.packet.number, what.t / 1e6, f"{side} {spelled(what)}")
    if isinstance(what, CallEntry):
        return Evidence(run.labels[what.log], what.event.seq, what.t / 1e6, _called(what, run))
    if isinstance(what, Sample):
        return Evidence("sockets", 0, what.t / 1e6, _states(what))
    return Evidence("", 0, 0, str(what))


def _called(entry: CallEntry, run: Run) -> str:
    event = bare(entry.event, run.labels[entry.log])
    if isinstance(event, Poll):
        return f"woke: {woken(event.ready) or 'time-out'}"
    ends = run.calls(run.labels[entry.log], "shutdown")
    finished = any(it.strand == entry.strand and it.t < entry.t for it in ends)
    said = brief(event, finished=finished, outgoing=entry.client)
    return said or type(event).__name__.lower()


def _states(sample: Sample) -> str:
    """How many sockets are in each state; and the queues."""
    states: dict[str, int] = {}
    for it in sample.sockets:
        if it.peer:
            states[it.state] = states.get(it.state, 0) + 1
    queues = [f"queue {it.unread}" for it in sample.sockets if not it.peer]
    return ", ".join([*queues, *(f"{number} {state}" for state, number in sorted(states.items()))])


def numbers(which: Sequence[int]) -> list[str]:
    """Numbers, with runs of them in short."""
    runs: list[list[int]] = []
    for number in sorted(set(which)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return [f"{a}" if a == b else f"{a}\u2013{b}" for a, b in runs]
