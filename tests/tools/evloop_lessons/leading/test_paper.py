"""Where a lesson is written."""

from __future__ import annotations

import io
import sys

import pytest
from evloop_lessons.leading.paper import Paper


class Tty(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(("columns", "width"), [("20", 60), ("72", 72), ("300", 300)])
def test_lines_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    """Also where nothing can be drawn; but not so narrow that nobody can read them."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", Tty())
    for kind in ("xterm", "dumb"):
        monkeypatch.setenv("TERM", kind)
        assert Paper().width == width
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert Paper().width == 100
