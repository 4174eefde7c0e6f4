"""The flags of recv(2) and send(2)."""

from __future__ import annotations

import _socket

__all__ = ["APART", "DONTWAIT", "flag_words"]

DONTWAIT = _socket.MSG_DONTWAIT

APART = _socket.MSG_PEEK | _socket.MSG_OOB | getattr(_socket, "MSG_ERRQUEUE", 0)
"""These show bytes that the stream's next recv gives again, or that are not in the stream at all."""


class _Words(dict[int, str]):
    def __missing__(self, flags: int) -> str:
        named = {name: getattr(_socket, name) for name in dir(_socket) if name.startswith("MSG_")}
        words = self[flags] = "|".join(name for name, bit in named.items() if bit and flags & bit == bit)
        return words


flag_words = _Words({0: ""})
"""Flags → "MSG_PEEK|MSG_WAITALL", put together once for each combination that occurs."""
