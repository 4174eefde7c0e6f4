"""The loop's decisions in the log, and the log of whole conversations."""

from __future__ import annotations

import contextlib
import itertools
import socket

import pytest

from evloop.address import Inet
from evloop.events.recorder import Recorder
from evloop.events.schema import Call, Header, Poll, Recv, Send, Slow, TcpInfo
from evloop.events.sinks import MemorySink, encode
from evloop.kernel import READ, WRITE, Kernel
from evloop.tracing import EventTrace, TracedKernel


@pytest.fixture
def trace(header):
    """An `EventTrace`, with what it wrote in `trace.events()`."""
    first = header()
    recorder, sink = Recorder(first, print), MemorySink()
    recorder.sinks.append(sink)
    made = EventTrace(TracedKernel(Kernel(), recorder, 64))
    recorder.flush()

    def events():
        recorder.flush()
        return sink.events[1:]

    made.events, made.sink = events, sink
    return made


@pytest.fixture
def listener(trace):
    """A traced listener; its own event is out of the way."""
    sock = trace._kernel.listen(Inet("127.0.0.1", 0), 5)
    trace._recorder.flush()
    trace.sink.events.pop()
    yield sock
    trace._kernel.close(sock, "stop")


def test_why_it_sleeps_is_written_when_it_changes(trace):
    """The deadline or the reason; and at once, as the loop is about to sleep."""
    origin = trace._recorder.origin
    for deadline, why in [
        (None, "a"), (None, "a"), (origin + 5, "a"), (origin + 5, "a"), (origin + 5, "b"), (None, "b"),
    ]:  # fmt: skip
        trace.prepare(deadline, why)
        assert trace._recorder.batch == []
        assert trace._kernel.why == why
    assert [(e.until, e.why) for e in trace.sink.events[1:]] == [
        (None, "a"), (5, "a"), (5, "b"), (None, "b"),
    ]  # fmt: skip


def test_a_snapshot_tells_what_the_loop_sleeps_for(trace):
    """It is written only when it changes: who comes later would not know it for as long as it stays."""
    kernel = trace._kernel
    assert (kernel.snapshot(0).until, kernel.snapshot(0).why) == (None, "")
    trace.prepare(trace._recorder.origin + 5, "a")
    assert (kernel.snapshot(0).until, kernel.snapshot(0).why) == (5, "a")
    trace.prepare(None, "b")
    assert (kernel.snapshot(0).until, kernel.snapshot(0).why) == (None, "b")


def test_interest_names_sockets_and_leaves_out_the_loops_own(trace, listener):
    """A connection is `conn`, a listener `sock`, and the signal pipe nobody's lesson."""
    trace.interest(listener, 0, READ, "there is room")
    listener.is_connection = True
    trace.interest(listener, READ, READ | WRITE, "bytes wait")
    trace.interest(object(), 0, READ, "signals")
    assert [(e.conn, e.sock, e.old, e.new, e.reason) for e in trace.events()] == [
        (None, "listen-1", "", "READ", "there is room"),
        ("listen-1", None, "READ", "READ|WRITE", "bytes wait"),
    ]  # fmt: skip
    assert listener.watching == READ | WRITE
    listener.is_connection = False


def test_what_is_written_as_it_is(trace, listener):
    """Timers, limits, refusals and errors."""
    trace.timer("the reason", 7)
    trace.limit("connections", active=True)
    trace.limit("accept", active=False, sock=listener)
    trace.refuse(listener, ("::1", 7), "a loop")
    trace.error("stream", ZeroDivisionError("by zero"), listener)
    timer, limit, short, refuse, error = trace.events()
    assert (timer.why, timer.late) == ("the reason", 7)
    assert (limit.what, limit.active, limit.sock) == ("connections", True, None)
    assert (short.what, short.active, short.sock) == ("accept", False, "listen-1")
    assert (refuse.sock, refuse.peer, refuse.reason) == ("listen-1", "[::1]:7", "a loop")
    assert (error.where, error.message, error.sock) == ("stream", "ZeroDivisionError: by zero", "listen-1")


def test_an_exception_quotes_no_payload_where_none_is_kept(trace):
    """Only its type stays."""
    trace._kernel.payload_limit = 0
    trace.error("stream", ValueError("invalid literal for int() with base 10: b'my-password'"))
    (error,) = trace.events()
    assert (error.where, error.message) == ("stream", "ValueError")


def test_the_last_signal_is_why_the_log_ends(trace):
    """Of those that stop the server: whether one does, the server says."""
    for name in ("SIGTERM", "SIGINT"):
        trace.signal(name)
        trace.stopping(name)
    trace.signal("SIGUSR1")
    trace.signal("SIGUSR2")
    assert [e.signal for e in trace.events()] == ["SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"]
    assert trace._recorder.reason == "SIGINT"


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("tcp-1"), "KeyError: 'tcp-1'"), (KeyboardInterrupt("now"), "KeyboardInterrupt: now")],
)
def test_a_crash_is_why_the_log_ends(trace, error, said):
    """An exception is the last event, which is handed on at once; who breaks off is no error."""
    trace.stopping("SIGTERM")
    trace.crashed(error)
    assert trace._recorder.batch == []
    errors = [(e.where, e.message) for e in trace.events()]
    assert errors == ([("loop", said)] if isinstance(error, Exception) else [])
    assert trace._recorder.reason == f"crash: {said}"


def test_the_queue_is_written_when_it_changes(trace, listener):
    """Once for each number of those who wait."""
    clients = []
    for _ in range(2):
        trace.queue(listener)
        trace.queue(listener)
        clients.append(socket.create_connection(listener.sock.getsockname()))
    trace.queue(listener)
    for client in clients:
        client.close()
    assert [(e.sock, e.queued, e.backlog) for e in trace.events()] == [
        ("listen-1", 0, 5), ("listen-1", 1, 5), ("listen-1", 2, 5),
    ]  # fmt: skip


def test_a_connection_is_sampled_each_time(trace, listener):
    """Whether or not something changed."""
    with socket.create_connection(listener.sock.getsockname()):
        conn, _ = trace._kernel.accept(listener)
        trace.events()
        trace.sink.events.clear()
        trace.tcp_info(conn)
        trace.tcp_info(conn)
        assert [(e.conn, e.why, e.state) for e in trace._recorder.batch] == [
            ("tcp-1", "sample", "ESTABLISHED")
        ] * 2
        assert all(event.rtt and event.snd_cwnd and event.snd_wnd for event in trace._recorder.batch)
        trace._kernel.close(conn, "stop")


def test_a_send_without_room_is_followed_by_what_tcp_says(trace, listener):
    """One that was taken in part, and one of which nothing was taken: the peer's window is the reason."""
    with socket.create_connection(listener.sock.getsockname()) as client:
        conn, _ = trace._kernel.accept(listener)
        _, send = trace._kernel.stream_calls(conn)
        size = 1 << 20
        while send(bytes(size)) == size:
            pass
        with contextlib.suppress(BlockingIOError):
            while True:
                send(bytes(size))
        *_, last, info = trace._recorder.batch
        assert (last.errno, type(info), info.why, info.state) == ("EAGAIN", TcpInfo, "send", "ESTABLISHED")
        assert info.notsent_bytes > 0
        assert (info.snd_wnd or 0) < size
        kinds = [type(event).__name__ for event in trace._recorder.batch if type(event) in (Send, TcpInfo)]
        partial = next(at for at, event in enumerate(kinds) if event == "TcpInfo")
        before = [event for event in trace._recorder.batch if type(event) is Send][partial - 1]
        assert before.n < before.size
        client.close()
        trace._kernel.close(conn, "stop")


def test_a_slow_tick_names_the_guilty(trace):
    """Whose event was followed by the longest time: that is where the work was done."""
    kernel, recorder = trace._kernel, trace._recorder
    now = kernel.clock()
    kernel.woke_at = kernel.now() - 300_000_000

    def recv(conn, ago):
        recorder.append(Recv(recorder.next_seq(), now - ago, 1, 0, conn, 7, 10, 1, (0, 1), b"x"))

    recorder.append(Poll(recorder.next_seq(), now - 600_000_000, 1, 0, None, "", []))
    recv("tcp-1", 300_000_000)
    recv("tcp-2", 290_000_000)  # 280 ms of work
    recv("tcp-3", 10_000_000)
    trace.tick_done()
    slow = trace.events()[-1]
    assert (type(slow), slow.conn) == (Slow, "tcp-2")
    assert slow.dur >= 300_000_000


def test_the_last_of_a_slow_tick_is_the_guilty(trace):
    """Nothing follows its event but the end of the tick."""
    kernel, recorder = trace._kernel, trace._recorder
    kernel.woke_at = kernel.now() - 300_000_000
    t = kernel.clock() - 290_000_000
    recorder.append(Recv(recorder.next_seq(), t, 1, 0, "tcp-9", 7, 10, 1, (0, 1), b"x"))
    trace.tick_done()
    assert trace.events()[-1].conn == "tcp-9"


def test_a_tick_that_is_not_slow(trace):
    """A tenth of a second is allowed."""
    trace._kernel.woke_at = trace._kernel.now() - 50_000_000
    trace.timer("x", 0)
    trace.tick_done()
    assert [type(event).__name__ for event in trace.events()] == ["Timer"]


# -- whole conversations ---------------------------------------------------------------------


def talk(server, kinds, short_dir):
    """The same conversations with any server; all that its clients were told."""
    told = []
    addresses = [server.tcp(), server.unix(f"{short_dir}/{id(server)}")]
    for address in addresses[: len(kinds)]:
        for size in (1, 100, 70_000, 300_000):
            client = server.client(address)
            said = bytes(range(256)) * (size // 256 + 1)
            sent = 0
            got = b""
            while len(got) < len(said):
                if sent < len(said):
                    try:
                        sent += client.send(said[sent:])
                    except BlockingIOError:
                        server.loop.tick()
                try:
                    got += client.recv(1 << 16)
                except BlockingIOError:
                    server.loop.tick()
            told.append(got)
            client.shutdown(socket.SHUT_WR)
            told.append(server.receive(client))
    client = server.client(server.udp(), socket.SOCK_DGRAM)
    for data in (b"a", b"", b"x" * 5000):
        client.send(data)
        told.append(server.datagram(client))
    server.until(lambda: not server.streams)
    return told


@pytest.mark.parametrize("payload", [0, 64, 1 << 62])
def test_traced_and_untraced_answer_the_same(real, selector, short_dir, payload):
    """Whoever looks on changes nothing."""
    kinds = ("tcp", "unix")
    plain = talk(real(selector, high_water=50_000), kinds, short_dir)
    traced = talk(real(selector, high_water=50_000, traced=True, payload=payload), kinds, short_dir)
    assert traced == plain


def test_the_log_of_a_server_holds_together(real, selector, short_dir):
    """Numbers without a gap, times in order, offsets without a hole, totals that agree."""
    server = real(selector, traced=True, payload=1 << 62, high_water=50_000)
    talk(server, ("tcp", "unix"), short_dir)
    server.close()
    events = server.sink.events
    assert isinstance(events[0], Header)
    assert [event.seq for event in events] == list(range(len(events)))
    assert (events[-1].events, events[-1].lost) == (len(events), 0)
    assert all(one.tick <= two.tick for one, two in itertools.pairwise(events))
    calls = [event for event in events if isinstance(event, Call)]
    assert all(one.t + one.dur <= two.t for one, two in itertools.pairwise(calls))
    polls = [event for event in events if event.__struct_config__.tag == "poll"]
    assert [poll.tick for poll in polls] == list(range(1, len(polls) + 1))
    ends = {}
    for event in events:
        kind = event.__struct_config__.tag
        if kind in {"recv", "send"} and event.n is not None:
            key = (event.conn, kind)
            assert event.off == (ends.get(key, 0), ends.get(key, 0) + event.n)
            assert len(event.data) == event.n <= event.size
            ends[key] = event.off[1]
        elif kind == "close" and event.conn:
            assert event.received == ends.get((event.conn, "recv"), 0)
            assert event.sent == ends.get((event.conn, "send"), 0)
            assert event.received == event.sent
            assert (event.unread, event.buffered) == (0, 0)
    names = [event.conn for event in events if event.__struct_config__.tag == "accept" and event.conn]
    assert len(set(names)) == len(names) == 8
    assert sum(event.__struct_config__.tag == "close" for event in events) == 8 + 3
    encode(events)


def test_interest_in_the_log_is_what_was_watched(real, selector):
    """Each change begins where the last ended, and a close ends it."""
    server = real(selector, traced=True, high_water=50_000)
    client = server.client(server.tcp(), buffers=64 * 1024)
    server.until(lambda: server.streams)
    while server.events("interest")[-1].new != "WRITE":
        with contextlib.suppress(BlockingIOError):
            client.send(b"x" * 65536)
        server.loop.tick()
    client.close()
    server.until(lambda: not server.streams)
    changes = [event for event in server.events("interest") if event.conn]
    assert [change.old for change in changes] == ["", *(change.new for change in changes[:-1])]
    assert (changes[0].new, changes[-1].new) == ("READ", "")
    assert "READ|WRITE" in {change.new for change in changes} or "WRITE" in {c.new for c in changes}


def test_the_time_out_and_its_reason_are_in_the_poll(real):
    """What the loop was willing to sleep, and which timer set that."""
    server = real(traced=True, idle_timeout=3600)
    poll, asked = server._poll, []
    server._poll = lambda timeout: asked.append(timeout) or poll(timeout)
    client = server.client(server.tcp())
    server.loop.poller.poll = lambda timeout: asked.append(timeout) or poll(timeout)
    server.loop.tick()  # sleeps until the client is accepted
    client.send(b"x")
    server.loop.tick()
    first, second = server.events("poll")
    assert first.timeout is None
    assert "no timer" in first.why
    assert 3590e9 < second.timeout <= 3600e9
    assert second.why == "a connection may be idle for too long"
    assert [event.why for event in server.events("prepare")] == [first.why, second.why]
    assert second.timeout == round(asked[-1] * 1e9)
