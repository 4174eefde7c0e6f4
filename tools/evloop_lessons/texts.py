"""What a lesson says: a Markdown file a language, and the reader of it, which takes no other form.

# The title
## Scene        paragraphs
## Question     a paragraph, and the choices, if it is not a number that is asked for:  - `key`: what it says
## Steps        - `step`: what is done now
## Claims       - `key`: what must be seen, with {blanks} that the run fills in
## Why          paragraphs
## Next         paragraphs, or items of a list
## Source       - `path/in/the/repository.py`: what is there
## Parameters   - `name`: what it changes; left out if there are none
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from evloop.printable import printable
from evloop_lessons.lesson import LessonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["LANGUAGES", "Texts", "filled", "read_texts", "row"]

LANGUAGES = ("en", "zh")

# A section's name, by what stands over it.
_SECTIONS = {
    "Scene": "scene", "场景": "scene",
    "Question": "question", "问题": "question",
    "Steps": "steps", "步骤": "steps",
    "Claims": "claims", "检查": "claims",
    "Why": "why", "为什么": "why",
    "Next": "next", "接下来": "next",
    "Source": "source", "源代码": "source",
    "Parameters": "parameters", "参数": "parameters",
}  # fmt: skip
_OPTIONAL = {"parameters"}
_LISTS = {"steps", "claims", "source", "parameters"}
_BLANK = re.compile(r"\{([a-z_]+)\}")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_WIDE = re.compile(r"[\u2e80-\u9fff\uff00-\uffef\u2018-\u201d]")
_ITEM = re.compile(r"- `([^`]+)`\s*[:\uff1a]\s*(.+)")


class Texts(NamedTuple):
    """All that a lesson says in one language."""

    title: str
    scene: tuple[str, ...]
    """Paragraphs."""
    question: tuple[str, ...]
    choices: dict[str, str]
    """By their keys; none: a number is asked for."""
    steps: dict[str, str]
    claims: dict[str, str]
    why: tuple[str, ...]
    next: tuple[str, ...]
    source: dict[str, str]
    parameters: dict[str, str]


class _Section(NamedTuple):
    line: int
    paragraphs: list[str]
    items: dict[str, str]


def read_texts(name: str, text: str) -> Texts:
    """The texts of a file.

    Args:
        name: Of the file, for errors.
        text: What is in it.

    Raises:
        LessonError: it has another form; the message says where, and what was expected.
    """
    lines = [printable(it.expandtabs()) for it in text.splitlines()]  # nothing that a terminal would obey
    title, sections = _read(name, lines)
    for wanted in dict.fromkeys(_SECTIONS.values()):
        if wanted not in sections and wanted not in _OPTIONAL:
            names = " or ".join(f"## {it}" for it, section in _SECTIONS.items() if section == wanted)
            raise LessonError(f"{name} has no section {names}")
    nothing = _Section(0, [], {})
    got = {key: sections.get(key, nothing) for key in _SECTIONS.values()}
    for key, section in got.items():
        if key in _LISTS and section.paragraphs:
            raise LessonError(
                f"{name}:{section.line}: this section is a list of - `name`: text, and nothing else"
            )
        if key not in _LISTS and key in sections and not section.paragraphs:
            raise LessonError(f"{name}:{section.line}: this section says nothing")
    return Texts(
        title,
        tuple(got["scene"].paragraphs),
        tuple(got["question"].paragraphs),
        got["question"].items,
        got["steps"].items,
        got["claims"].items,
        tuple(got["why"].paragraphs),
        tuple(got["next"].paragraphs),
        got["source"].items,
        got["parameters"].items,
    )


def filled(sentence: str, values: Mapping[str, Any]) -> str:
    """A sentence with its {blanks} filled in; one for which there is nothing is `?`, a list is a row."""

    def value(match: re.Match[str]) -> str:
        it = values.get(match[1], "?")
        return row(map(str, it), sentence) if isinstance(it, list | tuple) else str(it)

    return _BLANK.sub(value, sentence)


def row(items: Iterable[str], like: str, *, apart: bool = False) -> str:
    """Items side by side, as the language of `like` writes them.

    Args:
        items: What they say.
        like: A sentence.
        apart: There may be commas in them.
    """
    return (("；" if apart else "、") if _CHINESE.search(like) else ", ").join(items)  # noqa: RUF001


def _read(name: str, lines: list[str]) -> tuple[str, dict[str, _Section]]:
    """The title, and the sections by their names."""
    title = ""
    sections: dict[str, _Section] = {}
    section, key = None, None
    for line, (number, text) in _joined(lines):
        if text.startswith("# ") and not title:
            title = text[2:].strip()
        elif text.startswith("## "):
            heading = text[3:].strip()
            key = _SECTIONS.get(heading)
            if key is None:
                raise LessonError(f"{name}:{number}: ## {heading} is no section of a lesson: {_names()}")
            if key in sections:
                raise LessonError(f"{name}:{number}: ## {heading} is there twice")
            section = sections[key] = _Section(number, [], {})
        elif section is None:
            raise LessonError(
                f"{name}:{number}: a lesson begins with # and its title, then its sections: {line[:40]!r}"
            )
        elif (match := _ITEM.fullmatch(text)) and key in {*_LISTS, "question"}:
            if match[1] in section.items:
                raise LessonError(f"{name}:{number}: `{match[1]}` is there twice")
            section.items[match[1]] = match[2]
        else:
            section.paragraphs.append(text)
    if not title:
        raise LessonError(f"{name} has no title: its first line is # and the title")
    return title, sections


def _names() -> str:
    return ", ".join(_SECTIONS)


def _joined(lines: Iterable[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    """Paragraphs, items and headings, each as one line, with its first line and that one's number."""
    held: list[str] = []
    first = 0
    for number, line in enumerate([*lines, ""], 1):
        text = line.strip()
        if held and (not text or text.startswith(("#", "- "))):
            yield held[0], (first, _one_line(held))
            held = []
        if text.startswith("#"):
            yield text, (number, text)
        elif text:
            first = first if held else number
            held.append(text)


def _one_line(lines: list[str]) -> str:
    """Lines as one: between Chinese characters, and beside their marks, a broken line leaves no space."""
    text = lines[0]
    for line in lines[1:]:
        ends, begins = (_WIDE.match(it) for it in (text[-1], line[0]))
        marks = [it for it in (ends, begins) if it and not _CHINESE.match(it[0])]
        text += ("" if marks or (ends and begins) else " ") + line
    return text
