"""What the server answers: bytes in, bytes out.

An answer depends on these bytes alone, so it is right however the stream was cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Respond: TypeAlias = Callable[[bytes], bytes]

__all__ = ["PROTOCOLS"]

PROTOCOLS: dict[str, Respond] = {
    # ASCII letters alone change: a byte of "哈" in UTF-8 is never one, so no character breaks.
    "upper": bytes.upper,
    # bytes(data) of bytes is data itself: nothing is copied.
    "echo": bytes,
}
"""The name of a protocol, and how it answers."""
