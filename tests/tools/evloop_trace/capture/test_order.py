"""Packets come out by their times, and none is lost."""

from __future__ import annotations

from evloop_trace.capture.order import Order
from hypothesis import given
from hypothesis import strategies as st

MS = 1_000_000


def packet(when: int) -> tuple[int, bytes, int]:
    """A packet of which only the time matters."""
    return when, b"", 0


def test_the_newest_wait_for_older_ones() -> None:
    """Ten milliseconds; then what is late comes too late."""
    order = Order()
    assert order.add([packet(0), packet(5 * MS), packet(30 * MS)]) == [packet(0), packet(5 * MS)]
    assert order.add([packet(29 * MS), packet(50 * MS)]) == [packet(29 * MS), packet(30 * MS)]
    assert order.rest() == [packet(50 * MS)]
    assert order.rest() == []


def test_no_packets() -> None:
    """Nothing comes of nothing."""
    assert Order().add([]) == []


@given(st.lists(st.lists(st.integers(0, 9 * MS))))
def test_what_is_late_by_less_comes_in_order(lates: list[list[int]]) -> None:
    """However it is cut into batches; packets of the same time stay as they came."""
    order, number, given_out, all_of_them = Order(), 0, [], []
    for batch in lates:
        packets = []
        for late in batch:
            number += 1
            packets.append((number * MS - late, str(number).encode(), 0))
        all_of_them += packets
        given_out += order.add(packets)
    given_out += order.rest()
    assert given_out == sorted(all_of_them, key=lambda it: it[0])
