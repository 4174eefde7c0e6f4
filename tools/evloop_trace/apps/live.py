"""The live picture: a server's events, drawn as they come.

One thread. The server must never feel that it is watched: this process is the nicer one, reads for a
quarter of its time at most and draws for an eighth. What it does not read in time the server drops for it,
counts, and makes up for with a snapshot.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.segment import Segment

from evloop.errors import EvloopError
from evloop.events.reader import LineReader, Problem
from evloop_trace.apps.terminal import Terminal
from evloop_trace.escape import escape_text
from evloop_trace.model.picture import Picture
from evloop_trace.views.palette import BOLD
from evloop_trace.views.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop.events.schema import AnyEvent, Unknown
    from evloop_trace.views.cells import Line

__all__ = ["Feed", "connect", "draw_live", "expect_events", "follow", "watch"]

FRAME = 0.1  # seconds from one frame to the next, at least
DRAWING = 8  # and so many times what drawing one costs
READING = 0.25  # share of the time spent reading
NICE = 15  # a thirtieth of the server's weight, if the two must share a core
WHOLE = 2.0  # seconds after which a frame is drawn whole: others write on a terminal too
PATIENCE = 2.0  # seconds in which a server must have sent its first event
_PIECE = 128 * 1024
_HEADER = b'{"ev":"header"'


class Clock(Protocol):
    """Seconds that only go forward."""

    def __call__(self) -> float:
        """Now."""


class Feed:
    """The stream of events on a socket, with the cost of reading it."""

    def __init__(self, sock: socket.socket, clock: Clock = time.monotonic) -> None:
        self._sock = sock
        self._clock = clock
        self._lines = LineReader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self.ended = False
        self.spent = 0.0  # seconds of work on events, reset by who watches it
        self.broken = 0  # lines that were no events
        sock.setblocking(False)

    def wait(self, seconds: float) -> bool:
        """Sleep until there is something to read, at most so long; whether there is."""
        return bool(self._selector.select(max(0.0, seconds)))

    def read(self) -> list[AnyEvent | Unknown]:
        """The events in one piece of the stream; `ended` is set when there will be no more."""
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return []
        except OSError:  # the server was killed
            data = b""
        start = self._clock()
        block = self._lines.feed(data) if data else None
        self.ended = not data
        items = block.items if block else []
        events = [item for item in items if not isinstance(item, Problem)]
        self.broken += len(items) - len(events)
        self.spent += self._clock() - start
        return events

    def close(self) -> None:
        """Let the server know that nobody watches any more."""
        self._selector.close()
        self._sock.close()


def watch(path: str | None, fd: int | None = None) -> int:
    """Draw what a server offers on `path`, or sends on the inherited socket `fd`, until it ends.

    Raises:
        EvloopError: nobody offers anything there.
    """
    with suppress(OSError):
        os.nice(NICE)
    sock = socket.socket(fileno=fd) if fd is not None else connect(path or "")
    feed = Feed(sock)
    console = Console()
    try:
        with _signals(ignore_interrupt=fd is not None):
            if fd is None:
                expect_events(sock, path or "")
            if console.is_terminal and not console.is_dumb_terminal:
                draw_live(feed, Terminal())
            else:
                follow(feed, sys.stdout.write, sys.stdout.flush)
    except KeyboardInterrupt:
        return 0
    finally:
        feed.close()
    return 0


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
            return f"{path} is no socket: watch needs the path that evloop serve --watch was given"
        return f"nobody listens on {path}: start the server again with evloop serve --watch {path}"
    return f"{path} cannot be watched: {error.strerror or error}"


@contextmanager
def _signals(*, ignore_interrupt: bool) -> Iterator[None]:
    """Being told to end is an interrupt; Ctrl-C is the server's business where we are its picture."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    handlers: dict[int, Any] = {signal.SIGTERM: interrupt, signal.SIGHUP: interrupt}
    handlers[signal.SIGINT] = signal.SIG_IGN if ignore_interrupt else interrupt
    # A suspended job is in the background: giving its terminal back must not stop it before it is done.
    handlers[signal.SIGTTOU] = signal.SIG_IGN
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow(
    feed: Feed, write: Callable[[str], Any], flush: Callable[[], Any], clock: Clock = time.monotonic
) -> None:
    """A line for each event, for who reads no terminal; none waits longer than a frame."""
    from evloop_trace.views.lines import format_events  # noqa: PLC0415

    due: float | None = None  # when what was written must be flushed
    while not feed.ended:
        if feed.wait(FRAME if due is None else due - clock()):
            events = feed.read()
            if events:
                write("\n".join(format_events(events)) + "\n")
                due = clock() + FRAME if due is None else due
        if due is not None and clock() >= due:
            flush()
            due = None
    flush()


def draw_live(
    feed: Feed,
    terminal: Terminal,
    clock: Clock = time.monotonic,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
) -> Picture:
    """Draw until the stream ends; then the last picture stays on the normal screen."""
    live = _Live(feed, terminal, clock, monotonic_ns)
    with terminal, _suspended_well(terminal):
        while not feed.ended:
            live.turn()
    live.farewell()
    return live.picture


@contextmanager
def _suspended_well(terminal: Terminal) -> Iterator[None]:
    """Ctrl-Z gives the terminal back before we stop, and takes it again when we go on."""

    def suspend(_number: int, _frame: Any) -> None:
        terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        terminal.enter()

    before = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


class _Live:
    """The picture and when it is due."""

    def __init__(self, feed: Feed, terminal: Terminal, clock: Clock, monotonic_ns: Callable[[], int]) -> None:
        self.picture = Picture()
        self._feed = feed
        self._terminal = terminal
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._interval = FRAME
        self._due = clock()
        self._whole_due = clock() + WHOLE

    def turn(self) -> None:
        """Wait for events or the next frame, whichever is first, and see to it."""
        if self._feed.spent < self._interval * READING:
            if self._feed.wait(self._due - self._clock()):
                self._read()
        else:
            time.sleep(max(0.0, self._due - self._clock()))
        if self._clock() >= self._due:
            self._frame()

    def _read(self) -> None:
        start = self._clock()
        reading = self._feed.spent
        for event in self._feed.read():
            self.picture.apply(event)
        self._feed.spent = reading + (self._clock() - start)

    def _frame(self) -> None:
        start = self._clock()
        if start >= self._whole_due:
            self._terminal.forget()
            self._whole_due = start + WHOLE
        size = self._terminal.size()
        self._terminal.draw(Screen(self.picture, self._now(), "live").lines(*size), size)
        end = self._clock()
        self._interval = max(FRAME, DRAWING * (end - start))
        self._due = end + self._interval
        self._feed.spent = 0.0

    def _now(self) -> int:
        """The present on the log's clock: the same machine's monotonic clock."""
        header = self.picture.header
        return max(self.picture.t, self._monotonic_ns() - header.mono_ns) if header else self.picture.t

    def farewell(self) -> None:
        """The last picture, and why it is the last."""
        width, height = self._terminal.size()
        now = self.picture.t if self.picture.end else self._now()
        lines = Screen(self.picture, now, "ended").lines(width, max(1, height - 2))
        while lines and not "".join(segment.text for segment in lines[-1]).strip():
            lines.pop()
        self._terminal.print([*lines, _why(self.picture)])


def _why(picture: Picture) -> Line:
    if picture.end is not None:
        return [Segment(f"The server has stopped: {escape_text(picture.end.reason)}.", BOLD)]
    return [Segment("The stream broke off: the server was killed, or let this watcher go.", BOLD)]
