"""`evloop-trace run`: how a Python program is started so that its socket calls are recorded.

The program is a Python process of its own, started as `python SCRIPT ARG…` would; only
its PYTHONPATH begins with a folder whose `sitecustomize` starts the instrument.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, NoReturn
from zipfile import is_zipfile

from evloop.errors import EvloopError
from evloop.events.run import VARIABLE, Run
from evloop.events.sinks import open_log

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["become", "prepare"]


def prepare(
    program: Sequence[str], log: str, payload: str = "prefix", payload_max: int = 64
) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that run a program with its log.

    Args:
        program: What would follow `python`: SCRIPT ARG…, or -m MODULE ARG….
        log: The file; its processes' are beside it.
        payload: How much of a payload is kept: none, prefix or full.
        payload_max: Bytes, when it is prefix.

    Raises:
        EvloopError: there is no such program, or it is no Python.
        LogError: the log cannot be written.
    """
    if program[0] == "-m":
        _check_module(program)
    else:
        _check_script(program)
    os.close(open_log(log))
    run = Run(os.path.abspath(log), os.urandom(8).hex(), payload, payload_max)
    path = os.pathsep.join(filter(None, (_site_folder(), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, VARIABLE: run.encode()}
    return [sys.executable, *program], environment


def become(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Be the program from here on: same process, same streams, and what it ends with is our end.

    Raises:
        EvloopError: it cannot be started.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and its children would, too
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(command[0], command, environment)  # noqa: S606 - as it should be
    except OSError as error:
        raise EvloopError(f"{command[0]} cannot be started: {error.strerror}") from None


def _site_folder() -> str:
    """The folder of the instrument's `sitecustomize`. The instrument itself is no business of ours."""
    package = find_spec("evloop")
    assert package is not None
    assert package.origin is not None
    return os.path.join(os.path.dirname(package.origin), "instrument", "site")


def _check_module(program: Sequence[str]) -> None:
    """Python would say it in other words, and with an exit code that the program may have, too."""
    if len(program) < 2:
        raise EvloopError("-m needs the name of a module: see evloop-trace run --help")
    name = program[1].partition(".")[0]
    # The current folder is where -m looks first.
    path = [os.getcwd(), *sys.path[1:]]
    finders = (
        BuiltinImporter.find_spec(name),
        FrozenImporter.find_spec(name),
        PathFinder.find_spec(name, path),
    )
    if not any(finders):
        raise EvloopError(
            f"there is no module {name!r}: it is not installed for {sys.executable}, nor is it here"
        )


def _check_script(program: Sequence[str]) -> None:
    script = program[0]
    if script == "-":
        return
    if os.path.isdir(script):
        if not os.path.exists(os.path.join(script, "__main__.py")):
            raise EvloopError(f"{script} is a folder without a __main__.py: give the program's file")
        return
    try:
        is_file = stat.S_ISREG(os.stat(script).st_mode)
        if is_file or not os.access(script, os.R_OK):
            with open(script, "rb") as file:
                head = file.read(4096)
    except OSError as error:
        raise _interpreter(program) or EvloopError(f"{script} cannot be run: {error.strerror}") from None
    if is_file and not script.endswith((".py", ".pyc")) and not _is_python(head) and not is_zipfile(script):
        raise _interpreter(program) or EvloopError(f"{script} is no Python program: run records only those")


def _interpreter(program: Sequence[str]) -> EvloopError | None:
    """Who is used to type `python` before a script; None if that is not what is wrong."""
    if not re.fullmatch(r"python[0-9.]*", os.path.basename(program[0])):
        return None
    own = program[1:3] if program[1:2] == ["-m"] else program[1:2]
    which = f"{' '.join(own)} alone, which" if own else "the program's own, which"
    return EvloopError(f"{program[0]} is no script: name {which} runs with {sys.executable}")


def _is_python(head: bytes) -> bool:
    """Whether a file that begins so may be Python source."""
    return b"\0" not in head and not re.match(
        rb"#!.*\b(sh|bash|dash|ksh|zsh|fish|perl|ruby|node|php)\b", head
    )
