"""One connection: what it does when the kernel takes little, gives little, or fails."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evloop.kernel import ERR, HUP, IN, OUT, READ, WRITE
from evloop.net.stream import LARGE_READ, LAST_READS, SMALL_READ
from evloop.protocols import PROTOCOLS
from evloop.testing import failure

AGAIN = failure(errno.EAGAIN)
BROKEN = [
    errno.ECONNRESET,
    errno.EPIPE,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ECONNABORTED,
    errno.ENOBUFS,
]


def sent(server, sock) -> bytes:
    """What the kernel took, as the script said."""
    return b"".join(data for (data,) in server.calls("send", sock))


# -- its states ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recv", "send", "bits", "watches"),
    [
        pytest.param([], [], [], READ, id="new"),
        pytest.param([b"abc"], [3], [IN], READ, id="all is sent"),
        pytest.param([b"abc"], [1], [IN], READ | WRITE, id="bytes wait"),
        pytest.param([b"abc"] * 4, [1], [IN] * 4, WRITE, id="above the high-water mark"),
        pytest.param([b"abc"] * 4, [1, 2, 3, 2], [IN] * 4 + [OUT], WRITE, id="not yet down to the low one"),
        pytest.param([b"abc"] * 4, [1, 2, 3, 3, 1], [IN] * 4 + [OUT], READ | WRITE, id="down to the low one"),
        pytest.param([b"abc"], [1, 2], [IN, OUT], READ, id="what waited is sent"),
        pytest.param([b"abc", b""], [1], [IN, IN], WRITE, id="bytes wait, the peer has ended"),
        pytest.param([b"abc", b""], [1, 2], [IN, IN, OUT], 0, id="they are sent, the peer has ended: closed"),
        pytest.param([b"abc", b""], [3], [IN, IN], 0, id="nothing waits, the peer has ended: closed"),
        pytest.param([failure(errno.ECONNRESET)], [], [IN], 0, id="broken: closed"),
    ],
)
def test_what_it_watches_for(scripted, recv, send, bits, watches):
    """Follows from its state alone: what waits, whether the peer has ended, who is too far ahead."""
    server = scripted(high_water=8)
    sock = server.connect(recv=recv, send=send)
    for each in bits:
        server.tick((sock, each))
    assert server.watching(sock) == watches
    assert (server.closed(sock) is None) == bool(watches)
    assert not server.kernel.unused()


# -- reading and answering -------------------------------------------------------------------


def test_answers_at_once(scripted):
    """A message costs one recv and one send, and no change of what is watched."""
    server = scripted()
    sock = server.connect(recv=[b"abc", b"de"], send=[3, 2])
    server.tick(sock)
    server.tick(sock)
    assert server.calls("send", sock) == [(b"ABC",), (b"DE",)]
    assert len(server.calls("recv", sock)) == 2
    assert len(server.trace.of("interest")) == 3  # the pipe, the listener, the connection
    assert not server.kernel.unused()


def test_one_read_a_readiness(scripted):
    """Whoever sends without pause gets one read in a tick, as all the others."""
    server = scripted()
    busy = server.connect(recv=[b"x"] * 10, send=[1] * 10)
    quiet = server.connect(recv=[b"y"], send=[1])
    server.tick(busy, quiet)
    assert len(server.calls("recv", busy)) == len(server.calls("recv", quiet)) == 1


def test_nothing_to_read_after_all(scripted):
    """A readiness that was false changes nothing (select(2), BUGS)."""
    server = scripted()
    sock = server.connect(recv=[AGAIN, b"a"], send=[1])
    server.tick(sock)
    assert server.calls("send", sock) == []
    server.tick(sock)
    assert sent(server, sock) == b"A"
    assert server.closed(sock) is None


def test_reads_grow_when_they_are_filled(scripted):
    """A connection that fills a read gets a larger one from then on; others do not."""
    server = scripted(high_water=10 * SMALL_READ)
    sock = server.connect(recv=[b"x" * SMALL_READ, b"y"], send=[SMALL_READ, 1])
    other = server.connect(recv=[b"x" * (SMALL_READ - 1), b"y"], send=[SMALL_READ - 1, 1])
    for _ in range(2):
        server.tick(sock, other)
    assert server.calls("recv", sock) == [(SMALL_READ,), (LARGE_READ,)]
    assert server.calls("recv", other) == [(SMALL_READ,), (SMALL_READ,)]


def test_a_given_size_stays(scripted):
    """What --recv-size says is what recv is asked for, however often it is filled."""
    server = scripted(recv_size=4)
    sock = server.connect(recv=[b"abcd"] * 3, send=[4] * 3)
    for _ in range(3):
        server.tick(sock)
    assert server.calls("recv", sock) == [(4,)] * 3


@pytest.mark.parametrize("number", BROKEN)
def test_recv_fails(scripted, number):
    """The connection ends with the errno as its reason, and the next one is served."""
    server = scripted()
    sock = server.connect(recv=[failure(number)])
    other = server.connect(recv=[b"a"], send=[1])
    server.tick(sock, other)
    assert server.closed(sock) == ("error", 0, number)
    assert server.watching(sock) == 0
    assert sent(server, other) == b"A"
    assert not server.kernel.unused()
    assert server.trace.of("error") == []


@pytest.mark.parametrize("number", BROKEN)
def test_send_fails(scripted, number):
    """The same for an answer that cannot be sent."""
    server = scripted()
    sock = server.connect(recv=[b"a"], send=[failure(number)])
    server.tick(sock)
    assert server.closed(sock) == ("error", 0, number)
    assert not server.kernel.unused()


@pytest.mark.parametrize("number", BROKEN)
def test_send_fails_with_bytes_waiting(scripted, number):
    """What still waited is told with the close, as it is lost."""
    server = scripted()
    sock = server.connect(recv=[b"abc"], send=[1, failure(number)])
    server.tick(sock)
    server.tick((sock, OUT))
    assert server.closed(sock) == ("error", 2, number)
    assert not server.kernel.unused()


def test_whether_there_was_something_to_read(scripted):
    """So says each readiness, for who stops the server and wants to know when all is read."""
    server = scripted()
    broken, *others = (
        server.stream(server.connect(**scripts))
        for scripts in (
            {"recv": [failure(errno.ECONNRESET)]},
            {"recv": [AGAIN, b"a", b"bc", b""], "send": [1, AGAIN, 2]},
            {"recv": [b"a"], "send": [failure(errno.EPIPE)]},
            {"recv": [b"late"]},
        )
    )
    peer, deaf, ending = others
    assert broken.on_ready(IN) is False
    assert [peer.on_ready(bits) for bits in (IN, IN, IN, OUT, IN, IN)] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert deaf.on_ready(IN) is True
    ending.ending = True
    assert ending.on_ready(IN) is True


# -- partial sends ---------------------------------------------------------------------------


def test_the_rest_waits_for_room(scripted):
    """WRITE is watched while bytes wait, and no longer."""
    server = scripted()
    sock = server.connect(recv=[b"abcdef"], send=[2, AGAIN, 1, 3])
    server.tick(sock)
    assert server.watching(sock) == READ | WRITE
    assert server.stream(sock).buffered == 4
    server.tick((sock, OUT))
    server.tick((sock, OUT))
    assert server.watching(sock) == READ | WRITE
    server.tick((sock, OUT))
    assert server.watching(sock) == READ
    assert server.calls("send", sock) == [(b"ABCDEF",), (b"CDEF",), (b"CDEF",), (b"DEF",)]
    both, nothing = READ | WRITE, "nothing waits to be sent"
    assert [said[2:] for said in server.trace.of("interest") if said[1] == sock.fileno()] == [
        (0, READ, nothing),
        (READ, both, "4 bytes wait to be sent"),
        (both, READ, nothing),
    ]
    assert not server.kernel.unused()


def test_nothing_is_lost_to_eagain(scripted):
    """A send that is refused whole keeps the whole."""
    server = scripted()
    sock = server.connect(recv=[b"abc"], send=[AGAIN, 3])
    server.tick(sock)
    server.tick((sock, OUT))
    assert server.calls("send", sock) == [(b"ABC",), (b"ABC",)]
    assert not server.kernel.unused()


def test_a_later_answer_waits_behind_an_earlier_one(scripted):
    """With bytes waiting, an answer is not sent past them."""
    server = scripted()
    sock = server.connect(recv=[b"abc", b"def"], send=[1, 2, 3])
    server.tick(sock)
    server.tick(sock)
    assert server.calls("send", sock) == [(b"ABC",)]
    server.tick((sock, OUT))
    assert server.calls("send", sock) == [(b"ABC",), (b"BC",), (b"DEF",)]
    assert server.watching(sock) == READ


@settings(max_examples=50)
@given(data=st.data())
def test_whatever_the_kernel_takes(scripted, data):
    """Reads and sends of any size, refusals among them: the peer gets every byte once and in order."""
    answers = st.one_of(st.just(None), st.integers(1, 7))
    pieces = data.draw(st.lists(st.binary(min_size=1, max_size=12), max_size=12))
    server = scripted(high_water=data.draw(st.integers(1, 40)))
    got, reads = b"", list(pieces)

    def send(offered):
        nonlocal got
        n = data.draw(answers) if len(turns) < 200 else len(offered)
        if n is None:
            raise failure(errno.EAGAIN)
        got += bytes(offered)[:n]
        return min(n, len(offered))

    def recv(_size):
        if not reads:
            return b""
        return reads.pop(0)

    sock = server.kernel.socket()
    server.kernel.stream_calls = lambda _: (recv, send)
    server.tick(server.listener(sock))
    turns = []
    while server.closed(sock) is None and len(turns) < 400:
        turns.append(server.watching(sock))
        bits = (IN if turns[-1] & READ else 0) | (OUT if turns[-1] & WRITE else 0)
        assert bits, "a connection that waits for nothing hangs"
        server.tick((sock, bits))
    assert server.closed(sock) == ("eof", 0, None)
    assert got == b"".join(pieces).upper()


# -- high and low water ----------------------------------------------------------------------


def test_reading_stops_above_high_water_and_goes_on_below_low(scripted):
    """The mask tells: both, then WRITE alone, and READ again only at a quarter of the mark."""
    server = scripted(high_water=8)
    sock = server.connect(recv=[b"x" * 5, b"y" * 5, b"z"], send=[AGAIN, 1, 1, 6, 3])
    server.tick(sock)
    assert server.watching(sock) == READ | WRITE  # 5
    server.tick(sock)
    assert server.watching(sock) == WRITE  # 10
    server.tick((sock, OUT))  # 9: the first piece was taken in part
    server.tick((sock, OUT))  # 8
    assert server.watching(sock) == WRITE
    assert server.stream(sock).buffered == 8
    sock._scripts["send"].clear()
    sock._scripts["send"].extend([3, 3, AGAIN])
    server.tick((sock, OUT))  # 2
    assert server.stream(sock).buffered == 2
    assert server.watching(sock) == READ | WRITE
    assert len(server.calls("recv", sock)) == 2


def test_exactly_at_low_water_is_low(scripted):
    """A quarter of the high mark; a byte more is not."""
    server = scripted(high_water=12)
    sock = server.connect(recv=[b"x" * 13], send=[AGAIN, 9, 1])
    server.tick(sock)
    server.tick((sock, OUT))
    assert (server.stream(sock).buffered, server.watching(sock)) == (4, WRITE)
    server.tick((sock, OUT))
    assert (server.stream(sock).buffered, server.watching(sock)) == (3, READ | WRITE)


def test_a_refusal_after_a_piece_was_taken(scripted):
    """What was taken before it counts: what is left is below the low mark, and reading goes on."""
    server = scripted(high_water=8)
    sock = server.connect(recv=[b"x" * 7, b"yy"], send=[AGAIN, 7, AGAIN])
    server.tick(sock)
    server.tick(sock)
    assert server.watching(sock) == WRITE
    server.tick((sock, OUT))
    assert server.stream(sock).buffered == 2
    assert server.watching(sock) == READ | WRITE
    assert not server.kernel.unused()


def test_what_it_can_send_makes_it_active(scripted):
    """A peer that reads is not idle, though it says nothing."""
    server = scripted()
    sock = server.connect(recv=[b"abc"], send=[1, 2])
    server.tick(sock)
    server.kernel.advance(5)
    server.tick((sock, OUT))
    assert server.stream(sock).active == server.kernel.time


def test_exactly_at_high_water_is_not_above(scripted):
    """The mark itself is allowed."""
    server = scripted(high_water=4)
    sock = server.connect(recv=[b"abcd", b"e"], send=[AGAIN])
    server.tick(sock)
    assert server.watching(sock) == READ | WRITE
    server.tick(sock)
    assert server.watching(sock) == WRITE


def test_the_buffer_is_bounded(scripted):
    """A peer that sends for ever and never reads costs the mark and one read, and no more."""
    server = scripted(high_water=1000, recv_size=300)
    sock = server.connect(recv=[b"x" * 300] * 100, send=[])
    for _ in range(100):
        if server.watching(sock) & READ:
            server.tick(sock)
    assert server.stream(sock).buffered == 1200
    assert len(server.calls("recv", sock)) == 4


# -- the end of the stream ---------------------------------------------------------------------


def test_the_peer_ends(scripted):
    """b"" is the end: unregistered at once, closed at the end of the tick."""
    server = scripted()
    sock = server.connect(recv=[b""])
    server.tick(sock)
    assert server.closed(sock) == ("eof", 0, None)
    assert server.watching(sock) == 0
    assert server.trace.of("interest")[-1] == ("interest", sock.fileno(), READ, 0, "eof")


def test_a_half_closed_peer_gets_its_answer(scripted):
    """After its FIN only WRITE is watched, since the end is readable for ever; then it is closed."""
    server = scripted()
    sock = server.connect(recv=[b"abc", b""], send=[1, AGAIN, 2])
    server.tick(sock)
    server.tick((sock, IN | OUT))
    assert server.watching(sock) == WRITE
    assert server.closed(sock) is None
    server.tick((sock, OUT))
    assert server.closed(sock) == ("eof", 0, None)
    assert len(server.calls("recv", sock)) == 2
    assert not server.kernel.unused()


@pytest.mark.parametrize("bits", [HUP, ERR, ERR | HUP])
def test_a_hang_up_with_bytes_waiting(scripted, bits):
    """A peer that has ended and then hangs up is reported for ever: the send tells why, and it ends."""
    server = scripted()
    sock = server.connect(recv=[b"abc", b""], send=[1, failure(errno.EPIPE)])
    server.tick(sock)
    server.tick(sock)
    server.tick((sock, bits))
    assert server.closed(sock) == ("error", 2, errno.EPIPE)
    assert not server.kernel.unused()


def test_a_hang_up_above_high_water_reads_no_further(scripted):
    """What is above the mark stays above it by no more, whatever else the kernel reports."""
    server = scripted(high_water=2)
    sock = server.connect(recv=[b"abcd", b"efgh"], send=[AGAIN, failure(errno.EPIPE)])
    server.tick(sock)
    server.tick((sock, HUP))
    assert server.closed(sock) == ("error", 4, errno.EPIPE)
    assert len(server.calls("recv", sock)) == 1


@pytest.mark.parametrize("bits", [ERR, HUP, ERR | HUP])
def test_an_error_is_asked_for_by_reading(scripted, bits):
    """ERR and HUP without IN: recv tells the cause."""
    server = scripted()
    sock = server.connect(recv=[failure(errno.ECONNRESET)])
    server.tick((sock, bits))
    assert server.closed(sock) == ("error", 0, errno.ECONNRESET)


# -- handlers ------------------------------------------------------------------------------------


@pytest.fixture
def raising(monkeypatch):
    """A protocol that cannot answer b"bad"."""

    def respond(data):
        if data == b"bad":
            raise ZeroDivisionError("bad")
        return data.upper()

    monkeypatch.setitem(PROTOCOLS, "upper", respond)


@pytest.mark.usefixtures("raising")
def test_a_handler_that_raises(scripted):
    """Its connection ends with that reason; those before and after it in the tick are served."""
    server = scripted()
    first = server.connect(recv=[b"a"], send=[1])
    bad = server.connect(recv=[b"bad"])
    last = server.connect(recv=[b"b"], send=[1])
    server.tick(first, bad, last)
    assert server.closed(bad) == ("handler-error", 0, None)
    assert server.closed(first) is server.closed(last) is None
    assert sent(server, first) + sent(server, last) == b"AB"
    ((_, where, error, sock),) = server.trace.of("error")
    assert (where, sock) == ("connection", bad)
    assert isinstance(error, ZeroDivisionError)


@pytest.mark.usefixtures("raising")
def test_a_handler_that_raises_with_bytes_waiting(scripted):
    """What waited is told."""
    server = scripted()
    sock = server.connect(recv=[b"abc", b"bad"], send=[1])
    server.tick(sock)
    server.tick(sock)
    assert server.closed(sock) == ("handler-error", 2, None)


@pytest.mark.usefixtures("raising")
def test_a_handler_that_raises_while_the_server_stops(scripted):
    """The last answers are given inside the signal's turn: one that raises does not end the program."""
    server = scripted()
    bad = server.connect(recv=[b"bad"])
    good = server.connect(recv=[b"a", b""], send=[1])
    server.signal()
    assert server.closed(bad) == ("handler-error", 0, None)
    assert sent(server, good) == b"A"
    assert server.closed(good) == ("eof", 0, None)
    ((_, where, error, whose),) = server.trace.of("error")
    assert (where, type(error), whose) == ("connection", ZeroDivisionError, bad)


# -- ending from our side ------------------------------------------------------------------------


def test_drain_answers_what_has_arrived(scripted):
    """Then it says FIN, and waits for the peer's."""
    server = scripted()
    sock = server.connect(recv=[b"a", b"b", AGAIN, b""], send=[1, 1])
    server.signal()
    assert sent(server, sock) == b"AB"
    assert server.calls("shutdown", sock) == [()]
    assert server.closed(sock) is None
    server.tick(sock)
    assert server.closed(sock) == ("drained", 0, None)
    assert not server.kernel.unused()


def test_drain_reads_a_bounded_amount(scripted):
    """A peer that never stops sending does not keep the server from stopping."""
    server = scripted()
    sock = server.connect(recv=[b"x"] * 100, send=[1] * 100)
    server.signal()
    assert len(server.calls("recv", sock)) == LAST_READS
    assert server.calls("shutdown", sock) == [()]


def test_what_comes_after_the_fin_is_read_and_not_answered(scripted):
    """Unread bytes would turn our FIN into a reset; so they are read and thrown away."""
    server = scripted()
    sock = server.connect(recv=[AGAIN, b"late", b""])
    server.signal()
    server.tick(sock)
    server.tick(sock)
    assert server.calls("send", sock) == []
    assert server.closed(sock) == ("drained", 0, None)


def test_drain_sends_what_waits_before_the_fin(scripted):
    """shutdown(2) comes once, after the last byte."""
    server = scripted()
    sock = server.connect(recv=[b"abc", AGAIN, b""], send=[1, 1, 1])
    server.tick(sock)
    server.signal()
    assert server.calls("shutdown", sock) == []
    server.tick((sock, OUT))
    assert server.calls("shutdown", sock) == []
    server.tick((sock, OUT))
    assert server.calls("shutdown", sock) == [()]
    assert server.watching(sock) == READ
    server.tick(sock)
    assert server.closed(sock) == ("drained", 0, None)


def test_drain_of_a_peer_above_high_water(scripted):
    """It is sent what waits, and not read from any more."""
    server = scripted(high_water=2)
    sock = server.connect(recv=[b"abcdef", b"never"], send=[1, 5])
    server.tick(sock)
    server.signal()
    assert len(server.calls("recv", sock)) == 1
    server.tick((sock, OUT))
    assert server.calls("shutdown", sock) == [()]


def test_the_peer_ends_while_it_is_drained(scripted):
    """Its end comes before what waits for it is sent: that is sent, and no FIN is needed before close."""
    server = scripted()
    sock = server.connect(recv=[b"abc", AGAIN, b""], send=[1, 2])
    server.tick(sock)
    server.signal()
    server.tick(sock)
    assert server.closed(sock) is None
    server.tick((sock, OUT))
    assert server.closed(sock) == ("drained", 0, None)
    assert server.calls("shutdown", sock) == []


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ECONNRESET])
def test_shutdown_fails(scripted, number):
    """The peer was faster: the connection ends with the errno."""
    server = scripted()
    sock = server.connect(shutdown=[failure(number)])
    server.signal()
    assert server.closed(sock) == ("error", 0, number)
    assert not server.kernel.unused()


def test_closing_twice_is_closing_once(scripted):
    """The first reason counts; the descriptor is closed once."""
    server = scripted()
    sock = server.connect()
    stream = server.stream(sock)
    stream.close("lifetime")
    stream.close("aborted")
    stream.drain()
    server.tick()
    assert server.calls("close", sock) == [("lifetime", 0, None)]
    assert server.calls("shutdown", sock) == []


def test_a_closed_stream_does_nothing_more(scripted):
    """A readiness that comes all the same finds nothing to do."""
    server = scripted()
    sock = server.connect(recv=[b"a"], send=[1])
    stream = server.stream(sock)
    stream.close("aborted")
    stream.on_ready(IN | OUT | HUP)
    assert server.calls("recv", sock) == server.calls("send", sock) == []


# -- real sockets --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["upper", "echo"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_roundtrip(real, selector, short_dir, mode, kind):
    """Bytes of any kind come back, through TCP and Unix sockets and every selector."""
    server = real(selector, mode=mode)
    address = server.tcp() if kind == "tcp" else server.unix(f"{short_dir}/s")
    client = server.client(address)
    data = bytes(range(256)) * 8
    assert server.exchange(client, data) == (data.upper() if mode == "upper" else data)
    assert server.exchange(client, b"again") == (b"AGAIN" if mode == "upper" else b"again")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_both_buffers_full(real, selector, short_dir, kind):
    """A client that sends before it reads: our own buffer fills, and then every byte comes back."""
    server = real(selector, mode="echo", high_water=64 * 1024)
    address = server.tcp() if kind == "tcp" else server.unix(f"{short_dir}/s")
    client = server.client(address, buffers=256 * 1024)
    server.until(lambda: server.streams)
    said, highest = bytearray(), 0
    chunk = bytes(range(251)) * 400
    idle = 0
    while idle < 3:  # until neither side takes any more
        try:
            said += chunk[: client.send(chunk)]
            idle = 0
        except BlockingIOError:
            idle += 1
        server.loop.tick()
        highest = max(highest, server.stream.buffered)
    assert server.stream.buffered > 64 * 1024
    assert server.stream.watching == WRITE
    assert highest <= 64 * 1024 + LARGE_READ
    got = server.receive(client, len(said))
    assert got == said
    server.until(lambda: not server.stream.buffered)
    assert server.stream.watching == READ


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_fin_with_data(real, selector, short_dir, kind):
    """Data and the end of the stream arrive together: the answer comes, and then our end."""
    server = real(selector)
    address = server.tcp() if kind == "tcp" else server.unix(f"{short_dir}/s")
    client = server.client(address)
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert server.receive(client) == b"LAST WORDS"
    assert not server.streams


def test_a_half_closed_client_gets_all(real, selector):
    """Megabytes that wait for a client which said its last byte long ago still reach it."""
    server = real(selector, mode="echo", high_water=1 << 20)
    client = server.client(server.tcp(), buffers=8192)
    server.until(lambda: server.streams)
    said = bytearray()
    chunk = b"0123456789" * 1000
    while not server.streams or server.stream.buffered < 200_000:
        try:
            said += chunk[: client.send(chunk)]
        except BlockingIOError:
            server.loop.tick()
    client.shutdown(socket.SHUT_WR)
    assert server.receive(client) == said
    server.until(lambda: not server.streams)


def test_a_client_that_resets(real, selector):
    """It is an ending like another, and its errno is in the log."""
    server = real(selector, traced=True)
    address = server.tcp()
    client, other = server.client(address), server.client(address)
    assert server.exchange(client, b"hello") == b"HELLO"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    server.until(lambda: len(server.streams) == 1)
    (close,) = server.events("close")
    assert (close.reason, close.errno) == ("error", "ECONNRESET")
    assert server.exchange(other, b"alive") == b"ALIVE"


def test_a_unix_peer_that_hangs_up_does_not_spin(real, selector, short_dir):
    """HUP is reported whatever is watched: after it the loop sleeps as before (count the polls)."""
    server = real(selector)
    client = server.client(server.unix(f"{short_dir}/s"))
    assert server.exchange(client, b"x") == b"X"
    client.close()
    server.until(lambda: not server.streams)
    ready = []
    poll = server.loop.poller.poll
    server.loop.poller.poll = lambda timeout: ready.extend(found := list(poll(timeout))) or found
    for _ in range(5):
        server.loop.tick()
    assert ready == []


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_a_unix_peer_that_hangs_up_with_bytes_waiting(real, selector, short_dir, how):
    """It reads no more and we have bytes for it: the connection ends, in a few ticks."""
    server = real(selector, mode="echo", high_water=1 << 20)
    client = server.client(server.unix(f"{short_dir}/s"))
    server.until(lambda: server.streams)
    while not server.stream.buffered:
        try:
            client.send(b"x" * 50_000)
        except BlockingIOError:
            server.loop.tick()
        else:
            server.loop.tick()
    if how == "close":
        client.close()
    else:
        client.shutdown(socket.SHUT_RDWR)
    if how == "shutdown" and selector == "select":
        client.close()  # select(2) has no word for a hang-up: it hears only of the close
    polls = server.polls
    server.until(lambda: not server.streams)
    assert server.polls - polls < 100


def test_a_client_that_never_reads_costs_the_high_water_mark(real, selector):
    """A megabyte offered and none read: the server holds the mark and one read, and serves others."""
    server = real(selector, mode="echo", high_water=100_000)
    address = server.tcp()
    greedy = server.client(address, buffers=64 * 1024)
    server.until(lambda: server.streams)
    stream = server.stream
    offered, refused = 0, 0
    while refused < 5 or stream.watching != WRITE:
        try:
            offered += greedy.send(b"x" * 65536)
            refused = 0
        except BlockingIOError:
            refused += 1
        server.loop.tick()
        assert stream.buffered <= 100_000 + LARGE_READ
    assert stream.buffered > 100_000
    other = server.client(address)
    assert server.exchange(other, b"still there") == b"still there"


def test_two_hundred_at_once(real, selector):
    """Each gets its own answer, and all are gone when they have left."""
    server = real(selector, mode="echo")
    address = server.tcp()
    clients = [server.client(address) for _ in range(100)]
    server.until(lambda: len(server.streams) == 100)
    clients += [server.client(address) for _ in range(100)]
    for number, client in enumerate(clients):
        client.sendall(b"client %03d" % number)
    for number, client in enumerate(clients):
        assert server.receive(client, 10) == b"client %03d" % number
    assert len(server.streams) == 200
    for client in clients:
        client.close()
    server.until(lambda: not server.streams)
    assert len(server.loop.interests.watched) == 1


def test_who_comes_back_is_a_regular(scripted):
    """Not who asks once, however much; nor who says that it has ended."""
    server = scripted()
    sock = server.connect(recv=[b"a" * 100, b""], send=[100])
    stream = server.stream(sock)
    assert not stream.regular
    server.tick(sock)
    assert not stream.regular
    server.tick(sock)
    assert not stream.regular
    other = server.connect(recv=[b"a", b"b"], send=[1, 1])
    stream = server.stream(other)
    for _ in range(2):
        server.tick(other)
    assert stream.regular
