"""The live picture, on a real socket pair and a terminal of paper."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import pytest
from evloop_trace.apps import live
from evloop_trace.apps.feed import SocketFeed, TurnedAwayError, connect, expect_events
from evloop_trace.apps.follow import FileFeed
from evloop_trace.apps.live import draw_live, watch, watch_socket, write_lines
from evloop_trace.apps.terminal import Terminal
from evloop_trace.cli import cli, run

from evloop.errors import EvloopError
from evloop.events.schema import End, Gap, Header, Recv, Snapshot
from evloop.events.sinks import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evloop_trace.views.cells import Line

    from tests.tools.evloop_trace.conftest import Book


class Tty(io.StringIO):
    """A terminal without a descriptor."""

    def isatty(self) -> bool:
        """It says it is one."""
        return True


class Clock:
    """Seconds that pass only when somebody looks."""

    def __init__(self, step: float = 0.03) -> None:
        self.now = 100.0
        self.step = step

    def __call__(self) -> float:
        """A look takes its time."""
        self.now += self.step
        return self.now


class Paper:
    """A terminal that keeps what is drawn."""

    def __init__(self) -> None:
        self.frames: list[str] = []
        self.printed = ""
        self.forgot = 0
        self.inside = False

    def __enter__(self) -> Self:
        self.inside = True
        return self

    def __exit__(self, *_: object) -> None:
        self.inside = False

    def size(self) -> tuple[int, int]:
        """80 columns and 24 lines."""
        return 80, 24

    def forget(self) -> None:
        """Counted."""
        self.forgot += 1

    def draw(self, lines: list[Line], size: tuple[int, int]) -> None:
        """Only on the other screen."""
        assert self.inside
        assert size == (80, 24)
        self.frames.append(_text(lines))

    def print(self, lines: list[Line]) -> None:
        """Only on the normal one."""
        assert not self.inside
        self.printed += _text(lines)


def _text(lines: list[Line]) -> str:
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's end and a watcher's."""
    server, watcher = socket.socketpair()
    with closing(server), closing(watcher):
        yield server, watcher


@pytest.fixture(autouse=True)
def polite(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tests themselves stay as nice as they are."""
    calls: list[int] = []
    monkeypatch.setattr(os, "nice", calls.append)
    return calls


def test_a_whole_stream_is_drawn_and_its_last_picture_stays(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """On the normal screen, with the reason for the end."""
    server, watcher = pair
    server.sendall(book.conversation().encode())
    server.close()
    paper = Paper()
    picture = draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert picture.events == len(book.events)
    assert paper.frames
    assert " evloop   upper · epoll · pid 1" in paper.printed
    assert paper.printed.endswith("The server has ended: SIGTERM.")
    assert not re.search(r"\n\n", paper.printed), "no empty lines"


def test_the_last_picture_leaves_room_for_what_is_written_below_it(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """A sentence, and a prompt of two lines: its title does not scroll off a screen as tall as it."""
    server, watcher = pair
    book.listen()
    for number in range(30):
        book.accept(f"tcp-{number}")
    book.end()
    server.sendall(book.encode())
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert paper.printed.startswith(" evloop ")
    assert paper.printed.count("\n") + 1 == 24 - 3


def test_what_the_lints_find_is_drawn(pair: tuple[socket.socket, socket.socket], book: Book) -> None:
    """In a line of the picture, while it happens."""
    server, watcher = pair
    book.listen()
    book.accept("tcp-1")
    for _ in range(30):
        book.poll("tcp-1")
    book.end()
    server.sendall(book.encode())
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert re.search(r"^ lint    spin-ready ×30: poll\(\) has .*  1 finding$", paper.printed, re.MULTILINE)


@pytest.mark.parametrize(("model", "words"), [("run", "The program"), ("client", "The client")])
def test_who_has_ended_is_told(
    model: str, words: str, pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """Not everything that is watched is a server."""
    server, watcher = pair
    book.events[0].model = model
    book.end()
    server.sendall(book.encode())
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert paper.printed.endswith(f"{words} has ended: SIGTERM.")


def test_a_log_that_begins_anew_is_another_picture(
    tmp_path: Path, book: Book, save: Callable[..., str]
) -> None:
    """What was drawn before is forgotten; the clock stands where the log does, for nobody lives."""
    book.events[0].pid = 2**40
    feed = FileFeed(save("log.jsonl", book.conversation().encode()))
    present = live.Present(feed, Clock(), lambda: 10**18)
    present.read()
    assert present.picture.accepted == 1
    save("log.jsonl", book.encode()[: book.encode().index(b"\n") + 1])
    present.read()
    assert present.picture.events == 1
    feed.close()
    assert "The log has no end: the program was killed." in _text(present.last_lines(80, 24))


def test_a_program_that_is_stopped_is_not_live(tmp_path: Path, book: Book, save: Callable[..., str]) -> None:
    """Ctrl-Z in its terminal: the title says why nothing comes, until it goes on."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        book.events[0].pid, book.events[0].mono_ns = program.pid, time.monotonic_ns()
        book.events[0].boot_id = ""
        feed = FileFeed(save("log.jsonl", book.conversation().encode()))
        present = live.Present(feed, Clock(), lambda: time.monotonic_ns() + 10**10)
        present.read()
        for number, words in ((signal.SIGSTOP, "s  stopped by a signal"), (signal.SIGCONT, "s  live")):
            program.send_signal(number)
            deadline = time.monotonic() + 30
            while words not in (text := _text(present.lines(80, 24))):
                assert time.monotonic() < deadline, text
        feed.close()
        program.kill()


def test_a_log_that_begins_anew_has_another_timeline(
    tmp_path: Path, book: Book, save: Callable[..., str]
) -> None:
    """What was told of the log before is not told of this one."""
    book.events[0].pid = 2**40
    feed = FileFeed(save("log.jsonl", book.conversation().encode()))
    present = live.Present(feed, Clock(), lambda: 10**18, str(tmp_path / "none.pcapng"))
    present.read()
    save("log.jsonl", book.encode()[: book.encode().index(b"\n") + 1])
    present.read()
    present.finish()
    assert "accept()" not in _text(present.last_lines(80, 40))
    present.close()
    feed.close()


def test_a_log_is_drawn_to_its_end(
    book: Book, save: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As lines, where there is no terminal."""
    path = save("log.jsonl", book.conversation().encode())
    assert watch(path) == 0
    assert "recv(65536) = 9" in capsys.readouterr().out


def test_a_stream_that_breaks_off_says_so(pair: tuple[socket.socket, socket.socket], book: Book) -> None:
    """The server was killed: there is no last event."""
    server, watcher = pair
    server.sendall(book.encode() + b'{"ev":"re')
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock(), lambda: 5_000_001_000)  # type: ignore[arg-type]
    assert paper.printed.endswith("The stream broke off: the server was killed, or let this watcher go.")
    assert "5.000 s  ended" in paper.printed, "the clock went on"


def test_who_is_turned_away_sees_no_end(pair: tuple[socket.socket, socket.socket], book: Book) -> None:
    """The end is none of the log's: nothing is drawn as if the server had ended."""
    server, watcher = pair
    server.sendall(book.encode() + encode([End(-1, 500, 0, "16 are there", 0)]))
    server.close()
    paper = Paper()
    with pytest.raises(TurnedAwayError, match=r"^16 are there$"):
        draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert (paper.printed, paper.inside) == ("", False)


@pytest.mark.parametrize("ends", [True, False])
def test_lines_tell_whether_they_had_an_end(
    pair: tuple[socket.socket, socket.socket], book: Book, ends: bool
) -> None:
    """Else the server was killed."""
    server, watcher = pair
    if ends:
        book.end()
    server.sendall(book.encode())
    server.close()
    assert write_lines(SocketFeed(watcher), [].append, bool, Clock(0.2)) == ends


def test_nothing_at_all_is_a_picture_too(pair: tuple[socket.socket, socket.socket]) -> None:
    """A server that dies before its first event."""
    server, watcher = pair
    server.close()
    paper = Paper()
    assert draw_live(SocketFeed(watcher), paper, Clock()).events == 0  # type: ignore[arg-type]


def test_what_was_skipped_is_shown(pair: tuple[socket.socket, socket.socket], book: Book) -> None:
    """The number of events that this watcher was too slow for."""
    server, watcher = pair
    server.sendall(book.encode() + encode([Gap(-1, 500, 1, 12345, "this watcher did not keep up")]))
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert "skipped 12,345" in paper.printed


def test_the_clock_stops_at_the_end(pair: tuple[socket.socket, socket.socket], book: Book) -> None:
    """Who had to catch up got the state after that, for which it was waited; the log's last line tells."""
    server, watcher = pair
    book.end()
    end = book.events.pop()
    end.t = 4_544_000_000
    late = [
        Gap(-1, end.t, 1, 12345, "this watcher did not keep up"),
        Snapshot(-1, 4_727_000_000, 1, [], [], 0, 0),
        end,
    ]
    server.sendall(book.encode() + encode(late))
    server.close()
    paper = Paper()
    draw_live(SocketFeed(watcher), paper, Clock())  # type: ignore[arg-type]
    assert "4.544 s  ended" in paper.printed.partition("\n")[0]


def test_a_frame_costs_at_most_an_eighth_of_the_time(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """The dearer it is the rarer it gets."""
    _, watcher = pair
    clock = Clock(0.0)
    paper = Paper()
    view = live._Live(live.Present(SocketFeed(watcher), clock, lambda: 0), paper, clock)  # type: ignore[arg-type]
    starts: list[float] = []

    def draw(*_: object) -> None:
        starts.append(clock.now)
        clock.now += 0.05

    paper.draw = draw  # type: ignore[method-assign]
    for _ in range(3):
        view._frame()
        clock.now = view._due
    assert [round(b - a, 6) for a, b in pairwise(starts)] == [0.45, 0.45]


def test_a_frame_costs_what_it_worked_and_not_how_long_others_did_meanwhile(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """On a core that a spinning server has, too, it is the nicer one, and must not stop for seconds."""
    _, watcher = pair
    clock, paper, cost = Clock(0.0), Paper(), Clock(0.05)
    present = live.Present(SocketFeed(watcher), clock, lambda: 0)
    view = live._Live(present, paper, clock, cost)  # type: ignore[arg-type]

    def draw(*_: object) -> None:
        clock.now += 2.0

    paper.draw = draw  # type: ignore[method-assign]
    view._frame()
    assert view._due - clock.now == pytest.approx(8 * 0.05)


def test_a_cheap_frame_comes_ten_times_a_second_and_now_and_then_whole(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Others may have written on the terminal."""
    _, watcher = pair
    clock, paper = Clock(0.0), Paper()
    view = live._Live(live.Present(SocketFeed(watcher), clock, lambda: 0), paper, clock)  # type: ignore[arg-type]
    paper.inside = True
    for _ in range(45):
        view._frame()
        clock.now = view._due
    assert clock.now == pytest.approx(104.5)
    assert paper.forgot == 2


def test_reading_stops_when_it_has_had_its_share(
    pair: tuple[socket.socket, socket.socket], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the next frame; the server drops what does not fit, and never waits."""
    server, watcher = pair
    server.sendall(book.conversation().encode())
    clock, paper = Clock(0.0), Paper()
    view = live._Live(live.Present(SocketFeed(watcher), clock, lambda: 0), paper, clock)  # type: ignore[arg-type]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(live.time, "sleep", sleep)
    paper.inside = True
    view._frame()
    view.present._spent = 0.025
    view.turn()
    assert slept == [pytest.approx(0.1)]
    assert view.present.picture.events == 0
    assert view.present._spent == 0.0
    view.turn()
    assert view.present.picture.events == len(book.events)


def test_broken_lines_are_counted_and_passed_over(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """The stream goes on behind them."""
    server, watcher = pair
    stream = SocketFeed(watcher)
    server.sendall(b"nonsense\n" + book.encode())
    assert stream.wait(1)
    assert len(stream.read()) == 1
    assert stream.broken == 1
    assert stream.read() == []


def test_a_server_that_is_killed_ends_the_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    """A reset is an end like another."""
    server, watcher = pair
    watcher.send(b"unread")
    stream = SocketFeed(watcher)
    server.close()
    stream.read()
    assert stream.ended


def test_without_a_terminal_there_is_a_line_an_event(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """Flushed when a frame would be due, and at the end."""
    server, watcher = pair
    server.sendall(book.conversation().encode())
    server.close()
    out: list[str] = []
    flushes: list[int] = []
    write_lines(SocketFeed(watcher), out.append, lambda: flushes.append(len(out)), Clock(0.2))
    assert "".join(out).count("\n") == len(book.events)
    assert flushes[-1] == len(out)
    assert len(flushes) == 2


def test_watching_a_descriptor(
    pair: tuple[socket.socket, socket.socket],
    book: Book,
    capsys: pytest.CaptureFixture[str],
    polite: list[int],
) -> None:
    """As the server starts it: nicer than the server, and deaf to Ctrl-C."""
    server, watcher = pair
    before = signal.getsignal(signal.SIGINT)
    server.sendall(book.conversation().encode())
    server.close()
    assert watch_socket(None, watcher.detach()) == 0
    assert polite == [live.NICE]
    assert signal.getsignal(signal.SIGINT) == before
    assert "recv(65536) = 9" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watching_ends_with_a_signal(
    number: int, tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It detaches, and that is no failure."""
    path = str(tmp_path / "w")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setattr(live, "write_lines", lambda *_: os.kill(os.getpid(), number))
        monkeypatch.setattr(live, "expect_events", lambda *_: None)
        assert watch(path) == 0


def test_a_path_on_which_somebody_listens(tmp_path: Path) -> None:
    """Abstract names begin with @."""
    for address, path in (
        (str(tmp_path / "w"), str(tmp_path / "w")),
        (f"\0evloop-{os.getpid()}", f"@evloop-{os.getpid()}"),
    ):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen()
            with connect(path) as sock:
                peer, _ = listener.accept()
                with peer:
                    peer.sendall(b"event")
                assert sock.recv(100) == b"event"


def test_a_path_that_cannot_be_watched_is_one_sentence(tmp_path: Path) -> None:
    """It says what to do."""
    plain = tmp_path / "log.jsonl"
    plain.write_text("x")
    deaf = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(deaf)
    for path, message in (
        (str(tmp_path / "missing"), "does not exist: start the server with evloop serve --watch"),
        (str(plain), "is neither a socket nor a log: watch needs a log, or the path"),
        (deaf, "nobody listens on"),
        ("x" * 200, "cannot be watched: AF_UNIX path too long"),
    ):
        with pytest.raises(EvloopError, match=re.escape(message)):
            connect(path)


@pytest.mark.parametrize("sent", [None, b"", b"220 ready\r\n", b"{}"])
def test_a_socket_that_sends_no_events(
    sent: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is silent, hangs up at once, or speaks otherwise."""
    monkeypatch.setattr(live, "write_lines", pytest.fail)
    monkeypatch.setattr(expect_events, "__defaults__", (0.05,))
    path = str(tmp_path / "w")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        client, connected = connect(path), listener.accept()[0]
        with connected:
            if sent:
                connected.sendall(sent)
            elif sent is not None:
                connected.shutdown(socket.SHUT_WR)
            monkeypatch.setattr(live, "connect", lambda _: client)
            with pytest.raises(EvloopError, match="it does not look like the socket of evloop serve"):
                watch(path)


def test_a_header_is_waited_for_and_left_to_be_read(
    pair: tuple[socket.socket, socket.socket], book: Book
) -> None:
    """All of it."""
    server, watcher = pair
    server.sendall(book.encode())
    expect_events(watcher, "w")
    assert len(SocketFeed(watcher).read()) == 1


def test_the_command_wants_a_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Wrong usage is 2."""
    assert run(lambda: cli.main(["watch"], standalone_mode=False)) == 2
    assert "name a log, or the path that evloop serve --watch was given" in capsys.readouterr().err
    assert run(lambda: cli.main(["watch", str(tmp_path / "no")], standalone_mode=False)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_suspended_picture_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes it again when it goes on."""
    monkeypatch.setenv("TERM", "xterm")
    out = Tty()
    stopped: list[str] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: stopped.append(f"{number}{out.getvalue()[-8:]}"))
    with live.suspended_well(Terminal(out, lambda: (80, 24))):
        signal.raise_signal(signal.SIGTSTP)
    assert stopped == [f"{signal.SIGSTOP}\x1b[?1049l"]
    assert "\x1b[?1049h" in out.getvalue()


def test_a_picture_in_the_background_may_write_on_the_terminal() -> None:
    """Else SIGTTOU stops it while it gives the terminal back, and the rest comes after the `fg`."""
    before = signal.getsignal(signal.SIGTTOU)
    with live._signals(ignore_interrupt=True):
        assert signal.getsignal(signal.SIGTTOU) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTTOU) == before


HOSTILE = b"\x1b]0;owned\x07\x1b[2J\r\n\x9b31m[bold]\xe2\x80\xae"


def test_a_hostile_payload_reaches_the_terminal_as_text(
    pair: tuple[socket.socket, socket.socket], book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The raw bytes hold no sequence but our own."""
    server, watcher = pair
    book.listen()
    book.accept("tcp-1\x1b[5m\n")
    book.recv("tcp-1\x1b[5m\n", HOSTILE)
    book.events.append(Recv(9, 99_000, 1, 1, "tcp-2", 7, 9, len(HOSTILE), None, HOSTILE, None))
    server.sendall(book.encode())
    server.close()
    monkeypatch.setenv("TERM", "xterm")
    out = Tty()
    draw_live(SocketFeed(watcher), Terminal(out, lambda: (120, 40)), Clock())
    ours = r"\x1b\[(\?(1049|25)[hl]|2J|[\d;]*H|0m|[\d;]+m)"
    rest = re.sub(ours, "", out.getvalue())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", rest)
    assert r"\x1b]0;owned\x07" in rest
    assert "[bold]" in rest
    assert out.getvalue().count("\x1b[2J") <= 2, "entering, and the first frame"


def test_a_real_terminal_is_left_as_it_was(book: Book) -> None:
    """The whole program on a pseudo-terminal, as the server starts it."""
    server, watcher = socket.socketpair()
    master, slave = pty.openpty()
    command = [sys.executable, "-P", "-m", "evloop_trace", "watch", "--fd", str(watcher.fileno())]
    environment = {**os.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    with subprocess.Popen(
        command, pass_fds=[watcher.fileno()], stdout=slave, stderr=slave, env=environment
    ) as process:
        watcher.close()
        os.close(slave)
        server.sendall(book.conversation().encode())
        server.close()
        shown = b""
        while data := _read(master):
            shown += data
        assert process.wait() == 0
    os.close(master)
    assert shown.startswith(b"\x1b[?1049h")
    last = shown.rpartition(b"\x1b[?1049l")[2].decode()
    assert last.startswith("\x1b[1;7m evloop \x1b[0m")
    assert "The server has ended: SIGTERM." in last


@pytest.mark.parametrize("hung_up", [True, False])
def test_a_terminal_that_is_closed_is_no_traceback(hung_up: bool, book: Book) -> None:
    """As when its window is: with SIGHUP the watcher leaves; without, it cannot go on."""
    server, watcher = socket.socketpair()
    master, slave = pty.openpty()
    command = [sys.executable, "-P", "-m", "evloop_trace", "watch", "--fd", str(watcher.fileno())]
    environment = {**os.environ, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}
    with subprocess.Popen(
        command, pass_fds=[watcher.fileno()], stdout=slave, stderr=subprocess.PIPE, env=environment
    ) as process:
        watcher.close()
        os.close(slave)
        server.sendall(book.encode())
        shown = b""
        while b" evloop " not in shown:
            shown += os.read(master, 65536)
        if hung_up:
            process.send_signal(signal.SIGHUP)
        os.close(master)
        assert process.stderr
        said = process.stderr.read().decode()
        code = process.wait()
    server.close()
    assert (code, said) == ((0, "") if hung_up else (1, "evloop-trace: cannot go on: Input/output error\n"))


def _read(master: int) -> bytes:
    """What was written on a terminal; nothing when nobody holds it any more."""
    try:
        return os.read(master, 65536)
    except OSError:  # EIO
        return b""


@pytest.mark.parametrize("model", ["loop", "run"])
def test_the_kernel_is_asked_whether_who_says_nothing_works(
    pair: tuple[socket.socket, socket.socket], book: Book, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """Of a loop, whose silence would pass for sleep; of a program's threads their calls tell."""

    class AtWork:
        """The kernel's word of process 1, whose log it is."""

        def __init__(self, header: Header) -> None:
            assert header.pid == 1

        def since(self, now: int, heard: int) -> int:
            """Since its last event."""
            assert now > heard
            return heard

    monkeypatch.setattr(live, "Work", AtWork)
    book.events[0].model = model
    book.poll("listen-1")
    server, watcher = pair
    server.sendall(book.encode())
    present = live.Present(SocketFeed(watcher), Clock(), lambda: 3 * 10**9)
    assert "works" not in _text(present.lines(80, 24)), "nobody has said anything"
    present.read()
    shown = _text(present.lines(80, 24))
    assert (" works   for 3.0 s in silence" in shown, "┆ at work" in shown) == (model == "loop",) * 2
