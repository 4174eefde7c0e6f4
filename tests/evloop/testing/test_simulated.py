"""The simulated kernel: descriptors, the clock, queues, and what each call may fail with."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from evloop.address import Inet, UnixPath
from evloop.errors import AddressError
from evloop.kernel import ERR, HUP, IN, OUT, READ, WRITE
from evloop.testing import MAY_FAIL, SimulatedKernel, SleepsForEverError

TCP, UNIX, UDP = Inet("127.0.0.1", 8080), UnixPath("@there"), Inet("127.0.0.1", 9090)
PEER = ("127.0.0.1", 50_000)


@contextlib.contextmanager
def raises(number):
    """An OSError with this errno."""
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno == number


@pytest.fixture
def kernel():
    """One with a listener, whose connections have room for 10 bytes there and 12 back."""
    return SimulatedKernel((10, 12))


@pytest.fixture
def listener(kernel):
    """A TCP listener with room for two."""
    return kernel.listen(TCP, 1)


def accepted(kernel, listener):
    """A connection: what the server may call, its end, and the client's end."""
    client = listener.connect(PEER)
    sock, peer = kernel.accept(listener)
    assert peer == PEER
    return *kernel.stream_calls(sock), sock, client


# -- descriptors -------------------------------------------------------------------------------


def test_the_lowest_descriptor_is_used_first(kernel, listener):
    """What was closed is used again at once, as POSIX demands."""
    socks = [accepted(kernel, listener)[2] for _ in range(3)]
    assert [listener.fileno(), *(sock.fileno() for sock in socks)] == [3, 4, 5, 6]
    kernel.close(socks[1], "eof")
    kernel.close(socks[0], "eof")
    assert [accepted(kernel, listener)[2].fileno() for _ in range(3)] == [4, 5, 7]
    assert socks[0].fileno() == -1


def test_no_descriptor_is_left(kernel, listener):
    """accept fails, and the connection waits on."""
    kernel.descriptors = 4
    listener.connect(PEER)
    with raises(errno.EMFILE):
        kernel.accept(listener)
    assert len(listener.queue) == 1
    assert kernel.is_local("192.0.2.1")  # nobody can tell
    kernel.descriptors = 5
    assert not kernel.is_local("192.0.2.1")
    assert kernel.accept(listener)[0].fileno() == 4


def test_an_address_is_bound_once(kernel):
    """Port 0 is one that is free."""
    kernel.listen(TCP, 1)
    kernel.bind(TCP)
    with pytest.raises(AddressError):
        kernel.listen(TCP, 1)
    with pytest.raises(AddressError):
        kernel.bind(TCP)
    assert kernel.address_of(kernel.listen(Inet("127.0.0.1", 0), 1)) == "127.0.0.1:8081"
    assert kernel.resolve(TCP) == [TCP]


# -- listeners ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [TCP, UNIX])
def test_a_listener(kernel, address):
    """The queue holds one more than the backlog; who waits when it closes is reset."""
    listener = kernel.listen(address, 1)
    first, second, third = (listener.connect() for _ in range(3))
    assert third is None
    assert listener.bits() == IN
    kernel.accept(listener)
    kernel.close(listener, "stop")
    assert listener.connect() is None
    with raises(errno.ECONNRESET):
        second.recv(1)
    with raises(errno.EAGAIN):
        first.recv(1)


def test_linux_resets_who_waits_when_a_listener_closes(tmp_path):
    """As the simulated one does."""
    path = str(tmp_path / "s")
    for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, path)):
        with socket.socket(family) as client:
            with socket.socket(family) as listener:
                listener.bind(address)
                listener.listen()
                client.connect(listener.getsockname())
            with raises(errno.ECONNRESET):
                client.recv(1)


def test_nobody_waits(kernel, listener):
    """EAGAIN."""
    with raises(errno.EAGAIN):
        kernel.accept(listener)
    assert listener.bits() == 0


# -- buffers -----------------------------------------------------------------------------------


def test_buffers_are_bounded(kernel, listener):
    """What has no room is not taken; writable is who has a third of it free."""
    recv, send, sock, client = accepted(kernel, listener)
    assert client.send(b"0123456789abc") == 10
    with raises(errno.EAGAIN):
        client.send(b"x")
    assert client.bits() == 0
    assert recv(4) == b"0123"
    assert client.bits() == OUT
    assert recv(100) == b"456789"
    assert send(b"x" * 9) == 9
    assert sock.bits() == 0
    assert send(b"yyyy") == 3
    assert client.recv(100) == b"x" * 9 + b"yyy"
    sock.most = 2
    assert send(b"zzz") == 2


def test_what_the_log_shows(kernel, listener):
    """Queue, unread and unsent bytes, and what TCP counts."""
    recv, send, sock, client = accepted(kernel, listener)
    listener.connect()
    client.send(b"abc")
    recv(1)
    send(b"xy")
    state, fd = kernel.state, sock.fileno()
    assert state.accept_queue(listener) == (1, 1)
    assert (state.unread_bytes(fd), state.unsent_bytes(fd)) == (2, 2)
    info = state.tcp_info(sock)
    assert (info.state, info.bytes_received, info.bytes_acked) == ("ESTABLISHED", 3, 2)
    client.shutdown()
    assert state.tcp_info(sock).state == "CLOSE-WAIT"
    kernel.shutdown(sock)
    assert state.tcp_info(sock).state == "CLOSED"
    assert state.queue_wait(sock) is state.peer_process(sock) is None
    unix = kernel.listen(UNIX, 1)
    assert state.accept_queue(unix) is None
    unix.connect()
    assert state.tcp_info(kernel.accept(unix)[0]) is None
    assert state.unread_bytes(99) is state.unsent_bytes(99) is None


# -- datagrams ---------------------------------------------------------------------------------


def test_datagrams(kernel):
    """Empty, cut, too many; a send to ourselves comes back."""
    box = kernel.bind(UDP)
    recvfrom, sendto = kernel.datagram_calls(box, 4)
    receive = kernel.recvmsg_call(box)
    assert box.bits() == OUT
    assert box.deliver(b"", PEER)
    assert box.deliver(b"123456", PEER)
    assert box.deliver(b"123456", PEER)
    assert box.bits() == IN | OUT
    assert recvfrom(4) == (b"", PEER)
    assert recvfrom(4) == (b"1234", PEER)
    assert receive(4) == (b"1234", True, PEER)
    with raises(errno.EAGAIN):
        recvfrom(4)
    assert sendto(b"hello", tuple(UDP)) == 5
    assert receive(9) == (b"hello", False, tuple(UDP))
    with raises(errno.EMSGSIZE):
        sendto(b"x" * 65_508, PEER)
    with raises(errno.EINVAL):
        sendto(b"x", ("127.0.0.1", 0))
    assert kernel.refused == 2
    assert kernel.delivered == [(b"hello", box, tuple(UDP))]


def test_a_full_queue_drops(kernel):
    """Bytes count, and so do datagrams without any."""
    kernel.datagram_room = 640
    box = kernel.bind(UDP)
    assert box.deliver(b"x" * 640, PEER)
    assert not box.deliver(b"x", PEER)
    assert sum(box.deliver(b"", PEER) for _ in range(20)) == 10
    kernel.close(box, "stop")
    assert not box.deliver(b"", PEER)
    assert box.dropped == 12


def test_an_icmp_error_is_told_once(kernel):
    """To the next call, whichever it is."""
    box = kernel.bind(UDP)
    recvfrom, sendto = kernel.datagram_calls(box, 4)
    for call in (lambda: recvfrom(4), lambda: sendto(b"x", PEER)):
        box.refuse()
        assert box.bits() & ERR
        with raises(errno.ECONNREFUSED):
            call()
        assert not box.bits() & ERR


# -- the poller and the clock --------------------------------------------------------------------


def test_readiness_is_level_triggered(kernel, listener):
    """It is reported as long as it lasts, of whoever is registered."""
    poller = kernel.poller("epoll")
    recv, _, sock, client = accepted(kernel, listener)
    fd = sock.fileno()
    client.send(b"abc")
    poller.register(fd, READ)
    assert [poller.poll(0), poller.poll(None)] == [[(fd, IN)]] * 2
    poller.modify(fd, WRITE)
    assert poller.poll(0) == [(fd, OUT)]
    poller.modify(fd, READ)
    recv(3)
    assert poller.poll(0) == []
    client.abort()
    assert poller.poll(0) == [(fd, IN | ERR | HUP)]
    poller.unregister(fd)
    assert poller.poll(0) == []
    with pytest.raises(SleepsForEverError):
        poller.poll(None)


def test_a_unix_socket_hangs_up_for_ever(kernel):
    """HUP comes although nobody asked for it, and whatever is read."""
    poller, listener = kernel.poller("epoll"), kernel.listen(UNIX, 1)
    client = listener.connect()
    sock, _ = kernel.accept(listener)
    poller.register(sock.fileno(), 0)
    assert poller.poll(0) == []
    client.close()
    assert kernel.stream_calls(sock)[0](1) == b""
    assert [poller.poll(0), poller.poll(0)] == [[(sock.fileno(), HUP)]] * 2


def test_who_is_closed_is_forgotten(kernel, listener):
    """By epoll, but not by who registered it: its number cannot be registered again."""
    poller = kernel.poller("epoll")
    fd = listener.fileno()
    poller.register(fd, READ)
    listener.connect()
    kernel.close(listener, "stop")
    assert poller.poll(0) == []
    with pytest.raises(KeyError):
        poller.register(fd, READ)
    with pytest.raises(KeyError):
        poller.modify(99, READ)
    with raises(errno.EBADF):
        poller.register(99, READ)


def test_several_are_ready(kernel, listener):
    """In the order in which they became so, or turned."""
    poller = kernel.poller("epoll")
    for _ in range(3):
        *_, sock, client = accepted(kernel, listener)
        poller.register(sock.fileno(), READ)
        client.send(b"x")
    fds = [fd for fd, _ in poller.poll(0)]
    kernel.rotation = 4
    assert [fd for fd, _ in poller.poll(0)] == [*fds[1:], fds[0]]


def test_time_passes_where_the_loop_sleeps(kernel):
    """epoll rounds up to milliseconds; a sleep may be too long, and a poll late."""
    poller = kernel.poller("epoll")
    begin = kernel.now()
    poller.poll(0.0001)
    assert kernel.woke() - begin == 1_001_000
    kernel.oversleep = 5_000_000
    kernel.pass_time(2)
    poller.poll(86_400.0)
    assert kernel.woke() - begin == 1_001_000 + 86_402 * 10**9 + 5_001_000
    assert (kernel.oversleep, kernel.away) == (0, 0)


def test_signals(kernel):
    """Ready until they are read; for ever, when the pipe has ended."""
    poller, pipe = kernel.poller("epoll"), kernel.signals(["SIGINT"])
    poller.register(pipe.fileno(), READ)
    pipe.arrive("SIGINT")
    assert poller.poll(0) == [(pipe.fileno(), IN)]
    assert pipe.drain() == (["SIGINT"], True)
    assert not kernel.is_anybody_ready
    pipe.knock()
    assert kernel.is_anybody_ready
    assert pipe.drain() == ([], True)
    pipe.end()
    assert pipe.drain() == ([], False)
    assert kernel.is_anybody_ready
    pipe.close()
    poller.close()
    assert not kernel.open


# -- faults --------------------------------------------------------------------------------------

EVERY = [(call, number) for call, numbers in MAY_FAIL.items() for number in numbers]


@pytest.mark.parametrize(("call", "number"), EVERY, ids=lambda value: errno.errorcode.get(value, value))
def test_every_call_fails_as_its_man_page_says(kernel, listener, call, number):
    """Once, and it is counted."""
    recv, send, sock, client = accepted(kernel, listener)
    box, poller = kernel.bind(UDP), kernel.poller("epoll")
    recvfrom, sendto = kernel.datagram_calls(box, 4)
    client.send(b"x")
    listener.connect(PEER)
    box.deliver(b"x", PEER)
    calls = {
        "accept": (listener, lambda: kernel.accept(listener)),
        "recv": (sock, lambda: recv(1)),
        "send": (sock, lambda: send(b"x")),
        "recvfrom": (box, lambda: recvfrom(1)),
        "sendto": (box, lambda: sendto(b"x", PEER)),
        "shutdown": (sock, lambda: kernel.shutdown(sock)),
        "register": (sock, lambda: poller.register(sock.fileno(), READ)),
    }
    of, make = calls[call]
    kernel.faults.add(call, number, of)
    with raises(number):
        make()
    make()
    assert kernel.faults.fired == {(call, number): 1}
    assert not kernel.faults


def test_a_fault_of_nobody_in_particular(kernel, listener):
    """The next call of that name fails, whoever's it is; what was not due is forgotten with its socket."""
    recv, _, sock, _ = accepted(kernel, listener)
    kernel.faults.add("recv", errno.ENOMEM)
    with raises(errno.ENOMEM):
        recv(1)
    kernel.faults.add("recv", errno.ENOMEM, sock)
    kernel.close(sock, "eof")
    kernel.close(sock, "eof")
    assert not kernel.faults
    assert kernel.ended == [(sock, "eof", 0, None)]
    with pytest.raises(ValueError, match="shutdown cannot fail with 'EMFILE'"):
        kernel.faults.add("shutdown", errno.EMFILE)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EALREADY])
def test_who_is_reset_does_not_wait(kernel, listener, number):
    """A call that fails with EAGAIN can be made again; at the end of a connection it cannot."""
    _, send, sock, client = accepted(kernel, listener)
    kernel.faults.add("send", number, sock)
    client.abort()
    with raises(errno.ECONNRESET):
        send(b"x")
    with raises(errno.EPIPE):
        send(b"x")
