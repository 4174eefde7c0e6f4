"""A question on a terminal, and Ctrl-C while it is asked."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from evloop.keyboard import ask

SECONDS = 30.0
Type = Callable[[bytes, bytes], bytes]

ASK = "from evloop.keyboard import ask; print('it is', repr(ask('what? ')))"
# What happens when `input` has written the prompt, and reads nothing yet.
THEN = """
import ctypes
hook = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyOS_InputHook")
hook.value = ctypes.cast({}, ctypes.c_void_p).value
"""
WAIT_FOR_A_SIGNAL = THEN.format("ctypes.CDLL(None).pause")
A_SIGNAL_COMES = THEN.format("ctypes.pythonapi.PyErr_SetInterrupt")
MISSED = """
try:
    input("what? ")
except KeyboardInterrupt:
    hook.value = None
    print("then", repr(input()))
"""


@pytest.fixture
def person() -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], Type]]]:
    """Start a program on a terminal; gives it, and what types there once something is shown."""
    master, slave = pty.openpty()
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: str) -> tuple[subprocess.Popen[bytes], Type]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", program],
            **dict.fromkeys(("stdin", "stdout", "stderr"), slave),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
        )
        processes.append(process)
        shown = b""

        def type_when(there: bytes, keys: bytes = b"") -> bytes:
            nonlocal shown
            while there not in shown:
                assert select.select([master], [], [], SECONDS)[0], shown
                shown += os.read(master, 1000)
            os.write(master, keys)
            return shown

        return process, type_when

    yield start
    for process in processes:
        process.kill()
        process.wait(SECONDS)
    os.close(slave)
    os.close(master)


def test_what_is_typed(person):
    """A line, whole; the prompt is there first, and stands there once."""
    process, type_when = person(ASK)
    type_when(b"what? ", b"hel")
    type_when(b"hel", " 哈\n".encode())
    assert type_when("it is 'hel 哈'".encode()).count(b"what? ") == 1
    assert process.wait(SECONDS) == 0


def test_the_end_of_the_input(person):
    """As `input` has it."""
    process, type_when = person(ASK)
    type_when(b"what? ", b"\x04")
    type_when(b"EOFError")
    assert process.wait(SECONDS) == 1


def test_a_signal_between_the_prompt_and_the_read(person):
    """It is not the next key that gets the program out of it."""
    process, type_when = person(WAIT_FOR_A_SIGNAL + ASK)
    type_when(b"what? ", b"\x03")
    type_when(b"KeyboardInterrupt")
    assert process.wait(SECONDS) == -2


def test_input_alone_misses_it(person):
    """It takes the next line first, and then heeds what came before."""
    process, type_when = person(A_SIGNAL_COMES + MISSED)
    type_when(b"what? ", b"first\nsecond\n")
    type_when(b"then 'second'")
    assert process.wait(SECONDS) == 0


def test_without_a_terminal(monkeypatch, capsys):
    """A pipe has no lines: what is in it, Python may have read already."""
    read, write = os.pipe()
    os.write(write, b"one\ntwo\n")
    os.close(write)
    with open(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert [ask("1 "), ask("2 ")] == ["one", "two"]
        with pytest.raises(EOFError):
            ask("3 ")
    assert capsys.readouterr().out == "1 2 3 "


@pytest.mark.parametrize("name", ["stdin", "stdout"])
def test_without_an_input(monkeypatch, name):
    """It says so, as `input` does; also who may read, and has nowhere to ask."""
    master, slave = pty.openpty()
    with open(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, name, None)
        with pytest.raises(RuntimeError, match=name):
            ask("what? ")
    os.close(master)
