"""Paragraphs: where their lines break."""

from __future__ import annotations

import pytest
from evloop_lessons.leading.prose import paragraph


def broken(text: str, width: int) -> list[str]:
    """Its lines."""
    return ["".join(it.text for it in line) for line in paragraph(text, width)]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("看看线路：包是分开的。", 10, ["看看线路：", "包是分开", "的。"]),
        ("他说完了（数字表示）", 10, ["他说完了", "（数字表", "示）"]),
        ("它一共发送“一二三”", 12, ["它一共发送", "“一二三”"]),
        ("发送了（13 字节）", 8, ["发送了", "（13 字", "节）"]),
        ("用了 41.1 ms、43.8 ms。", 17, ["用了 41.1 ms、", "43.8 ms。"]),
        ("要求它（`EPOLLET`），那样", 20, ["要求它（EPOLLET），", "那样"]),
        ("a ` b", 20, ["a ` b"]),
        ("Then `a b` is said (so).", 11, ["Then a b is", "said (so)."]),
    ],
)
def test_lines_break_where_a_reader_may_stop(text: str, width: int, lines: list[str]) -> None:
    """No mark stands apart from what it belongs to, no number from its unit."""
    assert broken(text, width) == lines
