"""A file that is whole at any moment: one that grows ends where one of its pieces does, whatever happens."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from evloop.errors import EvloopError
from evloop.files import PRIVATE, Folder, open_private

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UnwrittenError", "WholeFile", "open_anew", "write_whole"]


def open_anew(path: str, mode: int = PRIVATE) -> int:
    """A descriptor of a file, for writing, with nothing in it; `mode` is for one that is new.

    Raises:
        OSError: it cannot be opened, or others might have a hand in it.
    """
    fd = open_private(path, os.O_WRONLY | os.O_CREAT, mode)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.ftruncate(fd, 0)  # not before it is known whose it is, as O_TRUNC would
    return fd


def write_whole(path: str, data: bytes, mode: int = PRIVATE) -> None:
    """Let a file hold this and nothing else: all of it, or if there is no room what it held before.

    What has another name too, is somebody else's, or is no file, is written where it is, and so is one that
    no other can take the place of; `mode` is for a file that is new.

    Raises:
        OSError: it cannot be written, or others might have a hand in it.
    """
    with open(open_private(path, os.O_WRONLY | os.O_CREAT, mode), "wb", buffering=0) as file:
        old = os.fstat(file.fileno())
        plain = stat.S_ISREG(old.st_mode)
        if plain and old.st_size and old.st_nlink == 1 and not os.path.islink(path):
            with contextlib.closing(Folder(os.path.dirname(path))) as folder:
                if _replace(folder, os.path.basename(path), data, old):
                    return
        try:
            _write(file.fileno(), data)
        except OSError:
            if plain and not old.st_size:
                file.truncate(0)  # a part of it is worse than nothing
            raise
        if plain:
            file.truncate(len(data))


def _replace(folder: Folder, name: str, data: bytes, old: os.stat_result) -> bool:
    """Put another file in a file's place, of the same owner and mode; or not, if there can be no other."""
    if os.geteuid() not in {0, old.st_uid}:
        return False  # somebody else's, who lets us write: one of ours would not be his
    beside = f".{name}.{os.getpid()}"
    try:
        fd = folder.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        return False  # a folder that may not be written; a name that is too long
    replaced = False
    try:
        with contextlib.closing(os.fdopen(fd, "wb", buffering=0)):
            _write(fd, data)
            alike = _made_alike(fd, old)
        if alike:
            with contextlib.suppress(OSError):  # EBUSY: a mount point, and no other can take its place
                folder.rename(beside, name)
                replaced = True
    finally:
        if not replaced:
            folder.unlink(beside)
    return replaced


def _made_alike(fd: int, old: os.stat_result) -> bool:
    """Whether a file could be given the owner, group and mode of another."""
    try:
        os.fchown(fd, old.st_uid, old.st_gid)
        os.fchmod(fd, stat.S_IMODE(old.st_mode))
    except OSError:  # a group that we are not in; a file system without owners and modes
        return False
    return True


def _write(fd: int, data: bytes) -> None:
    with memoryview(data) as left:
        written = 0
        while written < len(data):
            written += os.write(fd, left[written:])


class UnwrittenError(Exception):
    """Pieces that are not in the file, the last `missing` of those that were to be written."""

    def __init__(self, reason: str, missing: int) -> None:
        super().__init__(reason)
        self.missing = missing
        self.since = 0  # the time of the first packet among them, for who knows it


class WholeFile:
    """A file of pieces: blocks, lines; - is standard output.

    Nothing is kept back: what was written is in the file, even if the next moment is a SIGKILL.
    """

    def __init__(self, path: str, count: Callable[[bytes, int], tuple[int, int]]) -> None:
        """Open it, for its owner alone if it is new; what was in it is gone.

        Args:
            path: Its name.
            count: Takes pieces and how many bytes of them were written; how long those are that were written
                whole, and how many were not.

        Raises:
            EvloopError: it cannot be written.
        """
        self._count = count
        try:
            self._fd = _standard_output() if path == "-" else open_anew(path)
            self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EvloopError(f"{path or repr(path)} cannot be written: {reason}") from None
        self._size = os.lseek(self._fd, 0, os.SEEK_CUR) if self._is_file else 0

    def write(self, pieces: bytes) -> None:
        """Add some at the file's end.

        Raises:
            UnwrittenError: the last of them are not in it; it ends where the first of these would begin.
            BrokenPipeError: it is a pipe, and nobody reads it any more.
        """
        written = 0
        with memoryview(pieces) as left:
            try:
                while written < len(pieces):
                    written += os.write(self._fd, left[written:])
            except BrokenPipeError:
                raise
            except OSError as error:
                whole, missing = self._count(pieces, written)
                self._cut(self._size + whole)
                raise UnwrittenError(error.strerror or str(error), missing) from None
        self._size += written

    def close(self) -> None:
        """No more; standard output is not ours to close."""
        if self._fd != 1:
            os.close(self._fd)

    def _cut(self, size: int) -> None:
        """Forget what is behind the last whole piece; a pipe has it for good."""
        if self._is_file:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
                os.lseek(self._fd, size, os.SEEK_SET)
        self._size = size


def _standard_output() -> int:
    if sys.stdout is None:
        raise ValueError("standard output is closed")
    return sys.stdout.fileno()
