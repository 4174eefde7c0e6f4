"""Where a live picture's events come from: a socket on which a server sends them, or (in `follow`) files."""

from __future__ import annotations

import selectors
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evloop.errors import EvloopError
from evloop.events.reader import LineReader, Problem
from evloop.events.schema import End

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent, Unknown

__all__ = ["POLITE", "Clock", "Feed", "SocketFeed", "TurnedAwayError", "connect", "expect_events"]

POLITE = 0.25  # share of the time spent reading, beside a program that may need the same core
PIECE = 128 * 1024  # bytes that are read at once
PATIENCE = 2.0  # seconds in which a server must have sent its first event
_HEADER = b'{"ev":"header"'


class TurnedAwayError(EvloopError):
    """A server lives, and lets nobody else watch; the message is its own."""


class Clock(Protocol):
    """Seconds that only go forward."""

    def __call__(self) -> float:
        """Now."""


class Feed(Protocol):
    """Events as they come."""

    ended: bool
    """There will be no more."""
    current: bool
    """What it has not told yet has not happened yet, or just now."""
    anew: int
    """How many times it began from its first event again: what was read before is void."""
    share: float
    """Of the time, so much may be spent reading it."""

    def wait(self, seconds: float) -> bool:
        """Sleep until `read` has something to do, at most so long; whether it has."""

    def read(self) -> list[AnyEvent | Unknown]:
        """The events in the next piece, perhaps none.

        Raises:
            EvloopError: they cannot be read.
        """

    def fate(self) -> str:
        """In a sentence, what became of a writer who left no `end` event."""

    def close(self) -> None:
        """Read no more."""


class SocketFeed:
    """What a server sends. What is not read in time the server drops, and makes up for with a snapshot."""

    current = True
    anew = 0
    share = POLITE

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = LineReader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self.ended = False
        self.broken = 0  # lines that were no events
        sock.setblocking(False)

    def wait(self, seconds: float) -> bool:
        """Sleep until there is something to read, at most so long; whether there is."""
        return bool(self._selector.select(max(0.0, seconds)))

    def read(self) -> list[AnyEvent | Unknown]:
        """The events in one piece of the stream.

        Raises:
            TurnedAwayError: the server lets nobody else in.
        """
        try:
            data = self._sock.recv(PIECE)
        except BlockingIOError:
            return []
        except OSError:  # the server was killed
            data = b""
        block = self._lines.feed(data) if data else None
        self.ended = not data
        items = block.items if block else []
        events = [item for item in items if not isinstance(item, Problem)]
        self.broken += len(items) - len(events)
        for event in events:
            if isinstance(event, End) and event.seq < 0:  # not the log's: it is meant for us alone
                raise TurnedAwayError(event.reason)
        return events

    def fate(self) -> str:
        """It was killed, or does not want to be watched."""
        return "The stream broke off: the server was killed, or let this watcher go."

    def close(self) -> None:
        """Let the server know that nobody watches any more."""
        self._selector.close()
        self._sock.close()


def connect(path: str) -> socket.socket:
    """The socket on which a server offers its events.

    Raises:
        EvloopError: nobody does so there; the message says what to do.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
    except OSError as error:
        sock.close()
        raise EvloopError(_why_not(path, error)) from None
    return sock


def expect_events(sock: socket.socket, path: str, seconds: float = PATIENCE) -> None:
    """Wait for the header that a server sends to each watcher; it stays to be read.

    Raises:
        EvloopError: something else came, or nothing.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        came = bool(selector.select(seconds))
    try:
        head = sock.recv(len(_HEADER), socket.MSG_PEEK) if came else b""
    except OSError:
        head = b""
    if not head or not _HEADER.startswith(head):
        raise EvloopError(
            f"{path} sends no events: it does not look like the socket of evloop serve --watch {path}"
        )


def _why_not(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path} does not exist: start the server with evloop serve --watch {path}"
    if isinstance(error, ConnectionRefusedError):
        if Path(path).exists() and not Path(path).is_socket():
            return (
                f"{path} is neither a socket nor a log: watch needs a log, or the path that evloop serve "
                "--watch was given"
            )
        return f"nobody listens on {path}: start the server again with evloop serve --watch {path}"
    return f"{path} cannot be watched: {error.strerror or error}"
