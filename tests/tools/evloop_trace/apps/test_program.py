"""A program that we run, on our streams or on a terminal of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from evloop_trace.apps.program import Program, PseudoTerminal

SECONDS = 30


def python(text: str) -> list[str]:
    """A command that runs a text."""
    return [sys.executable, "-c", text]


def until(pseudo: PseudoTerminal, words: bytes) -> bytes:
    """All that is written up to some words."""
    said = b""
    while words not in said:
        assert select.select([pseudo], [], [], SECONDS)[0], f"it said only {said!r}"
        data = pseudo.read()
        assert data, f"it said only {said!r}"
        said += data
    return said


def ended(program: Program) -> int:
    """Its exit code, waited for."""
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    code = program.poll()
    assert code is not None
    return code


def test_a_program_on_our_streams() -> None:
    """Its exit code is known when it has ended, and then for ever."""
    program = Program(python("import sys; sys.exit(3)"), dict(os.environ))
    assert ended(program) == 3
    assert program.poll() == 3
    program.send(signal.SIGTERM)
    program.send_all(signal.SIGTERM)


def test_signals_are_as_a_shell_gives_them() -> None:
    """Nothing is blocked or ignored, whatever we do."""
    text = (
        "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) != signal.default_int_handler"
        " or bool(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        assert ended(Program(python(text), dict(os.environ))) == 0
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_program_that_a_signal_killed() -> None:
    """Its code is negative."""
    program = Program(python("import os; os.kill(os.getpid(), 9)"), dict(os.environ))
    assert ended(program) == -9


def test_a_terminal_of_its_own() -> None:
    """It has the size, echoes keys, edits lines, and is one for all three streams."""
    text = (
        "import os; print([os.isatty(fd) for fd in (0, 1, 2)], *os.get_terminal_size(1));"
        "print('said', input('name? '))"
    )
    with closing(PseudoTerminal(71, 9)) as pseudo:
        program = Program(python(text), dict(os.environ), pseudo, (0, 1, 2))
        assert b"[True, True, True] 71 9\r\n" in until(pseudo, b"name? ")
        pseudo.write(b"Bobx\x7f\r")
        assert b"said Bob\r\n" in until(pseudo, b"said Bob\r\n")
        assert ended(program) == 0
        assert pseudo.read() == b""


def test_control_c_is_a_signal_there() -> None:
    """Its line discipline sends it; a new size is one too."""
    text = (
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})\n"
        "try:\n"
        "  print('ready', flush=True)\n"
        "  signal.sigwait({signal.SIGWINCH}); print('size', *os.get_terminal_size())\n"
        "  signal.pause()\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    with closing(PseudoTerminal(80, 24)) as pseudo:
        program = Program(python(text), dict(os.environ), pseudo, (0, 1, 2))
        until(pseudo, b"ready")
        pseudo.resize(33, 11)
        until(pseudo, b"size 33 11")
        assert pseudo.suspends(b"\x03") == -1
        assert pseudo.suspends(b"a\x1ab") == 1
        pseudo.write(b"\x03")
        until(pseudo, b"interrupted")
        assert ended(program) == 0


def test_some_streams_stay_ours() -> None:
    """Where they were redirected."""
    reader, writer = os.pipe()
    text = "import os, sys; print('out'); os.write(int(sys.argv[1]), bytes([os.isatty(0), os.isatty(1)]))"
    os.set_inheritable(writer, True)
    with closing(PseudoTerminal(80, 24)) as pseudo, open(os.devnull) as null:
        stdin = os.dup(0)
        os.dup2(null.fileno(), 0)
        try:
            program = Program([*python(text), str(writer)], dict(os.environ), pseudo, (1, 2))
        finally:
            os.dup2(stdin, 0)
            os.close(stdin)
        assert ended(program) == 0
        assert pseudo.read() == b"out\r\n"
    assert os.read(reader, 10) == b"\0\1"
    os.close(reader)
    os.close(writer)


def test_keys_that_there_is_no_room_for_are_typed_later() -> None:
    """A program that does not read blocks nobody."""
    text = "import sys; print('ready', flush=True); print(len(sys.stdin.readline()), end='.')"
    with closing(PseudoTerminal(80, 24)) as pseudo:
        program = Program(
            [*python("import tty, sys; tty.setraw(0); " + text)], dict(os.environ), pseudo, (0, 1)
        )
        until(pseudo, b"ready")
        pseudo.write(b"x" * 100_000 + b"\n")
        said = b""
        while b"100001." not in said:
            select.select([pseudo], [], [], 0.01)
            pseudo.write(b"")
            said += pseudo.read()
        assert ended(program) == 0


@pytest.mark.parametrize(
    ("code", "expected"), [(0, 0), (7, 7), (-15, -15), (-9, -9), (-int(signal.SIGCHLD), 128 + signal.SIGCHLD)]
)
def test_we_end_as_the_program_did(code: int, expected: int) -> None:
    """By the same signal, if that kills at all."""
    text = (
        "import signal, sys; from evloop_trace.apps.program import end_like\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {15}); signal.signal(15, signal.SIG_IGN)\n"
        f"sys.exit(end_like({code}))"
    )
    assert subprocess.run(python(text), check=False, timeout=SECONDS).returncode == expected
