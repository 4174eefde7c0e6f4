"""The pcap format: a header of 24 bytes, then 16 bytes before each packet.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from evloop_trace.packets import capture_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evloop_trace.packets.capture_file import Capture, Packet

__all__ = ["MAGIC", "packets"]

MOST = 1 << 18  # what libpcap keeps of a packet at most


class Form(NamedTuple):
    """What the first four bytes say."""

    order: str
    scale: int  # from the fraction of a second to nanoseconds
    header: int = 16


MAGIC = {
    bytes.fromhex("d4c3b2a1"): Form("<", 1000),
    bytes.fromhex("a1b2c3d4"): Form(">", 1000),
    bytes.fromhex("4d3cb2a1"): Form("<", 1),
    bytes.fromhex("a1b23c4d"): Form(">", 1),
    # Old Linux patches, with the interface's number behind the lengths.
    bytes.fromhex("34cdb2a1"): Form("<", 1000, 24),
    bytes.fromhex("a1b2cd34"): Form(">", 1000, 24),
}


def packets(start: bytes, form: Form, read: Callable[[int], bytes], capture: Capture) -> Iterator[Packet]:
    """The packets behind the file's header, which `start` begins with."""
    capture.kind = "pcap"
    capture.snap, network = struct.unpack_from(form.order + "II", start, 16)
    link = capture_file.link(network & 0xFFFF, capture)  # above are the length of a checksum, and flags
    capture.current = capture_file.Interface(link, capture.snap, multiply=form.scale)
    capture.interfaces.append(capture.current)
    unpack, header, scale = struct.Struct(form.order + "IIII").unpack_from, form.header, form.scale
    buffer, at, before = start, 24, 0
    while True:
        last = len(buffer) - header
        while at <= last:
            seconds, fraction, kept, length = unpack(buffer, at)
            if kept > MOST:
                capture.problem(_lie(capture.packets + 1, before + at, kept))
                return
            begin = at + header
            at = begin + kept
            if at > len(buffer):
                at = begin - header
                break
            capture.packets += 1
            yield seconds * 1_000_000_000 + fraction * scale, buffer, begin, kept, length or kept, link
        piece = read(capture_file.PIECE)
        if not piece:
            if at < len(buffer):
                capture.problem(
                    f"the file ends in the middle of packet {capture.packets + 1}: it was cut off"
                )
            return
        before += at
        buffer, at = buffer[at:] + piece, 0


def _lie(number: int, place: int, kept: int) -> str:
    return (
        f"packet {number}, at byte {place}, claims {kept:,} bytes, which no capture keeps: "
        "the file is damaged from there on"
    )
