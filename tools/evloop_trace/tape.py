"""A log that can be wound: its lines by number, read from a file in blocks.

Only where the blocks begin is remembered, so a long log costs little memory. What cannot be wound (a
pipe, a compressed log, several logs as one) is copied to a temporary file without a name first.
"""

from __future__ import annotations

import stat
import tempfile
from bisect import bisect_right
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import msgspec

from evloop.events.reader import MAX_LINE, Item, LineReader, Problem
from evloop.events.schema import Unknown
from evloop_trace.correlate.meeting import Crossing, Meeting, Program, Told, crossing
from evloop_trace.logs import open_logs
from evloop_trace.model.picture import Picture
from evloop_trace.progress import track, track_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evloop_trace.logs import Logs

    Found: TypeAlias = Callable[[Sequence[Item]], object]
    Read: TypeAlias = Callable[[str, Sequence[Item]], object]

    Shown: TypeAlias = Item | Told

__all__ = ["JoinedTape", "Shown", "Tape", "open_tape", "programs"]

BLOCK = 128 * 1024  # bytes


class Tape:
    """Items by number, from 0. Blocks are found by going forward, and then known.

    Args:
        file: Where the lines are.
        block: So many bytes are read at once.
        found: Told of the items of each block once, when it is found, and of none at the end of the log; a
            problem knows its line.
    """

    def __init__(self, file: IO[bytes], block: int = BLOCK, found: Found | None = None) -> None:
        self._found = found
        self._file = file
        self._size = file.seek(0, 2)
        self._block = block
        self._starts = [0]  # of blocks: the number of its first item
        self._offsets = [0]  # and of its first byte
        # The two neighbours of a place are read by turns when a reader steps to and fro.
        self._load = lru_cache(maxsize=2)(self._decode)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def blank(self) -> Picture | Meeting:
        """What the items are to be folded into."""
        return Picture()

    def after(self, number: int, most: int) -> Sequence[Shown]:
        """At most `most` items from `number` on, all of one block; empty at the end of the log.

        Only a number up to the first one that was never returned is known.
        """
        items, at = self._find(number)
        return items[at : at + most]

    def item(self, number: int) -> Shown | None:
        """One item; None at the end of the log."""
        items, at = self._find(number)
        return items[at] if at < len(items) else None

    def last_t(self) -> int:
        """The time of the last event, as far as the end of the file tells."""
        self._file.seek(max(0, self._size - self._block))
        block = LineReader().feed(self._file.read(self._block))
        times = [item.t for item in block.items if not isinstance(item, Problem)] if block else []
        return max(times, default=0)

    def _find(self, number: int) -> tuple[Sequence[Shown], int]:
        """The block of an item, and its index there."""
        index = bisect_right(self._starts, number) - 1
        return self._load(index), number - self._starts[index]

    def _decode(self, index: int) -> Sequence[Shown]:
        return self._lines(index)[0]

    def _lines(self, index: int) -> tuple[list[Item], bytes]:
        """A block's items, and their text."""
        reader = LineReader()
        items: list[Item] = []
        offset = self._offsets[index]
        self._file.seek(offset)
        data = self._file.read(self._block)
        while data and b"\n" not in data and len(data) <= MAX_LINE and (more := self._file.read(self._block)):
            data += more
        whole = data.rfind(b"\n") + 1 or len(data)
        for block in (reader.feed(data[:whole]), reader.finish() if data else None):
            items += block.items if block else []
        if index + 1 < len(self._starts):
            return items, data[:whole]
        if self._found:
            self._found(_numbered(items, self._starts[index] + 1))
        if items:
            self._starts.append(self._starts[index] + len(items))
            self._offsets.append(offset + whole)
        return items, data[:whole]


class _Joined(msgspec.Struct):
    """What a line of a joined tape has besides its event."""

    joined: Crossing


class JoinedTape(Tape):
    """Several logs as one, each line with what the others tell of it."""

    def __init__(self, file: IO[bytes], programs: list[Program]) -> None:
        super().__init__(file)
        self.programs = programs

    def blank(self) -> Meeting:
        """What the items are to be folded into."""
        return Meeting.of(self.programs)

    def _decode(self, index: int) -> Sequence[Shown]:
        items, text = self._lines(index)
        return [
            Told(item, line.joined)
            for item, line in zip(items, _lines_decoder.decode_lines(text), strict=True)
            if not isinstance(item, Problem)  # there is none: we wrote this
        ]


_lines_decoder = msgspec.json.Decoder(_Joined)


def _numbered(items: Sequence[Item], first: int) -> list[Item]:
    """The items, and of the problems the lines, when the first item is line `first`."""
    return [
        item._replace(line=number) if isinstance(item, Problem) else item
        for number, item in enumerate(items, first)
    ]


def open_tape(paths: Sequence[str], read: Read | None = None) -> Tape:
    """A tape of logs.

    Args:
        paths: Their names.
        read: Told once of each block's log's name and items, as far as the logs are read, and of none at
            their end.

    Raises:
        LogError: one cannot be read, or is no event log.
    """
    with open_logs(paths) as logs:  # which says what is wrong, if something is
        if not logs.meet and logs.logs[0].chain is None and _can_be_wound(paths[0]):
            return Tape(Path(paths[0]).open("rb"), found=partial(read, paths[0]) if read else None)
        return JoinedTape(*_join(logs, read)) if logs.meet else Tape(_copy(logs, read))


def _can_be_wound(path: str) -> bool:
    if path == "-" or not stat.S_ISREG(Path(path).stat().st_mode):
        return False
    with Path(path).open("rb") as file:
        return file.read(2) != b"\x1f\x8b"


def _copy(logs: Logs, read: Read | None) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the tape closes it
    encode = msgspec.json.Encoder().encode_lines
    for log, block in track(logs, "read"):
        if read:
            read(log.name, block.items)
        file.write(encode(_plain(block.items)))
    if read:
        read("", ())
    file.flush()
    return file


def _join(logs: Logs, read: Read | None) -> tuple[IO[bytes], list[Program]]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the tape closes it
    encode = msgspec.json.encode
    for rows in track_steps(logs, "read", logs.rows()):
        if read:
            for row in rows:
                read(logs.logs[row.log].name, (row.item,))
        for row in rows:
            for item in _plain((row.item,)):
                joined = encode(crossing(row, logs.joiner))
                file.write(b'%b,"joined":%b}\n' % (encode(item)[:-1], joined))
    if read:
        read("", ())
    file.flush()
    return file, programs(logs)


def programs(logs: Logs) -> list[Program]:
    """Who takes part, as far as the logs have been read."""
    return [
        Program(log.label if len(logs.logs) > 1 else "", client=number not in logs.joiner.servers)
        for number, log in enumerate(logs.logs)
    ]


def _plain(items: Iterable[Item]) -> list[Any]:
    """Items as they are encoded."""
    return [
        {"ev": item.ev, "seq": item.seq, "t": item.t, "tick": item.tick, **item.fields}
        if isinstance(item, Unknown)
        else item
        for item in items
        if not isinstance(item, Problem)
    ]
