"""`evloop lesson` from outside: what must be seen is seen, and what is not so is not."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evloop_lessons.library import OURS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Process

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.needs("namespaces")

LESSON = (sys.executable, "-P", "-m", "evloop", "lesson")


def lesson(run: Run, *options: str, **how: Any) -> Any:
    """A command about lessons."""
    return run(*LESSON, *options, **how)


def claims(folder: Path, run: Run) -> dict[str, bool | None]:
    """What `lesson check` says of a saved run, by the beginnings of the sentences."""
    done = lesson(run, "check", str(folder), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["passed"] else 1)
    return {it["claim"]: it["passed"] for it in found["checks"]}


def left_over() -> set[Path]:
    """What nobody may leave behind."""
    return set(Path(tempfile.gettempdir()).glob("evloop-lesson-*"))


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Temporary files of this test, and of nobody else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_run_is_kept_shown_again_and_judged(run: Run, tmp_path: Path) -> None:
    """With the logs, the capture, the kernel's table and a report; without a file less is judged."""
    folder = tmp_path / "saved"
    done = lesson(run, "1", "--no-ask", "--save", str(folder), "--lang", "zh")
    assert done.returncode == 0, done.stderr
    assert "一通电话" in done.stdout
    assert {it.name for it in folder.iterdir()} == {
        "run.json", "run.pcapng", "server.jsonl", "client.jsonl", "steps.jsonl", "sockets.jsonl", "report.md",
        "ladder.svg",
    }  # fmt: skip
    assert "✓" in (folder / "report.md").read_text(encoding="utf-8")
    again = lesson(run, "1", "--replay", str(folder), "--lang", "en")
    assert again.returncode == 0
    assert "The phone call" in again.stdout
    assert set(claims(folder, run).values()) == {True}

    (folder / "run.pcapng").unlink()
    assert list(claims(folder, run).values()) == [None, True, None, None]
    log = (folder / "server.jsonl").read_text(encoding="utf-8")
    (folder / "server.jsonl").write_text(log.replace('"n":18', '"n":17'), encoding="utf-8")
    assert list(claims(folder, run).values()) == [None, False, None, None]
    (folder / "client.jsonl").rename(folder / "server.jsonl")
    assert list(claims(folder, run).values()) == [None, None, None, None]
    said = lesson(run, "check", str(folder), "--lang", "en").stdout
    assert "server.jsonl is of another run" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_lesson_that_is_broken_off(
    begin: Callable[..., Process], own_folder: Path, number: int
) -> None:
    """No process, and no file; whatever the signal."""
    process = begin(*LESSON, "1", "--no-ask", "--set", "wait=60")
    deadline = time.monotonic() + 20
    while not _has(own_folder, '"step":"silence"'):
        assert time.monotonic() < deadline, "it does not begin"
        assert process.popen.poll() is None
    process.send(number)
    process.popen.wait(20)
    while left_over() or _processes(own_folder):
        assert time.monotonic() < deadline, (left_over(), _processes(own_folder))


def _has(folder: Path, text: str) -> bool:
    return any(text in it.read_text(encoding="utf-8") for it in folder.glob("*/steps.jsonl"))


def _processes(folder: Path) -> list[str]:
    """The command lines of living processes that name a folder."""
    found = []
    for it in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line, cwd = it.read_bytes().replace(b"\0", b" ").decode(), os.readlink(it.parent / "cwd")
        except OSError:
            continue
        if str(folder) in line or cwd.startswith(str(folder)):
            found.append(line)
    return found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["99"], "there is no lesson 99: there are 1, "),
        (["99"], ", 20; those of a folder of yours are found with --dir PATH"),
        (["99", "--lang", "zh"], "没有第 99 课，只有：1、2、"),
        (["99", "--lang", "zh"], "、20；自己文件夹里的课要用 --dir PATH 指出"),
        (["all", "--lang", "zh"], "：见 evloop lesson --help\n"),
        (["1", "--set", "wait"], "--set wait: write NAME=VALUE"),
        (["1", "--set", "wait=long"], "--set wait=long: wait is a number, 0 … 60"),
        (["1", "--set", "door=1"], "lesson 1 has no such parameter: it has wait, messages"),
        (["1", "--pace", "--slow"], "--pace waits for Enter, --slow for a while: choose one"),
        (["1", "--pace"], "--pace waits for Enter, and nobody can press it here"),
        (["1", "here"], "here is one word too many"),
        (["1", "--json"], "--json is for --check"),
        (["1", "--check", "--save", "here"], "--check only judges"),
        (["all", "--check", "--set", "wait=1"], "--set is for one lesson"),
        (["1", "--save", "/dev/null/x"], "--save /dev/null/x: Not a directory"),
        (["1", "--replay", "."], "is no saved lesson: it has no run.json"),
        (["1", "--replay", ".", "--set", "wait=1"], "--replay shows what was"),
        (["check"], "name the folder of a run that was saved"),
        (["check", "nowhere"], "nowhere is no folder"),
        (["all"], "name a lesson, or add --check"),
        (["--dir", "nowhere"], "nowhere is no folder"),
        (["--door"], "No such option"),
    ],
)
def test_wrong_usage_is_a_sentence(run: Run, options: list[str], said: str) -> None:
    """It ends with 2, and says what to do."""
    done = lesson(run, *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_the_list_says_what_there_is(run: Run) -> None:
    """Number, title and question; in the language of the locale."""
    environment = {**os.environ, "LC_ALL": "zh_CN.UTF-8"}
    assert "第七个来电" in lesson(run, env=environment).stdout
    english = lesson(run, "--lang", "en").stdout
    assert "The seventh caller" in english
    assert "10 min  nothing  The 18 bytes" in english
    assert "✗" not in english


def test_who_has_begun_and_cannot_go_on_ends_with_1(run: Run, tmp_path: Path) -> None:
    """With a sentence, and without a word about usage."""
    folder = tmp_path / "lessons" / "mine"
    shutil.copytree(OURS / "phone_call", folder)
    text = (folder / "scenario.py").read_text(encoding="utf-8")
    (folder / "scenario.py").write_text(text.replace("stage.step", "stage.stop"), encoding="utf-8")
    done = lesson(run, "mine", "--dir", str(folder.parent), "--no-ask")
    assert done.returncode == 1
    assert done.stderr.startswith(f"evloop: {folder / 'scenario.py'}:")
    assert done.stderr.endswith("AttributeError: 'Stage' object has no attribute 'stop'\n")


def test_any_encoding_will_do(run: Run) -> None:
    """What it does not have is told by its code."""
    done = lesson(run, "--lang", "zh", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "1  \\u2713  \\u4e00" in done.stdout


def test_without_standard_output_it_is_a_sentence(run: Run) -> None:
    """Before anything is played."""
    done = run("sh", "-c", 'exec "$@" >&-', "sh", *LESSON, "1", "--check")
    assert done.returncode == 1
    assert done.stderr == "evloop: cannot go on: standard output is closed\n"


def test_the_documented_lesson_is_one(run: Run, tmp_path: Path) -> None:
    """Its blocks, in their files, are a lesson that is found and passes; and which one is shown again."""
    text = (Path(__file__).parents[2] / "docs" / "writing-a-lesson.md").read_text(encoding="utf-8")
    scenario, checks, words = re.findall(r"```(?:python|markdown)\n(.*?)```", text, re.DOTALL)
    folder = tmp_path / "mine" / "hello"
    folder.mkdir(parents=True)
    for name, block in (("scenario.py", scenario), ("checks.py", checks), ("en.md", words)):
        (folder / name).write_text(block, encoding="utf-8")
    command = ("21", "--dir", str(tmp_path / "mine"), "--check", "--json")
    done = lesson(run, *command)
    assert json.loads(done.stdout)["passed"], done.stdout
    assert done.returncode == 0
    false = json.loads(lesson(run, *command, "--set", "message=你好").stdout)
    assert [it["passed"] for it in false["checks"]] == [True, False]
    done = lesson(run, "21", "--dir", "mine", "--save", "run 21", "--no-ask", "--lang", "en")
    told = " ".join(done.stdout.partition("look at it with ")[2].split())
    assert told == "evloop lesson 21 --replay 'run 21' --dir mine"
    assert lesson(run, *shlex.split(told)[2:]).returncode == 0
    other = lesson(run, "1", "--replay", "run 21", "--dir", "mine", "--lang", "en")
    assert (other.returncode, other.stdout) == (2, "")
    assert f"run 21 is of lesson 21: {told}\n" in other.stderr
