"""One moment of a log as an SVG file."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from evloop_trace.apps.still import still
from evloop_trace.cli import cli, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tools.evloop_trace.conftest import Book

    Save = Callable[[str, bytes], str]


def texts(svg: str) -> str:
    """What can be read in a picture."""
    spans = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return html.unescape("".join(spans)).replace("\xa0", " ")


def test_the_end_of_a_log_is_drawn(book: Book, save: Save) -> None:
    """As an SVG file that parses."""
    svg = still([save("a.jsonl", book.conversation().encode() + b"nonsense\n")], None, (100, 30))
    assert ET.fromstring(svg).tag.endswith("svg")
    assert "recv() = 9" in texts(svg)
    assert "SIGTERM" in texts(svg)


def test_a_moment_before_is_drawn_as_it_was(book: Book, save: Save) -> None:
    """Events that were over by then, and the clock at that time."""
    path = save("a.jsonl", book.conversation().encode() + b"nonsense\n")
    early = texts(still([path], 2_200, (100, 30)))
    assert "accept() = fd 7" not in early
    assert "listen()" in early
    assert "0.500 s" in texts(
        still([save("b.jsonl", book.encode().partition(b'{"ev":"end"')[0])], 500_000_000, (99, 30))
    )


def test_spaces_at_the_ends_of_texts_stand_alone(book: Book, save: Save) -> None:
    """Some readers of SVG strip them, and then columns do not align."""
    svg = still([save("a.jsonl", book.conversation().encode())], None, (100, 30))
    spans = re.findall(r"<text[^>]*>([^<]*)</text>", svg.replace("&#160;", " "))
    ragged = [span for span in spans if span.strip("\n") != span.strip()]
    assert ragged == [" evloop "], "but for the name, whose ground is coloured"


def test_a_hostile_payload_stays_text(book: Book, save: Save) -> None:
    """Markup of a page, too."""
    book.recv("tcp-1", b"<script>alert(1)</script>\x1b[31m")
    svg = still([save("a.jsonl", book.encode())], None, (140, 30))
    assert "<script>" not in svg
    assert "<script>alert(1)</script>\\x1b[31m" in texts(svg)
    ET.fromstring(svg)


def test_the_command_writes_a_file_or_standard_output(
    book: Book, save: Save, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """In the size that is asked for."""
    path, out = save("a.jsonl", book.conversation().encode()), tmp_path / "o.svg"
    command = ["picture", path, "--at", "5us", "--size", "60x20"]
    assert run(lambda: cli.main([*command, "-o", str(out)], standalone_mode=False)) == 0
    assert run(lambda: cli.main(command, standalone_mode=False)) == 0
    assert len(out.read_bytes()) > 1000
    assert b"<svg" in capsysbinary.readouterr().out


@pytest.mark.parametrize("size", ["x", "0x0", "100", "9x30", "100x4", "1000x30"])
def test_a_size_that_is_none_is_said(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example."""
    assert run(lambda: cli.main(["picture", "a", "--size", size], standalone_mode=False)) == 2
    assert "such as 100x30" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_sentence(
    book: Book, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    path = save("a.jsonl", book.conversation().encode())
    assert run(lambda: cli.main(["picture", path, "-o", f"{path}/x.svg"], standalone_mode=False)) == 2
    assert capsys.readouterr().err.count("\n") == 1
