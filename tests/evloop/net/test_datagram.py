"""Datagrams: answered one by one, dropped when they must be, and not answered for ever."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evloop.kernel import READ, Kernel
from evloop.loop.loop import SECOND
from evloop.net.datagram import DATAGRAM_BATCH
from evloop.protocols import PROTOCOLS
from evloop.testing import failure

PEER = ("127.0.0.1", 5000)
FAILURES = [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH]
SHORTAGES = [errno.ENOBUFS, errno.ENOMEM]


def test_answered_at_once(scripted):
    """All that has arrived, each to whom it came from."""
    server = scripted()
    other = ("::1", 6000, 0, 0)
    sock = server.datagrams(recvfrom=[(b"a", PEER), (b"b", other)], sendto=[1, 1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"A", PEER), (b"B", other)]
    assert not server.kernel.unused()


def test_of_length_zero(scripted):
    """It is data: answered with one of length zero, and no end of anything."""
    server = scripted()
    sock = server.datagrams(recvfrom=[(b"", PEER), (b"b", PEER)], sendto=[0, 1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"", PEER), (b"B", PEER)]
    assert server.watching(sock) == READ


@pytest.mark.parametrize("number", FAILURES)
def test_a_failure_of_an_earlier_one(scripted, number):
    """An ICMP error says nothing of those that wait."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(number), (b"a", PEER)], sendto=[1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"A", PEER)]
    assert not server.kernel.unused()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EPERM, errno.EMSGSIZE, *FAILURES, *SHORTAGES])
def test_an_answer_that_cannot_be_sent(scripted, number):
    """It is dropped, once, and the next is answered; WRITE is never watched."""
    server = scripted()
    sock = server.datagrams(recvfrom=[(b"a", PEER), (b"b", PEER)], sendto=[failure(number), 1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"A", PEER), (b"B", PEER)]
    assert server.watching(sock) == READ
    assert not server.kernel.unused()


def test_batches_are_bounded(scripted):
    """A flood gets so many in a tick; those of a stream get their turn."""
    server = scripted()
    stream = server.connect(recv=[b"x"] * 2, send=[1] * 2)
    sock = server.datagrams(recvfrom=[(b"a", PEER)] * 100, sendto=[1] * 100)
    server.tick(sock, stream)
    assert len(server.calls("sendto", sock)) == DATAGRAM_BATCH
    server.tick(sock, stream)
    assert len(server.calls("sendto", sock)) == 100
    assert len(server.calls("send", stream)) == 2


def test_failures_count_towards_the_batch(scripted):
    """A socket that fails for ever does not hold the loop."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(errno.ECONNREFUSED)] * 1000)
    server.tick(sock)
    assert len(server.calls("recvfrom", sock)) == DATAGRAM_BATCH


@pytest.mark.parametrize("number", SHORTAGES)
def test_a_shortage(scripted, number):
    """The datagram stays, and its readiness: it is not watched for 100 ms, or the loop would spin."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(number), failure(number), (b"a", PEER)], sendto=[1])
    server.tick(sock)
    assert server.watching(sock) == 0
    assert len(server.calls("recvfrom", sock)) == 1
    server.sleep()
    assert server.watching(sock) == READ
    assert server.kernel.time == SECOND + SECOND // 10
    server.tick(sock)
    assert server.watching(sock) == 0
    server.sleep()
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"A", PEER)]
    what = f"recvfrom: {os.strerror(number)}"
    assert server.trace.of("limit") == [("limit", what, True), ("limit", what, False)]
    assert len(server.loop.timers) == 0


def test_the_words_of_a_shortage(scripted):
    """What is short, of which socket, why it sleeps, and why it is watched again."""
    server = scripted()
    heard = []
    server.trace.limit = lambda what, *, active, sock: heard.append((what, active, sock))
    sock = server.datagrams(recvfrom=[failure(errno.ENOMEM)])
    server.tick(sock)
    assert server.loop.timers.next().why == "receive again after a shortage of memory"
    server.sleep()
    server.tick(sock)
    server.tick(sock)  # it is said once that it is over
    what = "recvfrom: Cannot allocate memory"
    assert heard == [(what, True, sock), (what, False, sock)]
    assert [said[2:] for said in server.trace.of("interest") if said[1] == sock.fileno()] == [
        (0, READ, "datagrams may come at any time"),
        (READ, 0, "recvfrom failed: Cannot allocate memory"),
        (0, READ, "datagrams may come at any time"),
    ]


def test_a_shortage_that_ends_in_a_flood(scripted):
    """The first datagram that is received tells that it is over: with a stream of them EAGAIN never comes."""
    server = scripted()
    flood = [(b"a", PEER)] * DATAGRAM_BATCH
    sock = server.datagrams(recvfrom=[failure(errno.ENOMEM), *flood], sendto=[1] * DATAGRAM_BATCH)
    server.tick(sock)
    server.sleep()
    server.tick(sock)
    assert len(server.calls("sendto", sock)) == DATAGRAM_BATCH
    assert [active for _, _, active in server.trace.of("limit")] == [True, False]
    assert not server.kernel.unused()


def test_a_shortage_that_outlasts_the_server(scripted):
    """Its timer goes with it."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(errno.ENOMEM)])
    server.tick(sock)
    assert len(server.loop.timers) == 1
    server.server.close()
    assert len(server.loop.timers) == 0


def test_epoll_is_short_of_memory_too(scripted, monkeypatch):
    """It is tried again, and not forgotten."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(errno.ENOMEM)])
    server.tick(sock)
    register, failed = server.poller.register, []

    def short(fd, mask):
        if not failed:
            failed.append(fd)
            raise failure(errno.ENOMEM)
        register(fd, mask)

    monkeypatch.setattr(server.poller, "register", short)
    server.sleep()
    assert failed == [sock.fileno()]
    assert server.watching(sock) == 0
    server.sleep()
    assert server.watching(sock) == READ
    assert not server.trace.of("error")


@pytest.mark.parametrize("number", [errno.EBADF, errno.ENOTSOCK])
def test_a_socket_that_is_broken(scripted, number):
    """It can never succeed again: it ends, rather than fail for ever."""
    server = scripted()
    sock = server.datagrams(recvfrom=[failure(number)] * 100)
    server.tick(sock)
    assert len(server.calls("recvfrom", sock)) == 1
    assert server.closed(sock) == ("handler-error", 0, None)


@given(st.lists(st.sampled_from([b"", b"data", *FAILURES]), max_size=150), st.randoms())
def test_any_list_of_errnos(scripted, script, random):
    """Every datagram is offered an answer once, whatever fails between and however sending goes."""
    server = scripted()
    recvfrom = [failure(item) if isinstance(item, int) else (item, PEER) for item in script]
    count = sum(isinstance(item, bytes) for item in script)
    sendto = [random.choice([failure(random.choice(FAILURES)), 0]) for _ in range(count)]
    sock = server.datagrams(recvfrom=recvfrom, sendto=sendto)
    for _ in range(len(script) // DATAGRAM_BATCH + 1):
        server.tick(sock)
    assert not server.kernel.unused()
    assert [data for data, _ in server.calls("sendto", sock)] == [
        item.upper() for item in script if isinstance(item, bytes)
    ]
    assert server.watching(sock) == READ


# -- what is not answered --------------------------------------------------------------------


@pytest.mark.parametrize("port", [0, 7, 19, 53, 1023])
def test_ports_of_services_that_answer_everything(scripted, port):
    """Echo, chargen, dns: the two would never stop."""
    server = scripted()
    peer = ("203.0.113.1", port)
    sock = server.datagrams(recvfrom=[(b"a", peer), (b"b", PEER)], sendto=[1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"B", PEER)]
    ((_, to, reason),) = server.trace.of("refuse")
    assert to == peer
    assert str(port) in reason


def test_the_first_port_that_is_answered(scripted):
    """From 1024 on they are anybody's."""
    server = scripted()
    sock = server.datagrams(recvfrom=[(b"a", ("203.0.113.1", 1024))], sendto=[1])
    server.tick(sock)
    assert len(server.calls("sendto", sock)) == 1


def test_its_own_address(scripted):
    """Any of this machine's addresses with any of its own ports, of the other sockets too."""
    server = scripted()
    one = server.datagrams(recvfrom=[(b"a", ("127.0.0.1", 8080)), (b"b", ("::1", 9090))])
    server.datagrams("127.0.0.1:9090")
    server.tick(one)
    assert server.calls("sendto", one) == []
    assert [peer for _, peer, _ in server.trace.of("refuse")] == [("127.0.0.1", 8080), ("::1", 9090)]
    assert all("itself" in reason for _, _, reason in server.trace.of("refuse"))


def test_the_same_port_of_another_machine(scripted):
    """That is somebody else."""
    server = scripted()
    sock = server.datagrams(recvfrom=[(b"a", ("203.0.113.1", 8080))], sendto=[1])
    server.tick(sock)
    assert len(server.calls("sendto", sock)) == 1


def test_a_handler_that_raises(scripted, monkeypatch):
    """One datagram is dropped with an error; the socket is everybody's, and lives."""

    def respond(data):
        if data == b"bad":
            raise ZeroDivisionError
        return data

    monkeypatch.setitem(PROTOCOLS, "upper", respond)
    server = scripted()
    sock = server.datagrams(recvfrom=[(b"bad", PEER), (b"b", PEER)], sendto=[1])
    server.tick(sock)
    assert server.calls("sendto", sock) == [(b"b", PEER)]
    assert server.watching(sock) == READ
    ((_, where, error, whose),) = server.trace.of("error")
    assert (where, whose) == ("datagram socket", sock)
    assert isinstance(error, ZeroDivisionError)


def test_a_socket_that_fails_otherwise(scripted):
    """A fault of ours ends this socket, and no other."""
    server = scripted()
    fault = TypeError("fault")
    broken, other = server.datagrams(recvfrom=[fault]), server.datagrams("127.0.0.1:9")
    server.tick(broken)
    assert server.closed(broken) == ("handler-error", 0, None)
    assert server.watching(other) == READ
    assert server.trace.of("error") == [("error", "datagram socket", fault, broken)]
    assert [said[2:] for said in server.trace.of("interest") if said[1] == broken.fileno()] == [
        (0, READ, "datagrams may come at any time"),
        (READ, 0, "handler-error"),
    ]
    server.server.close()
    assert len(server.calls("close", broken)) == 1


# -- real sockets ----------------------------------------------------------------------------


@pytest.mark.parametrize("traced", [False, True])
def test_roundtrip(real, selector, traced):
    """Datagrams keep their bounds, those of length 0 and of 64 KiB too."""
    server = real(selector, traced=traced)
    client = server.client(server.udp(), socket.SOCK_DGRAM)
    said = [b"a", b"", b"bc", b"d" * 65507]
    for data in said:
        client.send(data)
        assert server.datagram(client) == data.upper()
    for data in said[:3]:
        client.send(data)
    assert [server.datagram(client) for _ in range(3)] == [data.upper() for data in said[:3]]


def test_a_datagram_that_is_cut(real, selector):
    """With a small read the log says that the rest is gone."""
    server = real(selector, traced=True, recv_size=4)
    client = server.client(server.udp(), socket.SOCK_DGRAM)
    client.send(b"abcdef")
    assert server.datagram(client) == b"ABCD"
    client.send(b"abcd")
    assert server.datagram(client) == b"ABCD"
    received = [event for event in server.events("recvfrom") if event.n is not None]
    assert [(event.n, event.truncated) for event in received] == [(4, True), (4, False)]


def test_a_client_that_has_left(real, selector):
    """The answer meets a closed port; the next client does not notice, and the loop sleeps afterwards."""
    server = real(selector)
    address = server.udp()
    gone, other = server.client(address, socket.SOCK_DGRAM), server.client(address, socket.SOCK_DGRAM)
    for _ in range(3):
        gone.send(b"x")
    gone.close()
    other.send(b"hello")
    assert server.datagram(other) == b"HELLO"
    assert not list(server._poll(0))


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:0"])
def test_a_datagram_from_the_server_to_itself(real, selector, address):
    """It is refused once, instead of going round for ever."""
    server = real(selector, traced=True)
    _, port = server.udp(address)
    (datagrams,) = server.server._datagrams
    datagrams.sock.sock.sendto(b"again and again", ("127.0.0.1", port))
    server.until(lambda: server.events("refuse"))
    for _ in range(5):
        server.loop.tick()
    assert len(server.events("refuse")) == 1
    assert server.events("sendto") == []


def test_a_flood(real, selector):
    """A thousand datagrams at once: what the kernel kept is answered, in bounded ticks."""
    server = real(selector, traced=True)
    client = server.client(server.udp(), socket.SOCK_DGRAM)
    for number in range(1000):
        client.send(b"%d" % number)
    server.loop.tick()
    received = [event for event in server.events("recvfrom") if event.tick == server.recorder.tick]
    assert 0 < len(received) <= DATAGRAM_BATCH
    got = []

    def is_quiet():
        try:
            while True:
                got.append(client.recv(100))
        except BlockingIOError:
            return not list(server._poll(0))

    server.until(is_quiet)
    assert got == sorted(got, key=int)
    answered = [event for event in server.events("sendto") if event.errno is None]
    assert len(got) <= len(answered) <= 1000
    assert Kernel().is_local("127.0.0.1")
