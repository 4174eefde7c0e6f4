"""Real runs of every kind are the same when they are run again; each has in its log what it is about."""

from __future__ import annotations

import contextlib
import errno
import socket

import pytest

from evloop.address import UnixPath
from evloop.bugs.gallery import BUGS
from evloop.control.gates import Gates
from evloop.control.looped import LET_CONTROLLERS_IN, ControlPoint
from evloop.errors import AddressError
from evloop.events.schema import (
    Accept,
    Bind,
    Clock,
    Close,
    Control,
    Error,
    Interest,
    Limit,
    Listen,
    Poll,
    Prepare,
    Queue,
    Recv,
    Recvfrom,
    Refuse,
    Send,
    Sendto,
    Shutdown,
    Signal,
    Slow,
    TcpInfo,
    Timer,
)
from evloop.kernel import selector_names
from evloop.net.watch import BEHIND, Watchers
from evloop.servers.loop import LoopServer
from evloop.testing import failure

ENDS = ["eof", "reset", "half", "open"]


@pytest.mark.parametrize("selector", selector_names())
def test_clients_of_every_kind(recorded, same, selector, path):
    """TCP, UDP and Unix, with every end that a client can make."""
    run = recorded(selector)
    tcp, udp, unix = run.tcp(), run.udp(), run.unix(path)
    run.begin()
    clients = {(where, end): run.client(where) for where in (tcp, unix) for end in ENDS}
    for (_, end), client in clients.items():
        assert run.exchange(client, end.encode()) == end.upper().encode()
    for (_, end), client in clients.items():
        if end == "eof":
            client.close()
        elif end == "reset":
            run.reset(client)
        elif end == "half":
            client.sendall(b"last")
            client.shutdown(socket.SHUT_WR)
            assert run.receive(client, 5) == b"LAST"
    card = run.client(udp, socket.SOCK_DGRAM)
    for data in (b"card", b""):
        card.send(data)
        run.until(lambda data=data: run.events(Sendto, n=len(data)))
    run.until(lambda: len(run.events(Close)) == 6)
    events = run.end()
    same(events)
    assert {"eof", "error", "stop", "aborted", "drained"} & {close.reason for close in run.events(Close)}
    assert run.events(Recv, errno="ECONNRESET")
    assert run.events(Recvfrom, n=0)


def test_ipv6(recorded, same):
    """Addresses with colons, of streams and of datagrams."""
    run = recorded()
    tcp, udp = run.tcp("[::1]:0"), run.udp("[::1]:0")
    run.begin()
    assert run.exchange(run.client(tcp), b"six") == b"SIX"
    run.client(udp, socket.SOCK_DGRAM).send(b"six")
    run.until(lambda: run.events(Sendto))
    events = run.end()
    same(events)
    assert run.events(Accept)[0].peer.startswith("[::1]:")


def test_a_port_that_is_taken_in_the_other_family(recorded, same):
    """What was opened on the way is given up, and tried again with another port."""
    run = recorded()
    run.kernel.untaken = [AddressError("taken"), AddressError("taken")]
    run.kernel.resolve = lambda address, datagram=False: [
        address._replace(host="127.0.0.1"),
        address._replace(host="::1"),
    ]
    tcp = run.tcp("localhost:0")
    run.tcp("localhost:0")
    assert not run.kernel.untaken
    run.begin()
    assert run.exchange(run.client(tcp), b"there") == b"THERE"
    events = run.end()
    same(events)
    assert len(run.events(Listen)) == 6


def fill(run, client, interest):
    """Send and read nothing, until the server watches for this; how many bytes that were."""
    sent = 0
    while not run.events(Interest, new=interest):
        try:
            sent += client.send(b"x" * 65536)
        except BlockingIOError:
            run.loop.tick()
    return sent


@pytest.mark.parametrize("selector", selector_names())
def test_a_client_that_does_not_read(recorded, same, selector):
    """Partial sends, a buffer above the high-water mark, and its way back."""
    run = recorded(selector, high_water=50_000)
    tcp = run.tcp()
    run.begin()
    client = run.client(tcp, buffers=4096)
    sent = fill(run, client, "WRITE")
    assert run.receive(client, sent) == b"X" * sent
    run.until(lambda: run.events(Interest)[-1].new == "READ")
    events = run.end()
    same(events)
    assert any(send.n < send.size for send in run.events(Send) if send.n is not None)
    assert run.events(TcpInfo, why="send")


def test_a_client_that_leaves_with_bytes_in_the_buffer(recorded, same):
    """What waits for it is lost, and counted."""
    run = recorded()
    tcp = run.tcp()
    run.begin()
    client = run.client(tcp, buffers=4096)
    fill(run, client, "READ|WRITE")
    run.reset(client)
    run.until(lambda: run.events(Close))
    events = run.end()
    same(events)
    assert run.events(Close, reason="error")[0].buffered


def test_small_reads_and_echo(recorded, same):
    """Another mode, and a recv size at which datagrams are cut."""
    run = recorded(mode="echo", recv_size=4)
    tcp, udp = run.tcp(), run.udp()
    run.begin()
    assert run.exchange(run.client(tcp), b"in small pieces") == b"in small pieces"
    run.client(udp, socket.SOCK_DGRAM).send(b"cut off")
    run.until(lambda: run.events(Sendto))
    events = run.end()
    same(events)
    assert run.events(Recvfrom)[0].truncated


def test_deadlines(recorded, same):
    """An idle time-out that is moved on once, and a lifetime."""
    run = recorded(idle_timeout=4.0, lifetime=10.0)
    tcp = run.tcp()
    run.begin()
    busy, idle = run.client(tcp), run.client(tcp)
    run.until(lambda: len(run.events(Accept, errno=None)) == 2)
    for _ in range(3):
        run.kernel.pass_time(2.5)
        assert run.exchange(busy, b"still here") == b"STILL HERE"
    assert run.receive(idle, 1) == b""
    run.kernel.pass_time(3)
    assert run.receive(busy, 1) == b""
    run.until(lambda: len(run.events(Close)) == 2)
    events = run.end()
    same(events)
    assert {close.reason for close in run.events(Close)} == {"idle-timeout", "lifetime", "stop"}
    assert run.events(Prepare)
    assert len(run.events(Timer)) > 2


def test_a_full_house(recorded, same):
    """At the limit nobody is accepted, the queue is looked at, and then somebody leaves."""
    run = recorded(max_connections=1)
    tcp = run.tcp()
    run.begin()
    first, second = run.client(tcp), run.client(tcp)
    assert run.exchange(first, b"me") == b"ME"
    run.until(lambda: run.events(Limit, active=True))
    run.client(tcp)
    run.kernel.pass_time(1)
    run.until(lambda: run.events(Queue, queued=2))
    first.close()
    assert run.exchange(second, b"and me") == b"AND ME"
    events = run.end("SIGTERM", "SIGTERM")
    same(events)
    assert run.events(Limit, active=False)


def test_no_descriptors(recorded, same, emfile):
    """accept fails for want of descriptors, and for reasons of one connection."""
    run = recorded()
    tcp = run.tcp()
    run.begin()
    run.kernel.refusals = [failure(103), emfile]
    client = run.client(tcp)
    run.until(lambda: run.events(Limit, active=True))
    run.kernel.pass_time(0.2)
    assert run.exchange(client, b"at last") == b"AT LAST"
    events = run.end()
    same(events)
    assert not run.kernel.refusals
    assert run.events(Limit, active=False)
    assert run.events(Accept, errno="ECONNABORTED")


def test_samples(recorded, same):
    """What TCP says of the connections now and then; and of the listener."""
    run = recorded(sample=0.5)
    tcp = run.tcp()
    run.begin()
    clients = [run.client(tcp) for _ in range(3)]
    for client in clients:
        assert run.exchange(client, b"x") == b"X"
    for _ in range(3):
        before = len(run.events(TcpInfo, why="sample"))
        run.kernel.pass_time(0.6)
        run.until(lambda before=before: len(run.events(TcpInfo, why="sample")) >= before + 3)
    same(run.end())


@pytest.mark.parametrize("signals", [("SIGINT",), ("SIGINT", "SIGINT"), ("SIGTERM", "SIGINT", "SIGINT")])
def test_ends(recorded, same, signals):
    """A graceful stop, with clients that stay; and one that is told twice, which comes in one turn."""
    run = recorded(drain_timeout=1.0)
    tcp = run.tcp()
    run.begin()
    clients = [run.client(tcp) for _ in range(40)]
    run.until(lambda: len(run.events(Accept, errno=None)) == 40)
    for client in clients[:20]:
        client.sendall(b"before the end")
    run.kernel.pipe.arrive(*signals)
    run.until(lambda: len(run.events(Signal)) == len(signals))
    if len(signals) == 1:
        clients[-1].close()
        run.until(lambda: run.events(Close, reason="drained"))
        run.kernel.pass_time(2)
    run.until(lambda: not run.loop._running)
    run.close()
    same(run.sink.events)
    assert len(run.events(Shutdown)) == 40
    assert run.events(Close, reason="drain-timeout" if len(signals) == 1 else "aborted")


def test_a_slow_turn_and_the_clocks(recorded, same):
    """What the log says of time: who was slow, and the two clocks every ten seconds."""
    run = recorded()
    tcp = run.tcp()
    run.begin()
    client = run.client(tcp)
    run.kernel.work = 0.3
    assert run.exchange(client, b"slow") == b"SLOW"
    run.kernel.work = 0
    for _ in range(3):
        run.kernel.pass_time(11)
        assert run.exchange(client, b"quick") == b"QUICK"
    events = run.end()
    same(events)
    assert run.events(Slow)[0].conn == "tcp-1"
    assert len(run.events(Clock)) >= 3


def test_a_datagram_from_ourselves(recorded, same):
    """It is not answered, and the log says so; whose address it is nothing is asked."""
    run = recorded()
    first, second = run.udp(), run.udp()
    run.begin()
    # What the first socket sends to the second comes from a port that the server has; it goes past the log.
    run.server._datagrams[0].sock.sock.sendto(b"me", second)
    run.until(lambda: run.events(Refuse))
    run.client(first, socket.SOCK_DGRAM).send(b"other")
    run.until(lambda: run.events(Sendto, n=5))
    same(run.end())


def test_a_handler_that_fails(recorded, same, monkeypatch):
    """An exception in the server is the same exception the next time."""

    def respond(data):
        if data == b"!":
            raise ValueError("not this one")
        return data

    monkeypatch.setitem(__import__("evloop.protocols").protocols.PROTOCOLS, "upper", respond)
    run = recorded()
    tcp = run.tcp()
    run.begin()
    bad, good = run.client(tcp), run.client(tcp)
    bad.send(b"!")
    assert run.exchange(good, b"fine") == b"fine"
    run.until(lambda: run.events(Close, reason="handler-error"))
    same(run.end())
    assert run.events(Error)[0].message == "ValueError: not this one"


def test_a_selector_that_is_full(recorded, same):
    """epoll_ctl fails for a connection, which ends; the rerun's fails for the same one."""
    run = recorded()
    tcp = run.tcp()
    run.begin()
    register, failures = run.loop.poller.register, [failure(errno.ENOSPC)]

    def refuse(fd, mask):
        if failures:
            raise failures.pop()
        register(fd, mask)

    run.loop.poller.register = refuse
    assert run.receive(run.client(tcp), 1) == b""
    assert run.exchange(run.client(tcp), b"next") == b"NEXT"
    same(run.end())
    assert run.events(Error)[0].message == "OSError: [Errno 28] No space left on device"


def test_gates(recorded, same):
    """What was held back, and released, is held back and released at the same places."""
    gates = Gates()
    run = recorded(gates=gates)
    gates.set("accept", held=True)
    tcp = run.tcp()
    run.begin()
    client = run.client(tcp)
    run.loop.tick()
    # As `ControlPoint` does, in a turn in which somebody has spoken to it.
    ours, theirs = socket.socketpair()
    point = Speaker(run, gates, ours)
    for line in ("release accept", "hold read", "release read", "hold write", "hold close"):
        theirs.send(line.encode())
        run.until(lambda line=line: line in point.heard)
        if line == "release read":
            assert run.exchange(client, b"x") == b"X"
    client.close()
    run.until(lambda: run.events(Interest, new="", reason="eof"))
    events = run.end()
    same(events)
    assert [event.gate for event in run.events(Control)] == [
        "accept", "accept", "read", "read", "write", "close", "close", "write",
    ]  # fmt: skip
    theirs.close()
    ours.close()


def test_who_controls_waits_for_a_descriptor(recorded, same, path, emfile, monkeypatch):
    """A timer of its own lets it in again: the rerun has nobody who controls, and the same turns."""
    gates = Gates()
    run = recorded(gates=gates)
    run.begin()
    point = ControlPoint(run.loop, UnixPath(path), gates)
    accept, refusals = point.kernel.accept, [emfile]
    monkeypatch.setattr(point.kernel, "accept", lambda sock: _raise(refusals) or accept(sock))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.send(b"hold read\n")
        run.until(lambda: run.events(Prepare, why=LET_CONTROLLERS_IN))
        run.kernel.pass_time(0.1)
        run.until(lambda: run.events(Control))
    point.close()
    outcome = same(run.end())
    assert not refusals
    assert outcome.guests["timers"] == 1
    assert outcome.guests["control"] >= 2
    assert not run.events(Limit)


def _raise(errors):
    if errors:
        raise errors.pop()


class Speaker:
    """As the one behind `--control`: each line is a gate."""

    regular = True

    def __init__(self, run, gates, sock):
        self.sock, self._gates, self._loop = sock, gates, run.loop
        self.fd, self.watching, self.heard = sock.fileno(), 0, []
        run.loop.trace.own(self.fd, "control")
        run.loop.interests.update(self)

    def wants(self):
        """READ."""
        return 1, "control"

    def on_ready(self, _bits):
        """Obey."""
        line = self.sock.recv(100)
        if line:
            self._gates.obey(line)
            self.heard.append(line.decode())
        else:
            self._loop.interests.drop(self, "it left")
            self.sock.close()


def test_a_watcher_that_is_behind(recorded, same):
    """It woke the loop, and a timer looked after it: the rerun has no watcher, and the same turns."""
    run = recorded(idle_timeout=30.0)
    tcp = run.tcp()
    watchers = Watchers(run.loop, run.recorder.header, run.traced.snapshot)
    run.recorder.sinks.append(watchers)
    ours, theirs = run.kernel.socket_pair()
    watchers.join(ours)
    run.begin()
    client = run.client(tcp)
    for _ in range(3):
        seen = len(run.events(Timer, why=BEHIND))
        while not run.loop.timers.next() or run.loop.timers.next().why != BEHIND:
            assert run.exchange(client, b"x" * 60_000) == b"X" * 60_000
        run.kernel.pass_time(0.4)
        run.until(lambda seen=seen: len(run.events(Timer, why=BEHIND)) > seen)
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while theirs.recv(1 << 20):
                pass
    theirs.send(b"who asked?")
    run.until(lambda: run.events(Poll, ready=[("watchers", "IN")]))
    theirs.close()
    outcome = same(run.end())
    assert outcome.guests["timers"] >= 3
    assert outcome.guests["watchers"] >= 2
    assert run.events(Prepare, why=BEHIND)


def test_a_server_that_crashes(recorded, same, monkeypatch):
    """What nobody catches ends the server again, at the same place."""

    def stop(_server, _reason):
        raise RuntimeError("on fire")

    run = recorded()
    monkeypatch.setattr(LoopServer, "stop", stop)
    tcp = run.tcp()
    run.begin()
    run.client(tcp)
    run.until(lambda: run.events(Accept))
    run.kernel.pipe.arrive("SIGTERM")
    with pytest.raises(RuntimeError) as caught:
        run.until(lambda: run.events(Signal))
    run.loop.trace.crashed(caught.value)  # as `composition.serve` does
    run.close()
    same(run.sink.events)


def test_a_server_with_a_flight_recorder(recorded, same):
    """Who asks it for a file by a signal stops no server, and is not why the log ends."""
    run, asked = recorded(), []
    tcp = run.tcp()
    run.begin(heard={"SIGUSR1": asked.append})
    client = run.client(tcp)
    assert run.exchange(client, b"one") == b"ONE"
    run.kernel.pipe.arrive("SIGUSR1")
    run.until(lambda: asked)
    assert run.exchange(client, b"two") == b"TWO"
    same(run.end())


def test_a_server_with_a_bug(recorded, same):
    """A bug of the gallery is run again with its server."""
    run = recorded(parts=BUGS["stale-fd"].parts, max_connections=2)
    run.recorder.header.bug = "stale-fd"
    tcp = run.tcp()
    run.begin()
    first = run.client(tcp)
    assert run.exchange(first, b"hello") == b"HELLO"
    run.until(lambda: not run.events(Poll)[-1].ready)  # else epoll goes on with the one it has reported last
    for _ in range(2):
        run.client(tcp)
    first.sendall(b"again")
    run.until(lambda: run.events(Recv, conn="tcp-3", errno="EAGAIN"))
    same(run.end())
    assert run.events(Bind) == []
