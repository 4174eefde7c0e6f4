"""A log file written by copying into memory that the kernel shares with the file.

A write(2) a line costs more than making the line. A line that is copied into a
shared mapping costs no system call, and is in the file's pages all the same:
whatever kills the program, the kernel keeps it. The price is that the file grows
by whole windows, whose rest is NUL until it is written or cut off at the end;
so a log whose program was killed may end in NULs, and readers stop there.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import sys
from typing import TYPE_CHECKING

from evloop.events.sinks import FileSink, Sink, encode_gap, open_log
from evloop.files import open_private

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evloop.events.schema import Event

__all__ = ["MappedSink", "direct_sink", "out_of_the_way"]

WINDOW = 256 * 1024  # bytes by which the file grows
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, madvise(2), since Linux 5.14
_MAP_FIXED = 0x10
_HIGH = 512  # descriptors from here on are out of the way of the program's own


def direct_sink(path: str, report: Callable[[str], None]) -> Sink:
    """The quickest sink for lines that are written one by one: a mapping where the file allows it.

    Raises:
        LogError: the file cannot be opened for writing, or another program writes it.
    """
    fd = open_log(path, os.O_RDWR)
    if path != "-" and stat.S_ISREG(os.fstat(fd).st_mode) and hasattr(os, "posix_fallocate"):
        return MappedSink(fd, path, report)
    sink = FileSink(fd, path, report)
    sink.begin()
    return sink


class MappedSink:
    """A log file, of which a window is in memory. A full disk loses events, and a gap tells of them later."""

    wants_lines = True

    def __init__(self, fd: int, name: str, report: Callable[[str], None], window: int = WINDOW) -> None:
        """Takes the descriptor, which must be open for reading and writing; empties the file."""
        os.ftruncate(fd, 0)
        self._fd = out_of_the_way(fd)
        self._name = os.path.abspath(name)
        self._identity = _identity(self._fd)
        self._report = report
        self._size = window
        self._map = mmap.mmap(-1, 1)  # a window that is full, before the file's first byte
        self._map.seek(1)
        self._begin = -1  # where in the file the window begins
        self._missing = 0  # events lost since the last that was written
        self.lost = 0

    def write(self, block: bytes, events: Sequence[Event]) -> None:
        """Copy lines; where there is no room for them they are counted."""
        try:
            if not self._missing:
                self._map.write(block)
                return
        except ValueError:  # the window is full
            pass
        self._write_in_new_window(block, events)

    def _write_in_new_window(self, block: bytes, events: Sequence[Event]) -> None:
        if self._missing:
            why = "the log could not be written: there was no room for it"
            block = encode_gap(events[0], self._missing, why) + block
        try:
            self._move(len(block))
        except OSError as error:
            if not self._missing:
                why = f"the log {self._name} cannot be written ({error.strerror})"
                self._report(f"{why}: the program goes on without it")
            self._missing += len(events)
            self.lost += len(events)
            return
        self._missing = 0
        self._map.write(block)

    def _move(self, room: int) -> None:
        """Let the window begin in the page that was last written, with so much room.

        The room is allocated before it is mapped: a page that the disk has no room for
        would end the program with SIGBUS when it is written.
        """
        written = self._written()
        begin = written - written % mmap.ALLOCATIONGRANULARITY
        self._reopen()
        size = self._allocate(begin, written - begin + max(room, self._size), written - begin + room)
        window = _map(self._fd, size, begin)
        with contextlib.suppress(OSError):
            # All pages now, together: one by one, when they are first written, they cost twice as much.
            window.madvise(_POPULATE_WRITE)
        window.seek(written - begin)
        self._map.close()
        self._map, self._begin = window, begin

    def _allocate(self, begin: int, size: int, least: int) -> int:
        """Room on the disk, of `size` bytes, or of `least` where the disk is nearly full; which of them."""
        try:
            os.posix_fallocate(self._fd, begin, size)
        except OSError:
            os.posix_fallocate(self._fd, begin, least)
            return least
        return size

    def _written(self) -> int:
        """Bytes in the file."""
        return self._begin + self._map.tell()

    def _reopen(self) -> None:
        """Programs that become daemons close all descriptors, and may have opened something else there."""
        if _identity(self._fd) == self._identity:
            return
        self._fd = out_of_the_way(open_private(self._name, os.O_RDWR))
        if _identity(self._fd) != self._identity:
            os.close(self._fd)
            self._fd = -1
            raise FileNotFoundError(0, "it was moved or removed")

    def close(self) -> None:
        """Cut off what was not written, and let the file go."""
        written = self._written()
        self._map.close()
        if _identity(self._fd) == self._identity:
            os.ftruncate(self._fd, written)
            os.close(self._fd)

    def abandon(self) -> None:
        """Let go of the file as it is: a forked child must not write to what is its parent's."""
        self._map.close()
        if _identity(self._fd) == self._identity:
            os.close(self._fd)


if sys.version_info >= (3, 13):

    def _map(fd: int, size: int, offset: int) -> mmap.mmap:
        """A part of a file as memory, without a descriptor of its own."""
        return mmap.mmap(fd, size, offset=offset, trackfd=False)

else:

    def _map(fd: int, size: int, offset: int) -> mmap.mmap:
        """A part of a file as memory, without a descriptor of its own.

        Python's mmap would take one, with the number that the program's first socket has
        without us. So it is given memory of no file, over which mmap(2) puts the file.
        """
        import ctypes  # noqa: PLC0415 - only here

        window = mmap.mmap(-1, size)
        c = ctypes.CDLL(None, use_errno=True)
        c.mmap.restype = ctypes.c_void_p
        c.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64)
        address = ctypes.addressof(ctypes.c_char.from_buffer(window))
        how = mmap.MAP_SHARED | _MAP_FIXED
        if c.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, how, fd, offset) != address:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return window


def out_of_the_way(fd: int) -> int:
    """The same file under a high number, so that the program's own descriptors have the numbers of old."""
    import fcntl  # noqa: PLC0415 - only here
    import resource  # noqa: PLC0415

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, min(_HIGH, max(limit - 8, 3)))
    except OSError:  # so few are allowed that none is left up there
        return fd
    os.close(fd)
    return high


def _identity(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor is, if it is open."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
