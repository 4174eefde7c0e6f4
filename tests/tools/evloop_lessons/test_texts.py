"""The texts of lessons: one form, and a sentence for what has another."""

from __future__ import annotations

import pytest
from evloop_lessons.lesson import LessonError
from evloop_lessons.texts import filled, read_texts, row

WHOLE = """# Title

## Scene

One line
and its next.

Another paragraph.

## Question

What?

- `a`: this
- `b`: that,
  and more

## Steps

- `go`: it goes

## Claims

- `seen`: {number} were seen

## Why

Because.

## Next

- Try it.

## Source

- `evloop/kernel.py`: calls
"""


def test_what_stands_where() -> None:
    """Lines of a paragraph are joined; a list's items are by their keys."""
    texts = read_texts("en.md", WHOLE)
    assert texts.title == "Title"
    assert texts.scene == ("One line and its next.", "Another paragraph.")
    assert texts.question == ("What?",)
    assert texts.choices == {"a": "this", "b": "that, and more"}
    assert texts.steps == {"go": "it goes"}
    assert texts.claims == {"seen": "{number} were seen"}
    assert texts.why == ("Because.",)
    assert texts.next == ("- Try it.",)
    assert texts.source == {"evloop/kernel.py": "calls"}
    assert texts.parameters == {}


def test_no_text_commands_a_terminal() -> None:
    """What it would obey is shown instead, wherever a text is said."""
    texts = read_texts("en.md", WHOLE.replace("Title", "Ti\x1b[2Jtle").replace("it goes", "it\tgoes\x07"))
    assert texts.title == r"Ti\x1b[2Jtle"
    assert texts.steps["go"].endswith(r"goes\x07")
    assert "\t" not in texts.steps["go"]


def test_chinese_has_its_own_headings_and_no_space_where_a_line_was_broken() -> None:
    """The colon may be a wide one, too."""
    text = WHOLE.replace("## Scene", "## 场景").replace("One line\nand", "一行\n还有")
    text = text.replace("`go`: it", "`go`\uff1a it")
    texts = read_texts("zh.md", text)
    assert texts.scene[0] == "一行还有 its next."
    assert texts.steps == {"go": "it goes"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("# Title", "Title"), "en.md:1: a lesson begins with # and its title"),
        (
            ("# Title\n\n## Scene\n\nOne line\nand its next.\n\nAnother paragraph.\n", ""),
            "en.md has no title",
        ),
        (("## Why\n\nBecause.\n", ""), "en.md has no section ## Why or ## 为什么"),
        (("Because.", ""), "en.md:26: this section says nothing"),
        (("## Why", "## Because"), "en.md:26: ## Because is no section of a lesson: Scene"),
        (("## Why", "## Scene"), "en.md:26: ## Scene is there twice"),
        (("- `go`: it goes", "it goes"), "en.md:18: this section is a list of"),
        (("- `go`: it goes", "- go: it goes"), "en.md:18: this section is a list of"),
        (("- `b`", "- `a`"), "en.md:15: `a` is there twice"),
    ],
)
def test_what_is_wrong_is_a_sentence_that_says_where(change: tuple[str, str], said: str) -> None:
    """With the line, where there is one."""
    with pytest.raises(LessonError) as error:
        read_texts("en.md", WHOLE.replace(*change))
    assert str(error.value).startswith(said)


def test_prose_has_no_keys() -> None:
    """What looks like an item of a list is said as it is, where no list is looked for."""
    texts = read_texts(
        "en.md", WHOLE.replace("Because.", "- `a`: one").replace("- Try it.", "- `x --y`: try")
    )
    assert (texts.why, texts.next) == (("- `a`: one",), ("- `x --y`: try",))


@pytest.mark.parametrize(
    ("lines", "joined"),
    [
        ("一行的\n末尾", "一行的末尾"),
        ("至少等\n40 毫秒", "至少等 40 毫秒"),
        ("调用 recv()\n的人", "调用 recv() 的人"),
        ("完了，\nFIN 来了", "完了，FIN 来了"),
        ("发送“one”\n和“two”", "发送“one”和“two”"),
        ("one\nline", "one line"),
    ],
)
def test_where_a_line_was_broken(lines: str, joined: str) -> None:
    """A space stands there as it would within a line."""
    assert read_texts("zh.md", WHOLE.replace("Because.", lines)).why == (joined,)


def test_a_row_is_written_as_its_sentence_is() -> None:
    """Whoever fills it in."""
    assert filled("after {gaps}: {n}", {"gaps": ["1 s", "2 s"], "n": 2}) == "after 1 s, 2 s: 2"
    assert filled("过了 {gaps}：{n}", {"gaps": ["1 s", "2 s"], "n": 2}) == "过了 1 s、2 s：2"
    assert row(["a, b", "c"], "问题", apart=True) == "a, b；c"
