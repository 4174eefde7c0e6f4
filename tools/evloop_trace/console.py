"""How the commands write and speak: lines on standard output, sentences on standard error."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from contextlib import suppress
from typing import Any, NamedTuple

import click

from evloop.printable import printable
from evloop_trace.progress import put_away

__all__ = [
    "FOUND",
    "INTERRUPTED",
    "OK",
    "USAGE",
    "OutputClosed",
    "Paper",
    "drop_output",
    "paper",
    "standard_output",
    "tell",
    "write",
]

OK, FOUND, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; something was found, or is not there; it could not begin; Ctrl-C."""


def drop_output() -> None:
    """Nothing more goes to standard output, not even what the interpreter flushes when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # it is closed, or no file
        return


def tell(sentence: str) -> None:
    """One line on standard error, whatever is in it, if there is standard error."""
    with suppress(OSError):
        put_away(sys.stderr)
        click.echo(f"evloop-trace: {printable(sentence)}", err=True)


def write(text: str) -> None:
    """Lines on standard output, whatever its encoding, now."""
    out = standard_output()
    put_away(out)
    try:
        out.buffer.write(text.encode(out.encoding or "utf-8", "backslashreplace"))
        out.buffer.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def standard_output() -> Any:
    """Standard output.

    Raises:
        OSError: it is closed.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    return sys.stdout


class Paper(NamedTuple):
    """What an answer is written on."""

    width: int
    """In cells."""
    height: int
    """In lines."""
    colour: bool
    terminal: bool


def paper(width: int, height: int = 0) -> Paper:
    """Standard output: a terminal with its size, coloured unless NO_COLOR is set; or else of this size.

    Raises:
        OSError: it is closed.
    """
    if not standard_output().isatty():
        return Paper(width, height, colour=False, terminal=False)
    size = shutil.get_terminal_size((width, height))
    return Paper(size.columns, size.lines, colour=not os.environ.get("NO_COLOR"), terminal=True)


class OutputClosed(Exception):  # noqa: N818 - it is no error
    """Who reads our output has seen enough. Click would make an exit code 1 of a BrokenPipeError."""
