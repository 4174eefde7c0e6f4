"""Starts the product as its users do: as processes, told what to do by options and signals alone.

Nothing here sleeps: a server is ready when it says `listening`, and gone when its process is.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evloop_lessons
import pytest

import evloop as product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SECONDS = 30.0  # for anything at all; what takes longer hangs
SERVE = (sys.executable, "-P", "-m", "evloop", "serve")
CAPTURE = (sys.executable, "-P", "-m", "evloop_trace", "capture")
CAPTURE = (sys.executable, "-P", "-m", "evloop_trace", "capture")
# A network of its own, in which every port is free and nothing leads out.
ALONE = ("unshare", "-Urn", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
# Mounts of its own, which a script makes.
MOUNTING = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
# Of root's rights nothing is left: setpriv(1). Nor may one without rights write what coverage measures.
NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--",
    "env", "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG", "--",
)  # fmt: skip


# -- what the tests need --------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    """Tests say which programs they need."""
    config.addinivalue_line("markers", "needs(*programs): programs without which the test cannot be run")
    bug = config.getoption("--bug")
    Server.having = ("--bug", bug) if bug else ()


@functools.cache
def is_here(program: str) -> bool:
    """Whether a program is installed; what is in `tries` is what the system must allow."""
    tries = {
        "namespaces": [*ALONE, "true"],
        "nobody": ["unshare", "-m", *NOBODY, *ALONE, "true"],  # to be it, and to have a network then
        "ptrace": ["strace", "-o", os.devnull, "true"],
        "tracefs": [*CAPTURE, "--kernel", os.devnull, "--duration", "1ms"],
    }
    if program in tries:
        try:
            return (
                subprocess.run(tries[program], check=False, capture_output=True, timeout=SECONDS).returncode
                == 0
            )
        except FileNotFoundError:
            return False
    return shutil.which(program) is not None


def missing_programs(item: pytest.Item) -> set[str]:
    """The programs that a test needs and that are not here."""
    needed = {program for marker in item.iter_markers("needs") for program in marker.args}
    return {program for program in needed if not is_here(program)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be run, and remember to say so; in CI it is an error."""
    without = {item: missing for item in items if (missing := missing_programs(item))}
    if not without:
        return
    names = ", ".join(sorted(set().union(*without.values())))
    line = f"{len(without)} tests from outside are left out, as these are not here: {names}"
    if os.environ.get("CI"):
        raise pytest.UsageError(f"{line}; with CI set that is a failure")
    config.hook.pytest_deselected(items=list(without))
    items[:] = [item for item in items if item not in without]
    config.stash[LEFT_OUT] = line


LEFT_OUT = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The line that says what was left out."""
    if line := config.stash.get(LEFT_OUT, ""):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture
def nobody(tmp_path: Path) -> tuple[str, ...]:
    """What a command begins with that has no rights, but can read Python, us, and the test's folder."""
    return (*MOUNTING, made_readable(tmp_path), "sh", *NOBODY)


def made_readable(folder: Path) -> str:
    """A script that runs what follows it where everybody can read Python, us, and a folder.

    What is closed to others, such as root's home, is covered by an empty folder in which only these are.
    That is for a mount namespace of its own, with which it is gone.
    """
    modules = [os.path.dirname(it.__path__[0]) for it in (product, evloop_lessons)]
    needed = {Path(os.path.realpath(it)) for it in (sys.prefix, sys.base_prefix, *modules, folder)}
    needed = {it for it in needed if not needed & {*it.parents}}
    closed = {it: shut for it in needed if (shut := _closed_above(it))}
    fds = {it: fd for fd, it in enumerate(sorted(closed), 3)}
    lines = [f"exec {fd}<{shlex.quote(str(it))}" for it, fd in fds.items()]
    lines += [f"mount -t tmpfs -o mode=755 none {shlex.quote(str(it))}" for it in sorted({*closed.values()})]
    for it, fd in fds.items():
        path = shlex.quote(str(it))
        lines += [f"mkdir -p {path}", f"mount -c --rbind /proc/self/fd/{fd} {path}", f"exec {fd}<&-"]
    return "\n".join(["set -e", *lines, 'exec "$@"'])


def _closed_above(path: Path) -> Path | None:
    """The first folder on the way that others may not pass."""
    return next((it for it in [*path.parents][::-1] if not it.stat().st_mode & stat.S_IXOTH), None)


# -- processes ------------------------------------------------------------------------------


class Process:
    """A process whose standard error is read line by line."""

    def __init__(self, command: Sequence[str], stdout: int = subprocess.PIPE, **options: object) -> None:
        self.command = command
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **options,
        )
        self.pid = self.popen.pid  # of whom a signal is meant for
        self.said: list[str] = []  # lines of standard error
        self._begun = b""

    def expect(self, pattern: str) -> re.Match[str]:
        """The first line on standard error, of all that it ever said, in which the pattern is found."""
        deadline, looked_at = time.monotonic() + SECONDS, 0
        while True:
            for line in self.said[looked_at:]:
                if found := re.search(pattern, line):
                    return found
            looked_at = len(self.said)
            if not self._read(deadline):
                raise AssertionError(f"{self.command} never said {pattern!r}, but: {self.said}")

    def _read(self, deadline: float) -> bool:
        """More of standard error; False at its end."""
        fd = self.popen.stderr.fileno()
        if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
            raise AssertionError(f"{self.command} said nothing more for too long; so far: {self.said}")
        data = os.read(fd, 65536)
        *lines, self._begun = (self._begun + data).split(b"\n")
        self.said += [line.decode() for line in lines]
        return bool(data)

    def send(self, number: int = signal.SIGINT) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """Its exit code; all that it said is in `said`."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            pass
        return self.popen.wait(SECONDS)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send it a signal; its exit code."""
        self.send(number)
        return self.end()

    def kill(self) -> None:
        """End it, and all that it started, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(SECONDS)
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe:
                pipe.close()


class Server(Process):
    """An `evloop serve` that has opened its addresses."""

    having: tuple[str, ...] = ()  # with pytest --bug: what every server of the loop has

    def __init__(self, options: Sequence[str], prefix: Sequence[str] = (), **how: object) -> None:
        bug = self.having if "--model" not in options else ()
        super().__init__([*prefix, *SERVE, *bug, *options], **how)
        self.options = options
        self.folder = Path(str(how["cwd"]))
        self.addresses: list[tuple[str, str]] = []

    def await_addresses(self, count: int) -> None:
        """Wait until it has said where it listens."""
        deadline = time.monotonic() + SECONDS
        while len(self.addresses) < count:
            if not self._read(deadline):
                raise AssertionError(f"{self.command} ended with {self.popen.wait(SECONDS)}: {self.said}")
            lines = (line.split(" ", 2) for line in self.said if line.startswith("listening "))
            self.addresses = [(kind, address) for _, kind, address in lines]

    def address(self, kind: str) -> str:
        """The first address of a kind: tcp, udp or unix."""
        return next(address for its_kind, address in self.addresses if its_kind == kind)

    def port(self, kind: str = "tcp") -> int:
        """The port of that address."""
        return int(self.address(kind).rpartition(":")[2])

    @property
    def complaints(self) -> list[str]:
        """What it said besides where it listens."""
        return [line for line in self.said if not line.startswith("listening ")]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Its log, or the events of some kinds; read as any other program would, without our own reader."""
        text = (self.folder / self.options[self.options.index("--log") + 1]).read_text(encoding="utf-8")
        assert text.endswith("\n"), "the log's last line is torn"
        events = [json.loads(line) for line in text.splitlines()]
        return [event for event in events if not kinds or event["ev"] in kinds]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `evloop serve` with options, and have it ended with the test."""
    servers: list[Server] = []

    def start(*options: str, prefix: Sequence[str] = (), expect: int | None = None, **how: object) -> Server:
        server = Server(options, prefix, **{"cwd": tmp_path, **how})
        servers.append(server)
        asked = sum(option in {"--tcp", "--udp", "--unix"} for option in options)
        server.await_addresses((asked or 2) if expect is None else expect)
        return server

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start any command in the test's folder, and have it ended with the test."""
    processes: list[Process] = []

    def start(*command: str, **how: object) -> Process:
        process = Process(command, **{"cwd": tmp_path, **how})
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end: text in, text out."""

    def start(
        *command: str, said: str | None = "", seconds: float = SECONDS, **how: object
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            check=False,
            input=said,
            capture_output=True,
            text=True,
            timeout=seconds,
            **{"cwd": tmp_path, **how},
        )

    return start


@pytest.fixture
def evloop(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `evloop` to its end."""
    return functools.partial(run, *SERVE[:-1])


@pytest.fixture(scope="session")
def saved_lesson(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the first lesson, kept; who changes something in it takes a copy."""
    folder = tmp_path_factory.mktemp("lesson") / "saved"
    command = [sys.executable, "-P", "-m", "evloop", "lesson", "1", "--no-ask", "--save", str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=2 * SECONDS)
    return folder


@pytest.fixture
def alone() -> tuple[str, ...]:
    """What to put before a command to give it a network of its own."""
    return ALONE


# -- a network of its own -------------------------------------------------------------------


class Lab:
    """A network of its own, in which commands are started."""

    def __init__(
        self,
        begin: Callable[..., Process],
        run: Callable[..., subprocess.CompletedProcess[str]],
        alone: tuple[str, ...],
    ) -> None:
        self.keeper = begin(*alone, "sh", "-c", "echo ready >&2; exec sleep 1000")
        self.keeper.expect("ready")
        self.inside = ("nsenter", f"-t{self.keeper.pid}", "-U", "-n", "--preserve-credentials", "--")
        self._begin, self._run = begin, run

    def begin(self, *command: str, **how: object) -> Process:
        """Start a command."""
        return self._begin(*self.inside, *command, **how)

    def run(self, *command: str, **how: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self._run(*self.inside, *command, **how)

    def python(self, script: str) -> str:
        """Run a script with a name or two at hand; what it prints."""
        done = self.run(sys.executable, "-c", f"from socket import *; import os, time\n{script}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def capture(self, *options: str, **how: object) -> Process:
        """A capture that is ready."""
        process = self.begin(*CAPTURE, *options, **how)
        process.expect("^capturing on ")
        return process

    def serve(self, *options: str) -> Process:
        """A server that listens."""
        server = self.begin(*SERVE, *options)
        server.expect("^listening ")
        return server


@pytest.fixture
def lab(
    begin: Callable[..., Process],
    run: Callable[..., subprocess.CompletedProcess[str]],
    alone: tuple[str, ...],
) -> Lab:
    """A network of the test's own."""
    return Lab(begin, run, alone)


# -- watching -------------------------------------------------------------------------------


class Watcher:
    """A raw client of the watch socket."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(path)
        self.lines = self.sock.makefile("rb")
        # The server lets it in when its loop comes to that; from here on it is told of everything.
        self.header, self.snapshot = self.next(), self.next()

    def next(self) -> dict[str, Any]:
        """The next event."""
        return json.loads(self.lines.readline())

    def until(self, ev: str, condition: Callable[[dict[str, Any]], object] = bool) -> list[dict[str, Any]]:
        """Events up to the first of a kind that fulfils a condition."""
        seen = [self.next()]
        while seen[-1]["ev"] != ev or not condition(seen[-1]):
            seen.append(self.next())
        return seen

    def rest(self) -> list[dict[str, Any]]:
        """Everything up to the end of the stream, which must not be torn."""
        return [json.loads(line) for line in self.lines]

    def close(self) -> None:
        """Leave."""
        self.lines.close()
        self.sock.close()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[], Watcher]]:
    """Connect to the server's watch socket in the test's folder."""
    watchers: list[Watcher] = []

    def connect() -> Watcher:
        watchers.append(Watcher(str(tmp_path / "watch.sock")))
        return watchers[-1]

    yield connect
    for watcher in watchers:
        watcher.close()
