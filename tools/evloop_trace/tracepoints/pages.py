"""Pages of the kernel's ring buffer: records with their times.

A page begins with a time and how many bytes follow. A record begins with 32 bits: 27 are the nanoseconds
since the record before, 5 say how long it is, or that it is not an event but a longer time:
`events/header_event` in tracefs, and linux/ring_buffer.h.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.tracepoints.formats import Page

__all__ = ["missed", "records"]

_LITTLE = sys.byteorder == "little"  # a bit field begins at the other end on a big-endian machine
_WORD = struct.Struct("=I")
_LENGTH_FIRST, _PADDING, _EXTEND, _STAMP = 0, 29, 30, 31
_MISSED, _MISSED_COUNT = 1 << 31, 1 << 30  # flags of a page: records before it are lost; how many, is behind
_FILLED = (1 << 30) - 1
_SHIFT = 27


def records(data: bytes, page: Page) -> Iterator[tuple[int, int, int]]:
    """When, and from where to where in `data`, for each event of a page."""
    t, filled = page.head.unpack_from(data)
    at, end = page.data, page.data + (filled & _FILLED)
    while at < end:
        (word,) = _WORD.unpack_from(data, at)
        kind, delta = (word & 31, word >> 5) if _LITTLE else (word >> _SHIFT, word & (1 << _SHIFT) - 1)
        at += 4
        if kind == _PADDING and not delta:
            return  # up to the page's end
        length = kind * 4
        if kind in {_LENGTH_FIRST, _PADDING, _EXTEND, _STAMP}:
            (more,) = _WORD.unpack_from(data, at)
            if kind == _EXTEND:
                delta += more << _SHIFT
            elif kind == _STAMP:
                t, delta = (more << _SHIFT) + delta, 0
            # A length counts itself; the others are nothing but the word that was just read.
            length = more if kind in {_LENGTH_FIRST, _PADDING} else 4
        t += delta
        if kind == _LENGTH_FIRST:
            yield t, at + 4, at + length
        elif kind < _PADDING:
            yield t, at, at + length
        at += length


def missed(data: bytes, page: Page) -> int | None:
    """How many records are lost before this page, 0 if that is not known; None if none are."""
    _, filled = page.head.unpack_from(data)
    if not filled & _MISSED:
        return None
    if not filled & _MISSED_COUNT:
        return 0
    at = page.data + (filled & _FILLED)
    return int.from_bytes(data[at : at + page.head.size - 8], sys.byteorder)
