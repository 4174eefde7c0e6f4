"""The command: what it prints, its exit codes, and that nothing ends in a traceback."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli
from evloop_trace.checking import check_log

from evloop.events.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Save = Callable[[str, bytes], str]


def run(*arguments: str) -> int:
    """The exit code of `evloop-trace` with these arguments."""
    return cli.run(lambda: cli.cli.main(list(arguments), "evloop-trace", standalone_mode=False))


@pytest.fixture
def log(book: Any, save: Save) -> str:
    """The path of a whole log."""
    return save("a.jsonl", book.conversation().encode())


@pytest.mark.parametrize("command", ["check", "lint", "stats", "why"])
def test_a_log_out_of_a_pipe(log: str, tmp_path: Path, command: str) -> None:
    """As the shell's <(…) has it, or a FIFO: it is read once, and never waited for a second time."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = []
    with subprocess.Popen(["sh", "-c", 'exec cat "$0" >"$1"', log, pipe]) as cat:
        try:
            for path in (log, str(pipe)):
                done = subprocess.run(
                    [sys.executable, "-P", "-m", "evloop_trace", command, "--json", path],
                    capture_output=True, check=False, timeout=50,
                )  # fmt: skip
                said.append((done.returncode, done.stdout.decode().replace(path, "LOG")))
        finally:
            cat.kill()
    assert said[0] == said[1]


def test_a_lint_of_a_broken_log(log: str, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no event nobody has looked at: that is not all well, as the exit code says, too."""
    with open(log, "rb") as file:
        torn = save("torn.jsonl", file.read().replace(b"\n", b"\nx\n", 1)[:-5])
    assert run("lint", "--json", log, torn) == 1
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(it["log"], it["ok"], it["problems"], it["findings"]) for it in reports] == [
        (log, True, 0, []),
        (torn, False, 2, []),
    ]


def test_replay_writes_lines(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the output is no terminal there is a line for each event."""
    assert run("replay", log) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 12
    assert '"hello 哈"' in out


def test_replay_filters(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Options choose the events; a speed paces them."""
    options = (
        "--conn",
        "tcp-1",
        "--ev",
        "recv",
        "--ev",
        "send",
        "--from",
        "5us",
        "--to",
        "6.1us",
        "--speed",
        "10",
    )
    assert run("replay", log, *options) == 0
    assert [line.split()[4][:5] for line in capsys.readouterr().out.splitlines()] == ["recv(", "send("]
    assert run("replay", log, "--speed", "max") == 0


def test_replay_merges(log: str, save: Save, book: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Several logs become one, with labels."""
    assert run("replay", log, save("b.jsonl", book.encode())) == 0
    assert {"a:tcp-1", "b:tcp-1"} <= set(capsys.readouterr().out.split())


def test_replay_goes_on_after_a_broken_line(log: str, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken lines are told on standard error, and the exit code says so."""
    with open(log, "rb") as file:
        lines = file.read().split(b"\n")
    lines[3] = b"\x00\xff"
    assert run("replay", save("broken.jsonl", b"\n".join(lines))) == 1
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 11
    assert "broken.jsonl: line 4 is not an event" in captured.err


def test_a_torn_log(log: str, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """A torn end is told by replay and by check."""
    with open(log, "rb") as file:
        path = save("torn.jsonl", file.read()[:-9])
    assert run("replay", path) == 1
    assert "line 12 is torn" in capsys.readouterr().err
    assert run("check", path) == 1
    assert "torn-end" in capsys.readouterr().out


@pytest.mark.parametrize("terminal", [False, True])
def test_a_name_that_occurs_nowhere(
    terminal: bool, log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told at the end, and the exit code says so; a name whose events are filtered out occurs."""
    monkeypatch.setattr("evloop_trace.apps.player.Player.run", lambda self, **_: self.playback.run_to(9**9))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert run("replay", log, "--conn", "tcp-9", "--conn", "tcp-1") == 1
    said = f"evloop-trace: --conn tcp-9 occurs nowhere in {log}: a name is like tcp-1\n"
    assert capsys.readouterr().err == said
    assert run("replay", log, "--conn", "tcp-1", "--ev", "refuse") == 0
    assert run("replay", log, log, "--conn", "tcp-1") == 1
    assert "with several logs a name is like server:tcp-1" in capsys.readouterr().err


def test_a_name_that_may_still_come(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves before the end is not told what is not known."""
    monkeypatch.setattr("evloop_trace.apps.player.Player.run", lambda *_, **__: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("replay", log, "--conn", "tcp-9") == 0


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_broken_log_on_a_terminal(
    name: str,
    log: str,
    save: Save,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the picture is gone, its problems are told with their lines."""
    with open(log, "rb") as file:
        lines = file.read()[:-9].split(b"\n")
    lines[3] = b"nonsense"
    data = b"\n".join(lines)
    path = save(name, gzip.compress(data) if name.endswith("gz") else data)
    monkeypatch.setattr("evloop_trace.apps.player.Player.run", lambda self, **_: self.playback.run_to(9**9))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("replay", path) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"evloop-trace: {path}: line 4 is not an event")
    assert second.startswith(f"evloop-trace: {path}: line 12 is torn")


def test_a_picture_of_a_broken_log(
    log: str, save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is drawn, and what is not in it is told."""
    with open(log, "rb") as file:
        path = save("torn.jsonl", file.read()[:-9])
    out = tmp_path / "a.svg"
    assert run("picture", path, "-o", str(out)) == 1
    assert out.read_text(encoding="utf-8").startswith("<svg")
    assert capsys.readouterr().err.startswith(f"evloop-trace: {path}: line 12 is torn")


def test_a_picture_follows_no_link_in_a_shared_folder(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever guessed its name might have put one there; and a file of ours is written anew."""
    precious, shared = tmp_path / "precious", tmp_path / "shared"
    precious.write_text("precious " * 99_999)
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "a.svg").symlink_to(precious)
    assert run("picture", log, "-o", str(shared / "a.svg")) == 2
    assert "it is a symbolic link in a folder where others may write" in capsys.readouterr().err
    assert precious.read_text().startswith("precious")
    assert run("picture", log, "-o", str(precious)) == 0
    assert precious.read_text(encoding="utf-8").endswith("</svg>\n")


def test_no_picture_is_poured_over_a_terminal(
    log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SVG file is nothing to read: only who says `-` gets it there."""
    assert run("picture", log) == 0
    assert capsys.readouterr().out.startswith("<svg")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert run("picture", log) == 2
    said = "evloop-trace: an SVG file is nothing to read on a terminal: give it a name with -o FILE\n"
    assert capsys.readouterr() == ("", said)
    assert run("picture", log, "-o", "-") == 0
    assert capsys.readouterr().out.startswith("<svg")


@pytest.mark.parametrize("command", ["replay", "check", "stats", "picture"])
@pytest.mark.parametrize(("cut", "garbage"), [(-4, b""), (None, b"garbage")])
def test_a_damaged_archive(
    command: str,
    cut: int | None,
    garbage: bytes,
    log: str,
    save: Save,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What can be read of it is used, and then it is like a torn log."""
    with open(log, "rb") as file:
        path = save("a.gz", gzip.compress(file.read())[:cut] + garbage)
    assert run(command, path) == 1
    captured = capsys.readouterr()
    assert len(captured.out) > 100
    assert "13" in captured.out + captured.err or command == "stats"


@pytest.mark.parametrize("command", ["replay", "check", "stats"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x7fELF\x00\xff\n" * 50, "is not an event log"),
        (b'{"ev":"header","schema":"evloop/7"}\n', "schema version 7"),
        (b"x" * 1_000_000, "is not an event log"),
    ],
)
def test_what_is_no_log(
    command: str, data: bytes, message: str, save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no log gives one sentence and exit code 2."""
    assert run(command, save("x.jsonl", data)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replay",), "Missing argument"),
        (("replay", "/nonexistent\x1b"), "nonexistent\\x1b does not exist: check the name"),
        (("replay", "/"), "is a directory"),
        (("replay", "x", "--ev", "foo"), "'foo' is no event; there are header, clock, poll"),
        (("replay", "x", "--from", "soon"), "'soon' is not a time: write seconds"),
        (("replay", "x", "--from", "2", "--to", "1"), "--to is before --from"),
        (("replay", "x", "--speed", "0"), "'0' is not a speed"),
        (("replay", "x", "--speed", "fast"), "'fast' is not a speed"),
        (("replay", "x", "--step"), "--step needs a terminal"),
        (("picture", "x", "--size", "100"), "'100' is not a size: write columns and lines, such as 100x30"),
        (("picture", "x", "--size", "100x-3"), "'100x-3' is not a size"),
        (("picture", "x", "--size", "5x5"), "'5x5': a picture has 10 to 500 columns and 5 to 300 lines"),
        (("picture", "x", "--size", "600x30"), "'600x30': a picture has 10 to 500 columns"),
        (("nonsense",), "No such command"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is exit code 2 and a sentence that says what is right."""
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("evloop-trace: ")
    assert said.count("\n") == 1
    assert not said.endswith(".\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run --log ./same same", "--log ./same is the program itself: name another file"),
        ("run --capture link same", "--capture link is the program itself: name another file"),
        ("run --log link --capture same other.py", "--log and --capture would write the same file: name two"),
        ("capture -w link --kernel same", "-w and --kernel would write the same file: name two"),
        ("picture same -o link", "-o link is the log itself: name another file"),
        ("audit --log link --strace same -- true", "--log and --strace would write the same file: name two"),
    ],
)
def test_what_is_read_or_written_already_is_not_written(
    arguments: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By whatever name: one sentence, and the file is as it was."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "same").write_text("precious = 1\n")
    (tmp_path / "link").symlink_to("same")
    (tmp_path / "other.py").touch()
    assert run(*arguments.split()) == 2
    assert capsys.readouterr().err == f"evloop-trace: {said}\n"
    assert (tmp_path / "same").read_text() == "precious = 1\n"


@pytest.mark.parametrize("name", ["nosuch.jsonl", "a\\b.jsonl", "--"])
def test_a_file_is_named_as_it_was_given(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """No capital letter, nothing doubled."""
    assert run("check", "--", name) == 2
    assert capsys.readouterr().err.startswith(f"evloop-trace: {name} does not exist: check the name")


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    """In lines."""
    assert run() == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["replay", "check", "stats"])
@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        (">&-", "evloop-trace: cannot go on: standard output is closed\n"),
        (">/dev/full", "evloop-trace: cannot go on: No space left on device\n"),
        (">/dev/full 2>&-", ""),
    ],
)
def test_output_that_cannot_be_written(command: str, redirection: str, said: str, log: str) -> None:
    """One sentence, not one word of Python's."""
    line = f'"{sys.executable}" -m evloop_trace {command} "{log}" {redirection}'
    done = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.decode()) == (1, said)


def test_a_folder_that_was_removed(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is in it can write nothing there."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = "evloop-trace: the folder that you are in has been removed: go to another with cd\n"
    for command in (("picture", "-o", "p.svg", log), ("run", "--log", "l", "-m", "this")):
        assert run(*command) == 2
        assert capsys.readouterr().err == said


def test_a_hostile_payload(book: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that a peer sent reaches the terminal as it was."""
    hostile = "\x1b]0;x\x07\r\n\u202e[bold red]\u009b2J".encode() + b"\xff\xfe"
    book.add(type(book.recv("tcp-1", hostile)), 1, "\x1b[2Jtcp-9", 7, 9, 9, (0, 9), hostile)
    path = save("h.jsonl", book.encode())
    assert [run(command, path) for command in ("replay", "check", "stats")] == [0, 1, 0]
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert '\\x1b]0;x\\x07\\r\\n\\u202e[bold red]\\u009b2J\\xff\\xfe"' in out


def test_check(log: str, book: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole log passes, a wrong one does not, and each is told by its name."""
    assert run("check", log) == 0
    assert "a.jsonl: 12 events: nothing is wrong with it" in capsys.readouterr().out
    del book.events[6]
    wrong = save("b.jsonl", book.encode())
    assert run("check", log, wrong) == 1
    out = capsys.readouterr().out
    assert "b.jsonl:7: lost: event 6 is missing before this line: 1 lost" in out
    assert "b.jsonl: 11 events, 1 more are missing: 1 finding (1 lost)" in out


def test_check_as_json(book: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """One object a log, with the findings as objects."""
    path = save("a.jsonl", book.encode())
    assert run("check", path, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "log": path, "ok": False, "lines": 1, "events": 1, "missing": 0, "counts": {"no-end": 1},
        "findings": [{"line": 1, "kind": "no-end", "note": False, "text": (
            "the log has no end: the server crashed, was killed, or is still running; "
            "it leaves 0 open connections and 0 other open sockets"
        )}],
    }  # fmt: skip


def test_findings_are_bounded(book: Any, save: Save) -> None:
    """Fifty findings are shown and all are counted; `--all` shows the rest."""
    for _ in range(80):
        book.recv("tcp-1", b"x")
    path = save("a.jsonl", book.encode())
    written: list[str] = []
    assert check_log(path, written.append, everything=False, as_json=False) == 81
    assert len(written) == 51
    assert "… and 31 more: --all shows them" in written[-1]
    written.clear()
    assert check_log(path, written.append, everything=True, as_json=False) == 81
    assert len(written) == 82


def test_notes_do_no_harm(book: Any, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown kind of event is told and the log is fine."""
    book.end()
    book.events[-1].seq, book.events[-1].events, book.events[-1].t = 2, 3, 9000
    lines = book.encode().split(b"\n")
    path = save("a.jsonl", b"\n".join([lines[0], b'{"ev":"new","seq":1,"t":5}', *lines[1:]]))
    assert run("check", path) == 0
    assert "a.jsonl:2: note: unknown-kind: 'new' is an event that" in capsys.readouterr().out


def test_stats(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A page of plain text."""
    assert run("stats", log) == 0
    out = capsys.readouterr().out
    assert "Busiest connections" in out
    assert "\x1b" not in out
    assert run("stats", "--json", log) == 0
    assert json.loads(capsys.readouterr().out)["received"] == 9


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_stats_on_a_terminal(
    log: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    no_color: str,
    coloured: bool,
) -> None:
    """A terminal gets colour unless NO_COLOR is set."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    assert run("stats", log) == 0
    assert ("\x1b[36m" in capsys.readouterr().out) == coloured


def test_stats_of_a_damaged_log(log: str, save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """What could be read is put in numbers, and the exit code says that it was not all."""
    with open(log, "rb") as file:
        path = save("b.jsonl", file.read()[:-9])
    assert run("stats", path) == 1
    captured = capsys.readouterr()
    assert "the log has no end" in captured.out
    assert f"evloop-trace: 1 line is no event: evloop-trace check {path} says which\n" in captured.err


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON Schema is JSON."""
    assert run("schema") == 0
    assert "anyOf" in json.loads(capsys.readouterr().out)


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are exit code 0."""
    assert [run("--version"), run("--help"), run("replay", "-h")] == [0, 0, 0]
    assert SCHEMA.startswith("evloop/")
    assert "evloop-trace 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0), (OSError(28, "No space left on device"), 1)],
)
def test_how_a_command_may_end(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, a closed pipe and a full disk are no tracebacks."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(sys, "stdout", io.StringIO())  # it has no descriptor that could be redirected
    assert cli.run(fail) == code


def test_output_in_another_encoding(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an encoding cannot say is escaped."""
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    assert run("replay", log) == 0
    assert b"hello \\u54c8" in out.getvalue()


def test_a_reader_that_has_seen_enough(log: str, save: Save) -> None:
    """`evloop-trace replay | head -1` is quiet, and so is Python when it ends."""
    with open(log, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    path = save("long.jsonl", lines[0] + lines[5] * 20_000)
    command = [sys.executable, "-m", "evloop_trace", "replay", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_ctrl_c(book: Any) -> None:
    """An interrupted replay ends with 130 and says nothing."""
    command = [sys.executable, "-m", "evloop_trace", "replay", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        process.stdin.write(book.conversation().encode())
        process.stdin.flush()
        assert process.stdout.readline()  # it reads on, and waits for more
        os.kill(process.pid, signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read().strip() == b""
