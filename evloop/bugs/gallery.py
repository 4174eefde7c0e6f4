"""All bugs, by name, and how they are listed."""

from __future__ import annotations

import textwrap
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
            *(line for bug in BUGS.values() for line in _entry(bug)),
        ]
    )


def _entry(bug: Bug) -> Iterator[str]:
    yield ""
    yield bug.name
    yield from _paragraph("", bug.wrong)
    yield from _paragraph("where", bug.project)
    yield f"{'':{INDENT}}{bug.thread}"
    yield f"  {'try':{INDENT - 2}}$ {bug.command}"
    for line in bug.provoke:
        yield f"{'':{INDENT}}{line if line.startswith('#') else '$ ' + line}"
    yield from _paragraph("see", bug.seen)
    yield from _paragraph("cure", bug.cure)


def _paragraph(label: str, text: str) -> list[str]:
    first = f"  {label:{INDENT - 2}}" if label else "  "
    rest = " " * INDENT if label else "  "
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
