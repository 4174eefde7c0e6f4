"""A file is whole at any moment, and it is said what is not in it."""

from __future__ import annotations

import os
import resource
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from evloop_trace.whole_file import UnwrittenError, WholeFile, write_whole

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def whole(words: bytes, written: int) -> tuple[int, int]:
    """Pieces here are four bytes long."""
    return written // 4 * 4, (len(words) - written // 4 * 4) // 4


def test_a_full_disk_leaves_whole_pieces(tmp_path: Path) -> None:
    """What does not fit is counted, and what was begun of it is cut off; there may be room for less."""
    path = tmp_path / "a"
    file = WholeFile(str(path), whole)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(UnwrittenError, match="File too large") as error:
            file.write(b"one.two.tre.for.")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.missing == 2
    assert path.read_bytes() == b"one.two."
    file.write(b"new.")
    file.close()
    assert path.read_bytes() == b"one.two.new."


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "'' cannot be written: No such file"),
        ("/nowhere/a", "/nowhere/a cannot be written: No such file"),
        ("/", "Is a directory"),
        ("a\0b", "embedded null"),
    ],
)
def test_a_file_that_cannot_be(path: str, reason: str) -> None:
    """One sentence."""
    with pytest.raises(EvloopError, match=reason):
        WholeFile(path, whole)


def test_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    """That is no full disk: who read it has seen enough."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = WholeFile(str(path), whole)
    file.write(b"")
    os.close(read)
    with pytest.raises(BrokenPipeError):
        file.write(b"one\n")
    file.close()


def test_a_device_that_is_full() -> None:
    """Nothing can be cut off there, and nothing is."""
    file = WholeFile("/dev/full", whole)
    with pytest.raises(UnwrittenError, match="No space left on device") as error:
        file.write(b"one\n" * 3)
    assert error.value.missing == 3
    file.close()


def test_standard_output_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes nothing."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(EvloopError, match="- cannot be written: standard output is closed"):
        WholeFile("-", whole)


@contextmanager
def room(size: int) -> Iterator[None]:
    """A disk on which no file gets longer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was there before is there still, and of a new one there is no half; nothing lies beside it."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    old.chmod(0o604)
    with room(10):
        for path in (old, new):
            with pytest.raises(OSError, match="File too large"):
                write_whole(str(path), b"longer than that")
    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"")
    for path in (old, new):
        for data in (b"longer than that", b"short"):
            write_whole(str(path), data)
            assert path.read_bytes() == data
    assert [stat.S_IMODE(path.stat().st_mode) for path in (old, new)] == [0o604, 0o600]
    assert sorted(tmp_path.iterdir()) == [new, old]


@pytest.mark.parametrize("kind", ["link", "hard link", "name that is too long for another beside it"])
def test_a_file_that_none_can_take_the_place_of(tmp_path: Path, kind: str) -> None:
    """It is written where it is: what its other name means is the same file afterwards."""
    there, path = tmp_path / "there", tmp_path / "path"
    there.write_bytes(b"what was there before")
    if kind == "link":
        path.symlink_to("there")
    elif kind == "hard link":
        path.hardlink_to(there)
    else:
        there = path = there.rename(tmp_path / ("x" * 255))
    before = there.stat().st_ino
    write_whole(str(path), b"new")
    assert (there.read_bytes(), there.stat().st_ino) == (b"new", before)
    assert path.is_symlink() == (kind == "link")


@pytest.mark.parametrize("call", ["fchown", "fchmod"])
def test_what_others_may_do_with_a_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Another that may not have its owner, group or mode does not take its place."""
    refused = []

    def refuse(fd: int, *_: int) -> None:
        refused.append(fd)
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "shared"
    path.write_bytes(b"what was there before")
    path.chmod(0o664)
    before = path.stat()
    monkeypatch.setattr(os, call, refuse)
    write_whole(str(path), b"new")
    assert refused
    _is_written_where_it_was(path, before)


def test_a_file_of_somebody_else_stays_his(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root cannot make another one of his: nothing is even tried."""
    path = tmp_path / "shared"
    path.write_bytes(b"what was there before")
    path.chmod(0o664)
    before = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: before.st_uid + 12345)
    write_whole(str(path), b"new")
    _is_written_where_it_was(path, before)


def test_a_mount_point_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other file can take its place, as rename(2) has it; a full disk is told of all the same."""
    busy = []

    def refuse(old: str, new: str, **_: int) -> None:
        busy.append((old, new))
        raise OSError(16, "Device or resource busy")

    path = tmp_path / "mounted"
    path.write_bytes(b"what was there before")
    before = path.stat()
    monkeypatch.setattr(os, "rename", refuse)
    with room(10), pytest.raises(OSError, match="File too large"):
        write_whole(str(path), b"longer than that")
    assert path.read_bytes() == b"what was there before"
    assert not busy
    write_whole(str(path), b"new")
    assert busy
    _is_written_where_it_was(path, before)


def _is_written_where_it_was(path: Path, before: os.stat_result) -> None:
    """The same file, that may be used as before; nothing lies beside it."""
    after = path.stat()
    assert path.read_bytes() == b"new"
    for what in ("st_ino", "st_mode", "st_uid", "st_gid"):
        assert getattr(after, what) == getattr(before, what)
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    """A pipe gets it, a full device says that it is full."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(str(tmp_path / "pipe"), b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    with pytest.raises(OSError, match="No space left"):
        write_whole("/dev/full", b"x")


def test_a_full_disk_has_no_room_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the old file is not written over: there would be no room for that either."""
    (tmp_path / "old").write_bytes(b"old")
    real = os.open

    def full(path: str, flags: int, *args: int, **named: int) -> int:
        if flags & os.O_EXCL:
            raise OSError(28, "No space left on device")
        return real(path, flags, *args, **named)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(str(tmp_path / "old"), b"new")
    assert (tmp_path / "old").read_bytes() == b"old"
