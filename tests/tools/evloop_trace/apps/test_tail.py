"""A log that grows."""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from evloop_trace.apps.tail import Tail

from evloop.errors import LogError
from evloop.events.mapped import direct_sink
from evloop.events.schema import SCHEMA, End, Header
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from pathlib import Path


def header(pid: int = 1, *, mono_ns: int | None = None, boot_id: str = "") -> Header:
    """The header that a process would write now."""
    return Header(
        0, 0, 0, SCHEMA, time.monotonic_ns() if mono_ns is None else mono_ns, time.time_ns(), 0, pid, ["x"],
        {}, "epoll", "", "prefix", 64, boot_id=boot_id, model="run", run="r",
    )  # fmt: skip


def test_a_log_is_read_as_far_as_it_is_written(tmp_path: Path) -> None:
    """A line that is half written is read when it is whole."""
    path = tmp_path / "log.jsonl"
    tail = Tail(str(path))
    assert tail.begin() is None
    data = encode([header(7), End(1, 5, 0, "x", 2)])
    path.write_bytes(data[:20])
    assert tail.begin() is None
    path.write_bytes(data[:-5])
    assert tail.begin().pid == 7
    assert [type(item) for item in tail.read()] == [Header]
    assert not tail.has_grown()
    path.write_bytes(data)
    assert tail.has_grown()
    assert [type(event) for event in tail.events(tail.read())] == [End]
    assert not tail.has_grown()
    assert not tail.is_alive(), "it has said that it is over"
    tail.close()


def test_a_mapped_log_is_longer_than_what_stands_in_it(tmp_path: Path) -> None:
    """A line that is being copied may have holes; what is there before the first is read."""
    path = tmp_path / "log.jsonl"
    data = encode([header(7), End(1, 5, 0, "x", 2)])
    first = data.index(b"\n") + 1
    path.write_bytes(data[:first] + b"\0" * 4096)
    with closing(Tail(str(path))) as tail:
        assert tail.begin().pid == 7
        assert [type(item) for item in tail.read()] == [Header]
        assert not tail.has_grown()
        path.write_bytes(data[: first + 9] + b"\0" * 9 + data[first + 18 :] + b"\0" * 4096)
        assert tail.has_grown()
        assert tail.read() == []
        assert not tail.has_grown()
        path.write_bytes(data + b"\0" * 4096)
        assert not tail.is_another()
        assert [type(item) for item in tail.read()] == [End]
        path.write_bytes(encode([header(8)]) + b"\0" * 8192)
        assert tail.is_another(), "emptied, begun again, and longer than before"


def test_a_log_is_written_and_read_at_the_same_time(tmp_path: Path) -> None:
    """As our own programs write it."""
    path = tmp_path / "log.jsonl"
    sink = direct_sink(str(path), pytest.fail)
    with closing(Tail(str(path))) as tail:
        assert tail.begin() is None
        for number in range(2000):
            events = [header(os.getpid())] if number == 0 else [End(number, number, 0, "x" * 300, 0)]
            sink.write(encode(events), events)
            assert tail.begin() is not None
            assert len(tail.read()) == 1
            assert not tail.has_grown()
        sink.close()
        assert not tail.is_another()
        assert not tail.has_grown()


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    """As it is elsewhere."""
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    with closing(Tail(str(path))) as tail, pytest.raises(LogError, match="is not an event log"):
        tail.begin()


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    """Such as a folder."""
    with pytest.raises(LogError, match="cannot be read: Is a directory"):
        Tail(str(tmp_path)).begin()


def test_another_file_is_noticed(tmp_path: Path) -> None:
    """It was emptied, or replaced; one that has lost its name is still the same."""
    path = tmp_path / "log.jsonl"
    tail = Tail(str(path))
    assert not tail.is_another()
    path.write_bytes(encode([header()]))
    tail.begin()
    assert not tail.is_another()
    path.rename(tmp_path / "old")
    assert not tail.is_another()
    path.write_bytes(encode([header()] * 2))
    assert tail.is_another()
    path.unlink()
    (tmp_path / "old").rename(path)
    assert not tail.is_another()
    path.write_bytes(b"")
    assert tail.is_another()
    tail.close()
