"""What real runs do not show: the limits of each lint, what it leaves alone; and nothing upsets it."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.lint import Linter, Trail
from evloop_trace.model.lint.advice import ADVICE
from evloop_trace.model.lint.finding import KEPT
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from evloop.events.reader import Problem
from evloop.events.schema import (
    EVENT_TYPES,
    SCHEMA,
    Accept,
    Bind,
    Block,
    Close,
    ConnectionState,
    Control,
    Error,
    Gap,
    Header,
    Interest,
    Listen,
    ListenerState,
    Poll,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Signal,
    Slow,
    Snapshot,
    Timer,
    Unknown,
)
from evloop.net.listener import ACCEPT_BATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

MS = 1_000_000
S = 1_000 * MS


class Log:
    """Events in order, 1 µs apart unless time is told to go on."""

    def __init__(self, model: str = "loop", **fields: Any) -> None:
        self.linter = Linter()
        self.events: list[Any] = []
        self.t = self.tick = 0
        given = {
            "schema": SCHEMA, "mono_ns": 1, "wall_ns": 1, "bracket_ns": 0, "pid": 1, "argv": [],
            "versions": {}, "selector": "epoll", "mode": "upper", "payload": "prefix", "payload_max": 64,
        }  # fmt: skip
        self.begins = self.add(Header, model=model, **{**given, **fields})

    def header(self, first: int) -> Header:
        """Of a file that begins with this event, after others that are gone."""
        return replace(self.begins, first=first)

    def add(self, cls: Any, **fields: Any) -> Any:
        """One more."""
        self.t += 1000
        if issubclass(cls, EVENT_TYPES["poll"].__bases__[0]):
            fields.setdefault("dur", 100)
        event = cls(seq=len(self.events), t=self.t, tick=self.tick, **fields)
        self.events.append(event)
        return event

    def poll(self, *ready: str, bits: str = "IN", **fields: Any) -> None:
        """A turn begins."""
        self.tick += 1
        self.add(Poll, **{"timeout": None, "why": "", "ready": [(name, bits) for name in ready], **fields})

    def listen(self, backlog: int = 10) -> None:
        """A listener."""
        self.add(Listen, sock="listen-1", fd=3, proto="tcp", address="127.0.0.1:80", backlog=backlog)

    def accept(self, conn: str | None = "tcp-1", fd: int | None = 7, **fields: Any) -> None:
        """Somebody came, or did not."""
        self.add(Accept, sock="listen-1", conn=conn, fd=fd, peer="127.0.0.1:5", **fields)

    def recv(self, data: bytes | None, conn: str = "tcp-1", n: int | None = None, **fields: Any) -> None:
        """Bytes, or an errno."""
        if data is not None:
            fields |= {"n": len(data) if n is None else n, "data": data, "off": (0, 1)}
        self.add(Recv, conn=conn, fd=7, size=100, **fields)

    def send(self, n: int | None, size: int, start: int = 0, conn: str = "tcp-1", **fields: Any) -> None:
        """So many of so many bytes."""
        off = None if n is None else (start, start + n)
        self.add(Send, conn=conn, fd=7, size=size, n=n, off=off, **fields)

    def close(self, conn: str | None = "tcp-1", **fields: Any) -> None:
        """The end of a connection, or of another socket."""
        self.add(Close, conn=conn, **{"fd": 7, "reason": "close", **fields})

    def watch(self, new: str, conn: str = "tcp-1") -> None:
        """The interest changes."""
        self.add(Interest, conn=conn, sock=None, old="", new=new, reason="")

    def found(self, size: int = 1 << 30) -> list[str]:
        """The kinds of what is found, when so many events are fed at a time."""
        linter = Linter()
        for at in range(0, len(self.events), size):
            linter.feed(self.events[at : at + size])
        linter.finish()
        self.linter = linter
        return [finding.kind for finding in linter.findings]


@pytest.fixture
def log() -> Log:
    """A log of our loop, with a listener."""
    made = Log()
    made.listen()
    return made


# -- sending ----------------------------------------------------------------------------------------------


def test_a_rest_that_is_sent_when_there_is_room(log):
    """Somebody watches, and sends it: all is well, also when it takes three sends."""
    log.accept()
    log.send(10, 100)
    log.watch("READ|WRITE")
    log.poll("tcp-1", bits="OUT")
    log.send(20, 90, 10)
    log.poll("tcp-1", bits="OUT")
    log.send(70, 70, 30)
    log.watch("READ")
    log.poll()
    log.close(sent=100)
    assert log.found() == []


def test_the_next_send_is_not_the_rest(log):
    """Nobody watched, and something else is sent: the rest is lost, which is told once each."""
    log.accept()
    log.watch("READ")
    for turn in range(3):
        log.send(10, 100, 20 * turn)
        log.poll()
        log.send(10, 10, 20 * turn + 10)
        log.poll()
    log.close(sent=60)
    assert log.found() == ["lost-interest", "partial-send"]
    lost, partial = log.linter.findings
    assert lost.times == 3
    assert partial.times == 4  # the close tells it again
    assert "offers 10 B" in partial.sentence


def test_the_rest_is_late_but_whole(log):
    """Nobody watched, and it is sent all the same: late, but not lost."""
    log.accept()
    log.watch("READ")
    log.send(10, 100)
    log.poll()
    log.send(90, 90, 10)
    log.close(sent=100)
    assert log.found() == ["lost-interest"]


def test_nothing_was_taken(log):
    """EAGAIN: all of it is the rest."""
    log.accept()
    log.watch("READ")
    log.send(None, 100, errno="EAGAIN")
    log.poll()
    log.close()
    assert log.found() == ["lost-interest"]
    assert "took nothing of 100 B" in log.linter.findings[0].sentence


@pytest.mark.parametrize(
    "how",
    [{"reason": "error"}, {"errno": "ECONNRESET"}, {"buffered": 90}, {"reason": "drain-timeout"}],
)
def test_a_connection_that_breaks_owes_nothing(log, how):
    """Nor one whose rest the server had until it gave up, which the close says."""
    log.accept()
    log.send(10, 100)
    log.close(**how)
    assert log.found() == []


def test_a_send_that_broke(log):
    """EPIPE after a part of it: nobody is there to take the rest."""
    log.accept()
    log.send(10, 100)
    log.send(None, 90, errno="EPIPE")
    log.close()
    assert log.found() == []


def test_what_somebody_holds_back(log):
    """A gate is shut: nobody may watch."""
    log.accept()
    log.watch("READ")
    log.send(10, 100)
    log.add(Control, gate="write", held=True)
    log.poll()
    log.recv(b"")
    log.poll()
    log.add(Control, gate="write", held=False)
    log.send(90, 90, 10)
    log.close(sent=100)
    assert log.found() == []


def test_whose_interest_nobody_knows():
    """A log that begins later, and a poll that does not say what it watches; and a thread's own socket."""
    log = Log("run")
    log.accept()
    log.send(10, 100)
    log.poll()
    log.add(Block, awaits="poll", watched=[("tcp-1", "READ|WRITE")])
    log.poll("tcp-1", bits="OUT")
    log.add(Block, awaits="poll", watched=[("tcp-1", "READ")], thread="other")
    log.add(Block, awaits="poll")
    log.add(Block, awaits="recv", conn="tcp-1")
    assert log.found() == []


# -- ends -------------------------------------------------------------------------------------------------


def test_an_end_while_an_answer_waits(log):
    """It is closed when that is sent."""
    log.accept()
    log.send(10, 100)
    log.watch("WRITE")
    log.recv(b"")
    log.poll("tcp-1", bits="OUT")
    log.send(90, 90, 10)
    log.close(sent=100, reason="eof")
    log.poll()
    assert log.found() == []


def test_an_end_without_a_close(log):
    """Told when the turn is over, and once."""
    log.accept()
    log.recv(b"")
    log.recv(b"")
    log.poll()
    log.poll()
    assert log.found() == ["close-wait"]
    assert log.linter.findings[0].times == 1


def test_a_log_that_stops_within_a_turn_does_not_say_that_nobody_closed(log):
    """The disk was full, or it was killed: the close may be in what was not written."""
    log.accept()
    log.poll("tcp-1")
    log.recv(b"")
    assert log.found() == []
    log.poll()
    assert log.found() == ["close-wait"]


def test_a_program_that_leaves_a_connection_for_long():
    """Of other programs nothing is known but time."""
    log = Log("run")
    log.accept()
    log.recv(b"")
    log.poll()
    assert log.found() == []
    log.t += 11 * S
    log.poll()
    assert log.found() == ["close-wait"]


def test_a_program_that_ends_soon():
    """The last connection of a program need not be closed: its end does that."""
    log = Log("run")
    log.accept()
    log.recv(b"")
    log.close(reason="exit")
    assert log.found() == []
    log = Log("run")
    log.accept()
    log.recv(b"")
    assert log.found() == []
    log.accept("tcp-2")
    assert log.found() == ["close-wait"]


@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        ({"unread": 3}, ["ended-badly"]),
        ({"unread": 0}, []),
        ({}, []),
        ({"unread": 3, "reason": "aborted"}, []),
        ({"unread": 3, "reason": "exit"}, []),
        ({"unread": 3, "reason": "idle-timeout"}, []),
        ({"unread": 3, "reason": "lifetime"}, []),
        ({"unread": 3, "errno": "ECONNRESET"}, []),
    ],
)
def test_unread_bytes(log, how, kinds):
    """A reset, unless it is one already, or is meant to be one."""
    log.accept()
    log.close(**how)
    assert log.found() == kinds


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize(("errno", "kinds"), [("ECONNRESET", []), ("EPIPE", []), ("EAGAIN", ["ended-badly"])])
def test_unread_bytes_of_a_peer_that_is_gone(log, call, errno, kinds):
    """It has reset the connection itself, as a call has told us: there is nobody to be sent a reset."""
    log.accept()
    if call == "recv":
        log.recv(None, errno=errno)
    else:
        log.watch("READ|WRITE")
        log.send(None, 100, errno=errno)
    log.close(unread=3)
    assert log.found() == kinds


def test_unread_bytes_after_our_own_end(log):
    """EPIPE, as we have sent our end ourselves: the peer is still there, and gets the reset."""
    log.accept()
    log.add(Shutdown, conn="tcp-1", fd=7, how="SHUT_WR")
    log.send(None, 100, errno="EPIPE")
    log.close(unread=3)
    assert log.found() == ["ended-badly"]


def test_unread_bytes_of_many(log):
    """So many are kept, and the others counted."""
    for number in range(KEPT + 5):
        log.accept(f"tcp-{number}")
        log.close(f"tcp-{number}", unread=1)
    assert len(log.found()) == KEPT
    assert log.linter.left_out == {"ended-badly": 5}


@pytest.mark.parametrize(("remembered", "counted"), [(1, 1), (0, 3)])
def test_one_of_many_again_and_again(log, monkeypatch, remembered, counted):
    """It is counted once, though nothing is kept of it; unless there are too many of these, too."""
    monkeypatch.setattr("evloop_trace.model.lint.finding._COUNTED", remembered)
    for name in [f"tcp-{number}" for number in range(KEPT)] + ["tcp-last"] * 3:
        log.accept(name)
        log.close(name, unread=1)
    assert len(log.found()) == KEPT
    assert log.linter.left_out == {"ended-badly": counted}


# -- characters -------------------------------------------------------------------------------------------

HA = "哈".encode()
CUT = "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xe5 in position 3: unexpected end of data"
START = "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x93 in position 0: invalid start byte"


@pytest.mark.parametrize(
    ("data", "n", "message", "edge"),
    [
        (HA[:1], 1, CUT, "ends"),
        (b"a" + HA[:2], 3, CUT, "ends"),
        ("é".encode()[:1], 1, CUT, "ends"),
        ("😀".encode()[:3], 3, CUT, "ends"),
        (HA[1:], 2, START, "begins"),
        (HA, 3, START, ""),
        ("é".encode(), 2, START, ""),
        ("😀".encode(), 4, START, ""),
        (b"abc\xff", 4, START, ""),
        (b"abc", 3, START, ""),
        (b"x\x80\x80\x80\x80", 5, START, ""),
        (b"abc", 100, CUT, "ends"),
        (b"abc", 100, START, ""),
        (HA[:1], 1, "ValueError: no number", ""),
    ],
)
def test_a_character_in_two_reads(log, data, n, message, edge):
    """Bytes tell, if they were kept, else the error does."""
    log.accept()
    log.recv(b"before")
    log.recv(data, n=n)
    log.add(Error, where="handler", message=message, conn="tcp-1")
    assert log.found() == ["decode-edge"] * bool(edge)
    assert not edge or f"{edge} in the middle of a character" in log.linter.findings[0].sentence


def test_an_error_of_nobody(log):
    """Which connection it was the error need not say; that nothing was read, nobody tells."""
    log.add(Error, where="handler", message=CUT)
    assert log.found() == []
    log.accept()
    log.recv(HA[:1])
    log.add(Error, where="handler", message=CUT)
    log.add(Error, where="handler", message=CUT)
    assert log.found() == ["decode-edge"]
    assert log.linter.findings[0].times == 2


# -- turns ------------------------------------------------------------------------------------------------


def busy_turn(log: Log, reads: int, *others: str) -> None:
    """A turn in which one is read so often, and the next poll."""
    log.poll("tcp-1", *others)
    for _ in range(reads):
        log.recv(b"x")
        log.send(1, 1)
    log.poll()


@pytest.mark.parametrize("size", [1, 7, 1 << 30])
def test_one_takes_it_all(size, log):
    """However the log is cut into blocks."""
    log.accept()
    busy_turn(log, 60, "tcp-2", "tcp-3", "tcp-4", "tcp-5")
    busy_turn(log, 3000, "tcp-2")
    assert log.found(size) == ["starvation"]
    (finding,) = log.linter.findings
    assert finding.times == 2
    assert "tcp-2, tcp-3, tcp-4 and 1 more were ready meanwhile." in finding.sentence


def test_nobody_waits(log):
    """Who is alone may have it all; and a few reads are no reason."""
    log.accept()
    busy_turn(log, 100)
    busy_turn(log, 100, "watchers")
    log.poll("tcp-1", "tcp-2")
    for _ in range(100):
        log.send(1, 1)
    busy_turn(log, 20, "tcp-2")
    assert log.found() == []


def test_a_timer_waits(log):
    """It is told by how much it is late."""
    log.accept()
    log.poll("tcp-1")
    for _ in range(100):
        log.recv(b"x")
    log.add(Timer, why="somebody is idle", late=50 * MS)
    log.add(Timer, why="another", late=20 * MS)
    log.add(Timer, why="a third", late=1 * MS)
    log.poll()
    assert log.found() == ["starvation"]
    assert "A timer (somebody is idle) was 50.0 ms late." in log.linter.findings[0].sentence


def test_another_thread_keeps_nobody_waiting():
    """What it reads is no part of the turn; nor is what the poll did not name."""
    log = Log("run")
    log.poll("tcp-1", "tcp-2")
    for _ in range(100):
        log.recv(b"x", thread="other")
        log.recv(b"x", "tcp-9")
        log.recv(None, errno="EAGAIN")
        log.recv(b"x", "tcp-1")
    log.poll(thread="other")
    log.poll("tcp-1", "tcp-2")
    assert "starvation" not in log.found()


def test_datagrams_take_it_all(log):
    """Of them a turn may have more."""
    log.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:90")
    for number in (500, 1500):
        log.poll("udp-1", "tcp-1")
        for _ in range(number):
            log.add(Recvfrom, sock="udp-1", fd=4, n=1, peer="127.0.0.1:5")
        log.poll()
        assert log.found() == ["starvation"] * (number > 1000)
    assert "recvfrom()" in log.linter.findings[0].sentence


def test_a_slow_turn(log):
    """Our loop tells it itself."""
    log.add(Slow, dur=200 * MS, conn="tcp-1")
    log.add(Slow, dur=200 * MS)
    log.add(Slow, dur=300 * MS)
    assert log.found() == ["slow-handler", "slow-handler"]
    first, second = log.linter.findings
    assert "tcp-1 had the longest turn" in first.sentence
    assert second.name is None
    assert "2 times" in second.sentence


def test_slow_only_if_somebody_waited():
    """A program may take its time, as long as nobody is there; and so may a poll that had to sleep."""
    log = Log("run")
    log.poll("tcp-1")
    log.recv(b"x")
    log.t += 200 * MS
    log.poll("tcp-1")
    log.recv(b"x")
    log.t += 200 * MS
    log.add(Block, awaits="poll")
    log.t -= 1000
    log.poll("tcp-2")
    assert log.found() == []
    for _ in range(2):
        log.recv(b"x", call="recv_into", where="it.py:3")
        log.t += 200 * MS
        log.poll("tcp-2")
    assert log.found() == ["slow-handler"]
    assert "After recv_into() on tcp-1 at it.py:3 the loop asked again" in log.linter.findings[0].sentence


@pytest.mark.parametrize("size", [1, 3, 1 << 30])
def test_slow_before_an_answer(size):
    """Who computes first and sends then is slow as well; asyncio has polled once more in between."""
    log = Log("run")
    for _ in range(2):
        log.poll("tcp-1", "tcp-2")
        log.recv(b"x")
        log.poll(timeout=0)
        log.t += 150 * MS
        log.send(1, 1, where="it.py:5")
        log.send(1, 1, where="it.py:6")
        log.poll("tcp-2")
        log.recv(b"x", "tcp-2")
    assert log.found(size) == ["slow-handler"]
    (finding,) = log.linter.findings
    assert (finding.times, finding.name) == (2, "tcp-1")
    assert re.search(
        r"Before send\(\) on tcp-1 at it.py:5 the loop did something else for 150 ms, until \d.\d{3} s; "
        "tcp-2 had to wait.",
        finding.sentence,
    )


def test_what_is_missing_was_not_slow():
    """Nor what another thread did meanwhile, nor a call that blocks: `why` tells of that."""
    log = Log("run")
    log.poll("tcp-1")
    log.t += 150 * MS
    log.events.append(Gap(len(log.events), log.t, log.tick, 5, "lost"))
    log.poll("tcp-2")
    log.recv(b"x", "tcp-2", thread="other")
    log.t += 50 * MS
    log.recv(b"x", "tcp-2", thread="other")
    log.t += 60 * MS
    log.add(Block, awaits="poll")
    log.t -= 1000
    log.poll("tcp-1")
    log.recv(b"x", dur=200 * MS)
    log.t += 200 * MS
    log.poll("tcp-2")
    assert log.found() == []


# -- listeners --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backlog", "queued", "somaxconn", "kinds"),
    [
        (10, 8, "4096", []),
        (10, 9, "4096", ["queue-near-limit"]),
        (128, 10, "10", ["queue-near-limit"]),
        (0, 1, "", ["queue-near-limit"]),
        (10, 0, "", []),
    ],
)
def test_how_full_a_queue_may_be(backlog, queued, somaxconn, kinds):
    """Nine tenths, of what the system allows."""
    log = Log(sysctls={"net.core.somaxconn": somaxconn})
    log.listen(backlog)
    log.accept(queued=queued)
    log.add(Queue, sock="listen-1", queued=queued, backlog=backlog)
    assert log.found() == kinds
    assert not kinds or log.linter.findings[0].times == 2


def test_a_queue_that_overflows(log):
    """It is said what that means."""
    log.add(Queue, sock="listen-1", queued=11, backlog=10)
    log.add(Queue, sock="nobody", queued=11, backlog=10)
    assert log.found() == ["queue-near-limit"]
    assert "the SYNs of others are dropped" in log.linter.findings[0].sentence


def failing(log: Log, times: int, apart: int = 0, errno: str = "EMFILE") -> None:
    """So many accepts that fail."""
    for _ in range(times):
        log.accept(None, None, errno=errno)
        log.t += apart


def test_a_pause_after_a_shortage(log):
    """Who waits before the next try has done what can be done."""
    failing(log, 10, apart=10 * MS)
    failing(log, 2)
    log.accept()
    failing(log, 2)
    assert log.found() == []
    failing(log, 2)
    assert log.found() == ["spin-accept"]
    assert log.linter.findings[0].times == 4


def test_failures_are_added_up(log):
    """All of them, from the first to the last that shows it: not the longest batch over the whole time."""
    failing(log, 1)
    log.t += 10 * MS
    first = len(log.events)
    for times in (3, 4, 1, 3, 2):
        failing(log, times)
        log.accept()
        log.t += 100 * MS
    assert log.found() == ["spin-accept"]
    (finding,) = log.linter.findings
    failed = [event for event in log.events[first : finding.last.seq + 1] if event.conn is None]
    assert finding.seq == first
    assert finding.times == len(failed) == 11
    assert "failed with EMFILE 11 times since 0.010 s, 37 times a second, for 300 ms." in finding.sentence


def test_a_shortage_of_an_unknown_listener():
    """A log that begins later."""
    log = Log()
    failing(log, 5)
    assert log.found() == []


def test_a_batch_goes_on_after_an_aborted_connection(log):
    """Up to EAGAIN, or to the next that comes; and a whole batch is a batch."""
    log.poll("listen-1")
    failing(log, 1, errno="ECONNABORTED")
    log.accept()
    log.poll("listen-1")
    failing(log, 1, errno="ECONNABORTED")
    failing(log, 1, errno="EAGAIN")
    log.poll("listen-1")
    failing(log, ACCEPT_BATCH, errno="ECONNABORTED")
    log.poll("listen-1")
    assert log.found() == []


def test_a_batch_that_stops(log):
    """Only if others waited; and when the listener is gone nobody does."""
    log.poll("listen-1")
    failing(log, 1, errno="ECONNABORTED")
    log.poll()
    failing(log, 1, errno="ECONNABORTED")
    log.close(None, sock="listen-1")
    log.poll("listen-1")
    assert log.found() == []
    log.listen()
    for _ in range(2):
        failing(log, 1, errno="ECONNABORTED")
        log.poll("listen-1")
    assert log.found() == ["accept-stopped"]


def test_one_accept_a_turn():
    """A program that accepts one a turn has no batch to go on with."""
    log = Log("run")
    log.listen()
    log.poll("listen-1")
    failing(log, 1, errno="ECONNABORTED")
    log.poll("listen-1")
    assert log.found() == []


# -- spins ------------------------------------------------------------------------------------------------


def test_asking_in_a_rhythm(log):
    """Ten times a second is no spin, nor are a few times."""
    log.accept()
    for _ in range(100):
        log.t += 10 * MS
        log.recv(None, errno="EAGAIN")
        log.poll(timeout=0)
    for _ in range(5):
        log.poll("tcp-1")
    assert log.found() == []


def test_what_is_ready_changes(log):
    """OUT for long, and then IN: each counts for itself."""
    log.accept()
    for bits in ("OUT", "IN|OUT"):
        for _ in range(15):
            log.poll("tcp-1", bits=bits)
    assert log.found() == []
    for _ in range(30):
        log.poll("tcp-1", bits="OUT")
    assert log.found() == ["spin-write"]


def test_runs_are_added_up(log):
    """What lies between them is not a part of them, and how fast it went is told of the runs alone."""
    log.accept()
    for times in (30, 25, 10, 20):
        for _ in range(times):
            log.poll("tcp-1", bits="OUT")
        log.send(1, 1)
        log.t += 10 * S
    assert log.found() == ["spin-write"]
    (finding,) = log.linter.findings
    assert finding.times == 75
    assert (
        "is ready (OUT), 75 times since 0.000 s, 1,037,344 times a second, for 72.3 µs in 3 runs, the last "
        "until 30.000 s." in finding.sentence
    )


@pytest.mark.parametrize(("number", "polls"), [(8, 20), (9, 21), (16, 21), (17, 22), (100, 32), (1000, 144)])
def test_many_are_ready_and_nothing_is_done(log, number, polls):
    """As many polls more are nothing as the last of them has others before it, eight in a turn."""
    names = [f"tcp-{at}" for at in range(number)]
    for name in names:
        log.accept(name)
    for _ in range(polls - 1):
        log.poll(*names)
    assert log.found() == []
    log.poll(*names)
    assert log.found() == ["spin-ready"] * min(number, KEPT)
    assert log.linter.findings[0].times == polls
    assert log.linter.left_out.total() == max(0, number - KEPT)


def test_some_of_many_spin(log):
    """Nine of those who are ready, among a hundred who are served, and many who are idle."""
    busy, idle, spinning = ([f"{what}-{at}" for at in range(100)] for what in ("busy", "idle", "spin"))
    for name in (*busy, *idle, *spinning[:9]):
        log.accept(name)
    for _ in range(40):
        log.poll(*spinning[:9], *busy)
        for name in busy:
            log.recv(b"x", name)
    assert log.found() == ["spin-ready"] * 9
    assert {finding.name for finding in log.linter.findings} == set(spinning[:9])


@pytest.mark.parametrize("begins", [1, 700])
def test_a_crowd_has_its_turns(log, begins):
    """Eight in a turn, those who came first before the others; also if the log begins in the midst of it."""
    waiting: list[str] = []
    for turn in range(150):
        come = [f"tcp-{turn}-{at}" for at in range(10)] if turn < 100 else []
        for name in come:
            log.accept(name)
        waiting += come
        log.poll(*waiting)
        for name in waiting[:8]:
            log.recv(b"x", name)
        del waiting[:8]
    del log.events[:begins]
    log.events.insert(0, log.header(begins))
    assert log.found() == []
    assert log.linter.missing == 0


def test_threads_with_crowds_of_their_own():
    """What other threads do is no excuse for a loop that does nothing."""
    log = Log("run")
    names = {thread: [f"{thread}-{at}" for at in range(9)] for thread in ("good", "bad")}
    for name in (*names["good"], *names["bad"]):
        log.accept(name)
    for _ in range(40):
        for thread, its in names.items():
            log.poll(*its, thread=thread)
        for name in names["good"]:
            log.recv(b"x", name, thread="good")
    assert log.found() == ["spin-ready"] * 9
    assert {finding.name for finding in log.linter.findings} == set(names["bad"])


def test_pipes_of_the_loop(log):
    """The signal pipe at its end; watchers come and go; a signal is why it was ready."""
    for _ in range(50):
        log.poll("signals", "watchers")
        log.add(Signal, signal="SIGINT")
    for _ in range(15):
        log.poll("fd 9", bits="HUP")
    log.poll("signals")
    for _ in range(15):
        log.poll("fd 9", bits="HUP")
    assert log.found() == []
    for _ in range(40):
        log.poll("signals")
    assert log.found() == ["spin-ready"]
    assert log.linter.findings[0].name == "signals"


WOKEN = 2000  # polls that are nothing in a row


def woken(log: Log, times: int, *ready: str, apart: int = 15_000, dur: int = 3_000, bits: str = "IN") -> None:
    """So many polls, with nothing between them."""
    for _ in range(times):
        log.t += apart
        log.poll(*(ready or ("control",)), bits=bits, dur=dur)


@pytest.mark.parametrize("size", [1000, 1 << 30])
def test_a_socket_of_the_loops_own_that_nobody_serves(log, size):
    """The log has no events of it: that there are none, tens of thousands of times a second, tells."""
    woken(log, WOKEN - 1)
    assert log.found(size) == []
    woken(log, 1, "control", "control")
    woken(log, 500)
    assert log.found(size) == ["spin-ready"]
    (finding,) = log.linter.findings
    assert (finding.name, finding.times) == ("control", WOKEN + 500)
    assert "as control is ready (IN), 2,500 times since" in finding.sentence
    assert finding.sentence.endswith(
        "Nothing else happens: nobody reads it, or somebody wakes the loop without a pause."
    )


@pytest.mark.parametrize(
    "how",
    [
        {"apart": 120_000},  # it has other work
        {"apart": 60_000, "dur": 30_000},  # it sleeps
    ],
)
def test_watchers_that_come_and_go(log, how):
    """As fast as they can, for long: the loop sleeps in between, and does something when it is woken."""
    woken(log, 3 * WOKEN, "watchers", **how)
    woken(log, 30, "signals", "watchers", **how)
    assert log.found() == ["spin-ready"]
    assert log.linter.findings[0].name == "signals"


def test_a_loop_that_has_something_to_do_beside_its_own_sockets(log):
    """What happens in between is what it was woken for; and who hangs up is another matter."""
    for _ in range(20):
        woken(log, WOKEN // 8)
        log.add(Timer, why="somebody is idle", late=0)
    for _ in range(20):
        woken(log, WOKEN // 8)
        woken(log, 10, bits="IN|HUP")
    assert log.found() == []


def test_pipes_of_another_program():
    """Of which nobody knows whether they are read."""
    log = Log("run")
    woken(log, 2 * WOKEN, "fd 9")
    assert log.found() == []


def test_errors_that_nobody_takes(log):
    """HUP of a connection, and an error queue: ERR again and again, whatever recvfrom() says."""
    log.accept()
    log.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:90")
    for bits in ("HUP", "ERR", "IN"):
        for _ in range(30):
            log.poll("tcp-1", "udp-1", bits=bits)
            log.add(Recvfrom, sock="udp-1", fd=4, errno="EAGAIN")
    assert set(log.found()) == {"spin-hup", "spin-errors", "spin-ready", "spin-asking"}


def test_many_pipes(log):
    """Names that never come again are forgotten."""
    for number in range(1100):
        log.poll(f"fd {number}", bits="ERR")
    for _ in range(30):
        log.poll("fd 9", bits="ERR")
    assert log.found() == ["spin-errors"]


def test_a_poll_that_never_sleeps(log):
    """Nothing is ready, and it is asked again."""
    for _ in range(40):
        log.poll(timeout=0)
    assert log.found() == ["spin-poll"]
    assert log.linter.findings[0].times == 40


# -- datagrams and strays ---------------------------------------------------------------------------------


def datagram(log: Log, peer: str, *, sock: str = "udp-1", answer: bool = True) -> None:
    """A datagram from there, and one back."""
    log.add(Recvfrom, sock=sock, fd=4, n=5, peer=peer)
    if answer:
        log.add(Sendto, sock=sock, fd=4, peer=peer, n=5)


@pytest.mark.parametrize(
    ("bound", "peer", "kinds"),
    [
        ("127.0.0.1:90", "127.0.0.1:5000", []),
        ("127.0.0.1:90", "10.0.0.1:53", ["reflection"]),
        ("127.0.0.1:9000", "127.0.0.1:9000", ["reflection"]),
        ("0.0.0.0:9000", "127.0.0.1:9000", ["reflection"]),
        ("[::]:9000", "[::1]:9000", ["reflection"]),
        ("0.0.0.0:9000", "10.0.0.1:9000", []),
        ("127.0.0.1:9000", "/a/path", []),
        ("", "127.0.0.1:53", []),
    ],
)
def test_whom_one_may_answer(log, bound, peer, kinds):
    """Neither oneself, nor who answers everything."""
    if bound:
        log.add(Bind, sock="udp-1", fd=4, proto="udp", address=bound)
    datagram(log, peer)
    datagram(log, peer)
    assert log.found() == kinds


def test_the_answer_of_another_socket_of_ours(log):
    """It is told which."""
    log.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:9000")
    log.add(Bind, sock="udp-2", fd=5, proto="udp", address="127.0.0.1:9001")
    datagram(log, "127.0.0.1:9001")
    assert log.found() == ["reflection"]
    assert "which is our own udp-2" in log.linter.findings[0].sentence


def test_whom_we_asked(log):
    """A name server answers us, and may be asked again; of who was asked only so many are remembered."""
    log.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:9000")
    for number in range(1100):
        log.add(Sendto, sock="udp-1", fd=4, peer=f"10.0.0.{number}:53", n=5)
    datagram(log, "10.0.0.7:53")
    log.add(Sendto, sock="udp-1", fd=4, peer="10.0.0.7:53", errno="EAGAIN")
    assert log.found() == []


def test_cut_datagrams(log):
    """Once a socket."""
    for _ in range(3):
        log.add(Recvfrom, sock="udp-1", fd=4, n=5, truncated=True)
    assert log.found() == ["truncated"]
    assert "from an unnamed socket" in log.linter.findings[0].sentence


def test_a_newcomer_that_has_something_to_say(log):
    """It has a descriptor that was another's, and its own bytes; what it is told later is its own, too."""
    log.accept("tcp-1")
    log.poll("tcp-1", "listen-1")
    log.close("tcp-1")
    log.accept("tcp-2")
    log.recv(b"x", "tcp-2")
    log.recv(None, "tcp-2", errno="EAGAIN")
    log.accept("tcp-3", 8)
    log.recv(None, "tcp-3", errno="EAGAIN")
    log.close("tcp-2")
    log.accept("tcp-4")
    log.poll("tcp-4")
    log.recv(None, "tcp-4", errno="EAGAIN")
    assert log.found() == []


def test_a_newcomer_that_is_told_what_was_anothers(log):
    """It has said nothing, and is read."""
    log.accept("tcp-1")
    log.poll("listen-1", "tcp-1")
    log.close("tcp-1")
    log.accept("tcp-2")
    log.recv(None, "tcp-2", errno="EAGAIN")
    log.recv(None, "tcp-2", errno="EAGAIN")
    assert log.found() == ["stale-event"]
    assert log.linter.findings[0].times == 2


def test_a_close_that_the_poll_had_not_named(log):
    """Nothing was reported of it."""
    log.close("tcp-0")
    log.poll("listen-1")
    log.close("tcp-1")
    log.accept("tcp-2")
    log.recv(None, "tcp-2", errno="EAGAIN")
    assert log.found() == []


def test_signals_that_nobody_meant(log):
    """The others are for us."""
    for name in ("SIGINT", "SIGWINCH", "SIGWINCH"):
        log.add(Signal, signal=name)
    assert log.found() == ["wakeup-data"]


# -- the linter -------------------------------------------------------------------------------------------


def test_findings_are_given_once(log):
    """As they are made, and then they count on."""
    linter = Linter()
    log.accept()
    for _ in range(30):
        log.poll("tcp-1", bits="OUT")
    (finding,) = linter.feed(log.events)
    seen = len(log.events)
    assert (finding.kind, finding.name, finding.times) == ("spin-write", "tcp-1", 30)
    for _ in range(30):
        log.poll("tcp-1", bits="OUT")
    assert linter.feed(log.events[seen:]) == []
    assert finding.times == 60
    assert finding.sentence.startswith("poll() has returned at once, as tcp-1 is ready (OUT), 60 times since")
    assert finding.advice == ADVICE["spin-write"]
    assert [event.seq for _, event in finding.evidence] == [finding.seq, finding.last.seq]
    assert finding.t == log.events[finding.seq].t
    assert finding.thread == ""
    assert linter.events == len(log.events)


def test_events_that_are_missing(log):
    """They are counted, and nothing is upset."""
    log.accept()
    log.close()
    linter = Linter("a")
    linter.feed([*log.events[:2], Problem(3, "broken", "is broken"), *log.events[3:]])
    assert (linter.events, linter.missing) == (len(log.events) - 1, 1)
    linter.feed([Problem(99, "broken", "is broken")])
    assert linter.events == len(log.events) - 1
    assert linter.finish() == []
    assert linter.unjudged == ""
    assert "has no payloads" in _fed(Log(payload="none").events).unjudged


def test_a_log_whose_oldest_files_are_gone(log):
    """It says so, and that it knows nothing of them; nothing is missing in what there is."""
    log.accept()
    linter = _fed([log.header(2), *log.events[2:]])
    assert linter.unjudged == (
        "the log begins at event 2: the event before it is in older files, which are gone; what went wrong "
        "in them is not known"
    )
    assert (linter.missing, linter.findings) == (0, [])
    linter = _fed([replace(log.header(2), payload="none"), *log.events[2:]])
    assert linter.unjudged.startswith("the log begins at event 2: ")
    assert "is not known; the log has no payloads: " in linter.unjudged


def _fed(events: list[Any]) -> Linter:
    linter = Linter()
    linter.feed(events)
    return linter


def test_what_was_missed_is_no_fault(log):
    """The rest was sent, the batch went on, the connection was closed: in events that are not in the log."""
    log.accept("tcp-1")
    log.accept("tcp-2", 8)
    log.watch("READ")
    log.send(10, 100)
    log.recv(b"", "tcp-2")
    failing(log, 1, errno="ECONNABORTED")
    log.add(Signal, signal="SIGINT")
    log.poll("listen-1")
    log.close(sent=100)
    lost = next(event for event in log.events if isinstance(event, Signal))
    linter = _fed([event for event in log.events if event is not lost][:-2])
    linter.feed(log.events[-2:])
    linter.finish()
    assert (linter.missing, linter.findings) == (1, [])


class Stream(Log):
    """What a watcher gets: events, and instead of those that it misses a gap and how things stand then."""

    def miss(self, *names: str, lost: int = 5, interest: str = "READ", others: Sequence[str] = ()) -> None:
        """So many events, after which these connections are open, and no other; and such datagram sockets."""
        listeners = [ListenerState("listen-1", 3, "tcp", "127.0.0.1:80", 10)]
        listeners += [ListenerState(name, 4, "udp", "127.0.0.1:90") for name in others]
        connections = [
            ConnectionState(name, 7, "127.0.0.1:5", "127.0.0.1:80", 0, 0, 0, 0, interest) for name in names
        ]
        self.made = getattr(self, "made", 0) + lost
        self.tick += 1
        self.events.append(Gap(-1, self.t, self.tick, lost, "this watcher did not keep up"))
        self.events.append(Snapshot(-1, self.t, self.tick, listeners, connections, len(names), 0))

    def add(self, cls: Any, **fields: Any) -> Any:
        """One more, with its number in the log."""
        event = super().add(cls, **fields)
        own = sum(it.seq < 0 for it in self.events)
        self.events[-1] = replace(event, seq=len(self.events) - 1 - own + getattr(self, "made", 0))
        return self.events[-1]


@pytest.fixture
def stream() -> Stream:
    """What a watcher gets from our loop, who was there when it began."""
    made = Stream()
    made.listen()
    return made


SIZES = pytest.mark.parametrize("size", [1, 2, 1 << 30])


@SIZES
def test_a_crowd_whose_callers_were_missed(stream, size):
    """They have hung up and wait for their turn: nobody knows their names, and it is no spin all the same."""
    waiting = [f"tcp-{number}" for number in range(1000)]
    stream.miss(lost=3000)
    while waiting:
        stream.poll(*waiting, bits="IN|HUP")
        for name in waiting[:8]:
            stream.recv(b"x", name)
            stream.close(name)
        del waiting[:8]
    assert stream.found(size) == []
    assert stream.linter.missing == 3000


@SIZES
def test_a_spin_of_one_whose_accept_was_missed(stream, size):
    """It is in the state that the server tells, or in none: it is a spin as any other."""
    stream.miss("tcp-1")
    for _ in range(25):
        stream.poll("tcp-1", "tcp-2", bits="IN|HUP")
    assert stream.found(size) == ["spin-hup"] * 2
    assert {finding.name for finding in stream.linter.findings} == {"tcp-1", "tcp-2"}


@SIZES
def test_what_was_done_in_events_that_a_watcher_missed(stream, size):
    """Read, watched, asked, and waited for: twenty times in vain are twenty that were seen in a row."""
    stream.accept()
    stream.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:90")
    for _ in range(6):
        for _ in range(4):
            stream.poll("tcp-1", "udp-1")
            stream.poll(timeout=0)
        for _ in range(4):
            stream.recv(None, errno="EAGAIN")
            stream.add(Recvfrom, sock="udp-1", fd=4, errno="EAGAIN")
        stream.miss("tcp-1", others=["udp-1"])
    assert stream.found(size) == []


@SIZES
def test_what_is_watched_the_server_says(stream, size):
    """WRITE since an event that was missed: a send that is not taken whole is looked after."""
    stream.accept()
    stream.watch("READ")
    stream.miss("tcp-1", interest="READ|WRITE")
    stream.send(10, 100)
    stream.poll()
    stream.send(90, 90, 10)
    stream.miss("tcp-1", interest="READ")
    stream.send(10, 100, 100)
    stream.poll()
    assert stream.found(size) == ["lost-interest"]


@SIZES
def test_who_comes_late(size):
    """It is told of the listener as of the others: so many may wait in its queue."""
    stream = Stream()
    stream.miss(lost=1000)
    del stream.events[1]  # the gap: who was not there misses nothing
    stream.add(Queue, sock="listen-1", queued=10, backlog=10)
    stream.accept(queued=10)
    assert stream.found(size) == ["queue-near-limit"]
    assert stream.linter.findings[0].times == 2


def test_what_is_watched_nobody_says(stream):
    """Lines are lost, and no server tells how things stand: nobody is blamed for what they may have said."""
    stream.accept()
    stream.watch("READ")
    stream.made = 5
    stream.send(10, 100)
    stream.poll()
    stream.recv(b"")
    stream.poll()
    assert stream.found() == []
    assert stream.linter.missing == 5


@SIZES
def test_whose_close_was_missed(stream, size):
    """The next state does not have it: its name is forgotten, with all that was to become of it."""
    stream.accept()
    stream.send(10, 100)
    stream.add(Bind, sock="udp-1", fd=4, proto="udp", address="127.0.0.1:90")
    stream.miss()
    stream.miss("tcp-2", lost=7)
    stream.recv(b"", "tcp-2")
    stream.poll()
    assert stream.found(size) == ["close-wait"]
    assert "127.0.0.1:5 has finished" in stream.linter.findings[0].sentence
    assert stream.linter.missing == 12


def test_an_empty_log():
    """There is nothing to say."""
    linter = Linter()
    assert linter.feed([]) == linter.finish() == linter.findings == []


def test_a_trail(log):
    """What was known after each item; the newest counts on."""
    log.accept()
    for _ in range(30):
        log.poll("tcp-1", bits="OUT")
    log.close(unread=3)
    trail = Trail()
    assert trail.at() is None
    trail.feed(log.events[:10])
    trail.feed([Problem(3, "broken", "is broken")])
    for event in log.events[10:-1]:
        trail.feed([event])
    found = 1 + log.events.index(log.events[22])  # 20 polls behind the header, the listener and the accept
    assert trail.at(found) is None
    notice = trail.at(found + 1)
    assert (notice.number, notice.kind, notice.times) == (1, "spin-write", 20)
    assert trail.at().times == 30
    trail.feed(log.events[-1:], 0)
    trail.feed([], 1)
    assert (trail.at().number, trail.at().kind) == (2, "ended-badly")
    assert trail.fed == len(log.events) + 1


# -- whatever comes ---------------------------------------------------------------------------------------

NAMES = st.sampled_from(["tcp-1", "tcp-2", "listen-1", "udp-1", "signals", "fd 7", ""])
NUMBERS = st.sampled_from([0, 1, 2, 5, 100, 2**62])
WORDS = st.sampled_from(
    ["", "EAGAIN", "EMFILE", "ECONNABORTED", "IN", "OUT|HUP", "READ", "run", CUT, "close"]
)


def a_field(name: str) -> Any:
    """Something of the right kind for a field, and mostly one that other events have, too."""
    special: dict[str, Any] = {
        "conn": st.none() | NAMES,
        "sock": st.none() | NAMES,
        "ready": st.lists(st.tuples(NAMES, WORDS), max_size=3),
        "watched": st.lists(st.tuples(NAMES, WORDS), max_size=3),
        "off": st.none() | st.tuples(NUMBERS, NUMBERS),
        "data": st.binary(max_size=5),
        "n": st.none() | NUMBERS,
        "errno": st.none() | WORDS,
        "awaits": st.sampled_from(["poll", "recv", "accept"]),
        "peer": st.none() | st.sampled_from(["127.0.0.1:53", "[::1]:9", "", ":"]),
        "address": st.sampled_from(["127.0.0.1:9", "0.0.0.0:53", ""]),
        "thread": st.sampled_from(["", "other"]),
        "timeout": st.none() | NUMBERS,
        "sysctls": st.just({"net.core.somaxconn": "12"}),
        "versions": st.just({}), "options": st.just({}), "argv": st.just([]),
        "listeners": st.just([]), "connections": st.just([]),
        "model": st.sampled_from(["loop", "run"]),
        "pair": st.none() | NAMES,
        "unread": st.none() | NUMBERS,
        "queued": NUMBERS, "backlog": st.none() | NUMBERS,
        "signal": st.sampled_from(["SIGINT", "SIGWINCH"]),
    }  # fmt: skip
    return special.get(name)


NUMERIC = frozenset({"int", "Natural"})


def an_event(cls: Any) -> st.SearchStrategy[Any]:
    """Any event of a kind."""
    fields = {}
    for field in cls.__struct_fields__:
        known = a_field(field)
        if known is None:
            kind = str(cls.__annotations__.get(field, ""))
            known = (
                st.booleans() if "bool" in kind else WORDS if "str" in kind or "Reason" in kind else NUMBERS
            )
        if field == "sock" and cls in {Listen, Bind, Accept, Recvfrom, Sendto, Queue}:
            known = NAMES
        if field == "conn" and cls in {Recv, Send}:
            known = NAMES
        if field == "peer" and cls is Sendto:
            known = st.sampled_from(["127.0.0.1:53", "[::1]:9", "", ":"])
        if field in {"message", "where", "call", "reason", "why", "flags", "how", "state", "proto"}:
            known = WORDS
        fields[field] = known
    return st.builds(cls, **fields)


ANYTHING: st.SearchStrategy[Sequence[Any]] = st.lists(
    st.one_of(
        *[an_event(cls) for cls in EVENT_TYPES.values()],
        st.builds(Unknown, NUMBERS, NUMBERS, NUMBERS, st.text(string.ascii_letters), st.just({})),
        st.just(Problem(1, "broken", "is broken")),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(ANYTHING, ANYTHING)
def test_nothing_upsets_it(some, more):
    """Events in any order, of sockets that are now this and now that: it never raises, and can tell."""
    linter = Linter()
    linter.feed(some)
    linter.feed(more)
    linter.finish()
    for finding in linter.findings:
        assert finding.sentence
        assert finding.advice
        assert finding.evidence
