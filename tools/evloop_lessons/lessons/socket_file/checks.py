"""What must be seen of a socket file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evloop_lessons.lesson import claim, found
from evloop_lessons.run import first, results

if TYPE_CHECKING:
    from evloop_lessons.lesson import Found
    from evloop_lessons.run import Call, Run

CROWD = 7  # clients that call while nobody accepts
SIZE = 18  # bytes: of each 哈 UTF-8 makes three
CALLS = [("accept", None), ("recv", SIZE), ("send", SIZE), ("recv", 0), ("close", None)]
PATH = "upper.sock"

FALSE = {"backlog=20": ("seventh",), "end=in-order": ("left-over",)}
"""What makes claims false, and which: the tests see that these fail then, and no others."""


def _served(run: Run, client: str) -> list[Call]:
    """What the server called for a client."""
    return run.calls("server", "accept", "recv", "send", "close", strand=run.strand(client))


def _heard(run: Run) -> Call:
    """The recv with which the server was told how large the file is."""
    said = [it for it in run.calls("server", "recv") if b"st_size" in (it.event.data or b"")]
    return first(said, "that somebody says how large the file is")


def _size(run: Run) -> str:
    return str(_heard(run).event.data.decode().rpartition(" ")[2])


def outcome(run: Run) -> str:
    """How large the file was."""
    return _size(run)


@claim("same", "server", "tcp", "unix")
def same(run: Run) -> Found:
    """The server cannot tell a Unix client from a TCP client by what it has to do."""
    tcp, unix = _served(run, "tcp"), _served(run, "unix")
    return found(results(tcp) == results(unix) == CALLS, *tcp, *unix)


@claim("nameless", "server", "tcp", "unix")
def nameless(run: Run) -> Found:
    """Only the TCP client has an address."""
    accepts = _served(run, "tcp")[0], _served(run, "unix")[0]
    tcp, unix = [it.event for it in accepts]
    seen = [bool(it.peer) for it in (tcp, unix) if it.errno is None]
    return found(seen == [True, False], *accepts, peer=tcp.peer, pid=unix.pid)


@claim("seventh", "crowd")
def seventh(run: Run) -> Found:
    """The queue is full, and connect() says so at once."""
    calls, fit = run.calls("crowd", "connect"), run["backlog"] + 1
    errors = [it.event.errno for it in calls]
    good = fit < CROWD and errors == [None] * fit + ["EAGAIN"] * (CROWD - fit)
    return found(good, *reversed(calls), backlog=run["backlog"], number=errors.count(None))


@claim("empty", "server", "crowd")
def empty(run: Run) -> Found:
    """What was sent is in the kernel, and waits until somebody accepts; it is not in the file."""
    first, second = run.calls("crowd", "send")[:2]
    heard = _heard(run)
    waited = first.event.n == SIZE and second.t < run.step("read").t < heard.t
    return found(waited and _size(run) == "0", first, second, heard, size=_size(run))


@claim("left-over", "late", "successor")
def left_over(run: Run) -> Found:
    """The name is in the file system; who had it is gone, and it is not to be had."""
    connect = run.call("late", "connect")
    option = run.call("successor", "setsockopt")
    bind = run.call("successor", "bind")
    errors = connect.event.errno, option.event.errno, bind.event.errno
    return found(errors == ("ECONNREFUSED", None, "EADDRINUSE"), connect, option, bind)


@claim("unlinked", "successor")
def unlinked(run: Run) -> Found:
    """It is to be had when the file is not there any more."""
    bind = run.call("successor", "bind", 1)
    return found(bind.event.address == PATH and bind.event.errno is None, bind)


@claim("abstract", "server", "successor")
def abstract(run: Run) -> Found:
    """An abstract name lasts as long as the socket that has it."""
    listen, bind = run.call("server", "listen", 2), run.call("successor", "bind", 2)
    address = listen.event.address
    free = bind.event.address == address and bind.event.errno is None
    return found(free and address.startswith("@"), listen, bind, address=address)
