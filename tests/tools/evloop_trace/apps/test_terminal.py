"""Frames on a terminal, as the bytes that reach it."""

from __future__ import annotations

import io
import os
import pty
import signal
import termios

import pytest
from evloop_trace.apps.terminal import Terminal, suspended_well
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


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold and reverse are no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    out = Tty()
    with Terminal(out, lambda: (9, 1)) as terminal:
        terminal.draw([[Segment("b", RED)]], (9, 1))
    assert "\x1b[1mb" in out.getvalue()
    assert "31" not in out.getvalue()


def test_inside_there_is_the_other_screen_and_outside_the_one_before() -> None:
    """Also when something goes wrong."""
    out = Tty()
    with pytest.raises(KeyboardInterrupt), Terminal(out, lambda: (9, 1)):
        raise KeyboardInterrupt
    assert out.getvalue().startswith("\x1b[?1049h\x1b[H\x1b[?25l")
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l")


def drawn(out: Tty, terminal: Terminal, texts: tuple[str, ...], size: tuple[int, int]) -> str:
    """The bytes of one frame."""
    out.seek(0)
    out.truncate()
    terminal.draw(frame(*texts), size)
    return out.getvalue()


def test_only_lines_that_changed_are_drawn() -> None:
    """At their place and in their whole width, so that nothing of the old line stays."""
    out = Tty()
    with Terminal(out, lambda: (9, 2)) as terminal:
        drawn(out, terminal, ("one", "two"), (9, 2))
        assert drawn(out, terminal, ("one", "three"), (9, 2)) == "\x1b[2;1Hthree    "
        assert drawn(out, terminal, ("one", "three"), (9, 2)) == ""
        terminal.forget()
        again = drawn(out, terminal, ("one", "three"), (9, 2))
        assert "\x1b[1;1Hone" in again
        assert "\x1b[2J" not in again


def test_another_size_begins_with_an_empty_screen() -> None:
    """What stood there before may have been wrapped."""
    out = Tty()
    with Terminal(out, lambda: (9, 2)) as terminal:
        drawn(out, terminal, ("one", "two"), (9, 2))
        assert drawn(out, terminal, ("one", "two"), (5, 2)).startswith("\x1b[2J\x1b[H\x1b[1;1Hone  ")


def test_lines_are_printed_below_what_is_there() -> None:
    """Without spaces at their ends."""
    out = Tty()
    Terminal(out, lambda: (9, 2)).print(frame("one   ", "two"))
    assert out.getvalue() == "one\ntwo\n"


def test_a_real_terminal_does_not_echo_keys() -> None:
    """Each can be read when it is pressed; and the terminal is as it was afterwards."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as out:
        terminal = Terminal(out)
        before = termios.tcgetattr(slave)
        assert before[3] & termios.ECHO
        with terminal:
            assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
        assert termios.tcgetattr(slave) == before
        os.read(master, 4096)
    os.close(master)


def test_a_terminal_that_is_gone_is_left_in_silence() -> None:
    """Its window was closed: there is nothing to turn back, and what is still said is said to nobody."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as out:
        terminal = Terminal(out)
        with terminal:
            os.close(master)
            with pytest.raises(OSError, match="Input/output error"):
                os.write(slave, b"x")
        terminal.print(frame("the last picture"))
        terminal.enter()  # it went on after Ctrl-Z
        terminal.leave()


def test_a_frame_is_finished_before_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-Z within a frame: the terminal is given back behind it, and not after we have gone on."""

    class Line(list):
        def __iter__(self):
            signal.raise_signal(signal.SIGTSTP)
            return super().__iter__()

    out = Tty()
    stopped: list[str] = []
    monkeypatch.setattr(os, "kill", lambda _pid, _number: stopped.append(out.getvalue()))
    terminal = Terminal(out, lambda: (20, 2))
    with terminal, suspended_well(terminal):
        terminal.draw([Line([Segment("here")]), [Segment("there")]], (20, 2))
    assert stopped
    assert all("there" in it and it.endswith("\x1b[?1049l") for it in stopped)
