"""The log of a program that blocks: when it begins, what its first and last line say, whom it disturbs."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import threading

import pytest

from evloop import recording
from evloop.errors import LogError
from evloop.events import sinks
from evloop.header import make_header
from evloop.recording import LogOptions, Recording, Reporter


@pytest.fixture
def keep(tmp_path):
    """A log in the test's folder."""
    return LogOptions(str(tmp_path / "log.jsonl"), "prefix", 64)


@pytest.fixture
def record():
    """Begin a recording; it is closed with the test."""
    made = []

    def start(keep):
        header = make_header(keep, {"backlog": 5}, model="once", mode="echo")
        made.append(Recording(keep, header, Reporter(), ("beside.py",)))
        return made[-1]

    yield start
    for one in made:
        one.close()


def events(keep):
    """What is in the log."""
    with open(keep.log) as file:
        return [json.loads(line) for line in file]


def test_it_begins_when_it_is_told_to(keep, record):
    """What was done before is then in it, and what the file held before is gone."""
    with open(keep.log, "w") as file:
        file.write("a log of before\n")
    recorded = record(keep)
    socket.socket().close()
    with open(keep.log) as file:
        assert file.read() == "a log of before\n"
    recorded.begin()
    assert [event["ev"] for event in events(keep)] == ["header", "socket", "close"]
    socket.socket().close()
    recorded.reason = "SIGTEST"
    recorded.close()
    assert [event["ev"] for event in events(keep)] == ["header", *["socket", "close"] * 2, "end"]
    assert events(keep)[-1]["reason"] == "SIGTEST"
    socket.socket().close()
    assert len(events(keep)) == 6


def test_it_never_begins(keep, record):
    """A program that cannot begin has not touched the log of before."""
    with open(keep.log, "w") as file:
        file.write("a log of before\n")
    record(keep).close()
    with open(keep.log) as file:
        assert file.read() == "a log of before\n"


def test_the_first_line(keep, record):
    """What ran, how, and with which limits."""
    record(keep).begin()
    header = events(keep)[0]
    assert (header["model"], header["mode"], header["selector"]) == ("once", "echo", "")
    assert (header["pid"], header["argv"], header["options"]) == (os.getpid(), sys.argv, {"backlog": 5})
    assert (header["payload"], header["payload_max"]) == ("prefix", 64)


@pytest.mark.parametrize(("policy", "limit"), [("none", 0), ("prefix", 5), ("full", sys.maxsize)])
def test_how_much_of_a_payload(policy, limit):
    """In bytes."""
    assert LogOptions("log", policy, 5).payload_limit == limit


def test_a_log_of_another(keep, record):
    """Two programs do not write one file; the second leaves nothing behind."""
    record(keep)
    before = socket.socket.recv
    with pytest.raises(LogError, match="is written by another"):
        record(keep)
    assert socket.socket.recv is before


def test_what_cannot_be_followed(record):
    """A picture of what is in no file."""
    with pytest.raises(LogError, match="--trace draws what is in the log, and '/dev/null' is no file"):
        record(LogOptions(os.devnull, "none", 0, trace=True))


def test_a_log_that_is_drawn_and_not_kept(record, monkeypatch, tmp_path):
    """It is in a file that has no name at any time, so that none is left; the picture ends before it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    class Picture:
        """A picture that looks for the file."""

        def __init__(self, path, _report, inherited):
            self.path = path
            assert path == f"/dev/fd/{inherited[0]}"

        def start(self, _packets):
            """It begins."""
            assert list(tmp_path.iterdir()) == []
            with open(self.path) as file:
                seen.append(json.loads(file.readline())["ev"])

        def wait(self):
            """It ends."""
            with open(self.path) as file:
                seen.append(json.loads(file.readlines()[-1])["ev"])

    monkeypatch.setattr("evloop.viewer.LogViewer", Picture)
    recorded = record(LogOptions(None, "none", 0, trace=True))
    recorded.begin()
    recorded.close()
    assert seen == ["header", "end"]
    assert list(tmp_path.iterdir()) == []


def frame_in(path):
    """A frame of code in a file."""
    made = {}
    exec(compile("import sys; frame = sys._getframe()", path, "exec"), made)
    return made["frame"]


def test_where_a_signal_may_raise(keep, record):
    """Not while a line is written, nor between a call and its event; but in a call that sleeps."""
    asked, caller = [], frame_in(recording._CALLERS + "calls.py")
    recorded = record(keep)
    recorded.begin()
    real = os.write

    def write(fd, data):
        asked.append((json.loads(data)["ev"], recorded.is_busy(sys._getframe()), recorded.is_busy(caller)))
        return real(fd, data)

    recorded._log._os_write = write
    ours, theirs = socket.socketpair()
    ours.settimeout(0.001)
    with ours, theirs, pytest.raises(TimeoutError):
        ours.recv(1)
    assert [event for event in asked if event[0] in {"block", "recv"}] == [
        ("block", True, False),
        ("recv", True, True),
    ]
    assert recorded.is_busy(frame_in("beside.py"))
    assert not recorded.is_busy(frame_in(__file__))
    assert not recorded.is_busy(None)


def test_another_thread_sleeps(keep, record):
    """That is no concern of the main thread, which signals interrupt."""
    recorded = record(keep)
    ours, theirs = socket.socketpair()
    ours.settimeout(0.001)
    with ours, theirs:
        seen = []

        def sleep():
            with contextlib.suppress(TimeoutError):
                ours.recv(1)
            seen.append(recorded._log.asleep)

        thread = threading.Thread(target=sleep)
        thread.start()
        thread.join()
    assert seen == [False]
    assert os.path.join(os.path.dirname(sinks.__file__), "") == recording._WRITERS


def test_sentences_wait_for_the_picture(capsys):
    """While it is on the screen nothing is written there."""
    report = Reporter()
    report("now\x1b")
    report.later = True
    report("later")
    assert capsys.readouterr().err == "evloop: now\\x1b\n"
    report.tell()
    report.tell()
    assert capsys.readouterr().err == "evloop: later\n"


def test_two_threads_say_something(monkeypatch):
    """A flight recorder's thread and the loop's: each sentence is said once, and none is lost."""
    said, report = [], Reporter()

    def say(line):
        said.append(line)
        if len(said) == 1:  # while that is said, another thread comes
            thread = threading.Thread(target=report, args=("two",))
            thread.start()
            thread.join()

    monkeypatch.setattr(recording, "_say", say)
    report("one")
    report("three")
    assert said == ["evloop: one", "evloop: two", "evloop: three"]


@pytest.mark.parametrize("path", ["/dev/full", None])
def test_nobody_can_be_told(monkeypatch, path):
    """Standard error is on the disk that is full, or closed: that ends no server."""
    with open(path, "w") if path else contextlib.nullcontext() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        report = Reporter()
        report("the disk is full")
        report.listening("tcp", "127.0.0.1:80")
        if stream:
            stream.flush()  # nothing was kept for later


@pytest.mark.parametrize(
    ("kind", "address", "lines"),
    [("tcp", "127.0.0.1:80", 1), ("udp", "[::1]:80", 1), ("unix", "/s", 1), ("tcp", "0.0.0.0:80", 2)],
)
def test_listening(capsys, kind, address, lines):
    """A line for scripts, and a warning off loopback."""
    Reporter().listening(kind, address)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"listening {kind} {address}"
    assert len(said) == lines
    assert all("no access control" in line for line in said[1:])
