"""Numbers on a command line, for argparse."""

from __future__ import annotations

__all__ = ["at_least_one", "positive"]


def positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number <= 3600:
        raise ValueError
    return number


def at_least_one(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number
