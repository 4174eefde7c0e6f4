"""A capture file that grows: whatever happens, it ends in a whole block."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys

from evloop.errors import EvloopError

__all__ = ["CaptureFile", "UnwrittenError"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0)
_LENGTH = struct.Struct("<4xI")  # of a block


class UnwrittenError(Exception):
    """Blocks that are not in the file, the last `missing` of those that were to be written."""

    def __init__(self, reason: str, missing: int) -> None:
        super().__init__(reason)
        self.missing = missing
        self.since = 0  # the time of the first packet among them, for who knows it


class CaptureFile:
    """A file of blocks; - is standard output.

    Nothing is kept back: what was written is in the file, even if the next moment is a SIGKILL.
    """

    def __init__(self, path: str) -> None:
        """Open it; what was in it is gone.

        Raises:
            EvloopError: it cannot be written.
        """
        try:
            self._fd = _standard_output() if path == "-" else os.open(path, _FLAGS, 0o666)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EvloopError(f"{path or repr(path)} cannot be written: {reason}") from None
        self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._size = os.lseek(self._fd, 0, os.SEEK_CUR) if self._is_file else 0

    def write(self, blocks: bytes) -> None:
        """Blocks at the file's end.

        Raises:
            UnwrittenError: the last of them are not in it; it ends where the first of these would begin.
            BrokenPipeError: it is a pipe, and nobody reads it any more.
        """
        written = 0
        with memoryview(blocks) as left:
            try:
                while written < len(blocks):
                    written += os.write(self._fd, left[written:])
            except BrokenPipeError:
                raise
            except OSError as error:
                whole, missing = self.count(blocks, written)
                self._cut(self._size + whole)
                raise UnwrittenError(error.strerror or str(error), missing) from None
        self._size += written

    def close(self) -> None:
        """No more; standard output is not ours to close."""
        if self._fd != 1:
            os.close(self._fd)

    @staticmethod
    def count(blocks: bytes, written: int) -> tuple[int, int]:
        """How long those are that were written whole, and how many were not."""
        at = whole = missing = 0
        while at < len(blocks):
            at += _LENGTH.unpack_from(blocks, at)[0]
            if at <= written:
                whole = at
            else:
                missing += 1
        return whole, missing

    def _cut(self, size: int) -> None:
        """Forget what is behind the last whole block; a pipe has it for good."""
        if self._is_file:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, size)
                os.lseek(self._fd, size, os.SEEK_SET)
        self._size = size


def _standard_output() -> int:
    if sys.stdout is None:
        raise ValueError("standard output is closed")
    if sys.stdout.isatty():
        raise ValueError("a capture is nothing for a terminal: redirect it, or leave out -w to see packets")
    return sys.stdout.fileno()
