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

from msgspec.structs import replace

from evloop.events.rotation import new_file
from evloop.events.schema import (
    Accept,
    Bind,
    Close,
    Cut,
    Event,
    Gap,
    Header,
    Inherit,
    Interest,
    Listen,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Slow,
)
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evloop.events.files import Series

    Lint: TypeAlias = Callable[[Sequence[Event]], Iterable[tuple[str, str]]]
    """Events → what is wrong with the server: a word for the kind, and a sentence."""

__all__ = ["Dump", "Lint", "RingSink", "before"]

PAUSE = 60_000_000_000  # ns from a dump to the next for the same cause; each time twice as long
PIECE = 1000  # events that are encoded before another thread may go on: half a millisecond
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

    def lines(self, pause: Callable[[], None]) -> bytes:
        """The file; `pause` is called between its pieces."""
        events = [event for tick in self.ticks for event in tick]
        first, last = events[0], events[-1]
        head: list[Event] = [self.header]
        missing = first.seq - 1
        if missing > 0:
            why = f"flight recorder: it keeps the last {self.kept:,} events"
            head.append(Gap(missing, first.t, first.tick, missing, why, wanted=True))
        head += before(events, self.standing, self.gone)
        pieces = [encode(head)]
        for at in range(0, len(events), PIECE):
            pause()
            pieces.append(encode(events[at : at + PIECE]))
        pieces.append(encode([Cut(-1, last.t, last.tick, f"flight recorder: {self.why}")]))
        return b"".join(pieces)


def before(events: Sequence[Event], standing: Iterable[Inherit], gone: dict[str, Event]) -> list[Inherit]:
    """What was open before `events`, from what was open after them.

    Args:
        events: Of a loop's server, without a gap.
        standing: After the last of them.
        gone: By name, with what each socket began that was open before: the only memory of one that was
            closed in between.
    """
    past = _Past()
    for event in events:
        past.see(event)
    first = events[0]
    known = [*standing, *[it for name, close in past.closed.items() if (it := _closed(name, close, gone))]]
    return [replace(past.of(it), t=first.t, tick=first.tick) for it in known if it.name not in past.opened]


class _Past:
    """What events tell of the time before the first of them."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.closed: dict[str, Close] = {}
        self._received: dict[str, int] = {}  # where the first recv of a connection began
        self._sent: dict[str, int] = {}
        self._interest: dict[str, str] = {}
        self._taken: dict[str, int] = {}  # connections that a listener accepted, datagrams that came
        self._given: dict[str, int] = {}  # datagrams that went

    def see(self, event: Event) -> None:
        """The next one."""
        match event:
            case Recv(off=(start, _)):
                self._received.setdefault(event.conn, start)
            case Send(off=(start, _)):
                self._sent.setdefault(event.conn, start)
            case Interest():
                self._interest.setdefault(event.conn or event.sock or "", event.old)
            case Accept(conn=str(name)):
                self.opened.add(name)
                self._taken[event.sock] = self._taken.get(event.sock, 0) + 1
            case Listen(sock=name) | Bind(sock=name):
                self.opened.add(name)
            case Recvfrom(n=int()):
                self._taken[event.sock] = self._taken.get(event.sock, 0) + 1
            case Sendto(n=int()):
                self._given[event.sock] = self._given.get(event.sock, 0) + 1
            case Close():
                self.closed[event.conn or event.sock or ""] = event

    def of(self, after: Inherit) -> Inherit:
        """A socket as it was, from how it is now."""
        name = after.name
        interest = self._interest.get(name, after.interest)
        received, sent = self._received.get(name, after.received), self._sent.get(name, after.sent)
        if not after.opened:
            sent = after.sent - self._given.get(name, 0)
        return replace(
            after,
            received=received,
            sent=sent,
            interest=interest,
            buffered=max(received - sent, 0) if "WRITE" in (interest or "") else 0,
            accepted=after.accepted - self._taken.get(name, 0),
        )


def _closed(name: str, close: Close, gone: dict[str, Event]) -> Inherit | None:
    """A socket that was closed, as it was just before; None if nothing is known of it."""
    at = (-1, close.t, close.tick, name, close.fd)
    match gone.get(name):
        case Accept() as began:
            proto = name.partition("-")[0]
            return Inherit(
                *at, proto, began.local or "", began.peer or "", received=close.received, sent=close.sent,
                sock=began.sock, opened=began.t,
            )  # fmt: skip
        case Listen() as began:
            return Inherit(*at, began.proto, began.address, listens=True, backlog=began.backlog)
        case Bind() as began:
            return Inherit(*at, began.proto, began.address)
    return None


class RingSink:
    """Keeps the last events, whole ticks of them, and writes them out when it is asked to or sees a reason.

    Reasons of one kind are not written out again and again: after the first the next is heard a minute
    later, then two, then four. Who asks by a signal is always heard.
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
        self._heard: dict[str, tuple[int, int]] = {}  # kind → until when it is not heard, and the pause then
        self._thread: threading.Thread | None = None

    def write(self, block: bytes, events: Sequence[Event]) -> None:  # noqa: ARG002
        """Keep them, and look for a reason."""
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
            self._look(self._lint, events, last.t)
        if self._asked is not None:
            self._write_beside()

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
        """Write it out before this returns: the program is about to end."""
        self._wait()
        if self._ticks:
            self._put(self._gather(why), lambda: None)

    def _write_beside(self) -> None:
        """Write it out while the loop goes on; while that lasts nothing else is begun."""
        if self._asked is None or (self._thread is not None and self._thread.is_alive()):
            return
        dump, self._asked = self._gather(self._asked), None
        # Others come first: sleeping, if only for no time, lets them.
        self._thread = threading.Thread(
            target=self._put, args=(dump, lambda: time.sleep(0)), name="flight recorder"
        )
        self._thread.start()

    def _gather(self, why: str) -> Dump:
        return Dump(why, self._header, self._size, list(self._ticks), self._standing(), dict(self._gone))

    def _put(self, dump: Dump, pause: Callable[[], None]) -> None:
        try:
            data = dump.lines(pause)
            self._next_file()
            _write_lines(self._fd, data)
            self._series.prune()
        except OSError as error:
            why = error.strerror or error
            self._report(f"the flight recorder cannot write {self._path} ({why}): serving goes on without it")
        except Exception as error:  # noqa: BLE001 - as a sink that is broken
            self._report(f"the flight recorder failed: {type(error).__name__}: {error}")
        else:
            count = sum(map(len, dump.ticks))
            self._report(f"flight recorder: {dump.why}: the last {count:,} events are in {self._path}")

    def _next_file(self) -> None:
        """What has been written becomes an older file, be it ours or from before."""
        if os.fstat(self._fd).st_size == 0:
            return
        older = self._series.shelve()
        try:
            fd = new_file(self._series, self._fd)
        except OSError:
            self._series.unshelve(older)
            raise
        os.close(self._fd)
        self._fd = fd

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Let the last dump be finished; if there was none, leave no empty file."""
        self._wait()
        status = os.fstat(self._fd)
        if status.st_size == 0 and self._series.folder.identity(self._series.name) == (
            status.st_dev,
            status.st_ino,
        ):
            with contextlib.suppress(OSError):
                self._series.folder.unlink(self._series.name)
        os.close(self._fd)
        self._series.close()


def _write_lines(fd: int, data: bytes) -> None:
    """All of it, or as many whole lines as there is room for.

    Raises:
        OSError: there was not room for all.
    """
    written = 0
    try:
        while written < len(data):
            written += os.write(fd, data[written:] if written else data)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, data.rfind(b"\n", 0, written) + 1)
        raise
