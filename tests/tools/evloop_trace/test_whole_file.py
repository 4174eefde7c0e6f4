"""A file is whole at any moment, and it is said what is not in it."""

from __future__ import annotations

import os
import resource
import sys
from typing import TYPE_CHECKING

import pytest
from evloop_trace.whole_file import UnwrittenError, WholeFile

from evloop.errors import EvloopError

if TYPE_CHECKING:
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
