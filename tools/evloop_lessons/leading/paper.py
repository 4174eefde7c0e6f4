"""Where a lesson is written: a terminal, or a file; its width, its colours, and the keys that are pressed."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import time
from typing import TYPE_CHECKING

from evloop_trace.views.palette import BOLD, PLAIN
from rich.color import ColorSystem
from rich.segment import Segment

from evloop.keyboard import ask
from evloop.printable import printable
from evloop_lessons.leading.prose import paragraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evloop_trace.views.cells import Line
    from rich.style import Style

__all__ = ["Paper"]

LOOK = 0.05  # seconds


class Paper:
    """Standard output, and standard input, if somebody sits there."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.asks = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    @property
    def width(self) -> int:
        """Columns, now."""
        return max(60, shutil.get_terminal_size((100, 0)).columns) if sys.stdout.isatty() else 100

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines; spaces at their ends are left out."""
        for line in lines:
            while line and not line[-1].text.strip() and not line[-1].style:
                line = line[:-1]  # noqa: PLW2901
            text = "".join([self._styled(it) for it in line])
            sys.stdout.write(f"{text.rstrip()}\n")
        sys.stdout.flush()

    def _styled(self, segment: Segment) -> str:
        """Its text, with the colours and marks that every terminal knows."""
        style = segment.style if self.colour else None
        return style.render(segment.text, color_system=ColorSystem.STANDARD) if style else segment.text

    def say(self, *texts: str, first: str = "", then: str | None = None, style: Style = PLAIN) -> None:
        """Paragraphs; what a file says, too, and so nothing that a terminal would obey."""
        for text in texts:
            self.lines(paragraph(printable(text), self.width, first, then, style))

    def space(self) -> None:
        """An empty line."""
        self.lines([[]])

    def heading(self, text: str, right: str = "") -> None:
        """A line that says what follows."""
        self.lines([[Segment(text, BOLD), *([Segment(f"  {right}")] if right else [])]])

    def ask(self, prompt: str) -> str:
        """What is typed; nothing if nobody can be asked."""
        if not self.asks:
            return ""
        try:
            return ask(prompt if prompt.endswith("\uff1a") else f"{prompt} ").strip()
        except EOFError:
            self.space()
            return ""

    def pause(self, prompt: str) -> None:
        """Wait for Enter."""
        self.ask(prompt)

    def key(self, end: float, meanwhile: Callable[[], None]) -> bool:
        """Wait for Enter or the space bar, and do something now and then until it comes.

        Args:
            end: When to wait no more, on the monotonic clock.
            meanwhile: What is done.

        Returns:
            Whether it came, or nobody can press it any more.
        """
        while (left := end - time.monotonic()) > 0:
            meanwhile()
            left = min(LOOK, left)
            if not self.asks:
                time.sleep(left)
            elif select.select([sys.stdin], [], [], left)[0]:
                typed = _read(sys.stdin.fileno())
                if not typed or set(typed) & set(b"\r\n "):
                    return True
        return False

    def forget_keys(self) -> None:
        """What was typed when nobody asked for it is meant for nobody."""
        if self.asks:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 64)
    except OSError:  # the terminal is gone
        return b""
