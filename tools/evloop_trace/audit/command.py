"""The command of a server that is audited: where its log is, and how it is told to write one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NoLogError", "with_log"]

_OURS = {"evloop": {"serve", "client"}, "evloop-trace": {"run"}, "evloop_trace": {"run"}}


class NoLogError(ValueError):
    """There would be nothing to compare; the message says why."""


def with_log(command: Sequence[str], log: str | None, spare: str) -> tuple[list[str], str]:
    """The command, made to write a log, and the log's name.

    The one that it names itself is taken; else `log`, or else `spare`, is put into a command of evloop's. Of
    any other it is believed that it writes `log`, such as a script that starts a server.

    Raises:
        NoLogError: it names none and cannot be told, or names another than `log`, or standard output.
    """
    words = list(command)
    own, at = _named(words), _place(words)
    if own is not None and log is not None and own != log:
        raise NoLogError(f"--log {log} and the command's own --log {own} are two files: leave one out")
    name = own if own is not None else log
    if name is None and at is not None:
        name = spare
    if name == "-":
        raise NoLogError("a log on standard output cannot be read again: give it a file")
    if name is None:
        raise NoLogError(
            "the command names no --log: give audit the --log FILE that it writes, "
            "or give it evloop serve …, evloop client …, or evloop-trace run …"
        )
    if own is None and at is not None:
        words[at:at] = ["--log", name]
    return words, name


def _named(words: Sequence[str]) -> str | None:
    """The log that it names; behind `run SCRIPT` options are the script's."""
    at = _place(words)
    if at is None:
        return None
    program = words[at - 1] == "run"
    rest = iter(words[at:])
    for word in rest:
        if word == "--log":
            return next(rest, None)
        if word.startswith("--log="):
            return word.removeprefix("--log=")
        if program and (word in {"--", "-m"} or not word.startswith("-")):
            return None
        if program and word in {"--payload", "--payload-max", "--capture", "--port"}:
            next(rest, None)
    return None


def _place(words: Sequence[str]) -> int | None:
    """Where options of a command of evloop's begin."""
    for at, (first, second) in enumerate(pairwise(words)):
        if second in _OURS.get(first.rpartition("/")[2], ()):
            return at + 2
    return None
