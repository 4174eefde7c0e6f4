"""How a lesson begins: the title, the scene, the question, and what the student says will happen.

What draws and judges is not needed here, and so not imported: this is on the screen at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evloop_lessons.leading.paper import Paper
    from evloop_lessons.leading.words import Words
    from evloop_lessons.lesson import Lesson
    from evloop_lessons.texts import Texts

__all__ = ["ask", "begin"]


def begin(lesson: Lesson, texts: Texts, paper: Paper, words: Words) -> None:
    """Say what it is about, and what is asked."""
    title = f"{words('lesson', number=lesson.number)} · {texts.title}"
    paper.heading(title, words("minutes", minutes=lesson.minutes))
    paper.space()
    paper.say(*texts.scene)
    paper.space()
    paper.heading(words("question"))
    paper.say(*texts.question)
    for key, text in texts.choices.items():
        paper.say(text, first=f"  {key}  ")


def ask(texts: Texts, paper: Paper, words: Words) -> str:
    """What the student says will happen: a choice's key, or a number; nothing, if they would rather not."""
    keys = words.row(texts.choices)
    while given := paper.ask(words("answer-choice", keys=keys) if keys else words("answer-number")):
        answer = given if given in texts.choices else "" if keys else _whole(given)
        if answer:
            return answer
        paper.say(words("not-a-choice" if keys else "not-a-number", given=given, keys=keys))
    return ""


def _whole(text: str) -> str:
    """A whole number in our digits, whatever it was typed in."""
    try:
        return str(int(text))
    except ValueError:
        return ""
