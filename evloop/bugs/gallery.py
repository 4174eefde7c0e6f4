"""All bugs, by name, and how they are listed."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from evloop.bugs import accepting, closing, datagrams, interest, streams, wakeup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.bugs.bug import Bug

__all__ = ["BUGS", "listing"]

BUGS: dict[str, Bug] = {
    bug.name: bug
    for family in (interest, accepting, streams, datagrams, wakeup, closing)
    for bug in family.BUGS
}

WIDTH = 80
INDENT = 10


def listing() -> str:
    """What `evloop serve --bug list` prints."""
    return "\n".join(
        [
            "Bugs that real projects had: evloop serve --bug NAME has one of them.",
            "The part that is wrong, and what is right: evloop/bugs/ in the source.",
            "Type the first line in one terminal, the others in another, in bash; $SERVER is",
            "the process that the server says it is. After kill -STOP and -CONT its shell has",
            "the terminal: type fg there before Ctrl-C.",
            *(line for bug in BUGS.values() for line in _entry(bug)),
        ]
    )


def _entry(bug: Bug) -> Iterator[str]:
    yield ""
    yield bug.name
    yield from _paragraph("", bug.wrong)
    yield from _paragraph("where", bug.project)
    yield f"{'':{INDENT}}{bug.thread}"
    lines = [it for line in (bug.command, *bug.provoke) for it in _typed(line)]
    for label, line in zip_longest(["try"], lines, fillvalue=""):
        yield f"  {label:{INDENT - 2}}{line}"
    yield from _paragraph("see", bug.seen)
    yield from _paragraph("cure", bug.cure)


def _typed(line: str) -> list[str]:
    """A line as it is typed; one that is too long goes on in the next."""
    if line.startswith("#"):
        return textwrap.wrap(line, WIDTH - INDENT, subsequent_indent="# ")
    parts = textwrap.wrap(
        line,
        WIDTH - INDENT - len(" \\"),
        initial_indent="$ ",
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]


def _paragraph(label: str, text: str) -> list[str]:
    first = f"  {label:{INDENT - 2}}" if label else "  "
    rest = " " * INDENT if label else "  "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
