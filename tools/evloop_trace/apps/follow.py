"""Logs that still grow, followed like tail -f: a program's own, and those of the processes that it starts."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evloop.errors import LogError
from evloop.events.reader import Problem
from evloop_trace.apps.accept_queues import AcceptQueues
from evloop_trace.apps.feed import PATIENCE, POLITE
from evloop_trace.apps.tail import Tail
from evloop_trace.living import is_running
from evloop_trace.model.filters import due

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Header, Queue, Unknown
    from evloop_trace.apps.feed import Clock

__all__ = ["FileFeed"]

BEGINNING = 60.0  # seconds in which a program that started us must have begun its log
POLL = 0.05  # seconds from one look at a file to the next
SETTLE = 20_000_000  # ns for which an event is held back, when another process may have an earlier one


class FileFeed:
    """The events of one program's log, and of `LOG.<pid>` beside it, which belong to the same run.

    The other processes' sockets have names that begin with the pid: `4242:tcp-1`. Their header and `end`
    are left out: the picture is the first one's. While they live, the kernel's word on their accept queues
    comes with the events, as `queue` events with the number -1.
    """

    def __init__(
        self,
        path: str,
        clock: Clock = time.monotonic,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.ended = False
        self.current = False
        self.anew = 0
        self.share = POLITE
        self.broken = 0  # lines that were no events
        self._path = path
        self._clock = clock
        self._now = monotonic_ns
        self._finishing = False
        self._lived = False  # a writer was seen alive
        self._begin()

    def _begin(self, writer: Header | None = None) -> None:
        self._writer = writer  # of what stood there before
        self._main = Tail(self._path)
        self._others = _Others(self._path)
        self._queues = AcceptQueues(self._clock)
        self._held: list[tuple[int, AnyEvent | Unknown]] = []  # with when they are due, in that order

    def expect(self, writer: int | None = None, seconds: float = PATIENCE) -> None:
        """Wait until the log has begun: for a while, or for longer if its writer, who started us, is alive.

        Args:
            writer: The pid of who will write it; what another has left there is waited out.
            seconds: How long to wait where that is not known.

        Raises:
            LogError: it does not begin, or is no log.
        """
        deadline = self._clock() + (seconds if writer is None else BEGINNING)
        while not self._has_begun(writer):
            if writer is not None and os.getppid() != writer:
                self.ended = True
                return
            if self._clock() >= deadline:
                raise LogError(self._main.missing())
            time.sleep(POLL)

    def _has_begun(self, writer: int | None) -> bool:
        header = self._main.begin()
        if header is None or writer is None or header.pid == writer:
            return header is not None
        self._main.close()
        self._begin()
        return False

    def finish(self) -> None:
        """The program has ended: what its processes have written so far is the rest."""
        self._finishing = True

    def wait(self, seconds: float) -> bool:
        """Look at the files until one has grown, at most so long; whether one has, or all are over."""
        if self._held:
            time.sleep(min(seconds, SETTLE / 1e9))
            return True
        deadline = self._clock() + seconds
        while not self._news():
            left = deadline - self._clock()
            if left <= 0:
                return False
            time.sleep(min(POLL, left))
        return True

    def _news(self) -> bool:
        if self._finishing or self._main.is_another() or self._queues.is_due():
            return True
        tails = self._tails()
        return any(tail.has_grown() for tail in tails) or self._are_over(tails)

    def _tails(self) -> list[Tail]:
        """The logs that have begun, the program's own first."""
        header = self._main.begin()
        return [self._main, *self._others.look(header)] if header else []

    def _are_over(self, tails: list[Tail]) -> bool:
        if not tails:  # it was emptied, and by whom is not known yet
            return self._writer is not None and not is_running(self._writer)
        return not any(tail.is_alive() for tail in tails)

    def read(self) -> list[AnyEvent | Unknown]:
        """The next events of all processes, in the order in which they are due, as far as that is known.

        Raises:
            LogError: it is no event log, or cannot be read.
        """
        events = self._read()
        self._queues.follow(events)
        return [*events, *self._ask()] if self._queues.is_due() else events

    def _ask(self) -> list[Queue]:
        """What the kernel says of the queues now; of no use to who is shown what was before."""
        alive = [tail.header for tail in self._tails() if tail.is_alive() and tail.header]
        main = self._main.header
        if main is None or not self.current:
            return self._queues.ask({}, 0)
        pids = {"" if header is main else f"{header.pid}:": header.pid for header in alive}
        return self._queues.ask(pids, self._now() - main.mono_ns)

    def _read(self) -> list[AnyEvent | Unknown]:
        if self._main.is_another() and not self._main.has_grown():
            if not self._main.turn():
                self.close()
                self._begin(self._main.header or self._writer)
                self.anew += 1
            elif self._main.missed:
                self.anew += 1
        settled = self._now() - SETTLE
        tails = self._tails()
        over = self._finishing or self._are_over(tails)  # asked for first: its last words are read below
        self._lived = self._lived or bool(tails and not over)
        self.share = 1.0 if over else POLITE
        read = [(tail, tail.read()) for tail in tails]
        self.current = self._lived and not any(tail.is_behind for tail in tails)
        self.ended = over and not any(items for _, items in read) and not any(t.has_grown() for t in tails)
        self.broken += sum(isinstance(item, Problem) for _, items in read for item in items)
        if len(tails) == 1 and not self._held:
            return self._main.events(read[0][1])
        for tail, items in read:
            self._hold(tail, items)
        self._held.sort(key=_when)
        return self._release(None if self.ended else self._horizon(tails, settled))

    def _hold(self, tail: Tail, items: list[Item]) -> None:
        for event in tail.events(items):
            tail.due = max(tail.due, due(event))
            self._held.append((tail.due, event))

    def _horizon(self, tails: list[Tail], settled: int) -> int:
        """Up to when nothing earlier can come: what has more to be read may hold anything after its last."""
        origin = self._main.header.mono_ns if self._main.header else 0
        return min([settled - origin, *(tail.due for tail in tails if tail.has_grown())])

    def _release(self, horizon: int | None) -> list[AnyEvent | Unknown]:
        ready = [event for time, event in self._held if horizon is None or time <= horizon]
        del self._held[: len(ready)]
        return ready

    def fate(self) -> str:
        """A process cannot write that it was killed."""
        if self._main.header is None:
            return "Nothing was recorded: the program ended before its log began."
        if self._main.dumped:
            return (
                "This is a flight recorder's dump, which does not grow: to see what happens now, "
                "watch the server's log or its --watch socket."
            )
        return "The log has no end: the program was killed."

    def close(self) -> None:
        """Let the files go."""
        self._main.close()
        self._others.close()


def _when(held: tuple[int, AnyEvent | Unknown]) -> int:
    return held[0]


class _Others:
    """The logs beside a log that belong to its run."""

    def __init__(self, path: str) -> None:
        self._folder = Path(path).parent
        self._name = re.compile(re.escape(Path(path).name) + r"\.\d{1,10}")
        self._found: dict[str, Tail | None] = {}  # None is another run's
        self._changed = -1  # when the folder last had, in ns; -1 is: look again

    def look(self, main: Header) -> list[Tail]:
        """Those that have begun."""
        if main.run:
            self._find()
        for name, tail in self._found.items():
            if tail and _belongs(tail, main) is False:
                tail.close()
                self._found[name] = None
        return [tail for tail in self._found.values() if tail and tail.header]

    def _find(self) -> None:
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:  # removed
            return
        if changed == self._changed:
            return
        # A folder's time has the grain of the kernel's tick: what comes right after must be seen too.
        self._changed = changed if time.time_ns() - changed > 10**9 else -1
        for name in os.listdir(self._folder):
            if name not in self._found and self._name.fullmatch(name):
                self._found[name] = Tail(str(self._folder / name))

    def close(self) -> None:
        for tail in self._found.values():
            if tail:
                tail.close()


def _belongs(tail: Tail, main: Header) -> bool | None:
    """Whether a log is of the same run; None if it has not begun."""
    try:
        header = tail.begin(main)
    except LogError:
        return False
    return None if header is None else header.run == main.run
