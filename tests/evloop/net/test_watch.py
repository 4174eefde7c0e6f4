"""Watchers: sent what happens, never waited for, and told what they have missed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import socket
import stat
from collections import deque

import pytest

from evloop.address import UnixPath
from evloop.errors import AddressError
from evloop.events.recorder import Recorder
from evloop.events.schema import End, Signal, Slow, Snapshot
from evloop.events.sinks import encode
from evloop.kernel import ERR, READ, Kernel
from evloop.loop.loop import SECOND, Loop
from evloop.net.watch import MOST_KEPT, SNAPSHOT_EVERY, Watchers, WatchPoint
from evloop.testing import Call, failure
from evloop.trace import Trace
from evloop.tracing import TracedKernel

BIG = 20_000  # bytes of an event's text: a few of them fill a socket


class Reader:
    """The other end of a watcher's socket pair."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setblocking(False)
        self.text = b""

    def read(self, most=1 << 30):
        """What has come, up to so many bytes."""
        with contextlib.suppress(BlockingIOError):
            while most > 0 and (data := self.sock.recv(min(most, 1 << 16))):
                self.text += data
                most -= len(data)
        return self

    @property
    def events(self):
        """Whole lines."""
        return [json.loads(line) for line in self.text[: self.text.rfind(b"\n") + 1].splitlines()]

    @property
    def kinds(self):
        """What they are."""
        return [event["ev"] for event in self.events]


class Watched:
    """Watchers on a real loop, and a recorder's part played by the test."""

    def __init__(self, selector, header, recorder):
        self.loop = Loop(Kernel(), selector, Trace())
        kernel = TracedKernel(Kernel(), recorder, 64)
        self.watchers = Watchers(self.loop, header, kernel.snapshot)
        self.seq = 1
        self.t = 0
        self.offered = 0
        self.socks = []

    def join(self, room=None):
        """One more, whose socket takes about so much."""
        ours, theirs = Kernel().socket_pair()
        self.socks.append(theirs)
        if room:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.watchers.join(ours)
        return Reader(theirs)

    def say(self, count=1, size=10, after=0):
        """A tick with events, so many ns after the last."""
        self.t += after
        events = [Signal(self.seq + n, self.t, 1, "x" * size) for n in range(count)]
        self.seq += count
        self.offered += count
        self.watchers.write(encode(events), events)

    @property
    def watcher(self):
        """The only one."""
        (watcher,) = self.watchers._watchers
        return watcher

    def close(self):
        """All of it."""
        self.watchers.close()
        self.loop.close()
        for sock in self.socks:
            sock.close()


@pytest.fixture
def watched(selector, header):
    """Watchers on every selector."""
    first = header(selector)
    made = Watched(selector, first, Recorder(first, print))
    yield made
    made.close()


def follows(events):
    """Whether every number follows from the last, gaps included."""
    seq = None
    for event in events:
        if event["ev"] == "gap":
            seq = None if seq is None else seq + event["lost"]
        elif event["ev"] == "signal":
            if seq is not None and event["seq"] != seq + 1:
                return False
            seq = event["seq"]
    return True


def test_a_new_watcher(watched):
    """The header, the state as it is after the first tick it sees, and the events from then on."""
    watched.say()
    assert not watched.watchers.wants_lines
    assert watched.watchers.lost == 0  # what each has missed it is told itself
    reader = watched.join()
    assert watched.watchers.wants_lines
    watched.say(2)
    watched.say()
    watched.say(2)
    assert reader.read().kinds == ["header", "snapshot", "signal", "signal", "signal"]
    assert [event["seq"] for event in reader.events] == [0, -1, 4, 5, 6]


def test_a_watcher_from_the_beginning(watched, header):
    """It gets the log itself, header and all, and needs no snapshot."""
    reader = watched.join()
    events = [header(), Signal(1, 0, 0, "x")]
    watched.watchers.write(encode(events), events)
    watched.say()
    assert reader.read().kinds == ["header", "signal", "signal"]


@pytest.mark.parametrize("state", ["new", "behind", "up to date"])
def test_the_last_line_reaches_everybody(watched, state):
    """Else a watcher would think that the server had crashed."""
    reader = watched.join(room=4096)
    if state != "new":
        watched.say()
    if state == "behind":
        for _ in range(20):
            watched.say(2, size=BIG)
        while watched.watcher._rest:
            reader.read()
            watched.watcher._finish()
        reader.read()
    end = [End(watched.seq, watched.t, 1, "stopped", watched.seq + 1)]
    watched.watchers.write(encode(end), end)
    assert reader.read().kinds[-1] == "end"
    assert follows(reader.events)
    assert ("gap" in reader.kinds) == (state == "behind")
    gaps = [event["lost"] for event in reader.events if event["ev"] == "gap"]
    assert sum(gaps) == watched.watcher.lost


def test_a_watcher_that_does_not_read(watched):
    """The server is not held up; what is missed is counted, for this watcher alone."""
    deaf, keen = watched.join(room=4096), watched.join()
    watched.say()
    for _ in range(50):
        watched.say(2, size=BIG)
        keen.read()
    assert keen.kinds.count("signal") == 100
    assert "gap" not in keen.kinds
    one, other = watched.watchers._watchers
    assert (one.lost > 50, other.lost) == (True, 0)
    assert deaf.read().kinds[:2] == ["header", "snapshot"]


def test_it_catches_up(watched):
    """The line that was begun is finished, then a gap with the right number, the state, and the events."""
    reader = watched.join(room=4096)
    watched.say()
    for _ in range(20):
        watched.say(3, size=BIG)
    watcher = watched.watcher
    assert watcher._rest is not None
    reader.read()
    assert not reader.text.endswith(b"\n")
    for _ in range(100):
        watched.say(size=10, after=SNAPSHOT_EVERY)
        reader.read()
    assert reader.text.endswith(b"\n")
    assert follows(reader.events)
    assert reader.kinds.count("gap") >= 1
    assert reader.kinds[reader.kinds.index("gap") + 1] == "snapshot"
    assert sum(event["lost"] for event in reader.events if event["ev"] == "gap") == watcher.lost
    assert reader.kinds.count("signal") + watcher.lost == watched.offered - 1
    snapshots = [event for event in reader.events if event["ev"] == "snapshot"]
    assert snapshots[-1].get("lost", 0) == watcher.lost
    assert reader.events[-1]["seq"] == watched.seq - 1


@pytest.mark.parametrize("step", [1000, 3000, 7001, 50_000])
def test_a_slow_reader(watched, step):
    """It reads so much a tick: it has gaps, and never a torn line or a wrong number."""
    reader = watched.join(room=4096)
    watched.say()
    for _ in range(120):
        watched.say(2, size=3000, after=SNAPSHOT_EVERY // 3)
        reader.read(step)
    watcher = watched.watcher
    for _ in range(60):
        reader.read()
        watched.say(after=SNAPSHOT_EVERY)
    reader.read()
    assert follows(reader.events)
    assert reader.text.endswith(b"\n")
    assert sum(event["lost"] for event in reader.events if event["ev"] == "gap") == watcher.lost
    assert reader.kinds.count("signal") + watcher.lost == watched.offered - 1


@pytest.mark.parametrize("size", [10, 3000])
def test_a_tick_too_long_to_be_sent_is_cut_short(watched, size):
    """Its first events are whole; the rest is missed, so that the next thing heard is how it is by now."""
    reader = watched.join(room=4096)
    watched.say()
    watched.say(2 * MOST_KEPT // size, size=size)
    reader.read()
    watched.say(after=SNAPSHOT_EVERY)
    for _ in range(10):
        reader.read()
        watched.say(after=SNAPSHOT_EVERY)
    reader.read()
    assert reader.kinds[2] == "signal"
    (at,) = [at for at, kind in enumerate(reader.kinds) if kind == "gap"]
    assert at < 4096 // size + 10
    assert reader.events[at]["lost"] >= 2 * MOST_KEPT // size - at
    assert follows(reader.events)
    assert reader.kinds.count("signal") + watched.watcher.lost == watched.offered - 1
    assert reader.text.endswith(b"\n")


def test_a_tick_that_is_sent_in_a_moment_is_sent_whole(watched):
    """It took more than the socket had room for, and not so much that it would be old news."""
    reader = watched.join(room=4096)
    watched.say()
    watched.say(10, size=5000)
    for _ in range(100):
        reader.read()
        watched.say(after=SNAPSHOT_EVERY)
    assert "gap" not in reader.kinds[: reader.kinds.index("signal") + 10]


def test_a_slow_turn_is_told_whatever_else_was_missed(watched):
    """Else who did not hear of it would see nothing wrong. The newest, and as no event of the log."""
    reader = watched.join(room=4096)
    watched.say()
    for tick in (1, 2, 3):
        for _ in range(20):
            watched.say(2, size=BIG)
        slow = [Slow(watched.seq, watched.t, tick, tick * SECOND, "tcp-1")]
        watched.seq += 1
        watched.watchers.write(encode(slow), slow)
    assert watched.watcher.is_behind
    for _ in range(30):
        reader.read()
        watched.say(after=SNAPSHOT_EVERY)
    reader.read()
    (at,) = [at for at, kind in enumerate(reader.kinds) if kind == "slow"]
    slow = reader.events[at]
    assert (slow["seq"], slow["t"], slow["tick"]) == (-1, watched.t - 30 * SNAPSHOT_EVERY, 3)
    assert (slow["dur"], slow["conn"]) == (3 * SECOND, "tcp-1")
    assert reader.kinds[at : at + 3] == ["slow", "gap", "snapshot"]
    assert slow["t"] < reader.events[at + 1]["t"], "what was missed was before the last of it"
    assert follows(reader.events)


def test_snapshots_are_not_too_many(watched):
    """A watcher that falls behind again and again gets one in a quarter of a second."""
    reader = watched.join(room=4096)
    watched.say()
    for _ in range(200):
        watched.say(2, size=BIG, after=SNAPSHOT_EVERY // 20)
        reader.read()
    assert 2 <= reader.kinds.count("gap") <= 11
    assert reader.kinds.count("snapshot") == reader.kinds.count("gap") + 1


def test_a_watcher_leaves(watched):
    """Its socket is closed at the end of the tick, and the others go on."""
    leaver, stayer = watched.join(), watched.join()
    watched.say()
    leaver.sock.close()
    watched.loop.tick()
    assert len(watched.watchers._watchers) == len(watched.loop.interests.watched) == 1
    watched.say()
    assert stayer.read().kinds == ["header", "snapshot", "signal"]


def test_a_watcher_leaves_while_it_is_sent_to(watched):
    """The send tells; it is let go once, and closed with the next tick."""
    leaver = watched.join()
    watched.say()
    watcher = watched.watcher
    leaver.sock.close()
    watched.say()
    watched.say()
    assert watched.watchers._watchers == []
    assert watched.loop.interests.watched == {}
    watched.loop.after(0, lambda: None, "")
    watched.loop.tick()
    assert watcher.sock.fileno() == -1


def test_what_a_watcher_says(watched):
    """It is read and thrown away, so that it does not wake the loop for ever."""
    reader = watched.join()
    reader.sock.send(b"hello?" * 100)
    watched.loop.tick()
    assert list(watched.loop.poller.poll(0)) == []
    watched.watcher.on_ready(1)
    assert len(watched.watchers._watchers) == 1


@pytest.mark.parametrize("how", ["recv", "fail"])
def test_a_watcher_that_breaks(watched, how):
    """Whatever goes wrong is its own trouble."""
    watched.join()
    other = watched.join()
    watcher = watched.watchers._watchers[0]
    if how == "recv":

        def recv(_size):
            raise failure(errno.ECONNRESET)

        watcher._recv = recv
        watcher.on_ready(ERR)
    else:
        watcher.fail(RuntimeError("fault"))
        watcher.fail(RuntimeError("again"))
    watched.say()
    assert other.read().kinds[-1] == "snapshot"
    assert len(watched.watchers._watchers) == 1


def test_the_end(watched):
    """The stream ends, and what was sent can still be read."""
    reader = watched.join()
    watched.say()
    watched.say()
    watched.watchers.close()
    assert reader.sock.recv(1 << 16).count(b"\n") == 3
    assert reader.sock.recv(1) == b""
    assert watched.loop.interests.watched == {}


# -- the point on which they connect ---------------------------------------------------------


@pytest.fixture
def path(short_dir):
    """Where."""
    return f"{short_dir}/watch"


@pytest.fixture
def point(watched, path):
    """The watch point."""
    made = WatchPoint(watched.loop, UnixPath(path), watched.watchers)
    yield made
    made.close()


@pytest.fixture
def connect(path):
    """Connect to it."""
    socks = []

    def connected():
        socks.append(socket.socket(socket.AF_UNIX))
        socks[-1].connect(path)
        return Reader(socks[-1])

    yield connected
    for sock in socks:
        sock.close()


@pytest.mark.usefixtures("point")
def test_several_connect(watched, connect, path):
    """All of them get all; the path is its owner's alone."""
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    readers = [connect() for _ in range(3)]
    for _ in readers:
        watched.loop.tick()
    watched.say()
    watched.say()
    assert [reader.read().kinds for reader in readers] == [["header", "snapshot", "signal"]] * 3


def test_its_path_goes_with_it(watched, connect, path, point):
    """Twice is once; who is in stays in."""
    reader = connect()
    watched.loop.tick()
    point.close()
    point.close()
    assert not os.path.exists(path)
    watched.say()
    watched.say()
    assert reader.read().kinds[-1] == "signal"


def test_a_path_that_another_took_over(watched, path, point):
    """It is not ours to remove."""
    os.unlink(path)
    other = WatchPoint(watched.loop, UnixPath(path), watched.watchers)
    point.close()
    assert os.path.exists(path)
    other.close()
    assert not os.path.exists(path)


def test_a_path_of_a_dead_server(watched, path):
    """It is taken over; that of a living one is not."""
    Kernel().listen(UnixPath(path), 1).close()
    point = WatchPoint(watched.loop, UnixPath(path), watched.watchers)
    with pytest.raises(AddressError, match="living"):
        WatchPoint(watched.loop, UnixPath(path), watched.watchers)
    point.close()


def test_no_descriptor_for_a_watcher(watched, connect, point):
    """It waits in the queue and does not wake the loop meanwhile; then it is let in."""
    reader = connect()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reader.sock.fileno() + 1, hard))
    polls, poll = [], watched.loop.poller.poll
    watched.loop.poller.poll = lambda timeout: polls.append(list(poll(timeout))) or polls[-1]
    fillers = []
    try:
        with contextlib.suppress(OSError):
            while True:
                fillers.append(os.dup(0))
        for _ in range(3):
            watched.loop.tick()
        assert [len(ready) for ready in polls] == [1, 0, 1]
        assert watched.watchers._watchers == []
        assert len(watched.loop.timers) == 1
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    while not watched.watchers._watchers:
        watched.loop.tick()
    watched.say()
    watched.say()
    assert reader.read().kinds == ["header", "snapshot", "signal"]
    assert point.watching


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EAGAIN])
def test_a_watcher_that_was_gone_before_it_was_let_in(watched, point, monkeypatch, number):
    """Nothing happens."""
    tries = []

    def accept(_sock):
        tries.append(1)
        raise failure(number)

    monkeypatch.setattr(watched.watchers.kernel, "accept", accept)
    point.on_ready(1)
    assert tries == [1]
    assert point.watching
    assert watched.watchers._watchers == []


def test_a_watch_point_that_breaks(watched, connect, path, point, monkeypatch):
    """It is closed with an error, and the server goes on."""
    heard = []
    watched.loop.trace.error = lambda where, error, _sock: heard.append((where, error.errno))

    def accept(_sock):
        raise failure(errno.EINVAL)

    monkeypatch.setattr(watched.watchers.kernel, "accept", accept)
    connect()
    watched.loop.tick()
    assert heard == [("watch point", errno.EINVAL)]
    assert not os.path.exists(path)
    assert watched.loop.interests.watched == {}
    assert point.sock.fileno() == -1


def test_a_quiet_server_wakes_for_a_watcher_that_is_behind(watched):
    """One timer for all of them, until none is behind: else it would show an old state meanwhile."""
    reader = watched.join(room=4096)
    watched.say()
    assert len(watched.loop.timers) == 0
    for _ in range(20):
        watched.say(2, size=BIG)
    assert [len(watched.loop.timers), watched.loop.timers.next().why] == [1, "a watcher is behind"]
    assert watched.loop.timers.next().when - watched.loop.time == 300_000_000
    while watched.watcher.is_behind:
        reader.read()
        (timer,) = watched.loop.timers.due(1 << 62)
        timer.callback()
        watched.say(after=SNAPSHOT_EVERY)  # the poll and the timer, which woke the loop
    kinds = reader.read().kinds
    assert kinds[kinds.index("gap") + 1] == "snapshot"
    assert len(watched.loop.timers) == 0


# -- a kernel that answers from a script -----------------------------------------------------

TENTH = 0.1  # seconds by which the scripted clock goes on whenever it is read
AGAIN = failure(errno.EAGAIN)


class Alone:
    """A watcher on a scripted kernel, whose sends take what the script says and note it."""

    def __init__(self, server, header, takes):
        self.server = server
        self.kernel = server.kernel
        self.kernel.set_patience = self._set_patience
        self.patience = None
        self.watchers = Watchers(
            server.loop, header, lambda lost: Snapshot(-1, 0, 0, [], [], 0, 0, lost=lost)
        )
        self.watchers.kernel = self.kernel
        self.taken = b""
        self.takes = list(takes)
        self.tries = 0
        self.sock = self.kernel.socket()
        self.kernel.stream_calls = lambda _: (lambda size: self.sock.call("recv", size), self._send)
        self.watchers.join(self.sock)

    def _set_patience(self, sock, seconds):
        self.kernel.calls.append(Call("patience", sock.fileno(), (seconds,)))
        self.patience = seconds

    def _send(self, data):
        self.tries += 1
        n = self.takes.pop(0) if self.takes else None
        if n is None and self.patience is not None:
            self.kernel.advance(self.patience)
            raise TimeoutError("timed out")  # socket.settimeout: no BlockingIOError
        if n is None:
            raise AGAIN
        self.taken += bytes(data[:n])
        return min(n, len(data))

    def say(self, event):
        """An event."""
        self.watchers.write(encode([event]), [event])

    def end(self):
        """The last line; the clock runs meanwhile. How long that took, in tenths of a second."""
        begun = self.kernel.time

        def now():
            self.kernel.advance(TENTH)
            return self.kernel.time

        self.kernel.now = now
        self.say(End(9, 5, 1, "stopped", 10))
        return round((self.kernel.time - begun) / TENTH / 1e9)

    @property
    def lines(self):
        """What it was sent, whole lines and the one that was begun."""
        return self.taken.split(b"\n")


ALL = 1 << 20  # more than anything here is long


@pytest.fixture
def alone(scripted, header):
    """One watcher, whose socket takes so many bytes in turn; None is no room, as everything after it."""
    return lambda *takes: Alone(scripted(), header(), takes)


def test_the_end_is_waited_for_half_a_second(alone):
    """And no longer: a watcher that has stopped reading does not keep the server from ending."""
    watched = alone(5)
    watched.say(Signal(1, 0, 0, "SIGINT"))  # the header and the state, of which 5 bytes are taken
    watched.watchers._watchers[0]._miss(3)
    assert watched.end() == 1 + 5 + 1  # the clock is read, the send waits, the clock is read
    assert watched.tries == 1 + 1
    assert watched.server.calls("patience", watched.sock) == [(0.5,)]
    assert len(watched.taken) == 5


def test_a_watcher_that_takes_a_byte_at_a_time(alone):
    """It has half a second in all; what it makes room for later is not begun within a line."""
    watched = alone(*[1] * 6, *[ALL] * 9)
    watched.say(Signal(1, 0, 0, "SIGINT"))
    watched.watchers._watchers[0]._miss(3)
    assert watched.end() == 1 + 5
    assert watched.tries == 1 + 5
    assert len(watched.taken) == 6


@pytest.mark.parametrize(
    ("takes", "tenths"),
    [
        ([ALL] * 3, 1),
        ([ALL, 3, 4, ALL, ALL], 2),
        ([ALL, ALL, 2, 3, ALL], 2),
        ([ALL, 3, 4, 5, ALL, 2, ALL], 3),
        ([5, ALL, ALL, ALL], 1),
        ([5, 1, 1, ALL, ALL, ALL], 3),
    ],
)
def test_the_last_lines_in_pieces(alone, takes, tenths):
    """What was missed, the state, and the end with the count; as soon as it is sent, nobody waits."""
    watched = alone(*takes)
    watched.say(Signal(1, 0, 0, "SIGINT"))
    watched.watchers._watchers[0]._miss(3)
    assert watched.end() == tenths
    events = [json.loads(line) for line in watched.lines[:-1]]
    assert [event["ev"] for event in events] == ["header", "snapshot", "gap", "snapshot", "end"]
    gap, snapshot, end = events[2:]
    assert gap["lost"] == snapshot["lost"] == end["lost"] == 3
    assert gap["reason"] == "this watcher did not keep up"
    assert (gap["seq"], gap["t"], gap["tick"]) == (-1, 5, 1)


def test_a_watcher_that_comes_just_before_the_end(alone):
    """It has missed nothing, and is told no gap."""
    watched = alone(ALL, ALL)
    assert watched.end() == 1  # the deadline's own reading
    assert [json.loads(line)["ev"] for line in watched.lines[:-1]] == ["header", "snapshot", "end"]


def test_a_watcher_that_talks(alone):
    """4 KiB in all are thrown away; who says more is let go."""
    watched = alone()
    watched.sock._scripts["recv"] = deque([b"x" * 4000, b"x" * 96, b"x"])
    for _ in range(2):
        watched.server.tick(watched.sock)
    assert watched.server.watching(watched.sock) == READ
    watched.server.tick(watched.sock)
    assert watched.server.closed(watched.sock) == ("eof", 0, None)
    assert watched.server.calls("recv", watched.sock) == [(4096,)] * 3


def test_why_a_watcher_is_watched_and_let_go(alone):
    """Its descriptor is the loop's own, and each change has its reason."""
    watched = alone()
    owned = []
    watched.server.trace.own = lambda *given: owned.append(given)
    late = watched.kernel.socket()
    watched.watchers.join(late)
    assert owned == [(late.fileno(), "watchers")]
    watched.kernel.stream_calls = None  # nothing more is joined
    late_watcher, first = watched.watchers._watchers[1], watched.watchers._watchers[0]
    watched.watchers.leave(late_watcher)
    watched.server.tick()
    assert watched.server.closed(late) == ("eof", 0, None)
    watched.watchers.close()
    assert watched.server.closed(first.sock) == ("stop", 0, None)
    changes = [
        said[1:] for said in watched.server.trace.of("interest") if said[1] in {late.fileno(), first.fd}
    ]
    assert changes == [
        (first.fd, 0, READ, "a watcher may leave"),
        (late.fileno(), 0, READ, "a watcher may leave"),
        (late.fileno(), READ, 0, "the watcher left"),
        (first.fd, READ, 0, "the loop ends"),
    ]


def test_a_watch_point_from_its_beginning_to_its_end(alone):
    """Listens for itself alone, waits for 100 ms when descriptors are short, and ends once."""
    watched = alone()
    server, owned = watched.server, []
    server.trace.own = lambda *given: owned.append(given)
    address = UnixPath("/run/w")
    listener = watched.kernel.socket(accept=[failure(errno.EMFILE)])
    watched.kernel.listeners.append(listener)
    point = WatchPoint(server.loop, address, watched.watchers)
    assert server.calls("listen", listener) == [(address, 16, 0o600)]
    assert owned == [(listener.fileno(), "watchers")]
    server.tick(listener)
    assert (server.loop.timers.next().why, len(server.loop.timers)) == ("let watchers in again", 1)
    begun = server.kernel.time
    server.sleep()
    assert server.kernel.time - begun == 100_000_000
    assert point.watching == READ
    listener._scripts["accept"].append(failure(errno.EMFILE))
    server.tick(listener)
    point.close()
    point.close()
    assert len(server.loop.timers) == 0
    assert server.closed(listener) == ("stop", 0, None)
    assert [call.args for call in server.kernel.calls if call.name == "unlink"] == [(address, 0)]
    assert [said[2:] for said in server.trace.of("interest") if said[1] == point.fd] == [
        (0, READ, "watchers may come"),
        (READ, 0, "accept failed: Too many open files"),
        (0, READ, "watchers may come"),
        (READ, 0, "accept failed: Too many open files"),
    ]


def test_epoll_is_full_when_a_watch_point_is_to_be_watched_again(alone, monkeypatch):
    """Nobody would ever watch again: so it is tried again later."""
    watched = alone()
    server = watched.server
    listener = watched.kernel.socket(accept=[failure(errno.EMFILE)])
    watched.kernel.listeners.append(listener)
    point = WatchPoint(server.loop, UnixPath("/run/w"), watched.watchers)
    server.tick(listener)
    full = refuse(monkeypatch, server.poller, point.fd)
    server.sleep()
    assert full == [point.fd]
    assert (point.watching, len(server.loop.timers)) == (0, 1)
    assert server.loop.timers.next().why == "let watchers in again"
    server.sleep()
    assert (point.watching, len(server.loop.timers)) == (READ, 0)
    assert not server.trace.of("error")
    assert not server.trace.of("limit")


def test_epoll_is_full_for_one_watcher(alone, monkeypatch):
    """It alone is not let in; who watches goes on, and the next may come."""
    watched = alone(ALL)
    server = watched.server
    (first,) = watched.watchers._watchers
    refused, late = watched.kernel.socket(), watched.kernel.socket()
    listener = watched.kernel.socket(accept=[refused, late])
    watched.kernel.listeners.append(listener)
    point = WatchPoint(server.loop, UnixPath("/run/w"), watched.watchers)
    full = refuse(monkeypatch, server.poller, refused.fileno())
    server.tick(listener)
    assert full == [refused.fileno()]
    assert refused.closed
    assert watched.watchers._watchers == [first]
    assert server.watching(first.sock) == point.watching == READ
    server.tick(listener)
    assert [it.sock for it in watched.watchers._watchers] == [first.sock, late]
    assert not server.trace.of("error")


def refuse(monkeypatch, poller, fd):
    """Once there is no room for a descriptor: epoll_ctl(2), ENOSPC. Whose turn it was."""
    register, refused = poller.register, []

    def full(number, mask):
        if number == fd and not refused:
            refused.append(number)
            raise failure(errno.ENOSPC)
        register(number, mask)

    monkeypatch.setattr(poller, "register", full)
    return refused


def test_a_watch_point_that_ends_while_it_is_watched(alone):
    """Its path goes first, since that of a closed socket is anybody's."""
    watched = alone()
    server = watched.server
    point = WatchPoint(server.loop, UnixPath("/run/w"), watched.watchers)
    before = len(server.kernel.calls)
    point.close()
    assert [call.name for call in server.kernel.calls[before:]] == ["unlink", "close"]
    assert server.trace.of("interest")[-1] == ("interest", point.fd, READ, 0, "the loop ends")


def test_a_deaf_watcher_at_the_end(watched, monkeypatch):
    """A real send that has waited long enough is no broken one: the line stays begun, and nothing follows."""
    monkeypatch.setattr("evloop.net.watch.LAST_WORDS", 0.02)
    reader = watched.join(room=4096)
    watched.say()
    for _ in range(20):
        watched.say(2, size=BIG)
    watcher = watched.watcher
    watched.watchers.write(b"", [End(watched.seq, watched.t, 1, "stopped", watched.seq + 1)])
    assert watched.watcher is watcher
    assert watcher._rest is not None
    assert "end" not in reader.read().kinds  # every line is whole but the last
    assert not reader.text.endswith(b"\n")


def test_a_watcher_that_has_no_room_is_left_alone_for_a_while(alone):
    """What it has missed is counted without a call; after 20 ms of the log's time it is tried again."""
    watched = alone(5)
    watched.say(Signal(1, 0, 0, "SIGINT"))  # the header and the state, of which 5 bytes are taken
    watched.say(Signal(2, 1_000_000, 0, "SIGINT"))
    assert watched.tries == 2
    for t in (2_000_000, 20_000_000, 20_999_999):
        watched.say(Signal(3, t, 0, "SIGINT"))
    assert watched.tries == 2
    watched.say(Signal(4, 21_000_000, 0, "SIGINT"))
    assert watched.tries == 3
    assert watched.watchers._watchers[0].lost == 5
    assert len(watched.server.loop.timers) == 1
    watched.watchers.close()
    assert len(watched.server.loop.timers) == 0


def test_one_event_is_enough_to_be_behind(alone):
    """On a quiet server nothing else would tell it of the one that it has missed."""
    watched = alone(ALL)
    watched.say(Signal(1, 0, 0, "SIGINT"))
    (watcher,) = watched.watchers._watchers
    assert not watcher.is_behind
    watcher._miss(1)
    assert watcher.is_behind


@pytest.mark.parametrize("how", ["no room", "too soon", "cut short", "itself"])
def test_a_slow_turn_is_told_however_it_was_missed(alone, how):
    """It is what a person wants to know most, of all that a watcher did not get."""
    watched = alone(ALL, *{"no room": [5, None], "cut short": [5]}.get(how, []), ALL, ALL, ALL)
    watched.say(Signal(1, 0, 0, "SIGINT"))
    (watcher,) = watched.watchers._watchers
    slow = Slow(9, SNAPSHOT_EVERY if how == "itself" else SNAPSHOT_EVERY - 1, 1, 7, None)
    if how == "no room":
        watched.say(Signal(2, 1, 0, "SIGINT"))
    elif how != "cut short":
        watcher._miss(1)
    events = [Signal(3, 2, 0, "SIGINT")] * (MOST_KEPT // 40 if how == "cut short" else 0)
    watched.watchers.write(encode([*events, slow]), [*events, slow])
    if how != "itself":
        assert b"slow" not in watched.taken
        watched.say(Signal(10, SNAPSHOT_EVERY * (1 if how == "too soon" else 2), 2, "SIGINT"))
    kinds = [json.loads(line)["ev"] for line in watched.taken.splitlines()]
    assert kinds[-3:] == ["slow", "gap", "snapshot"]
    assert not watcher.is_behind


def test_all_have_half_a_second_together(alone):
    """The deadline is that of the first; the others have what is left of it, and in the end nothing."""
    watched = alone()
    begun = watched.kernel.time
    for later, left in ((0, 0.5), (0.2, 0.3), (0.5, 0), (9, 0)):
        watched.kernel.time = begun
        watched.kernel.advance(later)
        assert watched.watchers.last_words() == (begun + 500_000_000, left)


def test_more_than_sixteen_are_turned_away(scripted, header):
    """Each is told in a line that any watcher understands; one that does not hear it is closed as well."""
    watched = Alone(scripted(), header(mono_ns=400_000_000), [ALL, None])
    listener = watched.kernel.socket()
    watched.kernel.listeners.append(listener)
    WatchPoint(watched.server.loop, UnixPath("/run/w"), watched.watchers)
    for _ in range(15):
        assert not watched.watchers.is_full
        watched.watchers.join(watched.kernel.socket())
    assert watched.watchers.is_full
    hears, deaf = watched.kernel.socket(), watched.kernel.socket()
    listener._scripts["accept"] = deque([hears, deaf])
    for late in (hears, deaf):
        watched.server.tick(listener)
        assert watched.server.closed(late) == ("stop", 0, None)
    header, end, rest = watched.lines
    assert json.loads(header)["ev"] == "header"
    assert json.loads(end) == {
        "ev": "end", "seq": -1, "t": 600_000_000, "tick": 0, "events": 0,
        "reason": "16 watchers are there already, and no more are let in",
    }  # fmt: skip
    assert rest == b""
    assert len(watched.watchers._watchers) == 16
