"""A log and its older files: what they are called, and which of them stay."""

from __future__ import annotations

import os

import pytest

from evloop.events.series import Series

WRITE = os.O_WRONLY | os.O_CREAT


def test_the_names_of_older_files(tmp_path):
    """They go on from the highest that is there, the oldest go, and what has another form is left alone."""
    for name in ("log", "log.4711", "log.old-1", "log.old-x00001", "log.old-000007", "log.old-000003"):
        (tmp_path / name).touch()
    series = Series(str(tmp_path / "log"), keep=2)
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    assert series.shelve(fd) == "log.old-000008"
    series.unshelve("log.old-000008")
    assert (tmp_path / "log").exists()
    assert series.shelve(fd) == "log.old-000008"
    assert series.shelve(fd) is None  # it has another name already
    series.unshelve(None)
    (tmp_path / "log").write_bytes(b"another's")
    with pytest.raises(FileExistsError, match="it was moved, and another file has its name"):
        series.shelve(fd)
    series.unshelve("log.old-000008")
    assert (tmp_path / "log").read_bytes() == b"another's"
    (tmp_path / "log").unlink()
    os.close(fd)
    series.prune()
    series.prune()
    series.close()
    assert sorted(os.listdir(tmp_path)) == [
        "log.4711", "log.old-000007", "log.old-000008", "log.old-1", "log.old-x00001",
    ]  # fmt: skip


def test_none_is_kept(tmp_path):
    """Then the newest is all there is."""
    fd = os.open(tmp_path / "log", WRITE)
    series = Series(str(tmp_path / "log"), keep=0)
    series.shelve(fd)
    os.close(fd)
    series.prune()
    series.close()
    assert os.listdir(tmp_path) == []
