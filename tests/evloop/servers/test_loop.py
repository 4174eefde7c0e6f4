"""The server: opening, limits in number and time, and its end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections import Counter

import pytest

from evloop import binding
from evloop import kernel as kernel_module
from evloop.address import Inet, UnixPath, parse_inet
from evloop.errors import AddressError
from evloop.kernel import OUT, READ, Kernel
from evloop.servers import loop as loop_module
from evloop.testing import failure

AGAIN = failure(errno.EAGAIN)


# -- opening ---------------------------------------------------------------------------------


@pytest.fixture
def hosts(monkeypatch):
    """What a host resolves to is what the test says."""

    def resolve_to(*names):
        monkeypatch.setattr(
            Kernel, "resolve", lambda _, address, **__: [address._replace(host=name) for name in names]
        )

    return resolve_to


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    return Kernel().is_local("::1")


def opens(server, kind):
    """How to open an address of a kind."""
    return server.server.listen_tcp if kind == "tcp" else server.server.bind_udp


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_one_port_for_all_addresses_of_a_host(real, hosts, kind):
    """Port 0 is the same port for each of them."""
    server = real()
    hosts("127.0.0.1", "127.0.0.2", "127.0.0.3")
    bound = [parse_inet(text) for text in opens(server, kind)(Inet("name", 0))]
    assert [inet.host for inet in bound] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert len({inet.port for inet in bound}) == 1


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_machine_without_the_other_family(real, hosts, kind):
    """An address that this machine does not have is no failure, if another could be opened."""
    server = real()
    hosts("203.0.113.1", "127.0.0.1", "2001:db8::1")
    (bound,) = opens(server, kind)(Inet("name", 0))
    assert bound.startswith("127.0.0.1:")
    assert len(server.loop.interests.watched) == 1


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_kernel_without_ipv6(real, hosts, monkeypatch, kind):
    """It refuses the socket itself; localhost is then 127.0.0.1."""
    refused = []

    class Old(socket.socket):
        """A socket of a system without IPv6."""

        def __init__(self, family=-1, *rest, **options):
            if family == socket.AF_INET6:
                refused.append(family)
                raise failure(errno.EAFNOSUPPORT)
            super().__init__(family, *rest, **options)

    server = real()
    hosts("::1", "127.0.0.1")
    monkeypatch.setattr(kernel_module.socket, "socket", Old)
    (bound,) = opens(server, kind)(Inet("localhost", 0))
    assert bound.startswith("127.0.0.1:")
    assert refused == [socket.AF_INET6]


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_no_address_at_all(real, hosts, kind):
    """Then it is one."""
    server = real()
    hosts("203.0.113.1", "203.0.113.2")
    with pytest.raises(AddressError, match="not an address of this machine"):
        opens(server, kind)(Inet("name", 0))
    assert server.loop.interests.watched == {}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_port_that_is_taken_in_one_family(real, hosts, kind, descriptors):
    """To serve half of a host would send its clients to somebody else: none is opened."""
    other, server = real(), real()
    taken = parse_inet(opens(other, kind)(Inet("127.0.0.2", 0))[0]).port
    before = descriptors()
    hosts("127.0.0.1", "127.0.0.2")
    with pytest.raises(AddressError, match="in use"):
        opens(server, kind)(Inet("name", taken))
    server.loop.finish()
    assert descriptors() == before
    assert server.loop.interests.watched == {}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("times", [1, 15, 16])
def test_a_free_port_that_is_taken_in_the_other_family(real, hosts, monkeypatch, kind, times, descriptors):
    """Another is tried, a few times; what was opened for nothing is closed."""
    server = real()
    hosts("127.0.0.1", "127.0.0.2")
    before = descriptors()
    fails, real_bind = [], binding.bind

    def bind(sock, address):
        if address.host == "127.0.0.2" and len(fails) < times:
            fails.append(address.port)
            raise failure(errno.EADDRINUSE)
        real_bind(sock, address)

    monkeypatch.setattr(binding, "bind", bind)
    if times == 16:
        with pytest.raises(AddressError, match="in use"):
            opens(server, kind)(Inet("name", 0))
    else:
        assert len({parse_inet(text).port for text in opens(server, kind)(Inet("name", 0))}) == 1
    server.loop.finish()
    assert len(fails) == times
    assert len(descriptors() - before) == (0 if times == 16 else 2)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_ipv6_beside_ipv4(real, selector, kind):
    """Localhost is both families on one port where the machine has both; else it is IPv4 alone."""
    server = real(selector)
    stream = kind == socket.SOCK_STREAM
    bound = opens(server, "tcp" if stream else "udp")(Inet("localhost", 0))
    hosts = {parse_inet(text).host for text in bound}
    assert hosts in ({"127.0.0.1", "::1"}, {"127.0.0.1"})
    assert hosts == {"127.0.0.1"} or has_ipv6()
    for text in bound:
        client = server.client(tuple(parse_inet(text)), kind)
        client.send(b"hello")
        assert (server.receive(client, 5) if stream else server.datagram(client)) == b"HELLO"


# -- how many --------------------------------------------------------------------------------


def test_the_limit_pauses_every_listener(scripted):
    """None accepts while as many are open as are allowed; a place that is free opens all."""
    server = scripted(max_connections=2)
    peers = [server.kernel.socket(recv=[b""]) for _ in range(3)]
    one, two = server.listener(*peers), server.listener()
    server.tick(one)
    assert [server.watching(sock) for sock in (one, two, peers[2])] == [0, 0, 0]
    server.tick(peers[0])
    assert server.watching(one) == server.watching(two) == READ
    server.tick(one)
    assert server.watching(peers[2]) == READ
    assert server.trace.of("limit") == [("limit", "connections", active) for active in (True, False, True)]


def test_many_leave_a_full_server_in_one_tick(scripted):
    """The limit is left once."""
    server = scripted(max_connections=3)
    peers = [server.kernel.socket(recv=[b""]) for _ in range(3)]
    server.tick(server.listener(*peers))
    server.tick(*peers)
    assert [active for _, _, active in server.trace.of("limit")] == [True, False]


# -- how long --------------------------------------------------------------------------------


def test_idle_for_too_long(scripted):
    """A connection of which nothing is heard is closed at the time that was given, and not before."""
    server = scripted(idle_timeout=10)
    sock = server.connect()
    opened = server.kernel.time
    server.sleep()
    assert server.kernel.time - opened == 10_000_000_000
    assert server.closed(sock) == ("idle-timeout", 0, None)
    assert len(server.loop.timers) == 0


def test_what_comes_moves_the_idle_timeout_on(scripted):
    """By its time, with one timer for a connection, whatever comes and however often."""
    server = scripted(idle_timeout=10)
    sock = server.connect(recv=[b"x"] * 50, send=[1] * 50)
    for _ in range(50):
        server.kernel.advance(0.1)
        server.tick(sock)
        assert len(server.loop.timers) == 1
    last = server.kernel.time
    server.sleep()
    server.sleep()
    assert server.kernel.time - last == 10_000_000_000
    assert server.closed(sock) == ("idle-timeout", 0, None)
    assert len(server.trace.of("timer")) == 2


def test_room_for_an_answer_is_life_too(scripted):
    """A peer that reads slowly and says nothing is not idle as long as it reads."""
    server = scripted(idle_timeout=10)
    sock = server.connect(recv=[b"xyz"], send=[1, 1, AGAIN])
    server.tick(sock)
    server.kernel.advance(9)
    server.tick((sock, OUT))
    server.kernel.advance(9)
    server.tick((sock, OUT))
    assert server.closed(sock) is None


def test_a_lifetime_which_nothing_moves_on(scripted):
    """A client that drips bytes lives no longer than one that is silent."""
    server = scripted(idle_timeout=10, lifetime=30)
    sock = server.connect(recv=[b"x"] * 100, send=[1] * 100)
    opened = server.kernel.time
    while server.closed(sock) is None:
        server.kernel.advance(5)
        server.tick(sock)
    assert server.kernel.time - opened == 30_000_000_000
    assert server.closed(sock) == ("lifetime", 0, None)
    assert len(server.loop.timers) == 0


def test_a_lifetime_without_an_idle_timeout(scripted):
    """The one needs not the other."""
    server = scripted(lifetime=30)
    sock = server.connect()
    server.sleep()
    assert server.closed(sock) == ("lifetime", 0, None)


def test_who_leaves_takes_its_timers_along(scripted):
    """Nothing is due for a connection that has ended."""
    server = scripted(idle_timeout=10, lifetime=30)
    sock = server.connect(recv=[b"x", b""], send=[1])
    server.kernel.advance(6)
    server.tick(sock)
    server.sleep()  # the first look at its idleness
    assert len(server.loop.timers) == 2
    server.tick(sock)
    assert server.closed(sock) == ("eof", 0, None)
    assert len(server.loop.timers) == 0


# -- the end ---------------------------------------------------------------------------------


def run(server):
    """As `LoopServer.run`, but of a script that may end."""
    server.loop._running = True
    while server.loop._running:
        server.loop.tick()


def test_listeners_first(scripted):
    """A client that comes in the very tick of the signal is not accepted."""
    server = scripted()
    listener = server.listener(server.kernel.socket())
    datagrams = server.datagrams(recvfrom=[(b"x", ("127.0.0.1", 5000))])
    old = server.connect()
    server.pipe.arrive("SIGTERM")
    server.tick(server.pipe, listener, datagrams)
    assert server.calls("accept", listener) == server.calls("recvfrom", datagrams) == []
    assert server.closed(listener) == server.closed(datagrams) == ("stop", 0, None)
    assert server.closed(old) is None


def test_nobody_to_wait_for(scripted):
    """It ends with the tick of the signal, and sets no timer."""
    server = scripted()
    server.listener()
    server.pipe.arrive("SIGINT")
    server.kernel.ready.append([(server.pipe.fileno(), 1)])
    run(server)
    assert server.said == []
    assert len(server.loop.timers) == 0
    assert server.server.reason == "SIGINT"


def test_it_ends_when_the_last_has_ended(scripted):
    """Each has its answer and says its own end; then there is nothing to wait for."""
    server = scripted(drain_timeout=5)
    socks = [server.connect(recv=[b"a", AGAIN, b""], send=[1]) for _ in range(3)]
    server.pipe.arrive("SIGTERM")
    server.kernel.ready += [[(sock.fileno(), 1)] for sock in (server.pipe, *socks)]
    run(server)
    assert [server.closed(sock) for sock in socks] == [("drained", 0, None)] * 3
    assert not server.kernel.unused()
    assert server.said == ["stopping: waiting at most 5 s for 3 open connections to end"]


def test_the_deadline(scripted):
    """Who has not ended by then is closed, and what it was still owed is told."""
    server = scripted(drain_timeout=2.5)
    silent, deaf = server.connect(), server.connect(recv=[b"abc"], send=[1])
    server.tick(deaf)
    server.pipe.arrive("SIGTERM")
    server.kernel.ready.append([(server.pipe.fileno(), 1)])
    before = server.kernel.time
    run(server)
    assert server.kernel.time - before == 2_500_000_000
    assert server.closed(silent) == ("drain-timeout", 0, None)
    assert server.closed(deaf) == ("drain-timeout", 2, None)
    assert server.said[1:] == ["stopping: 2 connections did not end in time and were closed"]


def test_a_second_signal(scripted):
    """It ends at once, with the tick."""
    server = scripted()
    sock = server.connect()
    server.pipe.arrive("SIGINT")
    server.pipe.arrive("SIGTERM")
    server.kernel.ready.append([(server.pipe.fileno(), 1)])
    run(server)
    assert server.closed(sock) == ("aborted", 0, None)
    assert server.said[1:] == ["SIGTERM again: stopping at once"]
    assert server.server.reason == "SIGINT"


def test_a_full_server_that_stops_wakes_no_listener(scripted):
    """The places that become free are nobody's any more."""
    server = scripted(max_connections=1)
    sock = server.connect(recv=[AGAIN, b""])
    listener = server.kernel.sockets[sock.fileno() + 1]
    server.signal()
    server.tick(sock)
    assert server.watching(listener) == 0
    assert [active for _, _, active in server.trace.of("limit")] == [True]


def test_close_leaves_nothing(scripted):
    """No socket open, nothing registered, no timer, and the pipe closed; twice is once."""
    server = scripted(idle_timeout=1, lifetime=2)
    socks = [server.listener(), server.datagrams(), server.connect(), server.connect()]
    for _ in range(2):
        server.server.close()
    assert all(server.closed(sock) for sock in socks)
    assert server.poller.registered == {}
    assert server.pipe.closed
    assert len(server.loop.timers) == 0


def test_close_before_it_heeded_signals(real):
    """What fails while it opens is closed too."""
    server = real()
    server.tcp()
    server.server.close()
    assert server.loop.interests.watched == {}


def test_the_path_goes_first(scripted):
    """Before the socket is closed, with which the number of its inode may be another's."""
    server = scripted()
    server.server.listen_unix(UnixPath("/tmp/s"))
    server.connect()
    server.signal()
    assert server.calls("unlink") == [(UnixPath("/tmp/s"), 0)]
    names = [call.name for call in server.kernel.calls]
    assert names.index("unlink") < names.index("close")
    server.server.close()
    assert len(server.calls("unlink")) == 1


def test_another_server_takes_the_path_while_this_one_drains(real, short_dir):
    """The old one waits for its clients, and leaves the new one's path alone."""
    path = f"{short_dir}/s"
    old, new = real(), real()
    client = old.client(old.unix(path))
    assert old.exchange(client, b"x") == b"X"
    old.server.stop("SIGTERM")
    old.loop.tick()
    assert not os.path.exists(path)
    new.unix(path)
    old.close()
    assert new.exchange(new.client(path), b"y") == b"Y"


def test_real_signals(real, selector):
    """The first lets the client end; requests already sent are answered; the second is not needed."""
    server = real(selector, traced=True)
    client = server.client(server.tcp())
    assert server.exchange(client, b"one") == b"ONE"
    server.server.handle_signals()
    client.sendall(b"two")
    os.kill(os.getpid(), signal.SIGTERM)
    assert server.receive(client) == b"TWO"
    client.close()
    server.until(lambda: not server.streams)
    assert [event.signal for event in server.events("signal")] == ["SIGTERM"]
    assert [event.reason for event in server.events("close")][-1] == "drained"
    assert server.recorder.reason == "SIGTERM"


def test_a_signal_that_is_heard_is_no_reason(real):
    """Whichever it is, and also while the server ends: the log ends for the one that stopped it."""
    server, heard = real(traced=True), []
    client = server.client(server.tcp())
    assert server.exchange(client, b"one") == b"ONE"
    server.server.handle_signals(heard={"SIGUSR2": heard.append})
    os.kill(os.getpid(), signal.SIGUSR2)
    server.until(lambda: heard)
    assert server.recorder.reason == "stopped"
    os.kill(os.getpid(), signal.SIGTERM)
    server.until(lambda: server.server.reason)
    os.kill(os.getpid(), signal.SIGUSR2)
    server.until(lambda: len(heard) == 2)
    assert server.streams
    assert server.recorder.reason == "SIGTERM"
    os.kill(os.getpid(), signal.SIGINT)
    server.until(lambda: not server.streams)
    assert server.recorder.reason == "SIGINT"
    assert [event.signal for event in server.events("signal")] == ["SIGUSR2", "SIGTERM", "SIGUSR2", "SIGINT"]


def test_run_until_a_signal(real, selector):
    """The loop runs by itself, and returns."""
    server = real(selector)
    server.server.handle_signals(("SIGUSR1",))
    os.kill(os.getpid(), signal.SIGUSR1)
    server.server.run()
    assert server.server.reason == "SIGUSR1"


# -- what is left ----------------------------------------------------------------------------


@pytest.mark.parametrize("traced", [False, True])
def test_three_hundred_come_and_go(real, selector, short_dir, descriptors, traced):
    """Descriptors, registrations, timers and names are then what they were."""
    server = real(selector, traced=traced, idle_timeout=100, lifetime=1000)
    addresses = [server.tcp(), server.unix(f"{short_dir}/s")]
    server.loop.tick()
    before = descriptors(), set(server.loop.interests.watched)
    for turn in range(10):
        clients = [server.client(addresses[n % 2]) for n in range(30)]
        for client in clients[:20]:
            client.sendall(b"hello")
        for client in clients[:20]:
            assert server.receive(client, 5) == b"HELLO"
        for client in clients:
            if turn % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        server.until(lambda: not server.streams and not server.loop._closing)
        server.loop.tick()
    assert (descriptors(), set(server.loop.interests.watched)) == before
    assert len(server.loop.timers) == 0
    assert len(server.loop.poller._selector.get_map()) == 2
    if traced:
        assert len(server.kernel.open) == len(server.kernel.names) == 2
        assert server.kernel.accepted == 300
        names = [event.conn for event in server.events("accept") if event.conn]
        assert len(set(names)) == 300


def test_all_of_a_server_is_given_back(real, selector, short_dir, descriptors):
    """Whatever it had open."""
    before = descriptors()
    server = real(selector, traced=True)
    address = server.tcp()
    server.udp()
    server.unix(f"{short_dir}/s")
    server.server.handle_signals(("SIGUSR1",))
    client = server.client(address)
    server.exchange(client, b"x")
    server.close()
    assert descriptors() == before
    assert os.listdir(short_dir) == []
    with contextlib.suppress(BlockingIOError):
        assert client.fileno() == -1


# -- samples ---------------------------------------------------------------------------------


def test_samples_of_all_connections(real, monkeypatch):
    """Again and again, so many a turn at most; and of the accept queue, when it has changed."""
    monkeypatch.setattr(loop_module, "MOST_SAMPLES", 2)
    server = real(traced=True, sample=0.001)
    clients = [server.client(address) for address in [server.tcp()] * 5]
    server.until(lambda: len(server.streams) == len(clients))
    sampled = []

    def look():
        sampled[:] = server.events("tcp_info")
        if len(sampled) >= 3 * len(clients):
            server.loop.stop()
        else:
            server.loop.after(0.001, look, "look")

    look()
    server.server.run()
    assert {(event.why, event.state) for event in sampled} == {("sample", "ESTABLISHED")}
    names = [event.conn for event in sampled]
    assert sorted(names[:5]) == sorted(names[5:10]) == [f"tcp-{number}" for number in range(1, 6)]
    assert max(Counter(event.tick for event in sampled).values()) == 2
    assert {event.sock for event in server.events("queue")} <= {"listen-1"}


def test_nobody_is_sampled_who_was_closed_since(real, monkeypatch):
    """It ended between two parts of a sample."""
    monkeypatch.setattr(loop_module, "MOST_SAMPLES", 1)
    server = real(traced=True, sample=60)
    clients = [server.client(address) for address in [server.tcp()] * 2]
    server.until(lambda: len(server.streams) == len(clients))
    server.server._sample(60, ())
    (first,) = server.events("tcp_info")
    (left,) = [stream for stream in server.streams if stream.sock.name != first.conn]
    left.close("aborted")
    server.until(lambda: server.loop.timers.next().when > server.loop.time + 10**9)
    assert [event.why for event in server.events("tcp_info")] == ["sample", "close"]


def test_untraced_nothing_is_sampled(real):
    """There is nowhere to write it."""
    server = real(sample=0.001)
    server.loop.after(0.01, server.loop.stop, "stop")
    server.server.run()
    assert len(server.loop.timers) == 0
