"""Where a call stands among packets."""

from __future__ import annotations

import pytest
from evloop_trace.correlate.place import SHORT, place

from evloop.events.schema import Close, Recv, Send, Shutdown


@pytest.mark.parametrize(
    ("event", "at"),
    [
        (Send(1, 1000, 0, 50, "tcp-1", 7, 3, 3, (0, 3)), 1000),
        (Send(1, 1000, 0, SHORT, "tcp-1", 7, 3, 3, (0, 3)), 1000 + SHORT),
        (Recv(1, 1000, 0, 50, "tcp-1", 7, 3, 3, (0, 3)), 1050),
        (Close(1, 1000, 0, 9 * SHORT, 7, "close", "tcp-1"), 1000),
        (Shutdown(1, 1000, 0, 9 * SHORT, "tcp-1", 7, "SHUT_WR"), 1000),
    ],
)
def test_what_makes_packets_stands_at_its_beginning(event: Send | Recv | Close | Shutdown, at: int) -> None:
    """Unless it slept; what got something stands at its end."""
    assert place(event) == at
