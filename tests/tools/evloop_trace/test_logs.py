"""Logs are opened by name, wherever they are, and every failure is one sentence."""

from __future__ import annotations

import errno
import gzip
import io
import os
import resource
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.logs import family, open_logs

from evloop.errors import LogError
from evloop.events.reader import Problem
from evloop.events.schema import End, Recv

if TYPE_CHECKING:
    from collections.abc import Callable


def events_of(*paths: str) -> list[Any]:
    """All events of logs."""
    with open_logs(paths) as logs:
        return [item for _, block in logs.runs() for item in block.items]


def test_a_log_and_its_size(book: Any, save: Callable[[str, bytes], str]) -> None:
    """A plain file is read to its end, and how far the reading is can be asked."""
    data = book.conversation().encode()
    with open_logs([save("a.jsonl", data)]) as logs:
        assert logs.size == len(data)
        assert [item for _, block in logs.runs() for item in block.items] == book.events
        assert logs.done == len(data)


def test_gzip_is_recognised_by_its_content(book: Any, save: Callable[[str, bytes], str]) -> None:
    """A compressed log is read whatever its name is."""
    path = save("a.log", gzip.compress(book.conversation().encode()))
    assert events_of(path) == book.events


def test_standard_input(book: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input; its size is not known, and it is not closed."""
    read, write = os.pipe()
    os.write(write, book.conversation().encode())
    os.close(write)
    with os.fdopen(read, "rb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file))
        with open_logs(["-"]) as logs:
            assert (logs.size, logs.done) == (0, 0)
            assert [log.name for log in logs.logs] == ["standard input"]
            assert sum(len(block.items) for _, block in logs.runs()) == 12
        assert not file.closed


def test_standard_input_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standard input there is nothing to read."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(LogError, match="standard input is closed"):
        open_logs(["-"])


def test_labels_differ(book: Any, save: Callable[[str, bytes], str], tmp_path: Path) -> None:
    """A label is the beginning of the file's name, with a number where two are the same."""
    data = book.conversation().encode()
    (tmp_path / "b").mkdir()
    paths = [save("server.jsonl", data), save("b/server.jsonl.gz", data), save(".hidden", data)]
    with open_logs(paths) as logs:
        assert [log.label for log in logs.logs] == ["server", "server-2", ".hidden"]
        assert sum(len(block.items) for _, block in logs.runs()) == 36


def test_what_cannot_be_opened(tmp_path: Path, save: Callable[[str, bytes], str]) -> None:
    """Each failure says what is wrong with which file."""
    with pytest.raises(LogError, match="nope does not exist: check the name"):
        open_logs([str(tmp_path / "nope")])
    with pytest.raises(LogError, match="is a directory: name the log in it"):
        open_logs([str(tmp_path)])
    with pytest.raises(LogError, match=r"^'' names no log: give a file, or - for standard input$"):
        open_logs([""])
    with pytest.raises(LogError, match="cannot be opened: Not a directory"):
        open_logs([save("a", b"x") + "/b"])
    with pytest.raises(LogError, match="cannot be opened: embedded null"):
        open_logs(["a\0b"])
    with pytest.raises(LogError, match="is empty"):
        open_logs([save("empty", b"")])


def test_a_file_that_may_not_be_read(
    save: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The superuser may read everything, so the refusal is played."""
    path = save("a", b"x")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(LogError, match="may not be read"):
        open_logs([path])


def test_a_socket_is_for_watching(tmp_path: Path) -> None:
    """Who names the server's watch socket is told which command looks at it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        with pytest.raises(LogError, match="is a socket: look at it with evloop-trace watch"):
            open_logs([path])


def test_a_device_that_is_not_there_is_no_socket(
    save: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /dev/tty of who has no terminal: open(2) says the same of it."""
    path = save("tty", b"x")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(LogError, match="tty cannot be opened: No such device or address"):
        open_logs([path])


def test_a_damaged_archive(book: Any, save: Callable[[str, bytes], str]) -> None:
    """Compressed data that is cut off or broken is a sentence, not a traceback."""
    book.conversation()
    for at in range(3000):
        book.recv("tcp-1", os.urandom(20) + at.to_bytes(2))
    data = gzip.compress(book.encode())
    with pytest.raises(LogError, match="is cut off: its compressed data ends too early"):
        events_of(save("cut", data[:30]))
    with pytest.raises(LogError, match=r"is not readable as gzip|not an event log"):
        events_of(save("bad", data[:100] + b"\0" * 100 + data[200:]))
    with pytest.raises(LogError, match="is not readable as gzip"):
        events_of(save("none", b"\x1f\x8b\xff" + b"x" * 50))


@pytest.mark.parametrize("whole_lines", [True, False])
@pytest.mark.parametrize(
    ("cut", "garbage", "said"),
    [(-8, b"", "ends too early"), (None, b"garbage", "goes on unreadable: Not a gzipped file")],
)
def test_what_is_before_the_damage_is_read(
    book: Any,
    save: Callable[[str, bytes], str],
    whole_lines: bool,
    cut: int | None,
    garbage: bytes,
    said: str,
) -> None:
    """One problem stands behind it, whether the last line is torn or not."""
    lines = book.conversation().encode()
    kept = len(book.events) - (not whole_lines)
    data = gzip.compress(lines if whole_lines else lines[:-9])[:cut] + garbage
    *events, problem = events_of(save("a.gz", data))
    assert events == book.events[:kept]
    assert (problem.line, problem.kind) == (kept + 1, "torn")
    assert problem.message.startswith(f"is torn: the compressed data {said}")


class _Failing(io.RawIOBase):
    """A disk that fails after `good` bytes."""

    def __init__(self, good: bytes) -> None:
        self._good = io.BytesIO(good)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def readinto(self, buffer: Any) -> int:
        data = self._good.read(len(buffer))
        if not data:
            raise OSError(5, "Input/output error")
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("prefix", [b"", b"{", gzip.compress(b"x" * 100, mtime=0)[:15]])
def test_a_disk_that_fails(prefix: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing read is a sentence too, at the first byte and later, compressed or not."""
    file = io.BufferedReader(_Failing(prefix))
    monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: file)
    with pytest.raises(LogError, match="cannot be read: Input/output error"):
        open_logs(["a"])


# -- logs of one run, and of both ends ---------------------------------------------------------------------


def of_run(new_book: Any, run: str) -> bytes:
    """A log whose header names this run."""
    book = new_book()
    book.events[0].run = run
    return book.conversation().encode()


def test_a_run_s_other_processes_come_along(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """Those of the same run, in the order of their numbers; nothing else that lies there."""
    path = save("run.jsonl", of_run(new_book, "r1"))
    children = [save(f"run.jsonl.{pid}", of_run(new_book, "r1")) for pid in (80, 700)]
    save("run.jsonl.900", of_run(new_book, "r2"))
    save("run.jsonl.901", of_run(new_book, ""))
    save("run.jsonl.902", b"no log")
    save("run.jsonl.903", b"")
    save("run.jsonl.old", of_run(new_book, "r1"))
    (Path(path).parent / "run.jsonl.904").mkdir()
    with open_logs([path]) as logs:
        assert [(log.name, log.label) for log in logs.logs] == [
            (path, "run"), (children[0], "80"), (children[1], "700"),
        ]  # fmt: skip
        assert logs.meet
        assert sum(len(rows) for rows in logs.rows()) == 36
    assert family(path) == [path, *children]
    with open_logs([path, children[1]]) as logs:
        assert [log.label for log in logs.logs] == ["run", "80", "run-2"]
    with open_logs([path], alone=True) as logs:
        assert [log.label for log in logs.logs] == ["run"]


def test_a_process_number_that_came_again(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """All that is behind the log's name is the label; one that is taken gets a number."""
    data = of_run(new_book, "r1")
    path = save("run.jsonl", data)
    twice = save("80.jsonl", data)
    children = [save(f"run.jsonl.{it}", data) for it in ("9", "80", "80.2", "81.2", "81.10")]
    for other in ("81.x", "81.", "x.2"):
        save(f"run.jsonl.{other}", data)
    with open_logs([path, twice]) as logs:
        labels = [log.label for log in logs.logs]
    assert labels == ["run", "9", "80-2", "80.2", "81.2", "81.10", "80"]
    assert family(path) == [path, *children]
    with open_logs([path, children[1]]) as logs:
        assert len({log.name for log in logs.logs}) == len(logs.logs) == 6


def test_more_logs_than_descriptors(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """The soft limit is raised; what cannot be opened then is told of, and nothing is left out silently."""
    data = of_run(new_book, "r1")
    path = save("run.jsonl", data)
    for number in range(40):
        save(f"run.jsonl.{number}", data)
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = len(os.listdir("/proc/self/fd")) + 10
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
        with open_logs([path]) as logs:
            assert len(logs.logs) == 41
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft > low


def test_a_child_s_log_that_is_refused(
    new_book: Any, save: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a problem behind the parent's last line, and `family` names it."""
    data = of_run(new_book, "r1")
    path, bad, good = (save(name, data) for name in ("run.jsonl", "run.jsonl.1", "run.jsonl.2"))
    really = Path.open

    def refuse(self: Path, *args: Any) -> Any:
        if str(self) == bad:
            raise OSError(errno.EMFILE, "Too many open files")
        return really(self, *args)

    monkeypatch.setattr(Path, "open", refuse)
    assert family(path) == [path, bad, good]
    with open_logs([path]) as logs:
        assert [log.name for log in logs.logs] == [path, good]
        problems = [it for rows in logs.rows() for row in rows if isinstance(it := row.item, Problem)]
    assert [it.message for it in problems] == [
        f"would be followed by more, but {bad} cannot be opened: Too many open files"
    ]


def test_a_pipe_is_opened_once(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """By who reads it: there is nothing beside it, and what was read of it to look is gone."""
    read, write = os.pipe()
    try:
        data = of_run(new_book, "r1")
        save("run.jsonl.1", data)
        os.write(write, data)
        os.close(write)
        path = f"/dev/fd/{read}"
        assert family(path) == [path]
        assert len(events_of(path)) == data.count(b"\n")
    finally:
        os.close(read)


def test_a_log_of_no_run_has_no_children(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """Whatever lies beside it."""
    path = save("run.jsonl", of_run(new_book, ""))
    save("run.jsonl.80", of_run(new_book, ""))
    with open_logs([path]) as logs:
        assert (len(logs.logs), logs.meet) == (1, False)


def test_a_program_s_log_may_hold_both_ends(new_book: Any, save: Callable[[str, bytes], str]) -> None:
    """Its names need no label then."""
    book = new_book()
    book.events[0].model = "run"
    with open_logs([save("run.jsonl", book.conversation().encode())]) as logs:
        assert logs.meet
        rows = [row for batch in logs.rows() for row in batch]
    assert [row.item.conn for row in rows if isinstance(row.item, Recv)] == ["tcp-1", "tcp-1"]


def test_a_log_that_is_being_written(book: Any, save: Callable[[str, bytes], str]) -> None:
    """It goes on with NULs, and with half of a line: while its program runs that is no damage."""
    book.events[0].pid = os.getpid()
    book.events[0].mono_ns = time.monotonic_ns()
    book.events[0].boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    book.conversation()
    whole = book.encode()
    cut = whole.rindex(b"\n", 0, -1) + 1
    for rest in (b"\0" * 4096, b"\0" * 9 + whole[cut + 9 :] + b"\0" * 4096, b"\0" * 4096 + whole[cut:]):
        assert events_of(save("living.jsonl", whole[:cut] + rest)) == book.events[:-1]
    (*events, last) = events_of(save("living.jsonl", whole[:-9] + b"\0" * 4096))
    assert (events, last.kind) == (book.events[:-1], "torn")


def test_nuls_in_a_log_that_nobody_writes(
    new_book: Callable[[], Any], save: Callable[[str, bytes], str]
) -> None:
    """They are a broken line, and what is behind it is read; at the end they are nothing."""
    book = new_book()
    whole = book.conversation().encode()
    assert events_of(save("dead.jsonl", whole + b"\0" * 4096)) == book.events
    at = len(whole) // 2
    kinds = {type(item) for item in events_of(save("dead.jsonl", whole[:at] + b"\0" + whole[at + 1 :]))}
    assert Problem in kinds
    assert End in kinds
    assert events_of(save("x.jsonl", whole[: whole.index(b"\n")] + b"\n\0")) == book.events[:1]


def test_a_log_that_grows_while_it_is_read(book: Any, save: Callable[[str, bytes], str]) -> None:
    """It is read as far as it went when it was opened, and no line is torn by that."""
    book.conversation()
    for number in range(2000):
        book.send("tcp-1", b"x" * (number % 60))
    whole = book.encode()
    for begun in (0, 1, 70_000 - len(whole.partition(b"\n")[0])):
        cut = len(whole) // 2 + begun
        path = save("growing.jsonl", whole[:cut])
        with open_logs([path]) as logs, open(path, "ab") as file:
            file.write(whole[cut:])
            file.flush()
            items = [item for _, block in logs.runs() for item in block.items]
        assert items == book.events[: whole.count(b"\n", 0, cut) + 1]
