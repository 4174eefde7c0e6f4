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
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_holds(name):
    """Once it did not."""
    setup, moves = FOUND[name]
    assert fails(setup, moves) is None
