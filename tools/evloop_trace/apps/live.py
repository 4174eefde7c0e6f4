"""The live picture: a program's events, drawn as they come.

One thread. The program must never feel that it is watched: this process is the nicer one, reads for a
quarter of its time at most and draws for an eighth. What it does not read in time of a socket the server
drops for it, counts, and makes up for with a snapshot; a file waits.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import closing, contextmanager, suppress
from socket import socket
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment

from evloop.events.schema import End
from evloop_trace.apps.feed import SocketFeed, TurnedAwayError, connect, expect_events
from evloop_trace.apps.follow import FileFeed
from evloop_trace.apps.terminal import Terminal, suspended_well
from evloop_trace.apps.woven import Woven
from evloop_trace.escape import escape_text
from evloop_trace.living import Work, is_running
from evloop_trace.model.lint import Trail
from evloop_trace.model.picture import IDLE, Picture
from evloop_trace.numbers import count
from evloop_trace.proc_task import task_of
from evloop_trace.views.lines import format_events
from evloop_trace.views.palette import BOLD
from evloop_trace.views.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from evloop_trace.apps.feed import Clock, Feed
    from evloop_trace.views.cells import Line

    Tell: TypeAlias = Callable[[str], None]

__all__ = ["FRAME", "NICE", "Present", "draw_live", "watch", "watch_log", "watch_socket", "write_lines"]

FRAME = 0.1  # seconds from one frame to the next, at least
DRAWING = 8  # and so many times what drawing one costs
NICE = 15  # a thirtieth of the program's weight, if the two must share a core
WHOLE = 2.0  # seconds after which a frame is drawn whole: others write on a terminal too
BELOW = 3  # lines that the last picture leaves to what is written below it: so its title stays


def watch(
    path: str, packets: str | int | None = None, *, child: bool = False, tell: Tell | None = None
) -> int:
    """Draw what grows in the log `path`, or what a server offers on the socket of that name, until it ends.

    Args:
        path: A log, which need not be there yet, or a socket.
        packets: A capture file that grows meanwhile, or the inherited descriptor of a pipe from a capture, if
            packets are to be drawn as well.
        child: The program itself started us, to draw its log: we wait for it, and Ctrl-C is its business.
        tell: Takes what became of a server that sent no `end`, where lines are written and nothing is drawn.

    Raises:
        EvloopError: there is neither.
        TurnedAwayError: the server lets nobody else watch.
    """
    if not child and _is_socket(path):
        return watch_socket(path, None, packets, tell)
    return watch_log(path, os.getppid() if child else None, packets)


def _is_socket(path: str) -> bool:
    """Whether it is one, or anyway nothing that grows."""
    if path.startswith("@"):
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode)


def watch_socket(
    path: str | None, fd: int | None = None, packets: str | int | None = None, tell: Tell | None = None
) -> int:
    """Draw what a server offers on `path`, or sends on the inherited socket `fd`; and packets, as `watch`.

    Raises:
        EvloopError: nobody offers anything there.
        TurnedAwayError: the server lets nobody else watch.
    """
    sock = socket(fileno=fd) if fd is not None else connect(path or "")
    feed = SocketFeed(sock)
    expect = lambda: None if path is None else expect_events(sock, path)  # noqa: E731
    try:
        return _watch(feed, expect, packets, tell, child=fd is not None)
    except TurnedAwayError as error:
        raise TurnedAwayError(f"{path} lets nobody in: {error}: try again when one has left") from None


def watch_log(path: str, writer: int | None = None, packets: str | int | None = None) -> int:
    """Draw what stands in a log, and what is added to it until its program ends.

    Args:
        path: Its name.
        writer: The pid of the program, if it started us.
        packets: As for `watch`.

    Raises:
        LogError: it is no log.
    """
    feed = FileFeed(path)
    return _watch(feed, lambda: feed.expect(writer), packets, child=writer is not None)


def _watch(
    feed: Feed,
    expect: Callable[[], None],
    packets: str | int | None,
    tell: Tell | None = None,
    *,
    child: bool,
) -> int:
    with suppress(OSError):
        os.nice(NICE)
    console = Console()
    try:
        with _signals(ignore_interrupt=child):
            expect()
            if console.is_terminal and not console.is_dumb_terminal:
                draw_live(feed, Terminal(), packets=packets)
            else:
                if isinstance(packets, int):  # lines are of calls: let the capture know that nobody reads it
                    os.close(packets)
                if not write_lines(feed, sys.stdout.write, sys.stdout.flush) and tell:
                    fate = feed.fate().rstrip(".")
                    tell(fate[0].lower() + fate[1:])
    except KeyboardInterrupt:
        return 0
    finally:
        feed.close()
    return 0


@contextmanager
def _signals(*, ignore_interrupt: bool) -> Iterator[None]:
    """Being told to end is an interrupt; Ctrl-C is the program's business where we are its picture."""

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


def write_lines(
    feed: Feed, write: Callable[[str], Any], flush: Callable[[], Any], clock: Clock = time.monotonic
) -> bool:
    """A line for each event, for who reads no terminal; none waits longer than a frame.

    Returns:
        Whether there was an `end` among them, since the log began anew for the last time.
    """
    due: float | None = None  # when what was written must be flushed
    ended: int | None = None  # which of the logs that stood there
    while not feed.ended:
        if feed.wait(FRAME if due is None else due - clock()):
            events = feed.read()
            if events:
                ended = feed.anew if any(isinstance(event, End) for event in events) else ended
                write("\n".join(format_events(events)) + "\n")
                due = clock() + FRAME if due is None else due
        if due is not None and clock() >= due:
            flush()
            due = None
    flush()
    return ended == feed.anew


def draw_live(
    feed: Feed,
    terminal: Terminal,
    clock: Clock = time.monotonic,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    packets: str | int | None = None,
) -> Picture:
    """Draw until there is no more; then the last picture stays on the normal screen.

    Args:
        feed: The events.
        terminal: Where.
        clock: Seconds.
        monotonic_ns: The clock of the events.
        packets: As for `watch`.
    """
    live = _Live(Present(feed, clock, monotonic_ns, packets), terminal, clock, time.process_time)
    with closing(live.present), terminal, suspended_well(terminal):
        while not feed.ended:
            live.turn()
        live.present.finish()
    live.farewell()
    return live.present.picture


class Present:
    """The picture of a feed as of now, and what it costs to keep it."""

    def __init__(
        self, feed: Feed, clock: Clock, monotonic_ns: Callable[[], int], packets: str | int | None = None
    ) -> None:
        self.picture = Picture()
        self._trail = Trail()
        self.feed = feed
        self._woven = Woven(packets, clock) if packets is not None else None
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._spent = 0.0  # seconds of reading since the last frame
        self._anew = 0
        self._work: Work | None = None

    def may_read(self, seconds: float) -> bool:
        """Whether reading has had less than its share of so many seconds, which is a frame's time."""
        return self._spent < seconds * self.feed.share

    def read(self) -> None:
        """Fold in what is there, at most a piece."""
        start = self._clock()
        events = self.feed.read()
        if self.feed.anew != self._anew:
            self._anew = self.feed.anew
            self.picture = Picture()
            self._trail = Trail()
            self._work = None
            if self._woven is not None and isinstance(self._woven.path, str):  # a pipe has no beginning
                self._woven.close()
                self._woven = Woven(self._woven.path, self._clock)
        for event in events:
            self.picture.apply(event)
        self._trail.feed(events)
        if self._woven is not None:
            self._woven.tell(events)
        self._spent += self._clock() - start

    def lines(self, width: int, height: int) -> list[Line]:
        """A frame."""
        self._spent = 0.0
        status = "live" if self.feed.current or not self.picture.events else "catching up"
        now = self._now()
        self._look(now)
        if self._woven is not None:
            self._woven.look(now)
        if self._is_stopped(now):
            status = "stopped by a signal"
        return self._screen(now, status).lines(width, height)

    def _look(self, now: int) -> None:
        """Ask the kernel whether a loop that says nothing works: of a turn it tells when that is over."""
        picture = self.picture
        if picture.program or picture.header is None or not self.feed.current:
            return
        if self._work is None:
            self._work = Work(picture.header)
        picture.works(self._work.since(now, picture.t))

    def _is_stopped(self, now: int) -> bool:
        """Whether who says nothing may not run at all: Ctrl-Z, or SIGSTOP."""
        header = self.picture.header
        if header is None or not self.feed.current or now - self.picture.t < IDLE:
            return False
        return is_running(header) and task_of(header.pid).is_stopped

    def finish(self) -> None:
        """There is no more: what waits for its place stands where it is due."""
        if self._woven is not None:
            self._woven.look(None)

    def close(self) -> None:
        """Read no more packets."""
        if self._woven is not None:
            self._woven.close()

    def last_lines(self, width: int, height: int) -> list[Line]:
        """The last picture without its empty lines, if there ever was one, and why it is the last."""
        if not self.picture.events:
            return [self._why()]
        # Who was behind gets a state of the time at which it had caught up: that is later than the end.
        now = self.picture.end.t if self.picture.end else self._now()
        lines = self._screen(now, "ended").lines(width, max(1, height - 1))
        while lines and not "".join(segment.text for segment in lines[-1]).strip():
            lines.pop()
        return [*lines, self._why()]

    def _screen(self, now: int, status: str) -> Screen:
        if self._woven is None:
            return Screen(self.picture, now, status, notice=self._trail.at())
        if self._woven.skipped:
            status += f" · {count(self._woven.skipped)} passed over"
        return Screen(self.picture, now, status, self._woven.panel, self._trail.at())

    def _now(self) -> int:
        """The present on the log's clock: the same machine's monotonic clock."""
        header = self.picture.header
        if header is None or not self.feed.current:
            return self.picture.t
        return max(self.picture.t, self._monotonic_ns() - header.mono_ns)

    def _why(self) -> Line:
        end = self.picture.end
        if end is None:
            return [Segment(self.feed.fate(), BOLD)]
        who = _WRITERS.get(self.picture.header.model if self.picture.header else "", "The server has ended")
        why = "" if end.reason == "exit" else f": {escape_text(end.reason)}"
        return [Segment(f"{who}{why}.", BOLD)]


_WRITERS = {"run": "The program has ended", "client": "The client has ended"}


class _Live:
    """The picture on a terminal, and when it is due."""

    def __init__(self, present: Present, terminal: Terminal, clock: Clock, cost: Clock | None = None) -> None:
        """`cost` tells seconds of processor time: how long others had it meanwhile is not ours to save."""
        self.present = present
        self._feed = present.feed
        self._terminal = terminal
        self._clock = clock
        self._cost = cost or clock
        self._interval = FRAME
        self._due = clock()
        self._whole_due = clock() + WHOLE

    def turn(self) -> None:
        """Wait for events or the next frame, whichever is first, and see to it."""
        if self.present.may_read(self._interval):
            if self._feed.wait(self._due - self._clock()):
                self.present.read()
        else:
            time.sleep(max(0.0, self._due - self._clock()))
        if self._clock() >= self._due:
            self._frame()

    def _frame(self) -> None:
        start, cost = self._clock(), self._cost()
        if start >= self._whole_due:
            self._terminal.forget()
            self._whole_due = start + WHOLE
        size = self._terminal.size()
        self._terminal.draw(self.present.lines(*size), size)
        self._interval = max(FRAME, DRAWING * (self._cost() - cost))
        self._due = self._clock() + self._interval

    def farewell(self) -> None:
        """The last picture, and why it is the last."""
        width, height = self._terminal.size()
        self._terminal.print(self.present.last_lines(width, height - BELOW))
