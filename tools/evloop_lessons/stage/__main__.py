"""`python -m evloop_lessons.stage LESSON FOLDER PACE PARENT`: the process that plays a scenario.

It is told on its standard input, and says on its standard output, a JSON object a line:

    ready           everything is prepared; it goes on when it gets a line
    program NAME PID  one was started
    step NAME       a step begins; with `pace` it goes on when it gets a line
    error SENTENCE  it could not be played; it ends
    done            it was played; it ends
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

import msgspec

from evloop import lab
from evloop.errors import EvloopError
from evloop.printable import encodable
from evloop_lessons.library import LessonFolder
from evloop_lessons.plan import TEMPORARY, THINK, read_plan, write_plan
from evloop_lessons.stage.leash import adopt_orphans, end_children, end_with_parent
from evloop_lessons.stage.stage import Stage, StageError

__all__ = ["main"]

BUCKETS = 8192  # for some thousand sockets; their table is read every few milliseconds


def main() -> int:
    """Play it; the exit code."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who leads: that one ends us
    source, folder, pace, parent = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    say = _Words()
    try:
        _play(LessonFolder(source), folder, pace, say)
    except EvloopError as error:
        say("error", str(error))
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is left to be ended but this process
        if os.getppid() != parent and folder.name.startswith(TEMPORARY):
            shutil.rmtree(folder, ignore_errors=True)  # who leads was killed, and cannot do it
    say("done")
    return 0


class _Left(SystemExit):
    """Nobody leads any more, or who leads has had enough."""


def _play(entry: LessonFolder, folder: Path, pace: str, say: _Words) -> None:
    def told(word: str, about: str) -> None:
        say(word, about)
        if word == "step" and pace == "slow":
            time.sleep(THINK)
        if word == "step" and pace == "pace":
            _heed()

    plan = read_plan(folder)
    if plan.network:
        lab.enter(buckets=BUCKETS)
    end_with_parent()
    adopt_orphans()
    try:
        with Stage(entry.lesson, plan, entry.folder, folder, told) as stage:
            say("ready")
            _heed()
            try:
                entry.play(stage)
            except (EvloopError, _Left):
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a scenario does, it is told
                raise StageError(_what(error, entry.folder)) from None
            finally:
                write_plan(folder, plan)
    finally:
        end_children()


def _what(error: BaseException, folder: Path) -> str:
    """An error of the scenario's, and the last line of the lesson's that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{it.filename}:{it.lineno}" for it in frames if it.filename.startswith(f"{folder}{os.sep}")]
    return ": ".join(filter(None, [where[-1] if where else str(folder), type(error).__name__, str(error)]))


class _Words:
    """What we say on standard output. It is ours alone: what a scenario prints goes to standard error."""

    def __init__(self) -> None:
        self._out = open(os.dup(1), "wb", buffering=0)  # noqa: SIM115 - as long as we live
        os.dup2(2, 1)

    def __call__(self, word: str, about: str = "") -> None:
        self._out.write(msgspec.json.encode({"word": word, "about": encodable(about)}) + b"\n")


def _heed() -> None:
    """Wait for a line; if there will be none, nobody leads any more."""
    if not sys.stdin.buffer.readline():
        raise _Left(1)


def _end(_number: int, _frame: object) -> NoReturn:
    raise _Left(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
