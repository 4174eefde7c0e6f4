"""A terminal's other screen: frames are drawn on it, and of a frame only the lines that changed.

Rich knows the terminal; there is no thread and no clock here, and the size is asked for at each frame, so
that a resized window needs no signal.
"""

from __future__ import annotations

import os
import signal
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.control import Control
from rich.segment import Segment
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import IO, TextIO

    from evloop_trace.views.cells import Line

__all__ = ["Terminal", "suspended_well"]


class Terminal:
    """A context manager: inside it the terminal shows frames, outside what it showed before.

    In raw mode every key, Ctrl-C as well, is just a byte to be read.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        size: Callable[[], tuple[int, int]] | None = None,
        *,
        raw: bool = False,
    ) -> None:
        self._raw = raw
        self._console = Console(file=out, highlight=False, markup=False)
        self._size = size or (lambda: self._console.size)
        self._shown: list[Line] = []
        self._shown_size = (0, 0)
        self._cursor: tuple[int, int] | None = None
        self._before: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def size(self) -> tuple[int, int]:
        """Columns and lines, now."""
        return self._size()

    def enter(self) -> None:
        """Turn to the other screen; keys that are typed are not shown there, and can be read one by one."""
        self._before = _silence(self._console.file, raw=self._raw)
        self.forget()
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def leave(self) -> None:
        """Turn back; if its window was closed, there is nothing to turn back, nor anybody to write for."""
        try:
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
            if self._before is not None:
                termios.tcsetattr(self._console.file.fileno(), termios.TCSADRAIN, self._before)
        except (OSError, termios.error):
            _silence_for_ever(self._console.file)

    def forget(self) -> None:
        """Draw the next frame whole: something else may have written on the screen."""
        self._shown = []
        self._cursor = None

    def draw(self, lines: list[Line], size: tuple[int, int], cursor: tuple[int, int] | None = None) -> None:
        """Show a frame that was made for `size`; in one write, so that no half of it is seen.

        Args:
            lines: The frame.
            size: Columns and lines.
            cursor: Where it stands: column and line, from 0; None hides it.
        """
        whole = size != self._shown_size or len(lines) != len(self._shown)
        moved = cursor != self._cursor
        with _unsuspended(), self._console as console:
            if size != self._shown_size:
                console.clear()
            for number, line in enumerate(lines):
                if whole or line != self._shown[number]:
                    console.update_screen_lines([Segment.adjust_line_length(line, size[0])], 0, number)
                    moved = True
            if moved and cursor:
                console.control(Control.move_to(*cursor))
            if (cursor is None) != (self._cursor is None):
                console.show_cursor(cursor is not None)
        self._shown, self._shown_size, self._cursor = lines, size, cursor

    def print(self, lines: list[Line]) -> None:
        """Write lines below what the terminal shows."""
        with self._console as console:
            for line in lines:
                text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
                text.rstrip()
                console.print(text, no_wrap=True, overflow="ignore")


@contextmanager
def suspended_well(terminal: Terminal) -> Iterator[None]:
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


@contextmanager
def _unsuspended() -> Iterator[None]:
    """Ctrl-Z comes behind this: what was written within waits to be shown, and would do so while we stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _silence(out: IO[str], *, raw: bool) -> list[int | list[bytes | int]] | None:
    """Stop the echo of keys, or all that is done to them; how it was before, or None without a terminal."""
    try:
        before = termios.tcgetattr(out.fileno())
        if raw:
            tty.setraw(out.fileno(), termios.TCSADRAIN)
        else:
            silent = list(before)
            silent[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(out.fileno(), termios.TCSADRAIN, silent)
    except (OSError, ValueError, termios.error):
        return None
    return before


def _silence_for_ever(out: IO[str]) -> None:
    """What is still written, also what waits to be, goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, out.fileno())
    os.close(null)
