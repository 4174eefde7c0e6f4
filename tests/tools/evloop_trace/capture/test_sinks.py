"""A capture file is whole at any moment, and says what was not to be had."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import sys
from typing import TYPE_CHECKING

import pytest
from evloop_trace.capture.interface import Interface, find
from evloop_trace.capture.ring import Counts
from evloop_trace.capture.sinks import FileSink
from evloop_trace.capture.wanted import Wanted
from evloop_trace.whole_file import UnwrittenError

from evloop.errors import EvloopError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LO = Interface("lo", is_loopback=True)
WHEN = 1_700_000_000_123_456_789
SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file may be longer: not even that to which the tests' own output goes, so only for a moment."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each block, of which the last must end where the file does."""
    found, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, at + size - 4) == (size,)
        found.append((kind, data[at + 8 : at + size - 4]))
        at += size
    assert at == len(data)
    return found


def options(body: bytes) -> dict[int, bytes]:
    """What a block says besides."""
    found, at = {}, 0
    while True:
        code, size = struct.unpack_from("<HH", body, at)
        if not code:
            return found
        found[code] = body[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


def test_a_whole_file(tmp_path: Path) -> None:
    """What wrote it, where, what was caught, and what was dropped: as the format's text has it."""
    path = tmp_path / "a.pcapng"
    sink = FileSink(Wanted(ports=(80, 81), output=str(path), snap=128), LO)
    packets = [(WHEN + size, bytes(range(size)), 1000 + size) for size in range(6)]
    sink.put(packets[:4], Counts(4, 0))
    sink.put([], Counts(4, 0))
    sink.put(packets[4:], Counts(9, 3))
    sink.put([], Counts(9, 3))
    sink.finish(Counts(10, 4))
    sink.close()
    found = blocks(path.read_bytes())
    assert [kind for kind, _ in found] == [SECTION, INTERFACE, *[PACKET] * 6, STATISTICS, STATISTICS]
    assert struct.unpack_from("<IHHq", found[0][1]) == (0x1A2B3C4D, 1, 0, -1)
    about = options(found[0][1][16:])
    assert about[2] == os.uname().machine.encode()
    assert about[3].startswith(os.uname().sysname.encode())
    assert about[4].startswith(b"evloop-trace ")
    assert struct.unpack_from("<HHI", found[1][1]) == (1, 0, 128)
    interface = options(found[1][1][8:])
    assert (interface[2], interface[9]) == (b"lo", b"\x09")
    assert interface[11] == b"\0(tcp or udp or icmp error) and (port 80 or port 81)"
    for (_, body), (when, data, size) in zip(found[2:8], packets, strict=True):
        number, high, low, kept, length = struct.unpack_from("<5I", body)
        assert (number, high << 32 | low, kept, length) == (0, when, len(data), size)
        assert body[20:] == data + bytes(-len(data) % 4)
    assert drops(found[8]) == (9, 3, 6)
    assert drops(found[9]) == (10, 4, 6)


def test_a_file_of_all_interfaces(tmp_path: Path) -> None:
    """Each interface is described before its first packet, and once."""
    path = tmp_path / "a.pcapng"
    sink = FileSink(Wanted(output=str(path), snap=100), find("any"))
    lo = socket.if_nametoindex("lo")
    packets = [(WHEN, cooked(lo), 20), (WHEN, cooked(99_999), 20), (WHEN, cooked(lo), 20)]
    sink.put(packets, Counts(3, 0))
    sink.put(packets[::-1], Counts(6, 0))
    sink.close()
    found = blocks(path.read_bytes())
    assert [kind for kind, _ in found] == [SECTION, *[INTERFACE] * 3, *[PACKET] * 6]
    assert [struct.unpack_from("<HHI", body) for _, body in found[1:4]] == [(276, 0, 120)] * 3
    assert [options(body[8:])[2] for _, body in found[1:4]] == [b"any", b"lo", b"#99999"]
    assert [struct.unpack_from("<I", body)[0] for _, body in found[4:]] == [1, 2, 1, 1, 2, 1]


def test_a_full_disk_has_no_room_for_an_interface(tmp_path: Path) -> None:
    """Then none of the packets that wait are in the file."""
    path = tmp_path / "a.pcapng"
    sink = FileSink(Wanted(output=str(path)), find("any"))
    packets = [(WHEN, cooked(1), 20)] * 3
    with at_most(path.stat().st_size + 10), pytest.raises(UnwrittenError) as error:
        sink.put(packets, Counts(3, 0))
    assert error.value.missing == 3
    sink.close()
    assert len(blocks(path.read_bytes())) == 2


def cooked(index: int) -> bytes:
    """A header of Linux cooked 2."""
    return struct.pack(">H2xIHBB8x", 0x0800, index, 1, 0, 6)


def drops(block: tuple[int, bytes]) -> tuple[int, int, int]:
    """Received, dropped and delivered, of a block of statistics."""
    said = options(block[1][12:])
    received, dropped, delivered = (struct.unpack("<Q", said[code])[0] for code in (4, 5, 8))
    return received, dropped, delivered


def test_it_can_be_read_at_any_moment(tmp_path: Path) -> None:
    """Nothing is kept back."""
    path = tmp_path / "a.pcapng"
    sink = FileSink(Wanted(output=str(path)), LO)
    assert len(blocks(path.read_bytes())) == 2
    sink.put([(WHEN, b"x", 1)], Counts(1, 0))
    assert len(blocks(path.read_bytes())) == 3
    sink.close()


def test_a_full_disk_leaves_whole_blocks(tmp_path: Path) -> None:
    """What does not fit is counted, and what was there before is whole; there may be room for less."""
    path = tmp_path / "a.pcapng"
    sink = FileSink(Wanted(output=str(path)), LO)
    fit = 5
    room = path.stat().st_size + fit * 132 + 40
    with at_most(room), pytest.raises(UnwrittenError, match="File too large") as error:
        sink.put([(WHEN, bytes(100), 100)] * 10, Counts(10, 0))
    assert error.value.missing == 10 - fit
    assert [kind for kind, _ in blocks(path.read_bytes())] == [SECTION, INTERFACE, *[PACKET] * fit]
    with at_most(room), pytest.raises(UnwrittenError) as error:
        sink.put([(WHEN, bytes(600), 600)], Counts(11, 0))
    assert error.value.missing == 1
    with at_most(room):
        sink.put([(WHEN, b"", 1)], Counts(12, 0))
    assert len(blocks(path.read_bytes())) == 2 + fit + 1
    sink.close()


def test_no_room_for_its_beginning(tmp_path: Path) -> None:
    """Then it could not begin."""
    with at_most(20), pytest.raises(EvloopError, match="cannot be written: File too large"):
        FileSink(Wanted(output=str(tmp_path / "a.pcapng")), LO)
    assert (tmp_path / "a.pcapng").read_bytes() == b""


def test_standard_output_that_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would obey what is in a file."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with pytest.raises(EvloopError, match="a capture is nothing for a terminal"):
            FileSink(Wanted(output="-"), LO)
    os.close(ours)
