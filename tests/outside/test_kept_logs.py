"""Logs that end well: a flight recorder's, and those that are rotated. From outside, with a real client."""

from __future__ import annotations

import contextlib
import json
import re
import select
import shutil
import signal
import socket
import sys
import time

import pytest

TRACE = (sys.executable, "-m", "evloop_trace")
SECONDS = 30
DUMPED = r"flight recorder: SIGUSR1: the last (\d+) events are in log.jsonl$"


def talk(server, times=1, messages=3):
    """Clients one after another, each of which says something and waits for the answer."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
            for _ in range(messages):
                client.sendall(b"hello")
                left = 5
                while left:
                    left -= len(client.recv(left))


def lines(path):
    """A log's lines."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def events(path):
    """Its events, without what stands for those that it has not."""
    return [it for it in lines(path) if it["seq"] >= 0 and it["ev"] not in {"header", "gap"}]


@pytest.fixture
def good(run, tmp_path):
    """Check files by themselves, where no older ones lie beside them."""

    def check(*names):
        alone = tmp_path / "alone"
        alone.mkdir(exist_ok=True)
        for name in names:
            shutil.copy(tmp_path / name, alone / "log.jsonl")
            result = run(*TRACE, "check", "alone/log.jsonl")
            assert (result.returncode, result.stderr) == (0, ""), result.stdout
        return True

    return check


def test_a_signal_has_it_written(serve, run, good, tmp_path):
    """Each time into a file of its own; a normal end writes none."""
    server = serve("--tcp", "127.0.0.1:0", "--ring", "30", "--log", "log.jsonl")
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as stays:
        stays.sendall(b"I stay")
        assert stays.recv(100) == b"I STAY"
        for number in (1, 2):
            talk(server, 5)
            server.send(signal.SIGUSR1)
            while len(server.complaints) < number:
                assert server._read(time.monotonic() + SECONDS)
        assert server.stop() == 0
    told = [re.search(DUMPED, it) for it in server.complaints if not it.startswith("evloop: stopping")]
    older, newest = sorted(it.name for it in tmp_path.glob("log.jsonl*"))[::-1]
    assert (older, newest) == ("log.jsonl.old-000001", "log.jsonl")
    assert good(older, newest)
    header, gap, *rest = lines(tmp_path / newest)
    assert (header["ev"], gap["ev"], gap["wanted"], rest[-1]["ev"]) == ("header", "gap", True, "cut")
    states = {it["name"]: it for it in rest if it["ev"] == "inherit"}
    assert (states["tcp-1"]["received"], states["tcp-1"]["sent"], states["tcp-1"]["interest"]) == (
        6,
        6,
        "READ",
    )
    kept = events(tmp_path / newest)
    assert states["listen-1"]["accepted"] + sum(it["ev"] == "accept" and "conn" in it for it in kept) == 11
    assert [it["seq"] for it in kept] == list(range(gap["seq"] + 1, gap["seq"] + 1 + len(kept)))
    assert [int(it[1]) for it in told] == [len(events(tmp_path / older)), len(kept)]
    assert len(kept) >= 30 > sum(it["tick"] != kept[0]["tick"] for it in kept), "whole ticks, and no more"
    # The end of the last client may be in the same tick, behind the signal.
    last = [it["ev"] for it in kept if it["tick"] == kept[-1]["tick"]]
    assert [it["signal"] for it in kept[-len(last) :] if it["ev"] == "signal"] == ["SIGUSR1"]


def test_all_tools_read_what_was_kept(serve, run, tmp_path):
    """What is missing, and why it ends, is known to them."""
    server = serve("--tcp", "127.0.0.1:0", "--ring", "30", "--log", "log.jsonl")
    talk(server, 5)
    server.send(signal.SIGUSR1)
    server.expect(DUMPED)
    assert server.stop() == 0
    _, gap, *rest = lines(tmp_path / "log.jsonl")
    why = run(*TRACE, "why", "log.jsonl")
    assert "where the file ends: flight recorder: SIGUSR1" in why.stdout.replace("\n", " ")
    stats = json.loads(run(*TRACE, "stats", "--json", "log.jsonl").stdout)
    assert stats["lost"] == gap["lost"]
    assert stats["cut"] == "flight recorder: SIGUSR1"
    picture = run(*TRACE, "picture", "log.jsonl")
    assert (picture.returncode, picture.stdout[:4]) == (0, "<svg")
    replay = run(*TRACE, "replay", "log.jsonl").stdout.splitlines()
    assert len(replay) == len(rest) + 2


def test_a_log_without_a_reason_is_none(serve, tmp_path):
    """What was in the file before stays; where there was none there is none."""
    (tmp_path / "kept.jsonl").write_text("precious")
    for name in ("kept.jsonl", "new.jsonl"):
        server = serve("--tcp", "127.0.0.1:0", "--ring", "30", "--log", name)
        talk(server)
        assert server.stop() == 0
        assert server.complaints == []
    assert (tmp_path / "kept.jsonl").read_text() == "precious"
    assert not (tmp_path / "new.jsonl").exists()


def test_a_lint_has_it_written(serve, good):
    """A bug of the gallery, which spins: written once, though it goes on, and says what is wrong."""
    server = serve(
        "--tcp", "127.0.0.1:0", "--ring", "500", "--log", "log.jsonl", "--bug", "write-interest-left-on"
    )
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as client:
        client.setblocking(False)
        sent = 0
        while select.select([], [client], [], 1.0)[1]:
            with contextlib.suppress(BlockingIOError):
                # Until the server takes no more, because it waits for room, and watches for WRITE.
                sent += client.send(bytes(1 << 16))
        client.settimeout(SECONDS)
        while sent:
            sent -= len(client.recv(1 << 16))
        server.expect("flight recorder: lint: ")
        talk(server, 10)
    assert server.stop() == 0
    told = [it for it in server.complaints if "flight recorder" in it]
    assert len({it.split(": ")[3] for it in told}) == len(told)
    assert good("log.jsonl")


CRASH = """
import sys
from evloop.loop.loop import Loop
from evloop.cli import main

tick = Loop.tick
left = 20

def breaks(loop):
    global left
    left -= 1
    if not left:
        raise KeyError("a bug in the loop itself")
    tick(loop)

Loop.tick = breaks
sys.argv = ["evloop", *sys.argv[1:]]
main()
"""


def test_a_crash_has_it_written(begin, good, tmp_path):
    """An exception that ends the loop: what was before, and the exception, are in the file."""
    options = ("serve", "--tcp", "127.0.0.1:0", "--ring", "100", "--log", "log.jsonl")
    server = begin(sys.executable, "-c", CRASH, *options)
    port = int(server.expect(r"listening tcp \S+:(\d+)").group(1))
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        while True:
            try:
                client.sendall(b"x")
                if not client.recv(100):
                    break
            except OSError:
                break
    assert server.end() == 1
    *_, error, cut = lines(tmp_path / "log.jsonl")
    assert (error["ev"], error["where"]) == ("error", "loop")
    assert "KeyError" in error["message"]
    assert cut["reason"].startswith("flight recorder: crash: KeyError: ")
    assert good("log.jsonl")


def test_a_log_is_rotated(serve, run, good, tmp_path):
    """None grows for ever, each can be read alone, together they are one log, and the oldest go."""
    server = serve(
        "--tcp", "127.0.0.1:0", "--log-max-bytes", "20000", "--log-keep", "3", "--log", "log.jsonl",
        "--payload", "none",
    )  # fmt: skip
    with socket.create_connection(("127.0.0.1", server.port()), SECONDS) as stays:
        stays.sendall(b"I stay")
        assert stays.recv(100) == b"I STAY"
        while not (tmp_path / "log.jsonl.old-000005").exists():
            talk(server, 10)
        stays.sendall(b"I stay")
        assert stays.recv(100) == b"I STAY"
    assert server.stop() == 0
    assert server.complaints == []
    names = sorted(it.name for it in tmp_path.glob("log.jsonl.old-*"))
    assert len(names) == 3
    assert good(*names, "log.jsonl")
    seqs = [line["seq"] for name in [*names, "log.jsonl"] for line in lines(tmp_path / name)]
    numbers = [seq for seq in seqs if seq > 0]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    together = run(*TRACE, "check", "log.jsonl")
    assert (together.returncode, together.stderr) == (0, "")
    report = json.loads(run(*TRACE, "stats", "--json", "log.jsonl").stdout)
    assert (report["lost"], report["complete"], report["kinds"]["header"]) == (0, True, 1)
    assert run(*TRACE, "lint", "log.jsonl").returncode == 0
    named = run(*TRACE, "replay", *names[::-1], "log.jsonl").stdout
    assert named == run(*TRACE, "replay", "log.jsonl").stdout
    assert " lost" not in named
    (tmp_path / names[1]).unlink()
    broken = run(*TRACE, "check", "log.jsonl")
    assert broken.returncode == 1
    assert f"{names[2]}:" in broken.stdout
    assert "lost" in broken.stdout


@pytest.mark.needs("nobody")
def test_a_folder_that_may_not_be_written(serve, nobody, tmp_path):
    """The server goes on, in one file, and says so once."""
    tmp_path.chmod(0o755)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner").chmod(0o777)
    server = serve(
        "--tcp", "127.0.0.1:0", "--log-max-bytes", "5000", "--log", "inner/log.jsonl", prefix=nobody
    )
    (tmp_path / "inner").chmod(0o555)
    talk(server, 60)
    assert server.stop() == 0
    assert len(server.complaints) == 1
    assert "the log inner/log.jsonl cannot be rotated (Permission denied)" in server.complaints[0]
    assert [it["seq"] for it in server.events()] == list(range(len(server.events())))
    assert [it.name for it in (tmp_path / "inner").iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--ring", "9"], "--ring needs a file: add --log FILE"),
        (["--ring", "9", "--log", "-"], "--ring needs a file: add --log FILE"),
        (["--ring", "9", "--log", "/dev/null"], "--ring writes files, and '/dev/null' is none: name one"),
        (["--log-max-bytes", "9999"], "--log-max-bytes needs a file: add --log FILE"),
        (["--log-max-bytes", "9999", "--log", "/dev/null"], "'/dev/null' is none: name one"),
        (["--log-max-bytes", "9999", "--log", "x", "--ring", "9"], "contradict each other"),
        (["--log-keep", "9", "--log", "x"], "--log-keep counts older files: add --log-max-bytes"),
        (["--ring-on", "slow", "--log", "x"], "add --ring N"),
        (["--model", "threaded", "--ring", "9", "--log", "x"], "--ring needs the loop"),
        (["--model", "once", "--log-max-bytes", "9999", "--log", "x"], "--log-max-bytes needs the loop"),
        (["--watch-mode", "660"], "add --watch PATH"),
        (["--watch", "@w"], "an abstract name has no mode"),
        (["--control", "@w"], "an abstract name has no mode"),
        (["--watch", "w", "--watch-mode", "999"], "'999' is no mode"),
        (["--watch", "w", "--watch-mode", "400"], "'400' is no mode"),
        (["--payload", "none", "--log", "x", "--capture", "y"], "packets have payloads"),
    ],
)
def test_what_does_not_go_together(run, tmp_path, options, complaint):
    """One sentence, and nothing is left behind."""
    result = run(sys.executable, "-m", "evloop", "serve", "--tcp", "127.0.0.1:0", *options)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
