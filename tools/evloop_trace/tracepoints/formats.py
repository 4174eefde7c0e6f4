"""Where a tracepoint's fields are: the `format` file that the kernel has for each of its events."""

from __future__ import annotations

import re
import struct
from typing import Any

__all__ = ["Format", "Page", "symbols"]

_FIELD = re.compile(r"field:\s*(.*?)(\w+)(\[\d*\])?;\s*offset:(\d+);\s*size:(\d+);\s*signed:(\d)")
_ID = re.compile(r"^ID: (\d+)$", re.MULTILINE)
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}


class Format:
    """How one kind of event lies in memory."""

    def __init__(self, text: str, wanted: frozenset[str]) -> None:
        """Read `text`, the whole file; of its fields only the wanted ones are read from an event later."""
        found = _ID.search(text)
        self.id = int(found[1]) if found else -1
        self._names: list[str] = []
        layout, end = "=", 0
        for _, name, array, offset, size, signed in _FIELD.findall(text):
            if name not in wanted:
                continue
            code = f"{size}s" if array else _CODES[int(size)]
            layout += f"{int(offset) - end}x{code if array or signed == '1' else code.upper()}"
            end = int(offset) + int(size)
            self._names.append(name)
        self._struct = struct.Struct(layout)
        self.size = self._struct.size

    def read(self, data: bytes, at: int) -> dict[str, Any]:
        """The fields of an event that begins at `at`: numbers, and bytes of an array."""
        return dict(zip(self._names, self._struct.unpack_from(data, at), strict=True))

    def has(self, *names: str) -> bool:
        """Whether all of these are among its wanted fields."""
        return set(names) <= set(self._names)


def symbols(text: str, field: str) -> dict[int, str]:
    """The words that a `format` file has for the numbers of a field."""
    _, _, behind = text.partition(f"__print_symbolic(REC->{field}, ")
    pairs = behind.partition("})")[0]
    return {int(number): word for number, word in re.findall(r'\{ (\d+), "(\w+)"', pairs)}


class Page:
    """How a page of a ring buffer begins, by the file `events/header_page`."""

    def __init__(self, text: str) -> None:
        fields = {name: (int(at), int(size)) for _, name, _, at, size, _ in _FIELD.findall(text)}
        self.data, size = fields["data"]
        self.size = self.data + size
        """Bytes of a page."""
        self.head = struct.Struct("=Q" + {4: "I", 8: "Q"}[fields["commit"][1]])
        """When it begins, in nanoseconds, and how much is in it, with flags."""
