"""What an entry of the gallery says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evloop.parts import Parts

__all__ = ["Bug"]


class Bug(NamedTuple):
    """One bug: what goes wrong, where it did, how to see it, and what to do instead."""

    name: str
    wrong: str
    project: str
    thread: str
    """Where the project's people tell of it: a URL."""
    cure: str
    lint: str
    """The kind of finding that names it: `evloop-trace lint`."""
    parts: Parts
    """Of which a server with the bug is made."""
    provoke: tuple[str, ...]
    """What to type into a shell (bash) beside the server, at 127.0.0.1:8080; $SERVER is its process."""
    seen: str
    options: tuple[str, ...] = ()
    """Of `evloop serve`, besides --bug: without them it does not come to light."""
    prefix: str = ""
    """What the server's command begins with, where the system must be made to fail."""
    selectors: tuple[str, ...] = ()
    """The selectors with which it can be seen; none is all."""
    needs: tuple[str, ...] = ()
    """The programs with which it is provoked, besides ours and a shell's."""

    @property
    def command(self) -> str:
        """How the server is started."""
        return " ".join(
            [
                *filter(None, [self.prefix]),
                "evloop serve",
                "--bug",
                self.name,
                *self.options,
                "--log",
                "bug.jsonl",
            ]
        )
