"""Frames on a terminal, as the bytes that reach it."""

from __future__ import annotations

import io
import os
import pty
import termios

import pytest
from evloop_trace.views.terminal import Terminal, encode_line
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

RED = Style(color="red", bold=True)


class Tty(io.StringIO):
    """A terminal without a descriptor."""

    def isatty(self) -> bool:
        """It says it is one."""
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of sixteen colours, whoever runs the tests."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def frame(*texts: str) -> list[list[Segment]]:
    """Lines of one segment."""
    return [[Segment(text)] for text in texts]


def test_a_line_has_its_styles_and_nothing_else() -> None:
    """Without colour it is still bold."""
    line = [Segment("a"), Segment("b", RED)]
    assert encode_line(line, ColorSystem.STANDARD) == "a\x1b[1;31mb\x1b[0m"
    assert encode_line(line, ColorSystem.STANDARD, color=False) == "a\x1b[1mb\x1b[0m"


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold and reverse are no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Tty()
    Terminal(out, lambda: (9, 1)).draw([[Segment("b", RED)]], (9, 1))
    assert "\x1b[1mb" in out.getvalue()
    assert "31" not in out.getvalue()


def test_inside_there_is_the_other_screen_and_outside_the_one_before() -> None:
    """Also when something goes wrong."""
    out = Tty()
    with pytest.raises(KeyboardInterrupt), Terminal(out, lambda: (9, 1)):
        raise KeyboardInterrupt
    assert out.getvalue().startswith("\x1b[?1049h\x1b[?25l")
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l")


def test_only_lines_that_changed_are_drawn() -> None:
    """In one piece, so that no half frame is seen."""
    out = Tty()
    terminal = Terminal(out, lambda: (9, 2))
    terminal.draw(frame("one", "two"), (9, 2))
    out.seek(0)
    out.truncate()
    terminal.draw(frame("one", "three"), (9, 2))
    assert out.getvalue() == "\x1b[?2026h\x1b[2Hthree\x1b[0m\x1b[K\x1b[?2026l"
    out.seek(0)
    out.truncate()
    terminal.draw(frame("one", "three"), (9, 2))
    assert out.getvalue() == ""
    terminal.forget()
    terminal.draw(frame("one", "three"), (9, 2))
    assert "\x1b[1Hone" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()


def test_another_size_begins_with_an_empty_screen() -> None:
    """What stood there before may have been wrapped."""
    out = Tty()
    terminal = Terminal(out, lambda: (9, 2))
    terminal.draw(frame("one", "two"), (9, 2))
    out.seek(0)
    out.truncate()
    terminal.draw(frame("one", "two"), (5, 2))
    assert out.getvalue().startswith("\x1b[?2026h\x1b[2J\x1b[1Hone")


def test_lines_are_printed_below_what_is_there() -> None:
    """Without spaces at their ends."""
    out = Tty()
    Terminal(out, lambda: (9, 2)).print(frame("one   ", "two"))
    assert out.getvalue() == "one\ntwo\n"


def test_a_real_terminal_is_asked_for_its_size_and_does_not_echo_keys() -> None:
    """And is as it was afterwards."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 99))
    with os.fdopen(slave, "w") as out:
        terminal = Terminal(out)
        before = termios.tcgetattr(slave)
        assert before[3] & termios.ECHO
        with terminal:
            assert not termios.tcgetattr(slave)[3] & termios.ECHO
            assert terminal.size() == (99, 33)
        assert termios.tcgetattr(slave) == before
        os.read(master, 4096)
    os.close(master)


def test_a_terminal_that_is_gone_has_a_size() -> None:
    """The usual one."""
    with open(os.devnull, "w", encoding="utf-8") as out:
        assert Terminal(out).size() == (80, 24)
