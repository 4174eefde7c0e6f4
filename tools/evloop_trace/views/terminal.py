"""A terminal's other screen: frames are drawn on it line by line, and only the lines that changed.

There is no thread and no clock here, and the size is asked for at each frame, so that a resized window
needs no signal.
"""

from __future__ import annotations

import os
import sys
import termios
from typing import TYPE_CHECKING, Self

from rich.color import ColorSystem
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import TextIO

    from evloop_trace.views.cells import Line

__all__ = ["Terminal", "encode_line"]

_COLORS = {"standard": ColorSystem.STANDARD, "256": ColorSystem.EIGHT_BIT, "truecolor": ColorSystem.TRUECOLOR}

# The other screen, no cursor, no line wrap; and back. Between the last pair the terminal shows nothing yet.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_BEGIN, _DONE = "\x1b[?2026h", "\x1b[?2026l"


def encode_line(line: Line, colors: ColorSystem | None, *, color: bool = True) -> str:
    """A line with the terminal's sequences for its styles."""
    parts = []
    for text, style, _ in line:
        if style and not color:
            style = style.without_color  # noqa: PLW2901
        parts.append(style.render(text, color_system=colors or ColorSystem.STANDARD) if style else text)
    return "".join(parts)


class Terminal:
    """A context manager: inside it the terminal shows frames, outside what it showed before."""

    def __init__(self, out: TextIO | None = None, size: Callable[[], tuple[int, int]] | None = None) -> None:
        self._out = out or sys.stdout
        self._size = size or self._ask_size
        console = Console(file=self._out)
        self._colors = _COLORS.get(console.color_system or "")
        self._color = not console.no_color
        self._shown: list[str] = []
        self._shown_size = (0, 0)
        self._echo: list[int | list[bytes | int]] | None = None

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
        """Turn to the other screen; keys that are typed are not shown there."""
        self._echo = _silence(self._out)
        self.forget()
        self._write(_ENTER)

    def leave(self) -> None:
        """Turn back."""
        self._write(_LEAVE)
        if self._echo is not None:
            termios.tcsetattr(self._out.fileno(), termios.TCSADRAIN, self._echo)

    def forget(self) -> None:
        """Draw the next frame whole: something else may have written on the screen."""
        self._shown = []

    def draw(self, lines: list[Line], size: tuple[int, int]) -> None:
        """Show a frame that was made for `size`."""
        texts = [encode_line(line, self._colors, color=self._color) for line in lines]
        whole = size != self._shown_size or len(self._shown) != len(texts)
        changes = [
            f"\x1b[{number}H{text}\x1b[0m\x1b[K"
            for number, text in enumerate(texts, 1)
            if whole or text != self._shown[number - 1]
        ]
        if whole and size != self._shown_size:
            changes.insert(0, "\x1b[2J")
        self._shown, self._shown_size = texts, size
        if changes:
            self._write(f"{_BEGIN}{''.join(changes)}{_DONE}")

    def print(self, lines: list[Line]) -> None:
        """Write lines below what the terminal shows."""
        texts = [encode_line(line, self._colors, color=self._color).rstrip() for line in lines]
        self._write("".join(f"{text}\n" for text in texts))

    def _ask_size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._out.fileno())
        except OSError:  # it is gone, or no terminal
            return 80, 24
        return size.columns or 80, size.lines or 24

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _silence(out: TextIO) -> list[int | list[bytes | int]] | None:
    """Stop the echo of keys; how it was before, or None where there is no terminal."""
    try:
        before = termios.tcgetattr(out.fileno())
        silent = list(before)
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(out.fileno(), termios.TCSADRAIN, silent)
    except (OSError, ValueError, termios.error):
        return None
    return before
