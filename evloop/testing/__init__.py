"""Fakes for tests of whatever runs on the loop.

    scripted    a kernel that answers from a script, and its clock

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

__all__ = [
    "Call",
    "ScriptEndError",
    "ScriptedKernel",
    "ScriptedPoller",
    "ScriptedSignals",
    "ScriptedSocket",
    "failure",
]
