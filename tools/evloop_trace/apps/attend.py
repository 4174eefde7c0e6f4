"""Run a program and show what it does: split screen or lines. Its exit code is ours."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.console import Console

from evloop.errors import EvloopError
from evloop_trace.apps.beside import blocked, run_beside
from evloop_trace.apps.emulator import TERM
from evloop_trace.apps.follow import FileFeed
from evloop_trace.apps.live import NICE
from evloop_trace.apps.program import Program, PseudoTerminal, end_like
from evloop_trace.apps.split import Split, heights
from evloop_trace.apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evloop_trace.apps.captured import Captured

    Prepare: TypeAlias = Callable[[str], tuple[Sequence[str], dict[str, str]]]
    Capture: TypeAlias = Callable[[], Captured]
    Tell: TypeAlias = Callable[[str], None]

__all__ = ["accompany", "attend"]


def accompany(command: Sequence[str], environment: dict[str, str], capture: Capture, tell: Tell) -> int:
    """Run a program beside a capture, and show nothing; the rest is as for `attend`."""
    captured = capture()
    with blocked():
        code = run_beside(_start(command, environment), None)
    captured.finish(environment, tell)
    return end_like(code)


def attend(
    prepare: Prepare,
    title: str,
    log: str | None = None,
    *,
    picture: bool = False,
    capture: Capture | None = None,
    tell: Tell = print,
) -> int:
    """Run a program to its end and show its events as they happen.

    Args:
        prepare: Gives, for the name of a log, the command and the environment that make the program write it.
        title: The program's name, to be shown.
        log: Where the log shall be; if nowhere, it is removed in the end.
        picture: Draw, if standard output is a terminal; else each event is a line on standard error.
        capture: Starts a capture, which ends after the program.
        tell: Takes what there is to say of it.

    Returns:
        The program's exit code. If a signal killed it, the same signal kills us.

    Raises:
        EvloopError: the log is no file, or the program or the capture cannot be started.
    """
    console = Console()
    draw = picture and console.is_terminal and not console.is_dumb_terminal
    with _log(log) as path:
        command, environment = prepare(path)
        with suppress(FileNotFoundError):
            os.truncate(path, 0)  # what an earlier run left is not this run's
        captured = capture() if capture else None
        feed = FileFeed(path)
        try:
            code = (_split if draw else _beside)(command, environment, feed, title)
        finally:
            feed.close()
        if captured:
            captured.finish(environment, tell)
    return end_like(code)


def _start(command: Sequence[str], environment: dict[str, str], *terminal: Any) -> Program:
    try:
        return Program(command, environment, *terminal)
    except FileNotFoundError as error:
        raise EvloopError(f"{command[0]} cannot be started: {error.strerror}") from None


def _beside(command: Sequence[str], environment: dict[str, str], feed: FileFeed, _title: str) -> int:
    with blocked():
        return run_beside(_start(command, environment), feed)


def _split(command: Sequence[str], environment: dict[str, str], feed: FileFeed, title: str) -> int:
    keys = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
    terminal = Terminal(raw=keys is not None)
    columns, lines = terminal.size()
    pseudo = PseudoTerminal(columns, heights(lines)[1])
    without = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
    try:
        tty = [fd for fd in (0, 1, 2) if _is_terminal(fd)]
        program = _start(command, {**without, "TERM": TERM}, pseudo, tty)
        with suppress(OSError):
            os.nice(NICE)
        return Split(program, pseudo, feed, terminal, keys=keys, title=title).run()
    finally:
        pseudo.close()


def _is_terminal(fd: int) -> bool:
    """Whether it is one; a stream that is closed is not."""
    try:
        return os.isatty(fd)
    except OSError:
        return False


@contextmanager
def _log(path: str | None) -> Iterator[str]:
    """An empty log at the path, or in a folder that is removed."""
    if path is None:
        with tempfile.TemporaryDirectory(prefix="evloop-", ignore_cleanup_errors=True) as folder:
            yield str(Path(folder) / "run.jsonl")
        return
    if Path(path).exists() and not Path(path).is_file():
        raise EvloopError(f"{path} is no file: a log that is shown while it is written must be one")
    yield path
