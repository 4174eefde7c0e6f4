"""Bytes that wait to be sent. Pure: no socket here."""

from __future__ import annotations

from collections import deque

__all__ = ["SendBuffer"]


class SendBuffer:
    """A queue of bytes: appended at the end, sent from the front.

    Chunks are kept apart and cut as views, so that a buffer of n bytes costs O(n)
    in all, however little the kernel takes at a time. Joining and slicing `bytes`
    instead would copy the rest for every send.
    """

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: deque[memoryview] = deque()
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end."""
        if data:
            self._chunks.append(memoryview(data))
            self.size += len(data)

    def first(self) -> memoryview:
        """The bytes to send next, as many as lie in one piece. The buffer must not be empty."""
        return self._chunks[0]

    def consume(self, n: int) -> None:
        """The kernel took `n` bytes of `first()`."""
        first = self._chunks[0]
        if not 0 <= n <= len(first):
            raise ValueError(f"cannot consume {n!r} bytes: the first piece has {len(first)}")
        self.size -= n
        if n == len(first):
            self._chunks.popleft()
        else:
            self._chunks[0] = first[n:]
