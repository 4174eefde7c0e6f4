"""What the kernel says of the sockets of a process: of our own, and of one that is made up."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from evloop_trace import proc_net
from evloop_trace.model.diagnosis import Seen
from evloop_trace.proc_net import every_socket, sockets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 30.0


def named(address: tuple[str, int] | tuple[str, int, int, int]) -> str:
    """An address as a log has it."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def seen(sock: socket.socket) -> Seen | None:
    """What is told of one of our sockets."""
    try:
        peer = named(sock.getpeername())
    except OSError:
        peer = ""
    return sockets_of(os.getpid()).get((named(sock.getsockname()), peer))


def becomes(sock: socket.socket, is_so: Callable[[Seen], bool]) -> Seen:
    """What is told of it as soon as that is so: a segment is on its way for a moment even on loopback."""
    deadline = time.monotonic() + SECONDS
    while (found := seen(sock)) is None or not is_so(found):
        assert time.monotonic() < deadline, found
    return found


@pytest.fixture(params=["127.0.0.1", "::1", "0.0.0.0", "::"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A listener, on each kind of address."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family, backlog=5) as sock:
        yield sock


def test_callers_that_nobody_accepts(listener: socket.socket) -> None:
    """A listener's queue: it grows with each caller and shrinks with each accept."""
    family = listener.family
    host = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    with contextlib.ExitStack() as stack:
        for number in range(3):
            assert becomes(listener, lambda it, n=number: it.unread == n) == Seen("LISTEN", number, 0)
            caller = stack.enter_context(socket.socket(family))
            caller.connect((host, listener.getsockname()[1]))
        assert becomes(listener, lambda it: it.unread == 3).state == "LISTEN"
        assert seen(caller) == Seen("ESTABLISHED", 0, 0)
        stack.enter_context(listener.accept()[0])
        assert seen(listener) == Seen("LISTEN", 2, 0)


def test_bytes_on_both_sides_and_the_end() -> None:
    """Unread and unacknowledged bytes; a FIN, which takes a number as a byte does, is not one of them."""
    with socket.create_server(("127.0.0.1", 0)) as phone, socket.socket() as caller:
        caller.connect(phone.getsockname())
        with phone.accept()[0] as conn:
            caller.sendall(b"hello")
            assert becomes(conn, lambda it: it.unread > 0) == Seen("ESTABLISHED", 5, 0)
            caller.shutdown(socket.SHUT_WR)
            assert becomes(conn, lambda it: it.state != "ESTABLISHED") == Seen("CLOSE-WAIT", 5, 0)
            assert becomes(caller, lambda it: it.state == "FIN-WAIT-2") == Seen("FIN-WAIT-2", 0, 0)
            assert conn.recv(3) == b"hel"
            assert seen(conn) == Seen("CLOSE-WAIT", 2, 0)
            assert conn.recv(3) == b"lo"
            assert conn.recv(3) == b""
            assert seen(conn) == Seen("CLOSE-WAIT", 0, 0)
            conn.setblocking(False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += conn.send(b"x" * 1_000_000)
            all_is_there = lambda it: it.unread > 0 and it.unread + seen(conn).unsent == sent  # noqa: E731
            becomes(caller, all_is_there)
            conn.shutdown(socket.SHUT_WR)
            becomes(caller, all_is_there)
            assert (seen(conn).state, seen(conn).unread) == ("LAST-ACK", 0)


def test_two_listeners_at_one_address() -> None:
    """Nobody could say which is which, so neither is told."""
    with (
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as one,
        socket.create_server(one.getsockname(), reuse_port=True),
    ):
        assert seen(one) is None


def test_the_sockets_of_another() -> None:
    """Our sockets are in the same namespace, and are not that process's."""
    with socket.create_server(("127.0.0.1", 0)) as phone, subprocess.Popen(["cat"], stdin=-1) as process:
        assert seen(phone) is not None
        assert sockets_of(process.pid) == {}
    assert sockets_of(process.pid) == {}


def test_who_may_not_look_takes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's descriptors may not be listed; the tables may be read."""

    def may_not(_path: str) -> list[str]:
        raise PermissionError

    with socket.create_server(("127.0.0.1", 0)) as phone:
        monkeypatch.setattr(proc_net.os, "listdir", may_not)
        assert seen(phone) == Seen("LISTEN", 0, 0)


def test_a_descriptor_that_is_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was listed, and is not there any more."""
    real = os.listdir
    with socket.create_server(("127.0.0.1", 0)) as phone:
        monkeypatch.setattr(proc_net.os, "listdir", lambda path: ["9999999", *real(path)])
        assert seen(phone) == Seen("LISTEN", 0, 0)


def test_a_state_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by its number."""
    line = (
        " 0: 0100007F:1F90 0100007F:9C40 0E 00000001:00000002 00:00000000 00000000 0 0 77 1 0 20 4 30 10 -1\n"
    )
    monkeypatch.setattr(proc_net, "_inodes", lambda _pid: {"77"})
    monkeypatch.setattr(proc_net.Path, "read_text", lambda _path, encoding: f"head\n{line}")
    assert list(proc_net._table("x")) == [(("127.0.0.1:8080", "127.0.0.1:40000"), "77", Seen("0E", 2, 1))]


def test_every_socket_of_a_network_is_told() -> None:
    """Also one that no process has any more."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        address = named(one.getsockname())
        with socket.create_connection(one.getsockname()) as caller:
            peer = named(caller.getsockname())
            served = one.accept()[0]
        served.close()  # the caller closed first, and so its socket is the kernel's for a minute
        deadline = time.monotonic() + SECONDS
        while (found := [it for it in every_socket("self") if address in it[0]]) and not all(
            it[1].state in {"LISTEN", "TIME-WAIT"} for it in found
        ):
            assert time.monotonic() < deadline, found
    assert dict(found)[address, ""] == Seen("LISTEN", 0, 0)
    assert dict(found)[peer, address].state == "TIME-WAIT"
