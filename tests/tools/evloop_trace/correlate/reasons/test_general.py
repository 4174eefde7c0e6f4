"""What is true of every connection is told of the first."""

from __future__ import annotations

from typing import Any

import pytest
from evloop_trace.correlate.entries import Strand
from evloop_trace.correlate.reasons.general import Once
from evloop_trace.packets.segments import ACK, FIN

from evloop.events.schema import Accept, Recv, Shutdown


def life(told: Any) -> list[Any]:
    """A connection that ends as most do: entries that have a reason."""
    told.opened()
    accept = told.call(Accept, False, sock="l")
    shutdown = told.call(Shutdown)
    fin = told.packet(True, flags=FIN | ACK, ack=0, causes=(shutdown,))
    end = told.call(Recv, False, n=0, off=(0, 0))
    last = told.packet(
        False, flags=FIN | ACK, ack=1, before=("FIN-WAIT-1", "CLOSE-WAIT"), states=("TIME-WAIT", "LAST-ACK")
    )
    end_too = told.call(Recv, n=0, off=(0, 0))
    return [accept, fin, end, last, end_too]


def test_all_of_the_first_and_none_of_the_next(new_told: Any) -> None:
    """The sentences are the rules' own; both ends of the first have theirs."""
    first, second = life(new_told()), life(new_told())
    once, other = Once(), Strand(1, "tcp", "", "")
    assert sum(len(it.reasons) for it in first) == 6
    for entry in first:
        once.tell(entry)
        assert [once.is_told(it, entry.strand) for it in entry.reasons] == [False] * len(entry.reasons)
    for entry in second:
        assert [once.is_told(it, other) for it in entry.reasons] == [True] * len(entry.reasons)


def test_a_socket_that_does_not_block() -> None:
    """Of many that connect so, the first is enough."""
    once, why = Once(), "the socket does not block: the kernel does the handshake meanwhile"
    assert [once.is_told(why, Strand(number, "tcp", "", "")) for number in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    "why",
    [
        "retransmission: packet #3 was not acknowledged for 210 ms",
        "the kernel had finished the handshake 236 ms before, and acknowledged 10 B since",
        "the kernel had finished the handshake 1.2 s before",
        "nobody is bound to 127.0.0.1:9",
    ],
)
def test_what_is_of_one_connection_is_told_of_each(why: str) -> None:
    """A server that accepts late is news each time."""
    once = Once()
    assert not any(once.is_told(why, Strand(number, "tcp", "", "")) for number in range(3))


def test_what_is_of_no_connection() -> None:
    """It is told."""
    once = Once()
    why = "the client closed first, and so waits in TIME-WAIT: 60 s on Linux"
    assert not once.is_told(why, None)
    assert not once.is_told(why, Strand(0, "tcp", "", ""))
    assert not once.is_told(why, None)
