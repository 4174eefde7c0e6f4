"""A log and its older files: what they are called, and which of them stay."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from evloop.errors import LogError
from evloop.events import series as module
from evloop.events.series import Series
from evloop.events.sinks import open_log
from evloop.testing import failure

WRITE = os.O_WRONLY | os.O_CREAT


def test_the_names_of_older_files(tmp_path):
    """They go on from the highest that is there, the oldest go, and what has another form is left alone."""
    for name in ("log", "log.4711", "log.old-1", "log.old-x00001", "log.old-000007", "log.old-000003"):
        (tmp_path / name).touch()
    said = []
    series = Series(str(tmp_path / "log"), keep=2)
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    assert series._shelve(fd) == "log.old-000008"
    series._unshelve("log.old-000008")
    assert (tmp_path / "log").exists()
    assert series._shelve(fd) == "log.old-000008"
    assert series._shelve(fd) is None  # it has another name already
    series._unshelve(None)
    (tmp_path / "log").write_bytes(b"another's")
    with pytest.raises(FileExistsError, match="it was moved, and another file has its name"):
        series._shelve(fd)
    series._unshelve("log.old-000008")
    assert (tmp_path / "log").read_bytes() == b"another's"
    (tmp_path / "log").unlink()
    os.close(fd)
    series.prune(said.append)
    series.prune(said.append)
    series.close()
    assert sorted(os.listdir(tmp_path)) == [
        "log.4711", "log.old-000007", "log.old-000008", "log.old-1", "log.old-x00001",
    ]  # fmt: skip


def test_names_that_others_took(tmp_path, monkeypatch):
    """They are not counted, not removed, and not written over: anybody can make some in a shared folder."""
    tmp_path.chmod(0o1777)
    theirs = ["log.old-000001", "log.old-000003", "log.old-999999999", f"log.old-{'9' * 200}"]
    for name in theirs:
        (tmp_path / name).write_bytes(b"theirs")
    fd = os.open(tmp_path / "log", WRITE)
    series = Series(str(tmp_path / "log"), keep=1)
    ours = []
    monkeypatch.setattr(series.folder, "has_ours", lambda name: name in ours)
    for older in ("log.old-000002", "log.old-000004"):
        ours.append(series._shelve(fd))
        assert ours[-1] == older
        os.close(fd)
        fd = os.open(tmp_path / "log", WRITE)
    said = []
    series.prune(said.append)
    assert said == []
    assert sorted(os.listdir(tmp_path)) == sorted(["log", "log.old-000004", *theirs])
    assert all((tmp_path / name).read_bytes() == b"theirs" for name in theirs)
    os.close(fd)
    series.close()


def test_a_log_that_is_a_link(tmp_path):
    """In a folder of our own it is followed, by all files of the series."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to("next")
    (tmp_path / "next").symlink_to(tmp_path / "disk" / "real")
    fd, series = module.open_series(str(tmp_path / "log"), 5, "it needs a file")
    os.write(fd, b"one\n")
    new = series.renew(fd, b"two\n")
    assert (tmp_path / "log").read_bytes() == b"two\n"
    assert sorted(os.listdir(tmp_path / "disk")) == ["real", "real.old-000001"]
    for each in (fd, new):
        os.close(each)
    series.close()


def test_links_that_lead_in_a_circle(tmp_path, descriptors):
    """They lead to no log."""
    before = descriptors()
    (tmp_path / "log").symlink_to("log")
    with pytest.raises(OSError, match="symbolic links"):
        Series(str(tmp_path / "log"), keep=1)
    assert descriptors() == before


def test_none_is_kept(tmp_path):
    """Then the newest is all there is."""
    fd = os.open(tmp_path / "log", WRITE)
    said = []
    series = Series(str(tmp_path / "log"), keep=0)
    series._shelve(fd)
    os.close(fd)
    series.prune(said.append)
    series.close()
    assert os.listdir(tmp_path) == []
    assert said == []


@pytest.fixture
def log(tmp_path):
    """The descriptor of a log that has something in it, and the series that it is the newest of."""
    fd, series = module.open_series(str(tmp_path / "log"), 5, "it needs a file")
    os.write(fd, b"one\n")
    yield fd, series
    os.close(fd)
    series.close()


def test_the_next_file(log, tmp_path):
    """It has its head, is locked, and is read by whom the old one is read; that stays open."""
    fd, series = log
    os.fchmod(fd, 0o640)
    new = series.renew(fd, b"head\n")
    os.write(fd, b"the last line\n")
    os.write(new, b"two\n")
    assert (tmp_path / "log").read_bytes() == b"head\ntwo\n"
    assert (tmp_path / "log.old-000001").read_bytes() == b"one\nthe last line\n"
    assert stat.S_IMODE(os.fstat(new).st_mode) == 0o640
    with pytest.raises(LogError, match="written by another program"):
        open_log(str(tmp_path / "log"))
    os.close(new)


@pytest.mark.parametrize("taken", [False, True])
def test_no_room_for_the_next_file(log, tmp_path, monkeypatch, taken, descriptors):
    """Then there is none, and the log is the newest still, unless its name is another's meanwhile."""
    fd, series = log
    before = descriptors()

    def write(*_):
        if taken:
            (tmp_path / "log").rename(tmp_path / "moved")
            (tmp_path / "log").write_bytes(b"another's")
            monkeypatch.setattr(series.folder, "unlink", lambda _name: None)
        raise failure(errno.ENOSPC)

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", write)
        with pytest.raises(OSError, match="No space left"):
            series.renew(fd, b"head\n")
    assert descriptors() == before
    ours = tmp_path / ("log.old-000001" if taken else "log")
    assert os.path.samestat(ours.stat(), os.fstat(fd))
    assert sorted(os.listdir(tmp_path)) == (["log", "log.old-000001", "moved"] if taken else ["log"])


def test_a_folder_that_cannot_be_read(log, monkeypatch):
    """Nothing is removed then, which is said once, and again when it had worked in between."""
    _, series = log
    said = []

    def names():
        raise failure(errno.EACCES)

    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(series.folder, "names", names)
            series.prune(said.append)
            series.prune(said.append)
        series.prune(said.append)
    assert len(said) == 2
    assert said[0].endswith("cannot be removed (Permission denied): there are more than are to be kept")
