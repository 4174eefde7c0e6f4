"""Logs followed while they grow; the writers are this process, or nobody."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.apps import follow
from evloop_trace.apps.follow import FileFeed

from evloop.errors import LogError
from evloop.events.rotation import RotatingSink
from evloop.events.schema import SCHEMA, Accept, Cut, End, Gap, Header, Inherit, Poll, Recv, Signal
from evloop.events.series import open_series
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORIGIN = time.monotonic_ns()


def header(pid: int = 0, run: str = "run", mono_ns: int = ORIGIN) -> Header:
    """The first line of a log that this process writes, if it is nobody else's."""
    return Header(
        0, 0, 0, SCHEMA, mono_ns, time.time_ns(), 0, pid or os.getpid(), ["x"], {}, "", "", "prefix", 64,
        model="run", run=run,
    )  # fmt: skip


def recv(t: int, data: bytes = b"x", dur: int = 0) -> Recv:
    """A call that began at `t`."""
    return Recv(1, t, 0, dur, "tcp-1", 5, 100, len(data), (0, len(data)), data)


def end(t: int = 10**9) -> End:
    """The last line."""
    return End(9, t, 0, "finished", 10)


def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Log:
    """A file that events are added to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, *events: Any) -> None:
        """More lines."""
        with self.path.open("ab") as file:
            file.write(encode(events))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """The log that is followed."""
    return Log(tmp_path / "log.jsonl")


@pytest.fixture
def feed(log: Log) -> Iterator[FileFeed]:
    """A feed of it, an hour after the events: whatever there is, is settled."""
    feed = FileFeed(str(log.path), monotonic_ns=lambda: ORIGIN + 3600 * 10**9)
    with closing(feed):
        yield feed


def names(events: list[Any]) -> list[str]:
    """Sorts of events, and whose they are."""
    return [f"{type(event).__name__} {getattr(event, 'conn', None) or ''}".strip() for event in events]


def rest(feed: FileFeed) -> list[Any]:
    """All events until the end."""
    events = []
    while not feed.ended:
        assert feed.wait(5), "nothing came"
        events += feed.read()
    return events


def test_events_come_as_they_are_written(log: Log, feed: FileFeed) -> None:
    """Until the end event; nothing new is nothing."""
    assert feed.read() == []
    log.write(header(), recv(1))
    assert feed.wait(0)
    assert names(feed.read()) == ["Header", "Recv tcp-1"]
    assert not feed.wait(0)
    assert not feed.ended
    assert feed.current
    log.write(recv(2), end())
    assert names(rest(feed)) == ["Recv tcp-1", "End"]


def test_waiting_lasts_as_long_as_asked(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the file now and then."""
    now = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(follow.time, "sleep", sleep)
    with closing(FileFeed(str(log.path), lambda: now[0])) as feed:
        assert not feed.wait(0.12)
    assert slept == pytest.approx([0.05, 0.05, 0.02])


def test_a_log_of_a_program_that_is_over_is_read_to_its_end(log: Log, feed: FileFeed) -> None:
    """As fast as it can be: nobody needs the core."""
    log.write(header(dead()), *[recv(t) for t in range(3000)], end())
    assert len(rest(feed)) == 3002
    assert not feed.current
    assert feed.share == 1.0


def test_who_is_behind_does_not_know_the_present(
    log: Log, feed: FileFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the last piece is read."""
    monkeypatch.setattr("evloop_trace.apps.tail.PIECE", 4096)
    log.write(header(), *[recv(t) for t in range(400)])
    feed.read()
    feed.read()
    assert not feed.current
    while feed.wait(0):
        feed.read()
    assert feed.current


def test_a_program_that_was_killed_has_no_end(log: Log, feed: FileFeed) -> None:
    """Its process is gone."""
    log.write(header(dead()), recv(1))
    assert names(rest(feed)) == ["Header", "Recv tcp-1"]
    assert feed.fate() == "The log has no end: the program was killed."


def test_a_dump_does_not_grow(log: Log, feed: FileFeed) -> None:
    """Also while the server lives whose flight recorder has written it; that is said."""
    log.write(header(), recv(1), Cut(-1, 2, 0, "flight recorder: asked for"))
    assert names(rest(feed)) == ["Header", "Recv tcp-1", "Cut"]
    assert "flight recorder's dump, which does not grow" in feed.fate()


def test_a_log_that_is_emptied_begins_anew(log: Log, feed: FileFeed) -> None:
    """Also if another takes its place."""
    log.write(header(), recv(1), recv(2))
    feed.read()
    log.path.write_bytes(encode([header(), recv(3)]))
    assert feed.wait(0)
    assert names(feed.read()) == ["Header", "Recv tcp-1"]
    assert feed.anew == 1
    other = log.path.with_name("other")
    other.write_bytes(encode([header(), recv(4), recv(5), recv(6), end()]))
    other.replace(log.path)
    assert len(rest(feed)) == 5
    assert feed.anew == 2


def test_who_empties_its_log_and_dies_is_over(log: Log, feed: FileFeed) -> None:
    """There is no header that could tell who it was, but there was one."""
    log.write(header(dead()), recv(1))
    feed.read()
    log.path.write_bytes(b"")
    assert rest(feed) == []


def test_broken_lines_are_passed_over(log: Log, feed: FileFeed) -> None:
    """And counted."""
    log.write(header())
    with log.path.open("ab") as file:
        file.write(b"nonsense\n")
    log.write(end())
    assert names(rest(feed)) == ["Header", "End"]
    assert feed.broken == 1


def test_a_log_that_does_not_begin_is_one_sentence(log: Log, feed: FileFeed) -> None:
    """It is not there, it is empty, it is something else."""
    with pytest.raises(LogError, match=re.escape(f"{log.path} does not exist: name a log, or start")):
        feed.expect(seconds=0.01)
    log.path.write_bytes(b"")
    with pytest.raises(LogError, match=re.escape(f"{log.path} is empty: nothing has been recorded")):
        feed.expect(seconds=0.01)
    log.path.write_bytes(b'{"ev":"hea')
    with pytest.raises(LogError, match=re.escape(f"{log.path} is not an event log: its first line is not a")):
        feed.expect(seconds=0.01)
    log.path.write_bytes(b"{}\n")
    with pytest.raises(LogError, match="is not an event log"):
        feed.expect()
    with pytest.raises(LogError, match=r"^'' names no log: give a file, or a server's socket$"):
        FileFeed("").expect(seconds=0)


def test_a_compressed_log_does_not_grow(log: Log) -> None:
    """That is said at once, and of a whole one as of its first bytes."""
    log.write(header(), end())
    for data in (gzip.compress(log.path.read_bytes()), b"\x1f\x8b"):
        log.path.write_bytes(data)
        said = f"{log.path} is compressed, and nothing is added to it: look at it with evloop-trace replay"
        with pytest.raises(LogError, match=f"^{re.escape(said)}$"):
            FileFeed(str(log.path)).expect()


def test_who_started_us_will_begin_its_log(log: Log, feed: FileFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another run left there is not looked at."""
    parent = os.getppid()
    log.write(header(dead()), recv(1), end())
    steps: list[Callable[[], object]] = [
        lambda: log.path.write_bytes(b""),
        lambda: log.write(header(parent)),
    ]
    monkeypatch.setattr(follow.time, "sleep", lambda _: steps.pop(0)())
    feed.expect(parent)
    assert steps == []
    assert names(feed.read()) == ["Header"]
    assert feed.anew == 0


def test_who_started_us_may_die_before_its_log_begins(log: Log, feed: FileFeed) -> None:
    """Then there is nothing to be shown."""
    feed.expect(dead())
    assert feed.ended
    assert feed.fate() == "Nothing was recorded: the program ended before its log began."


def test_other_processes_of_the_run_are_followed_too(log: Log, feed: FileFeed) -> None:
    """By their names one sees whose sockets they are; their clock is the first one's."""
    log.write(header(), recv(1000))
    assert len(feed.read()) == 2
    one = Log(log.path.with_name("log.jsonl.41"))
    one.write(header(41, mono_ns=ORIGIN + 500), recv(200), recv(1500), end(2000))
    log.write(recv(1200), end(3000))
    events = rest(feed)
    assert names(events) == ["Recv 41:tcp-1", "Recv tcp-1", "Recv 41:tcp-1", "End"]
    assert [event.t for event in events] == [700, 1200, 2000, 3000]
    assert [event.seq for event in events] == [-1, 1, -1, 9]
    assert [event.thread for event in events[:3]] == ["41:main", "", "41:main"]


def test_logs_of_another_run_are_left_alone(log: Log, feed: FileFeed) -> None:
    """So are files that just have such a name, and all of them if the log names no run."""
    log.write(header())
    Log(log.path.with_name("log.jsonl.41")).write(header(run="another"), recv(1))
    log.path.with_name("log.jsonl.42").write_text("notes\n")
    log.path.with_name("log.jsonl.bak").write_text("notes\n")
    log.path.with_name("log.jsonl.43").touch()
    log.write(end())
    assert names(rest(feed)) == ["Header", "End"]
    log.path.write_bytes(encode([header(run="")]))
    Log(log.path.with_name("log.jsonl.44")).write(header(run=""), recv(1))
    feed.ended = False
    assert names(feed.read()) == ["Header"]


def test_an_event_is_held_back_until_nobody_can_have_an_earlier_one(log: Log) -> None:
    """While there are several processes; a call is due when it has returned."""
    now = [ORIGIN + 10**9]
    with closing(FileFeed(str(log.path), monotonic_ns=lambda: now[0])) as feed:
        log.write(header())
        other = Log(log.path.with_name("log.jsonl.41"))
        other.write(header(run="run"), recv(10**9 - 10_000_000))
        assert names(feed.read()) == ["Header"]
        log.write(recv(1000, dur=10**9 - 15_000_000))
        assert feed.wait(1)
        assert feed.read() == []
        now[0] += 20_000_000
        assert names(feed.read()) == ["Recv tcp-1", f"Recv {os.getpid()}:tcp-1"]


def test_a_log_that_is_behind_holds_the_others_back(
    log: Log, feed: FileFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has more may be as early as its last."""
    monkeypatch.setattr("evloop_trace.apps.tail.PIECE", 4096)
    log.write(header(), Poll(1, 10, 1, 5, None, "", [("tcp-1", "IN")]), recv(10**6), end())
    other = Log(log.path.with_name("log.jsonl.41"))
    other.write(header(), *[recv(t) for t in range(100, 200)], Accept(9, 300, 0, 1, "tcp-1"), end())
    first = feed.read()
    assert names(first)[:2] == ["Header", "Poll"]
    assert "Recv tcp-1" not in names(first), "another process may have an earlier event"
    events = [*first, *rest(feed)]
    assert len(events) == 105
    times = [event.t for event in events]
    assert times == sorted(times)


def test_when_the_program_has_ended_nobody_else_is_waited_for(log: Log, feed: FileFeed) -> None:
    """What there is is read; a process that it left behind lives on unseen."""
    log.write(header(), recv(1))
    Log(log.path.with_name("log.jsonl.41")).write(header(), recv(5))
    feed.finish()
    assert names(rest(feed)) == ["Header", "Recv tcp-1", f"Recv {os.getpid()}:tcp-1"]


def test_a_program_that_is_not_recorded_leaves_nothing(feed: FileFeed) -> None:
    """Not even a log."""
    feed.finish()
    assert rest(feed) == []


def test_a_folder_that_is_removed_is_no_failure(log: Log, feed: FileFeed) -> None:
    """The file can be read on."""
    log.write(header(), recv(1))
    feed.read()
    log.write(end())
    log.path.unlink()
    log.path.parent.rmdir()
    assert names(rest(feed)) == ["End"]
    log.path.parent.mkdir()


class Rotated:
    """A log that the server's own sink writes and rotates, an event at a time."""

    def __init__(self, path: Path, most: int = 4096) -> None:
        self.path = path
        self.said: list[str] = []
        first = header()
        first.model = "loop"
        opened = open_series(str(path), 50, "")
        self.sink = RotatingSink(
            opened, str(path), self.said.append, most=most, header=first,
            standing=lambda: [Inherit(-1, self.seq, 0, "listen-1", 3, "tcp", "127.0.0.1:1", listens=True)],
        )  # fmt: skip
        self.seq = 0
        self.sink.begin()
        self.write(first)

    def write(self, *events: Any) -> None:
        """Hand on."""
        self.sink.write(encode(events), events)

    def signals(self, count: int) -> list[int]:
        """So many events, each handed on by itself; their numbers."""
        numbers = [self.seq + 1 + at for at in range(count)]
        for number in numbers:
            self.seq = number
            self.write(Signal(number, number, 0, "SIGUSR1"))
        return numbers

    @property
    def files(self) -> int:
        """How many there are."""
        return len(list(self.path.parent.iterdir()))


def test_a_log_that_is_rotated(tmp_path: Path) -> None:
    """Who follows it hears every event once, whether it looks often or only when several files were begun."""
    log = Rotated(tmp_path / "log.jsonl")
    heard: list[int] = []
    written: list[int] = []
    with closing(FileFeed(str(log.path))) as feed:
        feed.expect()
        for count in (1, 3, 100, 1, 500, 2):  # one file holds some fifty
            written += log.signals(count)
            before = -1
            while before != len(heard):
                before = len(heard)
                heard += [event.seq for event in feed.read() if isinstance(event, Signal)]
                heard += [event.seq for event in feed.read() if isinstance(event, Signal)]
        assert log.files > 5
        assert heard == written
        assert feed.anew == 0
        assert feed.broken == 0
    log.sink.close()
    assert log.said == []


def test_a_log_whose_next_file_is_gone(tmp_path: Path) -> None:
    """Who comes so late that its next file was removed begins anew, with what is open."""
    log = Rotated(tmp_path / "log.jsonl")
    with closing(FileFeed(str(log.path))) as feed:
        feed.expect()
        log.signals(3)
        while not any(isinstance(event, Signal) for event in feed.read()):
            pass
        written = log.signals(300)
        older = sorted(tmp_path.glob("log.jsonl.old-*"))
        assert len(older) > 3
        for file in older[:3]:
            file.unlink()
        events: list[Any] = []
        while not feed.anew or not events:
            events = feed.read()
        assert isinstance(events[0], Header)
        assert events[0].first > 4
        assert isinstance(events[1], Gap)
        assert isinstance(events[2], Inherit)
        while events[-1].seq != written[-1]:
            events += feed.read()
        heard = [event.seq for event in events if isinstance(event, Signal)]
        assert heard == written[-len(heard) :], "from the oldest file that is left on"
        assert heard[0] == events[0].first == events[1].seq + 1
        assert 0 < events[1].lost < len(written) - len(heard) + 1
        assert feed.anew == 1
    log.sink.close()
