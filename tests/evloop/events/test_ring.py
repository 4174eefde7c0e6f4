"""A flight recorder: what it keeps, what it says was open, and when it writes."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from evloop.events import ring
from evloop.events.past import Past
from evloop.events.ring import PAUSE, RingSink
from evloop.events.schema import (
    Accept,
    Bind,
    Close,
    Inherit,
    Interest,
    Listen,
    Poll,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Signal,
    Slow,
)
from evloop.events.series import open_series
from evloop.testing import failure

MINUTE = 60 * 10**9


class Recorded:
    """A recorder in a folder, and a server's events for it."""

    def __init__(self, folder, header, size=10, keep=5, **options):
        self.path = folder / "log"
        self.said: list[str] = []
        self.seq = self.tick = self.t = 0
        self.closed = False
        self.open: list[Inherit] = []
        self.first = header()
        opened = open_series(str(self.path), keep, "--ring writes files")
        self.sink = RingSink(
            opened, "the.log", self.said.append, size=size, header=self.first,
            standing=lambda: list(self.open), **options,
        )  # fmt: skip

    def turn(self, *makes):
        """A tick with these events, each made of its first fields."""
        self.tick += 1
        events = [make(self._number(), self.t, self.tick) for make in makes]
        self.sink.write(b"", events)
        return events

    def _number(self):
        self.seq += 1
        self.t += 10
        return self.seq

    def signals(self, count):
        """So many ticks of one event."""
        for _ in range(count):
            self.turn(lambda *at: Signal(*at, "SIGWINCH"))

    def dump(self, why="SIGUSR1"):
        """Ask for a file; its lines."""
        self.sink.ask(why)
        self.signals(1)
        return self.lines()

    def lines(self, name="log"):
        """A file's lines, when it is written."""
        self.sink._wait()
        text = (self.path.parent / name).read_bytes()
        assert text.endswith(b"\n")
        return [json.loads(line) for line in text.splitlines()]

    def close(self):
        """Once."""
        if not self.closed:
            self.closed = True
            self.sink.close()

    @property
    def older(self):
        """The older files."""
        self.sink._wait()
        return sorted(it.name for it in self.path.parent.iterdir() if it.name != "log")


@pytest.fixture
def recorded(tmp_path, header):
    """How to make one, which is closed with the test."""
    made = []

    def make(**options):
        made.append(Recorded(tmp_path, header, **options))
        return made[-1]

    yield make
    for it in made:
        it.close()


def listen(*at):
    """A listener."""
    return Listen(*at, 1, "listen-1", 3, "tcp", "127.0.0.1:1", 5)


def udp(*at):
    """A datagram socket."""
    return Bind(*at, 1, "udp-1", 4, "udp", "127.0.0.1:1")


def accept(name, fd=7):
    """A connection."""
    return lambda *at: Accept(*at, 1, "listen-1", name, fd, "127.0.0.1:2", "127.0.0.1:1", 0)


def recv(name, start, end):
    """Bytes that came."""
    return lambda *at: Recv(*at, 1, name, 7, 100, end - start, (start, end))


def send(name, start, end):
    """Bytes that went."""
    return lambda *at: Send(*at, 1, name, 7, 100, end - start, (start, end))


def interest(name, old, new):
    """What is watched."""
    return lambda *at: Interest(*at, name, None, old, new, "why")


def close(conn, received=0, sent=0):
    """A connection's end."""
    return lambda *at: Close(*at, 1, 7, "eof", conn, None, received=received, sent=sent)


def test_the_last_events(recorded):
    """Whole ticks with as many as were asked for; what is missing is told, and why it was written."""
    it = recorded(size=10)
    it.sink.write(b"", [it.first])
    for _ in range(20):
        it.turn(*[lambda *at: Signal(*at, "SIGHUP")] * 3)
    header, gap, *lines, cut = it.dump()
    assert (header["ev"], header["seq"]) == ("header", 0)
    numbers = [line["seq"] for line in lines]
    assert numbers == list(range(52, 62))  # three ticks of three, and that in which it was asked
    assert (gap["seq"], gap["t"], gap["tick"], gap["lost"], gap["wanted"]) == (51, 520, 18, 51, True)
    assert (cut["t"], cut["tick"]) == (610, 21)
    assert it.sink.lost == 0
    assert gap["reason"] == "flight recorder: it keeps the last 10 events"
    assert (cut["ev"], cut["seq"], cut["reason"]) == ("cut", -1, "flight recorder: SIGUSR1")
    assert it.said == ["flight recorder: SIGUSR1: the last 10 events are in the.log"]


def test_nothing_is_missing_yet(recorded):
    """Then there is no gap; and the header is none of the events that are counted."""
    it = recorded(size=10)
    it.sink.write(b"", [it.first, Signal(1, 1, 0, "SIGHUP")])
    it.seq = 1
    assert [line["ev"] for line in it.dump()] == ["header", "signal", "signal", "cut"]
    it.turn(listen, udp)
    it.open = [Inherit(-1, 0, 9, name, 3, "tcp") for name in ("listen-1", "udp-1")]  # since then
    assert [line["ev"] for line in it.dump()] == [
        "header", "signal", "signal", "listen", "bind", "signal", "cut",
    ]  # fmt: skip


def test_what_was_open_before(recorded):
    """Each socket as it was before the first event that is kept, also of those that were closed since."""
    it = recorded(size=4)
    it.turn(listen, udp, accept("tcp-1"), recv("tcp-1", 0, 50), send("tcp-1", 0, 40))
    it.turn(accept("tcp-2"), accept("tcp-3"), recv("tcp-2", 0, 7), send("tcp-2", 0, 7), close("tcp-3"))
    it.turn(lambda *at: Recvfrom(*at, 1, "udp-1", 4, 9, "127.0.0.1:9"))
    first, *_ = it.turn(
        recv("tcp-1", 50, 60), interest("tcp-1", "READ|WRITE", "READ"), accept("tcp-4"),
        recv("tcp-2", 7, 9), close("tcp-2", 9, 7), close("tcp-1", 60, 40),
        lambda *at: Recvfrom(*at, 1, "udp-1", 4, 9, "127.0.0.1:9"),
        lambda *at: Sendto(*at, 1, "udp-1", 4, "127.0.0.1:9", 9),
        lambda *at: Sendto(*at, 1, "udp-1", 4, "127.0.0.1:9", errno="EAGAIN"),
        lambda *at: Accept(*at, 1, "listen-1", errno="EAGAIN"),
        lambda *at: Recv(*at, 1, "tcp-4", 7, 100, errno="EAGAIN"),
        lambda *at: Send(*at, 1, "tcp-4", 7, 100, errno="EAGAIN"),
        lambda *at: Recvfrom(*at, 1, "udp-1", 4, errno="EAGAIN"),
    )  # fmt: skip
    it.open = [
        Inherit(
            -1,
            0,
            9,
            "listen-1",
            3,
            "tcp",
            "127.0.0.1:1",
            listens=True,
            backlog=5,
            accepted=4,
            interest="READ",
        ),
        Inherit(-1, 0, 9, "udp-1", 4, "udp", "127.0.0.1:1", accepted=2, sent=1, interest="READ"),
        Inherit(-1, 0, 9, "tcp-4", 7, "tcp", "127.0.0.1:1", "127.0.0.1:2", opened=9, interest="READ"),
    ]
    lines = it.dump()
    states = {line["name"]: line for line in lines if line["ev"] == "inherit"}
    assert set(states) == {"listen-1", "udp-1", "tcp-1", "tcp-2"}
    assert all(
        (line["seq"], line["t"], line["tick"]) == (-1, first.t, first.tick) for line in states.values()
    )
    assert states["listen-1"] == {**states["listen-1"], "accepted": 3, "backlog": 5, "listens": True}
    assert (states["udp-1"]["accepted"], states["udp-1"].get("sent", 0)) == (1, 0)
    one, two = states["tcp-1"], states["tcp-2"]
    assert (one["received"], one["sent"], one["interest"], one["buffered"]) == (50, 40, "READ|WRITE", 10)
    assert (one["peer"], one["address"], one["sock"], one["opened"]) == (
        "127.0.0.1:2",
        "127.0.0.1:1",
        "listen-1",
        30,
    )
    assert (two["received"], two["sent"], two.get("interest")) == (7, 7, None)
    assert set(it.sink._gone) == {"listen-1", "udp-1", "tcp-1", "tcp-2"}


def test_what_stood_before_is_all_that_is_known_of_it():
    """Counts and offsets are those before the first event; a buffer is there if it is watched for WRITE."""
    ticks = [
        [accept("tcp-1")(1, 10, 1), accept("tcp-2")(2, 11, 1), recv("tcp-8", 50, 60)(3, 12, 1)],
        [
            Recvfrom(4, 13, 2, 1, "udp-1", 4, 9, "p"), Recvfrom(5, 14, 2, 1, "udp-1", 4, 9, "p"),
            Sendto(6, 15, 2, 1, "udp-1", 4, "p", 9), Sendto(7, 16, 2, 1, "udp-1", 4, "p", 9),
            interest("tcp-5", "READ", "READ|WRITE")(8, 17, 2), send("tcp-8", 40, 45)(9, 18, 2),
            Interest(10, 19, 2, None, "listen-1", "READ", "", "full"),
            close("tcp-9", 60, 40)(11, 20, 2), close("tcp-10")(12, 21, 2),
            Close(13, 22, 2, 1, 3, "stop", None, "listen-2"), Close(14, 23, 2, 1, 4, "stop", None, "udp-2"),
        ],
    ]  # fmt: skip
    both = "READ|WRITE"
    after = [
        Inherit(-1, 0, 9, "listen-1", 3, "tcp", "a", listens=True, accepted=5, interest=""),
        Inherit(-1, 0, 9, "udp-1", 4, "udp", "a", accepted=4, sent=3, interest="READ"),
        Inherit(-1, 0, 9, "tcp-1", 5, "tcp"),
        Inherit(-1, 0, 9, "tcp-5", 5, "tcp", received=30, sent=10, interest=both),
        Inherit(-1, 0, 9, "tcp-6", 5, "tcp", received=30, sent=30, interest=both),
        Inherit(-1, 0, 9, "tcp-7", 5, "tcp", received=30, sent=10, interest=both),
        Inherit(-1, 0, 9, "tcp-8", 5, "tcp", received=60, sent=45, interest="READ"),
    ]
    gone = {
        "tcp-9": accept("tcp-9")(-9, 1, 0),
        "tcp-10": Accept(-8, 2, 0, 1, "listen-1", "tcp-10", 7),
        "listen-2": Listen(-7, 3, 0, 1, "listen-2", 3, "tcp", "127.0.0.1:3", 17),
        "udp-2": Bind(-6, 4, 0, 1, "udp-2", 4, "udp", "127.0.0.1:4"),
    }
    past = Past()
    past.see_before(reversed(ticks))
    assert {it.name: it for it in past.standing(ticks[0][0], after, gone)} == {
        it.name: it
        for it in (
            Inherit(-1, 10, 1, "listen-1", 3, "tcp", "a", listens=True, accepted=3, interest="READ"),
            Inherit(-1, 10, 1, "udp-1", 4, "udp", "a", accepted=2, sent=1, interest="READ"),
            Inherit(-1, 10, 1, "tcp-5", 5, "tcp", received=30, sent=10, interest="READ"),
            Inherit(-1, 10, 1, "tcp-6", 5, "tcp", received=30, sent=30, interest=both),
            Inherit(-1, 10, 1, "tcp-7", 5, "tcp", received=30, sent=10, interest=both, buffered=20),
            Inherit(-1, 10, 1, "tcp-8", 5, "tcp", received=50, sent=40, interest="READ"),
            Inherit(
                -1, 10, 1, "tcp-9", 7, "tcp", "127.0.0.1:1", "127.0.0.1:2", received=60, sent=40,
                sock="listen-1", opened=1,
            ),
            Inherit(-1, 10, 1, "tcp-10", 7, "tcp", sock="listen-1", opened=2),
            Inherit(-1, 10, 1, "listen-2", 3, "tcp", "127.0.0.1:3", listens=True, backlog=17),
            Inherit(-1, 10, 1, "udp-2", 4, "udp", "127.0.0.1:4"),
        )
    }  # fmt: skip


def test_who_listened_and_was_closed(recorded):
    """Listeners and datagram sockets are remembered, too; of what is unknown nothing is said."""
    it = recorded(size=1)
    it.turn(listen, udp)
    it.turn(
        lambda *at: Close(*at, 1, 3, "stop", None, "listen-1"),
        lambda *at: Close(*at, 1, 4, "stop", None, "udp-1"),
        lambda *at: Close(*at, 1, 5, "stop", None, "unknown-1"),
    )
    it.sink._write_beside("SIGUSR1")
    states = {line["name"]: line for line in it.lines() if line["ev"] == "inherit"}
    assert {name: line.get("listens", False) for name, line in states.items()} == {
        "listen-1": True,
        "udp-1": False,
    }
    it.signals(2)
    assert it.sink._gone == {}


def test_nothing_grows(recorded):
    """However many connections come and go, only what is kept is remembered."""
    it = recorded(size=50)
    for number in range(1, 500):
        it.turn(accept(f"tcp-{number}"), close(f"tcp-{number}"))
    assert len(it.sink._gone) == 0
    assert it.sink._count == sum(map(len, it.sink._ticks)) == 50


def test_a_second_dump_overwrites_nothing(recorded):
    """The newest has the name; what was there before, too, is an older file then; the oldest go."""
    it = recorded(keep=2)
    it.path.write_bytes(b"precious")
    for number in range(4):
        assert it.dump(f"reason {number}")[-1]["reason"] == f"flight recorder: reason {number}"
    assert it.older == ["log.old-000003", "log.old-000004"]
    assert it.lines("log.old-000003")[-1]["reason"] == "flight recorder: reason 1"


def test_no_dump_leaves_no_file(recorded):
    """Nor is what was there touched."""
    it = recorded()
    it.signals(3)
    assert it.path.exists()  # it is locked: nobody else writes it
    it.close()
    assert not it.path.exists()
    it.path.write_bytes(b"precious")
    again = recorded()
    again.signals(3)
    again.close()
    assert it.path.read_bytes() == b"precious"


def test_an_empty_file_that_is_another_s(recorded):
    """If ours was moved, what has its name is left alone; and one that cannot be removed is no failure."""
    it = recorded()
    it.path.rename(it.path.parent / "moved")
    it.path.touch()
    it.close()
    assert it.path.exists()
    again = recorded()
    again.sink._series.folder.unlink = lambda _name: (_ for _ in ()).throw(failure(errno.EACCES))
    again.close()
    assert it.path.exists()


def test_a_file_that_somebody_removed(recorded):
    """Before the first dump, or after: it is made anew, and the sentence is true."""
    it = recorded()
    for number in range(1, 3):
        it.path.unlink()
        assert it.dump()[-1]["reason"] == "flight recorder: SIGUSR1"
        assert it.said[-1].endswith(
            f"the last {number} events are in the.log".replace("1 events are", "event is")
        )
    assert it.older == []


def test_a_slow_tick(recorded):
    """It is a reason; the next within a minute is none, then within two."""
    it = recorded()
    when = []
    for _ in range(40):
        it.t += MINUTE // 4
        it.turn(lambda *at: Signal(*at, "SIGHUP"), lambda *at: Slow(*at, 183_000_000, "tcp-3"))
        if it.sink._thread is not None:
            when.append(it.t // MINUTE)
            it.sink._wait()
            it.sink._thread = None
    assert when == [0, 1, 3, 7]
    assert (
        it.lines()[-1]["reason"] == "flight recorder: a tick took 183 ms, the longest turn was that of tcp-3"
    )
    assert PAUSE == MINUTE


def test_slow_ticks_that_nobody_asked_for(recorded):
    """Then they are none; and one may have been nobody's."""
    it = recorded(slow=False)
    it.turn(lambda *at: Slow(*at, 183_000_000, None))
    assert it.sink._thread is None
    it.sink._slow = True
    it.turn(lambda *at: Slow(*at, 183_000_000, None))
    assert it.lines()[-1]["reason"] == "flight recorder: a tick took 183 ms"


def test_a_lint(recorded):
    """What it finds is a reason, each kind by itself; it sees every event."""
    seen = []
    found = {
        5: [("spin", "it spins.")],
        6: [("spin", "it still spins.")],
        7: [("leak", "it leaks."), ("spin", "x")],
    }

    def lint(events):
        seen.extend(events)
        return found.get(events[0].seq, [])

    it = recorded(lint=lint)
    why = []
    for _ in range(8):
        it.signals(1)
        if it.sink._thread is not None:
            why.append(it.lines()[-1]["reason"])
            it.sink._thread = None
    assert why == ["flight recorder: lint: spin: it spins.", "flight recorder: lint: leak: it leaks."]
    assert it.said[0] == "flight recorder: lint: spin: it spins: the last 5 events are in the.log"
    assert len(seen) == 8


def test_a_lint_that_fails(recorded):
    """It is told once, and not asked again; the recorder goes on."""
    asked = []

    def lint(events):
        asked.append(events)
        raise KeyError("tcp-1")

    it = recorded(lint=lint)
    it.signals(3)
    assert len(asked) == 1
    assert it.said == ["the flight recorder looks for faults no more: KeyError: 'tcp-1'"]
    assert it.dump()[-1]["ev"] == "cut"


@pytest.fixture
def disk(monkeypatch):
    """A disk that takes nothing until `goes_on` is set; `begun` is when somebody wants to write."""

    class Disk:
        """Two events."""

        goes_on, begun = threading.Event(), threading.Event()

    real = os.write

    def write(fd, data):
        Disk.begun.set()
        assert Disk.goes_on.wait(30)
        return real(fd, data)

    monkeypatch.setattr(ring.os, "write", write)
    return Disk


def test_what_comes_while_a_file_is_written_is_gathered_at_once(recorded, disk):
    """It is as it was then, and written when its turn comes: nothing else need happen for that."""
    it = recorded()
    it.sink.ask("one")
    it.signals(1)
    assert disk.begun.wait(30)
    it.sink.ask("two")
    it.signals(3)
    disk.goes_on.set()
    assert it.lines()[-1]["reason"] == "flight recorder: two"
    assert [line["seq"] for line in it.lines()] == [0, 1, 2, -1]
    assert it.older == ["log.old-000001"]
    assert it.lines("log.old-000001")[-1]["reason"] == "flight recorder: one"


def test_the_end_while_files_are_written(recorded, disk):
    """None that was asked for is lost, and there are no pauses any more."""
    it = recorded()
    naps, real = [], it.sink._wait
    it.signals(1)
    for why in ("one", "two", "three"):
        it.sink.ask(why)
        it.signals(1)
    assert disk.begun.wait(30)

    def wait():
        disk.goes_on.set()
        real()

    it.sink._wait = wait
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ring.time, "sleep", naps.append)
        it.close()
    it.sink._wait = real
    assert naps == []
    assert it.older == ["log.old-000001", "log.old-000002"]
    assert it.lines()[-1]["reason"] == "flight recorder: three"


def test_more_than_the_disk_takes(recorded, disk):
    """So many wait, and what comes then is not written: it is told, once for each reason."""
    it = recorded()
    it.sink.ask("first")
    it.signals(1)
    assert disk.begun.wait(30)
    for _ in range(10):
        it.sink.ask("SIGUSR1")
        it.signals(1)
    it.turn(lambda *at: Slow(*at, 183_000_000, None))
    assert len(it.sink._waiting) == ring.WAITING == 3
    dropped = "not written, as 3 files still wait to be written: ask again when they are there"
    told = [f"flight recorder: SIGUSR1: {dropped}", f"flight recorder: a tick took 183 ms: {dropped}"]
    assert it.said == told
    disk.goes_on.set()
    assert it.older == ["log.old-000001", "log.old-000002", "log.old-000003"]
    assert it.lines()[-1]["reason"] == "flight recorder: SIGUSR1"
    assert it.lines()[-2]["seq"] == 4
    assert it.dump()[-2]["seq"] == it.seq
    disk.goes_on.clear()
    disk.begun.clear()
    for _ in range(6):
        it.sink.ask("SIGUSR1")
        it.signals(1)
        assert disk.begun.wait(30)
    disk.goes_on.set()
    it.sink._wait()
    assert [sentence for sentence in it.said if "not written" in sentence] == [*told, told[0]]


@pytest.fixture
def threads(monkeypatch):
    """So many threads cannot be started: what is left of that number."""

    class Threads:
        missing = 0

    class Thread(threading.Thread):
        def start(self):
            if Threads.missing:
                Threads.missing -= 1
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(ring.threading, "Thread", Thread)
    return Threads


NO_THREAD = "not written yet (can't start new thread): it is written with the next, or when the server ends"


def test_no_thread_to_write_with(recorded, threads):
    """Nothing is lost of it: it is told, and written as it was then when the next is asked for."""
    it = recorded()
    threads.missing = 1
    it.sink.ask("one")
    it.signals(1)
    assert (threads.missing, it.said) == (0, [f"flight recorder: one: {NO_THREAD}"])
    it.signals(2)
    it.sink.ask("two")
    it.signals(1)
    assert it.older == ["log.old-000001"]
    assert [line["seq"] for line in it.lines("log.old-000001")] == [0, 1, -1]
    assert [line["seq"] for line in it.lines()] == [0, 1, 2, 3, 4, -1]


def test_no_thread_for_as_many_as_may_wait(recorded, threads):
    """Who asks then is not written, but those who wait are."""
    it = recorded()
    threads.missing = ring.WAITING
    for why in ("one", "two", "three", "four"):
        it.sink.ask(why)
        it.signals(1)
    assert threads.missing == 0
    assert it.older == ["log.old-000001", "log.old-000002"]
    assert it.lines()[-1]["reason"] == "flight recorder: three"
    (said,) = [sentence for sentence in it.said if "four" in sentence]
    assert said.startswith("flight recorder: four: not written, as 3 files still wait")


def test_no_thread_for_a_long_time(recorded, threads):
    """Who asks when too many wait already is told once that it is not written, and never that it will be."""
    it = recorded()
    threads.missing = 99
    for why in ("one", "two", "three", "four", "four"):
        it.sink.ask(why)
        it.signals(1)
    assert threads.missing == 94
    dropped = "not written, as 3 files still wait to be written: ask again when they are there"
    assert it.said == [
        *(f"flight recorder: {why}: {NO_THREAD}" for why in ("one", "two", "three")),
        f"flight recorder: four: {dropped}",
    ]
    it.close()
    assert it.lines()[-1]["reason"] == "flight recorder: three"


def test_no_thread_until_the_end(recorded, threads, descriptors):
    """It is written by who ends, and nothing of it is left open."""
    before = descriptors()
    it = recorded()
    threads.missing = 1
    it.sink.ask("one")
    it.signals(1)
    it.close()
    assert threads.missing == 0
    assert it.lines()[-1]["reason"] == "flight recorder: one"
    assert descriptors() == before


def test_no_thread_before_a_crash(recorded, threads):
    """What was asked for is a file of its own, before that of the crash."""
    it = recorded()
    threads.missing = 1
    it.sink.ask("one")
    it.signals(1)
    it.sink.write_now("crashed")
    assert it.older == ["log.old-000001"]
    assert it.lines("log.old-000001")[-1]["reason"] == "flight recorder: one"
    assert it.lines()[-1]["reason"] == "flight recorder: crashed"


def test_a_crash(recorded):
    """It is written before the call returns; and after what was being written."""
    it = recorded()
    it.sink.write_now("nothing was recorded")
    assert it.path.read_bytes() == b""
    it.signals(2)
    it.sink.ask("SIGUSR1")
    it.signals(1)
    it.sink.write_now("crash: KeyError: 1")
    assert (
        json.loads(it.path.read_bytes().splitlines()[-1])["reason"] == "flight recorder: crash: KeyError: 1"
    )
    assert it.older == ["log.old-000001"]
    it.sink.ask("slow tick")  # a crash's file is the last: what comes now comes of its end
    it.signals(1)
    it.sink._wait()
    assert it.older == ["log.old-000001"]


def test_many_events_in_pieces(recorded, monkeypatch):
    """They are encoded by and by, and stand in the file as they came."""
    naps = []
    monkeypatch.setattr(ring.time, "sleep", naps.append)
    it = recorded(size=1000)
    it.turn(listen)
    for _ in range(500):
        it.turn(lambda *at: Poll(*at, 1, None, "why", []), recv("tcp-1", 0, 0), send("tcp-1", 0, 0))
    numbers = [line["seq"] for line in it.dump() if line["seq"] > 0 and line["ev"] != "gap"]
    assert numbers == list(range(numbers[0], it.seq + 1))
    assert len(numbers) >= 1000
    assert len(naps) > 8
    last = it.turn(*[lambda *at: Signal(*at, "SIGHUP")] * ring.PIECE)
    it.sink._size = 1
    it.sink._forget(it.sink._ticks.popleft())
    it.sink.write_now("one tick is a piece")
    assert it.lines()[-2]["seq"] == last[-1].seq


def test_a_file_that_the_system_takes_in_pieces(recorded, monkeypatch):
    """It is whole all the same."""
    real = os.write
    it = recorded()
    it.signals(20)
    with monkeypatch.context() as patched:
        patched.setattr(ring.os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
        lines = it.dump()
    assert [line["seq"] for line in lines] == [0, 11, *range(12, 22), -1]


@pytest.mark.parametrize("room", [0, 100, 1500])
def test_a_full_disk(recorded, monkeypatch, room):
    """As many whole lines as there is room for; it is told; the next one is written when there is room."""
    it = recorded(size=100)
    it.signals(200)
    left = [room]
    real = os.write

    def write(fd, data):
        n = min(len(data), left[0])
        left[0] -= n
        if not n:
            raise failure(errno.ENOSPC)
        return real(fd, data[:n])

    with monkeypatch.context() as patched:
        patched.setattr(ring.os, "write", write)
        it.sink.ask("SIGUSR1")
        it.signals(1)
        it.sink._wait()
    text = it.path.read_bytes()
    whole = b"".join(it.sink._gather("SIGUSR1").pieces())
    assert text == whole[: whole.rfind(b"\n", 0, room) + 1]
    assert it.said == [
        "the flight recorder cannot write the.log (No space left on device): serving goes on without it"
    ]
    assert it.dump()[-1]["ev"] == "cut"
    assert it.older == (["log.old-000001"] if text else [])


def test_a_folder_that_may_not_be_written(recorded, monkeypatch):
    """The file that is there stays."""
    it = recorded()
    before = it.dump("one")

    def fail(*_given, **_named):
        raise failure(errno.EACCES)

    with monkeypatch.context() as patched:
        patched.setattr(it.sink._series.folder, "open", fail)
        it.sink.ask("two")
        it.signals(1)
        it.sink._wait()
    assert it.older == []
    assert it.lines() == before
    assert "cannot write the.log (Permission denied)" in it.said[-1]


def test_an_older_file_that_cannot_be_removed(recorded):
    """The file is whole, and that is what is said of it; of the other there is a sentence of its own."""
    it = recorded(keep=0)
    (it.path.parent / "log.old-000001").touch()
    folder = it.sink._series.folder
    real = folder.unlink

    def unlink(name):
        if name == "log.old-000001":
            raise failure(errno.EPERM)
        real(name)

    folder.unlink = unlink
    assert it.dump("one")[-1]["reason"] == "flight recorder: one"
    it.dump("two")
    why = "log.old-000001: Operation not permitted"
    assert it.said == [
        "flight recorder: one: the last event is in the.log",
        f"older files of the log {it.path} cannot be removed ({why}): there are more than are to be kept",
        "flight recorder: two: the last 2 events are in the.log",
    ]
    assert it.older == ["log.old-000001"]


def test_what_nobody_thought_of(recorded, monkeypatch):
    """It is told, and the loop does not hear of it."""
    it = recorded()

    def fail(_events):
        raise ValueError("it cannot be encoded")

    with monkeypatch.context() as patched:
        patched.setattr(ring, "encode", fail)
        it.sink.ask("one")
        it.signals(1)
        it.sink._wait()
    assert it.said == ["the flight recorder failed: ValueError: it cannot be encoded"]
