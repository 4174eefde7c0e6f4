"""The simulation is tested with bugs: on a server that has one, the walk must not get far."""

from __future__ import annotations

import pytest
from evloop_simulation.setup import Setup
from evloop_simulation.shrinking import shrink
from evloop_simulation.walk import WalkError, walk
from evloop_simulation.world import Classes

from evloop.bugs.gallery import BUGS
from evloop.kernel import READ
from evloop.loop.loop import Loop
from evloop.net.stream import Stream
from evloop.servers.loop import LoopServer
from evloop.testing import SimulatedKernel

STEPS = 30_000


class HearsOfErrors(SimulatedKernel):
    """A kernel that was asked for an error queue, which nobody reads: IP_RECVERR, ip(7)."""

    def bind(self, address):
        """As any other, with the option."""
        sock = super().bind(address)
        sock.reports = 0
        return sock


# What a bug does to a real kernel, done to the simulated one.
KERNELS = {"errqueue-undrained": HearsOfErrors}
# This one is about bytes in a real pipe, and what is written there for whom.
NOT_SIMULATED = {"wakeup-as-data"}

SETUPS = {"stale-fd": Setup(max_connections=2)}

SAYS = {
    "write-interest-left-on": "0 bytes wait to be sent, and it is watched for",
    "mask0-hup-spin": "what the loop watches and what the selector was told differ",
    "emfile-no-return": "again after a shortage",
    "abort-stops-batch": "no accept.. after one that failed",
    "partial-send-dropped": "bytes are still to be answered, and 0 wait to be sent",
    "eof-ignored": "nobody watches it|do not end",
    "drain-forever": r"times recv\(\) on a connection in a turn",
    "errqueue-undrained": "the loop spins",
    "udp-self-reply": "was answered: that may never end|could not be sent",
    "stale-fd": "the event was another's",
}


def made_of(bug) -> Classes:
    """The parts of a server with this bug, on a kernel that has it."""
    return Classes(KERNELS.get(bug.name, SimulatedKernel), bug.parts.loop, bug.parts.server)


def test_every_bug_is_looked_for():
    """But for those that cannot be seen here."""
    assert {*SAYS} == {*BUGS} - NOT_SIMULATED


@pytest.mark.parametrize("name", SAYS)
def test_a_bug_is_found(name):
    """It shows in what must hold, and in a few moves."""
    classes = made_of(BUGS[name])
    with pytest.raises(WalkError, match=SAYS[name]) as caught:
        walk(1, STEPS, classes, SETUPS.get(name))
    short = shrink(caught.value, classes)
    assert len(short.moves) <= 8, short.moves


def test_making_room_is_no_bug():
    """The server in which stale-fd shows is right on a loop that is."""
    classes = Classes(loop=Loop, server=BUGS["stale-fd"].parts.server)
    assert walk(1, 3000, classes, SETUPS["stale-fd"]).steps >= 3000


# -- bugs that no project is known for ---------------------------------------------------------


class DropsWhatArrived(Stream):
    """When the server stops it does not look whether something has come."""

    __slots__ = ()

    def drain(self):
        """FIN, and what comes is thrown away."""
        self.ending = True
        if not self._unsent:
            self._half_close()


class ReadsOn(Stream):
    """However much waits to be sent."""

    __slots__ = ()

    def wants(self):
        """READ until the end."""
        mask, why = super().wants()
        return mask | (0 if self.eof else READ), why


class GoesOnTooLate(Stream):
    """It reads again when nothing waits any more, and not at its low-water mark."""

    __slots__ = ()

    def _flush(self):
        paused = self._paused
        super()._flush()
        self._paused = paused
        if not self.closed:
            self._loop.interests.update(self)


class NeverIdle(LoopServer):
    """It looks once whether a connection is idle."""

    def _watch_idle(self, stream, seconds):
        if not stream.timers:
            super()._watch_idle(stream, seconds)


class FullForEver(LoopServer):
    """It forgets that somebody may come again."""

    def _on_close(self, stream):
        self._streams.pop(stream, None)
        if self._stopping:
            self._stop_when_empty()


class NoDeadline(LoopServer):
    """It waits for its clients as long as they like."""

    def _give_up(self):
        pass


class KeepsTimers(LoopServer):
    """Those of a connection that has ended."""

    def _set_timers(self, stream):
        super()._set_timers(stream)
        stream.timers = ()


def of_streams(kind):
    """A server of these streams."""
    return type(kind.__name__, (LoopServer,), {"stream_class": kind})


OTHERS = {
    DropsWhatArrived: "bytes that had arrived",
    ReadsOn: "it is watched for READ though|the high-water mark is",
    GoesOnTooLate: "it is not watched for READ",
    NeverIdle: "was idle for|do not end",
    FullForEver: "there is room for a connection, and a listener is not watched",
    NoDeadline: "the time to stop is over|do not end|would never stop|does not stop",
    KeepsTimers: "timers are",
}


@pytest.mark.parametrize("wrong", OTHERS)
def test_other_bugs_are_found_too(wrong):
    """What must hold is enough to see them."""
    server = wrong if issubclass(wrong, LoopServer) else of_streams(wrong)
    with pytest.raises(WalkError, match=OTHERS[wrong]):
        walk(1, 2 * STEPS, Classes(server=server))
