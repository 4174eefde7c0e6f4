"""Every call leaves one event, which says what the call was given and what it gave."""

from __future__ import annotations

import errno
import socket

import pytest

from evloop.address import Inet
from evloop.events.recorder import Recorder
from evloop.events.sinks import MemorySink, encode
from evloop.kernel import ERR, HUP, IN, OUT, READ, Kernel
from evloop.testing import failure
from evloop.tracing import TracedKernel
from evloop.tracing.calls import traced_poll, traced_recv, traced_recvfrom, traced_send, traced_sendto
from evloop.tracing.kernel import TracedSocket

PEER = ("127.0.0.1", 5000)


class Tick:
    """A traced kernel whose clock goes on by 10 ns with each look."""

    def __init__(self, header, limit=4):
        self.time = header.mono_ns
        self.sink = MemorySink()
        self.recorder = Recorder(header, print)
        self.recorder.sinks.append(self.sink)
        self.kernel = TracedKernel(Kernel(), self.recorder, limit)
        self.kernel.now = self.now
        self.sock = TracedSocket(self, "tcp-1", "fake", "127.0.0.1:5000")  # which has no TCP_INFO
        self.sock.is_connection = True

    def now(self):
        """Read the clock."""
        self.time += 10
        return self.time

    def fileno(self):
        """As `Socket`."""
        return 7

    @property
    def events(self):
        """All but the header."""
        self.recorder.flush()
        return self.sink.events[1:]


@pytest.fixture
def tick(header):
    """A traced kernel on a clock of the test."""
    return Tick(header())


def answers(*script):
    """A call that answers so."""
    left = list(script)

    def call(*_):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return call


def test_recv(tick):
    """Offsets count on from the first byte; of the payload as much as is kept; the end has n 0."""
    recv = traced_recv(tick.kernel, tick.sock, answers(b"abcdef", b"gh", b""))
    assert [recv(10), recv(20), recv(30)] == [b"abcdef", b"gh", b""]
    assert [(e.size, e.n, e.off, e.data, e.errno) for e in tick.events] == [
        (10, 6, (0, 6), b"abcd", None), (20, 2, (6, 8), b"gh", None), (30, 0, (8, 8), b"", None),
    ]  # fmt: skip
    assert [(e.seq, e.t, e.dur, e.conn, e.fd) for e in tick.events] == [
        (1, 10, 10, "tcp-1", 7), (2, 30, 10, "tcp-1", 7), (3, 50, 10, "tcp-1", 7),
    ]  # fmt: skip
    assert tick.sock.received == 8


def test_send(tick):
    """What was offered and what was taken; the payload is that which was taken."""
    send = traced_send(tick.kernel, tick.sock, answers(6, 2, 5, 0))
    assert [send(b"abcdef"), send(b"ghijkl"), send(memoryview(b"mnopq")), send(b"r")] == [6, 2, 5, 0]
    assert [(e.size, e.n, e.off, bytes(e.data)) for e in tick.events] == [
        (6, 6, (0, 6), b"abcd"), (6, 2, (6, 8), b"gh"), (5, 5, (8, 13), b"mnop"), (1, 0, (13, 13), b""),
    ]  # fmt: skip
    assert tick.sock.sent == 13


def test_a_view_is_encoded_as_its_bytes(tick):
    """The rest of an answer is a view; in the log it is like any other."""
    send = traced_send(tick.kernel, tick.sock, answers(3))
    send(memoryview(b"abc"))
    assert b'"data":"YWJj"' in encode(tick.events)


def test_recvfrom_and_sendto(tick):
    """Datagrams, those of length 0 too, those that were cut too."""
    recvfrom = traced_recvfrom(
        tick.kernel, tick.sock, answers((b"abcdef", False, PEER), (b"", False, PEER), (b"ab", True, PEER))
    )
    sendto = traced_sendto(tick.kernel, tick.sock, answers(6, 0))
    assert [recvfrom(9) for _ in range(3)] == [(b"abcdef", PEER), (b"", PEER), (b"ab", PEER)]
    assert [sendto(b"ABCDEF", PEER), sendto(b"", PEER)] == [6, 0]
    got, said = tick.events[:3], tick.events[3:]
    assert [(e.n, e.peer, e.truncated, e.data) for e in got] == [
        (6, "127.0.0.1:5000", False, b"abcd"), (0, "127.0.0.1:5000", False, b""),
        (2, "127.0.0.1:5000", True, b"ab"),
    ]  # fmt: skip
    assert [(e.n, e.peer, e.data) for e in said] == [
        (6, "127.0.0.1:5000", b"ABCD"), (0, "127.0.0.1:5000", b""),
    ]  # fmt: skip
    assert (tick.sock.accepted, tick.sock.datagrams_sent) == (3, 2)
    assert (tick.sock.received, tick.sock.sent) == (8, 6)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ECONNRESET, errno.EPIPE, errno.ECONNREFUSED])
def test_failures(tick, number):
    """Each is raised as it was, and has its event with the errno and no n."""
    failed = failure(number)
    kernel, sock = tick.kernel, tick.sock
    calls = [
        (traced_recv(kernel, sock, answers(failed)), (5,)),
        (traced_send(kernel, sock, answers(failed)), (b"abc",)),
        (traced_recvfrom(kernel, sock, answers(failed)), (5,)),
        (traced_sendto(kernel, sock, answers(failed)), (b"abc", PEER)),
    ]
    for call, args in calls:
        with pytest.raises(OSError) as raised:
            call(*args)
        assert raised.value is failed
    assert [(e.n, e.errno, e.dur) for e in tick.events] == [(None, errno.errorcode[number], 10)] * 4
    assert (sock.received, sock.sent, sock.accepted, sock.datagrams_sent) == (0, 0, 0, 0)


def test_poll(tick):
    """What it was asked for and why, how long it slept, who was ready; its return begins a tick."""
    kernel = tick.kernel
    kernel.names[7] = "tcp-1"
    kernel.why = "the reason"
    ready = [(7, IN), (8, IN), (7, OUT | HUP | ERR)]
    poll = traced_poll(kernel, answers([], ready))
    assert poll(None) == []
    assert poll(0.5) == ready
    first, second = tick.events
    assert (first.tick, first.timeout, first.ready) == (1, None, [])
    assert (second.tick, second.timeout, second.why) == (2, 500_000_000, "the reason")
    assert second.ready == [("tcp-1", "IN"), ("evloop", "IN"), ("tcp-1", "OUT|ERR|HUP")]
    assert kernel.blocked == first.dur + second.dur == 20
    assert kernel.woke_at == second.t + second.dur + tick.recorder.origin
    assert len(kernel.names) == 1


# -- a kernel on real sockets ----------------------------------------------------------------


@pytest.fixture
def kernel(tick):
    """The traced kernel, its clock the real one."""
    del tick.kernel.now
    return tick.kernel


@pytest.fixture
def keep(kernel):
    """Close these with the test."""
    kept = []
    yield lambda sock: kept.append(sock) or sock
    for sock in kept:
        kernel.close(sock, "stop") if isinstance(sock, TracedSocket) else sock.close()


def test_listen_accept_close(tick, kernel, keep):
    """Names are counted by kind, addresses are those of the two ends, and the queue is told."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    clients = [keep(socket.create_connection(listener.sock.getsockname())) for _ in range(2)]
    conns = [kernel.accept(listener)[0] for _ in clients]
    with pytest.raises(BlockingIOError):
        kernel.accept(listener)
    assert [sock.getblocking() for sock in (conns[0].sock, listener.sock)] == [False, False]
    clients[0].sendall(b"unread")
    recv, _ = kernel.stream_calls(conns[1])
    clients[1].sendall(b"read")
    conns[1].sock.setblocking(True)
    recv(100)
    clients[0].close()
    conns[0].sock.setblocking(True)
    assert len(conns[0].sock.recv(6, socket.MSG_PEEK | socket.MSG_WAITALL)) == 6
    kernel.close(conns[0], "error", buffered=9, error=errno.EPIPE)
    kernel.close(conns[1], "eof")
    listen, one, two, none, _, *closes = tick.events
    info, close, quiet, other = closes
    assert (info.conn, info.why, info.state, info.bytes_received) == ("tcp-1", "close", "CLOSE-WAIT", 7)
    assert (quiet.conn, quiet.state, quiet.bytes_received) == ("tcp-2", "ESTABLISHED", 4)
    assert (listen.sock, listen.proto, listen.backlog) == ("listen-1", "tcp", 5)
    assert (one.conn, one.sock, one.queued) == ("tcp-1", "listen-1", 1)
    assert (two.conn, two.queued) == ("tcp-2", 0)
    assert one.local == two.local == listen.address
    assert two.peer == f"127.0.0.1:{clients[1].getsockname()[1]}"
    assert (none.conn, none.errno) == (None, "EAGAIN")
    assert (close.conn, close.sock, close.reason, close.errno) == ("tcp-1", None, "error", "EPIPE")
    assert (close.unread, close.unsent, close.buffered, close.received) == (6, 0, 9, 0)
    assert (other.unread, other.received, other.errno) == (0, 4, None)
    assert list(kernel.open) == ["listen-1"]


def test_names_are_never_reused(tick, kernel, keep):
    """Descriptors are."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    for _ in range(5):
        client = socket.create_connection(listener.sock.getsockname())
        kernel.close(kernel.accept(listener)[0], "aborted")
        client.close()
    accepts = [event for event in tick.events if type(event).__name__ == "Accept"]
    assert [event.conn for event in accepts] == [f"tcp-{n}" for n in range(1, 6)]
    assert len({event.fd for event in accepts}) < 5
    assert kernel.names == {listener.fd: "listen-1"}


def test_shutdown(tick, kernel, keep):
    """Recorded when it succeeds, and when the peer was faster."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    client = keep(socket.create_connection(listener.sock.getsockname()))
    conn = keep(kernel.accept(listener)[0])
    kernel.shutdown(conn)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    with pytest.raises(OSError) as failed:
        kernel.shutdown(conn)
    assert failed.value.errno == errno.ENOTCONN
    first, second = tick.events[2:]
    assert (first.conn, first.how, first.errno) == ("tcp-1", "SHUT_WR", None)
    assert second.errno == "ENOTCONN"


def test_bytes_that_the_peer_has_not_read(tick, kernel, keep):
    """A close tells what was handed to the kernel and not acknowledged."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    client = keep(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(listener.sock.getsockname())
    conn = kernel.accept(listener)[0]
    _, send = kernel.stream_calls(conn)
    with pytest.raises(BlockingIOError):  # noqa: PT012 - until it is full
        while True:
            send(b"x" * 100_000)
    kernel.close(conn, "aborted")
    close = tick.events[-1]
    assert 0 < close.unsent <= close.sent
    assert close.sent == sum(event.n or 0 for event in tick.events if type(event).__name__ == "Send")


@pytest.mark.parametrize("size", [4, 65535])
def test_which_call_reads_a_datagram(kernel, keep, size):
    """Only a read that could cut one needs recvmsg(2)."""
    sock = keep(kernel.bind(Inet("127.0.0.1", 0)))
    recvfrom, sendto = kernel.datagram_calls(sock, size)
    sock.sock.setblocking(True)
    to = sock.sock.getsockname()
    sendto(b"abcdef", to)
    assert recvfrom(size) == (b"abcdef"[:size], to)


def test_snapshot(kernel, keep):
    """What is open, the totals of all that ever was, and how many events its reader missed."""
    listener = keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    keep(kernel.bind(Inet("127.0.0.1", 0)))
    clients = [keep(socket.create_connection(listener.sock.getsockname())) for _ in range(3)]
    conns = [kernel.accept(listener)[0] for _ in clients]
    for conn in conns[1:]:
        keep(conn)
    for client, conn in zip(clients, conns, strict=True):
        client.sendall(b"abc")
        conn.sock.setblocking(True)
        recv, send = kernel.stream_calls(conn)
        assert recv(10) == b"abc"
        send(b"AB")
    kernel.close(conns[0], "eof")
    conns[1].watching = READ
    snapshot = kernel.snapshot(5)
    assert (snapshot.seq, snapshot.lost, snapshot.open, snapshot.accepted) == (-1, 5, 2, 3)
    assert (snapshot.received, snapshot.sent) == (9, 6)
    assert [(c.conn, c.received, c.sent, c.interest, c.sock) for c in snapshot.connections] == [
        ("tcp-2", 3, 2, "READ", "listen-1"), ("tcp-3", 3, 2, "", "listen-1"),
    ]  # fmt: skip
    assert [(s.sock, s.proto, s.accepted) for s in snapshot.listeners] == [
        ("listen-1", "tcp", 3), ("udp-1", "udp", 0),
    ]  # fmt: skip
    assert encode([snapshot])


def test_a_snapshot_counts_datagrams_too(kernel, keep):
    """Who joins late, or was behind, is told of as many bytes as who saw them all, also of who is gone."""
    udp, listener = kernel.bind(Inet("127.0.0.1", 0)), keep(kernel.listen(Inet("127.0.0.1", 0), 5))
    recvfrom, sendto = kernel.datagram_calls(udp, 65535)
    udp.sock.setblocking(True)
    for _ in range(3):
        sendto(b"ten bytes.", udp.sock.getsockname())
        recvfrom(65535)
    client = keep(socket.create_connection(listener.sock.getsockname()))
    conn = keep(kernel.accept(listener)[0])
    conn.sock.setblocking(True)
    client.sendall(b"hello")
    kernel.stream_calls(conn)[0](10)
    before = kernel.snapshot(0)
    kernel.close(udp, "stop")
    after = kernel.snapshot(0)
    assert [(it.received, it.sent) for it in (before, after)] == [(35, 30)] * 2
