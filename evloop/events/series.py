"""A log that is the newest of several files: their names and numbers, and how the next is begun."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from evloop.errors import LogError
from evloop.events.sinks import locked, open_log
from evloop.files import Folder

__all__ = ["Series", "new_file", "open_series"]


class Series:
    """A file that is always the newest, and older ones beside it: FILE, FILE.old-000001, and so on.

    The numbers go on, so a name is that of one file as long as this is kept. (`FILE.4711` is the log of
    a process that another one started, and is not among them.)
    """

    def __init__(self, path: str, keep: int) -> None:
        """`keep` is how many older ones are left.

        Raises:
            OSError: the folder cannot be entered.
        """
        above, self.name = os.path.split(path)
        self.folder = Folder(above)
        self._keep = keep

    def shelve(self, fd: int) -> str | None:
        """Let the newest, which is open as `fd`, be an old one; its name then, or None if it was moved away.

        Raises:
            OSError: the folder may not be written; or something else has the name by now.
        """
        status, there = os.fstat(fd), self.folder.identity(self.name)
        if there is None:
            return None
        if there != (status.st_dev, status.st_ino):
            raise FileExistsError(errno.EEXIST, "it was moved, and another file has its name")
        older = f"{self.name}.old-{self._highest() + 1:06d}"
        self.folder.rename(self.name, older)
        return older

    def unshelve(self, older: str | None) -> None:
        """It is the newest after all, unless somebody has just taken the name.

        Raises:
            OSError: the folder may not be written any more.
        """
        if older is not None and self.folder.identity(self.name) is None:
            self.folder.rename(older, self.name)

    def prune(self) -> None:
        """Remove the oldest, of which there are too many.

        Raises:
            OSError: one cannot be removed.
        """
        numbers = self._numbers()
        for number in numbers[: max(len(numbers) - self._keep, 0)]:
            self.folder.unlink(f"{self.name}.old-{number:06d}")

    def _highest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        begin = f"{self.name}.old-"
        behind = [name.removeprefix(begin) for name in self.folder.names() if name.startswith(begin)]
        return sorted(int(it) for it in behind if len(it) >= 6 and it.isascii() and it.isdigit())

    def close(self) -> None:
        """Let the folder go."""
        self.folder.close()


def open_series(path: str, keep: int, why: str) -> tuple[int, Series]:
    """A log's descriptor, as `open_log` gives it, and its place among older ones.

    Raises:
        LogError: it cannot be written, or is no file; then `why` says what needs one.
    """
    fd = open_log(path)
    if path == "-" or not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise LogError(f"{why}, and {path!r} is none: name one")
    return fd, Series(path, keep)


def new_file(series: Series, like: int) -> int:
    """A new, empty file under the series' name, locked, which those may read who may read `like`.

    Raises:
        OSError: it cannot be made; or somebody else has just done so.
    """
    fd = locked(series.folder.open(series.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK))
    with contextlib.suppress(OSError):  # a file system without modes
        os.fchmod(fd, stat.S_IMODE(os.fstat(like).st_mode))
    return fd
