"""The screen of a program that we run: what it writes is obeyed here, and only here.

Pyte plays the terminal. What leaves this module is text in cells with colours: no sequence of the program's
reaches the real terminal.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyte
from pyte import modes
from pyte.charsets import LAT1_MAP
from pyte.screens import Char
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evloop_trace.views.cells import Line

__all__ = ["PAST", "TERM", "Emulator"]

TERM = "linux"  # the entry of terminfo(5) that describes what pyte can do
PAST = 5000  # lines that are remembered when they have left the screen


class Emulator:
    """A terminal of so many columns and lines.

    Args:
        columns: Its width in cells.
        lines: Its height.
        answer: Takes what a terminal says when it is asked something: where the cursor is, what it can do.
    """

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], object]) -> None:
        self._screen = _Screen(columns, lines, answer)
        self._stream = pyte.ByteStream(_Forgiving(self._screen))
        self._shown: dict[int, Line] = {}

    def feed(self, data: bytes) -> None:
        """What the program writes."""
        self._stream.feed(data)

    def resize(self, columns: int, lines: int) -> None:
        """The window changes; at the top as much leaves it as the cursor needs at the bottom."""
        self._screen.change(columns, lines)
        self._shown.clear()

    def lines(self) -> list[Line]:
        """What the screen shows."""
        screen = self._screen
        for y in screen.dirty:
            self._shown.pop(y, None)
        screen.dirty.clear()
        for y in range(screen.lines):
            if y not in self._shown:
                self._shown[y] = _line(screen.buffer[y], screen.columns)
        return [self._shown[y] for y in range(screen.lines)]

    def cursor(self) -> tuple[int, int] | None:
        """Its column and line, from 0; None if the program hides it."""
        cursor = self._screen.cursor
        return None if cursor.hidden else (min(cursor.x, self._screen.columns - 1), cursor.y)

    def everything(self) -> list[Line]:
        """All lines that are remembered, down to the last that is not empty."""
        lines = [*self._screen.past, *self.lines()]
        while lines and not "".join(segment.text for segment in lines[-1]).strip():
            lines.pop()
        return lines


class _Screen(pyte.Screen):
    """A screen that remembers what has left it at the top."""

    def __init__(self, columns: int, lines: int, answer: Callable[[bytes], object]) -> None:
        self.past: deque[Line] = deque(maxlen=PAST)
        self._answer = answer
        super().__init__(columns, lines)

    def draw(self, data: str) -> None:
        """Text appears. Pyte drops what comes in one piece with a character that has no width."""
        plain = data.isascii() and data.isprintable() and self.g0_charset is LAT1_MAP and not self.charset
        if plain and modes.IRM not in self.mode:
            self._draw_plain(data)
            return
        for char in data:
            if self.cursor.x == self.columns - 1 and cell_len(char) == 2:
                super().draw(" ")  # and it wraps: half a character cannot be shown
            super().draw(char)

    def _draw_plain(self, data: str) -> None:
        """What most text is, in a third of the time: as much of it at once as fits into the line."""
        while data:
            start = self.cursor.x
            room = self.columns - start
            if room <= 0 or modes.DECAWM not in self.mode:
                super().draw(data[:1])  # which wraps, or stays in the last column
                data = data[1:]
                continue
            cells = _cells(self.cursor.attrs[1:])
            row = self.buffer[self.cursor.y]
            row.update(zip(range(start, self.columns), [cells[char] for char in data[:room]], strict=False))
            self.cursor.x = min(self.columns, start + len(data))
            self.dirty.add(self.cursor.y)
            data = data[room:]

    def index(self) -> None:
        """The cursor goes a line down; from the last one the screen scrolls."""
        if self.margins is None and self.cursor.y == self.lines - 1:
            self._forget_top()
        super().index()

    def _forget_top(self) -> None:
        row = self.buffer[0]
        self.past.append(_line(row, min(self.columns, max(row, default=-1) + 1)))

    def change(self, columns: int, lines: int) -> None:
        """Another size. Pyte by itself drops lines at the top even if the bottom is empty."""
        self.set_margins()
        while self.cursor.y >= lines:
            self._forget_top()
            for y in range(self.lines - 1):
                self.buffer[y] = self.buffer[y + 1]
            self.buffer.pop(self.lines - 1)
            self.cursor.y -= 1
        for y in range(lines, self.lines):
            self.buffer.pop(y, None)
        self.lines = lines
        self.resize(lines, columns)
        self.dirty.update(range(lines))

    def write_process_input(self, data: str) -> None:
        """The program asked the terminal something."""
        self._answer(data.encode())


@lru_cache(maxsize=64)
def _cells(look: Any) -> dict[str, Char]:
    """Printable ASCII, each character in the same colours."""
    return {chr(code): Char(chr(code), *look) for code in range(0x20, 0x7F)}


class _Forgiving:
    """What pyte's screen cannot do is left undone: a sequence it does not know raises all kinds of errors."""

    def __init__(self, screen: _Screen) -> None:
        self._screen = screen

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._screen, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> None:
            with suppress(Exception):
                attribute(*args, **kwargs)

        return call


def _line(row: Mapping[int, Char], columns: int) -> Line:
    """A row of cells as segments; behind a wide character there is an empty cell."""
    line: Line = []
    text, look = "", None
    for x in range(columns):
        char = row[x]
        if char[1:] != look:
            if text:
                line.append(Segment(text, _style(look)))
            text, look = "", char[1:]
        text += char.data if char.data.isprintable() else "�"
    if text:
        line.append(Segment(text, _style(look)))
    return line


_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow", "bfightmagenta": "bright_magenta"}
_BRIGHT = "bright"


@lru_cache(maxsize=1024)
def _style(look: Any) -> Style:
    fg, bg, bold, italics, underscore, strikethrough, reverse, blink = look
    return Style(
        color=_colour(fg), bgcolor=_colour(bg), bold=bold or None, italic=italics or None,
        underline=underscore or None, strike=strikethrough or None, reverse=reverse or None,
        blink=blink or None,
    )  # fmt: skip


def _colour(name: str) -> str | None:
    """Rich's name for one of pyte's; None is the terminal's own."""
    if name == "default":
        return None
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith(_BRIGHT):
        return f"bright_{name.removeprefix(_BRIGHT)}"
    return name if name in _ANSI else f"#{name}"


_ANSI = {"black", "red", "green", "blue", "magenta", "cyan", "white"}
