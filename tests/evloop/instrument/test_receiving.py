"""recv and its kin give what they gave, and an event."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading

import pytest

from evloop.events.schema import Block, Recv, Recvfrom, Send


def test_recv(recorded, pair):
    """Bytes, their place in the stream, and who asked."""
    client, server = pair
    client.send(b"hello there")
    recorded.new()
    assert server.recv(5) == b"hello"
    assert server.recv(100) == b" there"
    first, second = recorded.new()
    assert (first.conn, first.fd, first.size, first.n, first.off, first.data) == (
        "tcp-3", server.fileno(), 5, 5, (0, 5), b"hello",
    )  # fmt: skip
    assert (second.size, second.n, second.off, second.errno, second.thread) == (100, 6, (5, 11), None, "")
    assert first.where.partition(":")[0].endswith("test_receiving.py")
    assert second.t >= first.t + first.dur


def test_only_a_prefix_is_kept(recorded, pair):
    """As many bytes as were asked for."""
    client, server = pair
    client.send(b"0123456789")
    assert recorded.one(Send).data == b"01234567"
    server.recv(100)
    assert recorded.one(Recv).data == b"01234567"


def test_peek(recorded, pair):
    """Bytes that are only looked at are not consumed."""
    client, server = pair
    client.send(b"hello")
    recorded.new()
    assert server.recv(2, socket.MSG_PEEK) == b"he"
    assert server.recv(3) == b"hel"
    peeked, taken = recorded.new()
    assert (peeked.off, peeked.flags, taken.off, taken.flags) == ((0, 2), "MSG_PEEK", (0, 3), "")


def test_the_end_of_the_stream(recorded, pair):
    """0 bytes."""
    client, server = pair
    client.shutdown(socket.SHUT_WR)
    recorded.new()
    assert server.recv(5) == b""
    (event,) = recorded.new()
    assert (event.n, event.off) == (0, (0, 0))


@pytest.mark.parametrize(
    ("call", "receive", "expected"),
    [
        ("recv_into", lambda sock, buffer: sock.recv_into(buffer), 4),
        ("recv_into", lambda sock, buffer: sock.recv_into(buffer, 3), 3),
        ("recv_into", lambda sock, buffer: sock.recv_into(buffer=buffer, nbytes=2, flags=0), 2),
        ("recvfrom", lambda sock, _: len(sock.recvfrom(5)[0]), 5),
        ("recvfrom_into", lambda sock, buffer: sock.recvfrom_into(buffer, nbytes=2)[0], 2),
        ("recvmsg", lambda sock, _: len(sock.recvmsg(3)[0]), 3),
        ("recvmsg_into", lambda sock, buffer: sock.recvmsg_into([buffer, bytearray(2)])[0], 6),
        ("recvmsg_into", lambda sock, buffer: sock.recvmsg_into(iter([buffer]))[0], 4),
        ("", lambda sock, _: len(sock.recv(2, socket.MSG_WAITALL)), 2),
    ],
)
@pytest.mark.parametrize("timeout", [None, 5, 0])
def test_the_other_calls(recorded, pair, call, receive, expected, timeout):
    """Whatever the call, whether the socket blocks, has a time-out or neither: the same event."""
    client, server = pair
    server.settimeout(timeout)
    client.send(b"0123456789")
    recorded.new()
    assert receive(server, bytearray(4)) == expected
    (event,) = recorded.new()
    assert isinstance(event, Recv)
    assert (event.call, event.n, event.off) == (call, expected, (0, expected))
    assert event.data == b"0123456789"[:expected]


@pytest.mark.parametrize(
    ("call", "receive"),
    [
        ("recvfrom", lambda sock, _: sock.recvfrom(5)[0]),
        ("recv", lambda sock, _: sock.recv(5)),
        ("recvmsg", lambda sock, _: sock.recvmsg(5)[0]),
        ("recv_into", lambda sock, buffer: bytes(buffer[: sock.recv_into(buffer)])),
        ("recvfrom_into", lambda sock, buffer: bytes(buffer[: sock.recvfrom_into(buffer)[0]])),
    ],
)
def test_datagrams(recorded, datagrams, call, receive):
    """A datagram tells where it is from, however it is read; recvmsg also that it was cut."""
    asking, bound = datagrams
    asking.send(b"postcard")
    recorded.new()
    assert receive(bound, bytearray(5)) == b"postc"
    (event,) = recorded.new()
    assert isinstance(event, Recvfrom)
    assert (event.sock, event.n, event.data, event.truncated) == ("udp-2", 5, b"postc", call == "recvmsg")
    assert event.call == ("" if call == "recvfrom" else call)
    knows_peer = "from" in call or "msg" in call
    assert event.peer == (f"127.0.0.1:{asking.getsockname()[1]}" if knows_peer else "")


def test_of_a_connected_datagram_socket(recorded, datagrams):
    """It has one peer, which is named although recv does not."""
    asking, bound = datagrams
    bound.sendto(b"x", asking.getsockname())
    recorded.new()
    asking.recv(5)
    assert recorded.one(Recvfrom).peer == f"127.0.0.1:{bound.getsockname()[1]}"


def test_nothing_to_read(recorded, pair):
    """A socket that does not block says EAGAIN, and no thread sleeps."""
    _, server = pair
    server.setblocking(False)
    for call in (server.recv, server.recvfrom, server.recvmsg, lambda n: server.recv_into(bytearray(n))):
        with pytest.raises(BlockingIOError) as info:
            call(5)
        assert info.value.errno == errno.EAGAIN
        (event,) = recorded.new()
        assert (event.errno, event.n, event.off, event.size) == ("EAGAIN", None, None, 5)


def test_a_time_out(recorded, pair):
    """The socket's own time-out is no errno."""
    _, server = pair
    server.settimeout(0.01)
    with pytest.raises(TimeoutError, match="timed out"):
        server.recv(5)
    block, event = recorded.new()
    assert (block.awaits, block.conn, block.timeout, block.size) == ("recv", "tcp-3", 10_000_000, 5)
    assert (event.errno, event.dur >= 10_000_000) == ("timeout", True)


@pytest.mark.parametrize("flags", [(), (socket.MSG_WAITALL,)])
def test_a_thread_that_sleeps(recorded, pair, flags):
    """Before it falls asleep it says for what; the call's event follows when it has slept."""
    client, server = pair
    if flags:
        client.send(b"he")  # not enough
        recorded.new()
    thread = threading.Thread(target=server.recv, args=(5, *flags), name=f"reader {flags}")
    thread.start()
    while not any(isinstance(event, Block) for event in recorded.sink.events):
        pass
    client.send(b"hello"[len(flags) * 2 :])
    thread.join()
    block, *events = recorded.new()
    event = next(event for event in events if isinstance(event, Recv))
    assert (block.thread, block.conn, block.timeout) == (thread.name, "tcp-3", None)
    assert (event.thread, event.data) == (thread.name, b"hello")
    assert event.t <= block.t <= event.t + event.dur


def test_a_reset(recorded, pair):
    """The errno of a call that failed."""
    client, server = pair
    server.send(b"unread")
    client.close()
    recorded.new()
    with pytest.raises(ConnectionResetError):
        server.recv(5)
    assert recorded.one(Recv).errno == "ECONNRESET"


def test_wrong_arguments(recorded, pair):
    """They are no call."""
    _, server = pair
    for timeout in (None, 5, 0):
        server.settimeout(timeout)
        for call, args in (
            (server.recv, ()), (server.recv, ("x",)), (server.recv, (-1,)), (server.recv, (1, 2, 3)),
            (server.recvfrom, ()), (server.recv_into, ()), (server.recvmsg, ()), (server.recvmsg_into, ()),
        ):  # fmt: skip
            with pytest.raises((TypeError, ValueError)):
                call(*args)
    assert [event for event in recorded.new() if isinstance(event, Recv)] == []


def test_a_closed_socket(recorded, pair):
    """No descriptor, no call."""
    _, server = pair
    server.close()
    recorded.new()
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.recv(5)
    assert recorded.new() == []


def test_a_file_of_a_socket(recorded, pair):
    """makefile() reads by recv_into."""
    client, server = pair
    client.sendall(b"one\ntwo\n")
    client.shutdown(socket.SHUT_WR)
    recorded.new()
    with server.makefile() as file:
        assert list(file) == ["one\n", "two\n"]
    events = recorded.new()
    assert [(event.call, event.n) for event in events] == [("recv_into", 8), ("recv_into", 0)]


def test_two_threads_ask_at_once(recorded, datagrams):
    """Two threads may wait for the same socket."""
    asking, bound = datagrams
    bound.settimeout(5)
    threads = [threading.Thread(target=lambda: [bound.recvfrom(1) for _ in range(50)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(100):  # for which the kernel has room
        asking.send(b"x")
    for thread in threads:
        thread.join()
    assert sum(isinstance(event, Recvfrom) and event.n == 1 for event in recorded.new()) == 100


@pytest.mark.parametrize("call", ["recv", "recvfrom"])
def test_a_low_water_mark(recorded, pair, call):
    """SO_RCVLOWAT: recv(2) sleeps until so much is there, which MSG_DONTWAIT would not."""
    client, server = pair
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 6)
    client.send(b"abc")
    got = []
    reader = threading.Thread(target=lambda: got.append(getattr(server, call)(100)))
    reader.start()
    recorded.until(Block)
    client.send(b"defghij")
    reader.join(30)
    assert (got[0] if call == "recv" else got[0][0]) == b"abcdefghij"


def test_too_many_arguments(recorded, pair):
    """Python tells, in the words that it has for its own."""
    client, _ = pair
    with pytest.raises(TypeError, match="takes at most 2 arguments"):
        client.recv(1, 0, 3)
    assert recorded.new() == []


def test_a_handler_whose_exception_is_also_pythons_word_of_wrong_arguments(recorded, pair):
    """The wait that was announced is over all the same."""

    def handler(_number, _frame):
        raise ValueError("enough")

    def interrupt():
        recorded.until(Block)
        os.kill(os.getpid(), signal.SIGALRM)

    for flags in (0, socket.MSG_WAITALL):
        before = signal.signal(signal.SIGALRM, handler)
        thread = threading.Thread(target=interrupt)
        try:
            thread.start()
            with pytest.raises(ValueError, match="enough"):
                pair[1].recv(1, flags)
        finally:
            thread.join()
            signal.signal(signal.SIGALRM, before)
        block, recv = recorded.new()
        assert (type(block), recv.errno) == (Block, "ValueError")
