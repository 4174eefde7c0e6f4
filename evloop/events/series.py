"""A log that is the newest of several files: their names and numbers, and how the next is begun."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from evloop.errors import LogError
from evloop.events.sinks import locked, open_log, write_lines
from evloop.files import Folder

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Series", "open_series"]

_DIGITS = 9  # of a number, at most
_LINKS = 40  # one behind the other, at most: path_resolution(7)


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
        self.folder, self.name = _behind_links(path)
        self._path, self._keep = path, keep
        self._stuck = False  # an older file cannot be removed, and that is told

    def renew(self, fd: int, head: bytes = b"") -> int:
        """Let the newest, which is open as `fd`, be an old one, and begin another; its descriptor.

        The old one stays open. If there can be no other that has its `head`, it is the newest still, unless
        somebody has just taken the name.

        Raises:
            OSError: the folder may not be written, there is no room, or something else has the name by now.
        """
        older = self._shelve(fd)
        try:
            return self._begin(fd, head)
        except OSError:
            self._unshelve(older)
            raise

    def _shelve(self, fd: int) -> str | None:
        """Its name then, or None if it was moved away."""
        if self.folder.identity(self.name) is None:
            return None
        if not self.is_newest(fd):
            raise FileExistsError(errno.EEXIST, "it was moved, and another file has its name")
        older = self._next_older()
        self.folder.rename(self.name, older)
        return older

    def is_newest(self, fd: int) -> bool:
        """Whether the name is that of the file which is open as `fd`."""
        status = os.fstat(fd)
        return self.folder.identity(self.name) == (status.st_dev, status.st_ino)

    def _unshelve(self, older: str | None) -> None:
        if older is not None and self.folder.identity(self.name) is None:
            self.folder.rename(older, self.name)

    def _begin(self, like: int, head: bytes) -> int:
        """A new file under the name, locked, with its head, which those may read who may read `like`."""
        fd = locked(self.folder.open(self.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK))
        with contextlib.suppress(OSError):  # a file system without modes
            os.fchmod(fd, stat.S_IMODE(os.fstat(like).st_mode))
        try:
            write_lines(fd, head)
        except OSError:
            with contextlib.suppress(OSError):
                self.folder.unlink(self.name)
            os.close(fd)
            raise
        return fd

    def prune(self, report: Callable[[str], None]) -> None:
        """Remove the oldest, of which there are too many; one that cannot be removed is told, once."""
        why = self._remove_oldest()
        if why and not self._stuck:
            what = f"older files of the log {self._path} cannot be removed ({why})"
            report(f"{what}: there are more than are to be kept")
        self._stuck = bool(why)

    def _remove_oldest(self) -> str:
        """Which of them could not be removed, if there is one, and why; the others are gone."""
        stuck = ""
        try:
            numbers = self._numbers()
        except OSError as error:
            return error.strerror or str(error)
        for number in numbers[: max(len(numbers) - self._keep, 0)]:
            name = self._older(number)
            try:
                self.folder.unlink(name)
            except OSError as error:
                stuck = stuck or f"{name}: {error.strerror or error}"
        return stuck

    def _older(self, number: int) -> str:
        return f"{self.name}.old-{number:06d}"

    def _next_older(self) -> str:
        """A name that nobody has."""
        number = max(self._numbers(), default=0) + 1
        while self.folder.identity(self._older(number)):
            number += 1
        return self._older(number)

    def _numbers(self) -> list[int]:
        """Those of older files, if they are ours: in a shared folder anybody can make some of such names."""
        begin = f"{self.name}.old-"
        behind = [name.removeprefix(begin) for name in self.folder.names() if name.startswith(begin)]
        numbers = [int(it) for it in behind if 6 <= len(it) <= _DIGITS and it.isascii() and it.isdigit()]
        return sorted(number for number in numbers if self.folder.has_ours(self._older(number)))

    def close(self) -> None:
        """Let the folder go."""
        self.folder.close()


def _behind_links(path: str) -> tuple[Folder, str]:
    """The folder and the name of a file, or of what a link in a folder of our own means.

    Raises:
        OSError: a folder cannot be entered, or links lead in a circle.
    """
    for _ in range(_LINKS):
        above, name = os.path.split(path)
        folder = Folder(above)
        target = None if folder.is_shared else folder.target(name)
        if target is None:
            return folder, name
        folder.close()
        path = os.path.join(above, target)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


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
