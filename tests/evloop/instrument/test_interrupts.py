"""Where a Ctrl-C has to wait."""

from __future__ import annotations

import sys

from evloop.events.schema import Shutdown
from evloop.instrument.interrupts import _is_between, asleep
from evloop.instrument.lifecycle import _Calls


def test_what_our_code_calls_is_ours_until_it_sleeps(recorded):
    """A coverage tool that looks at our lines may hold a lock; to the program it comes at once."""
    seen = []

    def look():
        seen.append(_is_between(sys._getframe()))

    look()
    calls = _Calls(recorded.instrument)
    for call in (look, lambda: asleep(look)):
        calls._called(call, lambda stamp, errno: Shutdown(*stamp, "tcp-1", 3, "SHUT_WR", errno))
    assert seen == [False, True, False]
