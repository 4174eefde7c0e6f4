"""Lines of an exact width."""

from __future__ import annotations

import io

import pytest
from evloop_trace.views.cells import Line, Panel, bar, cut, exact, fit, padded, spread, width_of, wrapped
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment


def text(line: Line) -> str:
    """What stands on a line."""
    return "".join(segment.text for segment in line)


@pytest.mark.parametrize(
    ("given", "width", "expected"),
    [
        ("hello", 5, "hello"),
        ("hello", 4, "hel…"),
        ("hello", 1, "…"),
        ("hello", 0, ""),
        ("哈哈哈", 6, "哈哈哈"),
        ("哈哈哈", 5, "哈哈…"),
        ("哈哈哈", 4, "哈…"),
        ("", 0, ""),
    ],
)
def test_what_is_cut_ends_in_an_ellipsis(given: str, width: int, expected: str) -> None:
    """A wide character is not cut in half."""
    assert cut(given, width) == expected


@pytest.mark.parametrize(("align", "expected"), [("<", "哈哈   "), (">", "   哈哈"), ("^", " 哈哈  ")])
def test_fitting_counts_cells_not_characters(align: str, expected: str) -> None:
    """To the left, the right, the middle."""
    assert fit("哈哈", 7, align) == expected


def test_a_line_is_made_as_wide_as_it_must_be() -> None:
    """Filled or cut."""
    line = [Segment("哈哈"), Segment("abc")]
    assert [text(exact(line, width)) for width in (9, 5, 3)] == ["哈哈abc  ", "哈哈a", "哈 "]
    assert width_of(line) == 7


def test_two_ends_of_a_line() -> None:
    """Without room for both the left one stays."""
    left, right = [Segment("left")], [Segment("right")]
    assert text(spread(left, right, 12)) == "left   right"
    assert text(spread(left, right, 9)) == "left     "


@pytest.mark.parametrize(
    ("given", "width", "expected"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 4, ["one", "two", "thre", "e"]),
        ("it waited 40.0 ms for 5 KiB", 14, ["it waited", "40.0 ms for", "5 KiB"]),
        ("at 5 Bytes", 4, ["at 5", "Byte", "s"]),
        ("a  b", 9, ["a  b"]),
        ("哈哈哈", 4, ["哈哈", "哈"]),
        ("哈", 1, ["哈"]),
        ("", 0, [""]),
    ],
)
def test_rows_of_a_text(given: str, width: int, expected: list[str]) -> None:
    """Broken at spaces, but for one between a number and its unit."""
    assert wrapped(given, width) == expected


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, "····"), (0.001, "█···"), (0.5, "██··"), (0.999, "███·"), (1, "████"), (7, "████"), (-1, "····")],
)
def test_a_bar_is_neither_empty_nor_full_before_it_is(share: float, expected: str) -> None:
    """A little shows, and almost all is not all."""
    assert text(bar(share, 4)) == expected


def test_a_panel_is_a_rich_renderable() -> None:
    """It is given the console's size."""

    class Size(Panel):
        def lines(self, width: int, height: int) -> list[Line]:
            return [[Segment(f"{width}x{height}")]]

    out = io.StringIO()
    Console(file=out, width=50, height=9).print(Size(), end="")
    assert out.getvalue() == "50x9\n"
    with pytest.raises(NotImplementedError):
        Panel().lines(1, 1)


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (60, ["包 #4 的 RST，服务器睡在 recv()（tcp-1）里：12 B 没读"]),
        (26, ["包 #4 的 RST，服务器睡在", "recv()（tcp-1）里：12 B 没", "读"]),
        (16, ["包 #4 的 RST，服", "务器睡在 recv()", "（tcp-1）里：", "12 B 没读"]),
        (12, ["包 #4 的", "RST，服务器", "睡在 recv()", "（tcp-1）", "里：12 B 没", "读"]),
    ],
)
def test_chinese_breaks_nearly_everywhere(width: int, rows: list[str]) -> None:
    """But not before a comma or behind a bracket that opens; and every row has the width, in cells."""
    assert wrapped("包 #4 的 RST，服务器睡在 recv()（tcp-1）里：12 B 没读", width) == rows
    assert all(cell_len(it) <= width for it in rows)


@pytest.mark.parametrize(
    ("align", "expected"), [(str.ljust, "线路--"), (str.rjust, "--线路"), (str.center, "-线路-")]
)
def test_what_is_padded_has_cells_and_not_characters(align, expected: str) -> None:
    """A Chinese character takes two."""
    assert padded("线路", 6, align, "-") == expected
    assert padded("线路", 3, align, "-") == "线路"
