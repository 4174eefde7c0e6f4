"""What an audit found, as it is shown and as `--json` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evloop_trace.audit.told import FAMILIES
from evloop_trace.numbers import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evloop_trace.audit.compare import Comparison
    from evloop_trace.audit.counters import Balance
    from evloop_trace.audit.told import Log
    from evloop_trace.audit.walk import Difference

__all__ = ["Mismatch", "Report", "Row", "describe", "mismatch", "not_compared", "rows"]

_ORDER = {word: at for at, word in enumerate(FAMILIES)}
_SHOWN = {"epoll": "epoll_wait"}


class Row(msgspec.Struct):
    """One kind of call."""

    call: str
    """The log's word; of the waits the system call's."""
    log: int
    strace: int
    agree: int
    """Of the log's calls, those that strace saw with the same result, at the same place in their order."""


class Mismatch(msgspec.Struct):
    """A difference, with both lines."""

    kind: str
    """`result`, `not-in-log`, `not-in-strace`, or `counter`."""
    call: str
    fd: int | None
    name: str
    pid: int
    log: str
    """The log's line; empty where it has none."""
    strace: str
    """strace's, without its thread and time; empty where it has none. Of a counter what the kernel says."""
    line: int | None = None
    """Of strace's output."""
    seq: int | None = None
    """Of the log's event."""


class Report(msgspec.Struct):
    """All of it."""

    ok: bool
    """Nothing differs."""
    command: list[str]
    log: str
    strace: bool
    """Whether there was one; else the counters had to do."""
    calls: list[Row]
    differences: list[Mismatch]
    counters: list[Balance]
    """Empty where the network was not the server's alone."""
    not_compared: list[str]
    """In words."""
    injected: dict[str, int]
    """By system call: how often strace made it fail, as it was told."""

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare: a program without sockets agrees with nobody."""
        return bool(self.calls or self.counters or self.differences)


def rows(found: Sequence[Comparison]) -> list[Row]:
    """The table, in the order in which a connection lives."""
    words = {word for it in found for part in (it.tally.log, it.tally.strace) for word in +part}
    return [
        Row(
            _SHOWN.get(word, word),
            sum(it.tally.log[word] for it in found),
            sum(it.tally.strace[word] for it in found),
            sum(it.tally.same[word] for it in found),
        )
        for word in sorted(words, key=lambda it: _ORDER[it])
    ]


def mismatch(difference: Difference, pid: int) -> Mismatch:
    """A difference as text."""
    told, seen = difference.told, difference.seen
    return Mismatch(
        difference.kind,
        _SHOWN.get(difference.call, difference.call),
        difference.fd,
        difference.name,
        pid,
        msgspec.json.encode(told.event).decode() if told else "",
        seen.text if seen else "",
        seen.line if seen else None,
        told.event.seq if told else None,
    )


def describe(it: Mismatch) -> str:
    """What differs, in a sentence."""
    who = (
        f"{it.call}() on {it.name or 'a socket that the log does not know'}" if it.fd is not None else it.call
    )
    where = f" (fd {it.fd})" if it.fd is not None else ""
    what = {
        "result": "the log and strace have different results",
        "not-in-log": "strace saw it, and the log does not have it at this place",
        "not-in-strace": "the log has it, and strace did not see it at this place",
        "counter": "the kernel's counter and the log cannot both be right",
    }
    return f"{who}{where}: {what[it.kind]}"


def not_compared(log: Log, found: Comparison) -> list[str]:
    """What was left out, and why: a sentence each."""
    counts = (
        (found.own.total(), "call", f"on sockets that are not in the log {_whose(log, found)}"),
        (found.unseen, "call", f"that the log itself calls unseen: {_first(log.unseen)}"),
        (found.asked, "call", "that only asked whether one would sleep"),
        (found.interrupted, "call", "that a signal interrupted: Python made them again"),
        (found.waits, "call", "that ended with the wait: a time-out, or a signal's handler"),
        (found.gone, "socket", f"that went with {'its' if found.gone == 1 else 'their'} process"),
        (found.under_way, "call", "under way when it ended"),
        (found.earlier, "call", "before what is left of the log"),
        (found.later, "call", "after the last line of the log, which has no end"),
        (log.apart, "event", "whose system call is not looked at, such as getsockopt()"),
        (log.lost, "event", "that the log lost, as it says itself: their calls differ"),
    )
    return [f"{plural(number, noun)} {which}" for number, noun, which in counts if number]


def _whose(log: Log, found: Comparison) -> str:
    """What the sockets are that the log does not know, and who uses them."""
    kinds = ", ".join(f"{number:,} of {kind or 'another kind'}" for kind, number in found.own.most_common())
    if log.is_loop:
        return f"({kinds}): the loop's own: signals, watchers, control, and whether an address is ours"
    return f"({kinds}): made past Python's socket module, such as by the resolver"


def _first(reasons: Mapping[str, str]) -> str:
    return next(iter(reasons.values()), "")
