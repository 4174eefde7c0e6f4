"""A log file on a disk that fills up, at every byte."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evloop.errors import LogError
from evloop.events.schema import Signal
from evloop.events.sinks import FileSink, MemorySink, encode, open_log
from evloop.testing import failure


class Disk:
    """A file of which a write takes as many bytes as are granted, and then fails."""

    def __init__(self, number=errno.ENOSPC):
        self.content = b""
        self.room = 0
        self.most = 1 << 30  # that one write takes, as a pipe does
        self.number = number
        self.failed = 0

    def write(self, _fd, data):
        """As os.write."""
        n = min(len(data), self.room, self.most)
        if not n:
            self.failed += 1
            raise failure(self.number)
        self.content += data[:n]
        self.room -= n
        return n

    @property
    def lines(self):
        """What is in it; the last line may be begun only."""
        return [json.loads(line) for line in self.content[: self.content.rfind(b"\n") + 1].splitlines()]

    @property
    def is_torn(self):
        """Whether it ends in the middle of a line."""
        return not self.content.endswith(b"\n") and self.content != b""


class Log:
    """A sink on such a disk, and events for it."""

    def __init__(self, number=errno.ENOSPC):
        self.disk = Disk(number)
        self.said = []
        self.sink = FileSink(-1, "the.log", self.said.append, self.disk.write)
        self.seq = 0

    def write(self, count=1):
        """Hand on so many events."""
        events = [Signal(seq, seq * 10, 0, "SIGINT") for seq in range(self.seq, self.seq + count)]
        self.seq += count
        self.sink.write(encode(events), events)

    def check(self):
        """Every event is in the file or counted, every number follows from the last."""
        written = [line for line in self.disk.lines if line["ev"] == "signal"]
        begun = self.disk.is_torn and bool(self.sink._rest)
        assert self.disk.is_torn == begun
        expected = 0
        for line in self.disk.lines:
            if line["ev"] == "gap":
                expected += line["lost"] - 1
                assert line["reason"] == f"the log could not be written: {os.strerror(self.disk.number)}"
            assert line["seq"] == expected
            expected += 1
        last_is_event = begun and self.disk.content.rpartition(b"\n")[2].startswith(b'{"ev":"s')
        last_is_unknown = begun and not last_is_event
        total = len(written) + self.sink.lost + (1 if last_is_event else 0)
        assert total == self.seq or (last_is_unknown and total in {self.seq - 1, self.seq})


LINE = len(encode([Signal(1, 10, 0, "SIGINT")]))


@pytest.mark.parametrize("room", range(3 * LINE + 2))
def test_full_at_every_byte(room):
    """Three lines, of which so many bytes fit: none is torn in the end, and the gap tells the number."""
    log = Log()
    log.disk.room = room
    log.write(3)
    log.check()
    kept = len(log.disk.lines) + log.disk.is_torn
    assert log.sink.lost == 3 - kept
    log.disk.room = 0
    log.write()
    assert log.sink.lost == 4 - kept
    log.disk.room = 1 << 20
    log.write()
    log.check()
    assert not log.disk.is_torn
    gaps = [line for line in log.disk.lines if line["ev"] == "gap"]
    assert sum(gap["lost"] for gap in gaps) == log.sink.lost
    assert len(gaps) == 1
    assert len(log.said) == 2


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 4), st.sampled_from([1 << 30, 7, 1])), max_size=25)
)
@example([(LINE, 1, 1), (LINE - 1, 1, 1), (0, 2, 1), (1 << 20, 1, 1)])
def test_a_disk_that_fills_up_and_is_emptied(steps):
    """However often, and wherever in a line or in a gap's own line: nothing is torn, nothing uncounted."""
    log = Log()
    for room, count, most in steps:
        log.disk.room, log.disk.most = room, most
        failed, said = log.disk.failed, len(log.said)
        log.write(count)
        log.check()
        assert len(log.said) - said <= 1
        assert log.disk.failed - failed <= 1 or log.sink.lost
    log.disk.room = log.disk.most = 1 << 30
    log.write()
    log.check()
    assert not log.disk.is_torn
    assert sum(line["lost"] for line in log.disk.lines if line["ev"] == "gap") == log.sink.lost
    told = [" cannot be written (" in sentence for sentence in log.said]
    assert told == [True, False] * (len(told) // 2)  # each failure once, and each end of one


def test_a_failure_is_told_once():
    """However long it lasts; and its end, with how many events are missing."""
    log = Log()
    for _ in range(100):
        log.write()
    assert log.disk.failed == 100
    assert log.said == [
        "the log the.log cannot be written (No space left on device): serving goes on without it"
    ]
    log.disk.room = 1 << 20
    log.write()
    assert log.said[1:] == ["the log the.log can be written again; 100 events are missing from it"]
    reason = "the log could not be written: No space left on device"
    gap = {"ev": "gap", "seq": 99, "t": 1000, "tick": 0, "lost": 100, "reason": reason}
    assert log.disk.lines[0] == gap
    assert log.sink.lost == 100


def test_a_line_that_was_only_begun_is_not_yet_written():
    """The failure lasts until the line is whole, and is told once."""
    log = Log()
    log.disk.room = LINE - 3
    log.write()
    assert len(log.said) == 1
    log.write()
    assert len(log.said) == 1
    log.disk.room = 1 << 20
    log.write()
    assert len(log.said) == 2
    assert [line["seq"] for line in log.disk.lines] == [0, 1, 2]
    assert log.disk.lines[1]["lost"] == 1


@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.EDQUOT, errno.EAGAIN])
def test_other_failures(number):
    """A reader that left, a broken disk, a quota: the server serves on, and nothing is torn."""
    log = Log(number)
    log.disk.room = LINE + 5
    log.write(3)
    log.write(2)
    log.check()
    assert log.sink.lost == 3
    assert len(log.said) == 1


def test_a_slow_reader_is_told_of_once_for_all():
    """It comes and goes; what else fails between is told each time."""
    log = Log()
    for number in (errno.EAGAIN, errno.EIO, errno.EAGAIN):
        log.disk.number, log.disk.room = number, 0
        log.write()
        log.disk.room = 1 << 20
        log.write()
    assert [sentence.partition("(")[2].partition(")")[0] for sentence in log.said] == [
        "its reader does not keep up", "Input/output error", "",
    ]  # fmt: skip


# -- real files ------------------------------------------------------------------------------


def test_a_file(tmp_path):
    """It is its owner's alone, is emptied when there is something to write, and has a line for each event."""
    path = tmp_path / "log"
    path.write_text("old\n" * 100)
    path.chmod(0o600)
    sink = FileSink(open_log(str(path)), "log", print)
    assert path.read_text().startswith("old")
    with pytest.raises(LogError, match="is written by another program"):
        open_log(str(path))
    sink.begin()
    assert path.read_bytes() == b""
    events = [Signal(0, 1, 0, "SIGINT"), Signal(1, 2, 0, "SIGTERM")]
    sink.write(encode(events), events)
    sink.close()
    assert path.read_bytes() == encode(events)
    new = tmp_path / "new"
    os.close(open_log(str(new)))
    assert new.stat().st_mode & 0o777 == 0o600


def test_a_pipe_that_nobody_reads():
    """EPIPE is a failure like another: counted and told."""
    reader, writer = os.pipe()
    os.close(reader)
    said = []
    sink = FileSink(writer, "pipe", said.append)
    sink.write(b"{}\n", [Signal(0, 1, 0, "SIGINT")])
    sink.close()
    assert sink.lost == 1
    assert said == ["the log pipe cannot be written (Broken pipe): serving goes on without it"]


def test_standard_output(capfd):
    """- is a descriptor of its own, so that closing it closes nobody else's."""
    fd = open_log("-")
    assert fd > 2
    sink = FileSink(fd, "-", print)
    sink.write(b"{}\n", [Signal(0, 1, 0, "SIGINT")])
    sink.close()
    os.fstat(1)
    assert capfd.readouterr().out == "{}\n"


def test_standard_output_that_is_a_file(tmp_path):
    """It is the shell's, which may have said >>: what it holds stays."""
    path = tmp_path / "out"
    path.write_text("before\n")
    sink = FileSink(os.open(path, os.O_WRONLY | os.O_APPEND), "-", print)
    sink.begin()
    sink.write(b"{}\n", [Signal(0, 1, 0, "SIGINT")])
    sink.close()
    assert path.read_text() == "before\n{}\n"


@contextlib.contextmanager
def piped():
    """Standard output is a pipe, and standard error is none: its two ends."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    saved = os.dup(1)
    os.dup2(writer, 1)
    try:
        yield reader, writer
    finally:
        os.dup2(saved, 1)
        for fd in (reader, writer, saved):
            os.close(fd)


def test_standard_output_that_is_a_pipe():
    """Ours does not wait for a slow reader; that of other programs, which share it, is as it was."""
    with piped() as (reader, writer):
        fd = open_log("-")
        flags, theirs = fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(writer, fcntl.F_GETFL)
        is_inherited = os.get_inheritable(fd)
        os.write(fd, b"x")
        os.close(fd)
        arrived = os.read(reader, 10)
    assert (flags & os.O_ACCMODE, flags & os.O_NONBLOCK) == (os.O_WRONLY, os.O_NONBLOCK)
    assert not is_inherited
    assert not theirs & os.O_NONBLOCK
    assert arrived == b"x"


def test_where_a_pipe_cannot_be_opened_anew(monkeypatch):
    """Without /dev/fd it is used as it is."""

    def fails(*_):
        raise failure(errno.ENOENT)

    monkeypatch.setattr("evloop.events.sinks.os.open", fails)
    with piped() as (reader, _):
        fd = open_log("-")
        os.write(fd, b"x")
        os.close(fd)
        arrived = os.read(reader, 10)
    assert arrived == b"x"


def test_a_file_that_cannot_be_opened(tmp_path):
    """A sentence: the folder is not there, or what the system says."""
    with pytest.raises(LogError, match="its folder does not exist"):
        open_log(str(tmp_path / "no" / "log"))
    with pytest.raises(LogError, match="Is a directory"):
        open_log(str(tmp_path))


def test_a_sink_in_memory():
    """Keeps the events, in order."""
    sink = MemorySink()
    events = [Signal(0, 1, 0, "SIGINT"), Signal(1, 2, 0, "SIGTERM")]
    sink.write(b"", events[:1])
    sink.write(b"", events[1:])
    sink.close()
    assert sink.events == events
    assert sink.lost == 0


def test_a_pipe_whose_reader_is_slow(tmp_path):
    """The server does not wait for it: events are lost, that is said once, and the log tells of the gap."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    said = []
    sink = FileSink(open_log(str(path)), "the.log", said.append)
    text = b""
    for number in range(400):
        events = [Signal(number, 0, 0, "x" * 1000)]
        sink.write(encode(events), events)
        if number % 150 == 149:
            text += os.read(reader, 1 << 20)
    text += os.read(reader, 1 << 20)
    sink.close()
    os.close(reader)
    assert said == [
        "the log the.log cannot be written (its reader does not keep up): serving goes on without it"
    ]
    lines = [json.loads(line) for line in text.splitlines()[:-1]]
    assert [line["ev"] for line in lines].count("gap") >= 1
    assert sink.lost > 100


def test_a_pipe_without_a_reader(tmp_path):
    """To wait for one would hang the server before it listens."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(LogError, match="cannot be written: nobody reads this pipe; start its reader first"):
        open_log(str(tmp_path / "fifo"))
