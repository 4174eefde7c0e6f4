"""TCP options (RFC 9293, section 3.1): window scale (RFC 7323) and what Multipath TCP says (RFC 8684)."""

from __future__ import annotations

from hashlib import sha1, sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MULTIPATH", "NO_SCALE", "UNKNOWN_SCALE", "Multipath", "Tokens", "options", "scale"]

_END, _NOP, _SCALE, MULTIPATH = 0, 1, 3, 30
_MOST_SHIFT = 14  # RFC 7323, section 2.3

UNKNOWN_SCALE, NO_SCALE = -1, -2
"""In place of a shift count: no SYN was seen; and one without the option was."""

_CAPABLE, _JOIN, _KINDS = 0, 1, 8
_WITH_KEY = frozenset({12, 20, 22, 24})  # lengths of MP_CAPABLE
_WITH_BOTH_KEYS = 20
_JOIN_SYN = 12


def options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each option's kind and all of its bytes, as far as the lengths hold."""
    at = 0
    while at < len(data):
        kind = data[at]
        if kind == _END:
            return
        if kind == _NOP:
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data):
            return
        yield kind, data[at : at + length]
        at += length


def scale(data: bytes) -> int:
    """The shift count of a SYN's options; NO_SCALE if there is none."""
    at, end = 0, len(data) - 2
    while at < end:  # as `options` does, but at once
        kind, length = data[at], data[at + 1]
        if kind == _NOP:
            at += 1
        elif kind == _END or length < 2:
            break
        elif kind == _SCALE and length == 3:
            return min(data[at + 2], _MOST_SHIFT)
        else:
            at += length
    return NO_SCALE


class Multipath:
    """A Multipath TCP connection, which several TCP connections may be a part of."""

    __slots__ = ("kinds",)

    def __init__(self) -> None:
        self.kinds = 0
        """Which of its options were seen so far, a bit each."""


class Tokens:
    """Which connection a token stands for: SHA-1 or SHA-256 of a key, by the version."""

    def __init__(self) -> None:
        self._known: dict[bytes, Multipath] = {}

    def see(self, before: Multipath | None, data: bytes) -> Multipath | None:
        """What a TCP connection is a part of when it has sent these options, and was of `before`."""
        found, kinds = before, 0
        for kind, option in options(data):
            if kind != MULTIPATH or len(option) < 3:
                continue
            subtype, version = option[2] >> 4, option[2] & 15
            if subtype < _KINDS:
                kinds |= 1 << subtype
            if subtype == _CAPABLE:
                if len(option) in _WITH_KEY:
                    found = self._join(found, _token(option[4:12], version))
                if len(option) in _WITH_KEY and len(option) >= _WITH_BOTH_KEYS:
                    found = self._join(found, _token(option[12:20], version))
            elif subtype == _JOIN and len(option) == _JOIN_SYN:
                found = self._join(found, option[4:8])
            else:
                found = found or Multipath()
        if found is not None:
            found.kinds |= kinds
        return found

    def _join(self, before: Multipath | None, token: bytes) -> Multipath:
        found = self._known.get(token) or before or Multipath()
        self._known[token] = found
        return found


def _token(key: bytes, version: int) -> bytes:
    digest = sha256(key) if version else sha1(key, usedforsecurity=False)
    return digest.digest()[:4]
