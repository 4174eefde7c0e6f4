"""A log that can be wound."""

from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from evloop_trace.correlate.meeting import Told
from evloop_trace.tape import Tape, open_tape

from evloop.errors import LogError
from evloop.events.reader import Problem
from evloop.events.schema import Recv, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evloop.events.reader import Item
    from tests.tools.evloop_trace.conftest import Book

    Save = Callable[[str, bytes], str]


def unwind(tape: Tape) -> list[int]:
    """The numbers of all events, in the order of the tape."""
    numbers: list[int] = []
    while items := tape.after(len(numbers), 1000):
        events = [item.event if isinstance(item, Told) else item for item in items]
        numbers += [-2 if isinstance(event, Problem) else event.seq for event in events]
    return numbers


@pytest.mark.parametrize("block", [1, 100, 1000, 1 << 20])
def test_a_tape_gives_every_event_once_however_its_blocks_fall(book: Book, block: int) -> None:
    """Even one smaller than a line."""
    events = book.conversation().events
    tape = Tape(io.BytesIO(book.encode()), block)
    assert unwind(tape) == list(range(len(events)))
    assert [tape.item(number) for number in range(len(events))] == events


def test_a_tape_can_be_wound_back(book: Book) -> None:
    """Blocks that were found are known, in any order."""
    tape = Tape(io.BytesIO(book.conversation().encode()), 300)
    total = len(unwind(tape))
    for number in (total - 1, 0, total // 2, 1):
        assert tape.after(number, 1)[0] == book.events[number]


def test_lines_that_are_no_events_have_a_place(book: Book) -> None:
    """A broken one in the middle, a torn one at the end."""
    data = book.encode() + b"nonsense\n" + book.encode() + b'{"ev":"re'
    for block in (50, 1 << 20):
        assert unwind(Tape(io.BytesIO(data), block)) == [0, -2, 0, -2]


def test_what_is_found_is_told_once_with_its_line(book: Book) -> None:
    """However the blocks fall, and wherever one winds afterwards."""
    data = book.encode() + b"nonsense\n" + book.encode() + b'{"ev":"re'
    for block in (50, 1 << 20):
        found: list[Item] = []
        tape = Tape(io.BytesIO(data), block, found.extend)
        assert unwind(tape) == unwind(tape) == [0, -2, 0, -2]
        assert [item.line for item in found if isinstance(item, Problem)] == [2, 4]
        assert len(found) == 4


def test_the_last_time_is_read_from_the_end_of_the_file(book: Book) -> None:
    """Without reading what comes before; 0 where there is none."""
    last = book.conversation().events[-1]
    assert Tape(io.BytesIO(book.encode()), 400).last_t() == last.t
    assert Tape(io.BytesIO(b""), 400).last_t() == 0
    assert unwind(Tape(io.BytesIO(b""))) == []


def test_a_plain_file_is_wound_in_place_and_a_compressed_one_from_a_copy(book: Book, save: Save) -> None:
    """Both give the same."""
    data = book.conversation().encode()
    plain, packed = open_tape([save("a.jsonl", data)]), open_tape([save("a.jsonl.gz", gzip.compress(data))])
    assert unwind(plain) == unwind(packed) == list(range(len(book.events)))
    plain.close()
    packed.close()


def test_standard_input_is_copied(book: Book, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe cannot be wound."""
    path = save("a.jsonl", book.conversation().encode())
    with open(path, encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        tape = open_tape(["-"])
    assert unwind(tape) == list(range(len(book.events)))
    tape.close()


def test_several_logs_become_one_tape(new_book: type[Book], save: Save) -> None:
    """With the labels that open_logs gives their names."""
    paths = [save(name, new_book().conversation().encode()) for name in ("a.jsonl", "b.jsonl")]
    tape = open_tape(paths)
    unwind(tape)
    told = [item for number in range(20) if isinstance(item := tape.item(number), Told)]
    names = {item.event.conn for item in told if isinstance(item.event, Recv)}
    assert names == {"a:tcp-1", "b:tcp-1"}
    tape.close()


def test_a_copy_keeps_events_of_a_later_version_and_leaves_out_what_is_none(book: Book, save: Save) -> None:
    """What cannot be decoded cannot be encoded again."""
    later = msgspec.json.encode({"ev": "migrate", "seq": 1, "t": 5, "tick": 1, "to": "cpu-2"})
    tape = open_tape([save("a.gz", gzip.compress(book.encode() + later + b"\nnonsense\n"))])
    assert unwind(tape) == [0, 1]
    assert tape.item(1) == Unknown(1, 5, 1, "migrate", {"to": "cpu-2"})
    tape.close()


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    """As everywhere."""
    with pytest.raises(LogError, match="does not exist"):
        open_tape([str(tmp_path / "missing")])
