"""From the kernel's buffer into a file, in the order of time."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from evloop.errors import EvloopError
from evloop.events.recorder import read_clocks
from evloop_trace.states.schema import SCHEMA, End, Header, Lost
from evloop_trace.tracepoints.formats import Page
from evloop_trace.tracepoints.instance import Instance
from evloop_trace.tracepoints.pages import missed, records
from evloop_trace.tracepoints.translation import NEEDED, TRACEPOINTS, Translation, kernel_filter
from evloop_trace.whole_file import UnwrittenError, WholeFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from evloop_trace.states.schema import Event

__all__ = ["Recorder"]

_LATE = 2_000_000
"""Nanoseconds from a time that the kernel took to the moment when its event is surely there to be read."""
_PAGES_A_ROUND = 64  # of a CPU; then what was read is written
_LONGEST_FILTER = 4000  # the kernel takes what fits into a page


class Recorder:
    """It records from its making until `finish`, and holds its trace buffer until `close`."""

    def __init__(self, path: str, ports: tuple[int, ...], tell: Callable[[str], None]) -> None:
        """Begin: the next event will be in the file.

        Args:
            path: Its name.
            ports: An event must have one of these; none is all.
            tell: Takes a sentence for people.

        Raises:
            EvloopError: it could not begin; the message says why.
        """
        self._path = path
        self._tell = tell
        self.failed = False
        """Whether the file takes no more, which was told then."""
        self._events = 0
        self._waiting: list[Event] = []
        self._encoder = msgspec.json.Encoder()
        self._file: WholeFile | None = None
        self.pipes: list[int] = []
        self._instance = Instance()
        try:
            self._file = WholeFile(path, _count)
            self._start(ports)
        except BaseException:
            self.close()
            raise

    def _start(self, ports: tuple[int, ...]) -> None:
        formats = [(it, text) for it in TRACEPOINTS if (text := self._instance.read(f"events/{it}/format"))]
        if NEEDED not in dict(formats):
            raise EvloopError(f"--kernel needs Linux 4.16 or later: this kernel has no tracepoint {NEEDED}")
        self._translation = Translation(formats, ports)
        self._page = Page(self._instance.read("events/header_page"))
        header = _header(ports, [it.replace("/", ":") for it, _ in formats])
        try:
            self._write([header])
        except UnwrittenError as error:
            raise EvloopError(f"{self._path} cannot be written: {error}") from None
        self.pipes = self._instance.open_pipes()
        for tracepoint, text in formats:
            wanted = kernel_filter(text, ports)
            if len(wanted) < _LONGEST_FILTER:
                self._instance.write(f"events/{tracepoint}/filter", wanted)
            self._instance.write(f"events/{tracepoint}/enable", "1")

    @property
    def patience(self) -> float | None:
        """Seconds until `take` is to be called, whatever the pipes say."""
        return _LATE / 1e9 if self._waiting else None

    def take(self) -> None:
        """What is there, into the file, as long as that takes it."""
        until = time.monotonic_ns() - _LATE
        self._read()
        if self.failed:  # the kernel had some more
            self._waiting.clear()
        ready = 0
        while ready < len(self._waiting) and self._waiting[ready].t <= until:
            ready += 1
        self._put(ready)

    def finish(self) -> int:
        """No more is recorded; write all that was, and tell how much it is; the exit code."""
        if not self.failed:
            self._instance.write("tracing_on", "0")
            while self._read():
                pass
            self._put(len(self._waiting))
            self._put_end()
        return int(self.failed)

    def close(self) -> None:
        """Nothing remains in the kernel."""
        for pipe in self.pipes:
            os.close(pipe)
        self.pipes = []
        self._instance.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- the buffer ------------------------------------------------------------------------

    def _read(self) -> bool:
        """What the pipes have, sorted behind what waits; whether there was anything."""
        before = len(self._waiting)
        for pipe in self.pipes:
            for _ in range(_PAGES_A_ROUND):
                data = b""
                with suppress(BlockingIOError):
                    data = os.read(pipe, self._page.size)
                if not data:
                    break
                self._translate(data)
        self._waiting.sort(key=lambda event: event.t)
        return len(self._waiting) > before

    def _translate(self, data: bytes) -> None:
        gone = missed(data, self._page)
        for t, at, end in records(data, self._page):
            if gone is not None:
                self._waiting.append(Lost(t, gone))
                gone = None
            event = self._translation.event(t, data, at, end)
            if event is not None:
                self._waiting.append(event)

    # -- the file --------------------------------------------------------------------------

    def _put(self, ready: int) -> None:
        """The first so many of what waits."""
        events, self._waiting = self._waiting[:ready], self._waiting[ready:]
        if not events:
            return
        self._events += ready
        try:
            self._write(events)
        except UnwrittenError as error:
            self._events -= error.missing
            self._fail(error)

    def _put_end(self) -> None:
        lost = self._instance.lost()
        try:
            if not self.failed:
                self._write([End(time.monotonic_ns(), lost, self._events)])
                rest = f"; there was no room for {lost:,} that are not among them" if lost else ", none lost"
                self._tell(f"{self._path}: {self._content()}{rest}")
        except UnwrittenError as error:
            self._fail(error)

    def _fail(self, error: UnwrittenError) -> None:
        """What comes now is not wanted any more: the kernel need not record it."""
        self.failed = True
        self._waiting = []
        self._tell(f"{self._path} cannot be written: {error}; it has {self._content()}")
        self._instance.write("tracing_on", "0")

    def _content(self) -> str:
        return f"{self._events:,} event{'s' * (self._events != 1)} of the kernel's"

    def _write(self, lines: list[Event] | list[Header] | list[End]) -> None:
        assert self._file is not None
        self._file.write(self._encoder.encode_lines(lines))


def _count(lines: bytes, written: int) -> tuple[int, int]:
    """How long those lines are that are among the first so many bytes, and how many are not."""
    whole = lines.rfind(b"\n", 0, written) + 1
    return whole, lines.count(b"\n", whole)


def _header(ports: tuple[int, ...], events: list[str]) -> Header:
    mono_ns, wall_ns, bracket_ns = read_clocks()
    boot_id = ""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    release = os.uname().release
    return Header(SCHEMA, mono_ns, wall_ns, bracket_ns, boot_id, release, sorted({*ports}), events)
