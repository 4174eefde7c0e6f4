"""Ticks that get nowhere: somebody is ready again and again, and nothing is done.

The words are those of `why` (diagnosis.spins); here they are said as soon as it is no accident any more,
and of what is over, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evloop_trace.model.diagnosis.fold import OFTEN, excused
from evloop_trace.model.diagnosis.spins import polled, rounds
from evloop_trace.model.diagnosis.state import Vain
from evloop_trace.model.lint.finding import Finding

if TYPE_CHECKING:
    from evloop.events.schema import Poll, Signal
    from evloop_trace.model.diagnosis.spins import Round
    from evloop_trace.model.diagnosis.state import Open, Process, Thread
    from evloop_trace.model.lint.finding import Findings

__all__ = ["APART", "Spinning"]

APART = 5_000_000
"""Nanoseconds from one to the next, at most and on the average.

A turn of a loop that does nothing takes 20 to 100 µs, on a machine that is busy ten times that; who asks in
a rhythm of its own (every 10 ms, say) burns no processor, and is none of these.
"""

_BROKEN = ("HUP", "ERR")
_MOST = 1000  # names that are no sockets
_WOKEN = 2000  # polls that name what is no socket, and nothing else is in the log between them
_QUICK = 100_000  # ns from one to the next, on the average: of a spin 17 µs, of who comes and goes 230 to 500
_AWAKE = 3  # the poll has no more than a third of that: of a spin 18 %


@dataclass(slots=True, eq=False)
class _Named(Vain):
    """Polls that have named what is no socket of the log."""

    bits: str = ""
    asleep: int = 0  # nanoseconds, in all of them

    def hear(self, bits: str, poll: Poll, *, alone: bool) -> None:
        """One more: a run goes on if the last turn's poll had it, and with `alone` if nothing was between."""
        last = self.last
        follows = last is not None and (last.seq + 1 == poll.seq if alone else last.tick + 1 == poll.tick)
        if not follows or bits != self.bits:
            self.count = 0
        if not self.count:
            # A connection whose accept was missed stands in a crowd as others do.
            self.bits, self.asleep, self.excused = bits, 0, excused(poll)
        self.add(poll)
        self.asleep += poll.dur

    @property
    def never_rests(self) -> bool:
        """Whether a loop that does nothing else turns as fast as it can."""
        first, last = self.first, self.last
        took = 0 if first is None or last is None else last.t - first.t
        return self.count >= _WOKEN and took <= self.count * _QUICK and self.asleep * _AWAKE <= took


class Spinning:
    """What goes round."""

    def __init__(self, process: Process, findings: Findings) -> None:
        self._process = process
        self._findings = findings
        self._others: dict[str, _Named] = {}  # what polls name and is no socket: the loop's own pipes, files

    def of(self, sock: Open) -> None:
        """Something was asked in vain of this socket, once more: the newest of what was."""
        self._of(sock, max(rounds(sock), key=_newest))

    def polled(self, sock: Open) -> None:
        """The same, where a poll has named it: that is the newest, and a busy loop has very many of them."""
        self._of(sock, polled(sock))

    def _of(self, sock: Open, found: Round) -> None:
        kind, vain, text, why = found
        if _is_broken(sock, kind):
            kind, why = _broken(sock.bits)
        self._tell(kind, sock.name, vain, text, why)

    def other(self, name: str, bits: str, poll: Poll) -> None:
        """A poll names what is no socket of the log, so nobody sees what is done about it.

        A pipe at its end, or with an error, does not get better by being read. That signals came is told. Of
        other sockets of our loop, those of watchers, say, a spin differs from work by its speed alone.
        """
        broken = name == "signals" or any(bit in bits for bit in _BROKEN)
        if not (broken or self._process.loops):
            return
        named = self._others.get(name)
        if named is None:
            if len(self._others) >= _MOST:
                self._others.clear()
            named = self._others[name] = _Named()
        if named.last is poll:
            return  # two of the same name
        named.hear(bits, poll, alone=not broken)
        if broken and named.count - named.excused >= OFTEN:
            kind, why = _broken(bits)
        elif not broken and named.never_rests:
            kind = "spin-ready"
            why = "Nothing else happens: nobody reads it, or somebody wakes the loop without a pause."
        else:
            return
        text = f"poll() has returned at once, as {name} is ready ({bits}),"
        self._tell(kind, name, named, text, why)

    def signal(self, _event: Signal) -> None:
        """The signal pipe was read for good."""
        self._others.pop("signals", None)

    def asking(self, thread: Thread) -> None:
        """A poll that would not sleep has found nothing."""
        text = "poll() is asked again and again without waiting, and nothing is ready,"
        self._tell("spin-poll", None, thread.asking, text, "")

    def _tell(self, kind: str, name: str | None, vain: Vain, text: str, why: str) -> None:
        first, last = vain.first, vain.last
        if first is None or last is None or last.t - first.t > vain.count * APART:
            return
        if not self._findings.again(kind, name, last, run=vain):
            self._findings.add(Finding(kind, name, [first], last, text, why, vain.count, round=True))


def _newest(found: Round) -> int:
    return -1 if found.vain.last is None else found.vain.last.seq


def _is_broken(sock: Open, kind: str) -> bool:
    """Whether polls tell of ERR or HUP, and nothing that is done takes that away."""
    if kind == "spin-ready":
        return any(bit in sock.bits for bit in _BROKEN)
    return kind == "spin-asking" and "ERR" in sock.bits


def _broken(bits: str) -> tuple[str, str]:
    """What kind of spin it is that these bits tell of, and why it goes on."""
    if "HUP" in bits:
        return "spin-hup", "Its other end is gone, which the kernel reports whatever it is watched for."
    if "ERR" in bits:
        return "spin-errors", "An error lies there and nobody takes it."
    return "spin-ready", "Nobody reads it, or it is at its end."
