"""Whatever a log says, what is shown is printable and unambiguous."""

from __future__ import annotations

import json

import msgspec
import pytest
from evloop_trace.escape import escape_json, escape_payload, escape_text, json_text
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello la 哈哈哈", "hello la 哈哈哈"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x7f\x80\x9b", "\\x7f\\u0080\\u009b"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("\u2028\ufeff\U000e0001", "\\u2028\\ufeff\\U000e0001"),
        ("\ud800", "\\ud800"),
        ("[bold red]", "[bold red]"),
        ("C:\\n", "C:\\\\n"),
    ],
)
def test_text(text: str, shown: str) -> None:
    """Controls, marks of direction, line ends and surrogates become escapes; a backslash is doubled."""
    assert escape_text(text) == shown


@given(st.text())
@example("\x1b[31m\u202e")
def test_text_is_always_printable(text: str) -> None:
    """No text leaves anything that a terminal would obey; two texts never look the same."""
    shown = escape_text(text)
    assert shown.isprintable()
    assert (
        shown.encode("latin-1", "backslashreplace")
        .decode("unicode_escape")
        .encode("utf-8", "surrogatepass")
        .decode("utf-8", "surrogatepass")
        == text
    )


@pytest.mark.parametrize(
    ("data", "limit", "total", "shown"),
    [
        (b"", 64, 0, ""),
        (b"", 64, 5, "…"),
        ("哈哈".encode(), 64, 6, "哈哈"),
        ("哈哈".encode(), 64, None, "哈哈"),
        ("哈哈".encode(), 64, 9, "哈哈…"),
        ("哈哈".encode(), 4, 6, "哈…"),
        ("哈哈".encode()[:5], 64, 6, "哈…"),
        ("哈哈".encode()[:5], 64, None, "哈…"),
        ("哈哈".encode()[:5], 64, 5, "哈\\xe5\\x93"),
        (b"\xff\xfe ok", 64, 5, "\\xff\\xfe ok"),
        (b"\xc2\x9b", 64, 2, "\\u009b"),
        (b'say "hi"\\', 64, 9, 'say \\"hi\\"\\\\'),
        (b"\x1b[2J\r\n", 64, 6, "\\x1b[2J\\r\\n"),
        (b"\x1b[2J", 64, 6, "\\x1b[2J…"),
        (b"\xed\xa0\x80", 64, 3, "\\xed\\xa0\\x80"),
        (b"\xf0\x9f\x98", 64, None, "…"),
        (b"a" * 100, 64, 100, "a" * 64 + "…"),
    ],
)
def test_payloads(data: bytes, limit: int, total: int | None, shown: str) -> None:
    """Bytes that are no text are numbers, and a cut is an ellipsis rather than half a character."""
    assert escape_payload(data, limit, total) == shown


@given(st.binary(max_size=200), st.integers(0, 100), st.none() | st.integers(0, 300))
def test_payloads_are_always_printable(data: bytes, limit: int, total: int | None) -> None:
    """No bytes leave anything that a terminal would obey, and no quote ends the payload too early."""
    shown = escape_payload(data, limit, total)
    assert shown.isprintable()
    assert '"' not in shown.replace("\\\\", "").replace('\\"', "")
    assert shown.endswith("…") or len(data) <= limit


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
@example(["\x1b[31m\u202e\x9b\x7f\u2028\U000e0001 哈 la"])
def test_json_is_always_printable(texts: list[str]) -> None:
    """A reader gets the same text; a terminal gets nothing that it would obey."""
    shown = escape_json(msgspec.json.encode(texts))
    assert shown.isprintable()
    assert json.loads(shown) == texts


class Named(msgspec.Struct):
    """A report."""

    log: str
    places: dict[str, tuple[str, int | None]]


def test_json_of_a_name_that_is_no_text() -> None:
    """Its bytes are written out, wherever it stands; everything else is as it was."""
    report = Named("a\udcff", {"b\udcfe": ("哈\udcff", 1), "c": ("d", None)})
    assert json.loads(json_text([report])) == [
        {"log": r"a\xff", "places": {r"b\xfe": [r"哈\xff", 1], "c": ["d", None]}}
    ]
    assert json_text(Named("a\x9b", {})) == '{"log":"a\\u009b","places":{}}'


def test_json_that_can_be_read_stays_so() -> None:
    """Lines of it are lines, and letters of any language are themselves."""
    text = '{"who":"哈哈"}\n{"who":"la"}\n'
    assert escape_json(text.encode()) == text
    assert escape_json("\x9b".encode()) == "\\u009b"
