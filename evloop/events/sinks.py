"""Where encoded events go. A sink takes whole lines, many at a time, and never raises for a full disk.

The sink of the watchers, which needs the loop, is `evloop.net.watch`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Protocol

import msgspec

from evloop.errors import LogError
from evloop.events.schema import Event, Gap
from evloop.files import open_private, why_not_there

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "FileSink", "MemorySink", "Sink",
    "encode", "encode_gap", "encode_line", "locked", "open_log", "write_lines",
]  # fmt: skip

encode: Callable[[Sequence[Event]], bytes] = msgspec.json.Encoder().encode_lines
"""Events as lines of JSON, each with its newline."""

encode_line: Callable[[Event], bytes] = msgspec.json.Encoder().encode
"""One event as JSON, without a newline."""


class Sink(Protocol):
    """Takes what the recorder hands on at the end of a tick."""

    @property
    def lost(self) -> int:
        """Events that it could not take."""

    @property
    def wants_lines(self) -> bool:
        """Whether it needs the events as lines; a block is empty where nobody does."""

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Take events, and their lines as one block."""

    def close(self) -> None:
        """Nothing more comes."""


class MemorySink:
    """Keeps the events themselves: for tests, and for programs that look at their own run."""

    wants_lines = False

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lost = 0

    def write(self, block: bytes, events: Sequence[Event]) -> None:  # noqa: ARG002
        """Keep them."""
        self.events.extend(events)

    def close(self) -> None:
        """Nothing to do."""


def open_log(path: str, access: int = os.O_WRONLY) -> int:
    """A descriptor to write a log to; `-` is standard output. What a file holds stays until `FileSink.begin`.

    `access` is O_WRONLY, or O_RDWR for who will map it.

    Raises:
        LogError: the file cannot be opened for writing, or another server writes it.
    """
    try:
        return _open_output() if path == "-" else _open_file(path, access)
    except BlockingIOError:
        raise LogError(f"the log {path!r} is written by another program: choose another file") from None
    except FileNotFoundError:
        raise LogError(f"the log {path!r} cannot be written: {why_not_there(path)}") from None
    except OSError as error:
        why = (
            "nobody reads this pipe; start its reader first" if error.errno == errno.ENXIO else error.strerror
        )
        raise LogError(f"the log {path!r} cannot be written: {why}") from None


def _open_file(path: str, access: int) -> int:
    # O_NONBLOCK is for pipes, see _open_output; to a file it makes no difference.
    return locked(open_private(path, access | os.O_CREAT | os.O_NONBLOCK))


def locked(fd: int) -> int:
    """The descriptor, whose file nobody else writes from now on, until it is closed; flock(2).

    Raises:
        OSError: somebody does; the descriptor is closed then.
    """
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _open_output() -> int:
    """Standard output; if it is a pipe, so that a slow reader cannot hold the server up.

    O_NONBLOCK belongs to the open file, which other programs may share; so a pipe is
    opened anew, where the system lets us.
    """
    if stat.S_ISFIFO(os.fstat(1).st_mode):
        with contextlib.suppress(OSError):
            return os.open("/dev/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return os.dup(1)


class FileSink:
    """A log file or pipe. If it cannot be written, the server serves on and the log tells of the gap later.

    A write may stop in the middle of a line (the disk filled up). The rest of that
    line is kept and written first when there is room again, so that no line is torn.
    """

    wants_lines = True

    def __init__(
        self, fd: int, name: str, report: Callable[[str], None], write: Callable[[int, bytes], int] = os.write
    ) -> None:
        self._fd = fd
        self._name = name
        self._report = report
        self._os_write = write
        self._rest = b""  # of a line that was begun
        self._missing = 0  # events lost since the last that was written
        self._failing = False
        self._reason = ""
        self._slow = self._told_slow = False
        self.lost = 0

    def begin(self) -> None:
        """Empty a file of what it held: only now is it certain that there is something to write instead."""
        if self._name != "-" and stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.ftruncate(self._fd, 0)

    @property
    def is_behind(self) -> bool:
        """Whether it ends in the middle of a line, or lacks events of which it does not tell yet."""
        return bool(self._rest or self._missing)

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Write lines; those that cannot be written are counted."""
        if self._failing:
            written = self._catch_up(events[0]) and self._lines(block, len(events))
        else:
            # All is well, as nearly always: one call, for programs that write a line for each event.
            try:
                done = self._os_write(self._fd, block)
            except OSError as error:
                self._fail(error)
                written = 0
            else:
                if done == len(block):
                    return
                written = self._lines(block, len(events), done)
        if written < len(events):
            self.lost += len(events) - written
            self._missing += len(events) - written
        elif self._failing and not self._rest:
            self._failing = False
            self._tell(f"the log {self._name} can be written again; {self.lost} events are missing from it")

    def _catch_up(self, event: Event) -> bool:
        """Finish the line that was begun, and tell of the events that are missing before `event`."""
        if self._rest:
            self._rest = self._rest[self._write(self._rest) :]
        if (
            self._missing
            and not self._rest
            and self._lines(encode_gap(event, self._missing, self._reason), 1)
        ):
            self._missing = 0
        return not (self._rest or self._missing)

    def _lines(self, block: bytes, count: int, done: int = 0) -> int:
        """Write `count` lines, of which `done` bytes are written.

        How many are in the file, one that was only begun among them.
        """
        written = self._write(block, done)
        if written == len(block):
            return count
        self._rest = _rest_of_line(block, written)
        return block.count(b"\n", 0, written) + bool(self._rest)

    def _write(self, data: bytes, written: int = 0) -> int:
        """How many bytes could be written, with those that were before."""
        written, error = _write_all(self._fd, data, self._os_write, written)
        if error is not None:
            self._fail(error)
        return written

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self._slow = isinstance(error, BlockingIOError)
            why = "its reader does not keep up" if self._slow else error.strerror
            self._reason = f"the log could not be written: {why}"
            self._tell(f"the log {self._name} cannot be written ({why}): serving goes on without it")

    def _tell(self, sentence: str) -> None:
        """A pipe whose reader is slow fails and recovers many times a second: that is said once."""
        if not (self._slow and self._told_slow):
            self._report(sentence)
        self._told_slow |= self._slow

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)


def _write_all(
    fd: int, data: bytes, write: Callable[[int, bytes], int], written: int = 0
) -> tuple[int, OSError | None]:
    """How many bytes could be written, with those that were before; and why not all, if it is not all."""
    try:
        while written < len(data):
            written += write(fd, data[written:] if written else data)
    except OSError as error:
        return written, error
    return written, None


def write_lines(fd: int, lines: bytes) -> None:
    """Write all of them to the end of a file, or as many whole ones as there is room for.

    Raises:
        OSError: there was not room for all.
    """
    written, error = _write_all(fd, lines, os.write)
    if error is not None:
        with contextlib.suppress(OSError):
            size = os.fstat(fd).st_size - written + lines.rfind(b"\n", 0, written) + 1
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
        raise error


def _rest_of_line(block: bytes, written: int) -> bytes:
    """What is missing of the line in whose middle `written` stands; b"" if it stands between two."""
    if written == 0 or block[written - 1 : written] == b"\n":
        return b""
    return block[written : block.index(b"\n", written) + 1]


def encode_gap(event: Event, lost: int, reason: str) -> bytes:
    """A line that stands for the `lost` events before `event`; it has the last one's number and time."""
    return encode([Gap(event.seq - 1, event.t, event.tick, lost, reason)])
