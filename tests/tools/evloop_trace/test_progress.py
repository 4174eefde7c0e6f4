"""A bar is for who waits at a terminal."""

from __future__ import annotations

import io
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.logs import open_logs
from evloop_trace.progress import track

if TYPE_CHECKING:
    from collections.abc import Callable


class Terminal(io.StringIO):
    """It says that it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_nothing_without_a_terminal(
    book: Any, save: Callable[[str, bytes], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs come as they are, and nothing is drawn."""
    with open_logs([save("a", book.conversation().encode())]) as logs:
        assert sum(len(block.items) for _, block in track(logs, "check")) == 12
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("step", "drawn"), [(0.0, False), (1.0, True)])
def test_a_bar_after_a_second(
    book: Any, save: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch, step: float, drawn: bool
) -> None:
    """A bar appears when a second has passed, and not before."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    clock = count(0, 1)
    with open_logs([save("a", book.conversation().encode() * 1000)]) as logs:
        events = sum(len(block.items) for _, block in track(logs, "check", lambda: next(clock) * step))
    assert events == 12_000
    assert ("check" in terminal.getvalue()) == drawn
