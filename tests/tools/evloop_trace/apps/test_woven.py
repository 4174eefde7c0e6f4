"""The live timeline: events as they are told, packets as they come to stand in a growing file."""

from __future__ import annotations

import fcntl
import os
import re
from typing import TYPE_CHECKING

import pytest
from evloop_trace.apps.woven import LAG, Woven
from evloop_trace.capture import pcapng
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

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
