"""What the simulation found: runs that went wrong, as short as they could be made."""

from __future__ import annotations

import pytest
from evloop_simulation.setup import Setup
from evloop_simulation.shrinking import fails

FOUND = {
    # epoll_ctl(2) failed when there was room again: the listener was never watched any more.
    "a-listener-cannot-be-watched-again": (
        Setup(),
        [("descriptors", 0), ("connect", 0), ("tick",), ("register_fails", 0), ("sleep",)],
    ),
    # The same, when a gate was released: the loop ended with a traceback.
    "a-gate-is-released-and-epoll-is-full": (
        Setup(gated=True),
        [("gate", 0, 1), ("register_fails", 1), ("gate", 0, 0)],
    ),
    "a-gated-server-stops-and-epoll-is-full": (
        Setup(gated=True),
        [("gate", 0, 1), ("register_fails", 0), ("signal",), ("tick",)],
    ),
    # Its queue was looked at while a gate kept it from being watched, and ever after: the loop never slept.
    "a-listener-is-sampled-for-ever": (
        Setup(traced=True, gated=True),
        [("fail", 0, 25, 1), ("connect", 1), ("tick",), ("gate", 0, 1), ("wait", 116), ("tick",)],
    ),
    # Nothing was closed at the second signal, since closing was held again after the first.
    "closing-is-held-while-it-stops": (
        Setup(room_out=30, gated=True),
        [("connect", 0), ("say", 0, 42), ("signal",), ("tick",), ("gate", 2, 1), ("signal",), ("tick",)],
    ),
    "closing-is-held-when-nothing-else-is-left": (
        Setup(gated=True),
        [
            ("connect", 0),
            ("say", 0, 85462),
            ("tick",),
            ("tick",),
            ("say", 0, 1),
            ("signal",),
            ("tick",),
            ("gate", 2, 1),
            ("tick",),
            ("wait", 1),
            ("tick",),
        ],
    ),
    # recvfrom(2) failed for want of memory, sixty-four times a turn, turn after turn.
    "a-mailbox-is-short-of-memory": (
        Setup(),
        [("lasting", 0, 2), ("datagram", 0, 50_000, 0, 1), ("settle",)],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_holds(name):
    """Once it did not."""
    setup, moves = FOUND[name]
    assert fails(setup, moves) is None
