"""What is said first, and what is taken for an answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from evloop_lessons.leading import opening
from evloop_lessons.leading.words import Words
from evloop_lessons.library import find, library

WORDS = Words("en")
ENTRIES = library([])


class Page:
    """What is said, and what somebody types."""

    def __init__(self, *typed: str) -> None:
        self.typed = [*typed]
        self.said: list[str] = []

    def ask(self, prompt: str) -> str:
        """The next of it."""
        self.said.append(prompt)
        return self.typed.pop(0) if self.typed else ""

    def say(self, *texts: str, **_: str) -> None:
        """Remembered."""
        self.said += texts

    heading = say

    def space(self) -> None:
        """Nothing."""


def test_the_question_comes_first() -> None:
    """Title, scene, question and choices."""
    page = Page()
    entry = find(ENTRIES, "phone_call")
    opening.begin(entry.lesson, entry.texts("en"), page, WORDS)
    assert page.said[0] == "Lesson 1 · The phone call"
    assert page.said[-1] == entry.texts("en").question[-1]


@pytest.mark.parametrize(
    ("choices", "typed", "answer", "wrong"),
    [
        ({}, ["ten", "１０"], "10", ["ten is no whole number."]),
        ({}, ["²", "-3"], "-3", ["² is no whole number."]),
        ({"a": "A", "b": "B"}, ["c", "10", "b"], "b", ["c is none of a, b.", "10 is none of a, b."]),
        ({"a": "A"}, [""], "", []),
        ({}, ["x", ""], "", ["x is no whole number."]),
    ],
)
def test_what_is_no_answer_is_asked_for_again(
    choices: dict[str, str], typed: list[str], answer: str, wrong: list[str]
) -> None:
    """Nothing is an answer, too."""
    page = Page(*typed)
    assert opening.ask(SimpleNamespace(choices=choices), page, WORDS) == answer
    assert [it for it in page.said if "Your answer" not in it] == wrong
