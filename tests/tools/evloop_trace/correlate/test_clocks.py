"""Two clocks as one."""

from __future__ import annotations

from evloop_trace.correlate.clocks import Clocks

from evloop.events.schema import SCHEMA, Clock, Header

WALL = 1_700_000_000_000_000_000


def header(mono: int, wall: int, boot_id: str = "") -> Header:
    """A log that began then."""
    return Header(0, 0, 0, SCHEMA, mono, wall, 0, 1, [], {}, "", "", "none", 0, boot_id=boot_id)


def test_one_boot() -> None:
    """The earliest log's beginning is 0, for times of either clock."""
    clocks = Clocks([header(500, WALL + 400), header(100, WALL)], one_clock=True)
    assert clocks.of_wall(WALL + 250) == 250
    assert clocks.of_mono(350, 0) == 250
    clocks.begin([WALL - 1000])
    assert clocks.of_wall(WALL) == 0


def test_two_boots() -> None:
    """Only the time of day is common."""
    clocks = Clocks([header(9_000, WALL), header(100, WALL + 50)], one_clock=False)
    assert clocks.of_wall(WALL + 7) == 7
    assert clocks.of_mono(9_100, WALL + 100) == 100
    clocks.heed(Clock(1, 0, 0, 9_000_000_000, WALL, 0))
    assert clocks.steps == []


def test_another_boot_than_the_logs() -> None:
    """Of a monotonic clock that began anew only the time of day can be used; who does not say is trusted."""
    clocks = Clocks([header(100, WALL, "a")], one_clock=True)
    assert clocks.of_mono(350, WALL + 7, "a") == clocks.of_mono(350, WALL + 7) == 250
    assert clocks.of_mono(350, WALL + 7, "b") == 7
    assert [clocks.is_strange(it) for it in ("", "a", "b")] == [False, False, True]
    assert Clocks([header(100, WALL)], one_clock=True).is_strange("b") is False


def test_without_a_log() -> None:
    """The first packet is 0, or the kernel's first word; nothing at all is no matter."""
    clocks = Clocks([], one_clock=True)
    clocks.begin([])
    assert clocks.of_wall(WALL) == WALL
    clocks.begin([WALL + 5, WALL])
    assert (clocks.of_wall(WALL + 9), clocks.of_mono(1, WALL + 3)) == (9, 3)
    clocks.heed(Clock(1, 0, 0, 1, 1, 0))
    assert clocks.steps == []


def test_somebody_sets_the_clock() -> None:
    """From there on packets are where they would be without; a drift of less than 1 ms is none."""
    clocks = Clocks([header(0, WALL)], one_clock=True)
    clocks.heed(Clock(1, 0, 0, 10**10, WALL + 10**10 + 900_000, 0))
    assert clocks.steps == []
    clocks.heed(Clock(2, 0, 0, 2 * 10**10, WALL + 2 * 10**10 + 3_600 * 10**9, 0))
    assert clocks.steps == [(2 * 10**10, 3_600 * 10**9)]
    assert clocks.of_wall(WALL + 3_600 * 10**9 + 5) == 5
    clocks.heed(Clock(3, 0, 0, 3 * 10**10, WALL + 3 * 10**10, 0))
    assert clocks.steps[1:] == [(3 * 10**10, -3_600 * 10**9)]


def test_packets_after_the_clock_was_set_back() -> None:
    """They stay in their order, and stand right again from where a log tells the time."""
    clocks = Clocks([header(0, WALL)], one_clock=True)
    second, hour = 10**9, 3_600 * 10**9
    assert clocks.of_packet(WALL + 5 * second) == 5 * second
    assert clocks.of_packet(WALL + 5 * second - 1000) == 5 * second - 1000  # of another processor
    assert clocks.of_packet(WALL + 7 * second - hour) == 5 * second
    assert clocks.of_packet(WALL + 9 * second - hour) == 7 * second
    clocks.heed(Clock(1, 0, 0, 10 * second, WALL + 10 * second - hour, 0))
    assert clocks.of_packet(WALL + 11 * second - hour) == 11 * second
    assert clocks.of_packet(WALL + 12 * second) == 12 * second + hour  # forward: until a log tells
    clocks.heed(Clock(1, 0, 0, 20 * second, WALL + 20 * second, 0))
    assert clocks.of_packet(WALL + 12 * second) == 12 * second


def test_a_packet_whose_time_is_wrong() -> None:
    """It moves none but itself."""
    clocks = Clocks([header(0, WALL)], one_clock=True)
    seconds = [clocks.of_packet(WALL + it) / 10**9 for it in (5 * 10**9, -WALL, 6 * 10**9)]
    assert seconds == [5, 5, 6]
