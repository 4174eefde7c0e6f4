"""The panels, and how they are laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace.model.picture import Picture
from evloop_trace.model.sockets import Connection, Endpoint
from evloop_trace.views.cells import Line, width_of
from evloop_trace.views.connections import LINGER, ConnectionsPanel
from evloop_trace.views.endpoints import EndpointsPanel
from evloop_trace.views.ladder import LadderPanel
from evloop_trace.views.loop_panel import LoopPanel
from evloop_trace.views.palette import KINDS
from evloop_trace.views.screen import Screen

from evloop.events import schema
from evloop.events.schema import Close, End, Header, Poll, Recv, Send, Shutdown, Slow

if TYPE_CHECKING:
    from evloop.events.schema import AnyEvent
    from tests.tools.evloop_trace.conftest import Book

MS = 1_000_000
SECOND = 1000 * MS


def texts(lines: list[Line]) -> list[str]:
    """What stands on lines, without the spaces at their ends."""
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def picture_of(*events: AnyEvent) -> Picture:
    """The fold of events."""
    picture = Picture()
    for event in events:
        picture.apply(event)
    return picture


def poll(t: int, dur: int, tick: int, *ready: str, timeout: int | None = None, why: str = "nothing") -> Poll:
    """A tick begins."""
    return Poll(-1, t, tick, dur, timeout, why, [(name, "IN") for name in ready])


HEADER = Header(0, 0, 0, "evloop/1", 1, 2, 3, 4711, [], {}, "epoll", "upper", "prefix", 64)


def crowd(number: int) -> Picture:
    """A server with so many connections, each active 1 ms after the one before."""
    picture = picture_of(HEADER)
    picture.endpoints = {"listen-1": Endpoint("listen-1", "tcp", "127.0.0.1:8080", 128, 1)}
    for n in range(number):
        name = f"tcp-{n}"
        picture.connections[name] = Connection(name, f"127.0.0.1:{n}", n * MS, seen=n * MS)
    picture.open = number
    picture.t = number * MS
    return picture


@pytest.mark.parametrize(
    "size", [(1, 1), (10, 2), (40, 10), (80, 15), (80, 16), (80, 24), (120, 40), (200, 60), (500, 200)]
)
@pytest.mark.parametrize("number", [0, 1, 7, 300])
def test_the_screen_has_exactly_the_size_it_is_given(size: tuple[int, int], number: int, book: Book) -> None:
    """Whatever the terminal: no line too long, none too short."""
    picture = crowd(number)
    for event in book.conversation().events:
        picture.apply(event)
    lines = Screen(picture, picture.t + SECOND, "live").lines(*size)
    assert len(lines) == size[1]
    assert {width_of(line) for line in lines} == {size[0]}


def test_nothing_at_all_can_be_drawn() -> None:
    """Before the first event."""
    lines = texts(Screen(Picture(), 0).lines(80, 24))
    assert lines[0].startswith(" evloop")
    assert " nobody is connected" in lines


def test_the_screen_of_a_conversation(book: Book) -> None:
    """From the loop on top to the last rung."""
    shown = "\n".join(texts(Screen(picture_of(*book.conversation().events), 13_000, "replay").lines(80, 24)))
    assert " evloop   upper · epoll · pid 1 " in shown
    assert " ended   SIGTERM" in shown
    assert " listen-1  tcp   127.0.0.1:8080  closed" in shown
    assert "── connections  0 open, 1 accepted, 9 B in, 9 B out ──" in shown
    assert " tcp-1   127.0.0.1:40000 closed: eof " in shown
    assert '│───── 9 B [0,9) ──────►│ recv() = 9  "hello 哈"' in shown


def test_the_title_tells_what_was_skipped() -> None:
    """In words, and where it is seen."""
    picture = picture_of(HEADER, schema.Gap(-1, 5, 1, 12345, "slow"))
    title = texts(LoopPanel(picture, 12_034 * MS, "live").lines(80, 1))[0]
    assert title == " evloop   upper · epoll · pid 4711               skipped 12,345  12.034 s  live"


@pytest.mark.parametrize(
    ("width", "end"),
    [
        (80, " 12.034 s  stopped by a signal"),
        (60, " 12.034 s  stopped by a signal"),
        (57, " 12.034 s  stopped"),
        (50, " 12.034 s  stopped"),
        (47, " 12.034 s  stopped"),
    ],
)
def test_a_narrow_title_says_in_a_word_what_there_is_no_room_for(width: int, end: str) -> None:
    """Rather than to leave out the clock, too."""
    title = texts(LoopPanel(picture_of(HEADER), 12_034 * MS, "stopped by a signal").lines(width, 1))[0]
    assert title.startswith(" evloop   ")
    assert title.endswith(end)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), " woke    not yet"),
        ((schema.Snapshot(-1, 5, 3, [], [], 0, 0),), " woke    before this picture began"),
        ((poll(0, 5, 1, "tcp-1"),), " woke    tcp-1 readable after 5 ns asleep"),
        ((poll(0, 5, 1),), " woke    timeout after 5 ns asleep"),
        (
            (poll(0, 5, 1), schema.Timer(-1, 9, 1, "idle timeout of tcp-1", 3)),
            " woke    timer: idle timeout of tcp-1 after 5 ns asleep",
        ),
        (
            (poll(0, 5, 1, "evloop"), schema.Signal(-1, 9, 1, "SIGINT")),
            " woke    signal SIGINT after 5 ns asleep",
        ),
    ],
)
def test_why_the_loop_woke(events: tuple[AnyEvent, ...], expected: str) -> None:
    """A socket, a timer, a signal, or just the time."""
    assert texts(LoopPanel(picture_of(*events), 10).lines(80, 4))[2] == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (schema.Prepare(-1, 5, 1, None, "until something is ready"), " sleeps  until something is ready"),
        (schema.Prepare(-1, 5, 1, 8200 * MS, "idle"), " sleeps  at most 8.1 s: idle"),
        (schema.Prepare(-1, 5, 1, 50 * MS, "idle"), " sleeps  no longer: idle"),
        (
            schema.Snapshot(-1, 5, 3, [], [], 0, 0, until=8200 * MS, why="idle"),
            " sleeps  at most 8.1 s: idle",
        ),
        (End(-1, 5, 1, "SIGINT", 9), " ended   SIGINT"),
    ],
)
def test_why_the_loop_sleeps(event: AnyEvent, expected: str) -> None:
    """And for how long at most."""
    assert texts(LoopPanel(picture_of(event), 100 * MS).lines(80, 4))[3] == expected


def test_who_works_in_silence_does_not_sleep() -> None:
    """The kernel says that it runs: its turn has not ended, or its news is late; the ladder says so, too."""
    picture = picture_of(poll(0, SECOND, 1, "tcp-1"), schema.Prepare(-1, SECOND, 1, None, "until …"))
    picture.works(2 * SECOND)
    loop = texts(LoopPanel(picture, 2850 * MS).lines(80, 4))
    assert loop[1].endswith("  in all   70 %")
    assert loop[3] == " works   for 850 ms in silence: a long turn, or news that comes late"
    rows = texts(LadderPanel(picture, 2850 * MS).lines(80, 10))
    assert [row.split("┆", 1)[1].strip(" ┄") for row in rows[-2:]] == [
        "1.0 s ┄┄┄┄┄┄┄┄┄┆ asleep",
        "850 ms ┄┄┄┄┄┄┄┄┆ at work",
    ]


def test_nobody_is_said_to_sleep_longer_than_he_wanted_to() -> None:
    """Its timer has passed, or a watcher is behind: what it did then is not known."""
    picture = picture_of(poll(0, SECOND, 1, "tcp-1"), schema.Prepare(-1, SECOND, 1, 1500 * MS, "idle"))
    rows = texts(LadderPanel(picture, 2850 * MS).lines(80, 10))
    assert [row.rpartition("┆ ")[2] for row in rows[-2:]] == ["asleep", "nothing heard"]
    assert ["500 ms" in rows[-2], "1.4 s" in rows[-1]] == [True, True]
    picture.apply(schema.Prepare(-1, SECOND, 1, 1500 * MS, "a watcher is behind"))
    rows = texts(LadderPanel(picture, 1150 * MS).lines(80, 10))
    assert [row.rpartition("┆ ")[2] for row in rows[-2:]] == ["tick 1: tcp-1 readable", "nothing heard"]


def test_ticks_and_the_share_of_sleep() -> None:
    """A bar, and the number it stands for."""
    picture = picture_of(poll(0, SECOND, 1), Slow(-1, SECOND, 1, 200 * MS), poll(SECOND, SECOND, 1234))
    line = texts(LoopPanel(picture, 2 * SECOND).lines(100, 2))[1]
    assert line.startswith(" ticks   1,234 · 616 a second · 1 slow ")
    assert line.endswith("asleep ████████████████████  100 %  in all  100 %")


@pytest.mark.parametrize(
    ("tick", "rest"),
    [
        (7, "· 3.5 a second · 3 slow  asleep ██████████████  100 %  in all  100 %"),
        (123_456, "· 61,728 a second · 3 slow  asleep █████  100 %  in all  100 %"),
        (12_345_678, "· 6,172,839 a second · 3 slow             asleep ████  100 %"),
    ],
)
def test_how_long_it_sleeps_is_told_also_where_ticks_were_slow(tick: int, rest: str) -> None:
    """The bar gives way, and then what was long ago."""
    picture = picture_of(poll(0, SECOND, 0), poll(SECOND, SECOND, tick))
    picture.loop.slow = 3
    line = texts(LoopPanel(picture, 2 * SECOND).lines(80, 2))[1]
    assert line == f" ticks   {tick:,} {rest}"


def test_limits_are_told_as_long_as_they_hold() -> None:
    """On the last line of the loop, before what it sleeps for."""
    picture = picture_of(schema.Prepare(-1, 5, 1, None, "until something is ready"))
    picture.apply(schema.Limit(-1, 6, 1, "connections", active=True))
    picture.apply(schema.Limit(-1, 7, 1, "accept: EMFILE\x1b", active=True, sock="listen-1"))
    line = "limit reached: connections, accept: EMFILE\\x1b (listen-1)"
    shown = {width: texts(LoopPanel(picture, 10).lines(width, 4))[3] for width in (100, 80, 30)}
    assert shown[100] == f" sleeps  until something is ready{line:>66}"
    assert shown[80].startswith(" sleeps  until")
    assert shown[80].endswith(line)
    assert shown[30] == "  limit reached: connections,…"
    picture.apply(schema.Limit(-1, 8, 1, "connections", active=False))
    picture.apply(schema.Limit(-1, 9, 1, "accept: EMFILE\x1b", active=False, sock="listen-1"))
    assert texts(LoopPanel(picture, 10).lines(80, 4))[3] == " sleeps  until something is ready"


def test_a_queue_shows_how_full_it_is() -> None:
    """Red and the word when one more than the backlog waits; a word where it is not known."""
    picture = Picture()
    for number, queued in enumerate((None, 0, 64, 128, 129)):
        name = f"listen-{number}"
        picture.endpoints[name] = Endpoint(name, "tcp", "127.0.0.1:80", 128, queued, 1234)
    panel = EndpointsPanel(picture)
    lines = panel.lines(90, panel.rows())
    assert texts(lines) == [
        " listen-0  tcp   127.0.0.1:80  queue of 128, not counted   accepted 1,234",
        " listen-1  tcp   127.0.0.1:80  queue ·········· 0/128      accepted 1,234",
        " listen-2  tcp   127.0.0.1:80  queue █████····· 64/128     accepted 1,234",
        " listen-3  tcp   127.0.0.1:80  queue █████████· 128/128    accepted 1,234",
        " listen-4  tcp   127.0.0.1:80  queue ██████████ 129/128 full  accepted 1,234",
    ]
    assert texts(panel.lines(90, 2))[1] == " … 4 more"
    assert panel.lines(90, 0) == []


@pytest.mark.parametrize(
    ("queued", "shown"),
    [(None, "queue of 0, not counted  "), (0, "·········· 0/0  "), (1, "██████████ 1/0 full")],
)
def test_a_backlog_of_nothing_has_room_for_one(queued: int | None, shown: str) -> None:
    """It is a listener all the same."""
    picture = Picture(endpoints={"listen-1": Endpoint("listen-1", "tcp", "[::1]:80", 0, queued)})
    assert shown in texts(EndpointsPanel(picture).lines(90, 1))[0]


def test_datagram_sockets_have_no_queue() -> None:
    """They have datagrams."""
    picture = Picture(endpoints={"udp-1": Endpoint("udp-1", "udp", "[::1]:80", accepted=3, sent=2)})
    assert texts(EndpointsPanel(picture).lines(90, 2)) == [" udp-1  udp   [::1]:80  datagrams 3 in, 2 out"]


def test_a_long_address_gives_way_to_what_is_told_of_its_socket() -> None:
    """By what the widest line needs; where even that is too much, its end says that it is cut."""
    picture = Picture()
    path = "/tmp/tmp.0123456789/哈evloop.sock"
    picture.endpoints["listen-1"] = Endpoint("listen-1", "tcp", "127.0.0.1:80", 128, 0, 1234)
    picture.endpoints["listen-2"] = Endpoint("listen-2", "unix", path, 128, 0, 5)
    picture.endpoints["udp-1"] = Endpoint("udp-1", "udp", "127.0.0.1:80", accepted=3, sent=2)
    panel = EndpointsPanel(picture)
    assert texts(panel.lines(80, 3)) == [
        " listen-1  tcp   127.0.0.1:80         queue ·········· 0/128      accepted 1,234",
        " listen-2  unix  /tmp/tmp.012345678…  queue ·········· 0/128      accepted 5",
        " udp-1     udp   127.0.0.1:80         datagrams 3 in, 2 out",
    ]
    assert f"  {path}  queue" in texts(panel.lines(100, 3))[1]
    assert texts(panel.lines(60, 3))[0] == (" listen-1  tcp   127.0.0.1…  queue ·········· 0/128      ac…")
    assert {width_of(line) for width in (0, 9, 20, 60, 80) for line in panel.lines(width, 3)} == {
        0, 9, 20, 60, 80
    }  # fmt: skip


def test_of_many_connections_the_last_active_are_shown_in_the_order_they_came() -> None:
    """A row stays where it is, and the rest is counted."""
    picture = crowd(100)
    picture.connections["tcp-3"].seen = 500 * MS
    lines = texts(ConnectionsPanel(picture, picture.t).lines(80, 5))
    assert [line.split()[0] for line in lines] == ["name", "tcp-3", "tcp-98", "tcp-99", "…"]
    assert lines[-1] == " … 97 more"


def test_a_narrow_table_shortens_the_peers_address_first() -> None:
    """The numbers are what one looks for."""
    heading, row, *_ = texts(ConnectionsPanel(crowd(1), MS).lines(66, 4))
    assert heading.split() == ["name", "peer", "state", "in", "out", "buffered", "age"]
    assert row.split() == ["tcp-0", "127.0.0.1:0", "open", "0", "B", "0", "B", "0", "B", "1.0", "ms"]
    assert "127.0.0… open" in texts(ConnectionsPanel(crowd(1), MS).lines(58, 4))[1]


def test_all_are_shown_when_there_is_just_room() -> None:
    """And nobody is counted."""
    panel = ConnectionsPanel(crowd(3), 3 * MS)
    assert panel.rows() == 4
    assert len(texts(panel.lines(80, 4))) == 4
    assert texts(ConnectionsPanel(crowd(0), 0).lines(80, 4))[1] == " nobody is connected"


def test_the_round_trip_where_tcp_has_told_it() -> None:
    """And what was sent again, if anything; a narrow table has no room for it."""
    picture = crowd(2)
    told = schema.TcpInfo(1, 2, 3, "tcp-1", "sample", "ESTABLISHED", 45_000)
    picture.connections["tcp-1"].tcp = told
    heading, other, row = texts(ConnectionsPanel(picture, 3 * MS).lines(120, 4))
    assert heading.split()[-3:] == ["age", "rtt", "last"]
    assert row.split()[-2:] == ["45.0", "µs"]
    assert other.split()[-1] == "ms"
    told.total_retrans = 12
    heading, other, row = texts(ConnectionsPanel(picture, 3 * MS).lines(120, 4))
    assert heading.split()[-3:] == ["rtt", "again", "last"]
    assert row.split()[-3:] == ["45.0", "µs", "12"]
    assert "rtt" not in texts(ConnectionsPanel(picture, 3 * MS).lines(80, 4))[0]


def test_the_round_trip_gives_way_to_what_happened_last() -> None:
    """Before that has less than 12 cells; what was sent again may stay longer."""
    picture = crowd(2)
    told = schema.TcpInfo(1, 2, 3, "tcp-1", "sample", "ESTABLISHED", 45_000)
    picture.connections["tcp-1"].tcp = told
    picture.connections["tcp-1"].last = Recv(1, 2, 3, 4, "tcp-1", 7, 65536, 1234567)

    picture.connections["tcp-1"].peer = "[2001:db8::1234:5]:54321"

    def shown(width: int) -> tuple[list[str], str]:
        heading, _, row = texts(ConnectionsPanel(picture, 3 * MS).lines(width, 4))
        return heading.split()[6:], row[heading.index("last") :]

    assert shown(105) == (["age", "rtt", "last"], "recv() = 1,…")
    assert shown(104) == (["age", "last"], "recv() = 1,234,567")
    told.total_retrans = 12
    assert shown(112) == (["age", "rtt", "again", "last"], "recv() = 1,…")
    assert shown(111)[0] == ["age", "again", "last"]
    assert shown(103)[0] == ["age", "again", "last"]
    assert shown(102)[0] == ["age", "last"]


def test_a_closed_connection_lingers_for_a_moment() -> None:
    """After the end of a log it stays."""
    picture = crowd(1)
    gone = picture.connections.pop("tcp-0")
    gone.closed, gone.reason = SECOND, "eof"
    picture.closed["tcp-0"], picture.open = gone, 0
    assert "closed: eof" in texts(ConnectionsPanel(picture, SECOND + LINGER - 1).lines(80, 4))[1]
    assert ConnectionsPanel(picture, SECOND + LINGER).rows() == 2
    assert "nobody" in texts(ConnectionsPanel(picture, SECOND + LINGER).lines(80, 4))[1]
    picture.end = End(9, 9, 9, "SIGINT", 9)
    assert "closed: eof" in texts(ConnectionsPanel(picture, SECOND + LINGER).lines(80, 4))[1]


def test_a_failed_connection_and_a_half_closed_one_have_colours_of_their_own() -> None:
    """Besides their words."""
    picture = crowd(2)
    picture.connections["tcp-0"].eof = True
    it = picture.connections["tcp-1"]
    it.closed, it.errno = MS, "ECONNRESET"
    lines = ConnectionsPanel(picture, 2 * MS).lines(80, 4)
    assert lines[1][1].style == KINDS["life"]
    assert lines[2][1].style == KINDS["trouble"]


def ladder(*events: AnyEvent, width: int = 80, height: int = 10, now: int = 0) -> list[str]:
    """The rows of a ladder."""
    picture = picture_of(*events)
    return texts(LadderPanel(picture, max(now, picture.t)).lines(width, height))


def test_bytes_cross_the_ladder_as_arrows_that_align() -> None:
    """Wide characters too; the time stands where it changes."""
    data = "hello la 哈哈哈".encode()
    assert ladder(
        Recv(1, 12_034 * MS, 4, 10, "tcp-1", 7, 65536, 18, (0, 18), data),
        Send(2, 12_034 * MS + 5000, 4, 10, "tcp-1", 7, 18, 18, (0, 18), data.upper()),
    ) == [
        '  12.034  tcp-1 │───── 18 B [0,18) ─────►│ recv() = 18  "hello la 哈哈哈"',
        '          tcp-1 │◄───── 18 B [0,18) ─────│ send() = 18  "HELLO LA 哈哈哈"',
    ]


def test_a_wide_ladder_shows_microseconds() -> None:
    """A tick is made of them."""
    (row,) = ladder(Recv(1, 12_034_215_000, 4, 10, "tcp-1", 7, 65536, 5), width=120)
    assert row.startswith(" 12.034 215  tcp-1 │")


def test_a_sleep_is_folded_and_labelled() -> None:
    """With the tick it led to; short ones have no row where there is little room."""
    events = (poll(0, 10_200_000, 4, "tcp-1"), poll(20 * MS, 5000, 5, "tcp-1"), poll(30 * MS, MS, 6))
    assert ladder(*events) == [
        "   0.010        ┆┄┄┄┄┄┄┄ 10.2 ms ┄┄┄┄┄┄┄┄┆ tick 4: tcp-1 readable",
        "   0.031        ┆┄┄┄┄┄┄┄┄ 1.0 ms ┄┄┄┄┄┄┄┄┆ tick 6: timeout",
    ]
    assert len(ladder(*events, height=30)) == 3


def test_polls_that_have_no_row_take_none_away() -> None:
    """Of a loop that spins one sees what it did before."""
    recv = Recv(1, 0, 4, 10, "tcp-1", 7, 9, 5)
    spins = [poll(1000 + n, 5, 5 + n, "tcp-1") for n in range(100)]
    assert [line[10:15] for line in ladder(recv, *spins, height=10)] == ["tcp-1"]
    assert len(ladder(recv, *spins, height=30)) == 9


def test_the_sleep_that_goes_on_is_the_last_row() -> None:
    """It grows between events."""
    rows = ladder(poll(0, MS, 4, "tcp-1"), now=3201 * MS)
    assert rows[-1].endswith("┄┄ 3.2 s ┄┄┄┄┄┄┄┄┄┆ asleep")


def test_work_between_two_calls_is_a_row() -> None:
    """In one tick the loop was at work; between two a filter has left something out."""
    recv = Recv(1, 0, 4, 10, "tcp-1", 7, 9, 5)
    slow = Slow(-1, 150 * MS, 4, 150 * MS)
    assert "150 ms ┄┄┄┄┄┄┄┄┆ at work" in ladder(recv, Send(2, 150 * MS, 4, 10, "tcp-1", 7, 9, 9))[1]
    assert ladder(recv, Send(2, 150 * MS, 5, 10, "tcp-1", 7, 9, 9))[1].endswith("┆ later")
    assert ladder(recv, slow, End(-1, 170 * MS, 4, "SIGINT", 9))[3].endswith("┆ later")


def test_a_narrow_arrow_leaves_out_its_offsets() -> None:
    """What counts is how many bytes."""
    rows = ladder(Recv(1, 0, 4, 10, "tcp-1", 7, 65536, 123, (1000, 1123)), width=50)
    assert "│── 123 B ──►│" in rows[0]


def test_a_close_after_our_fin_draws_no_second() -> None:
    """The ladder remembers the shutdown; one of a listener has no arrow."""
    rows = ladder(
        Shutdown(1, 0, 1, 5, "tcp-1", 7, "SHUT_WR"),
        Close(2, 10, 1, 5, 7, "eof", "tcp-1"),
        Close(3, 20, 1, 5, 7, "stop", sock="listen-1"),
    )
    assert ["FIN" in row for row in rows] == [True, False, False]


def test_nothing_is_drawn_where_there_is_no_room() -> None:
    """A heading alone takes a line."""
    picture = picture_of(Recv(1, 0, 1, 1, "tcp-1", 7, 9, 5))
    assert LadderPanel(picture, 0).lines(80, 0) == []
    assert len(LadderPanel(picture, 0).lines(80, 1)) == 1
    assert "client" in texts([LadderPanel(picture, 0).heading(80)])[0]


def program_of(program: Any) -> Picture:
    """The fold of a program's events."""
    return picture_of(*program.events)


def test_the_connections_of_a_program(program: Any) -> None:
    """The ones it made are counted; what it holds for a peer nobody knows."""
    assert texts(ConnectionsPanel(program_of(program), 0).lines(80, 3))[1] == " no connection"
    program.listen().accept(2000, "tcp-2")(schema.Connect, 3000, 6, "tcp-3", None, "a:80")
    program(Recv, 4000, "tcp-3", 6, 9, 0)
    panel = ConnectionsPanel(program_of(program), 5000)
    assert panel.title() == "connections  2 open, 1 accepted, 1 made, 0 B in, 0 B out"
    heading, _, row = texts(panel.lines(130, 4))
    assert heading.split() == ["name", "peer", "state", "in", "out", "age", "last"]
    assert row.endswith("recv() = 0 · the server has finished sending")
    assert ConnectionsPanel(program_of(type(program)()), 0).title() == "connections  0 open, 0 B in, 0 B out"


def test_sockets_that_are_not_yet_anything() -> None:
    """They come last, and say what they lack."""
    picture = Picture()
    for endpoint in (
        Endpoint("tcp-1", "tcp", "", made=True),
        Endpoint("tcp-2", "tcp", "a:1", made=True),
        Endpoint("tcp-3", "tcp", "a:1", made=True, errno="EADDRINUSE"),
        Endpoint("unix-1", "unix", "", made=True, peer="unix-2"),
        Endpoint("udp-1", "udp", "a:1", peer="a:9"),
    ):
        picture.endpoints[endpoint.name] = endpoint
    assert texts(EndpointsPanel(picture).lines(80, 9)) == [
        " udp-1   udp   a:1  datagrams 0 in, 0 out  with a:9",
        " tcp-1   tcp        neither listens nor is connected yet",
        " tcp-2   tcp   a:1  does not listen yet",
        " tcp-3   tcp   a:1  failed: EADDRINUSE",
        " unix-1  unix       the other end is unix-2",
    ]


def test_the_ladder_of_a_client(program: Any) -> None:
    """Its bytes go to the right; a place stands where it is whole, and a call at its return."""
    program(schema.Connect, 0, 3, "tcp-1", None, "a:80", where="c.py:4")
    program(Send, MS, "tcp-1", 3, 5, 5, (0, 5), b"hello", where="c.py:6")
    program(schema.Block, 2 * MS, "recv", "tcp-1", where="c.py:7")
    program(Recv, 2 * MS, "tcp-1", 3, 9, 5, (0, 5), b"HELLO", dur=SECOND, where="c.py:7")
    rows = texts(LadderPanel(program_of(program), 0).lines(80, 10))
    assert rows == [
        "   0.000  tcp-1 │══════ connection ═════►│ connect() = 0  to a:80  c.py:4",
        '   0.001  tcp-1 │────── 5 B [0,5) ──────►│ send() = 5  "hello"  c.py:6',
        "   0.002  tcp-1 │                        │ recv() …  blocks: nothing has come y…",
        '   1.002  tcp-1 │◄────── 5 B [0,5) ──────│ recv() = 5  after 1.0 s  "HELLO"',
    ]


def test_what_a_program_does_between_its_calls_nobody_knows(program: Any) -> None:
    """It is just later; and a connection that never was is closed without a word to anybody."""
    program(schema.Connect, 0, 3, "tcp-1", None, "a:80", errno="ECONNREFUSED")
    program(Close, SECOND, 3, "close", "tcp-1")
    _, later, close = texts(LadderPanel(program_of(program), 0).lines(80, 10))
    assert later.endswith("┆ later")
    assert "FIN" not in close
