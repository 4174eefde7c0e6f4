"""Which lessons there are, and that ours are whole in every language."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from evloop_lessons.lesson import LessonError
from evloop_lessons.library import OURS, LessonFolder, again, find, library
from evloop_lessons.texts import LANGUAGES

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = library([])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda it: it.folder.name)
def test_ours_say_everything_in_every_language(entry: LessonFolder) -> None:
    """Every step, claim and parameter has its words; choices are the same; the source is there."""
    root = OURS.parent.parent.parent
    texts = [entry.texts(language) for language in LANGUAGES]
    assert len({tuple(it.choices) for it in texts}) == 1
    assert len({tuple(it.source) for it in texts}) == 1
    assert all((root / path).exists() for path in texts[0].source)
    assert callable(entry.play)
    assert callable(entry.outcome)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder of lessons with one that is the first of ours."""
    shutil.copytree(OURS / "phone_call", tmp_path / "lessons" / "mine")
    return tmp_path / "lessons"


def test_a_lesson_elsewhere_comes_before_ours(copied: Path) -> None:
    """It is found by its number, and by its folder's name; two of them do not mix."""
    entries = library([copied])
    assert find(entries, "1").folder == copied / "mine"
    assert find(entries, "mine") is find(entries, "1")
    assert find(entries, "1").play is not find(ENTRIES, "1").play
    with pytest.raises(LessonError, match="there is no lesson 99: there are 1, "):
        find(entries, "99")


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "en.md",
            "- `silence`: The connection",
            "- `quiet`: The connection",
            "nothing is said of `silence`, one of the lesson's steps",
        ),
        (
            "en.md",
            "## Parameters\n",
            "## Parameters\n\n- `more`: x\n",
            "`more` is none of the lesson's param",
        ),
        ("scenario.py", "LESSON = Lesson(", "LESSON = dict(", "LESSON is no Lesson"),
        ("scenario.py", "def play", "def show", "scenario.py has no play: see"),
        ("scenario.py", "LESSON = ", "LESSON == ", "cannot be loaded: NameError"),
    ],
)
def test_what_is_not_whole_is_a_sentence(copied: Path, file: str, old: str, new: str, said: str) -> None:
    """It names the file."""
    path = copied / "mine" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    entry = LessonFolder(copied / "mine")
    with pytest.raises(LessonError) as error:
        entry.texts("en"), entry.play
    assert said in str(error.value)
    assert str(copied / "mine") in str(error.value)


def test_folders_without_lessons(tmp_path: Path) -> None:
    """None there, and none in it."""
    with pytest.raises(LessonError, match="is no folder"):
        library([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LessonError, match="has no lessons in it"):
        library([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("checks.py", None, r"is no lesson: checks\.py is missing"),
        ("checks.py", "FALSE = {}", "has no outcome"),
        ("scenario.py", "raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
        ("en.md", b"\xff", r"en\.md cannot be read: it is not UTF-8"),
    ],
)
def test_what_is_not_whole_leaves_the_others(
    copied: Path, name: str, text: str | bytes | None, said: str
) -> None:
    """Ours are there; the one that is asked for says why it cannot be had."""
    path = copied / "mine" / name
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    entries = library([copied])
    assert find(entries, "2").folder.parent == OURS
    assert {it.number for it in ENTRIES} <= {it.number for it in entries}
    with pytest.raises(LessonError, match=said):
        find(entries, "mine")


def test_who_has_no_number_stands_last(copied: Path) -> None:
    """And is named to who looks for a number that nobody has."""
    (copied / "mine" / "scenario.py").write_text("LESSON = None")
    entries = library([copied])
    assert [it.number for it in entries[-2:]] == [ENTRIES[-1].number, None]
    with pytest.raises(LessonError, match=r"there is no lesson 99: there are 1, .*; no number .* of .*mine"):
        find(entries, "99")


def test_a_saved_run_is_shown_again_where_its_lesson_is(copied: Path) -> None:
    """Who types the command gets that lesson, also if it stands in a folder that must be named."""
    saved, where = copied / "a run", copied.rename(copied.parent / "les sons")
    entries = library([where])
    assert again(entries, 1, saved) == f"evloop lesson 1 --replay '{saved}' --dir '{where}'"
    assert again(entries, 2, saved) == f"evloop lesson 2 --replay '{saved}'"
    assert again(entries, 99, saved) == f"evloop lesson 99 --replay '{saved}'"


@pytest.mark.parametrize(("language", "other"), [("en", "zh"), ("zh", "en")])
def test_a_lesson_in_one_language(copied: Path, language: str, other: str) -> None:
    """It is told in that; without any it is none."""
    folder = copied / "mine"
    title = LessonFolder(folder).texts(other).title
    (folder / f"{language}.md").unlink()
    entry = find(library([copied]), "mine", language)
    assert entry.texts(language).title == title
    (folder / f"{other}.md").unlink()
    with pytest.raises(LessonError, match=rf"is no lesson: {language}\.md is missing"):
        find(library([copied]), "mine", language)


def test_ours_are_in_both() -> None:
    """Each has its words in every language."""
    missing = [
        (it.folder.name, of)
        for it in ENTRIES
        for of in ("en", "zh")
        if not (it.folder / f"{of}.md").is_file()
    ]
    assert not missing
