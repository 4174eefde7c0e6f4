"""The simulation is tested with bugs: on a server that has one, the walk must not get far."""

from __future__ import annotations

import pytest
from evloop_simulation.setup import Setup
from evloop_simulation.shrinking import shrink
from evloop_simulation.walk import WalkError, walk
from evloop_simulation.world import Classes

from evloop.bugs.gallery import BUGS
from evloop.loop.loop import Loop
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
    "udp-self-reply": "was answered: that may never end",
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
