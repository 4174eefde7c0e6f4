"""Text from a log, made safe to show: whatever a peer sent, it stays on its line and in its colour.

A payload is hostile. It may hold terminal sequences, newlines, marks that turn the direction of
writing round, or bytes that are no text at all. What comes out of here is printable, and unambiguous:
a backslash begins an escape and nothing else does. Only Rich markup is left alone, since square
brackets are ordinary text: hand the result to `rich.text.Text`, never to something that reads markup.
"""

from __future__ import annotations

import re

import msgspec

from evloop.printable import encodable, printable

__all__ = ["escape_json", "escape_payload", "escape_text", "json_text"]

# The beginning of a character in UTF-8 whose rest is missing (RFC 3629, section 4).
_CUT = re.compile(rb"(?:[\xc2-\xf4]|[\xe0-\xf4][\x80-\xbf]|[\xf0-\xf4][\x80-\xbf]{2})\Z")
_OTHERS = re.compile(r"[^\x20-\x7e\n]")


def escape_text(text: str) -> str:
    r"""`text` with everything that is not printable as an escape, and the backslash doubled.

    Controls become `\n` or `\x1b`, other characters `\u202e` or `\U000e0001`; a lone surrogate, which no
    terminal can be sent, is such a character too.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return printable(text.replace("\\", "\\\\"))


def json_text(value: object) -> str:
    r"""A value as JSON, and nothing in it that a terminal would obey.

    A byte of a file's name that is no text is written as `\xff`: JSON has no other way to say it.
    """
    try:
        text = msgspec.json.encode(value)
    except UnicodeEncodeError:
        text = msgspec.json.encode(_encodable(msgspec.to_builtins(value)))
    return escape_json(text)


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(it) for key, it in value.items()}
    return [_encodable(it) for it in value] if isinstance(value, list | tuple) else value


def escape_json(text: bytes | bytearray) -> str:
    r"""JSON as it was encoded, and nothing in it that a terminal would obey.

    JSON escapes the controls of ASCII. Those above it, and marks that turn the direction of writing round,
    it allows as they are: here they become `\u202e`, which any reader takes for the same.
    """
    plain = text.decode()
    return plain if plain.isascii() and "\x7f" not in plain else _OTHERS.sub(_in_json, plain)


def _in_json(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    pair = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4))


def escape_payload(data: bytes, limit: int = 64, total: int | None = None) -> str:
    r"""The first bytes of a payload as text that may stand between double quotes.

    Bytes that are no UTF-8 become `\xNN`. A payload that goes on behind what is shown ends in `…`, and
    then half a character at the cut is left out.

    Args:
        data: What the log has of the payload.
        limit: How many bytes to show at most.
        total: How long the payload was, if that is known: the log may have only its beginning. If it is
            not known, half a character at the end is taken for the work of a cut.
    """
    try:
        text = data[:limit].decode()
    except UnicodeDecodeError:
        return _escape_bytes(data, limit, total)
    if not text.isprintable() or '"' in text or "\\" in text:
        return _escape_bytes(data, limit, total)
    return text if len(data) <= limit and (total is None or total == len(data)) else text + "…"


def _escape_bytes(data: bytes, limit: int, total: int | None) -> str:
    shown = data[:limit]
    ends = len(data) <= limit and (total is None or total == len(data))  # as far as is known
    cut = None if ends and total is not None else _CUT.search(shown)
    if cut:
        shown = shown[: cut.start()]
    text = shown.replace(b"\\", b"\\\\").replace(b'"', b'\\"').decode("utf-8", "backslashreplace")
    return printable(text) if ends and not cut else printable(text) + "…"
