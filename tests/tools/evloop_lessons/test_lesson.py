"""Parameters: what they can be, and what is said of what they cannot."""

from __future__ import annotations

import pytest
from evloop_lessons.lesson import Lesson, LessonError, Parameter

LESSON = Lesson(
    3, 5, parameters=(
        Parameter("count", 5, 0, 20), Parameter("wait", 0.2, 0, 1), Parameter("way", "a", choices=("a", "b")),
    ),
)  # fmt: skip


def test_values_have_the_type_of_the_default() -> None:
    """What is not given is as it is."""
    assert LESSON.values({}) == {"count": 5, "wait": 0.2, "way": "a"}
    assert LESSON.values({"count": "20", "wait": "1", "way": "b"}) == {"count": 20, "wait": 1.0, "way": "b"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("count", "21", "--set count=21: count is a whole number, 0 … 20"),
        ("count", "1.5", "--set count=1.5: count is a whole number, 0 … 20"),
        ("count", "9" * 5000, f"--set count={'9' * 40}…: count is a whole number, 0 … 20"),
        ("wait", "nan", "--set wait=nan: wait is a number, 0 … 1"),
        ("way", "c", "--set way=c: way is a | b"),
        ("door", "1", "--set door: lesson 3 has no such parameter: it has count, wait, way"),
    ],
)
def test_what_cannot_be_is_a_sentence(name: str, value: str, said: str) -> None:
    """It says what can be."""
    with pytest.raises(LessonError) as error:
        LESSON.values({name: value})
    assert str(error.value) == said


def test_a_lesson_without_parameters_says_so() -> None:
    """There is nothing to set."""
    with pytest.raises(LessonError, match="it has none"):
        Lesson(4, 5).values({"x": "1"})
