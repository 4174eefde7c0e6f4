"""What is to be played, or was: `run.json`, and the names of the files beside it."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import msgspec

from evloop_lessons.lesson import LessonError

if TYPE_CHECKING:
    from pathlib import Path

    from evloop_lessons.lesson import Lesson

__all__ = [
    "CAPTURE", "PLAN", "SAMPLES", "STEPS", "TEMPORARY", "THINK", "Plan", "read_plan", "why_unread",
    "write_plan",
]  # fmt: skip

THINK = 1.5  # seconds before each step, with --slow

TEMPORARY = "evloop-lesson-"
"""What the name of a folder begins with that nobody keeps."""

PLAN, CAPTURE, STEPS, SAMPLES = "run.json", "run.pcapng", "steps.jsonl", "sockets.jsonl"


SCHEMA = "evloop-lesson/1"
LARGEST = 64 << 20
"""Bytes of a file: no lesson makes one of a tenth of this."""

_GZIP = b"\x1f\x8b"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be played, or was: `run.json`."""

    lesson: int
    folder: str
    """The name of the lesson's folder."""
    parameters: dict[str, int | float | str]
    programs: dict[str, int] = {}
    """The logs' names, and the processes that wrote them."""
    network: bool = True
    """In a network of its own."""
    schema: str = SCHEMA
    prediction: str = ""


def read_plan(folder: Path, lesson: Lesson | None = None) -> Plan:
    """What was played there.

    Args:
        folder: Where.
        lesson: Which it was; its parameters have values that they can have.

    Raises:
        LessonError: nothing was, or it cannot be known.
    """
    path = folder / PLAN
    if why := why_unread(path):
        if path.exists() or path.is_symlink():
            raise LessonError(f"{folder}: {why}")
        what = "is no saved lesson: it has no run.json" if folder.is_dir() else "is no folder"
        raise LessonError(f"{folder} {what}; make one with evloop lesson N --save DIR")
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LessonError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise LessonError(f"{path} cannot be read: {error.strerror or error}") from None
    if plan.schema != SCHEMA:
        raise LessonError(f"{path} is written in {plan.schema!r}, and only {SCHEMA} is understood here")
    for name in plan.programs:
        if not _NAME.fullmatch(name):
            raise LessonError(f"{path}: {name!r} is no name of a program")
    if lesson is not None:
        values = lesson.values({name: str(it) for name, it in plan.parameters.items()}, f"{path}: ")
        return msgspec.structs.replace(plan, parameters=dict(values))
    return plan


def write_plan(folder: Path, plan: Plan) -> None:
    """Write it down there."""
    (folder / PLAN).write_bytes(msgspec.json.encode(plan))


def why_unread(path: Path) -> str:
    """Why a file of a saved run is not read; empty if it is. Somebody may have put anything there."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return f"{path.name} is no file"
        if status.st_size > LARGEST:
            return f"{path.name} is larger than any lesson makes it, {LARGEST >> 20} MiB: nobody reads it"
        with open(path, "rb") as file:
            return f"{path.name} is compressed: leave it as it was saved" if file.read(2) == _GZIP else ""
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror or error}"
