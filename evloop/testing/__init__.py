"""Fakes for tests of whatever runs on the loop.

    scripted     a kernel that answers from a script, and its clock
    simulated    a kernel with sockets, buffers, clients, faults and a clock, that answers as Linux would

They are public: a test of one's own server on this loop needs them as much as ours do.
"""

from evloop.testing.scripted import (
    Call,
    ScriptedKernel,
    ScriptedPoller,
    ScriptedSignals,
    ScriptedSocket,
    ScriptEndError,
    failure,
)
from evloop.testing.simulated import (
    MAY_FAIL,
    Faults,
    SimulatedDatagrams,
    SimulatedKernel,
    SimulatedListener,
    SimulatedPoller,
    SimulatedSignals,
    SimulatedStream,
    SimulatedTcp,
    SimulatedUnix,
    SleepsForEverError,
)

__all__ = [
    "MAY_FAIL",
    "Call",
    "Faults",
    "ScriptEndError",
    "ScriptedKernel",
    "ScriptedPoller",
    "ScriptedSignals",
    "ScriptedSocket",
    "SimulatedDatagrams",
    "SimulatedKernel",
    "SimulatedListener",
    "SimulatedPoller",
    "SimulatedSignals",
    "SimulatedStream",
    "SimulatedTcp",
    "SimulatedUnix",
    "SleepsForEverError",
    "failure",
]
