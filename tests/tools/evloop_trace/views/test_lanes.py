"""Two programs' calls on both sides of a wire, at the sizes of real terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.correlate.ends import Joined, Origin
from evloop_trace.correlate.meeting import Crossing, Meeting, Program, Told
from evloop_trace.model.picture import Picture
from evloop_trace.views.cells import Line, width_of
from evloop_trace.views.lanes import LanesPanel
from evloop_trace.views.meeting import MeetingScreen, screen_of
from evloop_trace.views.screen import Screen

from evloop.events.schema import (
    SCHEMA,
    Block,
    Close,
    Connect,
    End,
    Gap,
    Header,
    Listen,
    Poll,
    Recv,
    Recvfrom,
    Send,
    Sendto,
    Shutdown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

CLIENT, SERVER = 0, 1
MS = 1_000_000
NAMES = ("client:tcp-1", "server:tcp-4")


def texts(lines: Iterable[Line]) -> list[str]:
    """What stands on lines, without the spaces at their ends."""
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def meeting(*labels: str) -> Meeting:
    """Clients, and a server, the last."""
    labels = labels or ("client", "server")
    both = Meeting.of([Program(label, client=label != labels[-1]) for label in labels])
    for log, label in enumerate(labels):
        model = "loop" if label == labels[-1] else "run"
        header = Header(0, 0, 0, SCHEMA, 0, 0, 0, 700 + log, ["x.py"], {}, "", "", "none", 0, model=model)
        both.apply(Told(header, Crossing(log)))
    return both


def tell(both: Meeting, log: int, event: Any, *, names: tuple[str, ...] = (), **more: Any) -> None:
    """An event, and where it stands."""
    both.apply(Told(event, Crossing(log, more.get("client"), names, more.get("joined"))))


def conversation(both: Meeting) -> None:
    """11 bytes in two sends are one recv, and come back as one."""
    client, server = {"names": NAMES, "client": True}, {"names": NAMES, "client": False}
    tell(both, SERVER, Listen(1, 1000, 0, 10, "server:listen-1", 3, "tcp", "127.0.0.1:8080", 5))
    first, second = Origin("send", "client", 2, 20 * MS, 0, 6), Origin("send", "client", 3, 20 * MS, 6, 11)
    connect = Connect(1, 19 * MS, 0, 10, 3, "client:tcp-1", None, "127.0.0.1:8080", "127.0.0.1:4")
    tell(both, CLIENT, connect, **client)
    tell(both, CLIENT, Send(2, 20 * MS, 0, 10, "client:tcp-1", 3, 6, 6, (0, 6), b"hello "), **client)
    tell(both, CLIENT, Send(3, 20 * MS, 0, 10, "client:tcp-1", 3, 5, 5, (6, 11), b"world"), **client)
    recv = Recv(2, 20 * MS, 1, 8200, "server:tcp-4", 3, 99, 11, (0, 11), b"hello world")
    tell(both, SERVER, recv, joined=Joined(20 * MS + 8200, 0, [first, second]), **server)
    tell(both, SERVER, Send(3, 21 * MS, 1, 10, "server:tcp-4", 3, 11, 11, (0, 11), b"HELLO"), **server)
    answer = Origin("send", "server", 3, 21 * MS, 0, 11)
    recv = Recv(4, 21 * MS, 0, 9000, "client:tcp-1", 3, 99, 11, (0, 11), b"HELLO")
    tell(both, CLIENT, recv, joined=Joined(21 * MS + 9000, 0, [answer]), **client)


GOLDEN = [
    "   0.000  listen-1                      │               │ listen(): 127.0.0.1:…",
    "                                        ┆┄┄┄ 19.0 ms ┄┄┄┆",
    "   0.019  tcp-1    connect() = 0: to 12…│══ open ══►    │",
    '   0.020  tcp-1    send() = 6 "hello "  │── 6 B ───►    │',
    '   0.020  tcp-1    send() = 5 "world"   │── 5 B ───►    │',
    "   0.020  tcp-1                         │    ─ 8.2 µs ─►│ recv() = 11 ◂ 2 sends",
    '   0.021  tcp-1                         │    ◄── 11 B ──│ send() = 11 "HELLO…"',
    '   0.021  tcp-1    recv() = 11 "HELLO…" │◄─ 9.0 µs ─    │',
]


def test_at_80_columns() -> None:
    """Each call on its own side; an arrow leaves with its bytes, and arrives with the time that it took."""
    both = meeting()
    conversation(both)
    panel = LanesPanel(both)
    assert texts(panel.lines(80, 20)) == GOLDEN


def test_at_120_columns() -> None:
    """There is room for where it came from, how long that took, and which bytes."""
    both = meeting()
    conversation(both)
    lines = texts(LanesPanel(both).lines(120, 20))
    assert 'recv() = 11 ◂ 2 sends, 8.2 µs "hel' in lines[5]
    assert "11 B [0,11)" in lines[5]
    assert "recv() = 11 ◂ 1 send, 9.0 µs" in lines[7]


@pytest.mark.parametrize("size", [(1, 1), (10, 3), (40, 10), (80, 24), (120, 40), (300, 90)])
def test_the_screen_has_exactly_the_size_it_is_given(size: tuple[int, int]) -> None:
    """Whatever the terminal: no line too long, none too short."""
    both = meeting("one", "two", "three", "four", "five", "six", "seven", "server")
    conversation(both)
    lines = screen_of(both, both.t, "replay").lines(*size)
    assert len(lines) == size[1]
    assert {width_of(line) for line in lines} == {size[0]}
    assert LanesPanel(both).lines(80, 0) == []


def test_one_log_has_the_screen_that_it_had() -> None:
    """Only several meet."""
    assert isinstance(screen_of(Picture(), 0), Screen)
    assert isinstance(screen_of(meeting(), 0), MeetingScreen)


def row(both: Meeting, log: int, event: Any, width: int = 120, **more: Any) -> str:
    """An event's row."""
    tell(both, log, event, **more)
    return texts(LanesPanel(both).lines(width, 50))[-1]


def recv(seq: int = 9, n: int = 4) -> Recv:
    """The server has received."""
    return Recv(seq, 500, 0, 10, "server:tcp-4", 3, 99, n, (0, n), b"")


def test_what_is_not_certain_says_so() -> None:
    """In words, not by colour alone."""
    both, origin = meeting(), Origin("send", "client", 1, 100, 0, 4)
    end = Origin("shutdown", "client", 1, 100, 0, 1)
    late = Origin("send", "client", 1, 900, 0, 4)
    joins = {
        "◂ likely 1 send, 410 ns": Joined(510, 0, [origin], exact=False),
        "◂ not in the logs": Joined(510, 4),
        "◂ 1 send, clocks differ": Joined(510, 0, [late]),
        "◂ shutdown, 410 ns": Joined(510, 0, [end]),
    }
    for words, joined in joins.items():
        assert words in row(both, SERVER, recv(), names=NAMES, client=False, joined=joined)
    assert "◂" not in row(both, SERVER, recv(), client=False)
    likely = Joined(510, 0, [origin], exact=False)
    line = row(both, SERVER, recv(), 80, names=NAMES, client=False, joined=likely)
    assert line.endswith("recv() = 4 ≈")


def test_names_are_those_of_the_ladder() -> None:
    """A connection has one; a server's own sockets have theirs; where it is in doubt, with the label."""
    both = meeting()
    assert " tcp-1 " in row(both, SERVER, recv(), names=NAMES, client=False)
    assert " server:tcp-4" in row(both, SERVER, recv(), client=False)
    assert " udp-1 " in row(both, SERVER, Sendto(9, 500, 0, 1, "server:udp-1", 3, "127.0.0.1:4", 5))
    assert " server " in row(both, SERVER, End(9, 500, 0, "SIGINT", 9))
    many = meeting("a", "b", "server")
    assert " b:tcp-1 " in row(many, 2, recv(), names=("b:tcp-1", "server:tcp-4"), client=False)
    one = Meeting.of([Program("", client=False)])
    event = Recv(9, 500, 0, 10, "tcp-4", 3, 99, 4, (0, 4))
    assert " tcp-1 " in row(one, 0, event, names=("tcp-1", "tcp-4"), client=False)
    assert " tcp-4 " in row(one, 0, event, client=False)


def test_a_long_label_leaves_the_end_of_the_name() -> None:
    """That is what differs."""
    both = meeting("client", "a-server-with-a-name")
    event = Recv(9, 500, 0, 10, "a-server-with-a-name:tcp-4", 3, 99, 4, (0, 4))
    assert " …e:tcp-4 " in row(both, SERVER, event, 80, client=False)


def test_polls_and_what_says_nothing() -> None:
    """A long sleep has a row, with who woke it; a short one has none."""
    both = meeting()
    assert "poll(): tcp-4 readable" in row(
        both, SERVER, Poll(9, 0, 1, 5 * MS, None, "nothing", [("server:tcp-4", "IN")])
    )
    assert "poll(): timeout" in row(both, SERVER, Poll(10, 5 * MS, 2, 5 * MS, 5, "nothing", []))
    before = len(LanesPanel(both).lines(80, 50))
    tell(both, SERVER, Poll(11, 10 * MS, 3, 5, None, "nothing", []))
    assert len(LanesPanel(both).lines(80, 50)) == before


def test_datagrams_leave_and_arrive() -> None:
    """What leaves may never arrive."""
    both = meeting()
    line = row(both, CLIENT, Sendto(9, 500, 0, 1, "client:udp-1", 3, "127.0.0.1:8", 5), client=True)
    assert line.partition("│")[2].startswith("┄")
    assert line.rstrip("│ ").endswith("►")
    joined = Joined(510, 0, [Origin("sendto", "client", 9, 400, 0, 5)], exact=False)
    event = Recvfrom(9, 500, 0, 10, "server:udp-1", 3, 5, "127.0.0.1:9")
    assert "recvfrom() = 5 ≈" in row(both, SERVER, event, client=False, joined=joined)
    assert "recvfrom() = 5 ◂ likely 1 send, 110 ns" in row(
        both, SERVER, event, 160, client=False, joined=joined
    )


def test_a_close_behind_a_shutdown_sends_no_second_fin() -> None:
    """As on the ladder of one log."""
    both = meeting()
    conversation(both)
    tell(both, CLIENT, Shutdown(5, 22 * MS, 0, 10, "client:tcp-1", 3, "SHUT_WR"), names=NAMES, client=True)
    line = row(both, CLIENT, Close(6, 23 * MS, 0, 10, 3, "close", "client:tcp-1"), names=NAMES, client=True)
    assert "close()" in line
    assert "FIN" not in line


def test_the_heading_says_whose_side_it_is() -> None:
    """By labels, where those say more."""
    assert " client ─" in texts([LanesPanel(meeting()).heading(120)])[0]
    assert " server: s ─" in texts([LanesPanel(meeting("client", "s")).heading(120)])[0]
    assert " clients: a, b ─" in texts([LanesPanel(meeting("a", "b", "s")).heading(120)])[0]


def test_what_the_programs_do() -> None:
    """Asleep in a call, ended, or with losses."""
    both = meeting()
    conversation(both)
    asleep = Block(5, 22 * MS, 0, "recv", "client:tcp-1", where="x.py:1")
    tell(both, CLIENT, asleep)
    assert "pid 700     1 open    in recv() for 3.0 s  sent 11 B" in _top(both, 22 * MS + 3000 * MS)[1]
    other = Block(6, 23 * MS, 0, "recv", "client:tcp-2", where="x.py:1", thread="T")
    tell(both, CLIENT, other)
    tell(both, SERVER, Gap(7, 24 * MS, 0, 3, "disk full"))
    tell(both, SERVER, End(8, 24 * MS, 0, "SIGINT", 9))
    client, server = _top(both, 24 * MS)[1:3]
    assert "in recv() for 2.0 ms and 1 more" in client
    assert "3 events lost" in server
    assert "ended: SIGINT" in server
    assert "has not begun" in _top(Meeting.of([Program("a", client=True)]), 0)[1]
    many = Meeting.of([Program(str(number), client=True) for number in range(20)])
    assert _top(many, 0)[6] == " and 15 more programs"


def _top(both: Meeting, now: int) -> list[str]:
    return texts(MeetingScreen(both, now).lines(120, 24))
