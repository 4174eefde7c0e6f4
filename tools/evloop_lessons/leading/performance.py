"""The process that plays a scenario, as who leads sees it."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from evloop import lab
from evloop.errors import EvloopError
from evloop.files import make_folder
from evloop.printable import encodable, printable
from evloop_lessons.lesson import LessonError, UnplayedError
from evloop_lessons.plan import TEMPORARY, Plan, write_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from evloop_lessons.lesson import Lesson, Value
    from evloop_lessons.library import LessonFolder

__all__ = ["Performance", "kept_in", "why_no_network", "why_not"]

ENDING = 10.0  # seconds: what it has to end is told to in its turn, and that takes as long as a program takes


LARGEST = 65536
"""Bytes of what a scenario has printed that are told."""

PATIENCE = 300.0
"""Seconds for a lesson in which nobody is asked: every one is over in a tenth of this."""


class Word(msgspec.Struct):
    """Something that it says: see `stage.__main__`."""

    word: str
    about: str


class Performance:
    """A context manager: behind it the process is gone, and all that it had started."""

    def __init__(self, entry: LessonFolder, values: dict[str, Value], folder: Path, pace: str = "") -> None:
        """Start it; it prepares itself, and waits for `go`.

        Args:
            entry: What is to be played.
            values: Of its parameters.
            folder: For all that is recorded.
            pace: `pace`: it waits for `go` at every step; `slow`: it takes its time.
        """
        self.plan = Plan(
            entry.lesson.number, encodable(entry.folder.name), dict(values), network=entry.lesson.needs_lab
        )
        self._entry, self._folder, self.pace = entry, folder, pace
        self._line = b""
        self.over = False

    def __enter__(self) -> Self:
        write_plan(self._folder, self.plan)
        source, folder = os.path.abspath(self._entry.folder), os.path.abspath(self._folder)
        command = [
            sys.executable,
            "-P",
            "-m",
            "evloop_lessons.stage",
            source,
            folder,
            self.pace,
            str(os.getpid()),
        ]
        self._printed = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._printed,
            start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None and not self.over:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._tell_printed()

    def _tell_printed(self) -> None:
        """What the scenario has printed, when nothing is drawn any more."""
        with self._printed:
            self._printed.seek(0)
            text = self._printed.read(LARGEST).decode(errors="replace")
        for line in text.splitlines():
            print(printable(line), file=sys.stderr)

    def go(self) -> None:
        """It may go on."""
        assert self._process.stdin
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended, and has said why
            pass

    def words(self, seconds: float) -> list[Word]:
        """What it has said, waiting for so long at most.

        Raises:
            UnplayedError: it cannot be played.
        """
        assert self._process.stdout
        fd = self._process.stdout.fileno()
        if self.over or not select.select([fd], [], [], seconds)[0]:
            return []
        data = os.read(fd, 65536)
        *lines, self._line = (self._line + data).split(b"\n")
        words = [msgspec.json.decode(line, type=Word) for line in lines]
        for word in words:
            if word.word == "error":
                raise UnplayedError(word.about)
            if word.word == "program":
                name, _, pid = word.about.rpartition(" ")
                self.plan.programs[name] = int(pid)
        if not data:
            code = self._process.wait()
            if code < 0:
                raise UnplayedError(f"the process that plays the scenario was killed by signal {-code}")
            raise UnplayedError(f"the scenario ended with code {code}, and did not say why")
        self.over = any(word.word == "done" for word in words)
        return words

    def until(self, word: str) -> None:
        """Wait until it says this.

        Raises:
            UnplayedError: it cannot be played, or does not end.
        """
        end = time.monotonic() + PATIENCE
        while not any(it.word == word for it in self.words(1.0)):
            if time.monotonic() > end:
                raise UnplayedError(f"the scenario is not over after {PATIENCE:g} s")


def why_not(lesson: Lesson) -> str:
    """Why a lesson cannot be played here; empty if it can."""
    return why_no_network() if lesson.needs_lab else ""


@functools.cache
def why_no_network() -> str:
    """Why no network of one's own is to be had here; empty if it is. A process is sent into one, to see."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        try:
            lab.enter()
        except EvloopError as error:
            os.write(write, str(error).encode())
        except OSError as error:
            os.write(write, f"the system forbids it ({error.strerror})".encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


@contextlib.contextmanager
def kept_in(save: Path | None) -> Iterator[Path]:
    """Where the run is recorded."""
    if save is None:
        path = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return
    try:
        make_folder(str(save))
        full = any(save.iterdir())
    except OSError as error:
        raise LessonError(f"--save {save}: {error.strerror or error}") from None
    if full:
        raise LessonError(f"--save {save}: there is something in it already: name a new folder, or empty it")
    yield save
