"""What a lint has found, and the place where all of them are kept: each thing once, with how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.finding import Evidence
from evloop_trace.model.diagnosis.spins import often
from evloop_trace.model.diagnosis.words import join, moment, place, rate, sentence
from evloop_trace.model.filters import due
from evloop_trace.model.lint.advice import ADVICE
from evloop_trace.numbers import duration

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent
    from evloop_trace.model.diagnosis.state import Vain

__all__ = ["KEPT", "Finding", "Findings"]

KEPT = 100
"""Findings of a kind that are kept; of the rest only the number, or a server under attack would fill us."""

_EVIDENCE = 4  # events, besides the last
_COUNTED = 10_000  # findings that are not kept, and known by name: of more each event counts


@dataclass(slots=True, eq=False)
class Finding:
    """Something that a program does wrong, or that goes wrong with it."""

    kind: str
    """A word such as `spin-write`; those that `why` has too mean the same there."""
    name: str | None
    """The connection, listener or datagram socket; None is the loop itself."""
    events: list[AnyEvent]
    """The first that show it, in their order."""
    last: AnyEvent
    """The last that does."""
    text: str
    """How its sentence begins."""
    why: str = ""
    """The sentences behind that."""
    times: int = 1
    """How often it was seen."""
    round: bool = False
    """It goes on at full speed: how fast is told too."""
    runs: int = 1
    """How often that began anew."""
    label: str = ""
    """Of its log."""
    seen: int = -1
    """The number of the event at which it was found."""
    _began: AnyEvent | None = None  # the first of the newest run, if that is not the only one
    _earlier: tuple[int, int] = (0, 0)  # how often, and for how many nanoseconds, in the runs before

    def goes_on(self, run: Vain) -> None:
        """The newest run is so long by now, or it is another one."""
        began = self._began or self.events[0]
        if run.first is not began:
            self._earlier = self.times, self._earlier[1] + due(self.last) - began.t
            self._began = run.first
            self.runs += 1
        self.times = self._earlier[0] + run.count

    @property
    def seq(self) -> int:
        """The number of the first event that shows it."""
        return self.events[0].seq

    @property
    def t(self) -> int:
        """Since when, in nanoseconds from the log's beginning."""
        return self.events[0].t

    @property
    def thread(self) -> str:
        """Whose call it was; empty is the main thread, or a log without threads."""
        return str(getattr(self.last, "thread", ""))

    @property
    def sentence(self) -> str:
        """What was seen. It quotes the log, so escape it before it is shown."""
        if self.round:
            return sentence(join(f"{self.text} {self._often}.", self.why))
        again = f"It was so {self.times:,} times, the last at {moment(due(self.last))}."
        return sentence(join(self.text, self.why, again if self.times > 1 else ""))

    @property
    def _often(self) -> str:
        if self._began is None:
            return often(self.times, self.events[0], self.last)
        took = self._earlier[1] + due(self.last) - self._began.t
        return (
            f"{self.times:,} times since {moment(self.t)}, {rate(self.times, took)}, for {duration(took)} in "
            f"{self.runs:,} runs, the last until {moment(due(self.last))}{place(self.last)}"
        )

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE[self.kind]

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The events to look at, as `why` has them."""
        seen = {event.seq: event for event in [*self.events, self.last]}
        return tuple(Evidence(self.label, event) for _, event in sorted(seen.items()))


class Findings:
    """All that was found in a log."""

    def __init__(self, label: str = "") -> None:
        self.label = label
        self.found: list[Finding] = []
        """In the order in which they were found, at most `KEPT` of a kind."""
        self.left_out: Counter[str] = Counter()
        """By kind, those that are not kept."""
        self._known: dict[tuple[str, str | None], Finding] = {}
        self._kinds: Counter[str] = Counter()
        self._others: set[tuple[str, str | None]] = set()  # that are not kept, so that each is counted once
        self._told = 0

    def again(
        self, kind: str, name: str | None, event: AnyEvent, times: int = 1, run: Vain | None = None
    ) -> bool:
        """Whether this is known of this socket; then `event` is so many more, or the last of a `run`."""
        known = self._known.get((kind, name))
        if known is None:
            if self._kinds[kind] < KEPT:
                return False
            if (kind, name) not in self._others:
                self.left_out[kind] += 1
                if len(self._others) < _COUNTED:
                    self._others.add((kind, name))
            return True
        if run is None:
            known.times += times
        else:
            known.goes_on(run)
        known.last = event
        return True

    def add(self, finding: Finding) -> None:
        """Something new, of which `again` said so."""
        finding.label, finding.seen = self.label, finding.last.seq
        finding.events = finding.events[:_EVIDENCE]
        self._known[finding.kind, finding.name] = finding
        self._kinds[finding.kind] += 1
        self.found.append(finding)

    def news(self) -> list[Finding]:
        """What was found since this was asked last."""
        if len(self.found) == self._told:
            return []
        news, self._told = self.found[self._told :], len(self.found)
        return news
