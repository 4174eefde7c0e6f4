"""A line that a person types, in a program that a signal may end."""

from __future__ import annotations

import sys

# By the name it has before an instrument comes: to look whether somebody types is no call of the program's.
from select import select

__all__ = ["ask"]

LOOK = 0.05  # seconds


def ask(prompt: str) -> str:
    """Ask for a line, as `input` does, and get out of it however early a signal comes.

    Python runs the handler of a signal between two steps of the program. One that comes when `input` has
    written the prompt, and does not read(2) yet, is only noted, and the read sleeps on until the next line.
    So we wait outside it, and wake now and then, until a line is there: a terminal gives no less, termios(3).

    Raises:
        EOFError: Nothing more will be typed.
        RuntimeError: There is no standard input, or no standard output.
    """
    if sys.stdin is None or sys.stdout is None or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return input(prompt)
    sys.stdout.write(prompt)
    sys.stdout.flush()
    while not select([sys.stdin], [], [], LOOK)[0]:
        pass
    return input()
