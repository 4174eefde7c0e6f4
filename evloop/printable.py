"""Text from elsewhere, safe to print: what a terminal would obey is shown instead."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, keep: str = "") -> str:
    """`text` with control characters, bidirectional marks and their kin written out; those in `keep` stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
