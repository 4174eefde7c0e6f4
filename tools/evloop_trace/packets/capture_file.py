"""Reading pcap and pcapng: bytes in, packets out, one after the other.

A file is read in pieces and once. Whatever is wrong with it ends the reading at that place with a sentence in
`Capture.problems`; what came before has been given out by then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from evloop.errors import EvloopError
from evloop_trace.packets.links import Link, link_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Capture", "CaptureError", "Interface", "Packet", "read_packets"]

Packet: TypeAlias = tuple[int, bytes, int, int, int, Link]
"""When (ns since 1970), a buffer, where in it, how many bytes were kept of how many, and what they are."""

PIECE = 1 << 20
"""Bytes that are read at a time."""

MOST_PROBLEMS = 20

_PACKED = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2", b"PK\3\4": "zip"}


class CaptureError(EvloopError):
    """A file that is no capture at all, or that cannot be read."""


@dataclass(slots=True)
class Interface:
    """Where packets were captured, as a pcapng file describes it."""

    link: Link
    snap: int = 0  # bytes kept of a packet at most; 0: all
    name: str = ""
    multiply: int = 1000  # a timestamp times this, divided by `divide`, plus `offset`: nanoseconds
    divide: int = 1
    offset: int = 0
    received: int | None = None
    dropped: int | None = None  # by the interface and by the kernel


@dataclass(slots=True)
class Capture:
    """What a file says about itself; it grows while the packets are read."""

    kind: str = ""  # pcap or pcapng
    snap: int = 0
    packets: int = 0
    dropped: int = 0
    """Packets that the capture lost, as far as the file says so."""
    interfaces: list[Interface] = field(default_factory=list)
    current: Interface | None = None
    """Where the last packet that was given out is from."""
    comments: list[tuple[int, str]] = field(default_factory=list)
    """The first comments, each with the number of its packet; 0 is the file itself."""
    problems: list[str] = field(default_factory=list)

    def problem(self, sentence: str) -> None:
        """Something is wrong; the first twenty are kept."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(sentence)


def read_packets(read: Callable[[int], bytes], capture: Capture) -> Iterator[Packet]:
    """The packets of a file, whose `read` gives at most so many bytes and none at its end.

    Raises:
        CaptureError: it is no capture file.
    """
    from evloop_trace.packets import pcap, pcapng  # noqa: PLC0415 - they need the names above

    start = b""
    while len(start) < 24 and (piece := read(PIECE)):
        start += piece
    if not start:
        raise CaptureError("is empty: a capture begins with a header")
    if start[:4] == pcapng.SECTION:
        return pcapng.packets(start, read, capture)
    form = pcap.MAGIC.get(start[:4])
    begins = any(magic.startswith(start[:4]) for magic in (pcapng.SECTION, *pcap.MAGIC))
    if len(start) < 24 and begins:
        raise CaptureError(f"ends in the header of the file: {len(start)} of 24 bytes are there")
    if form is None:
        raise CaptureError(_what_else(start))
    return pcap.packets(start, form, read, capture)


def _what_else(start: bytes) -> str:
    """What a file is that is no capture, as far as its beginning says."""
    for magic, program in _PACKED.items():
        if start.startswith(magic):
            return f"is packed by {program}: unpack it first"
    if start.startswith(b'{"ev":'):
        if b'"schema":"evloop-kernel/' in start.partition(b"\n")[0]:
            return "is a recording of the kernel's states: give it to evloop-trace timeline --kernel"
        return "is an event log: evloop-trace replay shows it"
    begin = start[:4].hex(" ")
    return (
        f"is no capture in pcap or pcapng: it begins with {begin}; if it is one of another kind, "
        "editcap -F pcapng makes one of it"
    )


def link(number: int, capture: Capture) -> Link:
    """The link layer with this number; that it cannot be read is told once."""
    found = link_of(number)
    if not found.known:
        sentence = (
            f"packets of link type {number} cannot be read: neither Ethernet, cooked, raw IP nor loopback"
        )
        if sentence not in capture.problems:
            capture.problem(sentence)
    return found
