"""Sizes and times as a reader in the last row can take them in."""

from __future__ import annotations

__all__ = ["clock", "count", "duration", "percent", "plural", "size"]

_KIB = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: int) -> str:
    """12345 → 12,345."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 thread`, `2 threads`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: int) -> str:
    """Bytes, exact as long as they are read at a glance."""
    if number < 100_000:
        return f"{number:,} B"
    power = min(4, (number.bit_length() - 1) // 10)
    if number >= 1000 * _KIB**power:
        power = min(4, power + 1)
    value = number / _KIB**power
    return f"{value:.1f} {_UNITS[power]}" if value < 100 else f"{value:.0f} {_UNITS[power]}"


def duration(ns: int) -> str:
    """A span of time in three digits: 340 ns, 10.2 ms, 3.2 s, 4 min 05 s."""
    ns = max(0, ns)
    if ns < 1000:
        return f"{ns} ns"
    for unit, scale in (("µs", 10**3), ("ms", 10**6), ("s", 10**9)):
        value = ns / scale
        if value < 9.995:
            return f"{value:.1f} {unit}"
        if value < (59.5 if unit == "s" else 999.5):
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    seconds = round(ns / 10**9)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def clock(ns: int, digits: int = 3) -> str:
    """A moment of the log in seconds: 12.034, or 12.034 215 with six digits."""
    micros = max(0, ns) // 1000
    seconds, rest = divmod(micros, 10**6)
    text = f"{seconds}.{rest // 1000:03}"
    return f"{text} {rest % 1000:03}" if digits > 3 else text


def percent(share: float) -> str:
    """A share, never rounded up to all or down to nothing."""
    if 0 < share < 0.01:
        return "< 1 %"
    if 0.99 < share < 1:
        return "> 99 %" if share >= 0.995 else "99 %"
    return f"{share * 100:.0f} %"
