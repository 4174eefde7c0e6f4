"""What cannot be done is said in Chinese, too."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import evloop_lessons
import pytest
from evloop_lessons.leading.translation import Catalogue, translation
from evloop_trace.packets import capture_file, pcapng

from evloop import capture_process, files, lab
from evloop.events import reader

if TYPE_CHECKING:
    from collections.abc import Iterator

LESSONS = Path(evloop_lessons.__file__).parent
TEXT = (LESSONS / "words/errors.zh.md").read_text(encoding="utf-8")
OURS = Catalogue(TEXT)
SAY = translation("zh")

SAYING = [LESSONS / it for it in ("cli.py", "plan.py", "run.py", "leading/performance.py")]
SAYING += sorted(LESSONS.glob("lessons/*/checks.py"))
SAYING_ELSEWHERE = [lab, capture_process, capture_file, files, pcapng, reader]
RAISED = {"LessonError": 0, "UnplayedError": 0, "UsageError": 0, "Missing": 0, "first": 1}
"""What takes a sentence, and as which argument."""

SYSTEM = {"7: 7", "--save 7: 7", "7", "7 7; make one with evloop lesson N --save DIR"}
"""What others have said; and what is put together elsewhere, see below."""


def sentences() -> Iterator[str]:
    """All that is raised, with 7 in the blanks."""
    for path in SAYING:
        calls = [
            it for it in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(it, ast.Call)
        ]
        for it in calls:
            at = RAISED.get(getattr(it.func, "attr", getattr(it.func, "id", "")), len(it.args))
            for text in it.args[at : at + 1]:
                parts = text.values if isinstance(text, ast.JoinedStr) else [text]
                yield "".join([str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts])


def test_all_that_cannot_be_done_is_said_in_chinese() -> None:
    """Each sentence of whoever runs lessons; one who writes them reads English."""
    made = {*sentences()} - SYSTEM
    assert len(made) > 40
    assert not [it for it in made if SAY(it) == it and it != "lesson 7 needs a network of its own: 7"]


@pytest.mark.parametrize(
    ("said", "chinese"),
    [
        (
            "there is no lesson x: there are 1, 2; those of a folder of yours are found with --dir PATH",
            "没有第 x 课，只有：1、2；自己文件夹里的课要用 --dir PATH 指出",
        ),
        (
            "run is of lesson 3: evloop lesson 3 --replay run --dir mine",
            "run 是第 3 课的：evloop lesson 3 --replay run --dir mine",
        ),
        ("--set wait=x: wait is a number, 0 … 60", "--set wait=x：wait 是一个数，范围是 0 到 60"),
        ("--set a=x: a is late | early", "--set a=x：a 只能是 late | early"),
        ("x is no folder; make one with evloop lesson N --save DIR", None),
        ("x is no saved lesson: it has no run.json; make one with evloop lesson N --save DIR", None),
        ("x: run.json is no file", "x：run.json 不是普通文件"),
        ("x: run.json: wait=9: wait is a whole number, 0 … 6", None),
        ("lesson 1 needs a network of its own: the system forbids it (Operation not permitted)", None),
        (f"lesson 1 needs a network of its own: {lab._why(1)}", None),
        ("waited for 30 s, and it did not come: one, and more", "等了 30 s，没有等到：one, and more"),
        ("run.json is missing", "缺少 run.json"),
        ("run.pcapng: the file ends in the middle of a block, behind packet 4: it was cut off", None),
        (f"run.pcapng {capture_file._what_else(b'abcd')}", None),
        ("the disk is on fire", "the disk is on fire"),
    ],
)
def test_errors_in_chinese(said: str, chinese: str | None) -> None:
    """What the system says stays as it is."""
    assert SAY(said) == chinese if chinese else SAY(said) != said


def test_no_error_is_translated_that_nobody_says() -> None:
    """A sentence that has changed leaves no old one behind."""
    paths = [*LESSONS.rglob("*.py"), *(Path(str(it.__file__)) for it in SAYING_ELSEWHERE)]
    source = re.sub(r'"\s+f?"', "", "".join([it.read_text(encoding="utf-8") for it in paths]))
    for it in OURS.patterns:
        parts = [part.strip() for part in re.split(r"\{\w+\}|[:;,…]|a (?=whole|number)", it.english)]
        assert all(part in source for part in parts), it.english
    assert len(OURS.patterns) == TEXT.count("\n- ")
    for it in OURS.patterns:
        assert sorted(re.findall(r"\{(\w+)\}", it.translated)) == sorted(it.blanks()), it.english
