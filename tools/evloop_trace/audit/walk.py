"""The calls on one descriptor, as a log has them and as strace saw them: side by side, to the end of both."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.audit.told import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evloop_trace.audit.strace import SystemCall
    from evloop_trace.audit.told import Told

__all__ = ["Difference", "Tally", "Walk", "word_of"]

_FAR = 64  # calls that are looked ahead for what fits again
_WORDS = {call: word for word, calls in FAMILIES.items() for call in calls}
_MOVED = {"recv", "recvfrom", "send", "sendto"}


class Difference(NamedTuple):
    """What one of the two has otherwise, or only one has."""

    kind: str
    """`result`, `not-in-log` or `not-in-strace`."""
    call: str
    """The log's word for it."""
    fd: int | None
    name: str
    """The socket's, in the log; empty where the log does not know it."""
    told: Told | None
    seen: SystemCall | None


class Tally:
    """How many calls of each kind the log has, how many strace saw, and how many of the log's agree."""

    def __init__(self) -> None:
        self.log: Counter[str] = Counter()
        self.strace: Counter[str] = Counter()
        self.same: Counter[str] = Counter()

    def add(self, other: Tally) -> None:
        """And those of another."""
        for mine, its in ((self.log, other.log), (self.strace, other.strace), (self.same, other.same)):
            mine.update(its)


class Walk:
    """What came of it, for one life of one descriptor."""

    def __init__(
        self,
        name: str,
        fd: int | None,
        told: Sequence[Told],
        calls: Sequence[SystemCall],
        *,
        parts: bool = False,
    ) -> None:
        """Goes to the end of both at once; with `parts` one event may stand for several sends."""
        self.differences: list[Difference] = []
        self.tally = Tally()
        self.asked = 0
        """System calls that only asked whether one would sleep."""
        self.interrupted = 0
        """System calls that a signal interrupted, and Python made again."""
        self.gone = 0
        """1 if the socket went with its process: the log has its close, and nobody called close(2)."""
        self.waits = 0
        """Calls of Python's that ended with their wait: a time-out, or a signal's handler that raised."""
        self._name, self._fd = name, fd
        self._told, self._calls = told, calls
        self._parts = parts
        self._i = self._j = 0
        self._run()
        if self.differences and len({it.thread for it in calls}) > 1 and _same_bag(told, calls):
            # Of threads that use it at one time nobody knows which came first; but each call is there.
            self.differences.clear()
            self.tally.same = self.tally.log.copy()

    def forget(self, kind: str) -> int:
        """Leave out what cannot be compared; how much that is."""
        left_out = [it for it in self.differences if it.kind == kind]
        self.differences = [it for it in self.differences if it.kind != kind]
        self.tally.strace.subtract(it.call for it in left_out)
        return len(left_out)

    def _run(self) -> None:
        while self._i < len(self._told):
            told = self._told[self._i]
            asks = told.asks and self._i + 1 < len(self._told)  # what the call itself came to is told next
            self._skip_interrupted(self._told[self._i + 1] if asks else told)
            if told.asks:
                self._ask(told)
            elif used := self._fits(self._i, self._j):
                self._count(told, used)
            elif told.optional:
                self._i += 1
                self._uncalled(told)
            else:
                self._differ()
        self._skip_interrupted(None)
        for call in self._calls[self._j :]:
            self._only_strace(call)

    def _skip_interrupted(self, told: Told | None) -> None:
        """A signal came before the call could do anything: the log has that only if its handler raised."""
        while self._j < len(self._calls) and self._calls[self._j].interrupted:
            if told is not None and told.outcome == "interrupted":
                return
            self.interrupted += 1
            self._j += 1

    def _count(self, told: Told, used: int) -> None:
        self.tally.log[told.family] += 1
        self.tally.same[told.family] += 1
        self.tally.strace[told.family] += 1
        self._i += 1
        self._j += used

    def _uncalled(self, told: Told) -> None:
        """There was no system call: nothing agrees, and nothing differs."""
        if told.family == "close":
            self.gone += 1
        else:
            self.waits += 1

    def _ask(self, told: Told) -> None:
        """A `block` event: the call that was not to wait may have been made, and failed."""
        self._i += 1
        if self._j < len(self._calls):
            call = self._calls[self._j]
            if call.name in FAMILIES.get(told.family, set()) and call.errno == "EAGAIN":
                self.asked += 1
                self._j += 1

    # -- what fits -----------------------------------------------------------------------

    def _fits(self, i: int, j: int) -> int:
        """How many system calls an event stands for here; 0 if it does not fit."""
        told = self._told[i]
        if j < len(self._calls) and self._calls[j].name in told.names:
            call = self._calls[j]
            # With a time-out of its own, Python lets connect(2) begin and waits for the rest by itself.
            begun = told.family == "connect" and call.errno == "EINPROGRESS"
            ended = call.interrupted and told.outcome == "interrupted"
            if self._parts and told.family in {"send", "sendto"} and (number := self._in_parts(i, j)):
                return number
            if told.outcome is None or call.outcome == told.outcome or begun or ended:
                return 1
        return 0

    def _in_parts(self, i: int, j: int) -> int:
        """How many calls it took to send so much; 0 if they do not come to that."""
        told = self._told[i]
        wanted = getattr(told.event, "n", None) or 0
        total = 0
        for at in range(j, len(self._calls)):
            call, number = self._calls[at], at - j + 1
            if call.name not in told.names:
                return 0
            if call.errno == "EAGAIN" or call.interrupted:
                continue
            total += call.result or 0
            if call.errno or total >= wanted:
                return 0 if call.errno or total > wanted else number + self._broke_off(i, j + number)
        return 0

    def _broke_off(self, i: int, j: int) -> bool:
        """Whether the next call is the one with which a send ended that had been taken in part."""
        told = self._told[i]
        if j == len(self._calls) or getattr(told.event, "size", 0) <= (getattr(told.event, "n", None) or 0):
            return False
        call, after = (
            self._calls[j],
            next((it for it in islice(self._told, i + 1, None) if not it.asks), None),
        )
        fails = call.name in told.names and call.errno not in {"", "EAGAIN"} and not call.interrupted
        return fails and not (after and after.family == told.family and after.outcome == call.errno)

    # -- what does not -------------------------------------------------------------------

    def _differ(self) -> None:
        """Say what differs, up to where both fit again."""
        ahead_i, ahead_j = self._next_fit()
        for _ in range(max(ahead_i, ahead_j)):
            told = self._told[self._i] if ahead_i > 0 else None
            call = self._calls[self._j] if ahead_j > 0 else None
            ahead_i, ahead_j = ahead_i - 1, ahead_j - 1
            self._i += told is not None
            self._j += call is not None
            if told and call and call.name in FAMILIES.get(told.family, set()) and not told.asks:
                self.tally.log[told.family] += 1
                self.tally.strace[told.family] += 1
                self._say("result", told.family, told, call)
                continue
            if told:
                self._only_log(told)
            if call:
                self._only_strace(call)

    def _next_fit(self) -> tuple[int, int]:
        """How far ahead the nearest pair is that fits; the ends, if none does."""
        left_i, left_j = len(self._told) - self._i, len(self._calls) - self._j
        for far in range(1, min(_FAR, left_i + left_j)):
            for i in range(min(far, left_i - 1) + 1):
                told, j = self._told[self._i + i], far - i
                if j < left_j and not told.asks and self._fits(self._i + i, self._j + j):
                    return i, j
        return left_i, left_j

    def _only_log(self, told: Told) -> None:
        if told.optional:
            if not told.asks:
                self._uncalled(told)
            return
        self.tally.log[told.family] += 1
        self._say("not-in-strace", told.family, told, None)

    def _only_strace(self, call: SystemCall) -> None:
        word = word_of(call)
        self.tally.strace[word] += 1
        self._say("not-in-log", word, None, call)

    def _say(self, kind: str, word: str, told: Told | None, call: SystemCall | None) -> None:
        self.differences.append(Difference(kind, word, self._fd, self._name, told, call))


def word_of(call: SystemCall) -> str:
    """What the log calls it: on a datagram socket recvfrom and sendto."""
    word = _WORDS[call.name]
    if word not in _MOVED:
        return word
    return word.removesuffix("from").removesuffix("to") + (
        ("from" if word.startswith("recv") else "to") if call.what.startswith("UDP") else ""
    )


def _same_bag(told: Sequence[Told], calls: Sequence[SystemCall]) -> bool:
    """Whether they are the same calls in another order; of bytes the sum counts."""
    mine, theirs = Counter[object](), Counter[object]()
    for it in told:
        if not it.optional:
            _weigh(mine, it.family, it.outcome)
    for call in calls:
        if call.errno != "EAGAIN" and not call.interrupted:
            _weigh(theirs, _WORDS[call.name], call.outcome)
    return mine == theirs


def _weigh(bag: Counter[object], word: str, outcome: int | str | None) -> None:
    way = word[:4]
    if word in _MOVED and isinstance(outcome, int):
        bag[way] += outcome
    else:
        bag[way, None if word == "close" else outcome] += 1
