"""Sizes and times in words."""

from __future__ import annotations

import pytest
from evloop_trace.numbers import clock, count, duration, percent, size


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0 B"),
        (99_999, "99,999 B"),
        (100_000, "97.7 KiB"),
        (1_000_000, "977 KiB"),
        (1_048_576, "1.0 MiB"),
        (5 * 2**30, "5.0 GiB"),
        (3 * 2**50, "3072 TiB"),
    ],
)
def test_sizes_are_exact_while_they_are_short(number: int, expected: str) -> None:
    """Then in binary units."""
    assert size(number) == expected


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (-5, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.0 µs"),
        (12_340, "12.3 µs"),
        (999_400, "999 µs"),
        (999_600, "1.0 ms"),
        (10_200_000, "10.2 ms"),
        (150_000_000, "150 ms"),
        (3_200_000_000, "3.2 s"),
        (59_700_000_000, "1 min 00 s"),
        (245_000_000_000, "4 min 05 s"),
        (7_380_000_000_000, "2 h 03 min"),
    ],
)
def test_durations_have_three_digits(ns: int, expected: str) -> None:
    """In the unit that suits them."""
    assert duration(ns) == expected


def test_a_clock_shows_milliseconds_or_microseconds() -> None:
    """Never less than nothing."""
    assert clock(12_034_215_999) == "12.034"
    assert clock(12_034_215_999, 6) == "12.034 215"
    assert clock(-1) == "0.000"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0 %"),
        (0.004, "< 1 %"),
        (0.5, "50 %"),
        (0.99, "99 %"),
        (0.992, "99 %"),
        (0.999, "> 99 %"),
        (1, "100 %"),
    ],
)
def test_a_share_is_not_rounded_to_all_or_nothing(share: float, expected: str) -> None:
    """One per cent of a second is ten milliseconds."""
    assert percent(share) == expected


def test_numbers_have_commas() -> None:
    """From a thousand."""
    assert count(12345) == "12,345"
