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
from pathlib import Path
from typing import NoReturn

import msgspec

from evloop import lab
from evloop.errors import EvloopError
from evloop_lessons.library import LessonFolder
from evloop_lessons.plan import TEMPORARY, THINK, read_plan, write_plan
from evloop_lessons.stage.leash import end_with_parent
from evloop_lessons.stage.stage import Stage

__all__ = ["main"]

BUCKETS = 8192  # for some thousand sockets; their table is read every few milliseconds


def main() -> int:
    """Play it; the exit code."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who leads: that one ends us
    source, folder, pace, parent = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    try:
        _play(LessonFolder(source), folder, pace)
    except EvloopError as error:
        _say("error", str(error))
        return 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is left to be ended but this process
        if os.getppid() != parent and folder.name.startswith(TEMPORARY):
            shutil.rmtree(folder, ignore_errors=True)  # who leads was killed, and cannot do it
    _say("done")
    return 0


def _play(entry: LessonFolder, folder: Path, pace: str) -> None:
    def told(word: str, about: str) -> None:
        _say(word, about)
        if word == "step" and pace == "slow":
            time.sleep(THINK)
        if word == "step" and pace == "pace":
            _heed()

    plan = read_plan(folder)
    if plan.network:
        lab.enter(buckets=BUCKETS)
    end_with_parent()
    with Stage(entry.lesson, plan, entry.folder, folder, told) as stage:
        _say("ready")
        _heed()
        try:
            entry.play(stage)
        finally:
            write_plan(folder, plan)


def _say(word: str, about: str = "") -> None:
    sys.stdout.buffer.write(msgspec.json.encode({"word": word, "about": about}) + b"\n")
    sys.stdout.buffer.flush()


def _heed() -> None:
    """Wait for a line; if there will be none, nobody leads any more."""
    if not sys.stdin.buffer.readline():
        raise SystemExit(1)


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
