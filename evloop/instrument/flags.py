"""The flags of recv(2) and send(2)."""

from __future__ import annotations

import _socket

from evloop.socket_state import BitNames

__all__ = ["APART", "DONTWAIT", "flag_words"]

DONTWAIT = _socket.MSG_DONTWAIT

APART = _socket.MSG_PEEK | _socket.MSG_OOB | getattr(_socket, "MSG_ERRQUEUE", 0)
"""These show bytes that the stream's next recv gives again, or that are not in the stream at all."""


flag_words = BitNames({name: getattr(_socket, name) for name in dir(_socket) if name.startswith("MSG_")})
"""Flags → "MSG_PEEK|MSG_WAITALL"."""
