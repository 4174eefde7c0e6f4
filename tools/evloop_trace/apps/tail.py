"""A log that grows."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from evloop.errors import LogError
from evloop.events.reader import MAX_LINE, LineReader, Problem, decode_header
from evloop.events.rotation import CUT
from evloop.events.schema import Cut, End, Gap, Header, Inherit, Located
from evloop_trace.apps.feed import PIECE
from evloop_trace.living import is_running
from evloop_trace.model.threads import MAIN
from evloop_trace.relabel import label, shift
from evloop_trace.rotated import beside, is_same_log

if TYPE_CHECKING:
    from evloop.events.reader import Item
    from evloop.events.schema import AnyEvent, Unknown

__all__ = ["Tail"]

_GZIP = b"\x1f\x8b"


class Tail:
    """One log from its beginning to where it ends by now.

    A log that is written through a mapping (`evloop.events.mapped`) is longer than what stands in it: the
    rest is NUL, which no line has, and a line that is being copied may have NULs in it until it is whole.
    """

    def __init__(self, path: str) -> None:
        self.header: Header | None = None
        self.due = 0  # when the last event read was, on the first log's clock
        self._path = path
        self._file = -1  # its descriptor, once it is open
        self._place = (0, 0)  # device and inode
        self._at = 0  # bytes read
        self._lines = LineReader()
        self._head = b""  # what was read before the first line was whole
        self._first = b""  # the first line
        self._main: Header | None = None  # of the log to whose clock events are moved, if not its own
        self._ended = False
        self._expected = 0  # the number of the next event
        self._later = False  # this is not the first file of a log that was rotated
        self.missed = 0  # events in files that were removed before they were read, until that is told
        self.dumped = False  # a flight recorder wrote it, and it is whole
        self.is_behind = False  # there was more to be read than could be read at once

    def begin(self, main: Header | None = None) -> Header | None:
        """The header, as soon as it is there.

        Raises:
            LogError: it is no event log.
        """
        if self.header is None and (data := self._next()):
            self._head += data
            if self._head.startswith(_GZIP):
                what = f"{self._path} is compressed, and nothing is added to it"
                raise LogError(f"{what}: look at it with evloop-trace replay")
            if b"\n" in self._head or len(self._head) > MAX_LINE:
                self._first = self._head.partition(b"\n")[0]
                self.header = decode_header(self._first, self._path)
                self._main = main
        return self.header

    def missing(self) -> str:
        """Why there is no header, in a sentence."""
        if not self._path:  # a shell's variable that is not set
            return "'' names no log: give a file, or a server's socket"
        if self._file < 0:
            return (
                f"{self._path} does not exist: name a log, or start the server with evloop serve "
                f"--watch {self._path}"
            )
        if self._head:
            return f"{self._path} is not an event log: its first line is not a header, and has no end"
        return f"{self._path} is empty: nothing has been recorded, or it is not the log you meant"

    def read(self) -> list[Item]:
        """The next whole lines."""
        data, self._head = self._head or self._next(), b""
        block = self._lines.feed(data) if data else None
        return block.items if block else []

    def events(self, items: list[Item]) -> list[AnyEvent | Unknown]:
        """The events among the items, as the first log would tell them."""
        events: list[Any] = [item for item in items if not isinstance(item, Problem)]
        self._expected = max([self._expected, *[event.seq + 1 for event in events]])
        events = [event for event in events if not self._is_file_s_own(event)]
        if self.missed and events:
            events.insert(1, self._gap(events))
        self.dumped = self.dumped or any(isinstance(event, Cut) for event in events)
        self._ended = self._ended or self.dumped or any(isinstance(event, End) for event in events)
        if self._main is None or self.header is None:
            return events
        events = [event for event in events if not isinstance(event, (Header, End))]
        for event in events:
            shift(event, self.header.mono_ns - self._main.mono_ns)
            label(event, f"{self.header.pid}:")
            if isinstance(event, Located):
                event.thread = f"{self.header.pid}:{event.thread or MAIN}"
            event.seq = -1  # the numbers of one process say nothing about another's
        return events

    def _gap(self, events: list[Any]) -> Gap:
        """What is told between a file's header and what was open when it was begun."""
        missed, self.missed, self._later = self.missed, 0, True
        last = events[0].first - 1
        after = events[1] if len(events) > 1 else events[0]
        return Gap(last, after.t, after.tick, missed, "older files were removed before they were read")

    def _is_file_s_own(self, event: AnyEvent | Unknown) -> bool:
        """Whether it is there only because a file of a log that was rotated can be read alone."""
        if isinstance(event, Cut):
            return event.reason == CUT
        return self._later and (isinstance(event, Header) or (isinstance(event, Inherit) and event.seq < 0))

    def turn(self) -> bool:
        """If the log was rotated, go on in its next file; whether it was, or that is not to be known yet.

        To be called when another file has the name, and all that was in this one is read.
        """
        if self.header is None or not self._expected:
            return False
        newest = Tail(self._path)  # looked at before the older ones: a file only ever becomes an older one
        if newest.goes_on(self.header) is None and newest.identity != self.identity and newest.header is None:
            newest.close()
            return True  # it was just made, and its first line will come
        found: dict[int, Tail] = {}
        for other in (newest, *map(Tail, beside(self._path))):
            begun = other.goes_on(self.header)
            if begun is not None and begun >= self._expected and begun not in found:
                found[begun] = other
            else:
                other.close()
        first = min(found, default=None)
        for begun, other in found.items():
            if begun != first:
                other.close()
        if first is None:
            return False
        self._take_over(found[first], first - self._expected)
        return True

    def goes_on(self, header: Header) -> int | None:
        """The number of its first event, if it is a later file of the log with that header."""
        try:
            mine = self.begin()
        except LogError:
            return None
        return mine.first if mine is not None and mine.first and is_same_log(mine, header) else None

    @property
    def identity(self) -> tuple[int, int]:
        """Which file it is."""
        return self._place

    def _take_over(self, other: Tail, missed: int) -> None:
        self.close()
        self._file, self._place, self._at = other._file, other._place, other._at
        self._head, self._first, self._lines = other._head, other._first, LineReader()
        self._later = not missed  # else what is open is known from its beginning alone
        self.missed = missed

    def is_another(self) -> bool:
        """The file was emptied and perhaps begun again, or another has its name."""
        if self._file < 0:
            return False
        try:
            status = os.stat(self._path)
        except OSError:  # it has lost its name, and can still grow
            status = os.fstat(self._file)
        if (status.st_dev, status.st_ino) != self._place or status.st_size < self._at:
            return True
        return os.pread(self._file, len(self._first), 0) != self._first

    def has_grown(self) -> bool:
        """There is more to be read."""
        if self.header is None:
            return False
        return bool(self._head) or os.pread(self._file, 1, self._at) not in {b"", b"\0"}

    def is_alive(self) -> bool:
        """Its writer may write more."""
        return not self._ended and self.header is not None and is_running(self.header)

    def _next(self) -> bytes:
        try:
            if self._file < 0:
                self._open()
            data = os.pread(self._file, PIECE, self._at) if self._file >= 0 else b""
        except OSError as error:
            raise LogError(f"{self._path} cannot be read: {error.strerror or error}") from None
        self.is_behind = len(data) == PIECE and data[-1:] != b"\0"
        data = data.partition(b"\0")[0]
        self._at += len(data)
        return data

    def _open(self) -> None:
        with suppress(FileNotFoundError):
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            status = os.fstat(self._file)
            self._place = (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
