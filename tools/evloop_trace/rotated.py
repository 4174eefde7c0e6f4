"""A log that was rotated: its files, read as one."""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from evloop.events.reader import Block, Item, Problem
from evloop.events.schema import Cut, Header, Inherit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Chain", "File", "beside", "is_same_log"]

_OLDER = re.compile(r"\.old-[0-9]{6,}(\.gz)?")


class File(Protocol):
    """One of them."""

    @property
    def name(self) -> str:
        """Its path."""

    @property
    def header(self) -> Header:
        """Its first line."""

    @property
    def blocks(self) -> Iterator[Block]:
        """Its lines."""


def beside(path: str) -> list[str]:
    """The names of files that may be a log's older ones; or another's that had its name."""
    here = Path(path)
    name = re.sub(_OLDER.pattern + "$", "", here.name)
    return sorted(
        str(it) for it in here.parent.iterdir()
        if it.name.startswith(name) and _OLDER.fullmatch(it.name[len(name) :]) and it.name != here.name
    )  # fmt: skip


def is_same_log(one: Header, other: Header) -> bool:
    """Whether two files are of one log: of the same process, and begun at the same moment."""
    return (one.pid, one.mono_ns, one.boot_id) == (other.pid, other.mono_ns, other.boot_id)


class Chain:
    """The blocks of several files, the oldest first, with their lines counted through.

    What a file has only because it can be read alone is left out: where it begins in the middle of the log,
    its header and what was open; where it ends before the log does, that it does.
    """

    def __init__(self, files: Sequence[File]) -> None:
        self._files = files
        self._begins: list[int] = []  # lines from which on the next two hold
        self._places: list[tuple[str, int]] = []  # the file, and by how much its lines' numbers are less

    def blocks(self) -> Iterator[Block]:
        """All lines; once."""
        line = 1
        for number, file in enumerate(self._files):
            for block in file.blocks:
                items = block.items
                first = 0
                while number and first < len(items) and _begins_a_file(items[first]):
                    first += 1
                end = len(items) - (number + 1 < len(self._files) and isinstance(items[-1], Cut))
                if first < end:
                    self._remember(line, file.name, line - block.line - first)
                    yield Block(line, self._located(items[first:end], line))
                    line += end - first

    def _remember(self, line: int, name: str, less: int) -> None:
        if not self._places or self._places[-1] != (name, less):
            self._begins.append(line)
            self._places.append((name, less))

    def _located(self, items: list[Item], line: int) -> list[Item]:
        if not any(isinstance(item, Problem) for item in items):
            return items
        return [
            self._problem(item, at) if isinstance(item, Problem) else item
            for at, item in enumerate(items, line)
        ]

    def _problem(self, problem: Problem, line: int) -> Problem:
        name, local = self.place(line)
        return problem._replace(line=line, message=f"{problem.message} (line {local} of {name})")

    def place(self, line: int) -> tuple[str, int]:
        """The file of a line that was read, and which of its own lines it is."""
        name, less = self._places[max(bisect_right(self._begins, line) - 1, 0)]
        return name, line - less


def _begins_a_file(item: Item) -> bool:
    return isinstance(item, Header) or (isinstance(item, Inherit) and item.seq < 0)
