"""A log in shared memory: whole whatever happens to the program, its descriptors or the disk."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evloop.errors import LogError
from evloop.events import mapped
from evloop.events.mapped import MappedSink, direct_sink
from evloop.events.schema import Signal
from evloop.events.sinks import FileSink, encode
from evloop.testing import failure

PAGE = 4096


def no_room(*_):
    """A posix_fallocate of a full disk."""
    raise failure(errno.ENOSPC)


class Log:
    """A sink on a file, and events for it."""

    def __init__(self, path, window=PAGE):
        self.path = path
        self.said = []
        self.sink = MappedSink(os.open(path, os.O_RDWR | os.O_CREAT), str(path), self.said.append, window)
        self.seq = 0

    def write(self, size=6):
        """Hand on an event with so long a name."""
        events = [Signal(self.seq, 5 * self.seq, 1, "x" * size)]
        self.seq += 1
        self.sink.write(encode(events), events)

    @property
    def lines(self):
        """What is in the file, up to what was not written."""
        return [json.loads(line) for line in self.path.read_bytes().rstrip(b"\0").splitlines()]

    def numbers(self):
        """The events' numbers, and how many each gap stands for."""
        return [-line["lost"] if line["ev"] == "gap" else line["seq"] for line in self.lines]


@pytest.fixture
def log(tmp_path):
    """An open log with small windows."""
    log = Log(tmp_path / "the.log")
    yield log
    log.sink.close()


def test_lines_across_windows(log):
    """Each is in the file at once, before anything is closed; also one that is longer than a window."""
    for size in (6, 100, PAGE, 3 * PAGE, 6):
        log.write(size)
        assert log.numbers() == list(range(log.seq))
        assert log.path.stat().st_size <= len(log.path.read_bytes().rstrip(b"\0")) + PAGE
    for _ in range(200):
        log.write()
    assert log.numbers() == list(range(log.seq))
    assert log.sink.lost == 0


def test_the_rest_is_cut_off(tmp_path):
    """A log that is closed in good order holds its lines and nothing else; what it held before is gone."""
    path = tmp_path / "the.log"
    path.write_bytes(b"z" * 9 * PAGE)
    log = Log(path)
    assert path.read_bytes() == b""
    log.write()
    assert path.stat().st_size == PAGE
    log.sink.close()
    assert path.read_bytes().endswith(b"}\n")
    assert log.numbers() == [0]


def test_nothing_was_written(tmp_path):
    """Such a log is empty."""
    log = Log(tmp_path / "the.log")
    log.sink.close()
    assert log.path.read_bytes() == b""


def test_killed(tmp_path):
    """Every line that was written is there, and behind it only NULs."""
    path = tmp_path / "the.log"
    program = (
        "import os, signal, sys\n"
        "from evloop.events.mapped import direct_sink\n"
        "from evloop.events.schema import Signal\n"
        "from evloop.events.sinks import encode\n"
        "sink = direct_sink(sys.argv[1], print)\n"
        "for seq in range(5000):\n"
        "    events = [Signal(seq, 0, 0, 'SIGINT')]\n"
        "    sink.write(encode(events), events)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    data = path.read_bytes()
    assert data.endswith(b"\0")
    assert [json.loads(line)["seq"] for line in data.rstrip(b"\0").splitlines()] == list(range(5000))


def test_a_full_disk(log, monkeypatch):
    """Lost events are counted, said once, and told by a gap when there is room again."""
    log.write(PAGE)
    full = []

    def no_room(*_):
        full.append(1)
        raise failure(errno.ENOSPC)

    monkeypatch.setattr(mapped.os, "posix_fallocate", no_room)
    for _ in range(3):
        log.write(2 * PAGE)
    assert len(full) == 6  # a window, and then just the room for the line
    assert log.sink.lost == 3
    assert log.said == [
        f"the log {log.path} cannot be written (No space left on device): the program goes on without it"
    ]
    monkeypatch.undo()
    log.write()
    assert log.numbers() == [0, -3, 4]
    assert log.lines[1]["reason"] == "the log could not be written: there was no room for it"
    assert [line["seq"] for line in log.lines] == [0, 3, 4]


def test_a_disk_that_is_full_from_the_beginning(log, monkeypatch):
    """There is no line before the gap."""
    monkeypatch.setattr(mapped.os, "posix_fallocate", no_room)
    log.write()
    monkeypatch.undo()
    log.write()
    assert log.numbers() == [-1, 1]


def test_a_window_serves_many_lines(log, monkeypatch):
    """Only who finds it full asks for another: to copy a line costs no system call."""
    allocate, asked = os.posix_fallocate, []
    monkeypatch.setattr(mapped.os, "posix_fallocate", lambda *it: asked.append(it) or allocate(*it))
    for _ in range(20):
        log.write()
    assert len(asked) == 1


def test_a_disk_that_is_nearly_full(tmp_path, monkeypatch):
    """No room for a window is no reason to lose a line."""
    allocate = os.posix_fallocate

    def small(fd, begin, size):
        if begin + size > 3 * PAGE:
            raise failure(errno.ENOSPC)
        allocate(fd, begin, size)

    monkeypatch.setattr(mapped.os, "posix_fallocate", small)
    log = Log(tmp_path / "the.log", window=64 * PAGE)
    while not log.sink.lost:
        log.write()
    assert log.path.stat().st_size > 2 * PAGE
    assert log.numbers() == list(range(log.seq - 1))
    log.sink.close()


def test_a_kernel_that_cannot_fill_pages_at_once(log, monkeypatch):
    """MADV_POPULATE_WRITE is refused by older ones: then each page is made when it is written."""
    monkeypatch.setattr(mapped, "_POPULATE_WRITE", 9999)
    log.write()
    assert log.numbers() == [0]


def test_a_program_that_closes_all_descriptors(log):
    """As daemons do, and then opens others: the log goes on, and they are not written to."""
    log.write()
    fd = log.sink._fd
    os.close(fd)
    other = os.open(log.path.parent / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, fd)
    try:
        for _ in range(200):
            log.write()
        assert log.numbers() == list(range(201))
        assert (log.path.parent / "other").read_bytes() == b""
    finally:
        os.close(other)
        os.close(fd)


def test_a_log_that_was_moved_away(log):
    """With its descriptor closed too it cannot be found: events are lost, and nothing else happens."""
    log.write()
    moved = log.path.rename(log.path.with_name("moved"))
    os.close(log.sink._fd)
    log.path.write_bytes(b"another's")
    for _ in range(200):
        log.write()
    assert log.sink.lost
    assert log.said == [
        f"the log {log.path} cannot be written (it was moved or removed): the program goes on without it"
    ]
    assert log.sink._fd == -1
    assert log.path.read_bytes() == b"another's"
    moved.rename(log.path)


def test_a_child_lets_go(log):
    """And what it does to its copy changes nothing for its parent."""
    log.write()
    child = os.fork()
    if child == 0:
        log.sink.abandon()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    log.write()
    assert log.numbers() == [0, 1]


def test_letting_go_of_what_is_closed(tmp_path):
    """A daemon has closed it before."""
    for end in (MappedSink.close, MappedSink.abandon):
        log = Log(tmp_path / "the.log")
        log.write()
        os.close(log.sink._fd)
        end(log.sink)
        assert log.numbers() == [0]


def test_letting_go_leaves_the_file_as_it_is(tmp_path):
    """Nothing is cut off: that is for who goes on with it."""
    log = Log(tmp_path / "the.log")
    log.write()
    log.sink.abandon()
    assert log.path.stat().st_size == PAGE
    assert log.numbers() == [0]


def test_its_descriptor_isout_of_the_way(log):
    """The program's own have the numbers that they would have without it."""
    assert log.sink._fd >= 512
    fd = os.dup(0)
    os.close(fd)
    assert fd < 512


@pytest.mark.parametrize(("limit", "lowest"), [(1024, 512), (520, 512), (519, 511), (100, 92), (5, 3)])
def test_how_high_a_number_it_gets(monkeypatch, limit, lowest):
    """512, or where fewer are allowed eight below the limit, but not one of the first three."""
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(fcntl, "fcntl", lambda *given: asked.append(given) or os.dup(given[0]))
    fd = os.dup(0)
    os.close(mapped.out_of_the_way(fd))
    assert asked == [(fd, fcntl.F_DUPFD_CLOEXEC, lowest)]


def test_where_few_descriptors_are_allowed(tmp_path):
    """It keeps the number it has, if none is left up there."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    fd = os.open(tmp_path / "the.log", os.O_RDWR | os.O_CREAT)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd + 1, before[1]))
    taken = []
    try:
        while True:
            try:
                taken.append(os.dup(0))
            except OSError:
                break
        sink = MappedSink(fd, "the.log", print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in taken:
            os.close(number)
    assert sink._fd == fd
    sink.close()


def test_which_sink(tmp_path):
    """A mapping of a regular file; what is none is written to."""
    sink = direct_sink(str(tmp_path / "the.log"), print)
    assert isinstance(sink, MappedSink)
    assert stat.S_IMODE((tmp_path / "the.log").stat().st_mode) == 0o600
    with pytest.raises(LogError, match="written by another program"):
        direct_sink(str(tmp_path / "the.log"), print)
    sink.close()
    null = direct_sink(os.devnull, print)
    assert isinstance(null, FileSink)
    null.close()
    assert Path(os.devnull).exists()


def test_a_sink_that_was_chosen_writes(tmp_path, monkeypatch):
    """What it maps is open for that; what goes wrong it says."""
    said = []
    sink = direct_sink(str(tmp_path / "the.log"), said.append)
    events = [Signal(0, 0, 0, "SIGINT")]
    sink.write(encode(events), events)
    assert (tmp_path / "the.log").read_bytes().rstrip(b"\0") == encode(events)
    monkeypatch.setattr(mapped.os, "posix_fallocate", no_room)
    sink.write(b"x" * (1 << 19), events)
    sink.close()
    (sentence,) = said
    assert sentence.startswith(f"the log {tmp_path}/the.log cannot be written (No space left on device): ")


def test_a_device_that_is_full(capfd):
    """It has its name and its sentence; and standard output is no file to map, even when it is one."""
    said = []
    sink = direct_sink("/dev/full", said.append)
    events = [Signal(0, 0, 0, "SIGINT")]
    sink.write(encode(events), events)
    sink.close()
    assert said == [
        "the log /dev/full cannot be written (No space left on device): serving goes on without it"
    ]
    assert stat.S_ISREG(os.fstat(1).st_mode)  # capfd makes it one
    output = direct_sink("-", said.append)
    assert isinstance(output, FileSink)
    output.close()


def test_a_file_that_cannot_be_mapped(tmp_path):
    """One that is open for reading only cannot be written through memory: mmap(2), EACCES."""
    (tmp_path / "the.log").write_bytes(b"x" * PAGE)
    fd = os.open(tmp_path / "the.log", os.O_RDONLY)
    try:
        with pytest.raises(PermissionError):
            mapped._map(fd, PAGE, 0)
    finally:
        os.close(fd)
