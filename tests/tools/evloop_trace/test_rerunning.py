"""The command `rerun`: what it says, its exit codes, and the debugger."""

from __future__ import annotations

import gzip
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from evloop_trace import cli
from evloop_trace.rerunning import parse_break

from evloop.events.schema import Interest, Limit, Poll, Recv

LOGS = Path(__file__).resolve().parents[2] / "evloop/rerun/logs"
COMMAND = [sys.executable, "-m", "evloop_trace", "rerun"]
SECONDS = 50


def run(*arguments):
    """The exit code of `evloop-trace rerun`."""
    return cli.run(
        lambda: cli.cli.main(["rerun", *map(str, arguments)], "evloop-trace", standalone_mode=False)
    )


@pytest.fixture
def log(tmp_path):
    """A log, not compressed."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(gzip.decompress((LOGS / "kinds.jsonl.gz").read_bytes()))
    return path


@pytest.fixture
def events(log):
    """How many it has."""
    return log.read_text(encoding="utf-8").count("\n")


def alter(log, ev, old, new):
    """Another log: its first event of this kind is altered. The number of that."""
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    number = next(i for i, line in enumerate(lines) if line.startswith(f'{{"ev":"{ev}"'))
    assert old in lines[number]
    lines[number] = lines[number].replace(old, new, 1)
    log.write_text("".join(lines), encoding="utf-8")
    return number


def test_a_log_that_is_whole(log, events, capsys):
    """One line."""
    assert run(log) == 0
    assert capsys.readouterr().out == f"{log}: {events} events: the rerun is the same\n"


def test_a_difference(log, capsys):
    """What was before, both, and what about them differs; the exit code is 1."""
    number = alter(log, "send", '"data":"SEVMTE8g', '"data":"SEVMTE9g')
    assert run(log) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{log}: the rerun differs behind {number} events that are the same:"
    assert len(lines) == 9
    assert lines[6].startswith("log    ")
    assert '"HELLO`LA 哈哈哈"' in lines[6]
    assert lines[7].startswith("rerun  ")
    assert '"HELLO LA 哈哈哈"' in lines[7]
    assert lines[8] == '       data: "HELLO`LA 哈哈哈" in the log, "HELLO LA 哈哈哈" in the rerun'


def test_a_call_that_is_not_in_the_log(log, capsys):
    """In words."""
    alter(log, "recv", '"conn":"tcp-1"', '"conn":"\\u001b[2Jtcp-\\u202e9"')
    assert run(log) == 1
    out = capsys.readouterr().out
    assert "\nrerun  recv(65536) on tcp-1\n" in out
    assert "tcp-\\u202e9" in out
    assert "\x1b" not in out


def test_a_log_without_an_end(log, capsys):
    """It is rerun up to where it stops, and that is said."""
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:40]) + b'{"ev":"re')
    assert run(log) == 0
    out, err = capsys.readouterr()
    assert out == f"{log}: 40 events: the rerun is the same\n"
    assert "has no end and its last line is torn" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("ev", "old", "new", "words"),
    [
        ("header", '"payload":"full"', '"payload":"full","model":"sequential"', "without --model"),
        ("prepare", '"seq":', '"seq" ', "the rerun needs every event"),
        ("recv", '"n":18,', '"n":180,', "--payload full"),
    ],
)
def test_logs_that_cannot_be_rerun(log, capsys, ev, old, new, words):
    """One sentence, and the exit code is 2."""
    alter(log, ev, old, new)
    assert run(log) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"evloop-trace: {log} cannot be rerun: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "at",
    [
        "x", "conn", "conn=", "=3", "sequence=3", "ev=teleport", "", "-3", "ev=interest reason=nothing waits",
        "ev=interest reason='nothing waits", 'reason="nothing waits', 'reason="a\\q"', "conn='tcp-1'ev=send",
    ],
)  # fmt: skip
def test_places_that_are_none(log, capsys, at):
    """Wrong usage."""
    assert run(log, "--break", at) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_places():
    """A number, or fields as the log has them."""
    assert parse_break("0017").fields == (("seq", "17"),)
    assert parse_break("conn=tcp-3  ev=send").fields == (("conn", "tcp-3"), ("ev", "send"))


RECV = Recv(
    7, 5, 2, 3, "tcp-1", 9, 65536, 18, (0, 18), memoryview("hello la 哈哈哈".encode()),
)  # fmt: skip
INTEREST = Interest(8, 5, 2, "tcp-1", None, "READ|WRITE", "", "nothing waits to be sent")
POLL = Poll(9, 5, 3, 3, None, 'a "b"\n', (("tcp-1", "IN"),))
LIMIT = Limit(10, 5, 3, "connections", True)


@pytest.mark.parametrize(
    ("event", "at"),
    [
        (LIMIT, "ev=limit active=true"),
        (RECV, "off=[0,18]"),
        (RECV, "off='[0, 18]'"),
        (RECV, "data=aGVsbG8gbGEg5ZOI5ZOI5ZOI n=18"),
        (RECV, 'conn="tcp-1" ev="recv"'),
        (INTEREST, "ev=interest reason='nothing waits to be sent' sock=null"),
        (INTEREST, 'reason="nothing waits to be sent" new=""'),
        (INTEREST, "new='' old=READ|WRITE"),
        (POLL, 'timeout=null ready=[["tcp-1","IN"]]'),
        (POLL, r'why="a \"b\"\n"'),
    ],
)
def test_values_as_the_log_has_them(event, at):
    """JSON, or a bare word; what has blanks is quoted. No other event here is meant, and no other value."""
    wanted = parse_break(at)
    assert [it for it in (RECV, INTEREST, POLL, LIMIT) if wanted.wants(it)] == [event]


@pytest.mark.parametrize(
    "at",
    [
        "active=True", "active=1", "off=(0,18)", "off=[0,19]", "n=18.5", "sock=None", "n=\udcff", "n=1e999",
        f"n={'9' * 400}", f"off={'[' * 9999}", f"off={'[' * 900}{']' * 900}",
    ],
)  # fmt: skip
def test_values_that_no_log_has(at):
    """Python's words are none of JSON's."""
    wanted = parse_break(at)
    assert not any(wanted.wants(it) for it in (RECV, INTEREST, POLL, LIMIT))


def test_a_place_that_does_not_come(log, capsys):
    """It is said, and the exit code is 1."""
    assert run(log, "--break", "seq=99999") == 1
    assert "no event was as --break wants it" in capsys.readouterr().err


def test_standard_input_cannot_be_both(capsys):
    """The log and what is typed."""
    assert run("-", "--break", "3") == 2
    assert "standard input" in capsys.readouterr().err


def debug(log, at, *lines):
    """What the debugger says to these lines."""
    done = subprocess.run(
        [*COMMAND, str(log), "--break", at],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True, text=True, timeout=SECONDS, check=False, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_the_debugger(log, events):
    """It stops in the line of the server behind the call, with its objects at hand, and goes on."""
    code, out = debug(
        log, "conn=tcp-1 ev=recv", "p data", "p event.n, event.conn, stream.fd == event.fd", "w",
        "p type(loop).__name__, type(server).__name__, len(server._streams)", "u", "p bits",
        "c", "p data", "c", "c",
    )  # fmt: skip
    assert code == 0
    assert "stream.py" in out
    assert "on_ready()" in out
    assert "b'hello la \\xe5" in out
    assert "(18, 'tcp-1', True)" in out
    assert "('Loop', 'LoopServer', " in out
    assert "evloop_trace" not in out.partition("(Pdb)")[2], "our own frames are not the server's"
    assert out.count("recv(65536) = ") == 2, "it stops at each that is meant"
    assert out.endswith(f"{log}: {events} events: the rerun is the same\n")


def test_the_debugger_of_an_event_that_is_no_call(log):
    """A decision: the innermost of the server's frames is where it was made."""
    code, out = debug(log, "2", "p event.new", "p item.fd == loop.interests.watched[item.fd].fd", "q")
    assert code == 0
    assert "interest.py" in out
    assert "'READ'" in out
    assert out.endswith("a.jsonl: left at event 2: so far all events are the same\n")


def test_the_debugger_at_the_end(log):
    """Of the last event, and of what is typed."""
    code, out = debug(log, "ev=end", "n", "n", "n")
    assert code == 0
    assert "loop.close()" in out
    code, out = debug(log, "ev=poll")
    assert code == 0
    assert "left at event" in out


def test_breakpoints_of_ones_own(log):
    """They hold beside ours, and the debugger never shows itself."""
    code, out = debug(log, "conn=tcp-1 ev=recv", "b self.close", "c", "c", "w", "q")
    assert code == 0
    assert "bdb.py" not in out
    assert "-> if self.closed:" in out


@pytest.mark.parametrize("command", ["restart", "run x"])
def test_the_debugger_begins_nothing_again(log, events, command):
    """What was run cannot be: it is a sentence, and one is where one was."""
    code, out = debug(log, "10", command, "p event.seq", "c")
    assert code == 0
    assert out.count("*** ") == 1
    assert "(Pdb) *** a rerun goes on from where it is" in out
    assert "\n(Pdb) 10\n" in out
    assert out.endswith(f"{log}: {events} events: the rerun is the same\n")


@pytest.mark.parametrize(
    ("typed", "reason"),
    [(b"\xff\n", "can't decode byte 0xff"), (b"debug __import__('sys').exit(3)\nc\n", "SystemExit: 3")],
)
def test_the_debugger_breaks_off(log, typed, reason):
    """That is not the log's fault: no difference is told, but what went wrong."""
    done = subprocess.run(
        [*COMMAND, str(log), "--break", "10"], input=typed, capture_output=True, check=False, timeout=SECONDS,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert done.returncode == 2
    assert b"differs" not in done.stdout
    told = done.stderr.decode().splitlines()[-1]
    assert told.startswith("evloop-trace: the debugger broke off: ")
    assert reason in told


def test_nobody_can_be_asked(log):
    """Standard input is closed: wrong usage."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, str(log), "--break", "5"],
        capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "standard input" in done.stderr


def test_nobody_reads_what_the_debugger_says(log):
    """As with every command: it ends, and says nothing."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb") as nobody:
        done = subprocess.run(
            [*COMMAND, str(log), "--break", "ev=poll"], input=b"c\n", stdout=nobody,
            stderr=subprocess.PIPE, check=False, timeout=SECONDS,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal(log):
    """As somebody sees it: prompts, and what is typed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, str(log), "--break", "ev=send"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while b"(Pdb)" not in seen:
            seen += os.read(ours, 1 << 16)
        os.write(ours, b"p bytes(event.data)\n")
        while seen.count(b"(Pdb)") < 2:
            seen += os.read(ours, 1 << 16)
        os.write(ours, b"q\n")
        while b"left at" not in seen:
            seen += os.read(ours, 1 << 16)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"b'HELLO LA " in seen
    assert b"  send(18) = 18  [0,18)  " in seen, "where there are no 120 columns, events have none"
    assert b"Traceback" not in seen
