"""A recording of the kernel's, line by line."""

from __future__ import annotations

import msgspec
import pytest
from evloop_trace.states.reader import MAX_LINE, read_transitions
from evloop_trace.states.schema import SCHEMA, End, Header, Lost, ReceiveReset, SendReset, Transition

from evloop.errors import LogError

HEADER = Header(SCHEMA, 1, 2, 3, "boot", "6.1", [80], ["sock:inet_sock_set_state"])
SERVER = "127.0.0.1:80"


def lines(*items):
    """A file's lines."""
    return [msgspec.json.encode(item) + b"\n" for item in items]


def test_a_whole_file():
    """Every kind of line comes back as it was written, in the order of time."""
    events = [
        Transition(10, SERVER, "0.0.0.0:0", 1, "CLOSED", "LISTEN"),
        SendReset(20, SERVER, "127.0.0.1:5", reason="NO_SOCKET"),
        Lost(30, 7),
    ]
    log = read_transitions(lines(HEADER, *reversed(events), End(40, 0, 3)), "k")
    assert log.header == HEADER
    assert log.events == events
    assert log.end == End(40, 0, 3)
    assert log.problems == []


def test_a_port_is_filled_in():
    """A socket that connects has none yet; a socket of which nothing more is heard keeps its 0."""
    events = [
        Transition(10, "127.0.0.1:0", SERVER, 1, "CLOSED", "SYN-SENT"),
        Transition(11, "127.0.0.1:0", SERVER, 2, "CLOSED", "SYN-SENT"),
        ReceiveReset(20, "127.0.0.1:5", SERVER, 1),
    ]
    log = read_transitions(lines(HEADER, *events, End(40, 0, 3)), "k")
    assert [event.local for event in log.events] == ["127.0.0.1:5", "127.0.0.1:0", "127.0.0.1:5"]


def test_events_that_were_lost_are_told():
    """The end knows how many; that the kernel had no room is nothing that cannot be read."""
    log = read_transitions(lines(HEADER, End(40, 1234, 0)), "k")
    assert log.end == End(40, 1234, 0)
    assert log.problems == []


def test_a_line_without_an_end():
    """Its first bytes are looked at, and nothing behind them: there may be no end of that."""
    good = Lost(30, 7)
    file = iter([*lines(HEADER, good), b"\0" * MAX_LINE])

    def endless():
        yield from file
        raise AssertionError("read on")

    log = read_transitions(endless(), "k")
    assert log.events == [good]
    assert log.problems[0] == "line 3 is longer than 1,048,576 bytes: nothing is read from there on"
    with pytest.raises(LogError, match="is no recording of the kernel's"):
        read_transitions([b"\0" * MAX_LINE], "k")


def test_bad_lines_cost_only_themselves():
    """A line that is no event, one that is torn, a second header; and there is no end."""
    good = Lost(30, 7)
    text = [*lines(HEADER), b'{"ev":"state"}\n', b"\xff\n", *lines(good, HEADER), b'{"ev":"sta']
    log = read_transitions(text, "k")
    assert log.events == [good]
    assert [problem[:24] for problem in log.problems] == [
        "line 2 is no event: Obje",
        "line 3 is no event: JSON",
        "line 5 is a second heade",
        "line 6 is torn: the file",
        "has no end: the recordin",
    ]


def test_problems_are_not_without_number():
    """The first twenty."""
    assert len(read_transitions([*lines(HEADER), *[b"x\n"] * 100], "k").problems) == 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ([], "k is empty: nothing was recorded"),
        ([b"\xd4\xc3\xb2\xa1\n"], "k is no recording of the kernel's: its first line is not such a header"),
        (lines(Lost(1, 1)), "k is no recording of the kernel's"),
        ([b'{"ev":"header","schema":"evloop/1"}\n'], "k is no recording of the kernel's"),
        (lines(msgspec.structs.replace(HEADER, schema="evloop/1")), "k is no recording of the kernel's"),
        (
            lines(msgspec.structs.replace(HEADER, schema="evloop-kernel/2")),
            "k has the schema 'evloop-kernel/2' and this program reads 'evloop-kernel/1'",
        ),
    ],
)
def test_no_such_file(text, said):
    """A sentence."""
    with pytest.raises(LogError, match=said):
        read_transitions(text, "k")
