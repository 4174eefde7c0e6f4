"""The simulated kernel beside Linux: the same calls on both, and the same answers.

Loopback delivers at once, but not before the call returns: so what has been sent is waited for. What is
compared are results, errnos and the bits of poll(2), of both ends, after every call.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evloop.kernel import ERR, HUP, IN, OUT
from evloop.testing import SimulatedKernel, SimulatedStream, SimulatedTcp, SimulatedUnix

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that is simulated")

ALL = IN | OUT | ERR | HUP
RDHUP = 0x2000
LONG = 20.0  # seconds that loopback may take on a machine that is busy
ROOM = 65536

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from((0, 1)),
        st.sampled_from(("send", "send", "recv", "recv", "shutdown", "close", "abort")),
        st.integers(0, 300),
    ),
    max_size=14,
)


class Pair:
    """A connection here and there; ends 0 and 1."""

    def __init__(self, protocol, stack):
        make = {"tcp": _tcp, "unix": socket.socketpair}[protocol]
        self.real = [stack.enter_context(sock) for sock in make()]
        for sock in self.real:
            sock.setblocking(False)
        kind = SimulatedTcp if protocol == "tcp" else SimulatedUnix
        self.simulated: list[SimulatedStream] = list(kind.pair(SimulatedKernel(), "", (ROOM, ROOM)))
        self.open = [True, True]

    def call(self, end, operation, size):
        """The same call on both; what each said."""
        real, simulated = self.real[end], self.simulated[end]
        data = os.urandom(size) or b"."
        match operation:
            case "send":
                calls = (lambda: real.send(data)), (lambda: simulated.send(data))
            case "recv":
                calls = (lambda: real.recv(size + 1)), (lambda: simulated.recv(size + 1))
            case "shutdown":
                calls = (lambda: real.shutdown(socket.SHUT_WR)), simulated.shutdown
            case "close":
                calls = real.close, simulated.close
            case _:  # to a Unix socket it is a close like another
                linger = struct.pack("ii", 1, 0)
                real.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                calls = real.close, simulated.abort
        self.open[end] = operation not in {"close", "abort"}
        return [_outcome(call) for call in calls]

    def states(self):
        """(unread bytes, bits) of the ends that are open: of the real, and of the simulated ones."""
        ends = [end for end in (0, 1) if self.open[end]]
        return [_state(self.real[end]) for end in ends], [
            (len(self.simulated[end].inbox), self._bits(self.simulated[end])) for end in ends
        ]

    @staticmethod
    def _bits(end):
        return end.bits() | (RDHUP if end.got_fin or end.dead else 0)

    def agree(self):
        """Wait until the real ends are as the simulated ones."""
        deadline = time.monotonic() + LONG
        real, simulated = self.states()
        while real != simulated and time.monotonic() < deadline:
            select.select([], [], [], 0.001)
            real, simulated = self.states()
        return real, simulated


def _tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    for sock in (ours, theirs):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ours, theirs


def _outcome(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]


def _state(sock):
    poll = select.poll()
    poll.register(sock, IN | OUT | RDHUP)
    (unread,) = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))
    return unread, dict(poll.poll(0)).get(sock.fileno(), 0)


@pytest.mark.parametrize("protocol", ["tcp", "unix"])
@settings(max_examples=100, deadline=None)
@given(operations=OPERATIONS)
def test_connections(protocol, operations):
    """Whatever both ends do, in any order, the simulated connection says what the real one says."""
    with contextlib.ExitStack() as stack:
        pair = Pair(protocol, stack)
        for done, (end, operation, size) in enumerate(operations):
            if not pair.open[end]:
                continue
            real, simulated = pair.call(end, operation, size)
            assert real == simulated, operations[: done + 1]
            real, simulated = pair.agree()
            assert real == simulated, operations[: done + 1]
