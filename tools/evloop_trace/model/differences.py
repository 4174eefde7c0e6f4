"""What two servers did differently to the same clients, and why: a few sentences with their evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_trace.escape import escape_payload, escape_text
from evloop_trace.model.clients import NOTABLE
from evloop_trace.numbers import count, duration, plural

if TYPE_CHECKING:
    from evloop_trace.model.clients import Client, HeldInAll
    from evloop_trace.model.comparison import Comparison, Pair, Summary

__all__ = ["because", "differences", "name_of"]

_NAMED = 3  # clients that are named one by one
_LONG = 100_000_000  # nanoseconds: who waits less for an answer does not notice
_MORE = 1.2  # what is less than so many times as much is the same


def name_of(comparison: Comparison, pair: Pair) -> str:
    """What a client is called: the first that it said, in quotes, or its number."""
    client = pair.a or pair.b
    if not comparison.by_greeting or client is None:
        return f"client {pair.number}"
    return f'"{escape_payload(client.greeting, total=client.greeting_size)}"'


def because(comparison: Comparison, side: int, client: Client) -> str:
    """What kept a client in the queue, in few words; nothing if the log does not tell of half of it."""
    held = client.held
    if held is None or held.ns * 2 < (client.in_queue or 0):
        return ""
    if held.call == "limit":
        return f"limit: {escape_text(held.name)}"
    if held.call == "poll":
        return "asleep in poll()"
    on = f"{count(held.sockets)} others" if held.sockets > 1 else _socket(comparison, side, held.name)
    if held.call == "slow":
        return f"busy with {on}" if on else "busy"
    return f"{escape_text(held.call)}() on {on}"


def differences(comparison: Comparison) -> list[str]:
    """At most eight sentences, each without a full stop: the numbers, the two sides, and what came of it."""
    summaries = [side.summary() for side in comparison.sides]
    found = _different_numbers(summaries)
    for at, summary in enumerate(summaries):
        found.append(_queue(comparison, at, summary))
        found += _left(summary)
        found += _answers(comparison, at, summary, summaries[1 - at])
    found.append(_whole(summaries))
    return found


def _different_numbers(summaries: list[Summary]) -> list[str]:
    a, b = summaries
    if a.clients == b.clients:
        return []
    number = plural(a.clients, "client")
    return [f"{a.label} has {number} and {b.label} {count(b.clients)}: the last have no partner"]


def _queue(comparison: Comparison, side: int, summary: Summary) -> str:
    """Who waited to be accepted, and why."""
    label = summary.label
    if not summary.most:
        took = duration(summary.answers.max_ns) if summary.answers else ""
        answered = f"was answered after at most {took}" if took else "was never answered"
        return f"{label}: how long a datagram lay in the buffer is not known; once read it {answered}"
    if summary.queue is None:
        return f"{label}: how long anybody was in the accept queue is not known, only when they were accepted"
    if not summary.waited:
        most = duration(max(summary.queue.max_ns, 10**6)).replace(".0", "")
        return f"{label}: nobody waited over {most} in the queue: {_how(summary)}"
    waiters = comparison.sides[side].waiters
    times = sorted([it.in_queue or 0 for it in waiters])
    span = duration(times[-1])
    if len(times) > 1:
        span = f"{duration(times[0])} to {span}"
    who = _who(comparison, side, waiters)
    return f"{label}: {who} waited {span} in the accept queue{_why(comparison, side)}"


def _how(summary: Summary) -> str:
    """Who serves whom."""
    most = count(summary.most)
    if summary.processes > 1:
        return f"{count(summary.processes)} processes served {most} at once"
    if summary.threads > 1:
        return f"{count(summary.threads)} threads served {most} at once"
    if summary.most > 1:
        return f"one thread served {most} at once"
    return "one came after the other"


def _who(comparison: Comparison, side: int, waiters: list[Client]) -> str:
    numbers = sorted([comparison.number(side, it.name) or 0 for it in waiters])
    if len(numbers) <= _NAMED and (comparison.by_greeting or len(numbers) == 1):
        return " and ".join([name_of(comparison, comparison.pairs[number - 1]) for number in numbers])
    if not comparison.by_greeting and numbers[-1] - numbers[0] + 1 == len(numbers):
        return f"clients {numbers[0]} to {numbers[-1]}"
    return f"{count(len(numbers))} of {plural(len(comparison.pairs), 'client')}"


def _why(comparison: Comparison, side: int) -> str:
    """What the thread that accepts did most of the time that anybody waited for it."""
    one = comparison.sides[side]
    most = max(one.clients.held.values(), key=_ns, default=None)
    waited = sum([it.in_queue or 0 for it in one.waiters])
    if most is None or most.ns * 2 < waited:
        return "; no call in the log explains that: the thread that accepts computed, or was not woken"
    held = most.longest
    on = _socket(comparison, side, held.name)
    proof = f"{duration(held.first)}, line {held.line}"
    if held.call == "limit":
        return f": the limit ({escape_text(held.name)}) was reached, and nobody was accepted ({proof})"
    if held.call == "slow":
        busy = f" with {on}" if held.name else ""
        return f": the loop was busy{busy} and did not ask who else is ready ({proof})"
    if held.call == "poll":
        return f": the thread that accepts slept in poll() ({proof})"
    if held.call == "accept":
        return f": the thread that accepts slept in accept() on {on} ({proof})"
    who = "its one thread" if one.threads == 1 else "the thread that accepts"
    others = "" if comparison.number(side, held.name) is None else " on the clients before them"
    where = f", {escape_text(held.where)}" if held.where else ""
    proof = f"{duration(held.first)} on {on}: line {held.line}{where}"
    return f", because {who} was in {escape_text(held.call)}(){others} ({proof})"


def _ns(held: HeldInAll) -> int:
    return held.ns


def _socket(comparison: Comparison, side: int, name: str) -> str:
    """A socket by its client's name, if it is a client's."""
    number = comparison.number(side, name)
    return escape_text(name) if number is None else name_of(comparison, comparison.pairs[number - 1])


def _left(summary: Summary) -> list[str]:
    if not summary.never_accepted:
        return []
    them = "client was" if summary.never_accepted == 1 else "clients were"
    return [f"{summary.label}: {count(summary.never_accepted)} more {them} never accepted"]


def _answers(comparison: Comparison, side: int, summary: Summary, other: Summary) -> list[str]:
    """Who waited for an answer, if it is long, and longer than with the other."""
    answers = summary.answers
    if answers is None or answers.max_ns < max(_LONG, _MORE * (other.answers.max_ns if other.answers else 0)):
        return []
    clients = comparison.sides[side].clients
    worst = max(clients.all, key=_longest)
    took, name, line = clients.slowest
    slow = ""
    if took * 2 >= answers.max_ns:
        on = f" on {_socket(comparison, side, name)}" if name else ""
        slow = f": the loop worked for {duration(took)}{on} before it looked at anybody else (line {line})"
    who = _socket(comparison, side, worst.name)
    what = f"{who} waited {duration(answers.max_ns)} for an answer (line {worst.longest_line})"
    return [f"{summary.label}: {what}{slow}"]


def _longest(client: Client) -> int:
    return client.longest


def _whole(summaries: list[Summary]) -> str:
    a, b = summaries
    took = [duration(it.duration_ns) for it in summaries]
    shorter, longer = sorted([a.duration_ns, b.duration_ns])
    if longer < max(_MORE * shorter, shorter + NOTABLE):
        return f"All was over after {took[0]} and {took[1]}: no difference"
    return f"All was over after {took[0]} with {a.label} and after {took[1]} with {b.label}"
