"""The live picture above, and the program's own terminal below it.

The program runs on a pseudo-terminal and notices nothing: its screen is emulated, its keys are ours. What it
writes reaches the real terminal only as text in cells.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.segment import Segment

from evloop.errors import EvloopError
from evloop_trace.apps.beside import FORWARDED
from evloop_trace.apps.emulator import Emulator
from evloop_trace.apps.live import DRAWING, FRAME, Present
from evloop_trace.escape import escape_text
from evloop_trace.views.cells import exact
from evloop_trace.views.palette import DIM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evloop_trace.apps.follow import FileFeed
    from evloop_trace.apps.program import Program, PseudoTerminal
    from evloop_trace.apps.terminal import Terminal
    from evloop_trace.views.cells import Line

__all__ = ["Split", "heights"]

LOOK = 0.05  # seconds from one look at the log to the next
ECHO = 0.02  # seconds in which what the program writes is shown
LEAST = 6  # lines of the program's, and of the picture


def heights(lines: int) -> tuple[int, int]:
    """Lines for the picture and for the program; a line stands between them."""
    below = max(LEAST, lines // 3)
    return max(0, lines - 1 - below), min(below, max(1, lines - 1))


class Split:
    """One program on one terminal, cut in two.

    Args:
        program: What runs.
        pseudo: The terminal on which it does.
        feed: Its log.
        terminal: The real terminal, for as long as this runs in raw mode.
        keys: The descriptor from which keys come; None if they are not ours.
        title: The program's name, which stands over its part.
    """

    def __init__(
        self,
        program: Program,
        pseudo: PseudoTerminal,
        feed: FileFeed,
        terminal: Terminal,
        *,
        keys: int | None,
        title: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.present = Present(feed, clock, time.monotonic_ns)
        self._program = program
        self._pseudo = pseudo
        self._feed = feed
        self._terminal = terminal
        self._keys = keys
        self._title = title
        self._clock = clock
        self._size = terminal.size()
        self._emulator = Emulator(self._size[0], heights(self._size[1])[1], pseudo.write)
        self._above: list[Line] = []
        self._suspended = False  # or is about to be
        self._hung_up = False  # the program has let go of its terminal
        self._trouble = ""  # why the log cannot be read any more
        self._interval = FRAME
        self._due = self._look = self._echo = clock()  # a frame, a look at the log, what was written

    def run(self) -> int:
        """Until the program has ended; its exit code, or minus the signal that killed it."""
        with self._terminal, self._signals():
            while (code := self._program.poll()) is None:
                self._turn()
        while data := self._pseudo.read():
            self._emulator.feed(data)
        self._farewell()
        return code

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """What we are sent is meant for the program."""

        def suspend(_number: int, _frame: Any) -> None:
            self._suspended = True

        handlers: dict[int, Any] = {number: lambda n, _: self._program.send(n) for number in FORWARDED}
        handlers[signal.SIGTSTP] = suspend
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # -- a turn --------------------------------------------------------------------------

    def _turn(self) -> None:
        ready = self._wait()
        if self._pseudo in ready:
            self._listen()
        if self._keys in ready:
            self._type()
        if self._suspended:
            self._suspend()
        now = self._clock()
        if now >= self._look:
            self._look = now + LOOK
            self._pseudo.write(b"")
            self._read_log()
        if now >= self._due:
            self._frame()
        elif now >= self._echo:
            self._show()

    def _read_log(self) -> None:
        """What is new in it. A program that overwrites its log is not to die of it."""
        try:
            while not self._trouble and self.present.may_read(self._interval) and self._feed.wait(0):
                self.present.read()
                if self._feed.ended:
                    break
        except EvloopError as error:
            self._trouble = str(error)

    def _wait(self) -> Sequence[Any]:
        sources: list[Any] = [] if self._hung_up else [self._pseudo]
        if self._keys is not None:
            sources.append(self._keys)
        return select.select(
            sources, [], [], max(0.0, min(self._due, self._look, self._echo) - self._clock())
        )[0]

    def _listen(self) -> None:
        data = self._pseudo.read()
        self._hung_up = not data
        self._emulator.feed(data)
        self._echo = min(self._echo, self._clock() + ECHO)

    def _type(self) -> None:
        """Keys are the program's, but for the one that suspends us both: see `_suspend`."""
        data = os.read(self._keys, 4096) if self._keys is not None else b""
        if not data:
            self._keys = None
            self._program.send(signal.SIGHUP)
        elif (at := self._pseudo.suspends(data)) >= 0:
            self._pseudo.write(data[:at])
            self._suspended = True
        else:
            self._pseudo.write(data)

    def _suspend(self) -> None:
        """The kernel stops no program that is alone in its session, as this one is: so we do it ourselves."""
        self._suspended = False
        self._program.send_all(signal.SIGSTOP)
        self._terminal.leave()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.killpg(0, signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, handler)
        self._terminal.enter()
        self._program.send_all(signal.SIGCONT)
        self._due = self._clock()

    # -- drawing -------------------------------------------------------------------------

    def _frame(self) -> None:
        """The picture, and the program's screen."""
        start = self._clock()
        size = self._terminal.size()
        above, below = heights(size[1])
        if size != self._size:
            self._size = size
            self._emulator.resize(size[0], below)
            self._pseudo.resize(size[0], below)
        self._above = [*self.present.lines(size[0], above), self._rule()] if above else []
        self._show()
        end = self._clock()
        self._interval = max(FRAME, DRAWING * (end - start))
        self._due = end + self._interval

    def _show(self) -> None:
        """The program's screen, below the picture as it was."""
        cursor = self._emulator.cursor()
        place = (cursor[0], cursor[1] + len(self._above)) if cursor else None
        self._terminal.draw([*self._above, *self._emulator.lines()], self._size, place)
        self._echo = float("inf")

    def _rule(self) -> Line:
        width = self._size[0]
        title = f"terminal of {escape_text(self._title)} "
        return exact([Segment("── ", DIM), Segment(title), Segment("─" * width, DIM)], width)

    def _farewell(self) -> None:
        """All that the program wrote, as if we had not been there, and the last picture."""
        self._terminal.print(self._emulator.everything())
        self._feed.finish()
        while not self._feed.ended and not self._trouble:
            self._interval = float("inf")
            self._read_log()
        width, height = self._size
        last = self.present.last_lines(width, max(2 * LEAST, height // 2))
        self._terminal.print([[Segment(escape_text(self._trouble))]] if self._trouble else last)
