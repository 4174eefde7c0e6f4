"""Each bug of the gallery is named by a lint, and a server without it, in the same scene, by none.

Real sockets and the real loop, in the test's thread; only what Linux does to nobody on loopback (a connection
that is aborted before it is accepted) is said by a kernel that is told to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.diagnosis import Diagnosis, fold
from evloop_trace.model.lint import Linter

from evloop.bugs.gallery import BUGS
from evloop.events.schema import Poll
from evloop.loop.crowd import CROWD
from evloop.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Scene = Callable[[Any, str], None]

MANY = 40  # turns in which nothing changes
LOAD = b"x" * 65536


def turns(real, count=MANY) -> None:
    """Some turns of the loop."""
    for _ in range(count):
        real.loop.tick()


def overfill(real, client) -> None:
    """Send until the answers do not fit any more, into a buffer that is not large."""
    real.until(lambda: real.streams)
    real.stream.sock.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def took_less() -> bool:
        with contextlib.suppress(BlockingIOError):
            client.send(LOAD)
        return any(event.n != event.size for event in real.events("send"))

    real.until(took_less)


def empty(real, *clients) -> None:
    """Read what was answered, until nothing comes any more."""
    quiet = 0
    while quiet < 10:
        quiet += 1
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                if client.recv(1 << 20):
                    quiet = 0
        real.loop.tick()


def write_interest(real, _folder) -> None:
    """A client reads too late, and then all."""
    client = real.client(real.tcp(), buffers=8192)
    overfill(real, client)
    empty(real, client)
    turns(real)


def registered_for_nothing(real, folder) -> None:
    """Somebody leaves whom nobody watches."""
    client = real.client(real.unix(f"{folder}/sock"))
    real.until(lambda: real.streams)
    real.loop.interests.watch(real.stream, 0, "it is not to be read now")
    client.close()
    turns(real)
    real.loop.interests.update(real.stream)
    real.until(lambda: not real.streams)


def rest_of_an_answer(real, _folder) -> None:
    """A client reads too late, and then all."""
    client = real.client(real.tcp(), buffers=8192)
    overfill(real, client)
    turns(real, 3)
    empty(real, client)
    client.shutdown(socket.SHUT_WR)
    empty(real, client)


def end_of_stream(real, _folder) -> None:
    """A client comes, asks and goes."""
    client = real.client(real.tcp())
    real.exchange(client, b"hello")
    client.close()
    real.until(lambda: any(event.n == 0 for event in real.events("recv")))
    turns(real, 3)


def never_pausing(real, _folder) -> None:
    """One has much to say, another a short question."""
    address = real.tcp()
    one, two = real.client(address), real.client(address)
    real.until(lambda: len(real.streams) == 2)
    one.send(b"x" * 4096)
    two.send(b"a short question")
    assert real.receive(two, 16) == b"A SHORT QUESTION"
    real.receive(one, 4096)
    turns(real, 3)


def error_queue(real, _folder) -> None:
    """A client is gone when its answer comes."""
    address = real.udp()
    client = real.client(address, socket.SOCK_DGRAM)
    client.send(b"hello")
    client.close()
    real.until(lambda: real.events("sendto"))
    turns(real)


def our_own_sender(real, _folder) -> None:
    """A datagram has our own address as its sender."""
    address = real.udp()
    (datagrams,) = real.server._datagrams
    real.kernel.kernel.datagram_calls(datagrams.sock.sock, 100)[1](b"hello", address)
    real.until(lambda: real.events("recvfrom"))
    turns(real, 3)


def a_window_is_resized(real, _folder) -> None:
    """Another part of the program has a handler for a signal."""
    before = signal.getsignal(signal.SIGWINCH)
    try:
        signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
        real.server.handle_signals()
        os.kill(os.getpid(), signal.SIGWINCH)
        turns(real, 3)
    finally:
        real.server.close()
        signal.signal(signal.SIGWINCH, before)


def newcomer(real, _folder) -> None:
    """Two more come than there is room for, and who is the first speaks."""
    address = real.tcp()
    one = real.client(address)
    real.exchange(one, b"hello")
    turns(real, 3)  # it is silent: of the next poll's list it will be the last
    two, three = real.client(address), real.client(address)
    one.send(b"again")
    turns(real, 5)
    assert two.fileno() != three.fileno()


def aborted(real, _folder) -> None:
    """The first of three connections was aborted before it was accepted."""
    accept, failures = real.kernel.kernel.accept, [errno.ECONNABORTED]

    def fails_once(sock):
        if failures:
            code = failures.pop()
            raise OSError(code, os.strerror(code))
        return accept(sock)

    real.kernel.kernel.accept = fails_once
    address = real.tcp()
    clients = [real.client(address) for _ in range(3)]
    real.until(lambda: len(real.streams) == 3)
    assert not failures
    assert len(clients) == 3


def no_descriptors(real, _folder) -> None:
    """There is no descriptor for who comes, for a moment."""
    client = real.client(real.tcp())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as first:  # its number is the first that is free
        free = first.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        real.until(lambda: any(event.errno == "EMFILE" for event in real.events("accept")))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    real.until(lambda: real.streams)
    real.exchange(client, b"hello")


SCENES: dict[str, tuple[str, Scene, dict[str, Any]]] = {
    "write-interest-left-on": ("spin-write", write_interest, {}),
    "mask0-hup-spin": ("spin-hup", registered_for_nothing, {}),
    "partial-send-dropped": ("lost-interest", rest_of_an_answer, {}),
    "eof-ignored": ("close-wait", end_of_stream, {}),
    "drain-forever": ("starvation", never_pausing, {"recv_size": 16}),
    "errqueue-undrained": ("spin-errors", error_queue, {}),
    "udp-self-reply": ("reflection", our_own_sender, {}),
    "wakeup-as-data": ("wakeup-data", a_window_is_resized, {}),
    "stale-fd": ("stale-event", newcomer, {"max_connections": 2}),
    "abort-stops-batch": ("accept-stopped", aborted, {}),
    "emfile-no-return": ("spin-accept", no_descriptors, {}),
}


@pytest.fixture
def found(real, short_dir, monkeypatch) -> Iterator[Callable[[str, Parts], set[str]]]:
    """What the lints find in a server of these parts, in the scene of a bug."""

    def play(name: str, parts: Parts) -> set[str]:
        _, scene, options = SCENES[name]
        monkeypatch.setattr(type(real()), "parts", parts)
        server = real(traced=True, **options)
        scene(server, short_dir)
        events = server.events()
        server.close()
        linter = Linter()
        linter.feed(events)
        linter.feed(server.sink.events[len(events) :])
        linter.finish()
        return {finding.kind for finding in linter.findings}

    return play


def test_every_bug_has_a_scene():
    """The gallery grows."""
    assert set(SCENES) == set(BUGS)


@pytest.mark.parametrize("name", SCENES)
def test_a_bug_is_named(name, found):
    """By the lint that is about it."""
    assert SCENES[name][0] in found(name, BUGS[name].parts)


@pytest.mark.parametrize("name", SCENES)
def test_without_it_nothing_is_said(name, found):
    """The same clients at a server that is right."""
    assert found(name, Parts()) == set()


@pytest.mark.parametrize("number", [CROWD, CROWD + 1, 100])
def test_many_spin(real, monkeypatch, number):
    """As many as would be a crowd, were anything done about them; and others are served all the while."""
    monkeypatch.setattr(type(real()), "parts", BUGS["write-interest-left-on"].parts)
    server = real(traced=True, backlog=1000, max_connections=1000)
    address = server.tcp()
    served = [server.client(address) for _ in range(CROWD)]
    clients = [server.client(address, buffers=8192) for _ in range(number)]
    server.until(lambda: len(server.streams) == len(served) + number)
    for stream in server.streams:
        stream.sock.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    waited = set()

    def took_less() -> bool:
        for client in clients:
            with contextlib.suppress(BlockingIOError):
                client.send(LOAD)
        waited.update(stream for stream in server.streams if stream.buffered)
        return len(waited) == number

    def is_sent() -> bool:
        empty(server, *clients)
        return not any(stream.buffered for stream in server.streams)

    server.until(took_less)
    server.until(is_sent)
    for _ in range(MANY):
        for client in served:
            client.send(b"hello")
        for client in served:
            server.receive(client, 5)
    events = server.events()
    assert max(len(event.ready) for event in events if isinstance(event, Poll)) > number
    linter = Linter()
    linter.feed(events)
    assert {it.kind for it in linter.findings} - {"slow-handler"} == {"spin-write"}
    assert sum(it.kind == "spin-write" for it in linter.findings) == number
    diagnosis = Diagnosis([("", events[0])])
    diagnosis.feed(0, events)
    assert [it.kind for it in diagnosis.verdict().findings].count("spin-write") == number


def test_a_crowd_is_no_spin(real, monkeypatch):
    """Who is left out for some turns is named by every poll: nothing is wrong with that."""
    server = real(traced=True, backlog=1000)
    address = server.tcp()
    regular, *crowd = [server.client(address) for _ in range(1 + 40 * CROWD)]
    for _ in range(3):
        assert server.exchange(regular, b"hello") == b"HELLO"
    server.until(lambda: len(server.streams) == 1 + len(crowd))
    for client in crowd:
        client.send(b"x")
    turns = 0
    while any(stream.reads == 0 for stream in server.streams):
        assert server.exchange(regular, b"hello") == b"HELLO"
        turns += 1
    assert turns >= MANY
    linter = Linter()
    found = [*linter.feed(server.events()), *linter.finish()]
    # A busy machine may make a turn slow for real: the log says so itself, and that is another lint.
    assert [it for it in found if it.kind != "slow-handler"] == []
    # And nobody was named once more than the others' turns explain.
    monkeypatch.setattr(fold, "OFTEN", 2)
    linter = Linter()
    linter.feed(server.events())
    assert [it for it in linter.findings if it.kind.startswith("spin")] == []


def test_what_a_crowd_is():
    """For the loop, and for who judges it."""
    assert fold.CROWD == CROWD
