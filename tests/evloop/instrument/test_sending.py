"""send and its kin give what they gave, and an event."""

from __future__ import annotations

import array
import itertools
import signal
import socket
import threading

import pytest

from evloop.events.schema import Block, Send, Sendto


def fill(sock):
    """Send until the kernel takes no more; how many bytes it took."""
    sock.setblocking(False)
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(1_000_000))
    except BlockingIOError:
        return sent


def drain(sock, size):
    """Receive so many bytes."""
    while size:
        size -= len(sock.recv(min(size, 1 << 20)))


@pytest.mark.parametrize(
    ("call", "send", "size"),
    [
        ("", lambda sock: sock.send(b"hello"), 5),
        ("", lambda sock: sock.send(bytearray(b"hello")), 5),
        ("", lambda sock: sock.send(array.array("H", [0x6568, 0x6C6C])), 4),
        ("", lambda sock: sock.send(b"hello", socket.MSG_NOSIGNAL), 5),
        ("sendall", lambda sock: sock.sendall(memoryview(b"hello")), 5),
        ("sendall", lambda sock: sock.sendall(b""), 0),
        ("sendmsg", lambda sock: sock.sendmsg([b"he", b"llo"]), 5),
        ("sendmsg", lambda sock: sock.sendmsg(itertools.islice([b"he", b"llo", b"!"], 2)), 5),
    ],
)
@pytest.mark.parametrize("timeout", [None, 5, 0])
def test_calls(recorded, pair, call, send, size, timeout):
    """Whatever the call, whether the socket blocks, has a time-out or neither: the same event."""
    client, server = pair
    client.settimeout(timeout)
    result = send(client)
    assert result == (None if call == "sendall" else size)
    (event,) = recorded.new()
    assert isinstance(event, Send)
    assert (event.conn, event.call, event.size, event.n, event.off) == ("tcp-2", call, size, size, (0, size))
    assert event.data == b"hello"[:size]
    assert server.recv(10) == b"hello"[:size] if size else True


def test_datagrams(recorded, datagrams):
    """Each tells to whom, also on a connected socket."""
    asking, bound = datagrams
    address = bound.getsockname()
    assert asking.send(b"one") == 3
    assert asking.send(b"") == 0
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        assert other.sendto(b"two", address) == 3
        assert other.sendto(b"two", socket.MSG_NOSIGNAL, address) == 3
        assert other.sendmsg([b"th", b"ree"], [], 0, address) == 5
        other.setblocking(False)
        assert other.sendto(b"four", address) == 4
    events = [event for event in recorded.new() if isinstance(event, Sendto)]
    assert [(event.call, event.n, event.data, event.flags) for event in events] == [
        ("send", 3, b"one", ""), ("send", 0, b"", ""), ("", 3, b"two", ""), ("", 3, b"two", "MSG_NOSIGNAL"),
        ("sendmsg", 5, b"three", ""), ("", 4, b"four", ""),
    ]  # fmt: skip
    assert {event.peer for event in events} == {f"127.0.0.1:{address[1]}"}


def test_the_kernel_takes_a_part(recorded, pair):
    """As much as it has room for, then nothing."""
    client, _ = pair
    sent = fill(client)
    *events, last = recorded.new()
    assert sum(event.n for event in events) == sent == events[-1].off[1]
    assert (last.errno, last.n) == ("EAGAIN", None)
    assert len(recorded.infos) == len([event for event in events if event.n < event.size]) + 1
    assert {(info.conn, info.why) for info in recorded.infos} == {("tcp-2", "send")}
    assert recorded.infos[-1].notsent_bytes > 0


def test_a_part_with_a_time_out(recorded, pair):
    """Where a socket has a time-out, send gives what the kernel took at once: the rest is not waited for."""
    client, _ = pair
    client.settimeout(5)
    n = client.send(bytes(50_000_000))
    (event,) = recorded.new()
    assert 0 < n == event.n < event.size == 50_000_000
    assert [info.why for info in recorded.infos] == ["send"]


@pytest.mark.parametrize("timeout", [None, 5])
@pytest.mark.parametrize("call", ["send", "sendall", "sendmsg"])
def test_a_thread_that_sleeps(recorded, pair, timeout, call):
    """It says that it waits for room, and how it went."""
    client, server = pair
    sent = fill(client)
    client.settimeout(timeout)
    recorded.new()
    data = bytes(2_000_000)
    thread = threading.Thread(target=getattr(client, call), args=([data] if call == "sendmsg" else data,))
    thread.start()
    while not any(isinstance(event, Block) for event in recorded.sink.events):
        pass
    events = recorded.new()
    assert recorded.infos[-1].t <= events[-1].t  # what TCP says stands before it: it sleeps in the last line
    drain(server, sent)
    if timeout is None or call == "sendall":
        drain(server, len(data))
    thread.join()
    (block,) = [event for event in events if isinstance(event, Block)]
    event = next(event for event in recorded.new() if isinstance(event, Send))
    assert (block.awaits, block.size) == ("send", len(data))
    assert block.timeout == (None if timeout is None else timeout * 10**9)
    assert (event.size, event.off) == (len(data), (sent, sent + event.n))
    assert event.n == len(data) or (timeout and call != "sendall")


@pytest.mark.parametrize(("timeout", "errno"), [(0, "EAGAIN"), (0.01, "timeout")])
def test_sendall_that_fails(recorded, pair, timeout, errno):
    """What the kernel had taken is known, though the program is not told."""
    client, server = pair
    client.settimeout(timeout)
    with pytest.raises((BlockingIOError, TimeoutError)):
        client.sendall(bytes(50_000_000))
    event = recorded.new()[-1]
    assert (event.call, event.errno, event.size) == ("sendall", errno, 50_000_000)
    assert event.off == (0, event.n)
    drain(server, event.n)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(1)


def test_a_handler_that_raises(recorded, pair):
    """A signal's handler that raises ends the call; what was sent is known all the same."""

    class EnoughError(Exception):
        pass

    def handler(_number, _frame):
        raise EnoughError

    client, server = pair
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(EnoughError):
            client.sendall(bytes(50_000_000))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    event = recorded.new()[-1]
    assert (event.errno, event.off) == ("interrupted", (0, event.n))
    drain(server, event.n)


def test_nobody_reads_any_more(recorded, pair):
    """EPIPE."""
    client, server = pair
    client.send(b"unread")
    server.close()
    with pytest.raises(OSError, match=r"reset|pipe"):
        any(not client.send(b"more") for _ in range(3))
    assert recorded.new()[-1].errno in {"EPIPE", "ECONNRESET"}


def test_wrong_arguments(recorded, pair):
    """They are no call; the error is Python's own."""
    client, _ = pair
    for timeout in (None, 5, 0):
        client.settimeout(timeout)
        for call, args, message in (
            (client.send, (), "takes at least 1 argument"),
            (client.send, ("text",), "a bytes-like object is required, not 'str'"),
            (client.sendall, ("text",), "a bytes-like object is required, not 'str'"),
            (client.sendall, (), "takes at least 1 argument"),
            (client.sendto, (b"x",), "takes 2 or 3 arguments"),
            (client.sendmsg, ("text",), "a bytes-like object is required, not 'str'"),
            (client.sendmsg, (1,), "iterable"),
        ):
            with pytest.raises(TypeError, match=message):
                call(*args)
    assert recorded.new() == []


def test_a_closed_socket(recorded, pair):
    """No descriptor, no call."""
    client, _ = pair
    client.close()
    recorded.new()
    for call in (client.send, client.sendall):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call(b"x")
    assert recorded.new() == []


def test_the_programs_buffer_is_its_own(recorded, pair):
    """What is kept of a buffer is a copy: the program can change it, and its size."""
    client, server = pair
    buffer = bytearray(b"hello")
    client.send(buffer)
    server.recv_into(buffer)
    buffer[:] = b"something else"
    assert [event.data for event in recorded.new()] == [b"hello", b"hello"]


def test_sendmsg_that_sleeps_in_the_middle(recorded, pair):
    """What the kernel takes at once is gone before the thread sleeps for the rest."""
    client, server = pair
    size = 8_000_000
    sent = []
    sender = threading.Thread(target=lambda: sent.append(client.sendmsg([b"a" * size, b"b" * size])))
    sender.start()
    recorded.until(Block)
    got = 0
    while got < 2 * size:
        got += len(server.recv(1 << 20))
    sender.join(30)
    assert sent == [2 * size]
    (event,) = [event for event in recorded.new() if isinstance(event, Send)]
    assert (event.n, event.off, event.call) == (2 * size, (0, 2 * size), "sendmsg")


def test_too_many_arguments(recorded, pair):
    """Python tells, in the words that it has for its own."""
    client, _ = pair
    with pytest.raises(TypeError, match="takes at most 2 arguments"):
        client.send(b"x", 0, 3)
    assert recorded.new() == []
