"""What every lesson says: each sentence in each language, and none that nobody says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import evloop_lessons
import pytest
from evloop_lessons.texts import LANGUAGES

ROOT = Path(evloop_lessons.__file__).parent
SOURCES = [*ROOT.glob("*.py"), *ROOT.glob("leading/*.py")]


def sentences(language: str) -> dict[str, str]:
    """By their keys, as they are written."""
    text = (ROOT / "words" / f"{language}.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^- `([^`]+)`: (.+)$", text, re.MULTILINE))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same(language: str) -> None:
    """With the same blanks."""
    said, english = sentences(language), sentences("en")
    assert said.keys() == english.keys()
    for key, sentence in said.items():
        assert set(re.findall(r"{\w+}", sentence)) == set(re.findall(r"{\w+}", english[key])), key


def test_no_sentence_is_there_that_nobody_says() -> None:
    """Its key is somewhere in the source."""
    trees = [ast.parse(it.read_text(encoding="utf-8")) for it in SOURCES]
    there = {it.value for tree in trees for it in ast.walk(tree) if isinstance(it, ast.Constant)}
    assert not [key for key in sentences("en") if key not in there]
