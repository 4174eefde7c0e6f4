"""A log in several files: each a log by itself, all together the whole one; nothing torn on a full disk."""

from __future__ import annotations

import errno
import json
import os
import stat

import pytest

from evloop.errors import LogError
from evloop.events import rotation, series
from evloop.events.rotation import CUT, RotatingSink
from evloop.events.schema import End, Inherit, Signal
from evloop.events.series import Series, open_series
from evloop.events.sinks import encode, open_log
from evloop.testing import failure


def no_room(*_):
    """A write on a full disk."""
    raise failure(errno.ENOSPC)


class Log:
    """A log that is rotated, in a folder of its own."""

    def __init__(self, folder, header, most=4096, keep=5):
        self.path = folder / "log"
        self.said: list[str] = []
        self.seq = 0
        first = header()
        opened = open_series(str(self.path), keep, "it needs a file")
        self.sink = RotatingSink(
            opened, "the.log", self.said.append, most=most, header=first, standing=self.standing
        )
        self.sink.begin()
        self.hand_on(first)

    def standing(self):
        """What is open."""
        return [Inherit(-1, self.seq, 0, "listen-1", 3, "tcp", "127.0.0.1:1", listens=True)]

    def hand_on(self, *events):
        """To the sink."""
        self.sink.write(encode(events), events)

    def signals(self, count=1):
        """So many events."""
        for _ in range(count):
            self.seq += 1
            self.hand_on(Signal(self.seq, self.seq, 0, "SIGUSR1"))

    def until_rotated(self, times=1):
        """Hand on until another file was begun."""
        for _ in range(times):
            inode = self.path.stat().st_ino
            for _ in range(1000):
                self.signals()
                if self.path.stat().st_ino != inode:
                    break
            else:
                raise AssertionError("it was not rotated")

    @property
    def older(self):
        """The older files' names, the oldest first."""
        return sorted(it.name for it in self.path.parent.iterdir() if it.name != "log")

    def lines(self, name="log"):
        """A file's lines."""
        text = (self.path.parent / name).read_bytes()
        assert text.endswith(b"\n")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def log(tmp_path, header):
    """How to make one, which is closed with the test."""
    made = []

    def make(**options):
        made.append(Log(tmp_path, header, **options))
        return made[-1]

    yield make
    for it in made:
        it.sink.close()


def test_each_file_and_all_together(log):
    """Each has a header, what is open, and says that it ends; the numbers go on from file to file."""
    it = log()
    it.until_rotated(3)
    it.signals(2)
    seqs = []
    for number, name in enumerate([*it.older, "log"]):
        header, *lines = it.lines(name)
        assert header["ev"] == "header"
        assert header.get("first", 0) == (seqs[-1] + 1 if number else 0)
        if number:
            assert (lines[0]["ev"], lines[0]["seq"], lines[0]["t"]) == ("inherit", -1, seqs[-1])
        if name != "log":
            assert lines[-1] == {"ev": "cut", "seq": -1, "t": lines[-2]["t"], "tick": 0, "reason": CUT}
            assert os.stat(it.path.parent / name).st_size < 4096 + 200
        seqs += [line["seq"] for line in lines if line["seq"] >= 0]
    assert seqs == list(range(1, it.seq + 1))
    assert it.older == ["log.old-000001", "log.old-000002", "log.old-000003"]
    assert it.said == []
    assert it.sink.lost == 0


def test_the_oldest_go(log):
    """As many stay as are kept."""
    it = log(keep=2)
    it.until_rotated(5)
    assert it.older == ["log.old-000004", "log.old-000005"]


def test_what_may_read_it(log):
    """A new file has the mode of the one before, and is locked as that was."""
    it = log()
    assert stat.S_IMODE(it.path.stat().st_mode) == 0o600
    it.path.chmod(0o640)
    it.until_rotated()
    assert stat.S_IMODE(it.path.stat().st_mode) == 0o640
    with pytest.raises(LogError, match="written by another program"):
        open_log(str(it.path))
    os.close(open_log(str(it.path.parent / it.older[0])))


def test_a_file_system_without_modes(log, monkeypatch):
    """It is rotated all the same."""
    it = log()
    monkeypatch.setattr(series.os, "fchmod", lambda *_: (_ for _ in ()).throw(failure(errno.EPERM)))
    it.until_rotated()
    assert it.said == []


def test_every_file_has_its_name_and_its_sentence(log):
    """What cannot be written is told by the name that the log was given, in every file."""
    it = log()
    for sentence in range(2):
        real, it.sink._file._os_write = it.sink._file._os_write, no_room
        it.signals()
        it.sink._file._os_write = real
        it.signals()
        assert it.said[2 * sentence].startswith("the log the.log cannot be written (No space left on device)")
        it.until_rotated()
    assert it.sink.lost == 2


def test_a_file_that_the_system_takes_in_pieces(log, monkeypatch):
    """Its head and its last line are whole all the same."""
    real = os.write
    it = log()
    monkeypatch.setattr(rotation.os, "write", lambda fd, data: real(fd, data[:7]))
    it.until_rotated()
    monkeypatch.undo()
    it.signals()
    assert [line["ev"] for line in it.lines()][:2] == ["header", "inherit"]
    assert it.lines(it.older[0])[-1]["ev"] == "cut"


def test_an_end_begins_no_file(log):
    """The last line is in the file in which it belongs, however long that is."""
    it = log()
    while it.sink._size < it.sink._most - 300:
        it.signals()
    it.hand_on(End(it.seq + 1, it.seq, 0, "x" * 1000, it.seq + 2))
    assert it.older == []


@pytest.mark.parametrize("call", ["rename", "open", "write"])
def test_what_fails_at_a_rotation(log, monkeypatch, call):
    """The log goes on in the file that it has; that is told once, and the next time it works again."""
    it = log()
    fails = []

    def fail(*_given, **_named):
        fails.append(call)
        raise failure(errno.ENOSPC)

    with monkeypatch.context() as patched:
        if call == "write":
            patched.setattr(series, "write_lines", fail)
        else:
            patched.setattr("evloop.files.os." + call, fail)
        it.signals(200)
        assert len(fails) > 1
    assert it.older == []
    assert len(it.said) == 1
    assert "the log the.log cannot be rotated (No space left on device): it is written on" in it.said[0]
    assert [line["seq"] for line in it.lines()] == list(range(it.seq + 1))
    it.until_rotated()
    assert it.older == ["log.old-000001"]
    assert it.lines()[0]["first"] == it.seq + 1
    with monkeypatch.context() as patched:
        patched.setattr("evloop.files.os.rename", fail)
        it.signals(100)
    assert len(it.said) == 2  # it had worked in between


@pytest.mark.parametrize("room", [0, 10])
def test_no_room_for_the_last_line_of_the_old_file(log, monkeypatch, room):
    """Then it has none, and nothing that is torn."""
    it = log()
    real, fired = os.write, []

    def write(fd, data):
        if b'"cut"' not in data and not fired:
            return real(fd, data)
        fired.append(data)
        if room and len(fired) == 1:
            return real(fd, data[:room])
        raise failure(errno.ENOSPC)

    with monkeypatch.context() as patched:
        patched.setattr(rotation.os, "write", write)
        it.until_rotated()
    assert fired
    assert it.lines("log.old-000001")[-1]["ev"] == "signal"
    assert it.said == []


def test_a_file_that_lacks_something_is_not_left(log):
    """Who cannot write the log rotates it when the gap is told."""
    it = log()
    real = it.sink._file._os_write
    it.signals(60)

    def full(_fd, _data):
        raise failure(errno.ENOSPC)

    it.sink._file._os_write = full
    it.signals(40)
    assert it.older == []
    it.sink._file._os_write = real
    it.until_rotated()
    assert it.sink.lost == 40
    assert sum(line["lost"] for line in it.lines("log.old-000001") if line["ev"] == "gap") == 40
    it.hand_on(End(it.seq + 1, it.seq, 0, "SIGTERM", it.seq + 2, it.sink.lost))
    assert it.lines()[-1]["lost"] == 40


@pytest.mark.parametrize("path", ["-", "/dev/null"])
def test_what_is_no_file_cannot_be_rotated(path, descriptors):
    """It is said at the beginning, and what needs a file."""
    before = descriptors()
    with pytest.raises(LogError, match=f"it needs a file, and {path!r} is none"):
        open_series(path, 1, "it needs a file")
    assert descriptors() == before


def test_somebody_makes_the_file_in_between(log, monkeypatch):
    """It is theirs: ours gets its name back only if that is free."""
    it = log()
    real = Series._shelve

    def shelve(series, fd):
        older = real(series, fd)
        it.path.write_bytes(b"theirs")
        return older

    with monkeypatch.context() as patched:
        patched.setattr(Series, "_shelve", shelve)
        it.signals(100)
    it.signals(100)
    assert len(it.said) == 1
    assert "File exists" in it.said[0]
    assert it.path.read_bytes() == b"theirs"
    assert [line["seq"] for line in it.lines("log.old-000001")] == list(range(it.seq + 1))


def test_an_older_file_that_cannot_be_removed(log, monkeypatch):
    """The log is rotated all the same, and says so of nothing else; the other old ones go."""
    it = log(keep=1)
    real = it.sink._series.folder.unlink

    def unlink(name):
        if name == "log.old-000001":
            raise failure(errno.EPERM)
        real(name)

    with monkeypatch.context() as patched:
        patched.setattr(it.sink._series.folder, "unlink", unlink)
        it.until_rotated(4)
    assert it.older == ["log.old-000001", "log.old-000004"]
    assert it.lines()[0]["first"] == it.lines("log.old-000004")[-2]["seq"] + 1
    why = "log.old-000001: Operation not permitted"
    assert it.said == [
        f"older files of the log {it.path} cannot be removed ({why}): there are more than are to be kept"
    ]
    it.until_rotated()
    assert it.older == ["log.old-000005"]


def test_a_log_that_was_moved_away(log):
    """As others rotate logs: in time there is a new one under the name, and the moved one has its end."""
    it = log()
    it.signals(5)
    it.path.rename(it.path.parent / "moved")
    while not it.path.exists():
        it.signals()
    assert it.older == ["moved"]
    assert it.lines("moved")[-1]["ev"] == "cut"
    assert it.lines()[0]["first"] == it.seq + 1
    assert it.said == []


def test_more_is_open_than_a_file_shall_have(log):
    """Then a file has at least as many bytes of events as of what is open."""
    it = log(keep=1000)
    it.standing = it.sink._standing = lambda: [
        Inherit(-1, it.seq, 0, f"tcp-{n}", n, "tcp", "127.0.0.1:1", "127.0.0.1:2", opened=1)
        for n in range(100)
    ]
    it.until_rotated(4)
    for name in it.older[1:]:
        kinds = [line["ev"] for line in it.lines(name)]
        assert (kinds.count("inherit"), kinds.count("signal") > 100) == (100, True)
