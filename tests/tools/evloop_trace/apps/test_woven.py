"""The live timeline: events as they are told, packets as they come to stand in a growing file."""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING

import pytest
from evloop_trace.apps.woven import LAG, Woven
from evloop_trace.capture import pcapng
from evloop_trace.correlate.entries import PacketEntry
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from evloop.events.schema import ConnectionState, ListenerState, Recv, Snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.tools.evloop_trace.conftest import Book

WALL = 1_700_000_000_000_000_000  # the book's clock at its t = 0
PORTS = {True: (40000, 8080), False: (8080, 40000)}


def segment(at: int, flags: str, seq: int, ack: int, data: bytes = b"", *, client: bool = True) -> bytes:
    """A packet's block."""
    sport, dport = PORTS[client]
    ip = IP(src="127.0.0.1", dst="127.0.0.1")
    frame = bytes(Ether() / ip / TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack) / data)
    return pcapng.packets([(WALL + at, frame, len(frame))])


HANDSHAKE = (
    segment(2100, "S", 100, 0)
    + segment(2200, "SA", 500, 101, client=False)
    + segment(2300, "A", 101, 501)
)  # fmt: skip


class File:
    """A capture that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._file = path.open("wb", buffering=0)
        self.add(pcapng.section("", "", "") + pcapng.interface("lo", 1, 0, "", ""))

    def add(self, data: bytes) -> None:
        """Some more of it."""
        self._file.write(data)

    def close(self) -> None:
        """No more."""
        self._file.close()


@pytest.fixture
def file(tmp_path: Path) -> File:
    """A capture that has begun."""
    begun = File(tmp_path / "a.pcapng")
    yield begun
    begun.close()


def drawn(woven: Woven) -> list[str]:
    """What the panel shows at 120 columns, without spaces that repeat."""
    lines = ["".join(it.text for it in line) for line in woven.panel.lines(120, 60)]
    return [re.sub(r"[ ─═┄]+", " ", line).strip() for line in lines]


def test_calls_and_packets_stand_in_the_order_of_their_times(file: File, book: Book) -> None:
    """Though the packets come to the file when the events have long been told."""
    woven = Woven(file.path)
    book.conversation()
    woven.tell(book.events)
    woven.look(0)
    assert drawn(woven) == []  # all of it still waits
    file.add(HANDSHAKE + segment(4500, "PA", 101, 501, "hello 哈".encode()))
    woven.look(LAG + 3500)
    assert [it for it in drawn(woven) if "accept()" in it or "SYN" in it][-1].count("accept() → tcp-1") == 1
    woven.look(None)
    woven.close()
    text = "\n".join(drawn(woven))
    order = ["SYN", "SYN ACK", "accept() → tcp-1", "PSH ACK 9 B [0,9)", "recv() = 9", "send() = 9", "close()"]
    places = [text.index(it) for it in order]
    assert places == sorted(places)
    assert woven.skipped == 0


def test_a_block_that_is_half_there_is_waited_for(file: File, book: Book) -> None:
    """Its rest comes with the next look; nothing is told twice."""
    woven = Woven(file.path)
    woven.tell(book.events)
    file.add(HANDSHAKE[:50])
    woven.look(None)
    assert drawn(woven) == []
    file.add(HANDSHAKE[50:])
    woven.look(None)
    woven.look(None)
    woven.close()
    assert sum("SYN" in it for it in drawn(woven)) == 2


def test_packets_out_of_a_pipe(book: Book) -> None:
    """Those that have come by now; nobody waits for more, and it holds more than a pipe does else."""
    ours, theirs = os.pipe()
    woven = Woven(ours)
    assert fcntl.fcntl(theirs, fcntl.F_GETPIPE_SZ) > 65536
    woven.tell(book.events)
    woven.look(None)
    begin = pcapng.section("", "", "") + pcapng.interface("lo", 1, 0, "", "")
    os.write(theirs, begin + HANDSHAKE[:50])
    woven.look(None)
    os.write(theirs, HANDSHAKE[50:])
    woven.look(None)
    assert sum("SYN" in it for it in drawn(woven)) == 2
    woven.close()
    with pytest.raises(BrokenPipeError):
        os.write(theirs, b"x")
    os.close(theirs)


def test_a_file_that_is_not_there_yet(tmp_path: Path, book: Book) -> None:
    """The calls are drawn without packets."""
    woven = Woven(str(tmp_path / "nowhere.pcapng"))
    woven.look(None)  # before the header nothing can be placed
    woven.tell(book.conversation().events)
    woven.look(None)
    woven.close()
    assert any("accept()" in it for it in drawn(woven))


def test_what_there_is_no_time_for_waits(file: File, book: Book) -> None:
    """A look has a budget of time: the rest is drawn with the next ones."""
    hours = iter(range(0, 1_000_000_000, 3600))
    woven = Woven(file.path, lambda: next(hours))
    woven.tell(book.conversation().events)
    file.add(HANDSHAKE)
    woven.look(10**9)
    first = drawn(woven)
    assert not any("close()" in it for it in first)
    for _ in range(40):
        woven.look(10**9)
    woven.close()
    assert any("close()" in it for it in drawn(woven))
    assert sum("SYN" in it for it in drawn(woven)) == 2
    assert woven.skipped == 0


def test_when_there_are_too_many_they_are_passed_over(
    file: File, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted, and what comes later begins in the middle of a connection."""
    monkeypatch.setattr("evloop_trace.apps.woven.CROWD", 2)
    woven = Woven(file.path)
    woven.tell(book.events)
    file.add(HANDSHAKE)
    woven.look(0)
    assert woven.skipped == 4  # the header, too
    file.add(segment(9000, "PA", 101, 501, b"later"))
    woven.look(None)
    woven.close()
    assert any("PSH ACK 5 B" in it for it in drawn(woven))


def test_after_a_pass_over_numbers_go_on_and_names_are_known(
    file: File, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn stays; packets are counted whether anybody looked at them or not."""
    woven = Woven(file.path)
    book.listen()
    book.accept("tcp-1")
    hello = book.recv("tcp-1", b"hello")
    woven.tell(book.events)
    file.add(HANDSHAKE + segment(2800, "PA", 101, 501, b"hello"))
    woven.look(LAG + 10_000)
    before = drawn(woven)
    assert any("#4" in it and "5 B" in it for it in before)
    monkeypatch.setattr("evloop_trace.apps.woven.CROWD", 2)
    late = [book.recv("tcp-1", b"12345"), book.recv("tcp-1", b"12345")]
    book.accept("tcp-2")
    late += [book.send("tcp-2", b"a"), book.close("tcp-2")]
    woven.tell([*late, book.events[-3]])
    file.add(
        segment(hello.t + 500, "PA", 106, 501, b"12345") + segment(hello.t + 600, "PA", 111, 501, b"12345")
    )
    woven.look(0)
    assert woven.skipped == 7
    monkeypatch.undo()
    third = book.recv("tcp-1", b"third")
    third.t += 20_000_000
    woven.tell([third])
    file.add(segment(third.t - 100, "PA", 116, 501, b"third"))
    woven.look(None)
    woven.close()
    lines = drawn(woven)
    assert lines[: len(before)] == before
    (packet,) = [it for it in lines if "#7" in it]
    assert "PSH ACK 5 B" in packet
    text = "\n".join(lines[len(before) :])
    assert "7 calls and packets were passed over" in text
    assert "tcp-1 127.0.0.1:40000 → 127.0.0.1:8080" in text  # another strand, of the same names
    assert 'recv() = 5 ≈ [15,20) "third"' in text
    assert "unmatched" not in text


def test_a_snapshot_names_what_was_open_before_we_came(file: File, book: Book) -> None:
    """Its packets and its calls are of one connection, and meet."""
    state = Snapshot(
        -1, 500, 0,
        [ListenerState("listen-1", 5, "tcp", "127.0.0.1:8080"), ListenerState("udp-1", 6, "udp", "")],
        [ConnectionState("tcp-1", 7, "127.0.0.1:40000", "127.0.0.1:8080", 0, 100, 50, 0, "READ", "listen-1")],
        1, 0,
    )  # fmt: skip
    woven = Woven(file.path)
    call = Recv(9, 9000, 0, 100, "tcp-1", 7, 65536, 5, (100, 105), b"later")
    woven.tell([book.events[0], state, state, call])
    file.add(segment(8000, "PA", 201, 501, b"later"))
    woven.look(None)
    woven.close()
    lines = drawn(woven)
    assert sum("tcp-1 127.0.0.1:40000 → 127.0.0.1:8080" in it for it in lines) == 1
    assert [it.strand.trust for it in woven.panel.entries if it.strand] == ["inferred", "inferred"]
    assert [it.number for it in woven.panel.entries[2].packets] == [1]  # type: ignore[union-attr]


def test_what_is_over_is_forgotten(file: File, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many connections; nothing is passed over, and what is open keeps its name."""
    monkeypatch.setattr("evloop_trace.apps.woven.MANY", 1)
    woven = Woven(file.path)
    book.listen()
    for name in ("tcp-1", "tcp-2"):
        book.accept(name)
    book.close("tcp-1")
    woven.tell(book.events)
    woven.look(LAG + 10_000)
    (strand,) = woven._loom.weaver.strands
    assert (strand.number, strand.names) == (2, ("", "tcp-2"))
    woven.look(None)
    woven.close()
    assert woven.skipped == 0
    assert sum("accept()" in it for it in drawn(woven)) == 2


def test_calls_wait_for_packets_that_are_not_read_yet(file: File, book: Book) -> None:
    """Where the time was up within the file, a call behind the last packet read stays in its place."""
    hours = iter(range(0, 1_000_000_000, 3600))
    woven = Woven(file.path, lambda: next(hours))
    woven.tell(book.conversation().events)
    file.add(HANDSHAKE + segment(4500, "PA", 101, 501, b"hello"))
    for _ in range(40):
        woven.look(10**9)
    woven.close()
    entries = [it.t for it in woven.panel.entries]
    assert entries == sorted(entries)
    assert [it.packet.time - WALL for it in woven.panel.entries if isinstance(it, PacketEntry)] == [
        it.t for it in woven.panel.entries if isinstance(it, PacketEntry)
    ]
