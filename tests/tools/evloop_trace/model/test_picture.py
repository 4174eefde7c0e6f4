"""The fold from events to the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.folds import PREVIEW, RUNGS
from evloop_trace.model.picture import IDLE, Picture

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Clock,
    Close,
    Connect,
    ConnectionState,
    End,
    Event,
    Gap,
    Header,
    Inherit,
    Interest,
    Limit,
    Listen,
    ListenerState,
    Poll,
    Prepare,
    Queue,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
    Signal,
    Slow,
    Snapshot,
    Socket,
    TcpInfo,
    Timer,
    Unknown,
    Unseen,
)

if TYPE_CHECKING:
    from evloop_trace.model.sockets import Connection

    from evloop.events.schema import AnyEvent


class Stage:
    """A picture to which things happen, 1 µs after one another."""

    def __init__(self) -> None:
        self.picture = Picture()
        self.seq = 0

    def __call__(self, cls: type[Event], *args: Any, **fields: Any) -> Stage:
        """One more event."""
        self.picture.apply(cls(self.seq, self.seq * 1000, 1, *args, **fields))  # type: ignore[arg-type]
        self.seq += 1
        return self

    def accept(self, conn: str = "tcp-1") -> Stage:
        """A connection comes."""
        return self(Accept, 10, "listen-1", conn, 7, "127.0.0.1:40000", "127.0.0.1:8080", 2)

    def recv(self, n: int | None, errno: str | None = None, data: bytes = b"") -> Stage:
        """Bytes come."""
        return self(Recv, 10, "tcp-1", 7, 65536, n, None, data, errno)

    def send(self, size: int, n: int | None, errno: str | None = None) -> Stage:
        """Bytes go."""
        return self(Send, 10, "tcp-1", 7, size, n, None, b"", errno)

    @property
    def tcp(self) -> Connection:
        """The connection tcp-1, open or closed."""
        return self.picture.connections.get("tcp-1") or self.picture.closed["tcp-1"]


@pytest.fixture
def stage() -> Stage:
    """A listener, a UDP socket, nobody connected."""
    it = Stage()
    it(Listen, 10, "listen-1", 5, "tcp", "127.0.0.1:8080", 128)
    return it(Bind, 10, "udp-1", 6, "udp", "127.0.0.1:8080")


def test_the_header_is_kept(stage: Stage) -> None:
    """It says who runs."""
    stage(Header, "evloop/1", 1, 2, 3, 4, [], {}, "epoll", "upper", "none", 0)
    header = stage.picture.header
    assert header is not None
    assert header.pid == 4


def test_sockets_appear_and_are_marked_when_they_are_closed(stage: Stage) -> None:
    """A listener has a queue, a datagram socket none."""
    listener, udp = stage.picture.endpoints.values()
    assert (listener.listens, udp.listens) == (True, False)
    stage(Close, 10, 5, "stop", sock="listen-1")
    assert (listener.closed, udp.closed) == (True, False)
    stage(Close, 10, 9, "stop", sock="unheard-of")(Close, 10, 9, "stop")
    assert len(stage.picture.endpoints) == 2


@pytest.mark.parametrize("proto", ["tcp", "unix"])
def test_the_queue_of_a_new_listener_is_not_known(proto: str) -> None:
    """It is a listener whatever its backlog, and an event has to tell how many wait."""
    listener = Stage()(Listen, 10, "listen-1", 5, proto, "somewhere", 0).picture.endpoints["listen-1"]
    assert (listener.listens, listener.backlog, listener.queued) == (True, 0, None)


def test_an_accept_opens_a_connection(stage: Stage) -> None:
    """It is counted, and the queue is as long as the accept says."""
    stage.accept()
    it = stage.picture
    assert (it.open, it.accepted) == (1, 1)
    assert (it.endpoints["listen-1"].accepted, it.endpoints["listen-1"].queued) == (1, 2)
    assert (stage.tcp.peer, stage.tcp.sock, stage.tcp.state) == ("127.0.0.1:40000", "listen-1", "open")


def test_an_accept_that_fails_opens_nothing(stage: Stage) -> None:
    """Nor does one of an unknown listener disturb."""
    stage(Accept, 10, "listen-1", errno="EAGAIN")
    assert stage.picture.open == 0
    stage(Accept, 10, "listen-9", "tcp-9", 7, None, None, 3)
    assert stage.picture.connections["tcp-9"].peer == ""


def test_bytes_are_counted_each_way_and_what_waits_is_their_difference(stage: Stage) -> None:
    """Received and not sent is held by the server."""
    stage.accept().recv(18)
    assert stage.tcp.buffered == 18
    stage.send(18, 10)
    assert (stage.tcp.received, stage.tcp.sent, stage.tcp.buffered) == (18, 10, 8)
    assert (stage.picture.received, stage.picture.sent) == (18, 10)


def test_a_handler_may_say_more_than_it_heard(stage: Stage) -> None:
    """Then what the send could not take is what waits."""
    stage.accept().recv(1).send(100, 60)
    assert stage.tcp.buffered == 40


def test_not_now_is_no_error(stage: Stage) -> None:
    """EAGAIN leaves the connection as it is; a reset is remembered."""
    stage.accept().recv(None, "EAGAIN").send(5, None, "EAGAIN")
    assert stage.tcp.errno == ""
    stage.send(5, None, "EPIPE")
    assert stage.tcp.errno == "EPIPE"
    stage.recv(None, "ECONNRESET")
    assert stage.tcp.errno == "ECONNRESET"


def test_states_have_words(stage: Stage) -> None:
    """Open, half-closed by either, closing, closed with its reason."""
    stage.accept().recv(0)
    assert stage.tcp.state == "half-closed (peer)"
    stage(Shutdown, 10, "tcp-1", 7, "SHUT_WR")
    assert stage.tcp.state == "closing"
    stage(Close, 10, 7, "eof", "tcp-1")
    assert stage.tcp.state == "closed: eof"
    stage.accept()(Shutdown, 10, "tcp-1", 7, "SHUT_WR")
    assert stage.tcp.state == "half-closed (us)"
    stage(Close, 10, 7, "error", "tcp-1", errno="ECONNRESET")
    assert stage.picture.closed["tcp-1"].state == "closed: ECONNRESET"


def test_a_close_takes_the_connection_from_the_open_ones(stage: Stage) -> None:
    """The last few that were closed are remembered."""
    for number in range(100):
        stage.accept(f"tcp-{number}")(Close, 10, 7, "eof", f"tcp-{number}")
    it = stage.picture
    assert (it.open, len(it.connections), len(it.closed)) == (0, 0, 64)
    assert "tcp-99" in it.closed


def test_a_connection_whose_accept_was_never_seen_begins_with_its_first_event(stage: Stage) -> None:
    """A watcher may come late."""
    stage.recv(5)
    assert (stage.tcp.name, stage.picture.open) == ("tcp-1", 1)
    stage(Interest, "tcp-2", None, "READ", "READ|WRITE", "much is left")
    assert stage.picture.connections["tcp-2"].interest == "READ|WRITE"
    stage(Interest, None, "listen-1", "", "READ", "begin")
    assert stage.picture.open == 2


def test_datagrams_are_counted(stage: Stage) -> None:
    """One that failed is not, and an unknown socket does not disturb."""
    stage(Recvfrom, 10, "udp-1", 6, 0, "a:1")(Recvfrom, 10, "udp-1", 6, None, errno="EAGAIN")
    stage(Sendto, 10, "udp-1", 6, "a:1", 7)(Sendto, 10, "udp-1", 6, "a:1", None, errno="EPERM")
    stage(Recvfrom, 10, "udp-9", 6, 4, "a:1")(Sendto, 10, "udp-9", 6, "a:1", 4)
    udp = stage.picture.endpoints["udp-1"]
    assert (udp.accepted, udp.sent) == (1, 1)
    assert (stage.picture.received, stage.picture.sent) == (4, 11)


def test_the_loops_own_events_go_to_the_loop(stage: Stage) -> None:
    """Poll, prepare, timer, signal, slow."""
    stage(Poll, 500, None, "nothing", [("tcp-1", "IN")])(Prepare, None, "nothing is due")
    stage(Timer, "idle", 10)(Signal, "SIGINT")(Slow, 200_000_000)
    loop = stage.picture.loop
    assert (loop.tick, loop.slept, loop.why, loop.timer, loop.signal, loop.slow) == (
        1, 500, "nothing is due", "idle", "SIGINT", 1,
    )  # fmt: skip


def test_limits_hold_until_they_are_left(stage: Stage) -> None:
    """Leaving one that never was is nothing."""
    stage(Limit, "connections", True)
    assert list(stage.picture.limits) == ["connections "]
    stage(Limit, "connections", False)(Limit, "high water", False, "tcp-1")
    assert stage.picture.limits == {}


def test_the_queue_is_what_was_sampled_last(stage: Stage) -> None:
    """Of a listener that is known."""
    stage(Queue, "listen-1", 5, 64)(Queue, "listen-9", 1, 2)
    listener = stage.picture.endpoints["listen-1"]
    assert (listener.queued, listener.backlog) == (5, 64)


def test_the_kernels_word_to_a_watcher_is_nothing_that_the_program_did(stage: Stage) -> None:
    """It changes a queue and no more: no time passes, no number is missed or skipped, and it is no rung."""
    stage(Listen, 10, "listen-1", 5, "tcp", "127.0.0.1:8080", 64)
    it = stage.picture
    before = (it.t, it.events, it.expected, it.loop.tick, list(it.ladder))
    it.apply(Queue(-1, 10**9, 0, "listen-1", 5, 64))
    it.apply(Queue(-1, 10**9, 0, "listen-9", 1, 64))
    assert (it.t, it.events, it.expected, it.loop.tick, it.ladder) == before
    assert it.endpoints["listen-1"].queued == 5
    stage.seq += 3
    stage(Slow, 10)
    assert it.lost == 3


def test_the_end_is_kept_and_nobody_sleeps_after_it(stage: Stage) -> None:
    """The reason why the log ends."""
    assert stage.picture.asleep(stage.picture.t + IDLE) == IDLE
    assert stage.picture.asleep(stage.picture.t + IDLE - 1) == 0
    stage(End, "SIGINT", 4)
    assert stage.picture.end is not None
    assert stage.picture.asleep(stage.picture.t + IDLE) == 0
    assert Picture().asleep(IDLE) == 0


def test_the_ladder_is_bounded_and_keeps_the_newest(stage: Stage) -> None:
    """And of a payload no more than can ever be shown."""
    stage.accept()
    for _ in range(3 * RUNGS):
        stage.recv(1000, data=b"x" * 1000)
    ladder = stage.picture.ladder
    assert RUNGS <= len(ladder) < 2 * RUNGS
    last = ladder[-1]
    assert isinstance(last, Recv)
    assert (last.seq, last.n, len(last.data)) == (stage.seq - 1, 1000, PREVIEW)


def test_a_loop_that_spins_leaves_on_the_ladder_what_it_did_before(stage: Stage) -> None:
    """Of polls that nothing follows the last few are enough; sleeps are told, each of them."""
    stage.accept().recv(10)
    before = list(stage.picture.ladder)
    for tick in range(10_000):
        stage(Poll, tick, 1.0, "", [("tcp-1", "OUT")])
    ladder = stage.picture.ladder
    assert ladder[: len(before)] == before
    assert [it.dur for it in ladder[len(before) :] if isinstance(it, Poll)] == list(range(9_992, 10_000))
    for _ in range(30):
        stage(Poll, 10**6, None, "", [("tcp-1", "OUT")])
    assert len(ladder) == len(before) + 8 + 30
    for _ in range(30):
        stage(Poll, 5, None, "", [("tcp-1", "OUT")]).recv(10)
    assert len(ladder) == len(before) + 8 + 30 + 60


def test_what_a_watcher_misses_of_a_loop_that_spins_is_one_gap(stage: Stage) -> None:
    """It grows; another begins where something was done in between, and a log's are its own."""

    def misses(lost: int, seq: int = -1) -> None:
        stage.picture.apply(Gap(seq, stage.seq * 1000, 1, lost, "this watcher did not keep up"))

    for lost in (5, 6, 7):
        misses(lost)
        stage(Poll, 5, 1.0, "", [("tcp-1", "OUT")])(Timer, "a watcher is behind", 9)
    assert [it.lost for it in stage.picture.ladder if isinstance(it, Gap)] == [18]
    assert stage.picture.lost == 18
    stage(Timer, "idle timeout of tcp-1", 9)
    misses(1)
    stage(Poll, 10**6, None, "", [("tcp-1", "OUT")])
    misses(2)
    misses(3, stage.seq)
    misses(4)
    misses(8)
    assert [it.lost for it in stage.picture.ladder if isinstance(it, Gap)] == [18, 1, 2, 3, 12]


def test_what_is_not_known_is_counted_and_nothing_else(stage: Stage) -> None:
    """A later version's event, and the clock pair."""
    before = len(stage.picture.ladder)
    stage.picture.apply(Unknown(stage.seq, 5000, 1, "migrate", {}))
    stage.seq += 1
    stage(Clock, 1, 2, 3)
    assert (stage.picture.events, len(stage.picture.ladder)) == (4, before)


def test_missing_numbers_are_a_loss(stage: Stage) -> None:
    """But the first number may be any, and what goes back is no loss."""
    stage.seq += 7
    stage.accept()
    assert stage.picture.lost == 7
    stage.seq -= 3
    stage.recv(1)
    assert stage.picture.lost == 7


def test_a_gap_in_a_file_is_counted_once(stage: Stage) -> None:
    """It has the number of the last event that is missing."""
    stage.seq += 4
    stage(Gap, 5, "the disk was full").accept()
    assert stage.picture.lost == 5


def test_the_pace_takes_late_news_for_late_and_silence_for_sleep(stage: Stage) -> None:
    """Up to a tenth of a second is the way of the news."""
    t = stage.picture.t
    assert stage.picture.pace(t + IDLE // 2).total == 0.0
    assert stage.picture.pace(t + 1_000_000_000).total == pytest.approx(1.0, rel=0.01)


def test_the_kernels_word_that_the_loop_works_ends_its_sleep(stage: Stage) -> None:
    """From then on, or from its last event on, until it says something again; no word is as before."""
    it = stage.picture
    t = it.t
    it.works(t + 3 * IDLE)
    assert (it.asleep(t + 9 * IDLE), it.unheard(t + 9 * IDLE)) == (3 * IDLE, 6 * IDLE)
    assert (it.asleep(t + 3 * IDLE), it.unheard(t + 3 * IDLE)) == (3 * IDLE, 0)
    assert it.unheard(t + 4 * IDLE - 1) == 0
    it.works(t - 9)
    assert (it.asleep(t + IDLE), it.unheard(t + IDLE), it.unheard(t + IDLE - 1)) == (0, IDLE, 0)
    assert it.pace(t + 9 * IDLE).total == 0.0
    it.works(None)
    assert (it.asleep(t + IDLE), it.unheard(t + IDLE)) == (IDLE, 0)
    it.works(t)
    stage(Slow, 10)
    assert it.loop.at_work is None
    it.works(t)
    stage(End, "SIGINT", 4)
    it.works(t)
    assert it.unheard(it.t + IDLE) == 0


def test_silence_after_a_sleep_has_to_be_over_is_not_known_to_be_sleep(stage: Stage) -> None:
    """Nor is it while a watcher is behind, for that may be us."""
    it = stage(Prepare, 6 * IDLE, "idle timeout of tcp-1").picture
    t = it.t
    assert (it.asleep(20 * IDLE), it.unheard(20 * IDLE)) == (6 * IDLE - t, 14 * IDLE)
    stage(Prepare, 6 * IDLE, "a watcher is behind")
    assert (it.asleep(it.t + IDLE), it.unheard(it.t + IDLE)) == (0, IDLE)


def test_a_program_sleeps_as_long_as_its_call_does(program: Any) -> None:
    """How long a poll was to sleep that is over says nothing of the next."""
    program(Poll, 1000, 5, "", [])(Block, 2000, "poll")
    it = after(program)
    assert (it.loop.until, it.asleep(9 * IDLE), it.unheard(9 * IDLE)) == (None, 9 * IDLE - 2000, 0)
    assert it.pace(9 * IDLE).recent > 0.9


def test_a_frozen_picture_thaws_to_the_same(stage: Stage) -> None:
    """All of it, and it goes on as the other does."""
    stage.accept().recv(18, data=b"hello")(Poll, 1, None, "", [("tcp-1", "IN")])(Slow, 1)(Limit, "x", True)
    copy = Picture.thaw(stage.picture.freeze())
    assert copy == stage.picture
    event = Recv(99, 99_000, 2, 10, "tcp-1", 7, 10, 4)
    copy.apply(event)
    stage.picture.apply(event)
    assert copy == stage.picture


def snapshot(t: int, lost: int = 0) -> Snapshot:
    """A server with a listener and one connection."""
    return Snapshot(
        -1, t, 40,
        [ListenerState("listen-1", 5, "tcp", "127.0.0.1:8080", 128, 9, 0, 1)],
        [ConnectionState("tcp-1", 7, "127.0.0.1:40000", "127.0.0.1:80", 10, 100, 80, 20, "READ", "listen-1")],
        3, 500, 9, 1000, 900, lost,
    )  # fmt: skip


def test_a_snapshot_replaces_what_was_known() -> None:
    """Counts, sockets, connections: the server knows best."""
    stage = Stage()
    stage.accept("tcp-8").accept("tcp-1").recv(0)
    stage.picture.apply(snapshot(1_000_000, 12))
    it = stage.picture
    assert (it.open, it.accepted, it.received, it.sent, it.lost) == (3, 9, 1000, 900, 12)
    assert (list(it.connections), it.endpoints["listen-1"].queued, it.loop.blocked) == (["tcp-1"], 1, 500)
    assert (stage.tcp.received, stage.tcp.buffered) == (100, 20)
    assert stage.tcp.eof, "how the streams stand is not in a snapshot"


def test_a_snapshot_tells_what_the_loop_sleeps_for() -> None:
    """As `prepare` does; an older server's does not, and then what was known stays."""
    stage = Stage()(Prepare, 9_000_000, "idle")
    stage.picture.apply(snapshot(1_000_000))
    assert (stage.picture.loop.until, stage.picture.loop.why) == (9_000_000, "idle")
    told = snapshot(2_000_000)
    told.why = "no timer is set"
    stage.picture.apply(told)
    assert (stage.picture.loop.until, stage.picture.loop.why) == (None, "no timer is set")


def test_a_snapshot_tells_how_often_everybody_waited() -> None:
    """Also of ticks that were missed; an older server's does not, and then what was seen stays."""
    stage = Stage()(Slow, 10)
    stage.picture.apply(snapshot(1_000_000))
    assert stage.picture.loop.slow == 1
    told = snapshot(2_000_000)
    told.slow = 3
    stage.picture.apply(told)
    assert stage.picture.loop.slow == 3


def test_after_a_snapshot_no_limit_is_known_to_hold() -> None:
    """That it was left may be among what was missed."""
    stage = Stage()(Limit, "connections", True)
    stage.picture.apply(snapshot(1_000_000, 12))
    assert stage.picture.limits == {}


def test_after_a_gap_for_a_watcher_and_a_snapshot_any_number_may_come() -> None:
    """Their own number is -1; what was missed is counted once."""
    stage = Stage()
    stage.accept()
    stage.picture.apply(Gap(-1, 900_000, 1, 12, "this watcher did not keep up"))
    stage.picture.apply(snapshot(1_000_000, 12))
    stage.seq = 5000
    stage.recv(1)
    assert stage.picture.lost == 12


@pytest.mark.parametrize(
    "event",
    [
        Header(0, 0, 0, "evloop/1", 1, 2, 3, 4, [], {}, "epoll", "upper", "none", 0),
        Listen(1, 1, 0, 10, "listen-1", 5, "tcp", "127.0.0.1:8080", 128),
        Accept(2, 2, 1, 10, "listen-1", "tcp-1", 7),
        Recv(3, 3, 1, 10, "tcp-1", 7, 10, 5, None, b"x" * 1000),
        Recv(3, 3, 1, 10, "tcp-1", 7, 10, 0),
        Send(3, 3, 1, 10, "tcp-1", 7, 5, 5),
        Shutdown(3, 3, 1, 10, "tcp-1", 7, "SHUT_WR"),
        Recvfrom(3, 3, 1, 10, "udp-1", 7, 4),
        Close(4, 4, 1, 10, 8, "eof", "tcp-0"),
        Poll(5, 5, 1, 10, None, "x", []),
        Prepare(5, 5, 1, None, "x"),
        Unknown(5, 5, 1, "later", {}),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_a_snapshot_has_counted_is_not_counted_again(event: AnyEvent | Unknown) -> None:
    """The tick in which a watcher joins is told twice: as its outcome, then as its events."""
    picture = Picture()
    picture.apply(snapshot(1_000_000))
    picture.apply(event)
    assert (picture.open, picture.accepted, picture.received, picture.sent) == (3, 9, 1000, 900)
    assert (picture.t, picture.loop.blocked, picture.connections["tcp-1"].received) == (1_000_000, 500, 100)
    shown = not isinstance(event, (Header, Prepare, Unknown))
    assert len(picture.ladder) == shown


def test_the_end_is_no_less_the_end_behind_a_snapshot() -> None:
    """Who did not keep up is told the state first, which is taken when the end has been recorded."""
    picture = Picture()
    picture.apply(snapshot(1_000_000))
    picture.apply(End(5, 999_000, 1, "SIGINT", 5))
    assert picture.end is not None
    assert (picture.end.reason, picture.t) == ("SIGINT", 1_000_000)


def test_what_a_snapshot_does_not_tell_is_taken_from_the_events() -> None:
    """The header, the end of a stream, why the loop sleeps."""
    picture = Picture()
    picture.apply(snapshot(1_000_000))
    picture.apply(Header(0, 0, 0, "evloop/1", 1, 2, 3, 4, [], {}, "epoll", "upper", "none", 0))
    picture.apply(Recv(3, 3, 1, 10, "tcp-1", 7, 10, 0))
    picture.apply(Shutdown(4, 4, 1, 10, "tcp-1", 7, "SHUT_WR"))
    picture.apply(Poll(5, 5, 1, 10, None, "x", [("tcp-1", "IN")]))
    picture.apply(Prepare(6, 6, 1, None, "nothing is due"))
    assert picture.header is not None
    assert picture.connections["tcp-1"].state == "closing"
    assert (picture.loop.ready, picture.loop.why) == ([("tcp-1", "IN")], "nothing is due")


def after(program: Any) -> Picture:
    """The picture of a program, frozen and thawed on its way."""
    picture = Picture()
    for event in program.events:
        picture.apply(event)
    return Picture.thaw(picture.freeze())


def test_what_a_socket_becomes(program: Any) -> None:
    """Nothing at first; then it listens, or is a connection, or has an address at least."""
    it = after(program(Socket, 100, "tcp-1", 3, "tcp"))
    assert (it.endpoints["tcp-1"].made, it.endpoints["tcp-1"].listens, it.open) == (True, False, 0)
    it = after(program(Bind, 300, "tcp-1", 3, "tcp", "a:1"))
    assert (it.endpoints["tcp-1"].made, it.endpoints["tcp-1"].address) == (True, "a:1")
    it = after(program(Listen, 500, "tcp-1", 3, "tcp", "a:1", 5)(Socket, 700, errno="EMFILE"))
    assert (it.endpoints["tcp-1"].listens, it.endpoints["tcp-1"].backlog, len(it.endpoints)) == (True, 5, 1)


def test_an_address_that_is_taken(program: Any) -> None:
    """The socket stays what it was, and why is known."""
    program(Socket, 100, "tcp-1", 3, "tcp")(Bind, 300, "tcp-1", 3, "tcp", "a:1", "EADDRINUSE")
    it = after(program(Listen, 500, "tcp-9", 3, "tcp", "a:1", 5, "EADDRINUSE"))
    assert list(it.endpoints) == ["tcp-1"]
    assert (it.endpoints["tcp-1"].errno, it.endpoints["tcp-1"].address) == ("EADDRINUSE", "")


def test_a_connection_that_we_ask_for(program: Any) -> None:
    """It is connecting while connect() sleeps, and open when that has returned."""
    program(Socket, 100, "tcp-1", 3, "tcp")(Block, 300, "connect", "tcp-1", fd=3)
    it = after(program)
    assert (it.connections["tcp-1"].state, it.endpoints, it.open) == ("connecting", {}, 0)
    it = after(program(Connect, 290, 3, "tcp-1", None, "a:80", "a:9", dur=5000))
    tcp = it.connections["tcp-1"]
    assert (tcp.state, tcp.peer, tcp.outgoing, tcp.opened) == ("open", "a:80", True, 5290)
    assert (it.open, it.connected, it.accepted) == (1, 1, 0)
    send = program(Send, 6000, "tcp-1", 3, 4, 4).events[-1]
    assert after(program).outgoing(send)
    it = after(program(Connect, 6500, 3, "tcp-1", errno="EISCONN")(Close, 7000, 3, "close", "tcp-1", sent=4))
    assert it.outgoing(send)
    assert (it.open, it.closed["tcp-1"].state) == (0, "closed")


def test_a_connection_that_is_refused(program: Any) -> None:
    """It was never open; another try may succeed."""
    program(Connect, 100, 3, "tcp-1", None, "a:80", errno="EINPROGRESS")
    assert after(program).connections["tcp-1"].state == "connecting"
    program(Connect, 300, 3, "tcp-1", errno="ECONNREFUSED")
    it = after(program)
    assert (it.connections["tcp-1"].state, it.connections["tcp-1"].peer) == ("failed: ECONNREFUSED", "a:80")
    it = after(program(Connect, 500, 3, "tcp-1"))
    assert (it.connections["tcp-1"].state, it.open) == ("open", 1)


def test_closing_what_was_never_open_closes_nothing(program: Any) -> None:
    """Of open connections there are none less."""
    program.listen().accept(2000, "tcp-2")(Connect, 3000, 6, "tcp-3", None, "a:80", errno="timeout")
    it = after(program(Close, 4000, 6, "close", "tcp-3"))
    assert (it.open, it.closed["tcp-3"].state) == (1, "closed: timeout")


def test_a_pair_of_sockets(program: Any) -> None:
    """Each knows the other, and is a connection when it is used as one."""
    program(Socket, 100, "unix-1", 3, "unix")(Socket, 300, "unix-2", 4, "unix", "unix-1")
    it = after(program)
    assert [(name, end.peer) for name, end in it.endpoints.items()] == [
        ("unix-1", "unix-2"),
        ("unix-2", "unix-1"),
    ]
    it = after(program(Send, 500, "unix-1", 3, 1, 1))
    assert (list(it.endpoints), it.connections["unix-1"].peer, it.open) == (["unix-2"], "unix-2", 1)


def test_inherited_sockets(program: Any) -> None:
    """What they are, and how far they have come, they know from the process before."""
    program(Inherit, 10, "tcp-1", 3, "tcp", "a:1", listens=True)(Inherit, 20, "udp-1", 4, "udp", "a:2", "a:3")
    program(Inherit, 30, "tcp-2", 5, "tcp", "a:1", "b:9", received=7, sent=9)(
        Inherit, 40, "unix-1", 6, "unix"
    )
    it = after(program)
    assert [(end.listens, end.made, end.peer) for end in it.endpoints.values()] == [
        (True, False, ""), (False, False, "a:3"), (False, True, ""),
    ]  # fmt: skip
    assert (it.connections["tcp-2"].received, it.connections["tcp-2"].sent, it.open) == (7, 9, 1)


def test_datagram_sockets_of_programs(program: Any) -> None:
    """One that is bound is spoken to, one that is not speaks first."""
    program(Socket, 100, "udp-1", 3, "udp")(Connect, 300, 3, None, "udp-1", "a:9")
    program(Connect, 400, 3, None, "udp-1", "a:8", errno="EINVAL")(Connect, 450, 3, None, "udp-9", "a:8")
    sent = program(Sendto, 500, "udp-1", 3, "a:9", 4).events[-1]
    program(Recvfrom, 700, "udp-1", 3, 4, "a:9", flags="MSG_PEEK")(Recvfrom, 900, "udp-1", 3, 4, "a:9")
    it = after(program)
    assert (it.endpoints["udp-1"].peer, it.endpoints["udp-1"].accepted, it.received) == ("a:9", 1, 4)
    assert it.outgoing(sent)
    assert not after(program(Bind, 1100, "udp-1", 3, "udp", "a:1")).outgoing(sent)
    assert not Picture().outgoing(sent)


def test_what_is_looked_at_is_not_taken(program: Any) -> None:
    """MSG_PEEK leaves the bytes; the end of the stream it does see. Nothing asked for is no end."""
    program.listen().accept(2000, "tcp-2")(Recv, 3000, "tcp-2", 5, 0, 0)
    it = after(program(Recv, 3200, "tcp-2", 5, 9, 4, (0, 4), b"abcd", flags="MSG_PEEK"))
    assert (it.connections["tcp-2"].received, it.received, it.connections["tcp-2"].eof) == (0, 0, False)
    it = after(program(Recv, 3400, "tcp-2", 5, 9, 0, (0, 0), flags="MSG_PEEK"))
    assert it.connections["tcp-2"].eof


def test_calls_that_cannot_work_make_no_connection(program: Any) -> None:
    """A socket that is not connected stays what it is."""
    program(Socket, 100, "tcp-1", 3, "tcp")(Recv, 300, "tcp-1", 3, 9, errno="ENOTCONN")
    it = after(program(Send, 500, "tcp-1", 3, 9, errno="EPIPE"))
    assert (list(it.endpoints), it.connections, len(it.ladder)) == (["tcp-1"], {}, 3)


def test_shutdown_of_a_listener_and_of_half_a_connection(program: Any) -> None:
    """A program wakes its accept() so; and who will not read may still write."""
    program.listen()(Shutdown, 2000, "tcp-1", 3, "SHUT_RD").accept(2200, "tcp-2")
    it = after(
        program(Shutdown, 2400, "tcp-2", 5, "SHUT_RD")(Shutdown, 2600, "tcp-2", 5, "SHUT_WR", "ENOTCONN")
    )
    assert (list(it.connections), it.connections["tcp-2"].state) == (["tcp-2"], "open")
    it = after(program(Recv, 2700, "tcp-2", 5, 100, 0, (0, 0)))  # which says nothing of the client
    assert (it.connections["tcp-2"].state, it.connections["tcp-2"].deaf) == ("open", True)
    assert (
        after(program(Shutdown, 2800, "tcp-2", 5, "SHUT_WR")).connections["tcp-2"].state == "half-closed (us)"
    )


def test_a_time_out_is_no_error_of_the_connection(program: Any) -> None:
    """It may go on."""
    program.listen().accept(2000, "tcp-2")(Recv, 3000, "tcp-2", 5, 9, errno="timeout")
    assert after(program).connections["tcp-2"].errno == ""


def test_sockets_that_are_gone_are_forgotten(program: Any) -> None:
    """At once if they were never anything, the others when they are many."""
    it = after(program.listen()(Close, 2000, 3, "close", None, "tcp-1"))
    assert it.endpoints["tcp-1"].closed
    program(Socket, 2100, "tcp-2", 3, "tcp")(Close, 2300, 3, "collected", None, "tcp-2")
    assert list(after(program).endpoints) == ["tcp-1"]
    for n in range(200):
        program(Socket, 3000 + n, f"udp-{n}", 3, "udp")(Close, 3000 + n, 3, "close", None, f"udp-{n}")
    assert len(after(program).endpoints) <= 64


def test_the_time_of_a_program_is_that_of_the_last_return(program: Any) -> None:
    """Another thread's call may have begun, and be told, later."""
    program.listen().accept(2000, "tcp-2", dur=50_000)(Block, 40_000, "recv", "tcp-2", thread="T-1")
    it = after(program)
    assert (it.t, it.connections["tcp-2"].opened, it.connections["tcp-2"].seen) == (52_000, 52_000, 52_000)
    assert it.threads["T-1"].block is not None


def test_only_who_sleeps_is_asleep(program: Any) -> None:
    """Of what a program does between its calls nothing is known."""
    program.listen()
    assert after(program).asleep(IDLE * 2) == 0
    program(Block, 2000, "accept", sock="tcp-1")
    assert after(program).asleep(2000 + IDLE) == IDLE
    assert after(program.end(3000)).asleep(2 * IDLE) == 0


def test_who_sleeps_elsewhere_does_not_know_who_waits(program: Any) -> None:
    """An accept tells how many do; that is old when the thread sleeps where no caller would wake it."""

    def queued() -> int | None:
        return after(program).endpoints["tcp-1"].queued

    program.listen()
    assert queued() is None
    program(Block, 2000, "accept", sock="tcp-1")
    assert queued() == 0
    program.accept(2000, "tcp-2", queued=2)(Block, 2500, "recv", "tcp-9", thread="T-1")
    assert queued() == 2
    program(Block, 3000, "recv", "tcp-2")
    assert queued() is None
    program(Recv, 3000, "tcp-2", 5, 9, 4).accept(4000, "tcp-3", queued=1)
    assert queued() == 1
    program(Block, 5000, "poll", watched=[("tcp-2", "READ"), ("tcp-1", "WRITE")])
    assert queued() is None
    program(Poll, 5000, None, "", [("tcp-2", "IN")])(Block, 6000, "poll", watched=[("tcp-1", "READ")])
    assert queued() == 0


def test_another_thread_would_take_the_next_caller(program: Any) -> None:
    """As long as one sleeps in accept, nobody waits."""
    program.listen()(Block, 2000, "accept", sock="tcp-1", thread="T-1")(Block, 2100, "accept", sock="tcp-1")
    program.accept(2100, "tcp-2", queued=0)(Block, 3000, "recv", "tcp-2")
    assert after(program).endpoints["tcp-1"].queued == 0
    program.accept(2000, "tcp-3", queued=0, thread="T-1")(Block, 4000, "recv", "tcp-3", thread="T-1")
    assert after(program).endpoints["tcp-1"].queued is None


def test_a_queue_of_which_there_is_other_word_is_known_all_the_time(program: Any) -> None:
    """The kernel is asked again and again, wherever the program sleeps."""
    program.listen()
    program.events.append(Queue(-1, 1500, 0, "tcp-1", 0, 5))
    program.accept(2000, "tcp-2", queued=1)(Block, 3000, "recv", "tcp-2")
    assert after(program).endpoints["tcp-1"].queued == 1


def test_a_short_sleep_is_no_rung(program: Any) -> None:
    """Nor is a poll's: its own rung says how long it was."""
    program.listen()(Block, 2000, "accept", sock="tcp-1").accept(2000, "tcp-2", dur=999_000)
    assert [type(event) for event in after(program).ladder][-2:] == [Listen, Accept]
    program(Block, 10**6, "recv", "tcp-2")(Recv, 10**6, "tcp-2", 5, 9, 4, dur=10**6)
    assert [type(event) for event in after(program).ladder][-2:] == [Block, Recv]
    program(Block, 10**7, "poll")(Poll, 10**7, None, "", [("tcp-2", "IN")], dur=10**9, tick=1)
    assert [type(event) for event in after(program).ladder][-2:] == [Recv, Poll]
    program(Block, 10**10, "recv", "tcp-2")(Signal, 10**10 + 5, "SIGCHLD", tick=1)
    program(Recv, 10**10, "tcp-2", 5, 9, 4)(Unseen, 10**11, "ssl", "it calls recv(2) itself")
    assert [type(event) for event in after(program).ladder][-4:] == [Block, Signal, Recv, Unseen]
    program.events.append(Unknown(len(program.events), 10**12, 1, "later", {}))
    assert after(program).t == 10**12


def test_what_tcp_says_is_known_of_a_connection() -> None:
    """On the ladder stands what explains something: a send without room, and what was sent again."""
    stage = Stage()
    stage(Accept, 1, "listen-1", "tcp-1", 7, "p", "l", 0)
    for why, again in (("sample", 0), ("send", 0), ("sample", 2), ("sample", 2), ("close", 3)):
        stage(TcpInfo, "tcp-1", why, "ESTABLISHED", total_retrans=again)
    stage(TcpInfo, "tcp-9", "sample", "ESTABLISHED")
    shown = [event for event in stage.picture.ladder if isinstance(event, TcpInfo)]
    assert [(event.why, event.total_retrans) for event in shown] == [("send", 0), ("sample", 2), ("close", 3)]
    assert stage.picture.connections["tcp-1"].tcp == shown[-1]
