"""`evloop-trace compare`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[[str, bytes], str]


def run(*arguments: str) -> int:
    """The exit code of `evloop-trace compare` with these arguments."""
    return cli.run(lambda: cli.cli.main(["compare", *arguments], "evloop-trace", standalone_mode=False))


@pytest.fixture
def logs(serving: Any, save: Save) -> tuple[str, str]:
    """The same clients at two servers."""
    one, other = serving("sequential"), serving("threaded")
    for at in range(3):
        one.client(at, 100 * at, 100 * at + 99, f"tcp-{at}", b"I am %d" % at)
        other.client(10 + at, 10 + at, 30 + at, f"tcp-{at}", b"I am %d" % at)
    return save("a.jsonl", one.encode()), save("b.jsonl", other.encode())


def test_compare(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text, where the output is no terminal."""
    assert run(*logs) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    assert '"I am 2" sequential' in captured.out


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_on_a_terminal(
    no_colour: str,
    logs: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As wide as it is, and coloured unless that is not wanted."""
    for name, value in (("NO_COLOR", no_colour), ("COLUMNS", "70"), ("LINES", "24"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run(*logs) == 0
    out = capsys.readouterr().out
    assert ("\x1b[1;31m" in out) == (not no_colour)
    assert no_colour == "" or max(map(len, out.splitlines())) <= 70


def test_json(logs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """One object; times are from the first arrival on."""
    assert run(*logs, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["matched_by"], found["left_out"]) == ("greeting", 0)
    assert [log["label"] for log in found["logs"]] == ["sequential", "threaded"]
    assert found["logs"][0]["queue"] == {"median_ns": 99e6, "p90_ns": 198e6, "max_ns": 198e6}
    assert len(found["differences"]) == 3
    second = found["clients"][1]
    assert (second["number"], second["name"]) == (2, '"I am 1"')
    one, other = second["in"]
    assert (one["came_ns"], one["accepted_ns"], one["closed_ns"]) == (1e6, 100e6, 199e6)
    assert (one["first_answer_ns"], one["queue_ns"], one["answers"]) == (100.2e6, 99e6, 1)
    assert one["held"]["call"] == "recv"
    assert one["because"] == 'recv() on "I am 0"'
    assert (other["came_ns"], other["queue_ns"], other["held"]) == (1e6, 0, None)


def test_json_without_a_partner(serving: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """It is null; so is what has not happened."""
    one, other = serving(), serving()
    one.accept(1, "tcp-1")
    one.accept(2, "tcp-2")
    other.accept(1, "tcp-1")
    assert run(save("a", one.encode()), save("b", other.encode()), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["matched_by"] == "order"
    assert found["clients"][1]["in"][1] is None
    assert found["clients"][1]["in"][0]["closed_ns"] is None
    assert found["clients"][1]["in"][0]["first_answer_ns"] is None


@pytest.mark.parametrize(
    ("models", "files", "labels"),
    [
        (("loop", "threaded"), ("a.jsonl", "b.jsonl"), ["loop", "threaded"]),
        (("loop", "loop"), ("a.jsonl", "b.jsonl"), ["a", "b"]),
        (("loop", "loop"), ("a.jsonl", "a.gz"), ["a", "a-2"]),
        (("run", "loop"), ("a.jsonl", "b.jsonl"), ["a", "b"]),
        (("\x1b" + "x" * 99, "loop"), ("a.jsonl", "b.jsonl"), ["\\x1b" + "x" * 23, "loop"]),
    ],
)
def test_labels(
    models: tuple[str, str],
    files: tuple[str, str],
    labels: list[str],
    serving: Any,
    save: Save,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The models, if they say which is which, or the files."""
    paths = []
    for model, file in zip(models, files, strict=True):
        log = serving(model)
        log.client(0, 0, 1, "tcp-1")
        paths.append(save(file, log.encode()))
    assert run(*paths, "--json") == 0
    assert [log["label"] for log in json.loads(capsys.readouterr().out)["logs"]] == labels


def test_broken_lines(logs: tuple[str, str], save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """They are told of, each once, and the rest is compared."""
    with open(logs[0], "rb") as file:
        lines = file.read().split(b"\n")
    path = save("broken.jsonl", b"\n".join([*lines[:2], b"nonsense", *lines[2:]]))
    assert run(path, path) == 1
    captured = capsys.readouterr()
    assert [line.split(":")[2].strip()[:6] for line in captured.err.splitlines()] == ["line 3"] * 2
    assert "All was over" in captured.out


def test_what_cannot_be_compared(
    logs: tuple[str, str], serving: Any, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, and exit code 2."""
    client, empty = serving("client"), serving()
    cases = (
        (logs[0], save("c.jsonl", client.encode()), "c.jsonl is a client's log: compare needs"),
        (save("e.jsonl", empty.encode()), logs[0], "nobody connects in"),
        (logs[0], "/nonexistent", "does not exist"),
        (save("x.jsonl", b"nonsense\n"), logs[0], "is not an event log"),
        ("-", "-", "standard input can be only one of the two"),
    )
    for a, b, message in cases:
        assert run(a, b) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err
        assert captured.err.count("\n") == 1
