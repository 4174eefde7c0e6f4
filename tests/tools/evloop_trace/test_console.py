"""What the commands write on: a terminal as it is, or whatever else there is."""

from __future__ import annotations

import os
import sys

import pytest
from evloop_trace.console import Paper, paper


def test_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """So wide as who writes would have it, whatever the environment says of terminals."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    monkeypatch.setenv("COLUMNS", "70")
    assert paper(120) == Paper(120, 0, colour=False, terminal=False)
    assert paper(100, 60) == Paper(100, 60, colour=False, terminal=False)


@pytest.mark.parametrize(("no_colour", "coloured"), [(None, True), ("", True), ("1", False)])
def test_a_terminal(monkeypatch: pytest.MonkeyPatch, no_colour: str | None, coloured: bool) -> None:
    """As large as it is; it has colour unless that is not wanted."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name, value in (("COLUMNS", "70"), ("LINES", "24"), ("NO_COLOR", no_colour)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert paper(120) == Paper(70, 24, colour=coloured, terminal=True)


def test_a_terminal_of_unknown_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A serial line: as if there were none, but for the colour."""
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((0, 0)))
    assert paper(100, 60) == Paper(100, 60, colour=True, terminal=True)


def test_standard_output_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is told, as of every command."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="standard output is closed"):
        paper(80)
