"""Saved runs as somebody may hand them in, one file of them another: a sentence or a verdict, never more.

An input is the name of the file, a line end, and its new content.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import events
import logs
from evloop_lessons.leading.checking import check_saved
from evloop_lessons.leading.words import Words
from evloop_lessons.lesson import LessonError
from evloop_lessons.library import library

from evloop.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

__all__ = ["OPTIONS", "PACKAGES", "look", "mutate", "seeds"]

PACKAGES = ("evloop_lessons", "evloop_trace", "evloop.events")
OPTIONS = ("-timeout=10", "-rss_limit_mb=1024", "-max_len=16384")
NAMES = ("run.json", "server.jsonl", "client.jsonl", "run.pcapng", "steps.jsonl", "sockets.jsonl")
_FOLDER = tempfile.mkdtemp(prefix="evloop-fuzz-")
atexit.register(shutil.rmtree, _FOLDER)
_LESSONS, _WORDS = library([]), (Words("en"), Words("zh"))


def look(data: bytes) -> None:
    """The folder with one file changed, judged in both languages, as a page and as JSON."""
    name, _, content = data.partition(b"\n")
    if name.decode(errors="replace") not in NAMES:
        return
    folder, path = _run(), _run() / name.decode()
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        for words in _WORDS:
            _judge(folder, words, as_json=words is _WORDS[0])
    finally:
        path.write_bytes(before)


def _judge(folder: Path, words: Words, *, as_json: bool) -> None:
    with logs.caught() as (out, _):
        try:
            check_saved(_LESSONS, folder, words, as_json=as_json)
        except LessonError as error:
            out.write(printable(str(error)).encode())
        said = out.getvalue().decode()
    wrong = {char for char in said if not (char.isprintable() or char == "\n")}
    assert not wrong, wrong


@cache
def _run() -> Path:
    """The first lesson, played once."""
    folder = Path(_FOLDER) / "run"
    command = [sys.executable, "-P", "-m", "evloop", "lesson", "1", "--no-ask", "--save", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for made in {*folder.iterdir()} - {folder / name for name in NAMES}:
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    return folder


def mutate(data: bytes, rng: Random) -> bytes:
    """Another content of the same file, if it is lines of JSON."""
    name, _, content = data.partition(b"\n")
    return name + b"\n" + events.change(content, rng)


def seeds() -> Iterator[bytes]:
    """Each file as it is."""
    for name in NAMES:
        yield name.encode() + b"\n" + (_run() / name).read_bytes()
