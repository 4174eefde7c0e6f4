"""The pages of the lessons say what the lessons say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from evloop_lessons.library import find, library
from evloop_lessons.texts import LANGUAGES

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location("lessons", ROOT / "tools" / "docs" / "lessons.py")
LESSONS = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(LESSONS)


def test_the_pages_are_those_of_the_lessons():
    """Every lesson has its page in every language, and the index names it."""
    assert LESSONS.check(library([])) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_that_is_out_of_date_is_noticed(language):
    """A sentence that the lesson does not say any more, or does not say so."""
    entry = find(library([]), "1")
    texts = entry.texts(language)
    text = (LESSONS.FOLDER / f"{LESSONS.page(entry, language)}.md").read_text(encoding="utf-8")
    assert LESSONS.lacks(texts, text) == []
    assert LESSONS.lacks(texts, text.replace(texts.why[1], "")) == [texts.why[1]]
    claim = texts.claims["silence"]
    assert LESSONS.lacks(texts._replace(claims={"silence": f"{claim}!"}), text) == [f"- ✓ {claim}!"]
