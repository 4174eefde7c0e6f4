"""The programs of a scenario: real processes, each with a log in which one can see how far it is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from evloop_trace.apps.tail import Tail
from evloop_trace.model.filters import kind_of

from evloop.errors import LogError
from evloop_lessons.lesson import LessonError
from evloop_lessons.stage.leash import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Actor", "Server", "StageError", "python"]

ENDING = 5.0  # seconds that a program has to end when it is told to


class StageError(LessonError):
    """A scenario cannot go on."""


def python(*arguments: str) -> list[str]:
    """A module of ours; -P: a file in the current folder must not stand in for one of them."""
    return [sys.executable, "-P", "-m", *arguments]


def _begin() -> None:
    """In a program, before it is one: it ends with us, and at SIGINT, which we ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent()


class Actor:
    """A process, and what its log says."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        until: Callable[[Callable[[], bool], str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            name: Of the actor, and of its log, which the command writes to `NAME.jsonl`.
            command: The program.
            folder: Where its log is, and what it prints.
            until: Waits until something is so; takes how to see that, and what it is.
            environment: The program's; else it is ours.
        """
        self.name = name
        self.events: list[Any] = []
        """Of its log, so far as it was read."""
        self._until = until
        self._output = folder / f"{name}.out"
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, cwd=folder,
                env=environment, preexec_fn=_begin,  # noqa: PLW1509 - there is one thread here
            )  # fmt: skip
        self._tail = Tail(str(folder / f"{name}.jsonl"))

    def until(self, kind: str, count: int = 1, **fields: Any) -> Any:
        """Wait until its log has so many of these events; gives the last of them.

        Args:
            kind: As in the log: `ev`.
            count: How many there must be, since the beginning.
            fields: What must be in them: n=18.

        Raises:
            StageError: it takes too long, or the program has ended without.
        """
        wanted = " ".join([kind, *(f"{name}={value!r}" for name, value in fields.items())])
        times = f" {count} times" if count > 1 else ""
        self._until(
            lambda: len(self._have(kind, fields)) >= count, f"{wanted}{times} in the log of {self.name}"
        )
        return self._have(kind, fields)[count - 1]

    def those(self, kind: str, **fields: Any) -> list[Any]:
        """These events, as far as its log has them by now."""
        self._read()
        return self._those(kind, fields)

    def has(self, kind: str, count: int = 1, **fields: Any) -> bool:
        """Whether its log has so many of these events by now."""
        self._read()
        return len(self._those(kind, fields)) >= count

    def _have(self, kind: str, fields: dict[str, Any]) -> list[Any]:
        over = self.process.poll() is not None
        self._read()
        have = self._those(kind, fields)
        if over and not have:
            raise StageError(f"{self.name} has ended without {kind}: {self.said()}")
        return have

    def _those(self, kind: str, fields: dict[str, Any]) -> list[Any]:
        return [
            it
            for it in self.events
            if kind_of(it) == kind and all(getattr(it, name, None) == value for name, value in fields.items())
        ]

    def _read(self) -> None:
        try:
            if self._tail.begin() is not None:
                while items := self._tail.read():
                    self.events += self._tail.events(items)
        except LogError as error:
            raise StageError(str(error)) from None

    def said(self) -> str:
        """The last line that it has printed."""
        lines = self._output.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it has said nothing"

    def say(self, text: str) -> None:
        """A line on its standard input."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{text}\n".encode())
            self.process.stdin.flush()

    def hang_up(self) -> None:
        """The end of its standard input."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def signal(self, name: str) -> None:
        """Send it a signal, such as SIGKILL or SIGSTOP."""
        self.process.send_signal(signal.Signals[name])

    def wait(self) -> int:
        """Wait until it has ended; its exit code, or less than 0: the signal."""
        self._until(lambda: self.process.poll() is not None, f"the end of {self.name}")
        return self.process.returncode

    def tell_to_end(self) -> None:
        """That it is over."""
        self.hang_up()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Wait until it has ended, in good order or not."""
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Be rid of it."""
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def close(self) -> None:
        """Let go of its log, and of what it has printed."""
        self._tail.close()
        os.unlink(self._output)


class Server(Actor):
    """A server that listens."""

    address = ""
    """HOST:PORT."""
    control = ""
    """Where it is told what to hold back: a Unix socket in its folder."""

    def hold(self, gate: str) -> None:
        """From now on it does not `accept`, `read` or `close`; or, a loop, it always watches for `write`.

        A server that blocks and sleeps in the call already is not called back.
        """
        self._command(f"hold {gate}")

    def release(self, gate: str) -> None:
        """It may again."""
        self._command(f"release {gate}")

    def _command(self, line: str) -> None:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(ENDING)
                # A socket's address has no room for most paths; that of a process' folder it has: proc(5).
                sock.connect(f"/proc/{self.process.pid}/cwd/{self.control}")
                sock.sendall(f"{line}\n".encode())
                answer = sock.recv(1024).decode().strip()
        except OSError as error:
            raise StageError(f"{self.name} cannot be told to {line}: {error.strerror or error}") from None
        if answer != "ok":
            raise StageError(f"{self.name} cannot be told to {line}: {answer.removeprefix('error ')}")

    def listening(self) -> None:
        """Wait until it listens."""
        event = self.until_one_of("listen", "bind")
        self.address = event.address

    def until_one_of(self, *kinds: str) -> Any:
        """Wait for the first of any of these events."""

        def have() -> list[Any]:
            return [it for kind in kinds for it in self._have_any(kind)]

        self._until(lambda: bool(have()), f"{' or '.join(kinds)} in the log of {self.name}")
        return have()[0]

    def _have_any(self, kind: str) -> list[Any]:
        if self.process.poll() is not None:
            raise StageError(f"{self.name} could not begin: {self.said()}")
        return self._have(kind, {})
