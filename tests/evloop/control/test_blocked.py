"""The thread that is told while a server sleeps: what its socket meets with, and how it ends."""

from __future__ import annotations

import _socket
import contextlib
import errno
import os
import socket
import threading

import pytest

from evloop.address import UnixPath
from evloop.control.blocked import ControlThread
from evloop.control.gates import BLOCKING, Gates
from evloop.testing import failure

SECONDS = 10  # until a test is given up


@pytest.fixture
def refuse(monkeypatch):
    """The next accepts of the thread fail with these numbers; how many are left."""
    left: list[int] = []

    class Phone(_socket.socket):
        def _accept(self):
            if left:
                raise failure(left.pop(0))
            return super()._accept()

    monkeypatch.setattr("evloop.control.blocked._socket.socket", Phone)
    return left


class Controlled:
    """Gates, and who is told of them."""

    def __init__(self, path):
        self.path, self.said = path, []
        self.gates = Gates(BLOCKING)
        self.over = threading.Event()
        self.point = ControlThread(UnixPath(path), self.gates, self._say)

    def _say(self, sentence):
        self.said.append(sentence)
        self.over.set()

    def ask(self, line):
        """What it is answered by; nothing, if it is hung up on."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(SECONDS)
            sock.connect(self.path)
            sock.sendall(line)
            return sock.recv(99)


@pytest.fixture
def begin(short_dir):
    """Begin to control, at a path of its own."""
    begun = []

    def begin():
        begun.append(Controlled(f"{short_dir}/control"))
        return begun[-1]

    yield begin
    for it in begun:
        it.point.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ECONNABORTED])
def test_what_passes_is_waited_for(begin, refuse, number):
    """Who called meanwhile is in the queue, and heard when it is over."""
    refuse += [number, number]
    it = begin()
    assert it.ask(b"hold read\n") == b"ok\n"
    assert (refuse, it.said, it.gates.held) == ([], [], {"read"})


def test_a_socket_that_breaks_is_none_on_which_one_waits(begin, refuse):
    """It is heard of, who calls is told at once, and the server is not held back for ever."""
    it = begin()
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        for sock in (one, other):
            sock.settimeout(SECONDS)
            sock.connect(it.path)
        one.sendall(b"hold accept\n")
        assert one.recv(9) == b"ok\n"
        refuse.append(errno.EINVAL)
        one.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert other.recv(1) == b""
    assert it.over.wait(SECONDS)
    assert it.said == ["control failed: OSError: [Errno 22] Invalid argument"]
    assert not it.gates.held
    assert not os.path.exists(it.path)
    it.point.close()
    assert len(it.said) == 1


def test_its_end(begin):
    """It says nothing, the path is gone, and so is the thread; twice is once."""
    it = begin()
    it.gates.set("read", held=True)
    it.point.close()
    it.point.close()
    assert (it.said, it.gates.held, os.path.exists(it.path)) == ([], {"read"}, False)
    it.point._thread.join(SECONDS)
    assert not it.point._thread.is_alive()


def test_its_end_while_descriptors_are_short(begin, refuse):
    """It is not waited for."""
    refuse += [errno.EMFILE] * 1000
    it = begin()
    it.point.close()
    assert refuse
    it.point._thread.join(SECONDS)
    assert not it.point._thread.is_alive()
