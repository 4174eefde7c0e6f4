"""Lines become events, and what is none becomes a problem with its line number."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evloop.errors import LogError
from evloop.events import reader
from evloop.events.reader import Item, LineReader, Problem, decode_header, decode_line, read_blocks
from evloop.events.schema import SCHEMA, Header, Timer, Unknown
from evloop.events.sinks import encode

HEADER = Header(0, 0, 0, SCHEMA, 1, 2, 3, 4, ["evloop"], {}, "epoll", "upper", "prefix", 64)
TIMER = msgspec.json.encode(Timer(1, 2, 3, "idle", 4))
HEAD = msgspec.json.encode(HEADER)


def items_of(*pieces: bytes) -> list[Item]:
    """What a reader makes of bytes that come in these pieces; line numbers must follow each other."""
    lines, items = LineReader(), []
    for block in [*(lines.feed(piece) for piece in pieces), lines.finish()]:
        if block is not None:
            assert block.line == len(items) + 1
            items += block.items
    return items


def problems_of(data: bytes) -> list[tuple[int, str]]:
    """Line and kind of each problem."""
    return [(item.line, item.kind) for item in items_of(data) if isinstance(item, Problem)]


@given(st.lists(st.sampled_from([TIMER, b"broken", b"", HEAD, b'{"ev":"new","seq":1,"t":2}'])), st.data())
def test_pieces_do_not_matter(lines: list[bytes], data: st.DataObject) -> None:
    """However the bytes are cut into pieces, the items are the same."""
    text = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert items_of(*pieces) == items_of(text)


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """No bytes make the reader raise, and every line gives one item; but NULs at the end are none."""
    rest = data.rpartition(b"\n")[2].rstrip(b"\0")
    assert len(items_of(data)) == data.count(b"\n") + (rest != b"")


@pytest.mark.parametrize(
    "line",
    [
        b"", b"null", b"[1]", b"\xff\xfe", b"{", b'{"ev":"timer"}', TIMER + TIMER, b"[" * 5000,
        TIMER.replace(b'"t":2', b'"t":' + b"9" * 30), TIMER.replace(b'"t":2', b'"t":-1'),
        b'{"ev":"new","seq":"1","t":2}', b'{"ev":"new","seq":1}', TIMER.replace(b"idle", b"\xff"),
    ],
)  # fmt: skip
def test_a_broken_line_costs_only_itself(line: bytes) -> None:
    """The lines around one that is no event are read, and it is named."""
    items = items_of(TIMER + b"\n" + line + b"\n" + TIMER + b"\n")
    assert [type(item) for item in items] == [Timer, Problem, Timer]
    assert items[1][:2] == (2, "broken")  # type: ignore[index]


def test_two_events_in_a_line_and_none_in_the_next() -> None:
    """As many events as lines is not enough: each line must be one."""
    assert problems_of(TIMER + TIMER + b"\n\n") == [(1, "broken"), (2, "broken")]


def test_an_unknown_event_is_carried_along() -> None:
    """A kind of event that a later version may have is kept with its fields."""
    assert items_of(b'{"ev":"new","seq":1,"t":2,"x":[3]}\n') == [Unknown(1, 2, 0, "new", {"x": [3]})]
    assert items_of(b'{"ev":"new","seq":1,"t":2,"tick":7}\n') == [Unknown(1, 2, 7, "new", {})]


def test_an_unknown_field_is_ignored() -> None:
    """A field that a later version may have does not spoil the event."""
    assert items_of(TIMER[:-1] + b',"colour":"red"}\n') == [Timer(1, 2, 3, "idle", 4)]


def test_a_torn_end() -> None:
    """A last line without a newline was torn, and says after how many bytes."""
    (item,) = items_of(TIMER[:10])
    assert isinstance(item, Problem)
    assert item.kind == "torn"
    assert "after 10 bytes" in item.message


def test_what_was_not_written_yet() -> None:
    """A killed program's log ends in NULs: they are no line, and a line that was torn before them is."""
    assert items_of(TIMER + b"\n", bytes(100)) == items_of(TIMER + b"\n")
    assert items_of(TIMER + b"\n" + bytes(50), bytes(50)) == items_of(TIMER + b"\n")
    (item,) = items_of(TIMER[:10] + bytes(100))
    assert isinstance(item, Problem)
    assert "after 10 bytes" in item.message


def test_a_line_of_a_million_characters() -> None:
    """A long line that is an event is read as one."""
    line = TIMER.replace(b"idle", b"x" * 1_000_000)
    assert [type(item) for item in items_of(line[:70_000], line[70_000:] + b"\n")] == [Timer]


def test_a_line_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the limit is skipped in bounded memory, and those after it have the right numbers."""
    monkeypatch.setattr(reader, "MAX_LINE", 100)
    items = items_of(TIMER + b"\n" + b"x" * 90, b"x" * 90, b"x" * 90, b"x\n" + TIMER + b"\nzz\n")
    assert [type(item) for item in items] == [Timer, Problem, Timer, Problem]
    assert [item[:2] for item in items if isinstance(item, Problem)] == [(2, "too-long"), (4, "broken")]
    assert problems_of(b"x" * 101) == [(1, "too-long")]
    assert problems_of(b"x" * 100) == [(1, "torn")]
    assert problems_of(TIMER + b"\n" + b"x" * 100) == [(2, "torn")]


def test_what_is_kept_of_a_line_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing, however many small pieces it comes in."""
    monkeypatch.setattr(reader, "MAX_LINE", 100)
    lines = LineReader()
    for _ in range(50):
        assert lines.feed(b"x" * 9) is None
        assert sum(map(len, lines._tail)) <= 100
    assert lines._tail == []


def test_good_lines_are_decoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one only where one is bad: that takes four times as long."""
    monkeypatch.setattr(reader, "decode_line", None)
    assert items_of((TIMER + b"\n") * 3) == [Timer(1, 2, 3, "idle", 4)] * 3


def test_the_words_of_a_broken_line() -> None:
    """What the decoder says, in a line of bounded length."""
    assert decode_line(b"{", 3) == Problem(3, "broken", "is not an event: Input data was truncated")
    long = b'{"ev":"' + b"x" * 500 + b'","seq":"1","t":2,"tick":3}'
    problem = decode_line(long, 3)
    assert isinstance(problem, Problem)
    assert len(problem.message) == len("is not an event: ") + 200


def test_a_log_is_read_in_blocks() -> None:
    """The header comes first, and is also the first item."""
    data = HEAD + b"\n" + (TIMER + b"\n") * 2000
    header, blocks = read_blocks(io.BytesIO(data), "x")
    assert header == HEADER
    items = [item for block in blocks for item in block.items]
    assert (len(items), items[0]) == (2001, HEADER)


def test_a_log_without_a_newline_is_torn() -> None:
    """A header that is whole but for its newline is a header, and its line is torn."""
    header, blocks = read_blocks(io.BytesIO(HEAD), "x")
    assert header == HEADER
    assert [item.kind for block in blocks for item in block.items if isinstance(item, Problem)] == ["torn"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x is empty"),
        (b"\x7fELF\x02\x01\x00\xff\n", "x is not an event log"),
        (b"\x00" * 1000, "x is empty: nothing was recorded, or it is not the log you meant"),
        (b"XX", "x is not an event log: its first line is not a header with a schema"),
        (TIMER + b"\n", "x is not an event log"),
        (
            HEAD.replace(b"evloop/1", b"evloop/9") + b"\n",
            (
                "x has schema version 9 and this program reads 1: "
                "read it with the evloop that wrote it, or a newer one"
            ),
        ),
        (b'{"ev":"header","schema":"evloop/2"}\n', "x has schema version 2"),
        (b'{"ev":"header","schema":"evloop/1"}\n', "x is not an event log: its first line"),
        (b'{"ev":"header","schema":"evloop/%s"}\n' % (b"9" * 99), f"x has schema version '{'9' * 40}' and "),
        (b'{"ev":"header","schema":"evloop/%s"}\n' % (b"9" * 5000), "x is not an event log: its first"),
    ],
)
def test_what_is_no_log(data: bytes, message: str) -> None:
    """The message says what is wrong with it."""
    with pytest.raises(LogError, match=message):
        read_blocks(io.BytesIO(data), "x")


def test_an_endless_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first line without an end is not read for ever."""
    monkeypatch.setattr(reader, "MAX_LINE", 100)
    monkeypatch.setattr(reader, "BLOCK_SIZE", 64)
    for endless in (b"x", b"\0"):
        with pytest.raises(LogError, match="not an event log"):
            read_blocks(io.BytesIO(endless * 1000), "x")


def test_a_header_is_decoded_alone() -> None:
    """A watcher has its first line already."""
    assert decode_header(HEAD, "x") == HEADER


def test_another_programs_log():
    """A header with a schema that is not ours is refused, whatever else fits."""
    line = encode([HEADER]).strip().replace(SCHEMA.encode(), b"other/1")
    with pytest.raises(LogError, match="another program's log"):
        decode_header(line, "x.jsonl")
    line = line.replace(b"other/1", b"o" * 60)
    said = f"^x has the schema '{'o' * 40}', which is not evloop's: it is another program's log$"
    with pytest.raises(LogError, match=said):
        decode_header(line, "x")


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("two", "'two'"),
        ("-1", "'-1'"),
        ("", "''"),
        ("1\u0661", "'1\u0661'"),
        ("10", "10"),
        ("123456789", "123456789"),
        ("9" * 5000, f"'{'9' * 40}'"),
    ],
    ids=lambda it: it[:10],
)
def test_another_versions_log(version, shown):
    """A header that fits in all but its version is refused, whatever stands there, and shown in one line."""
    line = HEAD.replace(b"evloop/1", f"evloop/{version}".encode())
    with pytest.raises(LogError) as error:
        decode_header(line, "x")
    said = f"x has schema version {shown} and this program reads 1: read it with the evloop that wrote it"
    assert str(error.value) == f"{said}, or a newer one"


def test_what_is_only_quoted_in_a_header():
    """It is the header's own schema that counts."""
    header = replace(HEADER, versions={"schema": "evloop/9"})
    assert decode_header(encode([header]).strip(), "x") == header


class Blocks:
    """A pipe that gives what was written to it, a piece a read, and notes how much it was asked for."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.asked = []

    def read(self, size):
        """The next."""
        self.asked.append(size)
        return self.pieces.pop(0) if self.pieces else b""


def test_a_log_that_is_still_written():
    """The header is there as soon as its line is: nobody waits for what comes behind it."""
    source = Blocks(HEAD[:20], HEAD[20:] + b"\n", TIMER + b"\n")
    header, blocks = read_blocks(source, "x")
    assert header == HEADER
    assert source.asked == [reader.BLOCK_SIZE] * 2
    assert next(blocks).items == [HEADER]
    assert source.asked == [reader.BLOCK_SIZE] * 2
    assert [block.items for block in blocks] == [[Timer(1, 2, 3, "idle", 4)]]
    assert source.asked == [reader.BLOCK_SIZE] * 4


def test_an_empty_log_as_long_as_the_longest_line(monkeypatch):
    """A mapped log of which nothing was written is empty, up to that very length."""
    monkeypatch.setattr(reader, "MAX_LINE", 100)
    for size, message in ((100, "is empty"), (101, "not an event log")):
        with pytest.raises(LogError, match=message):
            read_blocks(io.BytesIO(bytes(size)), "x")


def test_the_words_of_a_line_that_is_too_long():
    """How long a line may be."""
    lines = LineReader()
    assert lines.feed(b"x" * (reader.MAX_LINE + 1)) is None
    assert lines.finish().items == [Problem(1, "too-long", "is longer than 16 MiB and was skipped")]
