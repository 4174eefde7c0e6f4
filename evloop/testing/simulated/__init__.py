"""A kernel without a system under it: sockets, their buffers, what goes wrong with them, and a clock.

    kernel      `SimulatedKernel`: what a server asks, answered as Linux would
    streams     the two ends of a TCP or Unix connection, and the listener between them
    datagrams   a UDP socket
    pollers     epoll, level-triggered, and the signal pipe
    errors      which errno each call may fail with, and when it is to

Whoever tests a server on it plays the clients, and says what fails and how the time passes; the
server's own side is a `Kernel` like any other. Nothing is random in it, so that what happened once can
be made to happen again. That it does what Linux does is tested beside Linux itself.
"""

from evloop.testing.simulated.datagrams import SimulatedDatagrams
from evloop.testing.simulated.errors import MAY_FAIL, Faults
from evloop.testing.simulated.kernel import SimulatedKernel
from evloop.testing.simulated.pollers import SimulatedPoller, SimulatedSignals, SleepsForEverError
from evloop.testing.simulated.streams import (
    SimulatedListener,
    SimulatedStream,
    SimulatedTcp,
    SimulatedUnix,
)

__all__ = [
    "MAY_FAIL",
    "Faults",
    "SimulatedDatagrams",
    "SimulatedKernel",
    "SimulatedListener",
    "SimulatedPoller",
    "SimulatedSignals",
    "SimulatedStream",
    "SimulatedTcp",
    "SimulatedUnix",
    "SleepsForEverError",
]
