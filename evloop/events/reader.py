"""Lines → events. One bad line costs one problem with its line number, never the rest of the log.

The reader streams: memory is bounded by a block, whatever the log's length.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from evloop.errors import LogError
from evloop.events.schema import EVENT_TYPES, SCHEMA, SCHEMA_VERSION, AnyEvent, Header, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BLOCK_SIZE",
    "MAX_LINE",
    "Block",
    "Item",
    "LineReader",
    "Problem",
    "Source",
    "decode_header",
    "read_blocks",
]

# Small enough that a block and its events stay in the processor's cache: a fifth faster than 256 KiB.
BLOCK_SIZE = 64 * 1024
MAX_LINE = 16 * 1024 * 1024


class Problem(NamedTuple):
    """A line that is no event."""

    line: int
    kind: str  # "broken", "too-long", "torn"
    message: str


Item: TypeAlias = AnyEvent | Unknown | Problem


class Block(NamedTuple):
    """Consecutive lines, one item each: `items[i]` stands in line `line + i`."""

    line: int
    items: list[Item]


class Source(Protocol):
    """Where bytes come from: a file, a pipe, a decompressor."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end."""


_decoder = msgspec.json.Decoder(AnyEvent)
_any_decoder = msgspec.json.Decoder(dict[str, object])

_OTHER_VERSION = re.compile(rb'"schema":\s*"(evloop/(?!%d")[0-9]+)"' % SCHEMA_VERSION)
_NUMBER = re.compile("[0-9]{1,9}")
_SHOWN = 40  # characters of a schema that is not ours


def decode_line(text: bytes, line: int) -> Item:
    """The event in one line, without its newline; `line` counts from 1."""
    try:
        return cast("Item", _decoder.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _unknown(text) or Problem(line, "broken", f"is not an event: {_short(error)}")


def _short(error: Exception) -> str:
    """The first sentence of a decoder's message, of bounded length."""
    return str(error)[:200]


def _unknown(text: bytes) -> Unknown | None:
    """An event of a kind that a later version may have added, or None if the line is no event at all."""
    try:
        fields = _any_decoder.decode(text)
        ev, seq, t = fields.pop("ev"), fields.pop("seq"), fields.pop("t")
        tick = fields.pop("tick", 0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return None
    if not (isinstance(ev, str) and isinstance(seq, int) and isinstance(t, int) and isinstance(tick, int)):
        return None
    return None if ev in EVENT_TYPES else Unknown(seq, t, tick, ev, fields)


def decode_header(text: bytes, name: str) -> Header:
    """The header in a log's first line.

    Raises:
        LogError: this is no event log, or one of another version.
    """
    item = decode_line(text, 1)
    if not isinstance(item, Header):  # as one of another version may be, whose fields are others
        found = _OTHER_VERSION.search(text, 0, 4096)
        if found is None:
            raise LogError(f"{name} is not an event log: its first line is not a header with a schema")
        raise _unread(name, found[1].decode())
    if item.schema != SCHEMA:
        raise _unread(name, item.schema)
    return item


def _unread(name: str, schema: str) -> LogError:
    """What a schema is that is not read here."""
    if not schema.startswith("evloop/"):
        return LogError(
            f"{name} has the schema {schema[:_SHOWN]!r}, which is not evloop's: it is another program's log"
        )
    version = schema.removeprefix("evloop/")
    shown = version if _NUMBER.fullmatch(version) else repr(version[:_SHOWN])
    return LogError(
        f"{name} has schema version {shown} and this program reads {SCHEMA_VERSION}: "
        "read it with the evloop that wrote it, or a newer one"
    )


class LineReader:
    """Bytes in, in pieces of any size; blocks of whole lines out. Knows no file and no socket."""

    def __init__(self) -> None:
        self.line = 1  # of the next item
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._skipping = False

    def feed(self, data: bytes) -> Block | None:
        """The lines that `data` completed, or None if it completed none."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return None
        text = b"".join((*self._tail, data[:end])) if self._tail else data[:end]
        self._tail, self._tail_size = [], 0
        items: list[Item] = []
        if self._skipping:  # the rest of a line that was too long
            text = text[text.index(b"\n") + 1 :]
            items.append(self._too_long(self.line))
            self._skipping = False
        items.extend(self._decode(text, self.line + len(items)))
        self._keep(data[end:])
        block = Block(self.line, items)
        self.line += len(items)
        return block

    def finish(self) -> Block | None:
        """What a last line without a newline is: torn when the writer died, or still being written."""
        if self._skipping:
            return Block(self.line, [self._too_long(self.line)])
        # A log that was written through a mapping ends in NULs where its program was killed.
        text = b"".join(self._tail).rstrip(b"\0")
        if not text:
            return None
        return Block(
            self.line,
            [
                Problem(
                    self.line,
                    "torn",
                    f"is torn: the log ends in the middle of a line, after {len(text)} bytes of it",
                )
            ],
        )

    def _keep(self, data: bytes) -> None:
        if self._skipping or not data:
            return
        self._tail.append(data)
        self._tail_size += len(data)
        if self._tail_size > MAX_LINE:
            self._tail, self._tail_size, self._skipping = [], 0, True

    @staticmethod
    def _too_long(line: int) -> Problem:
        return Problem(line, "too-long", f"is longer than {MAX_LINE // 2**20} MiB and was skipped")

    @staticmethod
    def _decode(text: bytes, first: int) -> list[Item]:
        """Whole lines, decoded in one call where they are all good, and one by one where they are not."""
        try:
            events: list[Item] = _decoder.decode_lines(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            # Inside an object no newline stands between } and {, so if all do, and there are as many
            # events as lines, then each line is one event: `decode_lines` by itself is not so strict.
            if len(events) == text.count(b"\n") == text.count(b"}\n{") + 1:
                return events
        return [decode_line(line, number) for number, line in enumerate(text.split(b"\n")[:-1], first)]


def read_blocks(source: Source, name: str) -> tuple[Header, Iterator[Block]]:
    """The header of a log and its blocks, the header's own line among them.

    Raises:
        LogError: it is empty, binary, no event log, or one of another version.
    """
    pieces: list[bytes] = []
    size, data = 0, b" "
    while data and b"\n" not in data and size <= MAX_LINE:
        data = source.read(BLOCK_SIZE)
        pieces.append(data)
        size += len(data)
    head = b"".join(pieces)
    if len(head) <= MAX_LINE and not head.strip(b"\0"):  # a log that is mapped begins as NULs
        raise LogError(f"{name} is empty: nothing was recorded, or it is not the log you meant")
    header = decode_header(head.partition(b"\n")[0], name)
    return header, _blocks(source, head)


def _blocks(source: Source, head: bytes) -> Iterator[Block]:
    reader = LineReader()
    data = head
    while data:
        block = reader.feed(data)
        if block is not None:
            yield block
        data = source.read(BLOCK_SIZE)
    last = reader.finish()
    if last is not None:
        yield last
