"""A program that is attended: whole processes, on pipes and on a terminal that an emulator plays."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.apps.attend import attend
from evloop_trace.apps.emulator import Emulator
from evloop_trace.apps.program import Program, PseudoTerminal

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 30

DRIVER = """
import os, sys
from evloop_trace.apps.attend import attend
log, picture, *program = sys.argv[1:]
def prepare(path):
    return [sys.executable, "-c", *program], {**os.environ, "LOG": path}
sys.exit(attend(prepare, "it.py", log or None, picture=bool(picture)))
"""

# What a program under the instrument would write of itself.
RECORD = """
import os, sys, signal, time
from evloop.events.mapped import direct_sink
from evloop.events.schema import SCHEMA, End, Header, Recv
from evloop.events.sinks import encode
sink = direct_sink(os.environ["LOG"], print)
def record(*events):
    sink.write(encode(events), events)
record(Header(0, 0, 0, SCHEMA, time.monotonic_ns(), time.time_ns(), 0, os.getpid(), ["it.py"], {}, "", "",
              "prefix", 64, model="run", run="r"))
def recv(data, seq=1):
    record(Recv(seq, seq * 1000, 0, 100, "tcp-1", 5, 100, len(data), None, data))
def end():
    record(End(9, 9000, 0, "finished", 3))
"""


def command(program: str, log: str = "", *, picture: bool = False) -> list[str]:
    """The driver with a program that records itself."""
    return [sys.executable, "-c", DRIVER, log, "1" if picture else "", RECORD + program]


def start(program: str, log: str = "", **options: Any) -> subprocess.Popen[str]:
    """On pipes."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command(program, log), stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options)


def test_streams_are_the_programs_own_and_events_are_lines(tmp_path: Path) -> None:
    """As strace(1) does it; the log is removed in the end, and so is its folder."""
    program = "print(os.environ['LOG'], sys.stdin.read()); recv(b'hello'); end(); sys.exit(3)"
    with start(program, env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        out, lines = process.communicate("input", SECONDS)
    assert process.returncode == 3
    log, said = out.split()
    assert said == "input"
    assert Path(log).parent.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    header, recv, end = lines.splitlines()
    assert " header " in header
    assert "recv(100) = 5" in recv
    assert '"hello"' in recv
    assert " end " in end


def test_a_log_that_has_a_name_is_kept(tmp_path: Path) -> None:
    """What was in it before is not shown."""
    path = tmp_path / "log.jsonl"
    path.write_text("old\n")
    with start("recv(b'new'); end(); sink.close()", str(path)) as process:
        _, lines = process.communicate("", SECONDS)
    assert process.returncode == 0
    assert "old" not in lines
    assert [json.loads(line)["ev"] for line in path.read_text().splitlines()] == ["header", "recv", "end"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_program(number: signal.Signals, tmp_path: Path) -> None:
    """What it makes of them is what becomes of us."""
    program = (
        f"signal.signal({int(number)}, lambda *_: (recv(b'caught'), sys.exit(7)));"
        "print('ready', flush=True); signal.pause()"
    )
    with start(program, env={**os.environ, "TMPDIR": str(tmp_path)}) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, lines = process.communicate(timeout=SECONDS)
    assert process.returncode == 7
    assert "caught" in lines
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_killed_takes_us_with_it() -> None:
    """By the same signal; a shell sees no difference."""
    with start("recv(b'last words'); os.kill(os.getpid(), signal.SIGKILL)") as process:
        _, lines = process.communicate("", SECONDS)
    assert process.returncode == -signal.SIGKILL
    assert "last words" in lines


def test_who_does_not_read_our_lines_does_not_harm_the_program() -> None:
    """It goes on, and so does one without a standard error."""
    program = "print('go', flush=True); sys.stdin.readline(); recv(b'x'); sys.exit(4)"
    with start(program) as process:
        process.stdout.readline()
        process.stderr.close()
        process.stdin.write("on\n")
        process.stdin.close()
        assert process.wait(SECONDS) == 4
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command("end(); sys.exit(5)")], check=False, timeout=SECONDS
    )
    assert closed.returncode == 5


def test_a_program_that_spoils_its_log_is_not_harmed() -> None:
    """One sentence says why there are no more lines."""
    program = "open(os.environ['LOG'], 'w').write('nonsense\\n'); sys.exit(6)"
    with start(program) as process:
        _, lines = process.communicate("", SECONDS)
    assert process.returncode == 6
    assert lines.splitlines()[-1].startswith("evloop-trace: ")
    assert "is not an event log" in lines


def test_what_cannot_be_run_is_one_sentence(tmp_path: Path) -> None:
    """Neither a command that is not there nor a log that is no file."""
    with pytest.raises(EvloopError, match="no-such-program cannot be started: No such file"):
        attend(lambda _: (["no-such-program"], {}), "x")
    with pytest.raises(EvloopError, match="is no file: a log that is shown while it is written must be one"):
        attend(lambda _: (["true"], {}), "x", str(tmp_path))


# -- on a terminal ---------------------------------------------------------------------------


class Window:
    """A terminal in which a command runs; its screen is waited for, never slept for."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._pseudo = PseudoTerminal(columns, lines)
        self._emulator = Emulator(columns, lines, self._pseudo.write)
        self.raw = b""

    def run(self, *words: str) -> Program:
        """Start it."""
        environment = {**os.environ, "TERM": "xterm"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.program = Program(words, environment, self._pseudo, (0, 1, 2))
        return self.program

    def type(self, keys: str) -> None:
        """As if on its keyboard."""
        self._pseudo.write(keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """The window is dragged."""
        self._pseudo.resize(columns, lines)
        self._emulator.resize(columns, lines)

    def screen(self) -> list[str]:
        """What it shows."""
        return ["".join(segment.text for segment in line).rstrip() for line in self._emulator.lines()]

    def until(self, words: str) -> list[str]:
        """The screen as soon as it has some words."""
        deadline = time.monotonic() + SECONDS
        while words not in "\n".join(screen := self.screen()):
            assert time.monotonic() < deadline, "\n".join(screen)
            self._read()
        return screen

    def end(self) -> int:
        """The exit code; the screen is the last."""
        deadline = time.monotonic() + SECONDS
        while (code := self.program.poll()) is None:
            assert time.monotonic() < deadline
            self._read()
        while self._read():
            pass
        return code

    def _read(self) -> bytes:
        """What comes in a moment, if anything does."""
        select.select([self._pseudo], [], [], 0.05)
        data = self._pseudo.read()
        self.raw += data
        # There is no other screen here: what shows on it is cleared when it is left.
        self._emulator.feed(data.replace(b"\x1b[?1049l", b"\x1b[2J\x1b[H"))
        return data

    def close(self) -> None:
        """Whatever still runs gets SIGHUP."""
        self._pseudo.close()


@pytest.fixture
def window() -> Iterator[Window]:
    """80 columns, 24 lines."""
    with closing(Window()) as window:
        yield window


ASK = "recv(b'hello'); print('said', input('name? ')); end(); sys.exit(3)"


def test_the_screen_is_split(window: Window) -> None:
    """The picture above, the program below, and in the end what it wrote and the last picture."""
    window.run(*command(ASK, picture=True))
    screen = window.until("name?")
    window.until('"hello"')
    assert len(screen) == 24
    assert screen[15].startswith("── terminal of it.py ──")
    assert screen[16] == "name?"
    window.type("Bobx\x7f\r")
    assert window.end() == 3
    last = window.screen()
    assert last[:2] == ["name? Bob", "said Bob"]
    assert last[2].startswith(" evloop ")
    assert "The program has ended: finished." in last
    assert window.raw.count(b"\x1b[?1049h") == window.raw.count(b"\x1b[?1049l") == 1


def test_a_spoilt_log_is_no_end_of_the_program(window: Window) -> None:
    """There is a sentence instead of the last picture."""
    program = "open(os.environ['LOG'], 'w').write('nonsense\\n'); print('said', input('name? '))"
    window.run(*command(program, picture=True))
    window.until("name?")
    window.type("Bob\r")
    assert window.end() == 0
    assert "said Bob" in window.screen()
    assert "is not an event log" in " ".join(window.screen())


def test_control_c_is_the_programs(window: Window) -> None:
    """If it dies of it so do we."""
    program = "signal.signal(2, signal.SIG_DFL); print(os.isatty(1)); signal.pause()"
    window.run(*command(program, picture=True))
    window.until("True")
    window.type("\x03")
    assert window.end() == -signal.SIGINT
    assert "The log has no end: the program was killed." in window.screen()


def test_a_new_size_is_the_programs_too(window: Window) -> None:
    """It has a third, and at least six lines."""
    program = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH}); signal.signal(2, signal.SIG_DFL)\n"
        "print(*os.get_terminal_size(1))\n"
        "while signal.sigwait({signal.SIGWINCH}): print(*os.get_terminal_size(1))"
    )
    window.run(*command(program, picture=True))
    window.until("80 8")
    window.resize(70, 40)
    assert len(window.until("70 13")) == 40
    window.resize(40, 10)
    window.until("40 6")
    window.type("\x03")
    assert window.end() == -signal.SIGINT


def test_signals_to_us_are_the_programs(window: Window) -> None:
    """On a terminal as well."""
    program = "signal.signal(15, lambda *_: sys.exit(8)); print('ready'); signal.pause()"
    us = window.run(*command(program, picture=True))
    window.until("ready")
    us.send(signal.SIGTERM)
    assert window.end() == 8


def test_what_a_program_writes_stays_in_its_part(window: Window) -> None:
    """It may clear its screen, and no other."""
    program = "print('\\x1b]0;owned\\x07\\x1b[2J\\x1b[H\\x1b[5mhostile \\u202e\\x9b31m end'); input()"
    window.run(*command(program, picture=True))
    screen = window.until("hostile")
    assert screen[0].startswith(" evloop ")
    assert "hostile" in screen[16]
    window.type("\r")
    window.end()
    assert b"owned" not in window.raw
    assert "\u202e".encode() not in window.raw


def test_all_that_was_written_is_there_in_the_end(window: Window) -> None:
    """Not only what was on the screen, and nothing of what never was."""
    window.run(*command("print(*range(200), sep='\\n'); sys.exit(0)", picture=True))
    assert window.end() == 0
    shown = window.raw.rpartition(b"\x1b[?1049l")[2].decode().split("\r\n")
    assert shown[:200] == [str(number) for number in range(200)]


def test_nothing_recorded_is_no_picture(window: Window) -> None:
    """A program that ends at once, or that the instrument does not reach."""
    window.run(sys.executable, "-c", DRIVER, "", "1", "print('bye')")
    assert window.end() == 0
    assert [line for line in window.screen() if line] == [
        "bye",
        "Nothing was recorded: the program ended before its log began.",
    ]


def test_control_z_suspends_both(window: Window, tmp_path: Path) -> None:
    """The shell has its terminal back; fg goes on where it was."""
    script = tmp_path / "go"
    script.write_text(shlex.join(["exec", *command(ASK, picture=True)]))
    window.run("bash", "--norc", "-i")
    window.type(f"PS1='ready$ '; cd {tmp_path}\r")
    window.until("\nready$")
    window.type("sh go\r")
    window.until("name?")
    window.type("Bo\x1a")
    screen = window.until("Stopped")
    assert not any(line.startswith(" evloop ") for line in screen)
    deadline = time.monotonic() + SECONDS
    while (states := _states(window)) != ["T", "T"]:  # SIGSTOP is sent; it stops who is next on a core
        assert time.monotonic() < deadline, states
    window.type("fg\r")
    window.until("name? Bo")
    window.type("b\r")
    window.until("said Bob")
    window.until("ready$")
    window.type("exit $?\r")
    assert window.end() == 3


def _states(window: Window) -> list[str]:
    """Of those who run in a window's shell, as proc(5) writes them."""
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in _below(window)]


def _below(window: Window) -> list[int]:
    """The pids of those who run in a window's shell, the oldest first."""
    pids = [window.program.pid]
    for pid in pids:
        pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return pids[1:]


def test_a_terminal_can_be_suspended_from_outside(window: Window) -> None:
    """Where there is no shell that could make us go on, the kernel does not stop us."""
    us = window.run(*command(ASK, picture=True))
    window.until("name?")
    us.send(signal.SIGTSTP)
    window.type("Bob\r")
    assert window.end() == 3


def test_a_window_that_is_closed_ends_the_program(window: Window, tmp_path: Path) -> None:
    """It gets SIGHUP, as it would on the terminal itself."""
    mark = tmp_path / "mark"
    program = (
        f"signal.signal(1, lambda *_: (open({str(mark)!r}, 'w').close(), os._exit(0)));"
        "print('ready'); time.sleep(60)"
    )
    us = window.run(*command(program, picture=True))
    window.until("ready")
    window.close()
    deadline = time.monotonic() + SECONDS
    while not mark.exists():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.01)
    os.waitpid(us.pid, 0)
    window._pseudo = PseudoTerminal(80, 24)
