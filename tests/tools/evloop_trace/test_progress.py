"""A bar is for who waits at a terminal."""

from __future__ import annotations

import gzip
import io
import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyte
import pytest
from evloop_trace.logs import open_logs
from evloop_trace.progress import track

if TYPE_CHECKING:
    from collections.abc import Callable

PRESSURE = Path(__file__).resolve().parents[2] / "evloop/rerun/logs/pressure.jsonl.gz"
SECONDS = 50
BAR = r"[━╸╺].*[kM]B"


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


IMPATIENT = """
from evloop_trace import cli, progress
progress._PATIENCE = progress._REFRESH = 0
cli.main()
"""


def on_terminal(*arguments: str, typed: bytes = b"") -> tuple[int, str, list[str]]:
    """The exit code of a command whose bars are drawn at once; what a terminal got, and what it shows."""
    screen = pyte.Screen(120, 200)
    stream = pyte.ByteStream(screen)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (200, 120))
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", IMPATIENT, *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    try:
        os.write(ours, typed)
        with suppress(OSError):  # EIO: nobody has the other end open any more
            while data := os.read(ours, 1 << 16):
                seen += data
        code = process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    stream.feed(seen)
    return code, seen.decode(), [row.rstrip() for row in screen.display if row.strip()]


@pytest.fixture(scope="module")
def long_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of many blocks; broken lines are in most of them."""
    log: Path = tmp_path_factory.mktemp("long") / "long.jsonl"
    lines = gzip.decompress(PRESSURE.read_bytes()).splitlines(keepends=True)
    for place in range(len(lines) - 1, 10, -9):
        lines.insert(place, b"broken\n")
    log.write_bytes(b"".join(lines))
    return log


@pytest.mark.parametrize("command", ["check", "check --all", "lint", "stats", "why", "compare", "rerun"])
def test_a_bar_is_gone_before_anything_is_said(long_log: Path, command: str) -> None:
    """What is written begins a line of its own, and nothing is left of the bar."""
    verb, *options = command.split()
    paths = [str(long_log)] * (2 if verb == "compare" else 1)
    _, sent, rows = on_terminal(verb, *options, *paths)
    assert re.search(BAR, sent), "there was one"
    assert [row for row in rows if re.search(BAR, row)] == []
    assert [row for row in rows if "evloop-trace: " in row[1:]] == []
    assert sent.rfind("\x1b[?25h") > sent.rfind("\x1b[?25l"), "the cursor is there again"
    assert "Traceback" not in sent


def test_no_bar_is_drawn_into_the_debugger() -> None:
    """It has the terminal for itself, and is left without a word too many."""
    code, sent, rows = on_terminal("rerun", str(PRESSURE), "--break", "ev=poll", typed=b"c\n" * 6 + b"q\n")
    assert code == 0
    assert not re.search(BAR, sent)
    assert "Traceback" not in sent
    assert "\x1b[?25l" not in sent
    assert rows[-1].startswith(f"{PRESSURE}: left at event ")
