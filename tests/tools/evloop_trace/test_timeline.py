"""Logs and a capture as one timeline, and what is said when they do not fit."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evloop_trace import cli
from evloop_trace.correlate import loom
from evloop_trace.correlate.entries import CallEntry, PacketEntry
from evloop_trace.logs import open_logs
from evloop_trace.packets.capture_file import Capture, read_packets
from evloop_trace.states.reader import MAX_LINE
from evloop_trace.timeline import Timeline

from evloop.events.schema import Accept, Block, Clock, Close, Connect, Recv, Send

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

HERE, THERE = "10.0.0.1:40000", "10.0.0.2:8080"
MS, SECOND = 1_000_000, 1_000_000_000


@pytest.fixture(scope="module")
def wire() -> ModuleType:
    """The packet builders."""
    path = Path(__file__).with_name("packets") / "wire.py"
    spec = importlib.util.spec_from_file_location("timeline_tests_wire", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def both(new_book: type, wire: ModuleType) -> Callable[..., tuple[Any, Any]]:
    """A log and a capture of the same conversation, 1 ms a step."""

    def make(port: int = 40000, **header: Any) -> tuple[Any, Any]:
        book, talk = new_book(wall_ns=wire.START, **header), wire.Talk(port)
        here = f"10.0.0.1:{port}"
        c, s = {"conn": "tcp-1", "fd": 3}, {"conn": "tcp-2", "fd": 4}

        def call(cls: type, **fields: Any) -> None:
            event = book.add(cls, 1000, **fields)
            event.t = talk.time + MS - 500 - wire.START

        call(Connect, peer=THERE, local=here, **c)
        talk.opened()
        call(Accept, sock="listen-1", peer=here, local=THERE, **s)
        call(Send, size=5, n=5, off=(0, 5), **c)
        talk.c(wire.ACK, b"hello")
        call(Recv, size=100, n=5, off=(0, 5), **s)
        call(Close, reason="close", sent=5, **c)
        talk.c(wire.FIN | wire.ACK)
        call(Close, reason="close", **s)
        talk.s(wire.FIN | wire.ACK).c(wire.ACK)
        book.end()
        book.events[-1].t = book.events[-2].t
        return book, talk

    return make


class Laid:
    """What the command says of files."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capsys, self._folder = capsys, folder
        self.said = ""

    def file(self, name: str, data: bytes) -> str:
        """A file."""
        path = self._folder / name
        path.write_bytes(data)
        return str(path)

    def __call__(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        """The lines."""
        command = ["timeline", "--json", *arguments]
        done = cli.run(lambda: cli.cli.main(command, prog_name="evloop-trace", standalone_mode=False))
        out, self.said = self._capsys.readouterr()
        assert done == code, self.said
        assert "Traceback" not in self.said
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def lay(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Laid:
    """The command."""
    return Laid(capsys, tmp_path)


def links(lines: list[dict[str, Any]]) -> dict[str, str]:
    """How the calls are linked, by their kind."""
    return {it["event"]["ev"]: it["link"] for it in lines if it["lane"] in ("client", "server")}


ALL = {"connect": "exact", "accept": "exact", "send": "exact", "recv": "exact", "close": "exact"}


def test_as_always(both: Callable[..., Any], lay: Laid) -> None:
    """Every call is joined; times are since the log began; whatever the files are packed in."""
    book, talk = both()
    log, capture = lay.file("a.jsonl", book.encode()), lay.file("a.pcap", talk.pcap())
    lines = lay(log, "--packets", capture)
    assert links(lines).items() >= ALL.items()
    assert "calls joined with packets: 6 exactly, 0 by inference; 0 not matched" in lay.said
    times = [it["t"] for it in lines if "t" in it]
    assert times == sorted(times)
    assert lines[-1]["names"] == ["tcp-1", "tcp-2"]
    packed = (
        lay.file("b.jsonl.gz", gzip.compress(book.encode())),
        lay.file("b.pcap.gz", gzip.compress(talk.pcap())),
    )
    assert links(lay(packed[0], "--packets", packed[1])) == links(lines)
    assert {it["lane"] for it in lay(log)} == {"client", "server", "connection"}
    assert "joined" not in lay.said
    assert {it["lane"] for it in lay("--packets", capture)} == {"wire", "connection"}


def test_a_part(both: Callable[..., Any], lay: Laid) -> None:
    """--from and --to choose entries; --conn a connection."""
    book, talk = both()
    other = both(40001)[1]
    log, capture = lay.file("a.jsonl", book.encode()), lay.file("a.pcap", _several(talk, other))
    lines = lay(log, "--packets", capture, "--from", "4ms", "--to", "6ms")
    assert all(4 * MS <= it["t"] <= 6 * MS for it in lines if "t" in it)
    for name in ("tcp-2", "0", "#0", HERE):
        lines = lay(log, "--packets", capture, "--conn", name)
        assert {it["conn"] for it in lines} == {0}
    lay(log, "--packets", capture, "--conn", "tcp-9", code=1)
    assert "no connection is called 'tcp-9'" in lay.said
    lay(log, "--packets", capture, "--conn", THERE, code=1)
    assert "is 2 connections" in lay.said


def test_who_reads_a_part_does_not_say_what_is_missing(both: Callable[..., Any], lay: Laid) -> None:
    """Behind --to nothing was read: that a connection is not in the capture nobody can know."""
    book, talk = both()
    log = lay.file("a.jsonl", book.encode())
    late = lay.file("late.pcap", talk.pcap())
    frames = [(t + 3600 * SECOND, frame) for t, frame in talk.frames]
    later = lay.file("later.pcap", sys.modules["timeline_tests_wire"].pcap(frames))
    lay(log, "--packets", later)
    assert "do not belong together" in lay.said
    for capture in (late, later):
        lay(log, "--packets", capture, "--to", "1ms")
        assert "belong together" not in lay.said
        assert "stays empty" not in lay.said
        assert "is in " not in lay.said


def _several(*talks: Any) -> bytes:
    frames = sorted(it for talk in talks for it in talk.frames)
    made: bytes = sys.modules["timeline_tests_wire"].pcap(frames)
    return made


def test_a_silence_at_the_end(new_book: type, tmp_path: Path) -> None:
    """Whoever looks while nothing happens is told who sleeps."""
    book = new_book()
    book.add(Accept, 100, "listen-1", "tcp-1", 7, HERE, THERE, 0)
    book.add(Block, "recv", conn="tcp-1", fd=7)
    path = tmp_path / "server.jsonl"
    path.write_bytes(book.encode())
    with open_logs([str(path)]) as logs:
        timeline = Timeline(logs)
        *_, last = timeline.entries(())
        assert timeline.silence(last.t + SECOND) == "the server sleeps in recv()"


@pytest.mark.parametrize(("lives", "why"), [(True, "the server sleeps in recv()"), (False, "")])
def test_a_silence_of_who_was_killed(new_book: type, tmp_path: Path, *, lives: bool, why: str) -> None:
    """Its log has no `end`, and the system no such process: it sleeps in nothing."""
    book = new_book(boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with subprocess.Popen(["true"]) as killed:
        killed.wait()
    book.events[0].pid = os.getpid() if lives else killed.pid
    book.events[0].mono_ns = time.monotonic_ns()
    book.add(Accept, 100, "listen-1", "tcp-1", 7, HERE, THERE, 0)
    book.add(Block, "recv", conn="tcp-1", fd=7)
    path = tmp_path / "server.jsonl"
    path.write_bytes(book.encode())
    with open_logs([str(path)]) as logs:
        timeline = Timeline(logs)
        *_, last = timeline.entries(())
        assert timeline.silence(last.t + SECOND) == why


def test_out_of_order(both: Callable[..., Any], lay: Laid) -> None:
    """Packets that stand a little behind their place in the file come in their place."""
    book, talk = both()
    frames = talk.frames
    frames[4], frames[5] = frames[5], frames[4]
    lines = lay(lay.file("a.jsonl", book.encode()), "--packets", lay.file("a.pcap", talk.pcap()))
    times = [it["t"] for it in lines if "t" in it]
    assert times == sorted(times)


def test_another_time(both: Callable[..., Any], lay: Laid) -> None:
    """A capture of another hour is another's; it is said how far off it is."""
    book, talk = both()
    log = lay.file("a.jsonl", book.encode())
    for hours, words in ((1, "after the log ended"), (-1, "before the log began")):
        frames = [(t + hours * 3600 * SECOND, frame) for t, frame in talk.frames]
        talk_file = lay.file("b.pcap", sys.modules["timeline_tests_wire"].pcap(frames))
        lines = lay(log, "--packets", talk_file)
        assert "do not belong together: its " in lay.said
        assert words in lay.said
        assert "0 exactly, 0 by inference; 0 not matched" in lay.said
        assert links(lines)["send"] == ""


def test_other_addresses(both: Callable[..., Any], lay: Laid) -> None:
    """None of the log's connections are in the capture, or only some."""
    book, _ = both()
    _, other = both(40001)
    log = lay.file("a.jsonl", book.encode())
    lay(log, "--packets", lay.file("b.pcap", other.pcap()))
    assert "none of the log's connections is in " in lay.said
    assert "go to 10.0.0.2:8080, the capture's to 10.0.0.2:8080" in lay.said
    more = both(40002)[0].encode().splitlines(keepends=True)
    two = lay.file("c.jsonl", b"".join(more))
    lay(log, two, "--packets", lay.file("d.pcap", both()[1].pcap()))
    assert "1 of the log's 2 connections are not in " in lay.said


def test_bad_captures(both: Callable[..., Any], lay: Laid) -> None:
    """What could be read is shown, and one sentence says what is wrong."""
    book, talk = both()
    log, whole = lay.file("a.jsonl", book.encode()), talk.pcap()
    lines = lay(log, "--packets", lay.file("cut.pcap", whole[:-10]), code=1)
    assert "cut off" in lay.said
    assert sum(it["lane"] == "wire" for it in lines) == len(talk.frames) - 1
    lines = lay(log, "--packets", lay.file("none.pcap", whole[:24]))
    assert "has no packet of TCP or UDP: the wire stays empty" in lay.said
    assert links(lines)["send"] == ""
    for name, data in (("empty", b""), ("text", b"no capture at all, but text")):
        assert lay(log, "--packets", lay.file(name, data), code=2) == []
        assert lay.said.count("\n") == 1
    lay(log, "--packets", "not/there", code=2)
    lay(log, "--packets", log, code=2)
    assert "is named twice" in lay.said
    lay("-", "--packets", "-", code=2)
    assert "standard input is named twice" in lay.said
    lay("-", "--conn", "1", code=2)
    assert "name files instead of -" in lay.said


def test_standard_input(both: Callable[..., Any], lay: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either of them may be -."""
    book, talk = both()
    log = lay.file("a.jsonl", book.encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(talk.pcap())))
    assert links(lay(log, "--packets", "-")).items() >= ALL.items()


def test_the_kernel(both: Callable[..., Any], lay: Laid) -> None:
    """Its words stand among the others; a file that is none is told."""
    book, talk = both()
    log, capture = lay.file("a.jsonl", book.encode()), lay.file("a.pcap", talk.pcap())
    header = {
        "ev": "header", "schema": "evloop-kernel/1", "mono_ns": 1000, "wall_ns": book.events[0].wall_ns,
        "bracket_ns": 0, "boot_id": "", "kernel": "6", "ports": [], "events": [],
    }  # fmt: skip
    said = [
        header,
        {
            "ev": "state",
            "t": 1000 + MS,
            "local": HERE,
            "peer": THERE,
            "sock": 1,
            "old": "CLOSED",
            "new": "SYN-SENT",
        },
        {"ev": "lost", "t": 1000 + 2 * MS, "count": 3},
        {"ev": "end", "t": 1000 + 3 * MS, "lost": 3, "events": 2},
    ]
    kernel = lay.file("k.jsonl", b"".join(json.dumps(it).encode() + b"\n" for it in said))
    for logs in ([log], []):
        lines = lay(*logs, "--packets", capture, "--kernel", kernel)
        (state,) = [it for it in lines if it["lane"] == "kernel"]
        assert (state["conn"], state["end"], state["new"]) == (0, "client", "SYN-SENT")
        assert "lacks 3 events, for which the kernel had no room" in lay.said
    torn = lay.file("torn.jsonl", b"".join(json.dumps(it).encode() + b"\n" for it in said[:2]))
    lay(log, "--kernel", torn, code=1)
    assert "torn.jsonl: has no end: the recording was cut off" in lay.said
    endless = lay.file("endless.jsonl", json.dumps(header).encode() + b"\n" + bytes(3 * MAX_LINE))
    lay(log, "--kernel", endless, code=1)
    assert lay.said.count("endless.jsonl: ") == 2
    lay(log, "--kernel", "/dev/zero", code=2)
    assert "/dev/zero is no recording of the kernel's" in lay.said
    lay(log, "--kernel", capture, code=2)
    lay(log, "--kernel", "not/there", code=2)
    assert "not/there cannot be read: No such file" in lay.said


def test_the_kernel_of_another_boot(both: Callable[..., Any], lay: Laid) -> None:
    """Its monotonic clock is another: the time of day places it, and that is told."""
    book, talk = both(mono_ns=5_000_000_000, boot_id="one")
    log, capture = lay.file("a.jsonl", book.encode()), lay.file("a.pcap", talk.pcap())
    for boot_id, told in (("one", False), ("other", True), ("", False)):
        header = {
            "ev": "header", "schema": "evloop-kernel/1", "mono_ns": 1000, "wall_ns": book.events[0].wall_ns,
            "bracket_ns": 0, "boot_id": boot_id, "kernel": "6", "ports": [], "events": [],
        }  # fmt: skip
        state = {
            "ev": "state", "t": 1000 + MS, "local": HERE, "peer": THERE, "sock": 1, "old": "CLOSED",
            "new": "SYN-SENT",
        }  # fmt: skip
        end = {"ev": "end", "t": 1000 + 3 * MS, "lost": 0, "events": 1}
        data = b"".join(json.dumps(it).encode() + b"\n" for it in (header, state, end))
        lines = lay(log, "--packets", capture, "--kernel", lay.file("k.jsonl", data))
        (entry,) = [it for it in lines if it["lane"] == "kernel"]
        assert entry["t"] == (MS if told else 1000 + MS - 5_000_000_000)
        assert ("the machine was booted in between" in lay.said) is told


def test_a_log_with_a_bad_line(both: Callable[..., Any], lay: Laid) -> None:
    """The line is told of, and the rest is there."""
    book, talk = both()
    lines = book.encode().splitlines(keepends=True)
    lines.insert(2, b"no event\n")
    log = lay.file("a.jsonl", b"".join(lines))
    lay(log, "--packets", lay.file("a.pcap", talk.pcap()), code=1)
    assert "a.jsonl: line 3" in lay.said


def test_packets_that_no_call_sent(both: Callable[..., Any], lay: Laid) -> None:
    """Of who is in the log; the summary counts what a row calls unmatched."""
    book, talk = both()
    book.events = [it for it in book.events if not isinstance(it, Send)]
    for seq, event in enumerate(book.events):
        event.seq = seq
    lay(lay.file("a.jsonl", book.encode()), "--packets", lay.file("a.pcap", talk.pcap()))
    assert "0 calls and 1 packet not matched" in lay.said


def test_the_captures_loss(both: Callable[..., Any], lay: Laid, wire: ModuleType) -> None:
    """Calls that are not matched are no wonder where packets are missing; it is said whose loss that is."""
    book, talk = both()
    frames = [it for at, it in enumerate(talk.frames) if at != 3]
    statistics = wire.block(5, bytes(12) + wire.option(7, (7).to_bytes(8, "little")) + bytes(4))
    data = wire.pcapng(frames) + statistics
    lines = lay(lay.file("a.jsonl", book.encode()), "--packets", lay.file("a.pcapng", data))
    assert (links(lines)["send"], links(lines)["recv"]) == ("unmatched", "unmatched")
    assert "2 not matched, as the capture lost 7 packets: not the program's fault" in lay.said


def test_two_boots(both: Callable[..., Any], lay: Laid) -> None:
    """Only the time of day is common: the join is by addresses all the same."""
    one, talk = both(mono_ns=1000, boot_id="a")
    two, other = both(40001, mono_ns=9_000_000, boot_id="b")
    logs = lay.file("a.jsonl", one.encode()), lay.file("b.jsonl", two.encode())
    lines = lay(*logs, "--packets", lay.file("a.pcap", _several(talk, other)))
    assert [it["link"] for it in lines if it["lane"] == "connection"] == ["exact", "exact"]
    assert links(lines).items() >= ALL.items()


def test_somebody_sets_the_clock(both: Callable[..., Any], lay: Laid) -> None:
    """Packets behind the step are put where they belong, and it is told."""
    book, talk = both()
    step = 3600 * SECOND
    event = Clock(len(book.events), 0, 0, book.events[0].mono_ns, book.events[0].wall_ns + step, 0)
    book.events.insert(1, event)
    frames = [(t + step, frame) for t, frame in talk.frames]
    capture = lay.file("a.pcap", sys.modules["timeline_tests_wire"].pcap(frames))
    lines = lay(lay.file("a.jsonl", book.encode()), "--packets", capture)
    assert links(lines).items() >= ALL.items()
    assert "somebody set the clock" in lay.said
    assert " forward in the 10 s before" in lay.said


def test_only_so_much_is_held(both: Callable[..., Any], lay: Laid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are given out in time, and each once."""
    monkeypatch.setattr(loom, "MOST", 3)
    book, talk = both()
    with open_logs([lay.file("a.jsonl", book.encode())]) as logs:
        it = Timeline(logs)
        packets = read_packets(io.BytesIO(talk.pcap()).read, Capture())
        entries = list(it.entries(packets))
    assert sum(isinstance(entry, PacketEntry) for entry in entries) == len(talk.frames)
    assert sum(isinstance(entry, CallEntry) for entry in entries) == len(book.events)
