"""What becomes of a scenario that does what none should; played without a network, and without a program."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from evloop_lessons.leading import performance
from evloop_lessons.leading.performance import Performance, kept_in
from evloop_lessons.lesson import LessonError, UnplayedError
from evloop_lessons.library import LessonFolder
from evloop_lessons.plan import read_plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENARIO = """
import os, subprocess, sys, time
from evloop_lessons.lesson import Lesson
LESSON = Lesson(number=99, minutes=1)
def play(stage):
"""


@pytest.fixture
def played(tmp_path: Path) -> Callable[[str], None]:
    """Play a line."""

    def played(line: str) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "run").mkdir()
        (tmp_path / "mine" / "scenario.py").write_text(f"{SCENARIO}    {line}\n", encoding="utf-8")
        with Performance(LessonFolder(tmp_path / "mine"), {}, tmp_path / "run") as playing:
            playing.until("ready")
            playing.go()
            playing.until("done")

    return played


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise ValueError('no \\x1b[31m')", "mine/scenario.py:6: ValueError: no \x1b[31m"),
        ("raise ValueError('\\udcff')", r"mine/scenario.py:6: ValueError: \xff"),
        ("sys.exit(0)", "mine/scenario.py:6: SystemExit: 0"),
        ("raise KeyboardInterrupt", "mine/scenario.py:6: KeyboardInterrupt"),
        ("stage.step('call')", "'call' is none of the lesson's steps: "),
        ("os.kill(os.getpid(), 9)", "the process that plays the scenario was killed by signal 9"),
        ("os._exit(7)", "the scenario ended with code 7, and did not say why"),
    ],
)
def test_what_goes_wrong_is_a_sentence(played: Callable[[str], None], line: str, said: str) -> None:
    """It names the line."""
    with pytest.raises(UnplayedError, match=f"{re.escape(said)}$"):
        played(line)


def test_a_lesson_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    """What is written down of it is text."""
    folder = tmp_path / os.fsdecode(b"mine\xff")
    for it in (folder, tmp_path / "run"):
        it.mkdir()
    (folder / "scenario.py").write_text(f"{SCENARIO}    pass\n", encoding="utf-8")
    with Performance(LessonFolder(folder), {}, tmp_path / "run") as playing:
        playing.until("ready")
        playing.go()
        playing.until("done")
    assert read_plan(tmp_path / "run").folder == r"mine\xff"


def test_what_is_printed_is_told_afterwards(
    played: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, also what a program of its own prints; a terminal obeys none of it."""
    played("print('one \\x1b[2J', flush=True), subprocess.run(['echo', 'two'])")
    assert capsys.readouterr() == ("", "one \\x1b[2J\ntwo\n")


def test_who_is_left_alone_is_ended(played: Callable[[str], None], tmp_path: Path) -> None:
    """A daemon has another session and another parent, and still belongs to the scenario."""
    note = tmp_path / "pid"
    begin = f"subprocess.run(['setsid', '-f', 'sh', '-c', 'echo $$ >{note}; exec sleep 99'])"
    written = f"os.path.exists({str(note)!r}) and os.path.getsize({str(note)!r})"
    played(f"{begin}\n    while not ({written}): pass")
    pid = int(note.read_text(encoding="ascii"))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_never_ends_is_ended(played: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody is asked, nobody waits for ever."""
    monkeypatch.setattr(performance, "PATIENCE", 0.5)
    with pytest.raises(UnplayedError, match=r"the scenario is not over after 0\.5 s"):
        played("while True: pass")


def test_nothing_is_kept_behind_a_link_in_a_shared_folder(tmp_path: Path) -> None:
    """Not the folder of the run is made there."""
    shared, his = tmp_path / "shared", tmp_path / "his"
    shared.mkdir()
    his.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(his)
    for name in ("link", "link/run", "link/run/1"):
        with (
            pytest.raises(LessonError, match=f"^--save {shared}/{name}: .* is a symbolic link"),
            kept_in(shared / name),
        ):
            raise AssertionError("it was kept")
    assert list(his.iterdir()) == []
    with kept_in(shared / "run" / "1") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
