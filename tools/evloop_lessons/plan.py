"""What is to be played, or was: `run.json`, and the names of the files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from evloop_lessons.lesson import LessonError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CAPTURE", "PLAN", "SAMPLES", "STEPS", "TEMPORARY", "THINK", "Plan", "read_plan"]

THINK = 1.5  # seconds before each step, with --slow

TEMPORARY = "evloop-lesson-"
"""What the name of a folder begins with that nobody keeps."""

PLAN, CAPTURE, STEPS, SAMPLES = "run.json", "run.pcapng", "steps.jsonl", "sockets.jsonl"


class Plan(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be played, or was: `run.json`."""

    lesson: int
    folder: str
    """The name of the lesson's folder."""
    parameters: dict[str, int | float | str]
    programs: dict[str, int] = {}
    """The logs' names, and the processes that wrote them."""
    network: bool = True
    """In a network of its own."""
    schema: str = "evloop-lesson/1"
    prediction: str = ""


def read_plan(folder: Path) -> Plan:
    """What was played there.

    Raises:
        LessonError: nothing was, or it cannot be known.
    """
    path = folder / PLAN
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        what = "is no saved lesson: it has no run.json" if folder.is_dir() else "is no folder"
        raise LessonError(f"{folder} {what}; make one with evloop lesson N --save DIR") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LessonError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise LessonError(f"{path} cannot be read: {error.strerror or error}") from None
