"""What somebody hands in as a saved run, and is none any more: a sentence or a verdict, never more."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from evloop_lessons.leading.telling import verdicts
from evloop_lessons.lesson import LessonError
from evloop_lessons.library import find, library

pytestmark = pytest.mark.needs("namespaces")

LESSON = (sys.executable, "-P", "-m", "evloop", "lesson")
ENTRY = find(library([]), "phone_call")
ROUNDS = 300


@pytest.fixture
def copy(saved_lesson: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(saved_lesson, tmp_path / "copy"))


def judged(folder: Path) -> tuple[list[bool | None], str]:
    """The verdicts, and all that is said of the files."""
    run, found = verdicts(ENTRY, folder, "en")
    return [it.passed for it in found], "; ".join([*run.remarks, *run.lacks.values()])


def change(folder: Path, **fields: object) -> None:
    """Other things in run.json."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parameters": {"wait": 1000}}, "run.json: wait=1000: wait is a number, 0 … 60"),
        ({"parameters": {"messages": 1.5}}, "run.json: messages=1.5: messages is a whole number, 1 … 10"),
        ({"parameters": {"messages": True}}, "Expected `int | float | str`, got `bool`"),
        (
            {"parameters": {"door": 1}},
            "run.json: door: lesson 1 has no such parameter: it has wait, messages",
        ),
        ({"lesson": "one"}, "Expected `int`, got `str`"),
        ({"programs": {"../server": 1}}, "'../server' is no name of a program"),
        ({"schema": "evloop-lesson/9"}, "is written in 'evloop-lesson/9', and only evloop-lesson/1 is"),
        ({"more": 1}, "Object contains unknown field `more`"),
    ],
)
def test_a_plan_that_none_can_be_is_a_sentence(copy: Path, fields: dict[str, object], said: str) -> None:
    """It says what is wrong with it."""
    change(copy, **fields)
    with pytest.raises(LessonError) as error:
        verdicts(ENTRY, copy, "en")
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["run.json", "server.jsonl", "run.pcapng", "steps.jsonl", "sockets.jsonl"])
def test_what_is_no_file_is_not_opened(copy: Path, name: str) -> None:
    """A pipe that nobody writes to, a device without an end, a folder, one that is larger than the disk."""
    path = copy / name
    path.unlink()
    for make in (
        lambda: os.mkfifo(path),
        lambda: path.symlink_to("/dev/zero"),
        path.mkdir,
        lambda: (path.touch(), os.truncate(path, 1 << 40)),
    ):
        make()
        try:
            verdict, said = judged(copy)
        except LessonError as error:
            verdict, said = [], str(error)
        assert False not in verdict or name == "steps.jsonl", said
        assert name == "steps.jsonl" or name in said
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_a_run_that_was_broken_off_says_so(copy: Path) -> None:
    """Its last step is missing."""
    steps = copy / "steps.jsonl"
    lines = steps.read_text().splitlines(keepends=True)
    steps.write_text("".join(lines[:-3]))
    assert "the run is not whole" in judged(copy)[1]


def test_a_capture_that_was_broken_off_is_no_evidence(copy: Path) -> None:
    """Its last block is missing, which says what was lost: that no packet is there would prove anything."""
    path = copy / "run.pcapng"
    data = path.read_bytes()
    path.write_bytes(data[: -int.from_bytes(data[-4:], sys.byteorder)])
    verdict, said = judged(copy)
    assert "the capture was broken off: nobody knows what is not in it" in said
    assert verdict == [None, True, None, None]


def test_what_a_file_says_does_not_reach_the_terminal(copy: Path) -> None:
    """Nothing that it would obey."""
    change(copy, prediction="\x1b[2J9")
    (copy / "\x1b[31m.jsonl").touch()
    done = subprocess.run(
        [*LESSON, "check", str(copy), "--lang", "en"], capture_output=True, timeout=60, check=False
    )
    assert b"\x1b" not in done.stdout
    assert b"You said \\x1b[2J9" in done.stdout
    assert done.returncode == 0


def test_json_has_the_same_keys_whatever_is_missing(copy: Path) -> None:
    """What could not be judged says why in its evidence."""
    (copy / "run.pcapng").unlink()
    done = subprocess.run(
        [*LESSON, "check", str(copy), "--json"], capture_output=True, timeout=60, check=False
    )
    found = json.loads(done.stdout)
    assert set(found) == {"lesson", "passed", "skipped", "seconds", "checks"}
    assert {tuple(it) for it in found["checks"]} == {("claim", "passed", "evidence")}
    assert found["checks"][0]["passed"] is None
    assert found["checks"][0]["evidence"][0]["what"] == "run.pcapng is missing"


def test_another_runs_files_are_not_this_ones(copy: Path, tmp_path: Path) -> None:
    """A log of another process is not looked at, and a lesson that is not there is a sentence."""
    change(copy, programs={"server": 1, "client": 2})
    verdict, said = judged(copy)
    assert "server.jsonl is of another run" in said
    assert verdict[1] is None
    change(copy, lesson=99)
    done = subprocess.run([*LESSON, "check", str(copy)], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"there is no lesson 99" in done.stderr


def test_whatever_becomes_of_the_bytes_it_is_judged(saved_lesson: Path, tmp_path: Path) -> None:
    """Bytes changed, left out, doubled and cut off: a sentence or verdicts, and no other error."""
    dice = random.Random(5)
    names = [it.name for it in sorted(saved_lesson.iterdir()) if it.suffix not in {".md", ".svg"}]
    for number in range(ROUNDS):
        folder = Path(shutil.copytree(saved_lesson, tmp_path / str(number)))
        path = folder / dice.choice(names)
        data = bytearray(path.read_bytes())
        for _ in range(dice.choice((1, 1, 3, 20))):
            at = dice.randrange(len(data) or 1)
            match dice.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del data[at : at + dice.randrange(40)]
                case 2:
                    data[at:at] = data[at : at + dice.randrange(400)]
                case 3:
                    data[at:at] = dice.choice((b"0", b"-1", b"9" * 30, b"null", b"\n", b"[]"))
                case _:
                    del data[max(1, at) :]
        path.write_bytes(data)
        try:
            verdicts(ENTRY, folder, "en")
        except LessonError:
            pass
        except Exception as error:
            raise AssertionError((number, path, error)) from error
        shutil.rmtree(folder)
