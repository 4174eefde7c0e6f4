"""Text from elsewhere, safe to print: what a terminal would obey is shown instead."""

from __future__ import annotations

__all__ = ["encodable", "printable"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, keep: str = "") -> str:
    """What is not printable as an escape: controls, marks of direction and their kin; those in `keep` stay.

    Backslashes stay, too, so that a file is named as it was given.
    """
    if text.isprintable():
        return text
    return "".join(
        [char if char.isprintable() or char in keep else _NAMED.get(char) or _number(char) for char in text]
    )


def _number(char: str) -> str:
    code = ord(char)
    # Not \x80 to \xff: that is how a byte which is no text is written.
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def encodable(text: str) -> str:
    r"""Text that UTF-8 can hold: a byte that is no text, which Python keeps as a surrogate, becomes \xff."""
    if text.isascii():
        return text
    try:
        data = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        data = text.encode(errors="backslashreplace")
    return data.decode(errors="backslashreplace")
