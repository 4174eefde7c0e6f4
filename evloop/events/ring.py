"""A flight recorder: the last events in memory, and what makes files of them when something has happened.

Nothing is encoded before it is written out, and that is done by another thread, in pieces, so that nobody
who is served waits for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evloop.events.past import Past
from evloop.events.schema import Accept, Bind, Close, Cut, Event, Gap, Header, Inherit, Listen, Slow
from evloop.events.sinks import encode, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from evloop.events.series import Series

    Lint: TypeAlias = Callable[[Sequence[Event]], Iterable[tuple[str, str]]]
    """Events → what is wrong with the server: a word for the kind, and a sentence."""

__all__ = ["Dump", "Lint", "RingSink"]

PAUSE = 60_000_000_000  # ns from a dump to the next for the same cause; each time twice as long
PIECE = 250  # events that are worked on before others may go on: a fraction of a millisecond
YIELD = 0.001  # seconds for others
WAITING = 3  # dumps behind the one that is being written: each may keep as many events in memory as the ring
_NAMED = frozenset({Accept, Listen, Bind, Close})


class Dump(NamedTuple):
    """What is to be written, gathered at one moment."""

    why: str
    header: Header
    kept: int
    """How many events are kept at least."""
    ticks: list[list[Event]]
    standing: list[Inherit]
    """What is open after the last event."""
    gone: dict[str, Event]
    """By name, with what a socket began that was open before the first of them."""

    def pieces(self) -> Iterator[bytes]:
        """The file, in pieces that take little time each; some are empty."""
        past = Past()
        for some in _in_pieces(reversed(self.ticks)):
            past.see_before(some)
            yield b""
        first, last = self.ticks[0][0], self.ticks[-1][-1]
        head: list[Event] = [self.header]
        missing = first.seq - 1
        if missing > 0:
            why = f"flight recorder: it keeps the last {self.kept:,} events"
            head.append(Gap(missing, first.t, first.tick, missing, why, wanted=True))
        yield encode([*head, *past.standing(first, self.standing, self.gone)])
        for some in _in_pieces(self.ticks):
            yield encode([event for tick in some for event in tick])
        yield encode([Cut(-1, last.t, last.tick, f"flight recorder: {self.why}")])


def _in_pieces(ticks: Iterable[list[Event]]) -> Iterator[list[list[Event]]]:
    """Ticks in groups of some hundred events."""
    group: list[list[Event]] = []
    count = 0
    for tick in ticks:
        group.append(tick)
        count += len(tick)
        if count >= PIECE:
            yield group
            group, count = [], 0
    if group:
        yield group


class RingSink:
    """Keeps the last events, whole ticks of them, and writes them out when it is asked to or sees a reason.

    Reasons of one kind are not written out again and again: after the first the next is heard a minute
    later, then two, then four. Who asks by a signal is always heard.

    What is to be written is gathered at the end of the tick, also while an earlier dump is being written,
    and waits for its turn. If as many wait as may, the next is not written, and that is told.
    """

    wants_lines = False

    def __init__(
        self,
        opened: tuple[int, Series],
        path: str,
        report: Callable[[str], None],
        *,
        size: int,
        header: Header,
        standing: Callable[[], list[Inherit]],
        slow: bool = True,
        lint: Lint | None = None,
    ) -> None:
        """Takes what `open_series` gave.

        Args:
            opened: The file and its series.
            path: Its name, for messages.
            report: Takes a sentence for the person who runs the server.
            size: How many events are kept at least.
            header: The log's.
            standing: What is open after the last event that was handed on.
            slow: Whether a slow tick is a reason.
            lint: Looks at every event for what is wrong.
        """
        self.lost = 0
        self._size = size
        self._fd, self._series = opened
        self._path, self._report = path, report
        self._header, self._standing = header, standing
        self._slow, self._lint = slow, lint
        self._ticks: deque[list[Event]] = deque()
        self._count = 0
        self._gone: dict[str, Event] = {}
        self._asked: str | None = None
        self._over = False
        self._heard: dict[str, tuple[int, int]] = {}  # kind → until when it is not heard, and the pause then
        self._lock = threading.Lock()  # of the three below
        self._waiting: deque[Dump] = deque()
        self._writing = False
        self._thread: threading.Thread | None = None
        self._pause = YIELD  # after each piece; none, when nobody is served any more
        self._dropped: str | None = None  # why the last was asked for, if it was not written

    def write(self, block: bytes, events: Sequence[Event]) -> None:  # noqa: ARG002
        """Keep them, and look for a reason."""
        everything = events
        if isinstance(events[0], Header):
            events = events[1:]
            if not events:
                return
        self._ticks.append(list(events))
        self._count += len(events)
        while self._count - len(self._ticks[0]) >= self._size:
            self._forget(self._ticks.popleft())
        last = events[-1]
        if self._slow and type(last) is Slow:
            whose = f", the longest turn was that of {last.conn}" if last.conn else ""
            self._heed("slow tick", f"a tick took {last.dur / 1e6:.0f} ms{whose}", last.t)
        if self._lint is not None:
            self._look(self._lint, everything, last.t)
        if self._asked is not None and not self._over:
            asked, self._asked = self._asked, None
            self._write_beside(asked)

    def _forget(self, tick: list[Event]) -> None:
        """Of what began before the first event that is kept, and is not over, it is kept how."""
        self._count -= len(tick)
        if _NAMED.isdisjoint(map(type, tick)):
            return
        for event in tick:
            match event:
                case Accept(conn=str(name)) | Listen(sock=name) | Bind(sock=name):
                    self._gone[name] = event
                case Close():
                    self._gone.pop(event.conn or event.sock or "", None)

    def _look(self, lint: Lint, events: Sequence[Event], t: int) -> None:
        try:
            for kind, sentence in lint(events):
                self._heed(kind, f"lint: {kind}: {sentence}", t)
        except Exception as error:  # noqa: BLE001 - who looks for faults must not be one
            self._lint = None
            self._report(f"the flight recorder looks for faults no more: {type(error).__name__}: {error}")

    def _heed(self, kind: str, why: str, t: int) -> None:
        """Something happened: write it out, if it is time."""
        until, pause = self._heard.get(kind, (t, PAUSE // 2))
        if t >= until:
            self._heard[kind] = t + 2 * pause, 2 * pause
            self._asked = self._asked or why

    def ask(self, why: str) -> None:
        """Write it out at the end of this tick."""
        self._asked = why

    def write_now(self, why: str) -> None:
        """Write it out before this returns: the program is about to end, and what comes now is of its end."""
        self._pause = 0.0
        self._wait()
        if self._ticks:
            self._over = True
            self._put(self._gather(why))

    def _write_beside(self, why: str) -> None:
        """Gather it, and have it written while the loop goes on."""
        added = len(self._waiting) < WAITING  # there will not be more: who adds to them is here
        if added:
            self._dropped = None
            dump = self._gather(why)
            with self._lock:
                self._waiting.append(dump)
        else:
            if why != self._dropped:
                wait = f"{WAITING} files still wait to be written"
                self._report(f"flight recorder: {why}: not written, as {wait}: ask again when they are there")
            self._dropped = why
        with self._lock:
            if self._waiting and not self._writing:
                self._begin_thread(why if added else None)

    def _begin_thread(self, added: str | None) -> None:
        """Have what waits written; `added` is why the last of it was asked for, if that is new."""
        thread = threading.Thread(target=self._write_waiting, name="flight recorder")
        try:
            thread.start()
        except RuntimeError as error:  # EAGAIN of clone(2): as many processes and threads as there may be
            later = "it is written with the next, or when the server ends"
            if added:
                self._report(f"flight recorder: {added}: not written yet ({error}): {later}")
        else:
            self._thread, self._writing = thread, True

    def _write_waiting(self) -> None:
        """What the thread does: it ends when nothing waits, so that it keeps no program from its end."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._writing = False
                    return
                dump = self._waiting.popleft()
            self._put(dump)

    def _gather(self, why: str) -> Dump:
        return Dump(why, self._header, self._size, list(self._ticks), self._standing(), dict(self._gone))

    def _put(self, dump: Dump) -> None:
        """Write a file, and sleep after each piece of it, so that others get on."""
        try:
            self._next_file()
            for piece in dump.pieces():
                write_lines(self._fd, piece)
                if self._pause:
                    time.sleep(self._pause)
        except OSError as error:
            why = error.strerror or error
            self._report(f"the flight recorder cannot write {self._path} ({why}): serving goes on without it")
        except Exception as error:  # noqa: BLE001 - as a sink that is broken
            self._report(f"the flight recorder failed: {type(error).__name__}: {error}")
        else:
            count = sum(map(len, dump.ticks))
            last = f"last {count:,} events are" if count != 1 else "last event is"
            self._report(f"flight recorder: {dump.why.rstrip('.')}: the {last} in {self._path}")
            self._series.prune(self._report)

    def _next_file(self) -> None:
        """What has been written becomes an older file, ours or from before; what was removed does not."""
        if os.fstat(self._fd).st_size or not self._series.is_newest(self._fd):
            fd = self._series.renew(self._fd)
            os.close(self._fd)
            self._fd = fd

    def _wait(self) -> None:
        """Until all is written that was gathered, also what no thread could be had for."""
        if self._thread is not None:
            self._thread.join()
        self._write_waiting()

    def close(self) -> None:
        """Let all dumps be finished; if there was none, leave no empty file."""
        self._pause = 0.0
        self._wait()
        if not os.fstat(self._fd).st_size and self._series.is_newest(self._fd):
            with contextlib.suppress(OSError):
                self._series.folder.unlink(self._series.name)
        os.close(self._fd)
        self._series.close()
