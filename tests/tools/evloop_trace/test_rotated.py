"""The files of a log that was rotated, read as one."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli
from evloop_trace.logs import open_logs
from evloop_trace.rotated import beside

from evloop.errors import LogError
from evloop.events.reader import Problem
from evloop.events.schema import SCHEMA, Cut, End, Header, Inherit, Signal
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from pathlib import Path


def head(first: int = 0, mono_ns: int = 7) -> Header:
    """A file's first line."""
    return Header(0, 0, 0, SCHEMA, mono_ns, 0, 0, 1, ["x"], {}, "epoll", "upper", "prefix", 64, first=first)


def file(first: int, count: int, *, last: bool = False, mono_ns: int = 7) -> bytes:
    """A file of a log with so many signals, from the number `first` on."""
    numbers = range(max(first, 1), max(first, 1) + count)
    events: list[Any] = [head(first, mono_ns)]
    if first:
        events.append(Inherit(-1, first, 0, "listen-1", 3, "tcp", "127.0.0.1:1", listens=True))
    events += [Signal(number, number, 0, "SIGHUP") for number in numbers]
    end = numbers[-1] + 1
    events.append(End(end, end, 0, "SIGTERM", end + 1) if last else Cut(-1, end, 0, "it goes on"))
    return encode(events)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of three files, and what is none of it."""
    (tmp_path / "log.old-000008").write_bytes(file(0, 3))
    (tmp_path / "log.old-000009").write_bytes(file(4, 3))
    (tmp_path / "log").write_bytes(file(7, 2, last=True))
    (tmp_path / "log.old-000007").write_bytes(file(1, 3, mono_ns=6))  # of an earlier run
    (tmp_path / "log.old-000006").write_bytes(b"no log at all\n")
    (tmp_path / "log.old-1").write_bytes(file(0, 1))
    (tmp_path / "log.4711").write_bytes(file(0, 1))
    return tmp_path


def read(*paths: Path) -> list[Any]:
    """All items."""
    with open_logs([str(path) for path in paths]) as logs:
        assert len(logs.logs) == 1
        return [item for run in logs.runs() for item in run.block.items]


def test_its_older_files(folder: Path) -> None:
    """Each event once, one header, no word of files in between."""
    items = read(folder / "log")
    assert [item.seq for item in items] == list(range(10))
    assert isinstance(items[-1], End)
    assert items[0].first == 0


def test_in_any_order(folder: Path) -> None:
    """Named one by one they are the same log; without the newest it has no end, and says why."""
    names = ("log.old-000009", "log", "log.old-000008")
    assert read(*[folder / name for name in names]) == read(folder / "log")
    older = read(folder / "log.old-000009")
    assert [item.seq for item in older] == [*range(7), -1]


def test_the_oldest_are_gone(folder: Path) -> None:
    """Then it begins with what was open."""
    (folder / "log.old-000008").unlink()
    assert [item.seq for item in read(folder / "log")] == [0, -1, 4, 5, 6, 7, 8, 9]


def run(*arguments: str) -> int:
    """The exit code of `evloop-trace` with these arguments."""
    return cli.run(lambda: cli.cli.main(list(arguments), "evloop-trace", standalone_mode=False))


def test_that_the_oldest_are_gone_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By whatever reads the log, and it is no fault of it; of a whole log nothing is said."""
    path = str(folder / "log")
    said = "begins at event 4: the 3 events before it are in older files, which are gone"
    for command in ("check", "replay", "stats"):
        assert run(command, path) == 0
        assert said not in "".join(capsys.readouterr())
    (folder / "log.old-000008").unlink()
    for command, code in (("check", 1), ("replay", 0), ("stats", 0)):  # the listener was never closed
        assert run(command, path) == code
        assert said in "".join(capsys.readouterr())
    (folder / "log.old-000009").unlink()
    assert run("check", "--json", path) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["missing"] == 6
    assert [(it["kind"], it["note"]) for it in report["findings"]] == [
        ("begins-late", True),
        ("not-closed", False),
    ]


def test_older_files_that_were_compressed(folder: Path) -> None:
    """As one does with old logs."""
    path = folder / "log.old-000008"
    (folder / "log.old-000008.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert [item.seq for item in read(folder / "log")] == list(range(10))


def test_where_a_line_stands(folder: Path) -> None:
    """Lines are counted through; each is found again in its file, and a broken one says so itself."""
    path = folder / "log.old-000009"
    path.write_bytes(path.read_bytes().replace(b'"seq":5', b'"seq":"5"'))
    with open_logs([str(folder / "log")]) as logs:
        (log,) = logs.logs
        found = {
            item.line: item for run in logs.runs() for item in run.block.items if isinstance(item, Problem)
        }
        assert log.chain is not None
        assert list(found) == [6]  # a header and three events are before those of the second file
        assert found[6].message.endswith(f"(line 4 of {path})")
        assert [log.chain.place(line) for line in (1, 4, 5, 7, 8)] == [
            (str(folder / "log.old-000008"), 1), (str(folder / "log.old-000008"), 4),
            (str(path), 3), (str(path), 5), (str(folder / "log"), 3),
        ]  # fmt: skip


def test_which_names(folder: Path) -> None:
    """Only those of the form; and from an older file's name the same."""
    names = {name.rpartition("/")[2] for name in beside(str(folder / "log"))}
    assert names == {f"log.old-00000{number}" for number in (6, 7, 8, 9)}
    older = {name.rpartition("/")[2] for name in beside(str(folder / "log.old-000008"))}
    assert older == names - {"log.old-000008"}


def test_one_that_is_not_there(folder: Path) -> None:
    """It is an error as any."""
    with pytest.raises(LogError, match="does not exist"):
        read(folder / "log.old-000001")
