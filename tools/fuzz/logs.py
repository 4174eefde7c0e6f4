"""Whatever reads a log: every command of `evloop-trace` that takes one, and the reader by itself.

A command may say what is wrong, and end with 1 or 2; nothing is raised, all that it writes can be shown, and
how the bytes of the file were cut makes no difference.
"""

from __future__ import annotations

import atexit
import io
import random
import shutil
import sys
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import events
from evloop_trace.cli import cli, run

from evloop.errors import LogError
from evloop.events.reader import LineReader, read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop.events.reader import Item

__all__ = ["OPTIONS", "PACKAGES", "caught", "look", "look_at_all", "mutate", "seeds"]

PACKAGES = ("evloop_trace", "evloop.events", "evloop.printable")
OPTIONS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=8192")

LOG, OTHER = "log.jsonl", "other.jsonl"
COMMANDS: dict[str, tuple[str, ...]] = {
    "check": (LOG,), "check --json": (LOG,), "stats": (LOG,), "stats --json": (LOG,), "replay": (LOG,),
    "why": (LOG,), "why --json": (LOG,), "why --at 1": (LOG,), "picture": (LOG,),
    "picture --at 1 --size 60x12": (LOG,), "timeline": (LOG,), "timeline --json": (LOG,),
    "timeline --bytes tcp-1": (LOG,), "compare": (LOG, OTHER), "compare --json": (LOG, OTHER),
    "replay --conn tcp-1": (LOG, OTHER), "lint": (LOG,), "lint --json": (LOG,), "rerun": (LOG,),
}  # fmt: skip
"""Options, and files; those that there are are tried."""
AT_ONCE = 2  # commands that an input goes through besides `check`: more inputs tell more
_FOLDER = tempfile.mkdtemp(prefix="evloop-fuzz-")
atexit.register(shutil.rmtree, _FOLDER)
_MAY_END = {0, 1, 2}


def look(data: bytes) -> None:
    """The reader, `check`, and two commands more, which ones the input says."""
    names = [name for name in COMMANDS if name.split()[0] in cli.commands]
    first = zlib.crc32(data)
    _look(data, ["check", *(names[(first + it * 7) % len(names)] for it in range(AT_ONCE))])


def look_at_all(data: bytes) -> None:
    """Every command."""
    _look(data, [name for name in COMMANDS if name.split()[0] in cli.commands])


def _look(data: bytes, names: list[str]) -> None:
    folder = Path(_FOLDER)
    (folder / LOG).write_bytes(data)
    (folder / OTHER).write_bytes(_OTHER)
    _read(data)
    for name in names:
        _command([*name.split(), *(str(folder / it) for it in COMMANDS[name])])


def _command(arguments: list[str]) -> None:
    with caught() as (out, err):
        code = run(lambda: cli.main(arguments, prog_name="evloop-trace", standalone_mode=False))
        said, complaints = out.getvalue().decode(), err.getvalue().decode()
    assert code in _MAY_END, (code, arguments)
    for text in (said, complaints):
        wrong = {char for char in text if not (char.isprintable() or char == "\n")}
        assert not wrong, (arguments, wrong)
    assert "Traceback" not in complaints, complaints


@contextmanager
def caught() -> Iterator[tuple[Any, Any]]:
    """What goes to standard output and error: two buffers."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n", write_through=True) for _ in range(2)]
    old = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams
    try:
        yield streams[0].buffer, streams[1].buffer
    finally:
        sys.stdout, sys.stderr = old


def _read(data: bytes) -> None:
    """In one piece, and in small ones."""
    whole = [*_items(data, len(data) + 1)]
    assert whole == [*_items(data, 7)], "how the file is cut makes a difference"
    try:
        _, blocks = read_blocks(io.BytesIO(data), "a log")
    except LogError:
        return
    assert [item for block in blocks for item in block.items] == whole


def _items(data: bytes, size: int) -> Iterator[Item]:
    reader = LineReader()
    for at in range(0, len(data), size):
        if block := reader.feed(data[at : at + size]):
            yield from block.items
    if block := reader.finish():
        yield from block.items


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Another log."""
    return events.change(data, rng)


def seeds() -> Iterator[bytes]:
    """Logs of any events, the most of them short."""
    for number in range(24):
        yield events.a_log(random.Random(number), 4 + number * 2)


_OTHER = events.a_log(random.Random(99), 30)
