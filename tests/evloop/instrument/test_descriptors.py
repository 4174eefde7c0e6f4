"""os.read, os.write, os.sendfile, os.close and their kin on the number of a socket, and on others."""

from __future__ import annotations

import os
import select
import socket
import threading

import pytest

from evloop.events.schema import Block, Close, Recv, Recvfrom, Send, Sendto


def test_a_stream(recorded, pair, tmp_path):
    """They are recv and send under other names."""
    client, server = pair
    (tmp_path / "file").write_bytes(b"file")
    assert os.write(client.fileno(), b"0123456789") == 10
    assert os.read(server.fileno(), 100) == b"0123456789"
    with (tmp_path / "file").open("rb") as file:
        assert os.sendfile(client.fileno(), file.fileno(), 0, 10) == 4
    write, read, sendfile = recorded.new()
    assert (type(write), write.call, write.size, write.off, write.data) == (
        Send, "os.write", 10, (0, 10), b"01234567",
    )  # fmt: skip
    assert (type(read), read.call, read.size, read.off, read.data) == (
        Recv, "os.read", 100, (0, 10), b"01234567",
    )  # fmt: skip
    assert (sendfile.call, sendfile.size, sendfile.off, sendfile.data) == ("os.sendfile", 10, (10, 14), b"")
    assert server.recv(10) == b"file"


def test_several_buffers(recorded, pair):
    """As one that holds them all; what the real calls refuse they refuse, and that is no event."""
    client, server = pair
    buffers = [bytearray(3), bytearray(0), bytearray(9)]
    assert os.writev(client.fileno(), [b"0123", memoryview(b"456789")]) == 10
    assert os.readv(server.fileno(), buffers) == 10
    assert b"".join(buffers) == b"0123456789\0\0"
    write, read = recorded.new()
    assert (type(write), write.call, write.size, write.off, write.data) == (
        Send, "os.writev", 10, (0, 10), b"01234567",
    )  # fmt: skip
    assert (type(read), read.call, read.size, read.n, read.off, read.data) == (
        Recv, "os.readv", 12, 10, (0, 10), b"01234567",
    )  # fmt: skip
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        os.readv(server.fileno(), buffers)
    (failed,) = recorded.new()
    assert (failed.call, failed.n, failed.off, failed.errno) == ("os.readv", None, None, "EAGAIN")
    for wrong in (1, {0: b"x"}, [1], iter([b"x"])):
        with pytest.raises(TypeError):
            os.writev(client.fileno(), wrong)
    assert recorded.new() == []


def test_several_buffers_of_datagrams(recorded, datagrams):
    """The same for a socket that keeps messages apart."""
    asking, bound = datagrams
    os.writev(asking.fileno(), (b"x", b"y"))
    os.readv(bound.fileno(), [bytearray(10)])
    sent, received = recorded.new()
    assert (type(sent), sent.call, sent.n, sent.data) == (Sendto, "os.writev", 2, b"xy")
    assert (type(received), received.call, received.n, received.data) == (Recvfrom, "os.readv", 2, b"xy")


def test_datagrams(recorded, datagrams):
    """The same for a socket that keeps messages apart."""
    asking, bound = datagrams
    os.write(asking.fileno(), b"x")
    os.read(bound.fileno(), 10)
    sent, received = recorded.new()
    assert (type(sent), sent.call, sent.n, sent.data) == (Sendto, "os.write", 1, b"x")
    assert (type(received), received.call, received.n, received.data) == (Recvfrom, "os.read", 1, b"x")


def test_a_thread_that_sleeps(recorded, pair):
    """As in the calls of a socket."""
    client, server = pair
    thread = threading.Thread(target=os.read, args=(server.fileno(), 10))
    thread.start()
    while not any(isinstance(event, Block) for event in recorded.sink.events):
        pass
    client.send(b"x")
    thread.join()
    block = recorded.new()[0]
    assert (block.awaits, block.conn, block.size) == ("recv", "tcp-3", 10)


def test_no_room(recorded, pair):
    """EAGAIN, and a thread that waits for room."""
    client, server = pair
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        any(not os.write(client.fileno(), bytes(1_000_000)) for _ in range(1000))
    assert recorded.new()[-1].errno == "EAGAIN"
    with pytest.raises(BlockingIOError):
        os.read(client.fileno(), 1)
    assert recorded.new()[-1].errno == "EAGAIN"
    client.setblocking(True)
    thread = threading.Thread(target=os.write, args=(client.fileno(), b"x"))
    thread.start()
    while not any(isinstance(event, Block) for event in recorded.sink.events):
        pass
    while thread.is_alive():
        if select.select([server], [], [], 0.01)[0]:
            server.recv(1 << 20)
    assert recorded.new()[0].awaits == "send"


@pytest.mark.parametrize("module", [os, socket])
def test_close(recorded, module):
    """The socket is closed by its number."""
    fd = socket.socket().detach()
    recorded.new()
    module.close(fd)
    assert recorded.one(Close).sock == "tcp-1"


def test_what_is_no_socket(recorded):
    """Nothing is recorded."""
    reader, writer = os.pipe()
    assert os.write(writer, b"x") == 1
    assert os.read(reader, 5) == b"x"
    with pytest.raises(OSError, match=r"Invalid argument|Bad file"):
        os.sendfile(reader, writer, 0, 1)
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(writer)
    assert recorded.new() == []


def test_an_end_of_a_pair_that_is_only_read(recorded):
    """It is a connection from then on, also in its close: so is every pipe of multiprocessing."""
    writing, reading = socket.socketpair()
    os.write(writing.detach(), b"x")
    fd = reading.detach()
    os.read(fd, 1)
    events = recorded.new()
    os.close(fd)
    close = recorded.one(Close)
    assert (close.conn, close.sock) == (events[-1].conn, None)
    os.close(events[-2].fd)
