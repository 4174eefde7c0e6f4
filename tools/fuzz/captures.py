"""Whatever reads captures: files, headers, analysis, words, drawing, dissection.

It begins with captures made here: each kind of file and link layer, connections in which anything may
happen. Nothing but a CaptureError may come out, each input has to be read in 5 seconds and 512 MiB, and plain
packets, which are looked at without a call, must come to the same as all the others.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evloop_trace import packeting
from evloop_trace.capture.lines import Lines
from evloop_trace.dissection import dissect
from evloop_trace.packets.analysis import Analysis
from evloop_trace.packets.capture_file import Capture, CaptureError
from evloop_trace.packets.sightings import Sightings
from evloop_trace.packets.summary import summarize
from evloop_trace.views.packets import heading, story
from evloop_trace.views.page import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evloop_trace.packets.capture_file import Packet

__all__ = ["OPTIONS", "PACKAGES", "look", "seeds"]

PACKAGES = ("evloop_trace",)
_LINKS = (0, 1, 9, 12, 14, 50, 101, 108, 113, 147, 228, 229, 276)
_HEADERS = {0: b"\2\0\0\0", 9: b"\0\x21", 50: b"\xff\3\0\x21", 108: b"\0\0\0\2", 113: bytes(14) + b"\x08\0",
            276: b"\x08\0" + bytes(18)}  # fmt: skip
_DISSECTED = 2  # packets of a file, since scapy takes its time
_STORIES = 3
OPTIONS = ("-timeout=5", "-rss_limit_mb=512", "-max_len=4096")


def look(data: bytes) -> None:
    """All that `evloop-trace packets` and `capture` do with the bytes of a file."""
    capture, analysis = Capture(), Analysis(_STORIES)
    taken: list[Packet] = []
    try:
        analysis.feed(_watched(_packets(data, capture), taken))
    except CaptureError:
        return
    for conn in analysis.connections():
        drawn = render(story(conn, summarize(conn), 80)) if conn.marks is not None else ""
        assert all(char.isprintable() or char == "\n" for char in drawn)
    render(heading(capture, len(analysis), "a", 80))
    packeting.problems(capture, analysis)
    plain = list(packeting.json_lines(analysis))
    careful = Sightings(_STORIES)
    for packet in taken:
        careful.see(packet)
    assert plain == list(packeting.json_lines(careful.analysis)), "plain packets come to something else"
    assert analysis.left_out == careful.analysis.left_out
    _one_by_one(taken)


def _packets(data: bytes, capture: Capture) -> Iterator[Packet]:
    source = packeting._Source(io.BytesIO(data))  # noqa: SLF001 - without a file: there are many a second
    read = packeting._reader(source, capture, lambda: None)  # noqa: SLF001
    return packeting.read_packets(read, capture)


def _watched(packets: Iterator[Packet], taken: list[Packet]) -> Iterator[Packet]:
    for packet in packets:
        taken.append(packet)
        yield packet


def _one_by_one(taken: list[Packet]) -> None:
    """As `capture` would print them, and as `--packet` would show them."""
    lines: dict[int, Lines] = {}
    for number, (time, buffer, at, kept, wire, link) in enumerate(taken):
        data = bytes(buffer[at : at + kept])
        said = lines.setdefault(link.number, Lines(link.number)).line((time, data, wire))
        assert said.isprintable() or said[:-1].isprintable()
        if number < _DISSECTED:
            dissect(link.number, data)


def seeds() -> Iterator[bytes]:
    """Small captures of every kind."""
    wire = _wire()
    frames = wire.random_talks(1, 2)[:6]
    frames6 = wire.random_talks(2, 2, v6=True)[:6]
    for make in (wire.pcap, wire.pcapng):
        for order in "<>":
            yield make(frames, 1, order)
            yield make(frames6, 1, order)
        for link in _LINKS:
            head = _HEADERS.get(link, b"")
            yield make([(time, head + frame[14:]) for time, frame in frames], link)
    yield wire.pcap(frames, snap=60)
    yield gzip.compress(wire.pcap(frames))
    yield _notes(wire, frames[0][1])
    for frame in _odd(wire):
        yield wire.pcap([(1, frame)])


def _notes(wire: Any, frame: bytes) -> bytes:
    """All kinds of blocks and options."""
    options = wire.option(2, b"veth0") + wire.option(9, b"\x86") + wire.option(14, bytes(8))
    blocks = [
        wire.section(options=wire.option(1, b"of the file")),
        wire.interface(options=options), wire.interface(113),
        wire.enhanced(1, frame, options=wire.option(1, b"a note")), wire.block(3, b"\x20\0\0\0" + frame[:32]),
        wire.block(2, bytes(12) + b"\x20\0\0\0\x20\0\0\0" + frame[:32]),
        wire.block(5, bytes(12) + wire.option(4, bytes(8)) + wire.option(5, b"\3" + bytes(7))),
        wire.block(4, b"whatever"), wire.section(">"), wire.interface(order=">"),
        wire.enhanced(1, frame, order=">"),
    ]  # fmt: skip
    return b"".join(blocks)


def _odd(wire: Any) -> Iterator[bytes]:
    """Headers that the connections above do not have."""
    ends, ends6 = ("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")
    udp = wire.ipv4(*ends, 17, wire.udp(5, 6, b"abc"))
    tcp = wire.ipv4(
        *ends, 6, wire.tcp(5, 6, 7, 8, 2, options=b"\x02\x04\x05\xb4\x1e\x04\0\0"), options=bytes(8)
    )
    yield wire.ethernet(udp, tags=b"\x88\xa8\0\5\x81\0\0\6")
    yield wire.ethernet(b"\x11\0\0\1\0\x22\0\x21" + udp, 0x8864)
    yield wire.ethernet(b"\0\0\1\x40" + udp, 0x8847)
    yield wire.ethernet(b"\xaa\xaa\3\0\0\0\x08\0" + udp, 60)
    yield wire.ethernet(wire.ipv4(*ends, 1, b"\3\3" + bytes(6) + tcp))
    yield wire.ethernet(wire.ipv4(*ends, 4, udp))
    yield wire.ethernet(wire.ipv4(*ends, 6, bytes(30), fragment=0x2003))
    chain = bytes([60, 0]) + bytes(6) + bytes([44, 0]) + bytes(6) + bytes([17, 0]) + bytes(6)
    yield wire.ethernet(wire.ipv6(*ends6, 0, wire.udp(5, 53, bytes(20)), extensions=chain))
    yield wire.ethernet(
        wire.ipv6(*ends6, 58, b"\1\4" + bytes(6) + wire.ipv6(*ends6, 17, wire.udp(5, 6, b"")))
    )
    for port, head in (
        (4789, b"\x08" + bytes(19) + b"\x08\0"),
        (6081, b"\0\0\x08\0" + bytes(4)),
        (2152, b"\x30\xff\0\x1f" + bytes(4)),
        (3544, b""),
    ):
        yield wire.ethernet(wire.ipv4(*ends, 17, wire.udp(5, port, head + udp)))
    yield wire.ethernet(wire.ipv4(*ends, 47, b"\xb0\0\x08\0" + bytes(12) + udp))


def _wire() -> Any:
    """What the tests make their captures with."""
    path = Path(__file__).parents[2] / "tests/tools/evloop_trace/packets/wire.py"
    spec = importlib.util.spec_from_file_location("wire", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wire"] = module
    spec.loader.exec_module(module)
    return module
