"""Files that are written where others may write, too: nothing of theirs is followed, filled or waited for.

In a folder such as /tmp anybody can put a symbolic link, a hard link or a pipe under the name that somebody
else is about to open. What stands there is used only if it is ours alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "PRIVATE", "Folder", "make_folder", "open_private", "why_not_begun", "why_not_there", "written_twice",
]  # fmt: skip

PRIVATE = 0o600
_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


def _is_shared(status: os.stat_result) -> bool:
    """Whether others than ourselves, root and its group may put something into a folder."""
    return _is_everybodys(status) or status.st_uid not in {0, os.geteuid()}


def _is_everybodys(status: os.stat_result) -> bool:
    return bool(status.st_mode & (stat.S_IWOTH | stat.S_ISVTX))


class Folder:
    """A folder, held by a descriptor: whatever becomes of its name, this one is meant."""

    def __init__(self, path: str) -> None:
        """Go there step by step.

        Raises:
            OSError: there is none, or a step is a symbolic link in a shared folder.
        """
        self.fd = os.open("/" if path.startswith("/") else ".", _LOOK)
        try:
            for step in path.split("/"):
                if step not in {"", "."}:
                    inner = self._enter(step)
                    os.close(self.fd)
                    self.fd = inner
        except BaseException:
            self.close()
            raise

    def _enter(self, step: str) -> int:
        if self.is_shared:
            status = os.stat(step, dir_fd=self.fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                what = f"{step!r} on its way is a symbolic link in a folder where others may write"
                _refuse(errno.ELOOP, f"{what}: name the place itself")
        return self._open(step, _LOOK)

    @property
    def is_shared(self) -> bool:
        """Whether others may put something in here."""
        return _is_shared(os.fstat(self.fd))

    def open(self, name: str, flags: int, mode: int = PRIVATE) -> int:
        """A descriptor of a file in it; what is made has this mode, less what the umask takes from it.

        Raises:
            OSError: it cannot be opened; or the folder is shared, and the file is not ours alone.
        """
        if self.is_shared:
            with contextlib.suppress(FileNotFoundError):
                self._must_be_ours(os.stat(name, dir_fd=self.fd, follow_symlinks=False))
        fd = self._open(name, flags | os.O_CLOEXEC, mode)
        try:
            if self.is_shared:
                self._must_be_ours(os.fstat(fd))  # what stood there may have been changed in between
        except BaseException:
            os.close(fd)
            raise
        return fd

    def make(self, name: str) -> None:
        """A folder in it, for its owner alone if it is new.

        Raises:
            OSError: there can be none; or this one is shared, and what is there is not ours.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self.fd)
        if self.is_shared:
            self._must_be_ours(os.stat(name, dir_fd=self.fd, follow_symlinks=False))

    def _must_be_ours(self, status: os.stat_result) -> None:
        """Raise if somebody else may have put it there, or reads it."""
        if stat.S_ISLNK(status.st_mode):
            why = "it is a symbolic link in a folder where others may write: name the file itself"
            _refuse(errno.ELOOP, why)
        if not self._is_ours(status):
            why = "it belongs to another user, in a folder where others may write: choose another"
            _refuse(errno.EPERM, why)
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            why = "it has another name elsewhere (a hard link): choose another, or remove it first"
            _refuse(errno.EPERM, why)

    def has_ours(self, name: str) -> bool:
        """Whether a name is that of a regular file of our own."""
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and self._is_ours(status)

    def _is_ours(self, status: os.stat_result) -> bool:
        """Whether we made a file. In a user's folder he may seem to have made it: vfat knows one alone."""
        folder = os.fstat(self.fd)
        return status.st_uid == os.geteuid() or (
            status.st_uid == folder.st_uid and not _is_everybodys(folder)
        )

    def _open(self, name: str, flags: int, mode: int = 0) -> int:
        return os.open(name, flags | (os.O_NOFOLLOW if self.is_shared else 0), mode, dir_fd=self.fd)

    def identity(self, name: str) -> tuple[int, int] | None:
        """Which file a name is, if there is one."""
        try:
            status = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def target(self, name: str) -> str | None:
        """What a name means, if it is a symbolic link; readlink(2)."""
        try:
            return os.readlink(name, dir_fd=self.fd)
        except OSError:
            return None

    def rename(self, old: str, new: str) -> None:
        """Give a file in it another name; rename(2)."""
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def unlink(self, name: str) -> None:
        """Remove a file from it; unlink(2)."""
        os.unlink(name, dir_fd=self.fd)

    def names(self) -> list[str]:
        """What is in it."""
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Let it go."""
        os.close(self.fd)


def open_private(path: str, flags: int, mode: int = PRIVATE) -> int:
    """As open(2), for writing; but nothing of others' is followed or used in a shared folder.

    Raises:
        OSError: it cannot be opened; `strerror` is for the person who named the file.
    """
    above, name = os.path.split(path)
    if name in {"", ".", ".."}:
        return os.open(path, flags | os.O_CLOEXEC, mode)  # which says what is wrong with it
    folder = Folder(above)
    try:
        return folder.open(name, flags, mode)
    finally:
        folder.close()


def make_folder(path: str) -> None:
    """A folder of our own, and those above it, if they are not there; no link is followed in a shared one.

    Raises:
        OSError: it cannot be made, or is not ours; `strerror` is for the person who named it.
    """
    above, name = os.path.split(path.rstrip("/"))
    if name in {"", ".", ".."}:
        return  # they are there, or cannot be made
    try:
        folder = Folder(above)
    except FileNotFoundError:
        make_folder(above)
        folder = Folder(above)
    try:
        folder.make(name)
    finally:
        folder.close()


def written_twice(named: Iterable[tuple[str, str | None]]) -> str:
    """A sentence, if two options name one file, by whatever name: the second would destroy the first's.

    Args:
        named: Options and what they name; nothing, `-` and /dev/null are no files.
    """
    seen: dict[object, str] = {}
    for option, path in named:
        if path in {None, "", "-"} or (real := os.path.realpath(str(path))) == os.devnull:
            continue
        which: object = real
        with contextlib.suppress(OSError):  # it is not there yet
            status = os.stat(real)
            which = status.st_dev, status.st_ino
        if which in seen:
            return f"{seen[which]} and {option} would write the same file: name two"
        seen[which] = option
    return ""


def why_not_there(path: str) -> str:
    """What stands in the way of a new file, of which open(2) said ENOENT."""
    if not path.startswith("/") and _is_nowhere():
        return _NOWHERE
    if not os.path.isdir(os.path.dirname(os.path.realpath(path))):
        return "its folder does not exist; make it first"
    return "its folder takes no new files; choose another"  # as /proc


def why_not_begun(error: OSError) -> str:
    """What a program lacks that it needs to begin at all, and where that comes from; or nothing."""
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return f"{os.strerror(error.errno)}: allow more with ulimit -n"
    return _NOWHERE if error.errno == errno.ENOENT and _is_nowhere() else ""


_NOWHERE = "the folder that you are in has been removed: go to another with cd"


def _is_nowhere() -> bool:
    """Whether a relative name can mean nothing any more."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _refuse(number: int, why: str) -> NoReturn:
    raise OSError(number, why)
