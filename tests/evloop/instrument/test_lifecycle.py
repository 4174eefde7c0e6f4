"""From socket to close."""

from __future__ import annotations

import _thread
import errno
import gc
import os
import select
import socket
import struct
import threading
import warnings
from contextlib import suppress

import pytest

from evloop.events.schema import (
    Accept,
    Bind,
    Block,
    Close,
    Connect,
    Inherit,
    Listen,
    Recv,
    Setsockopt,
    Shutdown,
    Socket,
)
from evloop.instrument.lifecycle import close_all


def kinds(recorded):
    """The names of the new events."""
    return [type(event).__name__.lower() for event in recorded.new()]


def test_a_server_and_its_client(recorded):
    """Every call from the first to the last, in order."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(5)
        with socket.create_connection(server.getsockname()) as client:
            connection, peer = server.accept()
            with connection:
                client.shutdown(socket.SHUT_WR)
            local = client.getsockname()
    made, option, bind, listen, second, block, connect, accept, shutdown, *closes = recorded.new()
    address = bind.address
    assert (made.sock, made.proto) == ("tcp-1", "tcp")
    assert (option.level, option.option, option.value) == ("SOL_SOCKET", "SO_REUSEADDR", "1")
    assert (listen.sock, listen.address, listen.backlog) == ("tcp-1", address, 5)
    assert (second.sock, block.awaits, connect.conn) == ("tcp-2", "connect", "tcp-2")
    here = f"127.0.0.1:{local[1]}"
    assert (connect.peer, connect.local) == (address, here)
    assert (accept.sock, accept.conn, accept.peer, accept.local) == ("tcp-1", "tcp-3", here, address)
    assert accept.waited is not None
    assert peer == local
    assert (shutdown.conn, shutdown.how) == ("tcp-2", "SHUT_WR")
    assert [(close.conn or close.sock, close.reason) for close in closes] == [
        ("tcp-3", "close"), ("tcp-2", "close"), ("tcp-1", "close"),
    ]  # fmt: skip
    assert isinstance(made, Socket)
    assert (type(option), type(bind), type(listen)) == (Setsockopt, Bind, Listen)
    assert (type(block), type(connect), type(accept), type(shutdown)) == (Block, Connect, Accept, Shutdown)


def test_unix(recorded, tmp_path):
    """A Unix socket's path is its address, and its peer a process."""
    path = str(tmp_path / "here.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        connection, _ = server.accept()
        connection.close()
    events = recorded.new()
    accept = next(event for event in events if isinstance(event, Accept))
    assert (accept.sock, accept.conn, accept.pid, accept.local) == ("unix-1", "unix-3", os.getpid(), path)
    assert next(event for event in events if isinstance(event, Connect)).peer == path


def test_a_pair(recorded):
    """Each end knows the other's name."""
    here, there = socket.socketpair()
    with here, there:
        assert [(event.sock, event.pair) for event in recorded.new()] == [
            ("unix-1", None),
            ("unix-2", "unix-1"),
        ]


@pytest.mark.parametrize(
    ("call", "kind", "name"),
    [
        (lambda sock: sock.bind(("192.0.2.1", 1)), Bind, "EADDRNOTAVAIL"),
        (lambda sock: sock.shutdown(socket.SHUT_RD), Shutdown, "ENOTCONN"),
        (lambda sock: sock.accept(), Accept, "EINVAL"),
        (lambda sock: sock.setsockopt(socket.SOL_SOCKET, 9999, 1), Setsockopt, "ENOPROTOOPT"),
        (lambda sock: sock.connect(("127.0.0.1", 1)), Connect, "ECONNREFUSED"),
        (lambda sock: sock.recv(1), Recv, "ENOTCONN"),
    ],
)
def test_errors(recorded, call, kind, name):
    """A call that fails leaves its errno."""
    with socket.socket() as sock, pytest.raises(OSError, match=r"Errno") as info:
        call(sock)
    assert errno.errorcode[info.value.errno] == name
    assert recorded.one(kind).errno == name


def test_no_socket(recorded):
    """A family that there is not."""
    with pytest.raises(OSError, match="not supported"):
        socket.socket(999)
    assert recorded.one(Socket).errno == "EAFNOSUPPORT"


def test_a_host_that_cannot_be(recorded):
    """Not every error has an errno."""
    with socket.socket() as sock, pytest.raises(socket.gaierror):
        sock.connect(("::1", 1))
    assert recorded.one(Connect).errno.startswith("EAI")


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
@pytest.mark.parametrize(
    ("address", "ends"),
    [(("::1", 1), "EAI"), (("127.0.0.1", "x"), "TypeError"), (("127.0.0.1", 99999), "OverflowError")],
)
def test_who_is_said_to_wait_is_said_to_have_returned(recorded, call, address, ends):
    """Whatever is raised: else the thread would seem to be in connect() from then on."""
    with socket.socket() as sock:
        recorded.new()
        with pytest.raises((OSError, TypeError, OverflowError)):
            getattr(sock, call)(address)
        block, connect = recorded.new()
    assert (block.awaits, type(connect)) == ("connect", Connect)
    assert connect.errno.startswith(ends)


def test_how_long_a_connect_waits(recorded, tmp_path):
    """The socket's time-out, or the kernel's own: with none it is for ever."""
    timeouts = []
    for patience in (None, (3, 500_000)):
        with socket.socket(socket.AF_UNIX) as client:
            if patience:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", *patience))
            with suppress(FileNotFoundError):
                client.connect(str(tmp_path / "nobody"))
        timeouts += [event.timeout for event in recorded.new() if isinstance(event, Block)]
    assert timeouts == [None, 3_500_000_000]


@pytest.mark.parametrize("call", ["connect", "connect_ex"])
def test_wrong_addresses_are_no_call(recorded, call):
    """Of a socket that does not wait nothing was announced."""
    with socket.socket() as sock:
        sock.setblocking(False)
        recorded.new()
        with pytest.raises(OverflowError):
            getattr(sock, call)(("127.0.0.1", 99999))
        assert recorded.new() == []


def test_connecting_without_waiting(recorded):
    """The handshake goes on; SO_ERROR tells how it ended, once."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        recorded.new()
        client.setblocking(False)
        assert client.connect_ex(server.getsockname()) == errno.EINPROGRESS
        here = f"127.0.0.1:{client.getsockname()[1]}"
        select.select([], [client], [])
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        begun, ended = [event for event in recorded.new() if isinstance(event, Connect)]
    assert (begun.errno, begun.local, ended.errno, ended.local) == ("EINPROGRESS", here, None, here)
    assert (ended.call, ended.peer, ended.conn) == ("getsockopt(SO_ERROR)", begun.peer, "tcp-2")


def test_connecting_in_vain(recorded):
    """The same, and nobody listens."""
    with socket.socket() as client:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", 1))
        select.select([], [client], [])
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        here = f"127.0.0.1:{client.getsockname()[1]}"
    begun, ended = [event for event in recorded.new() if isinstance(event, Connect)]
    assert (begun.local, ended.errno, ended.local) == (here, "ECONNREFUSED", here)


def test_where_a_refused_connection_came_from(recorded):
    """The kernel takes the host back, and not the port; nothing is known where it never chose one."""
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", 1))
    port = recorded.one(Connect).local.removeprefix("0.0.0.0:")
    assert 0 < int(port) < 65536
    with socket.socket() as client:
        assert client.connect_ex(("255.255.255.255", 1))
    assert recorded.one(Connect).local is None


def test_what_tcp_says_before_a_close(recorded, pair):
    """Also of a socket that nobody refers to any more; not while another has the connection as well."""
    client, server = pair
    copy = client.dup()
    client.close()
    copy.close()
    recorded.new()
    assert recorded.infos == []
    assert server.recv(1) == b""
    server.close()
    recorded.new()
    (info,) = recorded.infos
    assert (info.conn, info.why, info.state, info.bytes_received) == ("tcp-3", "close", "CLOSE-WAIT", 1)


def test_of_unix_sockets_tcp_says_nothing(recorded):
    """Nor of datagrams."""
    first, second = socket.socketpair()
    first.close()
    second.close()
    recorded.new()
    assert recorded.infos == []


def test_a_thread_that_accepts(recorded):
    """It sleeps until somebody comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept():
            server.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        while not any(isinstance(event, Block) for event in recorded.sink.events):
            pass
        socket.create_connection(server.getsockname()).close()
        thread.join()
    block = next(event for event in recorded.new() if isinstance(event, Block))
    assert (block.awaits, block.sock) == ("accept", "tcp-1")


def test_accept_with_a_time_out(recorded):
    """Nobody comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        with pytest.raises(TimeoutError):
            server.accept()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [event.errno for event in recorded.new() if isinstance(event, Accept)] == ["timeout", "EAGAIN"]


def test_what_is_lost_with_a_close(recorded, pair):
    """Bytes that nobody read."""
    client, server = pair
    client.send(b"hello")
    select.select([server], [], [])
    server.close()
    close = recorded.one(Close)
    assert (close.conn, close.unread, close.received, close.sent) == ("tcp-3", 5, 0, 0)


def test_close_twice(recorded, pair):
    """Only the first is a close; a file keeps the socket open."""
    client, _ = pair
    file = client.makefile()
    client.close()
    assert recorded.new() == []
    file.close()
    client.close()
    assert recorded.one(Close).conn == "tcp-2"


def test_a_forgotten_socket(recorded):
    """The interpreter closes it, and warns as ever: of the line that forgot it."""
    forgotten = socket.socket()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del forgotten
        gc.collect()
    (warning,) = caught
    assert (warning.category, warning.filename) == (ResourceWarning, __file__)
    close = recorded.one(Close)
    assert (close.reason, close.sock) == ("collected", "tcp-1")


def test_sockets_from_elsewhere(recorded, pair):
    """A descriptor that was handed over is met when it is first used."""
    client, server = pair
    fd = os.dup(server.fileno())
    client.send(b"hello")
    recorded.new()
    with socket.socket(fileno=fd) as handed:
        handed.recv(2)
    inherit, recv, close = recorded.new()
    assert (inherit.name, inherit.fd, inherit.peer) == ("tcp-4", fd, f"127.0.0.1:{client.getsockname()[1]}")
    assert (recv.conn, recv.off, close.conn) == ("tcp-4", (0, 2), "tcp-4")


def test_a_copy(recorded, pair):
    """dup() counts on; and to close one of two loses nothing."""
    client, server = pair
    client.send(b"hello")
    server.recv(2)
    recorded.new()
    with server.dup() as copy:
        copy.recv(1)
    inherit, recv, close = recorded.new()
    assert (inherit.received, recv.off, close.unread) == (2, (2, 3), None)
    assert isinstance(inherit, Inherit)


def test_detach(recorded, pair):
    """The number alone is as good as the socket."""
    client, server = pair
    client.send(b"hello")
    recorded.new()
    fd = server.detach()
    assert os.read(fd, 2) == b"he"
    with socket.socket(fileno=fd) as again:
        again.recv(10)
    assert [(type(event), event.conn) for event in recorded.new()] == [
        (Recv, "tcp-3"), (Recv, "tcp-3"), (Close, "tcp-3"),
    ]  # fmt: skip


def test_a_number_that_was_freed_past_us(recorded):
    """Somebody has closed the descriptor in another way: it is known when its number is used again."""
    lost = socket.socket()
    os.closerange(lost.fileno(), lost.fileno() + 1)
    with socket.socket() as new:
        assert new.fileno() == lost.fileno()
        _, close, made = recorded.new()
        lost.detach()
    assert (close.sock, close.reason, made.sock) == ("tcp-1", "close", "tcp-2")


def test_the_end(recorded, pair):
    """What is open when the process ends is closed with it."""
    close_all(recorded.instrument)
    assert [(event.conn, event.reason) for event in recorded.new()] == [("tcp-2", "exit"), ("tcp-3", "exit")]


def test_no_caller(recorded):
    """A call may have nobody behind it, such as an exit handler."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        recorded.new()
        _thread.start_new_thread(sock.listen, (1,))  # the first function of a thread
        while not recorded.sink.events:
            pass
        assert recorded.new()[0].where == ""


def test_remove(recorded):
    """Everything is as it was."""
    recorded.instrument.remove()
    recorded.new()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
    assert recorded.new() == []
    assert "recv" not in vars(socket.socket)
    assert "__del__" not in vars(socket.socket)
    assert repr(select.select) == "<built-in function select>"


@pytest.mark.parametrize(
    ("limit", "size", "shown"),
    [(8, 21, repr(b"k" * 21)), (0, 21, "(21 bytes)"), (0, 20, repr(b"k" * 20)), (0, None, "None")],
)
def test_a_long_option_may_be_what_was_received(recorded, limit, size, shown):
    """Where no payload is kept, only its size is told."""
    recorded.instrument.payload_limit = limit
    arguments = (None, 4) if size is None else (b"k" * size,)
    with socket.socket() as sock:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, 9999, *arguments)
        assert recorded.one(Setsockopt).value == shown


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("bind", (("127.0.0.1", 99999),)), ("listen", ("a",)), ("listen", (10**12,)), ("shutdown", ("x",)),
     ("setsockopt", ("SOL", 1, 1))],
)  # fmt: skip
def test_wrong_arguments_are_no_call(recorded, call, arguments):
    """Python refuses them before it asks the system; so there is nothing to record."""
    with socket.socket() as sock:
        recorded.new()
        with pytest.raises((TypeError, ValueError, OverflowError)):
            getattr(sock, call)(*arguments)
        assert recorded.new() == []
